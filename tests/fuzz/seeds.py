"""Writes the seeds of the fuzzer, `tests/fuzz/corpus`, anew: small files of each kind that are as they should be.

`PYTHONPATH=tests/serialize:tests/fuzz python tests/fuzz/seeds.py`. Inputs that once broke something are added by hand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from packages import linear_component
from targets import NAMES, SEPARATOR

from transload.serialize import Package, open_package

CORPUS = Path(__file__).resolve().parent / "corpus"


def write(target: str, name: str, data: bytes) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def main() -> None:
    weight = np.random.default_rng(3).standard_normal((16, 16)).astype(np.float32)
    path = Package("m", (linear_component("f", weight),)).save(CORPUS.parent / "seed.tload")
    opened = open_package(path)
    parts = {name: bytes(opened.read(name)) for name in NAMES}
    whole = path.read_bytes()
    path.unlink()
    write("package", "small", whole)
    write("source", "package", whole)
    write("members", "small", SEPARATOR.join(parts.values()))
    write("manifest", "small", parts[NAMES[0]])
    write("interface", "small", parts[NAMES[1]])
    write("model", "small", parts[NAMES[2]])
    write("onnx_file", "small", parts[NAMES[2]])
    write("source", "onnx", parts[NAMES[2]])
    write("source", "pbtxt", b'node { name: "x" op: "Placeholder" }')
    write("source", "safetensors", (2).to_bytes(8, "little") + b"{}")
    write("vector", "small", parts[NAMES[3]])


if __name__ == "__main__":
    main()

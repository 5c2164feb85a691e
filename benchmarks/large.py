"""Memory and time of converting a large model from a TorchScript file and from a SavedModel, and of packing it.

    make bench-large

The model is a stack of square linear layers with tanh, 67 MB each, made when it is needed first. `above load` is what
the largest process of `transload convert` takes beyond one that only loads the source with its framework, by the
weights; our limit is 1.5. `pack` is the time of `transload pack` by that of copying the same files and syncing them.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import shutil
import sys
import time
from pathlib import Path

from convert import measure

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "bench" / "large"
WIDTH = 4096
LAYER_BYTES = 4 * WIDTH * (WIDTH + 1)

LOADS = {
    "torchscript": "import sys, torch; torch.jit.load(sys.argv[1])",
    "saved-model": "import sys, tensorflow; tensorflow.saved_model.load(sys.argv[1])",
}


def make_torchscript(path: Path, layers: int) -> None:
    """The model as a traced module."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    modules: list[nn.Module] = []
    for _ in range(layers):
        modules += [nn.Linear(WIDTH, WIDTH), nn.Tanh()]
    model = nn.Sequential(*modules).eval().requires_grad_(requires_grad=False)
    torch.jit.trace(model, torch.zeros(2, WIDTH), check_trace=False).save(str(path))


def make_saved_model(path: Path, layers: int) -> None:
    """The model as a tf.Module."""
    import tensorflow as tf

    class Stack(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            random = tf.random.Generator.from_seed(0)
            scale = WIDTH**-0.5
            self.weights = [tf.Variable(random.normal((WIDTH, WIDTH), stddev=scale)) for _ in range(layers)]
            self.biases = [tf.Variable(random.normal((WIDTH,))) for _ in range(layers)]

        @tf.function(input_signature=[tf.TensorSpec((None, WIDTH), tf.float32, "x")])  # type: ignore[untyped-decorator]
        def __call__(self, x: tf.Tensor) -> tf.Tensor:
            for weight, bias in zip(self.weights, self.biases, strict=True):
                x = tf.tanh(x @ weight + bias)
            return x

    tf.saved_model.save(Stack(), str(path))


SOURCES = {
    "torchscript": (make_torchscript, "model.pt", ["--input", f"input:float32[batch,{WIDTH}]"]),
    "saved-model": (make_saved_model, "saved_model", []),
}


def copy_and_sync(source: Path, target: Path) -> float:
    """The seconds that copying all files of a folder into one takes, until they are on the disk."""
    start = time.perf_counter()
    with target.open("wb") as output:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                with path.open("rb") as file:
                    shutil.copyfileobj(file, output, 8 << 20)
        output.flush()
        os.fsync(output.fileno())
    return time.perf_counter() - start


def run_source(kind: str, layers: int, proof: str) -> str:
    """One row of the table."""
    folder = BUILD / f"{kind}-{layers}"
    folder.mkdir(parents=True, exist_ok=True)
    maker, name, inputs = SOURCES[kind]
    source, package, unpacked = folder / name, folder / "m.tload", folder / "unpacked"
    if not source.exists():
        code = f"import large, pathlib; large.{maker.__name__}(pathlib.Path({str(source)!r}), {layers})"
        measure([sys.executable, "-c", code])
    load = measure([sys.executable, "-c", LOADS[kind], str(source)])
    transload = [sys.executable, "-m", "transload.cli"]
    convert = measure([*transload, "convert", str(source), "-o", str(package), "--proof", proof, *inputs])
    shutil.rmtree(unpacked, ignore_errors=True)
    measure([*transload, "unpack", str(package), "-o", str(unpacked)])
    copied = copy_and_sync(unpacked, folder / "copy")
    pack = measure([*transload, "pack", str(unpacked), "-o", str(package)])
    weights = layers * LAYER_BYTES
    shutil.rmtree(unpacked)
    (folder / "copy").unlink()
    above = (convert.peak_bytes - load.peak_bytes) / weights
    return (
        f"| {kind} | {weights / 1e9:.2f} | {proof} | {load.seconds:.1f} | {load.peak_bytes / 1e9:.2f} "
        f"| {convert.seconds:.1f} | {convert.peak_bytes / 1e9:.2f} | {above:.2f} "
        f"| {pack.seconds:.1f} | {copied:.1f} | {pack.seconds / copied:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parser.add_argument("--sources", nargs="*", default=list(SOURCES), choices=list(SOURCES))
    parser.add_argument("--proofs", nargs="*", default=["none", "full"], choices=["none", "quick", "full"])
    options = parser.parse_args()
    packages = ("torch", "tensorflow-cpu", "onnxruntime", "onnx-ir", "transload")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    print(f"{datetime.datetime.now(tz=datetime.UTC).date()}, {os.cpu_count()} cores, {versions}\n")
    print(
        "| source | weights GB | proof | load s | load GB | convert s | peak GB | above load | pack s | copy s | pack |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for kind in options.sources:
        for proof in options.proofs:
            print(run_source(kind, round(options.gigabytes * 1e9 / LAYER_BYTES), proof), flush=True)


if __name__ == "__main__":
    main()

"""The main job on two real models: framework file in, proven package out, run without the framework.

python demo.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from transload.serialize import open_package

SAMPLES = Path(__file__).resolve().parent
BUILD = SAMPLES.parent / "build" / "demo"
TRANSLOAD = [sys.executable, "-m", "transload.cli"]

MEASURE_LOAD = """
import sys, time
import numpy, onnxruntime
import transload as tl
start = time.perf_counter()
tl.load(sys.argv[1])
print(time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Demo:
    """One model: how its source file is made, how it is converted, and the program that uses the package."""

    title: str
    folder: str
    make: str
    source: str
    options: tuple[str, ...]
    program: str


DEMOS = (
    Demo(
        "Sentence embedding: all-MiniLM-L6-v2, a traced TorchScript file, dynamic batch and sequence",
        "sentence_embedding",
        "make_torchscript.py",
        "minilm.pt",
        ("--input", "input_ids:int64[batch,seq]", "--input", "attention_mask:int64[batch,seq]"),
        "rank.py",
    ),
    Demo(
        "Image classification: keras.applications.MobileNetV2, a SavedModel",
        "image_classification",
        "make_saved_model.py",
        "mobilenet",
        (),
        "classify.py",
    ),
)


def main() -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    for demo in DEMOS:
        show(demo)


def show(demo: Demo) -> None:
    """Make the source once, convert it, print the figures, and run the program on the package."""
    print(f"\n== {demo.title}")
    source, package = BUILD / demo.source, BUILD / f"{Path(demo.source).stem}.tload"
    if not source.exists():
        run_quietly([sys.executable, str(SAMPLES / demo.folder / demo.make), str(source)])
    start = time.perf_counter()
    peak_bytes = run_quietly([*TRANSLOAD, "convert", str(source), "-o", str(package), *demo.options])
    seconds = time.perf_counter() - start

    file = open_package(package)
    (component,) = file.component_names
    cases = file.interface(component).proof.cases
    load_s = float(
        subprocess.run(
            [sys.executable, str(SAMPLES / "without_frameworks.py"), write_script(), str(package)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    print(f"package      {file.size_bytes / 1e6:8.1f} MB")
    print(f"conversion   {seconds:8.1f} s, proof included")
    print(f"peak memory  {peak_bytes / 1e6:8.1f} MB")
    print(f"load         {load_s:8.3f} s")
    print(f"proof        {len(cases):8d} input sets, largest error {max(case.max_abs_error for case in cases):.2e}")
    print("run, with neither torch nor tensorflow importable:")
    program = [str(SAMPLES / "without_frameworks.py"), str(SAMPLES / demo.folder / demo.program), str(package)]
    subprocess.run([sys.executable, *program], check=True)


def run_quietly(command: list[str]) -> int:
    """Run a command, show what it printed only if it failed, and return its peak memory in bytes."""
    log = BUILD / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        # wait4 counts the process and every child that it waited for, so the worker process too.
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.stderr.write(log.read_text())
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return usage.ru_maxrss * 1024


def write_script() -> str:
    """The path of the program that measures loading alone."""
    path = BUILD / "measure_load.py"
    path.write_text(MEASURE_LOAD)
    return str(path)


if __name__ == "__main__":
    main()

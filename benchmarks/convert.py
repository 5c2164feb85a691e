"""Conversion time and peak memory of transload beside the raw exporter, as ratios, in one run.

    make bench

Each conversion runs in its own process, the two alternating; figures are medians over the rounds. transload is timed
without proof (`--proof none`), which is what the exporter does too; the time that the full proof adds stands apart.
Peak memory is the largest process's resident set; for transload with the full proof too.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from models import BENCHMARKS, Benchmark

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "bench"


@dataclass(frozen=True)
class Run:
    """One process: wall time and the largest resident set among it and its children."""

    seconds: float
    peak_bytes: int


def measure(command: list[str]) -> Run:
    """Run a command to its end.

    Raises:
        SystemExit: it failed; what it printed is shown.
    """
    log = BUILD / "log.txt"
    start = time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONPATH": str(HERE)}, cwd=HERE
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.stderr.write(log.read_text())
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return Run(time.perf_counter() - start, usage.ru_maxrss * 1024)


def median(runs: list[Run]) -> Run:
    """The median time and the median peak."""
    return Run(statistics.median(run.seconds for run in runs), int(statistics.median(run.peak_bytes for run in runs)))


def run_benchmark(benchmark: Benchmark, rounds: int) -> str:
    """One row of the table."""
    source = benchmark.source
    if benchmark.make is not None:
        path = BUILD / benchmark.source
        if not path.exists():
            code = f"import models, pathlib; models.{benchmark.make.__name__}(pathlib.Path({str(path)!r}))"
            measure([sys.executable, "-c", code])
        source = str(path)
    raw_command = [sys.executable, str(HERE / "raw_exporter.py"), benchmark.kind, source]
    raw_command += [str(BUILD / "raw" / "model.onnx"), *benchmark.inputs]
    command = [sys.executable, "-m", "transload.cli", "convert", source, "-o", str(BUILD / "m.tload")]
    command += [word for text in benchmark.inputs for word in ("--input", text)]
    raw, plain, full = [], [], []
    for _ in range(rounds):
        shutil.rmtree(BUILD / "raw", ignore_errors=True)
        (BUILD / "raw").mkdir()
        raw.append(measure(raw_command))
        plain.append(measure([*command, "--proof", "none"]))
        full.append(measure([*command, "--proof", "full"]))
    a, b, c = median(raw), median(plain), median(full)
    return (
        f"| {benchmark.title} | {benchmark.kind} | {a.seconds:.1f} | {b.seconds:.1f} | {b.seconds / a.seconds:.2f} "
        f"| {c.seconds - b.seconds:.1f} | {a.peak_bytes / 1e6:.0f} | {b.peak_bytes / 1e6:.0f} "
        f"| {b.peak_bytes / a.peak_bytes:.2f} | {c.peak_bytes / a.peak_bytes:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="rows with this in title or source, 'MLP' or 'torch-module'"
    )
    options = parser.parse_args()
    rounds = options.rounds
    BUILD.mkdir(parents=True, exist_ok=True)
    packages = ("torch", "tensorflow-cpu", "tf2onnx", "onnxruntime", "onnx-ir", "transload")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    print(f"{datetime.datetime.now(tz=datetime.UTC).date()}, {rounds} rounds, {os.cpu_count()} cores, {versions}\n")
    print("| model | source | raw s | ours s | ratio | proof s | raw MB | ours MB | ratio | with proof |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for benchmark in BENCHMARKS:
        if options.only in f"{benchmark.title} {benchmark.kind}":
            print(run_benchmark(benchmark, rounds), flush=True)


if __name__ == "__main__":
    main()

"""Latency in ONNX Runtime of transload's graph of a TorchScript file beside those of torch's two exporters, as ratios.

    make bench

BERT-base: as a TorchScript file through transload and through torch's TorchScript exporter, as the module itself
through torch's newer exporter. The three sessions take turns, call by call; figures are medians over the calls.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "bench"
SHAPES = ((1, 16), (1, 128), (4, 64))


def prepare() -> dict[str, Path]:
    """The three graphs, by name."""
    source = BUILD / "bert.pt"
    if not source.exists():
        python(f"import models, pathlib; models.make_bert(pathlib.Path({str(source)!r}))")
    graphs = {name: BUILD / name / "model.onnx" for name in ("transload", "torchscript exporter", "dynamo exporter")}
    for path in graphs.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    inputs = ["input_ids:int64[batch,seq]", "attention_mask:int64[batch,seq]"]
    raw = f"import raw_exporter; raw_exporter.export_{{}}({{!r}}, {{!r}}, {inputs})"
    python(raw.format("torchscript", str(source), str(graphs["torchscript exporter"])))
    python(raw.format("torch_module", "models:bert_base", str(graphs["dynamo exporter"])))
    package, folder = BUILD / "bert.tload", BUILD / "transload"
    command = [sys.executable, "-m", "transload.cli"]
    described = [word for text in inputs for word in ("--input", text)]
    subprocess.run([*command, "convert", str(source), "-o", str(package), "--proof", "none", *described], check=True)
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    subprocess.run([*command, "unpack", str(package), "-o", str(folder)], check=True)
    graphs["transload"] = next(folder.rglob("model.onnx"))
    return graphs


def python(code: str) -> None:
    """Run code in a process of its own, beside the benchmarks' modules."""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE, env=os.environ | {"PYTHONPATH": str(HERE)})


def measure(graphs: dict[str, Path], shape: tuple[int, int], calls: int, threads: int) -> dict[str, float]:
    """Median seconds of a call, by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    sessions = {name: onnxruntime.InferenceSession(str(path), options) for name, path in graphs.items()}
    feed = {"input_ids": np.random.default_rng(0).integers(0, 1000, shape), "attention_mask": np.ones(shape, np.int64)}
    took: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(calls + 2):
        for name, session in sessions.items():
            start = time.perf_counter()
            session.run(None, feed)
            took[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds[2:]) for name, seconds in took.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    graphs = prepare()
    print(f"\n{datetime.datetime.now(tz=datetime.UTC).date()}, {options.calls} calls, {options.threads} threads\n")
    print("| batch, length | TorchScript exporter ms | dynamo exporter ms | ours ms | ours / faster |")
    print("|---|---|---|---|---|")
    for shape in SHAPES:
        found = measure(graphs, shape, options.calls, options.threads)
        ours, *theirs = (found[name] * 1e3 for name in ("transload", "torchscript exporter", "dynamo exporter"))
        cells = " | ".join(f"{value:.1f}" for value in (*theirs, ours))
        print(f"| {shape[0]}, {shape[1]} | {cells} | {ours / min(theirs):.3f} |", flush=True)


if __name__ == "__main__":
    main()

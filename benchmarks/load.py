"""Measure 2: load to first output, private memory and speed of tuned packages beside ONNX Runtime on the plain .onnx.

    make bench-load

The models are stacks of linear layers with GELU between, of 5 MB to 2 GB; above 2 GB a .onnx cannot hold its weights.
Each opening is a process of its own, the contestants alternating; page caches are warm. Private memory is what a
process wrote (Anonymous in /proc/PID/smaps_rollup), beyond what it had before opening. Speed is measured in processes
that take turns. Four
processes that hold the model at once show how much they share: their PSS, summed, by the weights, without that of four
that hold the smallest model (interpreters and libraries).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from transload.convert.peers.race import Contestant, Worker, race, start
from transload.convert.peers.runners import RUNNERS
from transload.serialize import Component, Package, VectorSet
from transload.serialize.interface import Interface, Proof, SourceRecord, Tensor, Tolerance

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "bench" / "load"
SHAPES = {5: (512, 5), 100: (2048, 6), 500: (4096, 7), 1000: (4096, 15), 1900: (4096, 28)}
"""Width and number of layers for each size in MB."""

ROWS = 16
ENVIRONMENT = {"XDG_CACHE_HOME": str(BUILD / "cache")}
PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


def make_graph(width: int, layers: int) -> onnx.ModelProto:
    """`layers` times linear and GELU, weights inside."""
    random = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for index in range(layers):
        weight = (random.standard_normal((width, width), np.float32) / np.float32(np.sqrt(width))).astype(np.float32)
        weights += [numpy_helper.from_array(weight, f"w{index}")]
        weights += [numpy_helper.from_array(random.standard_normal(width, np.float32), f"b{index}")]
        nodes += [helper.make_node("MatMul", [last, f"w{index}"], [f"p{index}"])]
        nodes += [helper.make_node("Add", [f"p{index}", f"b{index}"], [f"z{index}"])]
        last = f"g{index}" if index < layers - 1 else "y"
        nodes += [helper.make_node("Gelu", [f"z{index}"], [last])]
    value = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width]) for name in "xy"}
    graph = helper.make_graph(nodes, "stack", [value["x"]], [value["y"]], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def make_files(size_mb: int) -> tuple[Path, Path, dict[str, Any]]:
    """The plain .onnx, the package, and the inputs; files that are there already are kept."""
    import onnxruntime

    width, layers = SHAPES[size_mb]
    folder = BUILD / str(size_mb)
    folder.mkdir(parents=True, exist_ok=True)
    plain, package = folder / "model.onnx", folder / "model.tload"
    feed = {"x": np.random.default_rng(1).standard_normal((ROWS, width), np.float32)}
    if not package.exists():
        model = make_graph(width, layers)
        onnx.save(model, plain)
        (output,) = onnxruntime.InferenceSession(str(plain)).run(None, feed)
        tensors = {name: Tensor(name, "float32", ("n", width)) for name in "xy"}
        interface = Interface(
            "forward",
            {"x": tensors["x"]},
            tensors["y"],
            {"y": Tolerance(1e-4, 1e-4)},
            SourceRecord("onnx", "onnx", onnx.__version__),
            Proof("none"),
        )
        Package(
            "stack", (Component("forward", interface, ir.from_proto(model), (VectorSet(feed, {"y": output}),)),)
        ).save(package)
        np.savez(package.with_name("inputs.npz"), **feed)
    return plain, package, feed


def tune(package: Path, seconds: float) -> None:
    """Put the package's tuned variant into the benchmark's own cache."""
    command = [sys.executable, "-m", "transload.cli", "tune", str(package), "--threads", "2", "--seconds", str(seconds)]
    subprocess.run(command, check=True, env=os.environ | ENVIRONMENT, stdout=subprocess.DEVNULL)


def shared_bytes(start_one: Callable[[], AbstractContextManager[Worker]], processes: int = 4) -> int:
    """The PSS, summed, of several processes that hold the model and have run it."""
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(start_one()) for _ in range(processes)]
        return 1024 * sum(
            int(PSS.findall(Path(f"/proc/{each.process.pid}/smaps_rollup").read_text())[0]) for each in running
        )


def open_once(starting: AbstractContextManager[Worker]) -> dict[str, Any]:
    """What a fresh process says of opening the model and of the first call."""
    with starting as worker:
        return worker.opening


def medians(openings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure over the rounds."""
    return {key: statistics.median(each[key] for each in openings) for key in openings[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("onnxruntime", "transload"))
    print(f"{datetime.datetime.now(tz=datetime.UTC).date()}, {options.rounds} rounds, 2 threads, {versions}\n")
    titles = (
        "weights MB",
        ".onnx load ms",
        "tuned ms",
        "sooner",
        "to first output",
        "private / weights",
        "speed",
        "PSS",
    )
    print(f"| {' | '.join(titles)} |")
    print("|---|---|---|---|---|---|---|---|")
    base = 0
    for size_mb in options.sizes:
        plain, package, feed = make_files(size_mb)
        tune(package, options.seconds)
        inputs = package.with_name("inputs.npz")
        contestants = [
            Contestant("tuned", RUNNERS["transload"], str(package), ENVIRONMENT),
            Contestant("plain", RUNNERS["onnxruntime"], str(plain)),
        ]
        opened = [[open_once(start(each, 2, inputs)) for each in contestants] for _ in range(options.rounds)]
        tuned, other = (medians(openings) for openings in zip(*opened, strict=True))
        laps = race(contestants, [feed], threads=2, rounds=options.rounds, seconds=options.seconds)[0]
        weights = plain.stat().st_size
        shared = shared_bytes(partial(start, contestants[0], 2, inputs))
        base = base or shared - weights
        print(
            f"| {weights / 1e6:.0f} | {other['load_s'] * 1e3:.0f} | {tuned['load_s'] * 1e3:.0f} "
            f"| {other['load_s'] / tuned['load_s']:.2f} | {other['first_output_s'] / tuned['first_output_s']:.2f} "
            f"| {tuned['private_bytes'] / weights:.3f} (plain {other['private_bytes'] / weights:.2f}) "
            f"| {laps[1].median_s / laps[0].median_s:.3f} | {(shared - base) / weights:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

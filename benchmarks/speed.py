"""Measure 1: latency of tuned packages beside the best that anyone offers, as ratios in one run.

    make bench-speed

Each runtime has a process of its own, and they take turns; a figure is the median of the rounds' medians. Ours is the
package that `transload tune` tuned with the same inputs and threads. Its peers: torch eager, frozen TorchScript,
torch.compile, TensorFlow, ONNX Runtime on each exporter's graph, OpenVINO in float32 on transload's graph. `ratio` is
the best peer's time by ours. openvino, timm and torchvision are installed for this benchmark alone, into
build/bench/site. With `--provider`, ours also runs in the build of ONNX Runtime that has OpenVINO's execution provider,
tuned there, and the last column is OpenVINO's time by that; it is no peer.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from zoo import ZOO, Entry

from transload.convert.peers.race import Contestant, Lap, race
from transload.convert.peers.runners import RUNNERS
from transload.serialize.errors import ExecutionError

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "bench"
SITE = BUILD / "site"
PACKAGES = ("openvino", "timm", "torchvision", "pillow")

PROVIDER_SITE = BUILD / "provider"
PROVIDER_PACKAGE = "onnxruntime-openvino"
PROVIDER = "ours by OpenVINO's provider"

ENVIRONMENT = {"PYTHONPATH": f"{HERE}{os.pathsep}{SITE}", "XDG_CACHE_HOME": str(BUILD / "cache")}
PROVIDER_ENVIRONMENT = {
    "PYTHONPATH": f"{PROVIDER_SITE}{os.pathsep}{HERE}",
    "XDG_CACHE_HOME": str(BUILD / "provider-cache"),
}
EXPORTS = {"torch": ("torchscript", "dynamo"), "tensorflow": ("tf2onnx",)}


def install(site: Path, *packages: str) -> None:
    """What only this benchmark needs, beside and not inside the environment."""
    if not site.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), *packages]
        subprocess.run(command, check=True)


def run(*command: str, environment: Mapping[str, str] = ENVIRONMENT) -> bool:
    """Run a command of Python's; whether it succeeded. Its last words are shown where it did not."""
    done = subprocess.run(
        [sys.executable, *command], cwd=HERE, env=os.environ | dict(environment), capture_output=True, text=True
    )
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or [""]
        print(f"  {' '.join(command)}: {words[-1][:200]}", file=sys.stderr)
    return done.returncode == 0


def prepare(found: Entry) -> Path:
    """Every file of one model; what is there stays."""
    folder = BUILD / "speed" / found.name
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / ("saved_model" if found.framework == "tensorflow" else "source.pt")
    if not source.exists():
        run("prepare_model.py", found.name, str(folder), "source")
    package = folder / "model.tload"
    if not package.exists():
        described = [word for text in found.described for word in ("--input", text)]
        run("-m", "transload.cli", "convert", str(source), "-o", str(package), "--proof", "quick", *described)
    if package.exists() and not (folder / "unpacked").exists():
        run("-m", "transload.cli", "unpack", str(package), "-o", str(folder / "unpacked"))
    for step in EXPORTS[found.framework]:
        if not (folder / f"{step}.onnx").exists():
            run("prepare_model.py", found.name, str(folder), step)
    return folder


def tune(found: Entry, folder: Path, batch: int, threads: int, options: argparse.Namespace) -> None:
    """Tune for these inputs and threads; the entry replaces the one before."""
    np.savez(folder / "inputs.npz", **rename(found, folder, batch))
    words = ["--inputs", str(folder / "inputs.npz"), "--threads", str(threads)]
    words += ["--seconds", str(options.tuning_seconds)]
    for environment in (ENVIRONMENT, *((PROVIDER_ENVIRONMENT,) if options.provider else ())):
        run("-m", "transload.cli", "tune", str(folder / "model.tload"), *words, environment=environment)


def rename(found: Entry, folder: Path, batch: int) -> dict[str, np.ndarray]:
    """The inputs by the names of the package's tensors, which come in the same order."""
    from transload.serialize import open_package
    from transload.serialize.interface import input_tensors

    package = open_package(folder / "model.tload")
    names = [tensor.name for tensor in input_tensors(package.interface(package.component_names[0]))]
    return dict(zip(names, found.inputs(batch).values(), strict=True))


def contestants(found: Entry, folder: Path, *, compiled: bool, provider: bool) -> list[Contestant]:
    """Ours first, then whoever has what it needs."""
    graph = next((folder / "unpacked").rglob("model.onnx"))
    chosen = [
        Contestant("ours", RUNNERS["transload"], str(folder / "model.tload"), ENVIRONMENT),
        Contestant("OpenVINO", RUNNERS["openvino"], str(graph), ENVIRONMENT),
    ]
    if provider:
        chosen.append(Contestant(PROVIDER, RUNNERS["transload"], str(folder / "model.tload"), PROVIDER_ENVIRONMENT))
    for step in EXPORTS[found.framework]:
        if (folder / f"{step}.onnx").exists():
            chosen.append(Contestant(f"ORT {step}", RUNNERS["onnxruntime"], str(folder / f"{step}.onnx"), ENVIRONMENT))
    if found.framework == "tensorflow":
        chosen.append(Contestant("TensorFlow", RUNNERS["tensorflow"], str(folder / "saved_model"), ENVIRONMENT))
        return chosen
    chosen += [
        Contestant("torch eager", "eager_runner", found.name, ENVIRONMENT),
        Contestant("torch frozen", RUNNERS["torch"], str(folder / "source.pt"), ENVIRONMENT),
    ]
    if compiled:
        chosen.append(Contestant("torch compiled", "compiled_runner", found.name, ENVIRONMENT))
    return chosen


def measure(found: Entry, folder: Path, batch: int, threads: int, options: argparse.Namespace) -> list[Lap]:
    """A lap of every contestant that runs; one that fails is named and left out."""
    chosen = contestants(found, folder, compiled=options.compiled, provider=options.provider)
    feed = rename(found, folder, batch)
    while True:
        try:
            return race(chosen, [feed], threads=threads, rounds=options.rounds, seconds=options.seconds)[0]
        except ExecutionError as error:
            print(f"  {found.name}: {error.what}", file=sys.stderr)
            failed = next(each for each in chosen if error.what.startswith(f"{each.name} failed"))
            if failed.name == "ours":
                raise
            chosen.remove(failed)


def row(found: Entry, batch: int, threads: int, laps: list[Lap]) -> tuple[str, float]:
    """A line of the table, and its ratio."""
    ours, *peers = [lap for lap in laps if lap.contestant != PROVIDER]
    best = min(peers, key=lambda lap: lap.median_s)
    ratio = best.median_s / ours.median_s
    medians = [statistics.median(calls) for calls in ours.rounds]
    spread = (max(medians) - min(medians)) / ours.median_s
    others = ", ".join(f"{lap.contestant} {lap.median_s / ours.median_s:.2f}" for lap in peers)
    medians_s = {lap.contestant: lap.median_s for lap in laps}
    through = f"{medians_s['OpenVINO'] / medians_s[PROVIDER]:.3f}" if medians_s.keys() >= {"OpenVINO", PROVIDER} else ""
    cells = (found.name, batch, threads, f"{ours.median_s * 1e3:.2f}", f"{100 * spread:.0f} %", f"{ratio:.3f}", others)
    cells += (through,)
    return f"| {' | '.join(map(str, cells))} |", ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=[found.name for found in ZOO])
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 8])
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="a turn of one runtime")
    parser.add_argument("--tuning-seconds", type=float, default=2.0, help="for each alternative")
    parser.add_argument("--compiled", action=argparse.BooleanOptionalAction, default=True, help="torch.compile too")
    parser.add_argument("--provider", action="store_true", help="ours by OpenVINO's execution provider too")
    parser.add_argument("--prepare", action="store_true", help="only make the files")
    options = parser.parse_args()
    install(SITE, *PACKAGES)
    if options.provider:
        install(PROVIDER_SITE, PROVIDER_PACKAGE)
    chosen = [found for found in ZOO if found.name in options.models]
    folders = {found.name: prepare(found) for found in chosen}
    if options.prepare:
        return
    versions = []
    sys.path += [str(SITE), str(PROVIDER_SITE)]
    for name in ("torch", "tensorflow-cpu", "onnxruntime", PROVIDER_PACKAGE, "openvino", "transload"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    print(f"{datetime.datetime.now(tz=datetime.UTC).date()}, {options.rounds} rounds, {', '.join(versions)}\n")
    print("| model | batch | threads | ours ms | spread | best peer / ours | each peer / ours | OpenVINO / provider |")
    print("|---|---|---|---|---|---|---|---|")
    ratios = []
    for found in chosen:
        for batch in options.batches:
            for threads in options.threads:
                folder = folders[found.name]
                tune(found, folder, batch, threads, options)
                line, ratio = row(found, batch, threads, measure(found, folder, batch, threads, options))
                ratios.append(ratio)
                print(line, flush=True)
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    print(f"\ngeometric mean {mean:.3f}, worst {min(ratios):.3f}")


if __name__ == "__main__":
    main()

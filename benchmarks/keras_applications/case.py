"""One model: saved, converted by tf2onnx and by transload, proven, and both graphs timed."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime

from transload.serialize import open_package

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "keras_applications"
OUTCOMES = Path(__file__).parent / "outcomes"
"""Kept with the code: all models together take longer than one sitting."""

LATENCY_CALLS = 40
LATENCY_S = 20.0
"""Both sessions together stop after this, however many calls there were."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of a model; seconds, bytes, and in `proof` what the proof says, or the error.

    `latency_ratio` is our fastest call beside tf2onnx's, on one thread, calls taking turns: on a shared machine the
    fastest call is what the graph takes.
    """

    name: str
    size: int
    weights_bytes: int
    proven: bool
    proof: str
    load_peak_bytes: int
    raw_peak_bytes: int
    ours_peak_bytes: int
    raw_ms: float
    ours_ms: float
    latency_ratio: float
    raw_error: str
    raw_cpu_s: float
    ours_cpu_s: float
    measured: str
    """The day, cores and versions."""

    @property
    def time_ratio(self) -> float:
        """Our processor time beside tf2onnx's, which other work on the machine hardly changes."""
        return self.ours_cpu_s / self.raw_cpu_s


@dataclass(frozen=True)
class Run:
    """One process: seconds of processors, its largest resident set, exit status, and what it printed.

    Its children count in seconds of processors and in the largest resident set.
    """

    cpu_s: float
    peak_bytes: int
    status: int
    output: str


def run_case(name: str) -> Outcome:
    """Measure one model; what it leaves on disk is removed, except for the outcome."""
    folder = BUILD / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        outcome = _run_case(name, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    (OUTCOMES / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(outcome)) + b"\n")
    return outcome


def _run_case(name: str, folder: Path) -> Outcome:
    saved, raw_file, package = folder / "saved_model", folder / "raw.onnx", folder / "m.tload"
    facts = json.loads(_demand(_python("-m", "benchmarks.keras_applications.models", name, str(saved))))
    load = _python("-c", f"import tensorflow as tf; tf.saved_model.load({str(saved)!r})")
    _demand(load)
    convert = ("-m", "tf2onnx.convert", "--saved-model", str(saved), "--output", str(raw_file), "--opset", "18")
    raw = _python(*convert)
    command = ("-m", "transload.cli", "convert", str(saved), "-o", str(package), "--json")
    ours = _python(*command, "--proof", "none")
    full = _python(*command, "--proof", "full") if ours.status == 0 else ours
    proven, proof = _read_proof(full, package)
    raw_error = _error(raw) or _error(_python("-c", f"import onnxruntime as o; o.InferenceSession({str(raw_file)!r})"))
    raw_ms, ours_ms, ratio = 0.0, 0.0, 0.0
    if not raw_error and ours.status == 0:
        raw_ms, ours_ms, ratio = _measure_latency(raw_file, package, folder, facts["size"])
    return Outcome(
        name,
        facts["size"],
        facts["weights_bytes"],
        proven,
        proof,
        load.peak_bytes,
        raw.peak_bytes,
        ours.peak_bytes,
        raw_ms,
        ours_ms,
        ratio,
        raw_error,
        raw.cpu_s,
        ours.cpu_s,
        _circumstances(),
    )


def _read_proof(full: Run, package: Path) -> tuple[bool, str]:
    """Whether the proof is complete, over a batch that may vary, and what it says."""
    if full.status:
        return False, json.loads(full.output)["error"]["message"].splitlines()[0]
    (component,) = open_package(package).component_names
    interface = open_package(package).interface(component)
    (image,) = interface.inputs.values()
    dynamic = isinstance(getattr(image, "shape", (None,))[0], str)
    unmoved = [note for note in interface.proof.notes if "hardly changed" in note]
    equal = [case for case in interface.proof.cases if case.result in ("equal", "noise")]
    error = max(case.max_abs_error for case in equal)
    text = f"{len(equal)} of {len(interface.proof.cases)} input sets agree, largest error {error:.1e}"
    return dynamic and not unmoved, text if dynamic else f"{text}; the batch is fixed"


def _error(run: Run) -> str:
    """What a run that failed printed last, without this checkout's folder; nothing where it did not fail."""
    return run.output.strip().splitlines()[-1].replace(f"{ROOT}/", "") if run.status else ""


def _circumstances() -> str:
    packages = ("tensorflow-cpu", "keras", "tf2onnx", "onnxruntime", "transload")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return f"{datetime.datetime.now(tz=datetime.UTC).date()}, {os.cpu_count()} cores, {versions}"


def _measure_latency(raw: Path, package: Path, folder: Path, size: int) -> tuple[float, float, float]:
    """Median milliseconds of tf2onnx's graph and of ours, and the ratio of the fastest calls."""
    _demand(_python("-m", "transload.cli", "unpack", str(package), "-o", str(folder / "unpacked")))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graphs = raw, next((folder / "unpacked").rglob("model.onnx"))
    sessions = [onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]) for path in graphs]
    image = np.random.default_rng(0).standard_normal((1, size, size, 3)).astype(np.float32)
    took: tuple[list[float], list[float]] = ([], [])
    began = time.perf_counter()
    for call in range(LATENCY_CALLS + 2):
        for session, seconds in zip(sessions, took, strict=True):
            start = time.perf_counter()
            session.run(None, {session.get_inputs()[0].name: image})
            seconds.append(time.perf_counter() - start)
        if call > 4 and time.perf_counter() - began > LATENCY_S:
            break
    theirs, ours = (seconds[2:] for seconds in took)
    return statistics.median(theirs) * 1e3, statistics.median(ours) * 1e3, min(ours) / min(theirs)


def _python(*arguments: str) -> Run:
    """Run Python to its end; peak memory is the largest process's."""
    log = BUILD / "output.txt"
    with log.open("w") as output, (BUILD / "errors.txt").open("w") as errors:
        process = subprocess.Popen([sys.executable, *arguments], stdout=output, stderr=errors, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text() or (BUILD / "errors.txt").read_text()
    return Run(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, process.returncode, text)


def _demand(run: Run) -> str:
    """What a run printed last.

    Raises:
        RuntimeError: it failed.
    """
    if run.status:
        raise RuntimeError(run.output)
    return run.output.strip().splitlines()[-1] if run.output.strip() else ""

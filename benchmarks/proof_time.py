"""What the full proof costs beside running the source: the table of docs/benchmarks.md.

    cd benchmarks && python proof_time.py

Each model is converted in this process with the proof, whose parts are timed: the source's runs, the package's, opening
its two sessions, and all the rest. The ratio is the proof without opening sessions over one run of the source for each
input set; the source's own run of each set is part of it.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models import BENCHMARKS, Benchmark

from transload.convert import selection
from transload.convert.capture import Array, Capture, Feed, Reference
from transload.convert.detect import detect_source
from transload.convert.equivalence.check import check_equivalence
from transload.convert.equivalence.evidence import Evidence
from transload.convert.equivalence.sides import LoadModel, Runner, load_for_check
from transload.convert.options import ConvertOptions, parse_input_spec
from transload.convert.pipeline import convert_source

BUILD = Path(__file__).resolve().parents[1] / "build" / "bench"


class Clock:
    """Seconds and calls by what they were spent on, and the seconds of the source's first run of each input set."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.first_runs: dict[int, float] = {}

    @contextmanager
    def measure(self, what: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - start
            self.calls[what] += 1


@dataclass(frozen=True)
class TimedReference:
    """The source, timed."""

    reference: Reference
    clock: Clock

    def run(self, feed: Feed) -> dict[str, Array]:
        start = time.perf_counter()
        with self.clock.measure("source"):
            outputs = self.reference.run(feed)
        content = hash(tuple((name, array.shape, array.tobytes()) for name, array in feed.items()))
        self.clock.first_runs.setdefault(content, time.perf_counter() - start)
        return outputs

    def run_float64(self, feed: Feed) -> dict[str, Array] | None:
        with self.clock.measure("float64"):
            return self.reference.run_float64(feed)


@dataclass(frozen=True)
class TimedRunner:
    """The package, timed."""

    runner: Runner
    clock: Clock
    what: str

    def run(self, output_names: Sequence[str] | None, feed: Feed, /) -> list[Array]:
        with self.clock.measure(self.what):
            return self.runner.run(output_names, feed)


def measure_proof(source: str, inputs: Sequence[str]) -> tuple[Clock, Evidence]:
    """Convert a source with the full proof."""
    clock = Clock()
    found: list[Evidence] = []

    def load(path: Path, component: str, optimize: bool) -> Runner:
        with clock.measure("sessions"):
            return TimedRunner(load_for_check(path, component, optimize), clock, "on" if optimize else "off")

    def check(capture: Capture, path: Path, options: ConvertOptions, *, load_model: LoadModel = load) -> Evidence:
        with clock.measure("proof"):
            timed = replace(capture, reference=TimedReference(capture.reference, clock))
            found.append(check_equivalence(timed, path, options, load_model=load_model))
        return found[-1]

    original: Callable[..., Any] = selection.check_equivalence
    selection.check_equivalence = check
    try:
        convert_source(detect_source(source), ConvertOptions(inputs=tuple(map(parse_input_spec, inputs))))
    finally:
        selection.check_equivalence = original
    return clock, found[-1]


def write_row(benchmark: Benchmark) -> str:
    """One row of the table."""
    source = benchmark.source
    if benchmark.make is not None:
        path = BUILD / benchmark.source
        if not path.exists():
            benchmark.make(path)
        source = str(path)
    clock, evidence = measure_proof(source, benchmark.inputs)
    seconds, sets = clock.seconds, len(evidence.proof.cases)
    once = sum(clock.first_runs.values())
    added = seconds["proof"] - seconds["sessions"]
    rest = added - seconds["source"] - seconds["float64"] - seconds["off"] - seconds["on"]
    parts = [seconds[what] for what in ("source", "float64", "off", "on")]
    calls = [clock.calls[what] for what in ("source", "float64", "off", "on")]
    cells = [benchmark.title, benchmark.kind, str(sets), f"{once:.1f}", f"{seconds['sessions']:.1f}"]
    cells += [f"{part:.1f} ({count})" for part, count in zip(parts, calls, strict=True)]
    return f"| {' | '.join(cells)} | {rest:.1f} | {added:.1f} | {added / once:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("titles", nargs="*", help="the beginnings of the models' titles (default: all)")
    titles = tuple(parser.parse_args().titles)
    BUILD.mkdir(parents=True, exist_ok=True)
    packages = ("torch", "tensorflow-cpu", "onnxruntime", "transload")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    print(f"{datetime.datetime.now(tz=datetime.UTC).date()}, {os.cpu_count()} cores, {versions}\n")
    print(
        "| model | source | sets | once s | sessions s | source s | float64 s | off s | on s | rest s | proof s |"
        " ratio |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for benchmark in BENCHMARKS:
        if not titles or benchmark.title.startswith(titles):
            print(write_row(benchmark), flush=True)
    print(f"\npeak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")


if __name__ == "__main__":
    main()

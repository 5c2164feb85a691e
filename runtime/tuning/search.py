"""Finding the fastest configuration: each alternative beside the best so far, in turns, and only if it is right."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort

from transload.runtime.comparison import compare_outputs, format_rows
from transload.runtime.configuration import Configuration, provider_list, session_options
from transload.runtime.session import open_session, runtime_errors
from transload.serialize.errors import ExecutionError, MismatchError, UnsupportedError
from transload.serialize.interface import Tolerance
from transload.serialize.platform import count_cpus

Array = np.ndarray[Any, Any]

MARGIN = 0.98
"""An alternative must take less than this part of the best one's time: what differs by less is noise."""

BLOCKS = 5
SETTLE_S = 0.003
"""A pause between sessions: ONNX Runtime's threads go on spinning after a call and would slow the next session."""

KNOWN_PROVIDERS = ("OpenVINOExecutionProvider", "DnnlExecutionProvider")
"""Providers for the CPU that are worth a try where this build of ONNX Runtime has them."""


@dataclass(frozen=True)
class Graph:
    """A graph that may be run: the portable one, or what a set of passes made of it.

    `opens_sooner` says that its weights need not be packed for the kernels whenever a session is created.
    """

    model: bytes
    folder: Path
    opens_sooner: bool = False


@dataclass(frozen=True)
class Check:
    """What a configuration must give: inputs and the right outputs, with tolerances by output name."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    tolerances: Mapping[str, Tolerance]


@dataclass(frozen=True)
class Trial:
    """One alternative: `ratio` is its time by the best one's so far; `reason` says why it could not be taken."""

    configuration: Configuration
    ratio: float
    taken: bool
    reason: str = ""


@dataclass(frozen=True)
class TuningReport:
    """What came out: the best configuration, what was tried, and both medians in one run, in seconds."""

    best: Configuration
    trials: tuple[Trial, ...]
    baseline_s: float
    best_s: float


def find_fastest(
    graphs: Mapping[str, Graph],
    checks: Sequence[Check],
    *,
    inputs: Mapping[str, Array] | None = None,
    threads: int | None = None,
    seconds_per_trial: float = 2.0,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> TuningReport:
    """Go through the dimensions of a configuration one by one, and keep what makes the model faster.

    Args:
        graphs: The graphs by name; `portable` is one of them.
        checks: Every one must pass.
        inputs: What is timed; None takes the first check's.
        threads: Intra-op threads that are given; None tries several.
        seconds_per_trial: How long to measure an alternative.
        on_trial: Called after each.

    Raises:
        MismatchError: the portable graph itself does not pass.
        UnsupportedError, ExecutionError: ONNX Runtime refuses the portable graph.
    """
    feed = checks[0].inputs if inputs is None else inputs
    start = Configuration(threads or 0)
    best, session = start, open_graph(graphs, start)
    if reason := find_difference(session, checks):
        raise MismatchError("The package does not give the recorded outputs on this machine.", report=(reason,))
    trials: list[Trial] = []
    for step in _steps(graphs, threads):
        for change in step:
            candidate = msgspec.structs.replace(best, **change)
            if candidate == best:
                continue
            trial, other = _try(graphs, candidate, (best, session), checks, feed, seconds_per_trial)
            if trial.taken:
                best, session = candidate, other
            trials.append(trial)
            on_trial(trial)
    blocks = measure_blocks((open_graph(graphs, start), session), feed, 2 * seconds_per_trial)
    baseline_s, best_s = (statistics.median(medians) for medians in blocks)
    if best_s > baseline_s * (1 / MARGIN if graphs[best.graph].opens_sooner else 1):
        # The steps were each a gain, their sum is none: nothing is better than the default.
        best, best_s = start, baseline_s
    return TuningReport(best, tuple(trials), baseline_s, best_s)


def open_graph(graphs: Mapping[str, Graph], configuration: Configuration) -> ort.InferenceSession:
    """A session for a configuration."""
    graph = graphs[configuration.graph]
    options = session_options(configuration, str(graph.folder))
    return open_session(graph.model, options, provider_list(configuration), f"graph {configuration.graph!r}")


def find_difference(session: ort.InferenceSession, checks: Sequence[Check]) -> str:
    """The first difference between a session's outputs and the right ones, as text; '' where there is none.

    Raises:
        ExecutionError: ONNX Runtime failed.
    """
    for check in checks:
        names = list(check.outputs)
        with runtime_errors("a configuration that was tried"):
            ours = dict(zip(names, session.run(names, dict(check.inputs)), strict=True))
        rows = compare_outputs(ours, check.outputs, check.tolerances)
        if missed := tuple(row for row in rows if not row.passed):
            return format_rows(missed)[0]
    return ""


def measure_blocks(
    sessions: Sequence[ort.InferenceSession], inputs: Mapping[str, Array], seconds: float
) -> list[list[float]]:
    """For each session, the median seconds of a call in each of `BLOCKS` blocks.

    The sessions take turns block by block; the first call of each block is not counted.
    """
    feed = dict(inputs)
    start = time.perf_counter()
    for session in sessions:
        session.run(None, feed)
    one_call = (time.perf_counter() - start) / len(sessions)
    calls = max(2, int(seconds / (BLOCKS * len(sessions) * max(one_call, 1e-6))))
    blocks: list[list[float]] = [[] for _ in sessions]
    for _ in range(BLOCKS):
        for session, medians in zip(sessions, blocks, strict=True):
            time.sleep(SETTLE_S)
            session.run(None, feed)
            took = []
            for _ in range(calls):
                began = time.perf_counter()
                session.run(None, feed)
                took.append(time.perf_counter() - began)
            medians.append(statistics.median(took))
    return blocks


def _steps(graphs: Mapping[str, Graph], threads: int | None) -> Iterator[list[dict[str, Any]]]:
    """The values to try, one list for each dimension, the most telling first."""
    providers = [name for name in KNOWN_PROVIDERS if name in ort.get_available_providers()]
    cpus = count_cpus()
    yield [{"graph": name} for name in graphs]
    yield [{"level": level} for level in ("extended", "basic")]
    if threads is None:
        # Below the number of processors too: small models lose more by waiting for threads than they win.
        yield [{"threads": count} for count in sorted({1, max(1, cpus // 2), cpus})]
    yield [{"arena": False}]
    yield [{"flush_to_zero": True}]
    yield [{"prepack": False}]
    # Providers that compile graphs take some better as they are, some as ONNX Runtime fuses them.
    levels = ("all", "disable")
    yield [{"provider": name, "level": level, "graph": "portable"} for name in providers for level in levels]


def _try(
    graphs: Mapping[str, Graph],
    candidate: Configuration,
    best: tuple[Configuration, ort.InferenceSession],
    checks: Sequence[Check],
    inputs: Mapping[str, Array],
    seconds: float,
) -> tuple[Trial, ort.InferenceSession]:
    try:
        session = open_graph(graphs, candidate)
        reason = find_difference(session, checks)
    except (ExecutionError, UnsupportedError) as error:
        return Trial(candidate, float("nan"), False, error.what.splitlines()[0]), best[1]
    if reason:
        return Trial(candidate, float("nan"), False, reason), session
    theirs, ours = measure_blocks((best[1], session), inputs, seconds)
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    ratio = statistics.median(ratios)
    # Faster in all blocks but one, too: a neighbour's burst of work must not decide.
    is_faster = ratio < MARGIN and sum(each < 1 for each in ratios) >= BLOCKS - 1
    # What opens sooner, and takes half the room, need only be as fast.
    opens_sooner = graphs[candidate.graph].opens_sooner and not graphs[best[0].graph].opens_sooner
    return Trial(candidate, ratio, is_faster or (opens_sooner and ratio < 1 / MARGIN)), session

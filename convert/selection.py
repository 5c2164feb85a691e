"""Choosing among the ways to capture a callable: the first whose capture is proven, or the fastest of those."""

from __future__ import annotations

import dataclasses
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from transload.convert.capture import Alternatives, Capture
from transload.convert.equivalence.evidence import Evidence, without_proof
from transload.convert.error_lines import first_line
from transload.convert.options import ConvertOptions
from transload.convert.passes import PassReport, find_unsupported, run_passes
from transload.serialize import Component, Package
from transload.serialize.errors import (
    ExecutionError,
    MismatchError,
    TransloadError,
    UnsupportedError,
    UnsupportedOperation,
)
from transload.serialize.interface import Interface, Proof

OnStage = Callable[[str], None]
MakeInterface = Callable[[Capture], Interface]

ROUNDS = 5
"""How often each proven capture is run when the fastest is asked for."""


@dataclass(frozen=True)
class Proven:
    """A capture after the passes, what these had to say, and the evidence that it is right."""

    capture: Capture
    notes: tuple[str, ...]
    evidence: Evidence


def prove(
    captures: Sequence[Capture], make_interface: MakeInterface, options: ConvertOptions, on_stage: OnStage
) -> list[Proven]:
    """Take captures through passes and equivalence, inside one package on disk, which is what will be loaded later.

    Raises:
        UnsupportedError: operations that are not ONNX's own are left in a graph; all are listed.
        MismatchError: source and package do not give the same outputs.
    """
    reports = _run_passes(captures, options, on_stage)
    on_stage("equivalence")
    with tempfile.TemporaryDirectory(prefix="transload-") as scratch:
        path = Path(scratch) / "scratch.tload"
        if options.proof == "none":
            evidence = [without_proof(capture, options) for capture in captures]
        else:
            # Here and below: what runs graphs is imported where one is run. ONNX Runtime alone takes 18 MB.
            from transload.convert.equivalence.check import check_equivalence

            _save(captures, make_interface, path)
            evidence = [check_equivalence(capture, path, options) for capture in captures]
    return [Proven(*each) for each in zip(captures, (report.notes for report in reports), evidence, strict=True)]


def _run_passes(captures: Sequence[Capture], options: ConvertOptions, on_stage: OnStage) -> list[PassReport]:
    on_stage("passes")
    reports = [run_passes(capture.model, frozenset(each.input.name for each in capture.state)) for capture in captures]
    with_libraries = bool(options.libraries)
    if unsupported := tuple(
        operation for report in reports for operation in find_unsupported(report.model, with_libraries=with_libraries)
    ):
        raise UnsupportedError(
            f"The captured graph holds {len(unsupported)} operations that are not ONNX's own.", operations=unsupported
        )
    return reports


def choose(
    alternatives: Alternatives, make_interface: MakeInterface, options: ConvertOptions, on_stage: OnStage
) -> Proven:
    """The first way that is proven with all dimensions; else the one proven with the most of them.

    With `options.proof` at `none` ways are still told apart by a quick check, which is not called a proof. With
    `options.select` at `fastest` every way is tried, and of those that keep the most dimensions the one that runs the
    example fastest is taken.

    Raises:
        UnsupportedError, MismatchError: no way gives the source's answers; what was wrong with each is listed.
    """
    failures: dict[str, TransloadError] = {}
    found: list[Proven] = []
    for way, capture in alternatives.ways.items():
        on_stage("capture")
        try:
            made = _capture(way, capture)
            if options.proof == "none":
                proven = _tell_apart(made, make_interface, options, on_stage)
            else:
                [proven] = prove([made], make_interface, options, on_stage)
        except (UnsupportedError, MismatchError, ExecutionError) as error:
            failures[way] = error
            continue
        found.append(proven)
        if options.select == "first" and _free(proven) >= alternatives.dimensions:
            break
    if not found:
        raise _no_way(failures)
    most = max(_rank(each, alternatives) for each in found)
    best = [each for each in found if _rank(each, alternatives) == most]
    times = _measure(best, make_interface, options) if options.select == "fastest" and len(best) > 1 else {}
    chosen = min(best, key=lambda each: times.get(each.capture.way, 0.0))
    notes = (
        f"Captured by way of {chosen.capture.way}.",
        *(f"By way of {way}: {describe_failure(error)}" for way, error in failures.items()),
        *(_describe_fewer(each, alternatives) for each in found if each not in best),
        *(f"By way of {way} the example takes {seconds * 1e3:.2f} ms." for way, seconds in times.items()),
    )
    return Proven(chosen.capture, (*notes, *chosen.notes), chosen.evidence)


def _tell_apart(capture: Capture, make_interface: MakeInterface, options: ConvertOptions, on_stage: OnStage) -> Proven:
    """As `prove`, where no proof was asked for: the graph runs over the memory of the source's own weights.

    Raises:
        UnsupportedError, MismatchError: as `prove`.
    """
    from transload.convert.equivalence.borrowed_weights import open_graph
    from transload.convert.equivalence.check import check_equivalence

    [report] = _run_passes([capture], options, on_stage)
    on_stage("equivalence")
    runner = open_graph(capture, make_interface(capture), options.libraries)
    checking = dataclasses.replace(options, proof="quick")
    evidence = check_equivalence(capture, Path(), checking, load_model=lambda path, component, optimize: runner)
    return Proven(capture, report.notes, Evidence(Proof("none"), dynamic=evidence.dynamic, steps=evidence.steps))


def first_capture(alternatives: Alternatives) -> Capture:
    """What the first way gives that is open; nobody knows whether it is right.

    Raises:
        UnsupportedError: none is open.
    """
    failures: dict[str, TransloadError] = {}
    for way, capture in alternatives.ways.items():
        try:
            return _capture(way, capture)
        except UnsupportedError as error:
            failures[way] = error
    raise _no_way(failures)


def describe_failure(error: TransloadError) -> str:
    """What was wrong with a way, in one line that is the same in every run: without addresses of objects."""
    details = error.details()
    text = re.sub(r" at 0x[0-9a-f]+", "", " ".join(error.what.split()))
    if details:
        text += f" {details[0].strip()}" + (f" (and {len(details) - 1} more)" if len(details) > 1 else "")
    return f"{text} ({error.where})" if error.where else text


def _capture(way: str, capture: Callable[[], Capture]) -> Capture:
    """What a way gives. Whatever it fails with says that this way is closed, not that the others are.

    Raises:
        UnsupportedError: the way is closed.
    """
    try:
        return dataclasses.replace(capture(), way=way)
    except (UnsupportedError, MemoryError):
        raise
    except TransloadError as error:
        raise UnsupportedError(error.what, where=error.where, hint=error.hint) from error
    except Exception as error:
        raise UnsupportedError(f"{type(error).__name__}: {first_line(error)}") from error


def _save(captures: Sequence[Capture], make_interface: MakeInterface, path: Path) -> None:
    components = (Component(each.component, make_interface(each), each.model) for each in captures)
    Package("scratch", tuple(components)).save(path)


def _free(proven: Proven) -> frozenset[str]:
    """The dimensions that take every size."""
    return proven.evidence.dynamic - proven.evidence.steps.keys()


def _rank(proven: Proven, alternatives: Alternatives) -> tuple[int, int]:
    """How many dimensions it keeps; of these, how many take every size."""
    return len(proven.evidence.dynamic & alternatives.dimensions), len(_free(proven) & alternatives.dimensions)


def _describe_fewer(proven: Proven, alternatives: Alternatives) -> str:
    fixed = alternatives.dimensions - proven.evidence.dynamic
    stepped = alternatives.dimensions - _free(proven) - fixed
    lacks = {"not dynamic": fixed, "in steps only": stepped}
    said = "; ".join(f"{lack}: {', '.join(sorted(names))}" for lack, names in lacks.items() if names)
    return f"By way of {proven.capture.way}: {said}."


def _measure(candidates: list[Proven], make_interface: MakeInterface, options: ConvertOptions) -> dict[str, float]:
    """The shortest time of each for its example, in seconds; the candidates take turns."""
    from transload.runtime.model import load

    with tempfile.TemporaryDirectory(prefix="transload-") as scratch:
        models = {}
        for each in candidates:
            path = Path(scratch) / f"{each.capture.way.replace(' ', '_')}.tload"
            _save([each.capture], make_interface, path)
            model = load(path, each.capture.component, device="cpu", libraries=options.libraries)
            models[each.capture.way] = model, each.capture.example
        times = dict.fromkeys(models, float("inf"))
        for _ in range(ROUNDS + 1):
            for way, (model, example) in models.items():
                start = time.perf_counter()
                model.run(None, example)
                times[way] = min(times[way], time.perf_counter() - start)
        return times


def _no_way(failures: dict[str, TransloadError]) -> TransloadError:
    """One error for all ways: what they differ in where one came as far as to be compared, else what they lack."""
    if len(failures) == 1:
        return next(iter(failures.values()))
    lines = tuple(f"{way}: {describe_failure(error)}" for way, error in failures.items())
    differing = [error for error in failures.values() if isinstance(error, MismatchError)]
    if differing:
        first = differing[0]
        return MismatchError(first.what, report=(*first.report, *lines), where=first.where, hint=first.hint)
    operations = tuple(
        dataclasses.replace(operation, reason=f"{way}: {operation.reason}" if operation.reason else way)
        for way, error in failures.items()
        for operation in getattr(error, "operations", ())
    )
    rows = tuple(
        UnsupportedOperation(way, error.where, error.what)
        for way, error in failures.items()
        if not getattr(error, "operations", ())
    )
    return UnsupportedError(
        "The module cannot be captured in any way.",
        operations=(*operations, *rows),
        hint="Change these lines, or convert a TorchScript file of the module.",
    )

"""The equivalence check of one component: the whole of what NUMERICS.md asks, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from transload.convert.capture import Array, Capture
from transload.convert.equivalence.branches import Coverage, search_inputs, watch_branches
from transload.convert.equivalence.case import Checked, check_inputs, check_repetition
from transload.convert.equivalence.dimensions import find_variables
from transload.convert.equivalence.dynamic_check import DynamicEvidence, check_dimensions
from transload.convert.equivalence.evidence import Evidence, without_proof
from transload.convert.equivalence.inputs import InputSet, Sampler, choose_inputs, plan_samplers
from transload.convert.equivalence.response import describe_unmoved, find_responding
from transload.convert.equivalence.sides import LoadModel, Sides, load_for_check, open_sides
from transload.convert.options import ConvertOptions
from transload.runtime.comparison import NOISE_FACTOR
from transload.serialize import VectorSet
from transload.serialize.dtypes import FLOATS, dtype_from_numpy
from transload.serialize.errors import UsageError
from transload.serialize.interface import Case, Proof, Tolerance

VECTOR_LIMIT_BYTES = 4 << 20
"""Vectors beyond the first are left out when all would be larger together."""


def check_equivalence(
    capture: Capture, package_path: Path, options: ConvertOptions, *, load_model: LoadModel | None = None
) -> Evidence:
    """Gather the evidence that a component of a package gives what its source gives.

    `options.proof` says how much: `full` tries everything; `quick` the example, one seed and one other size; `none`
    nothing, and every dimension counts as dynamic that is declared so.

    Args:
        capture: The source, and the graph after the passes.
        package_path: The package that holds the graph.
        options: Proof level, tolerances, seed, and which dimensions the user asked for.
        load_model: How a component is loaded, if not by `load_for_check`.

    Raises:
        MismatchError: source and package differ, or a dimension for which the user asked is frozen.
        UsageError: the source takes none of the inputs that were tried.
    """
    if options.proof == "none":
        return without_proof(capture, options)
    variables = find_variables(capture, options)
    quick = options.proof == "quick"
    load_model = load_model or partial(load_for_check, libraries=options.libraries)
    sides = open_sides(capture, package_path, options, load_model)
    example = _check_example(sides)
    check_repetition(sides, example, "at once")
    samplers = plan_samplers(capture)
    sized = check_dimensions(sides, samplers, variables, options.seed, quick=quick)
    candidates = [example, *_within_limit(sized.checked)]
    cases = [example.case, *(item.case for item in sized.checked)]
    responding: set[str] = set()
    coverage = None if quick else watch_branches(capture.model)
    in_turn = _check_in_turn(sides, samplers, options.seed, coverage, [example, *sized.checked])
    for item in islice(in_turn, 1 if quick else None):
        cases.append(item.case)
        responding |= find_responding(example.source, item.source, sides.tolerances)
        candidates += _within_limit((item,))
    check_repetition(sides, example, "after other input sets")
    if len(cases) > 1 and all(case.result == "undefined" for case in cases[1:]):
        raise UsageError(
            "The source takes no other input set than the example, so nothing shows that they are the same model.",
            where="; ".join(f"{case.name}: {case.note}" for case in cases[1:4]),
            hint="Give an example from which others can be made with --example FILE.npz.",
        )
    chosen = _choose_vectors(candidates)
    unmoved = describe_unmoved(name for name in example.source if name not in responding)
    reached = (coverage.summary(), *coverage.missing()) if coverage else ()
    proof = Proof(options.proof, tuple(cases), (*_write_notes(cases, sized), *unmoved, *reached))
    vectors = tuple(VectorSet(item.feed, item.source) for item in chosen)
    return Evidence(proof, vectors, sized.dynamic, sized.steps, _widen_tolerances(sides, chosen))


def _check_example(sides: Sides) -> Checked:
    example = check_inputs(sides, InputSet("example", dict(sides.capture.example)))
    if not example.source:
        raise UsageError(
            "The source refuses the example inputs.",
            where=example.case.note,
            hint="Give inputs that it takes with --example FILE.npz.",
        )
    return example


def _check_in_turn(
    sides: Sides, samplers: tuple[Sampler, ...], seed: int, coverage: Coverage | None, before: list[Checked]
) -> Iterator[Checked]:
    """The chosen sets, then those that reach branches which none before reached; all checked."""
    for item in before:
        _visit(coverage, item)
    for inputs in choose_inputs(sides.capture, samplers, seed):
        item = check_inputs(sides, inputs)
        _visit(coverage, item)
        yield item
    for inputs in search_inputs(coverage, samplers, seed) if coverage else ():
        item = check_inputs(sides, inputs)
        _visit(coverage, item)
        yield item


def _visit(coverage: Coverage | None, item: Checked) -> None:
    # Only what the source took: an integer division by zero, for one, would end the process. And only what was
    # compared: an arm that ran on values that drown in noise was not tried.
    if coverage and item.is_defined:
        coverage.visit(item.feed)


def _within_limit(checked: tuple[Checked, ...]) -> list[Checked]:
    """The sets that may become vectors; the outputs of others are not kept."""
    return [item for item in checked if item.is_defined and _size_bytes(item) <= VECTOR_LIMIT_BYTES]


def _size_bytes(item: Checked) -> int:
    arrays: list[Array] = [*item.feed.values(), *item.source.values()]
    return sum(array.nbytes for array in arrays)


def _choose_vectors(candidates: list[Checked]) -> list[Checked]:
    """The example and one other size; other sets where these agree only within noise, which a replay cannot judge."""
    candidates = [item for item in candidates if not _is_step_off(item)]
    if not candidates:
        return []
    example = candidates[0]
    equal = [item for item in candidates if item.case.result == "equal"]
    first = example if example in equal or not equal else equal[0]
    others = [item for item in equal if item is not first]
    unlike = [item for item in others if _shapes(item) != _shapes(first)]
    second = next(iter([*unlike, *others]), None)
    if second is None or _size_bytes(first) + _size_bytes(second) > VECTOR_LIMIT_BYTES:
        return [first]
    return [first, second]


def _is_step_off(item: Checked) -> bool:
    """Whether integers differ within the rule for quantized outputs, which a replay does not know."""
    return any(row.by_noise and dtype_from_numpy(item.source[row.name].dtype) not in FLOATS for row in item.rows)


def _shapes(item: Checked) -> list[tuple[int, ...]]:
    return [array.shape for array in item.feed.values()]


def _widen_tolerances(sides: Sides, chosen: list[Checked]) -> dict[str, Tolerance]:
    wider: dict[str, Tolerance] = {}
    for item in chosen:
        for row in item.rows:
            if row.by_noise:
                bound = sides.tolerances[row.name]
                noise = max(wider.get(row.name, bound).noise, NOISE_FACTOR * row.noise)
                wider[row.name] = Tolerance(rtol=bound.rtol, atol=bound.atol, noise=noise)
    return wider


def _write_notes(cases: list[Case], sized: DynamicEvidence) -> tuple[str, ...]:
    notes = list(sized.notes)
    noisy = [case.name for case in cases if case.result == "noise"]
    if noisy:
        notes.append(
            f"On {len(noisy)} of {len(cases)} input sets the package is outside the tolerance but as near the truth as "
            f"the source is: {', '.join(noisy)}."
        )
    undefined = [case.name for case in cases if case.result == "undefined"]
    if undefined:
        notes.append(
            f"On {len(undefined)} of {len(cases)} input sets the source has no defined answer: {', '.join(undefined)}."
        )
    return tuple(notes)

"""Comparing two models on every input set that the equivalence check would try, to the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from transload.convert.capture import Array
from transload.convert.compare.errors import spread_errors
from transload.convert.compare.models import Opened, describe_inputs, knows_its_inputs, open_models
from transload.convert.compare.pairing import Pair, pair_models
from transload.convert.compare.result import ComparedComponent, ComparedModel, ComparedOutput, ComparedSet, Comparison
from transload.convert.equivalence.branches import Coverage, search_inputs, watch_branches
from transload.convert.equivalence.case import Checked, check_repetition, judge_inputs
from transload.convert.equivalence.dimensions import Variable, find_variables
from transload.convert.equivalence.dynamic_check import check_dimensions
from transload.convert.equivalence.inputs import InputSet, choose_inputs, plan_samplers
from transload.convert.equivalence.response import describe_unmoved, find_responding
from transload.convert.equivalence.sides import Sides
from transload.convert.options import ConvertOptions, InputSpec
from transload.serialize.dtypes import dtype_from_numpy
from transload.serialize.errors import MismatchError, UsageError
from transload.serialize.interface import Case

OnStage = Callable[[str], None]


def compare_models(
    reference: str,
    ours: str,
    options: ConvertOptions,
    inputs: Sequence[Mapping[str, Array]] = (),
    on_stage: OnStage = lambda stage: None,
) -> Comparison:
    """Compare two models; differences are in the result, not raised.

    Args:
        reference: The model that counts as right: a path, or the name of a module factory.
        ours: The model that is compared with it.
        options: How to open both.
        inputs: Input sets of the user's own, by the names of either model's inputs; the first is the example.
        on_stage: Called with `open` and `compare` as each begins.

    Raises:
        UsageError: a model cannot be run with what is known of its inputs, or their components do not pair.
        SourceError, PackageError, UnsupportedError: a model cannot be opened.
    """
    began = time.monotonic()
    on_stage("open")
    theirs, own = _open_both(
        reference, ours, replace(options, example=inputs[0] if inputs else None, may_lack_graph=True)
    )
    on_stage("compare")
    components = tuple(_compare_component(a, b, options, inputs) for a, b in _pair_components(theirs, own))
    return Comparison(
        ComparedModel(reference, theirs[0].kind, theirs[0].engine),
        ComparedModel(ours, own[0].kind, own[0].engine),
        components,
        time.monotonic() - began,
    )


def _open_both(reference: str, ours: str, options: ConvertOptions) -> tuple[list[Opened], list[Opened]]:
    """Both models. One that does not know its inputs is told those of the other, unless the user described them."""
    names = sorted((reference, ours), key=lambda name: not knows_its_inputs(name, options))
    first = _open(names[0], options, None)
    specs = () if options.inputs or not first[0].is_graph else describe_inputs(first[0])
    second = _open(names[1], options, specs)
    return (first, second) if names[0] == reference else (second, first)


def _open(name: str, options: ConvertOptions, other: tuple[InputSpec, ...] | None) -> list[Opened]:
    """A model, with the user's example where that is meant for it: its names may be those of the other model.

    `other` describes the other model's inputs, None where this model is the first to be opened.
    """
    knows = knows_its_inputs(name, options)
    ways = [options] if options.example is not None else []
    if knows:
        ways.append(replace(options, inputs=(), example=None))
    elif other:
        ways.append(replace(options, inputs=other, example=None))
    refusal: UsageError | None = None
    for way in ways or [options]:
        try:
            return open_models(name, way)
        except UsageError as error:
            refusal = refusal or error
    assert refusal is not None
    if knows or not other:
        raise refusal
    raise UsageError(
        f"{name} does not know its inputs, and those of the other model do not fit: {refusal.what}",
        where=refusal.where,
        hint="Describe them with --input NAME:DTYPE[DIMS] under the names that the framework has for them.",
    ) from refusal


def _pair_components(theirs: list[Opened], own: list[Opened]) -> list[tuple[Opened, Opened]]:
    if len(theirs) == len(own) == 1:
        return [(theirs[0], own[0])]
    by_name = {each.capture.component: each for each in own}
    names = [each.capture.component for each in theirs]
    if set(names) != set(by_name):
        raise UsageError(
            f"The models have other components: {', '.join(names)} and {', '.join(by_name)}.",
            hint="Name one with --method or --signature.",
        )
    return [(each, by_name[each.capture.component]) for each in theirs]


def _compare_component(
    theirs: Opened, own: Opened, options: ConvertOptions, inputs: Sequence[Mapping[str, Array]]
) -> ComparedComponent:
    names = theirs.capture.component, own.capture.component
    try:
        pair = pair_models(theirs, own, options)
    except MismatchError as error:
        return ComparedComponent(*names, problem=" ".join((error.what, *error.report)))
    run = _Comparer(pair, options, inputs)
    sets = tuple(_describe_set(pair.sides, item) for item in run.check())
    if all(each.case.result == "undefined" for each in sets):
        raise UsageError(
            f"{theirs.engine} has a defined answer for none of the input sets, so nothing was compared.",
            where="; ".join(f"{each.case.name}: {each.case.note}" for each in sets[:3]),
            hint="Give inputs that it takes with --inputs FILE.npz.",
        )
    return ComparedComponent(
        *names,
        sets=sets,
        inputs=pair.inputs,
        outputs=pair.outputs,
        sizes=run.sizes(),
        branches=tuple(run.coverage.reached()) if run.coverage else (),
        notes=(*pair.notes, *run.notes),
        blame=next((item.case.note for item in sets if not item.passed), ""),
    )


class _Comparer:
    """Runs the input sets of one pair, one after the other, and keeps what the summary needs."""

    def __init__(self, pair: Pair, options: ConvertOptions, inputs: Sequence[Mapping[str, Array]]) -> None:
        self.sides = pair.sides
        self.capture = pair.sides.capture
        self.own_inputs = [_rename_inputs(pair, each) for each in inputs]
        if self.own_inputs:
            self.capture = replace(self.capture, example=self.capture.example | self.own_inputs[0])
            self.sides = replace(self.sides, capture=self.capture)
        self.options = options
        self.variables = find_variables(self.capture, replace(options, inputs=()))
        self.coverage: Coverage | None = None if options.proof == "quick" else watch_branches(self.capture.model)
        self.notes: list[str] = []
        self._responding: set[str] = set()
        self._example: Checked | None = None
        self._shapes: list[Mapping[str, tuple[int, ...]]] = []

    def check(self) -> Iterator[Checked]:
        """Every input set, judged; those with an error too."""
        for item in self._judged():
            self._shapes.append({name: array.shape for name, array in item.feed.items()})
            if self._example is None:
                self._example = item
            elif item.source and self._example.source:
                self._responding |= find_responding(self._example.source, item.source, self.sides.tolerances)
            if self.coverage and item.source and item.case.result != "undefined":
                self.coverage.visit(item.feed)
            yield item
        if self._example and self._example.source and self.options.proof != "none":
            self.notes += describe_unmoved(name for name in self._example.source if name not in self._responding)

    def sizes(self) -> dict[str, tuple[int, ...]]:
        """The sizes of each dimension that may vary over all sets, the example's first."""
        return {
            variable.label: tuple(dict.fromkeys(_size(variable, shapes) for shapes in self._shapes))
            for variable in self.variables
        }

    def _judged(self) -> Iterator[Checked]:
        seed, quick = self.options.seed, self.options.proof == "quick"
        example = judge_inputs(self.sides, InputSet("example", dict(self.capture.example)))
        yield example
        for number, feed in enumerate(self.own_inputs[1:], 2):
            yield judge_inputs(self.sides, InputSet(f"inputs {number}", self.capture.example | feed))
        if self.options.proof == "none":
            return
        if example.package:
            yield from self._repeated(example)
        samplers = plan_samplers(self.capture)
        sized = check_dimensions(self.sides, samplers, self.variables, seed, quick=quick)
        yield from (*sized.checked, *sized.differing)
        for inputs in islice(choose_inputs(self.capture, samplers, seed), 1 if quick else None):
            yield judge_inputs(self.sides, inputs)
        for inputs in search_inputs(self.coverage, samplers, seed) if self.coverage else ():
            yield judge_inputs(self.sides, inputs)

    def _repeated(self, example: Checked) -> Iterator[Checked]:
        try:
            check_repetition(self.sides, example, "at once")
        except MismatchError as error:
            case = Case("example, again", "differs", note=error.what)
            yield Checked(case, example.feed, example.source, error=error)


def _size(variable: Variable, shapes: Mapping[str, tuple[int, ...]]) -> int:
    place = variable.places[0]
    return shapes[place.tensor][place.axis]


def _rename_inputs(pair: Pair, feed: Mapping[str, Array]) -> dict[str, Array]:
    """The user's arrays under the names of the check.

    Raises:
        UsageError: a name is neither model's.
    """
    canonical = {leaf.name for leaf in pair.sides.capture.input_leaves()}
    known = {name: name for name in canonical}
    for match in pair.inputs:
        name = match.ours if match.ours in canonical else match.reference
        known |= {match.ours: name, match.reference: name}
    if unknown := sorted(set(feed) - set(known)):
        raise UsageError(f"Neither model has an input {unknown[0]!r}.", hint=f"Inputs: {', '.join(known)}.")
    return {known[name]: array for name, array in feed.items()}


def _describe_set(sides: Sides, item: Checked) -> ComparedSet:
    outputs = []
    half = len(item.rows) // 2
    runs = ((False, item.plain, item.rows[:half]), (True, item.package, item.rows[half:]))
    for optimized, ours, rows in runs[1:] if sides.optimized is sides.plain else runs:
        for row in rows:
            known = None if sides.optimized is sides.plain else optimized
            both = row.name in ours and row.name in item.source
            spread = spread_errors(ours[row.name], item.source[row.name]) if both else ((), ())
            outputs.append(ComparedOutput(row, known, *spread))
    shapes = {
        name: f"{dtype_from_numpy(array.dtype)}[{','.join(map(str, array.shape))}]" for name, array in item.feed.items()
    }
    report = () if item.error is None else (item.error.what, *item.error.report)
    return ComparedSet(item.case, shapes, tuple(outputs), report)

"""Checking dimensions that may vary at sizes other than the example's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from transload.convert.equivalence.case import Checked, judge_inputs
from transload.convert.equivalence.dimensions import Variable, distinct_sizes, other_sizes, possible_steps, tied_sizes
from transload.convert.equivalence.inputs import Sampler, choose_sized_inputs
from transload.convert.equivalence.sides import Sides
from transload.convert.equivalence.turning_points import counts, find_table_sizes
from transload.serialize.errors import MismatchError, UsageError

SIZES_WANTED = 2

LONG_SIZES = (131, 61, 31)
LONG_ELEMENTS = 8192
"""A long size is tried only where the inputs that have it stay as small as this."""

FLOAT16_SIZE = 2053
FLOAT16_WORK = 1 << 19
"""Beyond the integers that float16 counts; for graphs that count, and whose elements, times their nodes, stay below
this."""


@dataclass(frozen=True)
class DynamicEvidence:
    """Every set that was tried and did not differ, the names of the dimensions shown to be dynamic, the steps of those
    among them that vary in steps only, sentences on the others, and the sets that differ."""

    checked: tuple[Checked, ...]
    dynamic: frozenset[str]
    steps: Mapping[str, int]
    notes: tuple[str, ...]
    differing: tuple[Checked, ...] = ()


def check_dimensions(
    sides: Sides, samplers: tuple[Sampler, ...], variables: tuple[Variable, ...], seed: int, *, quick: bool
) -> DynamicEvidence:
    """Try each dimension at two other sizes, then all at once at sizes of which no two are equal.

    With `quick`, all at once; each alone only where the source refuses that or the package fails. A size that the
    source refuses says nothing, and another is tried. Where it takes no other size of a dimension alone, dimensions of
    the same size in the example change with it, since they may be one. A dimension at which the package differs is
    tried in steps: what Python code asks of a size is most often whether a stride divides it.

    Raises:
        MismatchError: a dimension for which the user asked is frozen in the graph.
        UsageError: the source itself has no answer at another size of a dimension for which the user asked.
    """
    trial = _Trial(sides, samplers, seed)
    together = distinct_sizes(variables)
    if quick and variables and trial.attempt(variables, together, is_final=len(variables) == 1):
        return trial.conclude(variables)
    proven = []
    for variable in variables:
        agreed = _try_sizes(trial, variable, variables, 1 if quick else SIZES_WANTED)
        if agreed:
            proven.append(variable)
        elif agreed is None:
            proven.extend(_try_steps(trial, variable, variables))
        elif variable.asked:
            raise _refused(variable, trial.checked)
    if not quick:
        proven = [variable for variable in proven if _agrees_when_long(trial, variable)]
    if len(variables) > 1 and trial.attempt(proven, distinct_sizes(proven)) is False:
        proven = []
    return trial.conclude(proven)


def _agrees_when_long(trial: _Trial, variable: Variable) -> bool:
    """Whether the package agrees at a size beyond what a byte counts, or the longest of some that the source takes.

    Among these are the sizes of the graph's own tables, which may well be the longest sequence. A table that was cut,
    or a counter that is too narrow, shows only there. Not tried where that would take long.
    """
    example = trial.sides.capture.example
    elements = sum(example[name].size for name in {place.tensor for place in variable.places})
    model = trial.sides.capture.model
    nodes = sum(1 for _ in model.graph.all_nodes())
    for size in sorted({FLOAT16_SIZE, *LONG_SIZES, *find_table_sizes(model)}, reverse=True):
        grown = elements // max(variable.size, 1) * size
        fits = grown <= LONG_ELEMENTS
        if size == FLOAT16_SIZE:
            # Sums of so many terms round off more than a source's own noise tells.
            fits = counts(model) and grown * nodes <= FLOAT16_WORK
        size -= size % variable.step
        if size > variable.size and fits:
            outcome = trial.attempt([variable], {variable: size})
            if outcome is not None:
                return outcome
    return True


def _try_sizes(
    trial: _Trial, variable: Variable, variables: tuple[Variable, ...], wanted: int, *, is_final: bool = True
) -> int | None:
    """At how many sizes of one dimension the package agrees, up to `wanted`; None when it differs at one."""
    agreed = 0
    for sizes in _alone_or_tied(variable, variables):
        if agreed >= wanted:
            break
        outcome = trial.attempt([variable], sizes, is_final=is_final)
        if outcome is False:
            return None
        agreed += bool(outcome)
    return agreed


def _try_steps(trial: _Trial, variable: Variable, variables: tuple[Variable, ...]) -> Iterable[Variable]:
    """The dimension in the smallest steps in which the package agrees; nothing where there are none."""
    for stepped in possible_steps(variable):
        is_refuted = any(size % stepped.step == 0 for size in trial.wrong_sizes.get(variable.label, ()))
        if not is_refuted and _try_sizes(trial, stepped, variables, SIZES_WANTED, is_final=False) == SIZES_WANTED:
            trial.notes.append(f"The dimension {variable.label!r} varies in steps of {stepped.step} only.")
            return (stepped,)
    return ()


@dataclass
class _Trial:
    """Tries sizes and keeps what was found."""

    sides: Sides
    samplers: tuple[Sampler, ...]
    seed: int
    checked: list[Checked] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    differing: list[Checked] = field(default_factory=list)
    wrong_sizes: dict[str, list[int]] = field(default_factory=dict)

    def attempt(
        self, changed: Sequence[Variable], sizes: Mapping[Variable, int], *, is_final: bool = True
    ) -> bool | None:
        """Whether the package agrees at these sizes; None where the source refuses them or has no defined answer.

        A difference is an error when the user asked for one of the dimensions and no closer look follows.
        """
        if not sizes:
            return None
        inputs = choose_sized_inputs(self.sides.capture, self.samplers, sizes, self.seed)
        found = judge_inputs(self.sides, inputs)
        if found.error is not None:
            for variable in changed if len(sizes) == 1 else ():
                self.wrong_sizes.setdefault(variable.label, []).append(sizes[variable])
            asked = [variable for variable in changed if variable.asked]
            if asked and is_final:
                raise _frozen(asked, inputs.name, found.error) from found.error
            if is_final:
                self.notes.append(f"With {inputs.name} the package differs from the source: {_first_line(found.error)}")
                self.differing.append(found)
            return False
        self.checked.append(found)
        return True if found.is_defined else None

    def conclude(self, proven: Sequence[Variable]) -> DynamicEvidence:
        """The evidence, once it is known which dimensions were shown to be dynamic."""
        names = frozenset(name for variable in proven for name in variable.names)
        steps = {variable.label: variable.step for variable in proven if variable.step > 1 and variable.may_step}
        return DynamicEvidence(tuple(self.checked), names, steps, tuple(self.notes), tuple(self.differing))


def _alone_or_tied(variable: Variable, variables: tuple[Variable, ...]) -> Iterator[dict[Variable, int]]:
    sizes = other_sizes(variable)
    yield from ({variable: size} for size in sizes)
    tied = [tied_sizes(variable, variables, size) for size in sizes]
    yield from (changes for changes in tied if len(changes) > 1)


def _first_line(error: MismatchError) -> str:
    return " ".join((error.what.splitlines()[0], *error.report[:1]))


def _frozen(asked: list[Variable], sizes: str, error: MismatchError) -> MismatchError:
    names = ", ".join(repr(variable.label) for variable in asked)
    word = "dimension" if len(asked) == 1 else "dimensions"
    return MismatchError(
        f"The {word} {names} cannot be dynamic: something in the graph is frozen at the example's size. "
        f"With {sizes}: {error.what}",
        report=error.report,
        where=error.where,
        hint="Give a number instead of a name for this dimension; or 32*name where the source does the same for all "
        "multiples of such a number; or change the source where it turns a size into a constant (int(), .item(), a "
        "Python loop over a size).",
    )


def _refused(variable: Variable, checked: list[Checked]) -> UsageError:
    notes = {item.case.note for item in checked if not item.is_defined and variable.label in item.case.name}
    return UsageError(
        f"The dimension {variable.label!r} was asked for as dynamic, but the source gives a usable answer at no size "
        f"that was tried other than {variable.size}.",
        where="; ".join(sorted(notes)[:3]),
        hint=f"Write {variable.size} instead of {variable.label!r}.",
    )

"""What a comparison of two models found, as plain values that cross the border of a process and become JSON."""

from __future__ import annotations

import msgspec

from transload.runtime.comparison import OutputComparison
from transload.serialize.interface import Case


class Element(msgspec.Struct, frozen=True):
    """One element of an output: where it is, and both values as text."""

    index: tuple[int, ...]
    ours: str
    reference: str
    abs_error: float


class ComparedOutput(msgspec.Struct, frozen=True):
    """One output for one input set.

    Args:
        row: The comparison.
        optimized: Whether graph optimisations were on; None where the model has no such choice.
        histogram: How many elements have which absolute error; see `errors.DECADES`. Empty where shapes differ.
        worst: The elements with the largest errors, largest first.
    """

    row: OutputComparison
    optimized: bool | None = None
    histogram: tuple[int, ...] = ()
    worst: tuple[Element, ...] = ()


class ComparedSet(msgspec.Struct, frozen=True):
    """One input set: what became of it, its inputs as `float32[2,3]`, and its outputs."""

    case: Case
    inputs: dict[str, str]
    outputs: tuple[ComparedOutput, ...] = ()
    report: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether both models agree, as far as the reference has an answer."""
        return self.case.result != "differs"


class Match(msgspec.Struct, frozen=True):
    """A tensor of the one model and that of the other which was compared with it."""

    ours: str
    reference: str


class ComparedComponent(msgspec.Struct, frozen=True):
    """One callable of both models.

    Args:
        reference, ours: The names of the component in both.
        sets: Every input set that was tried.
        inputs, outputs: Which tensors were taken for one another.
        sizes: The sizes that were tried of each dimension that may vary, by name.
        branches: What each branch and loop of the graph did.
        notes: Sentences for the user.
        blame: Which part is to blame for the first difference; empty where there is none.
    """

    reference: str
    ours: str
    sets: tuple[ComparedSet, ...] = ()
    inputs: tuple[Match, ...] = ()
    outputs: tuple[Match, ...] = ()
    sizes: dict[str, tuple[int, ...]] = {}
    branches: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    blame: str = ""
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether no input set shows a difference."""
        return not self.problem and all(each.passed for each in self.sets)


class ComparedModel(msgspec.Struct, frozen=True):
    """One of the two models: as the user named it, its kind, and what ran it."""

    name: str
    kind: str
    engine: str


class Comparison(msgspec.Struct, frozen=True):
    """The whole comparison: `reference` is the first model, `ours` the second."""

    reference: ComparedModel
    ours: ComparedModel
    components: tuple[ComparedComponent, ...]
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the models agree."""
        return all(each.passed for each in self.components)

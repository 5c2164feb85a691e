"""Which tensors of two models are the same ones, and both models under one set of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transload.convert.capture import Array, Capture, Feed, Reference
from transload.convert.compare.models import Opened, Run, fits
from transload.convert.compare.result import Match
from transload.convert.equivalence.sides import Runner, Sides
from transload.convert.equivalence.tolerances import choose_tolerance
from transload.convert.error_lines import first_line
from transload.convert.options import ConvertOptions, InputSpec, make_example
from transload.serialize.errors import ExecutionError, MismatchError, TransloadError
from transload.serialize.interface import Dimension, Tensor, Tuple


@dataclass(frozen=True)
class Pair:
    """Two models under one set of names, as the two sides of the equivalence check; `reference` is the first's part.

    Args:
        sides: What the check works with.
        inputs, outputs: Which tensors are taken for one another, by their own names.
        notes: Sentences for the user.
    """

    sides: Sides
    inputs: tuple[Match, ...]
    outputs: tuple[Match, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Renamed:
    """A reference whose tensors have other names: `inputs` by the new names, `outputs` by its own."""

    reference: Reference
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]

    def run(self, feed: Feed) -> dict[str, Array]:
        return self._back(self.reference.run(self._there(feed)))

    def run_float64(self, feed: Feed) -> dict[str, Array] | None:
        found = self.reference.run_float64(self._there(feed))
        return None if found is None else self._back(found)

    def _there(self, feed: Feed) -> dict[str, Array]:
        return {self.inputs[name]: array for name, array in feed.items()}

    def _back(self, outputs: Feed) -> dict[str, Array]:
        return {self.outputs[name]: array for name, array in outputs.items() if name in self.outputs}


@dataclass(frozen=True)
class _RenamedRunner:
    """The second model as the check's runner."""

    run_model: Run
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]

    def run(self, output_names: Sequence[str] | None, feed: Feed, /) -> list[Array]:
        try:
            found = self.run_model({self.inputs[name]: array for name, array in feed.items()})
        except TransloadError:
            raise
        except Exception as error:
            # Frameworks raise anything for inputs that they do not take.
            raise ExecutionError(f"{type(error).__name__}: {first_line(error)}") from error
        renamed = {self.outputs[name]: array for name, array in found.items() if name in self.outputs}
        return [renamed[name] for name in output_names or renamed]


def pair_models(reference: Opened, ours: Opened, options: ConvertOptions) -> Pair:
    """Bring two models under the names of the one that is a graph: the second, if both are or none is.

    Tensors are matched by name where both have the same names, else by position.

    Raises:
        MismatchError: they take or give another number of tensors, or tensors of other dtypes or ranks.
    """
    graph_is_ours = ours.is_graph or not reference.is_graph
    theirs, own = reference.capture, ours.capture
    inputs, by_place = _match(theirs.input_leaves(), own.input_leaves(), "inputs")
    outputs, outputs_by_place = _match(theirs.output_leaves(), own.output_leaves(), "outputs")
    notes = []
    if by_place or outputs_by_place:
        what = " and ".join(word for word, is_so in (("inputs", by_place), ("outputs", outputs_by_place)) if is_so)
        notes.append(f"The {what} have other names in the two models and were matched by position.")

    def name(match: Match) -> str:
        return match.ours if graph_is_ours else match.reference

    leaves, fixed = _merge_inputs(inputs, theirs, own, [name(match) for match in inputs])
    notes += [f"{text} and was not varied." for text in fixed]
    input_names = {name(match): match for match in inputs}
    by_name = {tensor.name: tensor for tensor in theirs.output_leaves()}
    results = [Tensor(name(match), *_type(by_name[match.reference])) for match in outputs]
    capture = Capture(
        component=theirs.component,
        model=own.model if graph_is_ours else theirs.model,
        inputs={leaf.name: leaf for leaf in leaves},
        outputs=Tuple(tuple(results)),
        reference=_Renamed(
            theirs.reference,
            {key: match.reference for key, match in input_names.items()},
            {match.reference: name(match) for match in outputs},
        ),
        example=_choose_example(leaves, input_names, theirs, own),
        source=theirs.source,
        resources=(theirs, own),
    )
    own_inputs = {key: match.ours for key, match in input_names.items()}
    own_outputs = {match.ours: name(match) for match in outputs}
    plain: Runner = _RenamedRunner(ours.plain, own_inputs, own_outputs)
    optimized = plain if ours.optimized is ours.plain else _RenamedRunner(ours.optimized, own_inputs, own_outputs)
    tolerances = {leaf.name: choose_tolerance(leaf, options) for leaf in results}
    sides = Sides(
        capture, plain, optimized, tuple(leaf.name for leaf in results), tolerances, engine=ours.engine, graph="graph"
    )
    return Pair(sides, inputs, outputs, tuple(notes))


def _type(tensor: Tensor) -> tuple[str, tuple[Dimension, ...] | None]:
    return tensor.dtype, tensor.shape


def _match(theirs: Sequence[Tensor], own: Sequence[Tensor], what: str) -> tuple[tuple[Match, ...], bool]:
    """The matches in the reference's order, and whether they are by position."""
    if len(theirs) != len(own):
        raise MismatchError(
            f"The models have another number of {what}: {len(theirs)} and {len(own)}.",
            report=tuple(f"{side}: {', '.join(t.name for t in ts)}" for side, ts in (("A", theirs), ("B", own))),
        )
    by_name = {tensor.name: tensor for tensor in own}
    by_place = set(by_name) != {tensor.name for tensor in theirs}
    pairs = list(zip(theirs, own, strict=True)) if by_place else [(each, by_name[each.name]) for each in theirs]
    for one, other in pairs:
        ranks = [None if tensor.shape is None else len(tensor.shape) for tensor in (one, other)]
        if one.dtype != other.dtype or (None not in ranks and ranks[0] != ranks[1]):
            raise MismatchError(
                f"The {what[:-1]} {one.name!r} of A is {_describe(one)}, {other.name!r} of B is {_describe(other)}.",
                hint="Inputs and outputs are matched by name where all names are the same, else by position.",
            )
    return tuple(Match(other.name, one.name) for one, other in pairs), by_place


def _describe(tensor: Tensor) -> str:
    return tensor.dtype + ("" if tensor.shape is None else f" of rank {len(tensor.shape)}")


def _merge_inputs(
    matches: Sequence[Match], theirs: Capture, own: Capture, names: Sequence[str]
) -> tuple[list[Tensor], list[str]]:
    """The inputs with the sizes that both models allow, and what only one of them fixes."""
    one_by_name = {tensor.name: tensor for tensor in theirs.input_leaves()}
    other_by_name = {tensor.name: tensor for tensor in own.input_leaves()}
    leaves, fixed = [], []
    for match, name in zip(matches, names, strict=True):
        one, other = one_by_name[match.reference], other_by_name[match.ours]
        shape = one.shape
        if one.shape is None or other.shape is None:
            shape = one.shape or other.shape
        else:
            dims: list[Dimension] = []
            for axis, (a, b) in enumerate(zip(one.shape, other.shape, strict=True)):
                if isinstance(a, int) and isinstance(b, int) and a != b:
                    raise MismatchError(f"Axis {axis} of the input {name!r} is always {a} in A and always {b} in B.")
                if isinstance(a, int) != isinstance(b, int):
                    side, size = ("A", a) if isinstance(a, int) else ("B", b)
                    fixed.append(f"Axis {axis} of the input {name!r} is always {size} in {side}")
                dims.append(a if isinstance(a, int) else b if isinstance(b, int) else a or b)
            shape = tuple(dims)
        leaves.append(Tensor(name, one.dtype, shape))
    return leaves, fixed


def _choose_example(
    leaves: Sequence[Tensor], names: Mapping[str, Match], theirs: Capture, own: Capture
) -> dict[str, Array]:
    """The example of the first model whose sizes suit both; where none does, one is made up."""
    shapes = {leaf.name: leaf.shape for leaf in leaves}
    for example in (
        {key: theirs.example[match.reference] for key, match in names.items()},
        {key: own.example[match.ours] for key, match in names.items()},
    ):
        if fits(example, shapes):
            return example
    specs = tuple(
        InputSpec(leaf.name, leaf.dtype, tuple(f"unknown_{axis}" if d is None else d for axis, d in enumerate(shape)))
        for leaf in leaves
        if (shape := leaf.shape) is not None
    )
    return example | make_example(specs)

"""prim::If and prim::Loop: followed where the way is known, ONNX If and Loop where it is not.

A block is interpreted with its changes to cells recorded and undone. What it leaves behind, results and changed cells
alike, is taken down as a tree (`Leaf`, `Fixed`, …). The trees of all ways that meet are joined into a plan, which says
what has to pass through the ONNX node; what is known and equal on all ways need not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import MAX_INT64, discard
from transload.convert.torch.script.dtypes import NUMBER_DTYPE
from transload.convert.torch.script.ops.containers import number_list
from transload.convert.torch.script.poison import POISON, Raised, is_poisoned
from transload.convert.torch.script.values import (
    Cell,
    Complex,
    Content,
    Dict,
    List,
    Number,
    Object,
    Quantized,
    Sequence,
    Stale,
    Storage,
    Tensor,
    Uninitialized,
    Vector,
)
from transload.serialize.errors import UnsupportedError

UNROLL_TRIPS = 24
"""Loops of up to so many known trips are written out."""

UNROLL_TRIPS_AT_MOST = 1024
"""Loops of up to so many known trips are written out where ONNX's Loop cannot hold them."""

MAX_ROUNDS = 12


# Trees: what a value is at the end of a block


@dataclass(frozen=True, eq=False)
class Known:
    """A Python value."""

    value: Any


@dataclass(frozen=True, eq=False)
class Leaf:
    """A tensor; `tensor` is the one that it was read from."""

    content: Content
    tensor: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Fixed:
    """A list or tuple of known length. `cell` is the list itself."""

    items: tuple[Any, ...]
    is_list: bool
    cell: List | None = None


@dataclass(frozen=True, eq=False)
class Mapping:
    """A dict, or the attributes of an object. `cell` is the dict or object itself."""

    items: dict[Any, Any]
    is_object: bool
    cell: Dict | Object | None = None


Tree = Known | Leaf | Fixed | Mapping | Number | Sequence | Vector | Uninitialized


# Plans: what passes through the node


@dataclass(frozen=True)
class TensorPlan:
    """One ONNX tensor, or two where it is complex."""

    dtype: ir.DataType
    dims: tuple[int | str | None, ...] | None
    is_complex: bool = False


@dataclass(frozen=True)
class NumberPlan:
    """One ONNX tensor of rank 0."""

    kind: type


@dataclass(frozen=True)
class SequencePlan:
    """An ONNX sequence."""

    dtype: ir.DataType | None
    dims: tuple[int | str | None, ...] | None


@dataclass(frozen=True)
class VectorPlan:
    """One ONNX tensor of rank 1."""

    kind: type


@dataclass(frozen=True)
class FixedPlan:
    """Items one by one."""

    items: tuple[Any, ...]
    is_list: bool


@dataclass(frozen=True)
class MappingPlan:
    """Values one by one."""

    items: tuple[tuple[Any, Any], ...]
    is_object: bool


@dataclass(frozen=True, eq=False)
class KnownPlan:
    """Nothing passes: the same Python value on all ways."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KnownPlan) and _same(self.value, other.value)


@dataclass(frozen=True)
class UnsetPlan:
    """Nothing passes: nobody reads it."""


Plan = TensorPlan | NumberPlan | SequencePlan | VectorPlan | FixedPlan | MappingPlan | KnownPlan | UnsetPlan


def _same(one: Any, other: Any) -> bool:
    return one is other or (
        isinstance(one, bool | int | float | str) and type(one) is type(other) and (one == other or one != one != other)
    )


def take(interpreter: Any, value: Any) -> Tree:
    """The tree of a value as it is now."""
    match value:
        case Tensor():
            return Leaf(interpreter.read(value), value)
        case ir.Value() | Complex() | Quantized():
            return Leaf(value)
        case List(content=list() as items):
            return Fixed(tuple(take(interpreter, item) for item in items), True, value)
        case List(content=(Sequence() | Vector()) as content):
            return content
        case Dict(content=items) | Object(content=items):
            taken = {key: take(interpreter, item) for key, item in items.items()}
            return Mapping(taken, isinstance(value, Object), value)
        case tuple():
            return Fixed(tuple(take(interpreter, item) for item in value), False)
        case Number() | Uninitialized():
            return value
        case _:
            return Known(value)


def _take_content(interpreter: Any, cell: Cell, content: Any) -> Tree:
    """The tree of a cell's content."""
    match cell:
        case Storage():
            return Leaf(content)
        case List() | Dict() | Object():
            return take(interpreter, type(cell)(content))
        case Tensor():
            raise UnsupportedError("The axes of a tensor are changed in place, depending on the data.")
        case _:
            return take(interpreter, content)


def _give_content(cell: Cell, value: Any) -> Any:
    """The content for a cell from a value that `give` made."""
    match cell:
        case Storage():
            return value.storage.content
        case List() | Dict() | Object():
            return value.content
        case _:
            return value


def plan_of(tree: Tree) -> Plan:
    """The plan that lets a tree pass as it is."""
    match tree:
        case Known(value=value):
            return KnownPlan(value)
        case Leaf(content=content):
            return _tensor_plan(content)
        case Number(kind=kind):
            return NumberPlan(kind)
        case Sequence(value=value):
            assert isinstance(value.type, ir.SequenceType)
            return SequencePlan(value.type.elem_type.dtype, _dims(value.shape))
        case Vector(kind=kind):
            return VectorPlan(kind)
        case Fixed(items=items, is_list=is_list):
            return FixedPlan(tuple(plan_of(item) for item in items), is_list)
        case Mapping(items=mapping, is_object=is_object):
            return MappingPlan(tuple((key, plan_of(item)) for key, item in mapping.items()), is_object)
        case Uninitialized():
            return UnsetPlan()


def _tensor_plan(content: Content) -> TensorPlan:
    match content:
        case ir.Value(dtype=dtype, shape=shape):
            assert dtype is not None
            return TensorPlan(dtype, _dims(shape))
        case Complex(real=real):
            assert real.dtype is not None
            return TensorPlan(real.dtype, _dims(real.shape), is_complex=True)
        case _:
            raise UnsupportedError("Quantized tensors do not pass through branches and loops.")


def _dims(shape: ir.Shape | None) -> tuple[int | str | None, ...] | None:
    return None if shape is None else tuple(dim if isinstance(dim, int) else dim.value for dim in shape)


def join(one: Plan, other: Plan) -> Plan:
    """The plan under which what either describes can pass.

    Raises:
        UnsupportedError: there is none.
    """
    if one == other:
        return one
    match one, other:
        case UnsetPlan(), _:
            return _as_variable(other)
        case _, UnsetPlan():
            return _as_variable(one)
        case TensorPlan(), TensorPlan() if one.dtype == other.dtype and one.is_complex == other.is_complex:
            return TensorPlan(one.dtype, _join_dims(one.dims, other.dims), one.is_complex)
        case FixedPlan(), FixedPlan() if len(one.items) == len(other.items):
            return FixedPlan(tuple(map(join, one.items, other.items)), one.is_list)
        case FixedPlan(is_list=True) | SequencePlan() | VectorPlan(), FixedPlan(
            is_list=True
        ) | SequencePlan() | VectorPlan():
            return _join_dynamic(_as_dynamic(one), _as_dynamic(other))
        case MappingPlan(), MappingPlan() if [key for key, _ in one.items] == [key for key, _ in other.items]:
            pairs = zip(one.items, other.items, strict=True)
            return MappingPlan(tuple((left[0], join(left[1], right[1])) for left, right in pairs), one.is_object)
        case KnownPlan() | NumberPlan(), KnownPlan() | NumberPlan():
            kinds = {_kind(one), _kind(other)}
            if len(kinds) == 1 and (kind := kinds.pop()) is not None:
                return NumberPlan(kind)
    raise UnsupportedError(f"Depending on the data, a value is {_describe(one)} or {_describe(other)}.")


def _as_variable(plan: Plan) -> Plan:
    """The plan without symbols, which hold only where they were made."""
    if isinstance(plan, TensorPlan) and plan.dims is not None:
        dims = tuple(dim if isinstance(dim, int) else None for dim in plan.dims)
        return TensorPlan(plan.dtype, dims, plan.is_complex)
    return plan


def _kind(plan: KnownPlan | NumberPlan) -> type | None:
    if isinstance(plan, NumberPlan):
        return plan.kind
    return type(plan.value) if type(plan.value) in (int, float, bool) else None


def _as_dynamic(plan: Any) -> Any:
    """The plan of a list as one of a list of unknown length; SequencePlan(None, None) for an empty one."""
    if not isinstance(plan, FixedPlan):
        return plan
    if not plan.items:
        return SequencePlan(None, None)
    result = _item_list(plan.items[0])
    for item in plan.items[1:]:
        result = _join_dynamic(result, _item_list(item))
    return result


def _item_list(item: Plan) -> SequencePlan | VectorPlan:
    match item:
        case TensorPlan(is_complex=False):
            return SequencePlan(item.dtype, item.dims)
        case KnownPlan() | NumberPlan() if (kind := _kind(item)) is not None:
            return VectorPlan(kind)
        case _:
            raise UnsupportedError(f"The length of a list depends on the data, and its items are {_describe(item)}.")


def _join_dynamic(one: SequencePlan | VectorPlan, other: SequencePlan | VectorPlan) -> SequencePlan | VectorPlan:
    for each, rest in ((one, other), (other, one)):
        if isinstance(each, SequencePlan) and each.dtype is None:
            return rest
    if isinstance(one, SequencePlan) and isinstance(other, SequencePlan) and one.dtype == other.dtype:
        return SequencePlan(one.dtype, _join_dims(one.dims, other.dims))
    if isinstance(one, VectorPlan) and one == other:
        return one
    raise UnsupportedError("A list holds items of different types, depending on the data.")


def _join_dims(
    one: tuple[int | str | None, ...] | None, other: tuple[int | str | None, ...] | None
) -> tuple[int | str | None, ...] | None:
    if one is None or other is None or len(one) != len(other):
        return None
    return tuple(left if left == right else None for left, right in zip(one, other, strict=True))


def _describe(plan: Plan) -> str:
    match plan:
        case KnownPlan(value=None):
            return "None"
        case KnownPlan(value=value):
            return repr(value) if isinstance(value, bool | int | float | str) else f"a {type(value).__name__}"
        case TensorPlan(dtype=dtype):
            return f"a tensor of {dtype}"
        case FixedPlan(items=items, is_list=is_list):
            return f"a {'list' if is_list else 'tuple'} of {len(items)} items"
        case MappingPlan(items=items):
            return f"a dict with the keys {[key for key, _ in items]}"
        case _:
            return {NumberPlan: "a number", SequencePlan: "a list", VectorPlan: "a list", UnsetPlan: "unset"}[
                type(plan)
            ]


# Passing


def pass_values(interpreter: Any, tree: Tree, plan: Plan) -> list[ir.Value]:
    """The ONNX values that pass for a tree, in the plan's order. Emits what it takes to make them."""
    b = interpreter.b
    match plan, tree:
        case KnownPlan() | UnsetPlan(), _:
            return []
        case _, Uninitialized():
            return [_filler(b, kind) for kind in value_types(plan)]
        case TensorPlan(is_complex=True), Leaf(content=Complex(real=real, imag=imag)):
            return [real, imag]
        case TensorPlan(), Leaf(content=ir.Value() as value):
            return [value]
        case NumberPlan(kind=kind), Number() | Known():
            number = tree if isinstance(tree, Number) else tree.value
            return [b.scalar(number, NUMBER_DTYPE[kind])]
        case FixedPlan(items=plans), Fixed(items=items):
            return [v for item, each in zip(items, plans, strict=True) for v in pass_values(interpreter, item, each)]
        case MappingPlan(items=pairs), Mapping(items=mapping):
            return [value for key, each in pairs for value in pass_values(interpreter, mapping[key], each)]
        case SequencePlan(), Sequence(value=value):
            return [value]
        case SequencePlan(dtype=dtype), Fixed(items=items):
            if not items:
                return [b.SequenceEmpty(dtype=dtype or ir.DataType.FLOAT)]
            return [b.SequenceConstruct(*[item.content for item in items])]
        case VectorPlan(), Vector(value=value):
            return [value]
        case VectorPlan(kind=kind), Fixed(items=items):
            numbers = [item if isinstance(item, Number) else item.value for item in items]
            return [number_list(interpreter, numbers, kind).value]
        case VectorPlan(kind=kind), Sequence():
            return [b.constant([], NUMBER_DTYPE[kind])]
    raise AssertionError(f"{tree} does not fit {plan}")


def value_types(plan: Plan) -> list[tuple[ir.TypeProtocol, ir.Shape | None]]:
    """Types and shapes of the ONNX values that pass under a plan."""
    match plan:
        case TensorPlan(dtype=dtype, dims=dims, is_complex=is_complex):
            return [(ir.TensorType(dtype), None if dims is None else ir.Shape(dims))] * (2 if is_complex else 1)
        case NumberPlan(kind=kind):
            return [(ir.TensorType(NUMBER_DTYPE[kind]), ir.Shape([]))]
        case SequencePlan(dtype=dtype, dims=dims):
            element = ir.TensorType(dtype or ir.DataType.FLOAT)
            return [(ir.SequenceType(element), None if dims is None else ir.Shape(dims))]
        case VectorPlan(kind=kind):
            return [(ir.TensorType(NUMBER_DTYPE[kind]), ir.Shape([None]))]
        case FixedPlan(items=items):
            return [kind for item in items for kind in value_types(item)]
        case MappingPlan(items=pairs):
            return [kind for _, item in pairs for kind in value_types(item)]
        case _:
            return []


def give(plan: Plan, values: Iterator[ir.Value]) -> Any:
    """The value that a plan describes, made of the next ONNX values."""
    match plan:
        case KnownPlan(value=value):
            return value
        case UnsetPlan():
            return Uninitialized()
        case TensorPlan(is_complex=True):
            return Tensor(Storage(Complex(next(values), next(values))))
        case TensorPlan():
            return Tensor(Storage(next(values)))
        case NumberPlan(kind=kind):
            return Number(next(values), kind)
        case SequencePlan():
            return List(Sequence(next(values)))
        case VectorPlan(kind=kind):
            return List(Vector(next(values), kind))
        case FixedPlan(items=items, is_list=is_list):
            given = [give(item, values) for item in items]
            return List(given) if is_list else tuple(given)
        case MappingPlan(items=pairs, is_object=is_object):
            made = {key: give(item, values) for key, item in pairs}
            return Object(made) if is_object else Dict(made)


def _filler(b: Any, kind: tuple[ir.TypeProtocol, ir.Shape | None]) -> ir.Value:
    """A value for a way on which nobody reads it."""
    type_, shape = kind
    if isinstance(type_, ir.SequenceType):
        value: ir.Value = b.SequenceEmpty(dtype=type_.elem_type.dtype)
        return value
    dims = [] if shape is None else [dim if isinstance(dim, int) else 0 for dim in shape]
    filler: ir.Value = b.ConstantOfShape(b.constant(dims, ir.DataType.INT64), value=ir.tensor([0], dtype=type_.dtype))
    return filler


# If


@dataclass(frozen=True, eq=False)
class _Way:
    """One arm, interpreted: its graph, results and changes to cells."""

    graph: ir.Graph
    results: list[Tree]
    changes: dict[Cell, Tree]
    stale: list[Cell]


def run_if(interpreter: Any, node: Any, env: dict[str, Any]) -> list[Any]:
    """prim::If. The condition known, its arm is followed; else an ONNX If holds both."""
    condition = env[node.input().debugName()]
    blocks = list(node.blocks())
    if condition is POISON:
        return [POISON] * node.outputsSize()
    if not isinstance(condition, Number):
        return list(interpreter.run_block(blocks[0 if condition else 1], env))
    mark = Cell(None).serial
    ways: list[_Way | None] = [_try_arm(interpreter, block, env) for block in blocks]
    if None in ways:
        if ways == [None, None]:
            raise Raised("on both ways")
        interpreter.note_assertion(node)
        for way in ways:
            if way is not None:
                discard(way.graph)
        return list(interpreter.run_block(blocks[1 if ways[0] is None else 0], env))
    return _emit_if(interpreter, condition, ways[0], ways[1], mark)  # type: ignore[arg-type]


def _try_arm(interpreter: Any, block: Any, env: dict[str, Any]) -> _Way | None:
    with interpreter.b.block() as graph:
        interpreter.journal.begin()
        try:
            outputs = interpreter.run_block(block, env)
            results = [_take_result(interpreter, value) for value in outputs]
        except Raised:
            interpreter.journal.rollback()
            discard(graph)
            return None
        except BaseException:
            interpreter.journal.rollback()
            discard(graph)
            raise
        contents = interpreter.journal.peek()
        changes = _take_changes(interpreter, contents)
        stale = [cell for cell, content in contents.items() if isinstance(content, Stale)]
        interpreter.journal.rollback()
    return _Way(graph, results, changes, stale)


def _take_changes(interpreter: Any, contents: dict[Cell, Any]) -> dict[Cell, Tree]:
    return {
        cell: _take_content(interpreter, cell, content)
        for cell, content in contents.items()
        if not isinstance(content, Stale)
    }


def _take_result(interpreter: Any, value: Any) -> Tree:
    if is_poisoned(value):
        return Known(POISON)
    return take(interpreter, value)


def _emit_if(interpreter: Any, condition: Number, one: _Way, other: _Way, mark: int) -> list[Any]:
    b = interpreter.b
    cells = list(dict.fromkeys([*one.changes, *other.changes]))
    lasting = [cell for cell in cells if cell.serial < mark]
    ways = [
        [*way.results, *(way.changes.get(cell) or _take_content(interpreter, cell, cell.content) for cell in lasting)]
        for way in (one, other)
    ]
    kept: list[Any] = []
    plans: list[Plan] = []
    for left, right in zip(*ways, strict=True):
        if _is_poison(left) or _is_poison(right):
            kept.append((POISON,))
            plans.append(KnownPlan(POISON))
        elif (same := _identical(left, right, mark)) is not None:
            kept.append((same,))
            plans.append(KnownPlan(None))
        else:
            kept.append(None)
            plans.append(join(plan_of(left), plan_of(right)))
    for way, trees in zip((one, other), ways, strict=True):
        with b.block(way.graph):
            outputs = [v for tree, plan in zip(trees, plans, strict=True) for v in pass_values(interpreter, tree, plan)]
            way.graph.outputs.extend(_local_copies(b, outputs))
    kinds = [kind for plan in plans for kind in value_types(plan)]
    values: tuple[ir.Value, ...] = ()
    if kinds:
        # ONNX's If needs an output.
        node = ir.Node(
            "",
            "If",
            [condition.value],
            [ir.AttrGraph("then_branch", one.graph), ir.AttrGraph("else_branch", other.graph)],
            num_outputs=len(kinds),
        )
        _set_types(node.outputs, kinds)
        b.append(node)
        values = tuple(node.outputs)
    else:
        discard(one.graph)
        discard(other.graph)
    remaining = iter(values)
    merged = [keep[0] if keep else give(plan, remaining) for keep, plan in zip(kept, plans, strict=True)]
    results = merged[: len(one.results)]
    for cell, value in zip(lasting, merged[len(one.results) :], strict=True):
        interpreter.journal.write(cell, _give_content(cell, value))
    for cell in [*one.stale, *other.stale]:
        if cell.serial < mark:
            interpreter.journal.write(cell, Stale())
    for trees in ways:
        _note_aliases(zip(trees, merged, strict=True), mark)
    return results


def _is_poison(tree: Tree) -> bool:
    return isinstance(tree, Known) and tree.value is POISON


def _identical(left: Tree, right: Tree, mark: int) -> Any:
    """The value itself, where both ways leave the very same one, older than both; None otherwise."""
    match left, right:
        case Leaf(tensor=Tensor() as one), Leaf(tensor=Tensor() as other) if one is other:
            return one if one.storage.serial < mark else None
        case Fixed(cell=List() as one), Fixed(cell=List() as other) if one is other:
            return one if one.serial < mark else None
        case Mapping(cell=Cell() as one), Mapping(cell=Cell() as other) if one is other:
            return one if one.serial < mark else None
        case _:
            return None


def _note_aliases(pairs: Iterable[tuple[Tree | None, Any]], mark: int) -> None:
    """Take down which tensors, of those that passed, may share memory with each other or with older ones.

    Args:
        pairs: What was left behind, and the value that was made of it.
        mark: Cells with smaller serials are older than the branch or loop.
    """
    made: dict[Storage, list[Storage]] = {}
    for tree, value in pairs:
        for before, after in _storage_pairs(tree, value):
            if after is None:
                before.in_sequence = True
            elif before is not after:
                after.in_sequence |= before.in_sequence
                made.setdefault(before, [before] if before.serial < mark else []).append(after)
    for group in made.values():
        for one in group:
            one.maybe += [other for other in group if other is not one and other not in one.maybe]


def _storage_pairs(tree: Tree | None, value: Any) -> Iterator[tuple[Storage, Storage | None]]:
    match tree, value:
        case Leaf(tensor=Tensor() as tensor), Tensor():
            yield tensor.storage, value.storage
        case Fixed(items=items), List(content=list() as values) | (tuple() as values):
            for item, each in zip(items, values, strict=True):
                yield from _storage_pairs(item, each)
        case Fixed(items=items), List():
            for item in items:
                if isinstance(item, Leaf) and item.tensor is not None:
                    yield item.tensor.storage, None
        case Mapping(items=mapping), Dict(content=content) | Object(content=content):
            for key, item in mapping.items():
                yield from _storage_pairs(item, content[key])


def _local_copies(b: Any, values: list[ir.Value]) -> list[ir.Value]:
    """A block's outputs have to be computed in the block, and each only once."""
    found: list[ir.Value] = []
    for value in values:
        if not b.is_local(value) or any(value is each for each in found):
            copy = b.Identity(value)
            copy.type, copy.shape = value.type, value.shape
            value = copy
        found.append(value)
    return found


def _set_types(values: Any, kinds: list[tuple[ir.TypeProtocol, ir.Shape | None]]) -> None:
    for value, (type_, shape) in zip(values, kinds, strict=True):
        value.type = type_
        value.shape = None if shape is None else ir.Shape(list(shape))


# Loop


def run_loop(interpreter: Any, node: Any, env: dict[str, Any]) -> list[Any]:
    """prim::Loop. Written out while trips and condition are known; else an ONNX Loop."""
    trips, condition, *carried = (env[value.debugName()] for value in node.inputs())
    if any(is_poisoned(value) for value in (trips, condition)):
        return [POISON] * node.outputsSize()
    if condition is False or trips == 0:
        return carried
    if isinstance(trips, int) and not isinstance(condition, Number):
        is_counted = trips != MAX_INT64
        if (is_counted and trips <= UNROLL_TRIPS) or (not is_counted and _stays_known(interpreter, node, env, carried)):
            return _write_out(interpreter, node, env, trips, carried)
        try:
            return _emit_loop(interpreter, node, env, trips, condition, carried)
        except UnsupportedError:
            if trips > UNROLL_TRIPS_AT_MOST:
                raise
            return _write_out(interpreter, node, env, trips, carried)
    return _emit_loop(interpreter, node, env, trips, condition, carried)


def _stays_known(interpreter: Any, node: Any, env: dict[str, Any], carried: list[Any]) -> bool:
    """Whether the condition of a while loop is known after the first trip."""
    failures = dict(interpreter.failures)
    with interpreter.b.block() as graph:
        interpreter.journal.begin()
        try:
            condition, *_ = _run_body(interpreter, node, env, 0, carried)
        except Raised:
            return True
        finally:
            interpreter.journal.rollback()
            discard(graph)
            interpreter.failures = failures
    return not isinstance(condition, Number) and condition is not POISON


def _run_body(interpreter: Any, node: Any, env: dict[str, Any], index: Any, carried: list[Any]) -> list[Any]:
    block = next(iter(node.blocks()))
    names = [value.debugName() for value in block.inputs()]
    env.update(zip(names, [index, *carried], strict=True))
    return list(interpreter.run_block(block, env))


def _write_out(interpreter: Any, node: Any, env: dict[str, Any], trips: int, carried: list[Any]) -> list[Any]:
    index = 0
    condition: Any = True
    while index < trips and condition is True:
        if index > UNROLL_TRIPS_AT_MOST:
            raise UnsupportedError(f"A loop runs more than {UNROLL_TRIPS_AT_MOST} times.")
        condition, *carried = _run_body(interpreter, node, env, index, carried)
        index += 1
        if isinstance(condition, Number):
            return _emit_loop(interpreter, node, env, trips, condition, carried, first=index)
        if condition is POISON:
            return [POISON] * len(carried)
    return carried


@dataclass(frozen=True, eq=False)
class _Body:
    """A loop's body, interpreted under plans: its graph, and what it leaves behind."""

    graph: ir.Graph
    condition: Any
    results: list[Tree]
    changes: dict[Cell, Tree]
    stale: list[Cell]


def _emit_loop(
    interpreter: Any,
    node: Any,
    env: dict[str, Any],
    trips: Any,
    condition: Any,
    carried: list[Any],
    first: int = 0,
) -> list[Any]:
    """An ONNX Loop for what is left of the trips, the first of which has the index `first`."""
    if any(is_poisoned(value) for value in carried):
        return [POISON] * len(carried)
    initial: list[Tree] = [take(interpreter, value) for value in carried]
    plans: list[Plan] = [plan_of(tree) for tree in initial]
    cells: list[Cell] = []
    stale: list[Cell] = []
    mark = Cell(None).serial
    for _ in range(MAX_ROUNDS):
        for cell in stale:
            interpreter.journal.write(cell, Stale())
        body = _try_body(interpreter, node, env, plans, cells, first)
        results = [*body.results, *(body.changes.get(cell) for cell in cells)]
        new = [plan if tree is None else join(plan, plan_of(tree)) for plan, tree in zip(plans, results, strict=True)]
        added = [cell for cell in body.changes if cell not in cells and cell.serial < mark]
        newly_stale = [cell for cell in body.stale if cell not in stale and cell.serial < mark]
        if new == plans and not added and not newly_stale:
            return _finish_loop(interpreter, body, plans, cells, initial, trips, condition, first, mark)
        stale += newly_stale
        discard(body.graph)
        plans = new
        for cell in added:
            before = _take_content(interpreter, cell, cell.content)
            initial.append(before)
            plans.append(join(plan_of(before), plan_of(body.changes[cell])))
            cells.append(cell)
    raise UnsupportedError("What a loop carries from trip to trip does not settle.")


def _try_body(
    interpreter: Any, node: Any, env: dict[str, Any], plans: list[Plan], cells: list[Cell], first: int
) -> _Body:
    b = interpreter.b
    failures = dict(interpreter.failures)
    kinds = [kind for plan in plans for kind in value_types(plan)]
    index, going = ir.val("trip", ir.DataType.INT64, []), ir.val("going", ir.DataType.BOOL, [])
    inputs = [ir.Value(name=f"carried_{number}") for number, _ in enumerate(kinds)]
    for value in (index, going, *inputs):
        value.name = b.unique(value.name or "")
    _set_types(inputs, kinds)
    with b.block(inputs=[index, going, *inputs]) as graph:
        interpreter.journal.begin()
        try:
            values = iter(inputs)
            given = [give(plan, values) for plan in plans]
            count = len(given) - len(cells)
            for cell, value in zip(cells, given[count:], strict=True):
                interpreter.journal.write(cell, _give_content(cell, value))
            trip = b.add_int(Number(index, int), first)
            condition, *outputs = _run_body(interpreter, node, env, trip, given[:count])
            if len(interpreter.failures) > len(failures):
                new = [failure for key, failure in interpreter.failures.items() if key not in failures]
                interpreter.failures = failures
                raise UnsupportedError("The body of a loop cannot be translated.", operations=tuple(new))
            results = [take(interpreter, value) for value in outputs]
            contents = interpreter.journal.peek()
            changes = _take_changes(interpreter, contents)
            stale = [cell for cell, content in contents.items() if isinstance(content, Stale)]
        except Raised as error:
            discard(graph)
            raise UnsupportedError("A loop raises an exception in its first trip.") from error
        except BaseException:
            discard(graph)
            raise
        finally:
            interpreter.journal.rollback()
    return _Body(graph, condition, results, changes, stale)


def _finish_loop(
    interpreter: Any,
    body: _Body,
    plans: list[Plan],
    cells: list[Cell],
    initial: list[Tree],
    trips: Any,
    condition: Any,
    first: int,
    mark: int,
) -> list[Any]:
    b = interpreter.b
    with b.block(body.graph):
        trees = [*body.results, *(body.changes.get(cell) for cell in cells)]
        outputs = [b.scalar(body.condition, ir.DataType.BOOL)]
        for tree, plan in zip(trees, plans, strict=True):
            assert tree is not None
            outputs += pass_values(interpreter, tree, plan)
        body.graph.outputs.extend(_local_copies(b, outputs))
    start = [value for tree, plan in zip(initial, plans, strict=True) for value in pass_values(interpreter, tree, plan)]
    limit = None
    if trips != MAX_INT64:
        limit = b.scalar(b.add_int(trips, -first), ir.DataType.INT64)
    go = b.scalar(condition, ir.DataType.BOOL) if isinstance(condition, Number) else None
    if limit is None and go is None:
        go = b.constant(True, ir.DataType.BOOL)
    kinds = [kind for plan in plans for kind in value_types(plan)]
    node = ir.Node("", "Loop", [limit, go, *start], [ir.AttrGraph("body", body.graph)], num_outputs=max(len(kinds), 0))
    _set_types(node.outputs, kinds)
    b.append(node)
    values = iter(node.outputs)
    given = [give(plan, values) for plan in plans]
    count = len(given) - len(cells)
    for cell, value in zip(cells, given[count:], strict=True):
        interpreter.journal.write(cell, _give_content(cell, value))
    _note_aliases(zip(initial, given, strict=True), mark)
    _note_aliases(zip(trees, given, strict=True), mark)
    return given[:count]

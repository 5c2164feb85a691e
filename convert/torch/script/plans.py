"""Plans: what has to pass through an ONNX If or Loop for values to be there behind it.

A block is interpreted with its changes to cells recorded and undone. What it leaves behind, results and changed cells
alike, is taken down as trees (trees.py). The trees of all ways that meet are joined into a plan; what is known and
equal on all ways, or the very same list or tensor, need not pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch

from transload.convert.torch.script.dtypes import NUMBER_DTYPE
from transload.convert.torch.script.ops.containers import number_list, stacked
from transload.convert.torch.script.poison import Poison
from transload.convert.torch.script.trees import Dynamic, Fixed, Known, Leaf, Mapping, Optional, Tree
from transload.convert.torch.script.values import (
    Cell,
    Complex,
    Content,
    Dict,
    EnumMember,
    List,
    Number,
    Object,
    Perhaps,
    Sequence,
    Stacked,
    Storage,
    Tensor,
    Text,
    Uninitialized,
    Vector,
)
from transload.serialize.errors import UnsupportedError


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
class StackedPlan:
    """One ONNX tensor: the items of a list along its first axis. `dims` are those of an item."""

    dtype: ir.DataType
    dims: tuple[int | str | None, ...]


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


@dataclass(frozen=True, eq=False)
class SamePlan:
    """Nothing passes: the very same list, dict, object or tensor on all ways. `plan` lets it pass where it is not."""

    cell: Cell
    plan: Plan

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SamePlan) and self.cell is other.cell


@dataclass(frozen=True)
class OptionalPlan:
    """Whether there is a value, and what passes for the value."""

    item: Plan


@dataclass(frozen=True)
class UnsetPlan:
    """Nothing passes: nobody reads it."""


Plan = (
    TensorPlan
    | NumberPlan
    | SequencePlan
    | StackedPlan
    | VectorPlan
    | FixedPlan
    | MappingPlan
    | KnownPlan
    | SamePlan
    | OptionalPlan
    | UnsetPlan
)


def _same(one: Any, other: Any) -> bool:
    return one is other or (
        isinstance(one, bool | int | float | str | EnumMember | Text | torch.device)
        and type(one) is type(other)
        and bool(one == other or one != one != other)
    )


def plan_of(tree: Tree, mark: int = -1) -> Plan:
    """The plan that lets a tree pass as it is.

    Args:
        mark: Lists, dicts, objects and tensors with smaller serials are older than the block, and may stay the same.
    """
    cell = getattr(tree, "cell", None)
    plan = _inner_plan(tree, mark)
    return SamePlan(cell, plan) if cell is not None and cell.serial < mark else plan


def _inner_plan(tree: Tree, mark: int) -> Plan:
    match tree:
        case Known(value=value):
            return KnownPlan(value)
        case Leaf(content=content):
            return _tensor_plan(content)
        case Number(kind=kind):
            return NumberPlan(kind)
        case Dynamic(content=Stacked(stack=stack)):
            dims = _dims(stack.shape)
            assert stack.dtype is not None and dims is not None
            return StackedPlan(stack.dtype, dims[1:])
        case Dynamic(content=Sequence(value=value)):
            assert isinstance(value.type, ir.SequenceType)
            return SequencePlan(value.type.elem_type.dtype, _dims(value.shape))
        case Dynamic(content=Vector(kind=kind)):
            return VectorPlan(kind)
        case Fixed(items=items, is_list=is_list):
            return FixedPlan(tuple(plan_of(item, mark) for item in items), is_list)
        case Mapping(items=mapping, is_object=is_object):
            return MappingPlan(tuple((key, plan_of(item, mark)) for key, item in mapping.items()), is_object)
        case Optional(item=item):
            return OptionalPlan(plan_of(item, mark))
        case _:
            return UnsetPlan()


def unanchored(plan: Plan) -> Plan:
    """The plan that lets a value pass even where it is the same."""
    return plan.plan if isinstance(plan, SamePlan) else plan


def _tensor_plan(content: Content) -> TensorPlan:
    match content:
        case ir.Value(dtype=dtype, shape=shape):
            assert dtype is not None
            return TensorPlan(dtype, _dims(shape))
        case Complex(real=real):
            assert real.dtype is not None
            return TensorPlan(real.dtype, _dims(real.shape), is_complex=True)
        case _:
            raise UnsupportedError(f"{type(content).__name__} tensors do not pass through branches and loops.")


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
        case KnownPlan(value=Poison()), _:
            return one
        case _, KnownPlan(value=Poison()):
            return other
        case SamePlan(), UnsetPlan():
            return one
        case UnsetPlan(), SamePlan():
            return other
        case SamePlan(), _:
            return join(one.plan, other)
        case _, SamePlan():
            return join(one, other.plan)
        case UnsetPlan(), _:
            return _as_variable(other)
        case _, UnsetPlan():
            return _as_variable(one)
        case OptionalPlan(), OptionalPlan():
            return OptionalPlan(join(one.item, other.item))
        case KnownPlan(value=None), OptionalPlan():
            return other
        case OptionalPlan(), KnownPlan(value=None):
            return one
        case KnownPlan(value=None), _:
            return OptionalPlan(_as_variable(other))
        case _, KnownPlan(value=None):
            return OptionalPlan(_as_variable(one))
        case OptionalPlan(), _:
            return OptionalPlan(join(one.item, _as_variable(other)))
        case _, OptionalPlan():
            return OptionalPlan(join(_as_variable(one), other.item))
        case TensorPlan(), TensorPlan() if one.dtype == other.dtype and one.is_complex == other.is_complex:
            return TensorPlan(one.dtype, _join_dims(one.dims, other.dims), one.is_complex)
        case FixedPlan(), FixedPlan() if len(one.items) == len(other.items):
            return FixedPlan(tuple(map(join, one.items, other.items)), one.is_list)
        case StackedPlan(), StackedPlan() if one.dtype == other.dtype and len(one.dims) == len(other.dims):
            return StackedPlan(one.dtype, _join_dims(one.dims, other.dims) or ())
        case FixedPlan(is_list=True) | SequencePlan() | StackedPlan() | VectorPlan(), FixedPlan(
            is_list=True
        ) | SequencePlan() | StackedPlan() | VectorPlan():
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
    match plan:
        case TensorPlan(dims=tuple() as dims):
            return TensorPlan(plan.dtype, tuple(dim if isinstance(dim, int) else None for dim in dims), plan.is_complex)
        case SequencePlan(dims=tuple() as dims):
            return SequencePlan(plan.dtype, tuple(dim if isinstance(dim, int) else None for dim in dims))
        case StackedPlan(dims=dims):
            return StackedPlan(plan.dtype, tuple(dim if isinstance(dim, int) else None for dim in dims))
        case FixedPlan(items=items):
            return FixedPlan(tuple(map(_as_variable, items)), plan.is_list)
        case MappingPlan(items=pairs):
            return MappingPlan(tuple((key, _as_variable(item)) for key, item in pairs), plan.is_object)
        case OptionalPlan(item=item):
            return OptionalPlan(_as_variable(item))
        case _:
            return plan


def _kind(plan: KnownPlan | NumberPlan) -> type | None:
    if isinstance(plan, NumberPlan):
        return plan.kind
    return type(plan.value) if type(plan.value) in (int, float, bool) else None


def _as_dynamic(plan: Any) -> Any:
    """The plan of a list as one of a list of unknown length; SequencePlan(None, None) for an empty one."""
    if isinstance(plan, StackedPlan):
        return SequencePlan(plan.dtype, plan.dims)
    if not isinstance(plan, FixedPlan):
        return plan
    if not plan.items:
        return SequencePlan(None, None)
    result = _item_list(plan.items[0])
    for item in plan.items[1:]:
        result = _join_dynamic(result, _item_list(item))
    return result


def _item_list(item: Plan) -> SequencePlan | VectorPlan:
    item = unanchored(item)
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
        case SamePlan(plan=inner) | OptionalPlan(item=inner):
            return _describe(inner)
        case _:
            return {
                NumberPlan: "a number",
                SequencePlan: "a list",
                StackedPlan: "a list",
                VectorPlan: "a list",
                UnsetPlan: "unset",
            }[type(plan)]


# Passing


def pass_values(interpreter: Any, tree: Tree, plan: Plan) -> list[ir.Value]:
    """The ONNX values that pass for a tree, in the plan's order. Emits what it takes to make them."""
    b = interpreter.b
    match plan, tree:
        case KnownPlan() | UnsetPlan() | SamePlan(), _:
            return []
        case _, Uninitialized():
            return [_filler(b, kind) for kind in value_types(plan)]
        case OptionalPlan(item=each), Known(value=None):
            return [b.constant(False, ir.DataType.BOOL), *(_filler(b, kind) for kind in value_types(each))]
        case OptionalPlan(item=each), Optional(present=present, item=item):
            return [present.value, *pass_values(interpreter, item, each)]
        case OptionalPlan(item=each), _:
            return [b.constant(True, ir.DataType.BOOL), *pass_values(interpreter, tree, each)]
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
        case StackedPlan(), Dynamic(content=Stacked(stack=stack)):
            return [stack]
        case SequencePlan(), Dynamic(content=Sequence(value=value)):
            return [value]
        case SequencePlan(dtype=dtype), Fixed(items=items):
            if not items:
                return [b.SequenceEmpty(dtype=dtype or ir.DataType.FLOAT)]
            return [b.SequenceConstruct(*[_real(item) for item in items])]
        case VectorPlan(), Dynamic(content=Vector(value=value)):
            return [value]
        case VectorPlan(kind=kind), Fixed(items=items):
            numbers = [item.value if isinstance(item, Known) else item for item in items]
            return [number_list(interpreter, numbers, kind).value]
        case VectorPlan(kind=kind), Dynamic(content=Sequence()):
            return [b.constant([], NUMBER_DTYPE[kind])]
    raise AssertionError(f"{tree} does not fit {plan}")


def _real(item: Tree) -> ir.Value:
    assert isinstance(item, Leaf)
    if not isinstance(item.content, ir.Value):
        raise UnsupportedError("The length of a list of complex or quantized tensors depends on the data.")
    return item.content


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
        case StackedPlan(dtype=dtype, dims=dims):
            return [(ir.TensorType(dtype), ir.Shape([None, *dims]))]
        case VectorPlan(kind=kind):
            return [(ir.TensorType(NUMBER_DTYPE[kind]), ir.Shape([None]))]
        case OptionalPlan(item=item):
            return [(ir.TensorType(ir.DataType.BOOL), ir.Shape([])), *value_types(item)]
        case FixedPlan(items=items):
            return [kind for item in items for kind in value_types(item)]
        case MappingPlan(items=pairs):
            return [kind for _, item in pairs for kind in value_types(item)]
        case _:
            return []


def give(b: Any, plan: Plan, values: Iterator[ir.Value]) -> Any:
    """The value that a plan describes, made of the next ONNX values."""
    match plan:
        case KnownPlan(value=value):
            return value
        case SamePlan(cell=cell):
            return cell
        case OptionalPlan(item=item):
            present = Number(next(values), bool)
            return Perhaps(present, give(b, item, values))
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
        case StackedPlan():
            return List(stacked(b, next(values)))
        case VectorPlan(kind=kind):
            return List(Vector(next(values), kind))
        case FixedPlan(items=items, is_list=is_list):
            given = [give(b, item, values) for item in items]
            return List(given) if is_list else tuple(given)
        case MappingPlan(items=pairs, is_object=is_object):
            made = {key: give(b, item, values) for key, item in pairs}
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

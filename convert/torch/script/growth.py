"""Lists that a loop only appends to: what one trip appends is a scan output of ONNX's Loop."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import SYMBOL_PREFIX
from transload.convert.torch.script.dtypes import NUMBER_DTYPE
from transload.convert.torch.script.ops.containers import number_list, stacked
from transload.convert.torch.script.values import Growing, GrowingError, List, Number, Stacked, Tensor, Vector

_INFERRED = re.compile(re.escape(SYMBOL_PREFIX) + r"(\d+)")


@dataclass(frozen=True, eq=False)
class Growth:
    """What each trip appends to a list: values of one type and shape, or numbers of one kind."""

    values: list[ir.Value]
    kind: type | None


def may_grow(cell: Any) -> bool:
    """Whether a cell may be taken to be a list that is only appended to, and that is no other list."""
    return isinstance(cell, List) and isinstance(cell.raw, list | Vector) and not cell.maybe


def find_growth(interpreter: Any, cell: List, newest: int) -> Growth:
    """What the body of a loop has appended.

    Args:
        newest: The number of the newest symbol of a size before the loop.

    Raises:
        GrowingError: the items have not all the same shape in all trips, or the list has changed otherwise.
    """
    if not isinstance(cell.raw, Growing) or not cell.raw.items:
        raise GrowingError(cell)
    items = cell.raw.items
    kinds = {_kind(cell, item) for item in items}
    if len(kinds) > 1:
        raise GrowingError(cell)
    [kind] = kinds
    b = interpreter.b
    if kind is not None:
        return Growth([b.scalar(item, NUMBER_DTYPE[kind]) for item in items], kind)
    contents = [interpreter.read(item) for item in items]
    if any(not isinstance(each, ir.Value) or each.shape is None for each in contents):
        raise GrowingError(cell)
    if len({(each.dtype, tuple(map(_size, each.shape))) for each in contents}) > 1:
        raise GrowingError(cell)
    if not all(_is_constant(size, newest) for size in contents[0].shape):
        raise GrowingError(cell)
    return Growth(contents, None)


def _kind(cell: List, item: Any) -> type | None:
    match item:
        case Tensor():
            return None
        case Number(kind=kind):
            return kind
        case bool() | int() | float():
            return type(item)
        case _:
            raise GrowingError(cell)


def _size(size: int | ir.SymbolicDim) -> int | str | None:
    return size if isinstance(size, int) else size.value


def _is_constant(size: int | ir.SymbolicDim, newest: int) -> bool:
    """Whether a size is the same in all trips: a number, or one that was known before the loop."""
    if isinstance(size, int):
        return True
    if size.value is None:
        return False
    match = _INFERRED.fullmatch(size.value)
    return match is None or int(match[1]) <= newest


def check_beginning(interpreter: Any, cell: List, content: Any, growth: Growth) -> None:
    """Check that what a list held before the loop can stand before what the loop appends.

    Raises:
        GrowingError: it cannot.
    """
    shape = growth.values[0].shape
    if isinstance(content, list) and not content:
        return
    if growth.kind is not None:
        if isinstance(content, Vector) and content.kind is growth.kind:
            return
        if isinstance(content, list) and all(_kind(cell, item) is growth.kind for item in content):
            return
    elif shape is not None and isinstance(content, list):
        before = [interpreter.read(item) for item in content if isinstance(item, Tensor)]
        alike = [each for each in before if isinstance(each, ir.Value) and each.shape == shape]
        if len(alike) == len(content) and all(each.dtype == growth.values[0].dtype for each in alike):
            return
    raise GrowingError(cell)


def scan_value(b: Any, growth: Growth) -> ir.Value:
    """What one trip appends, as one value: several items along a new first axis."""
    if len(growth.values) == 1:
        return growth.values[0]
    value: ir.Value = b.Concat(*[b.Unsqueeze(each, [0]) for each in growth.values], axis=0)
    return value


def scan_type(growth: Growth) -> tuple[ir.TypeProtocol, ir.Shape]:
    """Type and shape of what all trips append."""
    value = growth.values[0]
    assert value.dtype is not None and value.shape is not None
    count: list[Any] = [len(growth.values)] if len(growth.values) > 1 else []
    return ir.TensorType(value.dtype), ir.Shape([None, *count, *value.shape])


def grown_content(interpreter: Any, content: Any, growth: Growth, scan: ir.Value) -> Stacked | Vector:
    """The content of a list after the loop.

    Args:
        content: Its content before.
        scan: What all trips appended.
    """
    b = interpreter.b
    if len(growth.values) > 1:
        first, second, *rest = b.sizes(scan)
        scan = b.reshape(scan, [b.mul_int(first, second), *rest])
    if growth.kind is not None:
        before = (
            [] if isinstance(content, list) and not content else [number_list(interpreter, content, growth.kind).value]
        )
        return Vector(b.Concat(*before, scan, axis=0) if before else scan, growth.kind)
    if content:
        for item in content:
            interpreter.journal.hold(item.storage)
        values = [interpreter.value(item) for item in content]
        # Where the loop does not run, ONNX Runtime takes unknown sizes of what it appended as zero.
        scan = b.reshape(scan, [b.size(scan, 0), *b.sizes(values[0])])
        parts = [b.Unsqueeze(value, [0]) for value in values]
        scan = b.Concat(*parts, scan, axis=0)
    return stacked(b, scan)

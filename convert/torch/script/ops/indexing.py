"""Taking elements by index or mask, and putting them back."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.ops.views import permute
from transload.convert.torch.script.registry import handler
from transload.serialize.errors import UnsupportedError

INT64, BOOL = ir.DataType.INT64, ir.DataType.BOOL


@handler("aten::embedding")
def embedding(
    b: Builder,
    weight: ir.Value,
    indices: ir.Value,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> ir.Value:
    return b.Gather(weight, indices, axis=0)


@handler("aten::index_select")
def index_select(b: Builder, self: ir.Value, dim: int, index: ir.Value) -> ir.Value:
    if b.rank(self) == 0:
        return b.reshape(self, [])
    index = b.reshape(index, [1]) if b.rank(index) == 0 else index
    return b.Gather(self, index, axis=b.axis(self, dim))


@handler("aten::gather")
def gather(b: Builder, self: ir.Value, dim: int, index: ir.Value) -> ir.Value:
    if b.rank(index) == 0:
        flat = b.reshape(self, [1]) if b.rank(self) == 0 else self
        return b.reshape(b.Gather(flat, b.cast(index, INT64), axis=0), [])
    if b.rank(self) == 0:
        self = b.reshape(self, [1])
    return b.GatherElements(self, index, axis=b.axis(self, dim))


@handler("aten::nonzero")
def nonzero(b: Builder, self: ir.Value) -> ir.Value:
    rank = b.rank(self)
    if rank == 0:
        found = b.NonZero(b.reshape(b.cast(self, BOOL), [1]))
        return b.Slice(b.Transpose(found, perm=[1, 0]), [0], [0], [1])
    return b.with_sizes(b.Transpose(b.NonZero(b.cast(self, BOOL)), perm=[1, 0]), [-1, rank])


@handler("aten::nonzero_numpy")
def nonzero_numpy(b: Builder, self: ir.Value) -> list[ir.Value]:
    value = b.reshape(self, [1]) if b.rank(self) == 0 else self
    rows = b.NonZero(b.cast(value, BOOL))
    return [b.Gather(rows, b.constant(axis), axis=0) for axis in range(b.rank(value))]


@handler("aten::argwhere")
def argwhere(b: Builder, self: ir.Value) -> ir.Value:
    return nonzero(b, self)


@handler("aten::where")
def where_nonzero(b: Builder, condition: ir.Value) -> list[ir.Value]:
    return nonzero_numpy(b, condition)


@handler("aten::masked_select")
def masked_select(b: Builder, self: ir.Value, mask: ir.Value) -> ir.Value:
    # Both are broadcast to each other.
    shape = b.Shape(b.Where(b.cast(mask, BOOL), self, self))
    whole, chosen = b.Expand(self, shape), b.Expand(b.cast(mask, BOOL), shape)
    return b.Compress(b.Reshape(whole, [-1]), b.Reshape(chosen, [-1]))


@handler("aten::take")
def take(b: Builder, self: ir.Value, index: ir.Value) -> ir.Value:
    return b.Gather(b.reshape(self, [-1]), index, axis=0)


@handler("aten::index.Tensor", "aten::_unsafe_index.Tensor")
def index(b: Builder, self: ir.Value, indices: list[ir.Value | None]) -> ir.Value:
    value, given, first = _arranged(b, self, indices)
    if len(given) == 1:
        return b.Gather(value, given[0], axis=first) if first else b.Gather(value, given[0], axis=0)
    order = [*range(first, first + len(given)), *range(first), *range(first + len(given), b.rank(value))]
    front = permute(b, value, order)
    taken = b.GatherND(front, _tuples(b, front, given))
    if not first:
        return taken
    # The indices' dimensions go where the indexed ones were.
    width = b.rank(taken) - (b.rank(value) - len(given))
    back = [*range(width, width + first), *range(width), *range(width + first, b.rank(taken))]
    return permute(b, taken, back)


def _arranged(b: Builder, value: ir.Value, indices: list[ir.Value | None]) -> tuple[ir.Value, list[ir.Value], int]:
    """The tensor with its indexed axes side by side, the indices without masks, and the first indexed axis.

    Indices that do not stand side by side go to the front, as in numpy.
    """
    places: list[tuple[int, ir.Value]] = []
    axis = 0
    for each in indices:
        if each is None:
            axis += 1
        elif each.dtype in (BOOL, ir.DataType.UINT8):
            found = b.NonZero(b.cast(each, BOOL)) if b.rank(each) else None
            if found is None:
                raise UnsupportedError("A tensor is indexed by a mask without dimensions.")
            for row in range(b.rank(each)):
                places.append((axis, b.Gather(found, b.constant(row), axis=0)))
                axis += 1
        else:
            places.append((axis, b.cast(each, INT64)))
            axis += 1
    axes = [place for place, _ in places]
    side_by_side = axes == list(range(axes[0], axes[0] + len(axes)))
    if not side_by_side:
        rest = [each for each in range(b.rank(value)) if each not in axes]
        value = permute(b, value, [*axes, *rest])
        return value, [each for _, each in places], 0
    return value, [each for _, each in places], axes[0]


def _tuples(b: Builder, front: ir.Value, indices: list[ir.Value]) -> ir.Value:
    """Indices broadcast to one shape, as INT64 [..., n], counted from the front."""
    ranks = [b.rank(each) for each in indices]
    shapes = {b.static_shape(each) for each in indices}
    symbolic = {tuple(str(dim) for dim in each.shape) for each in indices if each.shape is not None}
    same = len(set(ranks)) == 1 and (
        (shapes != {None} and len(shapes) == 1) or (len(symbolic) == 1 and "None" not in str(symbolic))
    )
    if not same:
        total = indices[0]
        for each in indices[1:]:
            total = b.Add(total, each)
        shape = b.shape(total)
        indices = [b.Expand(each, shape) for each in indices]
    columns = []
    for each in indices:
        columns.append(b.Unsqueeze(each, [-1]))
    return b.Concat(*columns, axis=-1) if len(columns) > 1 else columns[0]


@handler("aten::index_put", "aten::_unsafe_index_put", "aten::_index_put_impl")
def index_put(
    b: Builder,
    self: ir.Value,
    indices: list[ir.Value | None],
    values: ir.Value,
    accumulate: bool = False,
    unsafe: bool = False,
) -> ir.Value:
    assert self.dtype is not None
    values = b.cast(values, self.dtype)
    present = [each for each in indices if each is not None]
    if len(present) == 1 and present[0].dtype == BOOL and b.rank(values) == 0 and not accumulate:
        place = next(at for at, each in enumerate(indices) if each is not None)
        mask = present[0]
        after = b.rank(self) - place - b.rank(mask)
        mask = b.unsqueeze(mask, *range(b.rank(mask), b.rank(mask) + after)) if after else mask
        return b.Where(mask, values, self)
    value, given, first = _arranged(b, self, indices)
    side_by_side = value is self
    order = [*range(first, first + len(given)), *range(first), *range(first + len(given), b.rank(value))]
    front = permute(b, value, order)
    places = _tuples(b, front, given)
    width = b.rank(places) - 1
    # What is put has the shape that taking by the same indices would give.
    taken_shape = b.Concat(
        b.Slice(b.Shape(places), [0], [width]), b.Slice(b.Shape(front), [len(given)], [2**62]), axis=0
    )
    if first:
        target = b.Concat(
            b.Slice(b.Shape(value), [0], [first]),
            b.Slice(b.Shape(places), [0], [width]),
            b.Slice(b.Shape(value), [first + len(given)], [2**62]),
            axis=0,
        )
        whole = b.Expand(values, target)
        rank = width + b.rank(value) - len(given)
        whole.shape = whole.shape or ir.Shape([None] * rank)
        updates = permute(b, whole, [*range(first, first + width), *range(first), *range(first + width, rank)])
    else:
        updates = b.Expand(values, taken_shape)
    result = b.ScatterND(front, places, updates, reduction="add" if accumulate else "none")
    restored = permute(b, result, sorted(range(len(order)), key=order.__getitem__)) if order else result
    if side_by_side:
        return restored
    axes = _indexed_axes(indices)
    rest = [each for each in range(b.rank(self)) if each not in axes]
    moved = [*axes, *rest]
    return permute(b, restored, sorted(range(len(moved)), key=moved.__getitem__))


def _indexed_axes(indices: list[ir.Value | None]) -> list[int]:
    axes: list[int] = []
    axis = 0
    for each in indices:
        if each is None:
            axis += 1
            continue
        width = each.shape.rank() if each.dtype in (BOOL, ir.DataType.UINT8) and each.shape is not None else 1
        axes += range(axis, axis + width)
        axis += width
    return axes


@handler("aten::scatter.src")
def scatter(b: Builder, self: ir.Value, dim: int, index: ir.Value, src: ir.Value) -> ir.Value:
    return _scatter(b, self, dim, index, src, "none")


@handler("aten::scatter.value")
def scatter_value(b: Builder, self: ir.Value, dim: int, index: ir.Value, value: Any) -> ir.Value:
    assert self.dtype is not None
    return _scatter(b, self, dim, index, b.expand(b.scalar(value, self.dtype), b.sizes(index)), "none")


@handler("aten::scatter_add")
def scatter_add(b: Builder, self: ir.Value, dim: int, index: ir.Value, src: ir.Value) -> ir.Value:
    return _scatter(b, self, dim, index, src, "add")


@handler("aten::scatter.reduce")
def scatter_with(b: Builder, self: ir.Value, dim: int, index: ir.Value, src: ir.Value, reduce: str) -> ir.Value:
    return _scatter(b, self, dim, index, src, {"add": "add", "multiply": "mul"}[reduce])


@handler("aten::scatter.value_reduce")
def scatter_value_with(b: Builder, self: ir.Value, dim: int, index: ir.Value, value: Any, reduce: str) -> ir.Value:
    assert self.dtype is not None
    src = b.expand(b.scalar(value, self.dtype), b.sizes(index))
    return scatter_with(b, self, dim, index, src, reduce)


def _scatter(b: Builder, value: ir.Value, dim: int, index: ir.Value, src: ir.Value, reduction: str) -> ir.Value:
    rank = b.rank(value)
    if rank == 0:
        flat = [b.reshape(each, [1]) for each in (value, index, src)]
        return b.reshape(_scatter(b, flat[0], 0, flat[1], flat[2], reduction), [])
    if b.rank(index) == 0:
        index, src = b.reshape(index, [1]), b.reshape(src, [1])
    # torch reads only the part of `src` that `index` covers.
    same = [b.same_size(one, other) for one, other in zip(b.sizes(index), b.sizes(src), strict=True)]
    if not all(same):
        src = b.Slice(src, b.constant([0] * rank, INT64), b.shape(index))
    return b.ScatterElements(value, index, src, axis=b.axis(rank, dim), reduction=reduction)


@handler("aten::index_fill.int_Scalar", "aten::index_fill.int_Tensor")
def index_fill(b: Builder, self: ir.Value, dim: int, index: ir.Value, value: Any) -> ir.Value:
    assert self.dtype is not None
    return _put_slices(b, self, dim, index, b.scalar(value, self.dtype), "none", fill=True)


@handler("aten::index_copy")
def index_copy(b: Builder, self: ir.Value, dim: int, index: ir.Value, source: ir.Value) -> ir.Value:
    return _put_slices(b, self, dim, index, source, "none")


@handler("aten::index_add")
def index_add(b: Builder, self: ir.Value, dim: int, index: ir.Value, source: ir.Value, alpha: Any = 1) -> ir.Value:
    assert self.dtype is not None
    if alpha != 1:
        source = b.Mul(source, b.scalar(alpha, self.dtype))
    return _put_slices(b, self, dim, index, source, "add")


def _put_slices(
    b: Builder, value: ir.Value, dim: int, index: ir.Value, source: ir.Value, reduction: str, fill: bool = False
) -> ir.Value:
    """Whole slices along an axis."""
    if b.rank(value) == 0:
        source = source if fill else b.reshape(source, [1])
        flat = _put_slices(b, b.reshape(value, [1]), 0, index, source, reduction, fill)
        return b.reshape(flat, [])
    axis = b.axis(value, dim)
    index = b.reshape(index, [1]) if b.rank(index) == 0 else index
    front = b.transpose(value, 0, axis)
    places = b.unsqueeze(b.cast(index, INT64), 1)
    sizes: list[Int] = [b.size(index, 0), *b.sizes(front)[1:]]
    updates = b.expand(source, sizes) if fill else b.transpose(source, 0, axis)
    return b.transpose(b.ScatterND(front, places, updates, reduction=reduction), 0, axis)

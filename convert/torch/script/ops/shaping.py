"""Joining, repeating, reordering and padding tensors."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.dtypes import promote
from transload.convert.torch.script.ops.creation import arange
from transload.convert.torch.script.ops.views import permute
from transload.convert.torch.script.registry import handler
from transload.convert.torch.script.values import Number, Sequence, Stacked
from transload.serialize.errors import UnsupportedError


@handler("aten::cat", "aten::concat", "aten::concatenate")
def cat(b: Builder, tensors: list[ir.Value] | Sequence, dim: int = 0) -> ir.Value:
    if isinstance(tensors, Stacked):
        return _merge(b, tensors.stack, b.axis(b.rank(tensors.stack) - 1, dim))
    if isinstance(tensors, Sequence):
        rank = b.rank(tensors.value) if tensors.value.shape is not None else None
        return b.ConcatFromSequence(tensors.value, axis=dim if rank is None else b.axis(rank, dim), new_axis=0)
    dtype = promote(*tensors)
    # torch lets empty tensors of rank 1 stand beside tensors of any rank.
    parts = [each for each in tensors if not (b.rank(each) == 1 and b.dim(each, 0) == 0)] or tensors[:1]
    parts = [b.cast(each, dtype) for each in parts]
    return parts[0] if len(parts) == 1 else b.Concat(*parts, axis=b.axis(parts[0], dim))


def _move_front(b: Builder, value: ir.Value, axis: int) -> ir.Value:
    """The tensor with its first axis moved to a place."""
    order = [*range(1, b.rank(value))]
    order.insert(axis, 0)
    return b.Transpose(value, perm=order) if axis else value


def _merge(b: Builder, stack: ir.Value, axis: int) -> ir.Value:
    """The slices along the first axis, side by side along another."""
    moved = _move_front(b, stack, axis)
    sizes = b.sizes(moved)
    return b.reshape(moved, [*sizes[:axis], b.mul_int(sizes[axis], sizes[axis + 1]), *sizes[axis + 2 :]])


@handler("aten::stack")
def stack(b: Builder, tensors: list[ir.Value] | Sequence, dim: int = 0) -> ir.Value:
    if isinstance(tensors, Stacked):
        return _move_front(b, tensors.stack, b.axis(tensors.stack, dim))
    if isinstance(tensors, Sequence):
        if tensors.value.shape is not None:
            dim = b.axis(b.rank(tensors.value) + 1, dim)
        return b.ConcatFromSequence(tensors.value, axis=dim, new_axis=1)
    axis = b.axis(b.rank(tensors[0]) + 1, dim)
    dtype = promote(*tensors)
    parts = [b.unsqueeze(b.cast(each, dtype), axis) for each in tensors]
    return parts[0] if len(parts) == 1 else b.Concat(*parts, axis=axis)


@handler("aten::hstack")
def hstack(b: Builder, tensors: list[ir.Value]) -> ir.Value:
    tensors = [b.reshape(each, [1]) if b.rank(each) == 0 else each for each in tensors]
    return cat(b, tensors, 0 if b.rank(tensors[0]) == 1 else 1)


@handler("aten::vstack")
def vstack(b: Builder, tensors: list[ir.Value]) -> ir.Value:
    return cat(b, [_at_least(b, each, 2) for each in tensors], 0)


def _at_least(b: Builder, value: ir.Value, rank: int) -> ir.Value:
    missing = rank - b.rank(value)
    return b.unsqueeze(value, *range(missing)) if missing > 0 else value


@handler("aten::repeat")
def repeat(b: Builder, self: ir.Value, repeats: list[Int]) -> ir.Value:
    value = _at_least(b, self, len(repeats))
    return b.Tile(value, b.int_vector(repeats)) if repeats else value


@handler("aten::tile")
def tile(b: Builder, self: ir.Value, dims: list[Int]) -> ir.Value:
    return repeat(b, self, [*[1] * (b.rank(self) - len(dims)), *dims])


@handler("aten::flip")
def flip(b: Builder, self: ir.Value, dims: list[int]) -> ir.Value:
    if not dims or b.rank(self) == 0:
        return self
    axes = [b.axis(self, dim) for dim in dims]
    return b.Slice(self, [-1] * len(axes), [-(2**63)] * len(axes), axes, [-1] * len(axes))


@handler("aten::roll")
def roll(b: Builder, self: ir.Value, shifts: list[Int], dims: list[int] | None = None) -> ir.Value:
    if not dims:
        flat = roll(b, b.reshape(self, [-1]), shifts, [0])
        return b.reshape(flat, b.sizes(self))
    result = self
    for shift, dim in zip(shifts, dims, strict=True):
        axis = b.axis(result, dim)
        size = b.size(result, axis)
        if size == 0:
            continue
        if isinstance(shift, int) and isinstance(size, int):
            cut: ir.Value = b.constant([-shift % size], ir.DataType.INT64)
        else:
            whole = b.scalar(size, ir.DataType.INT64)
            cut = b.Reshape(b.Mod(b.Neg(b.scalar(shift, ir.DataType.INT64)), whole), [1])
        head = b.Slice(result, [0], cut, [axis])
        tail = b.Slice(result, cut, [2**63 - 1], [axis])
        result = b.with_sizes(b.Concat(tail, head, axis=axis), b.sizes(result))
    return result


@handler("aten::tril")
def tril(b: Builder, self: ir.Value, diagonal: Int = 0) -> ir.Value:
    return _triangle(b, self, diagonal, upper=False)


@handler("aten::triu")
def triu(b: Builder, self: ir.Value, diagonal: Int = 0) -> ir.Value:
    return _triangle(b, self, diagonal, upper=True)


def _triangle(b: Builder, value: ir.Value, diagonal: Int, upper: bool) -> ir.Value:
    # Where, not ONNX's Trilu: ONNX Runtime has no Trilu for most types.
    rows, columns = (b.scalar_range(b.size(value, axis)) for axis in (-2, -1))
    edge = b.Add(b.unsqueeze(rows, 1), b.scalar(diagonal, ir.DataType.INT64))
    columns = b.unsqueeze(columns, 0)
    keep = b.LessOrEqual(edge, columns) if upper else b.GreaterOrEqual(edge, columns)
    zero = b.constant(False) if value.dtype == ir.DataType.BOOL else b.constant(0, value.dtype)
    return b.Where(keep, value, zero)


@handler("aten::constant_pad_nd")
def constant_pad_nd(b: Builder, self: ir.Value, pad: list[Int], value: Any = 0) -> ir.Value:
    return _pad(b, self, pad, "constant", value)


@handler("aten::pad")
def pad(b: Builder, self: ir.Value, pad: list[Int], mode: str = "constant", value: Any = None) -> ir.Value:
    return _pad(b, self, pad, mode, 0 if value is None else value)


@handler("aten::reflection_pad1d", "aten::reflection_pad2d", "aten::reflection_pad3d")
def reflection_pad(b: Builder, self: ir.Value, padding: list[Int]) -> ir.Value:
    return _pad(b, self, padding, "reflect", 0)


@handler("aten::replication_pad1d", "aten::replication_pad2d", "aten::replication_pad3d")
def replication_pad(b: Builder, self: ir.Value, padding: list[Int]) -> ir.Value:
    return _pad(b, self, padding, "replicate", 0)


def _pad(b: Builder, value: ir.Value, pad: list[Int], mode: str, fill: Any) -> ir.Value:
    rank = b.rank(value)
    before: list[Int] = [0] * rank
    after: list[Int] = [0] * rank
    # torch names the last dimension first.
    for index in range(len(pad) // 2):
        before[rank - 1 - index], after[rank - 1 - index] = pad[2 * index], pad[2 * index + 1]
    if all(isinstance(size, int) and size == 0 for size in [*before, *after]):
        return value
    if any(isinstance(size, int) and size < 0 for size in pad):
        starts = [-min(size, 0) if isinstance(size, int) else 0 for size in before]
        ends = [min(size, 0) if isinstance(size, int) and size < 0 else 2**63 - 1 for size in after]
        value = b.Slice(value, b.int_vector(starts), b.int_vector(ends))
        before = [max(size, 0) if isinstance(size, int) else size for size in before]
        after = [max(size, 0) if isinstance(size, int) else size for size in after]
    pads = b.int_vector([*before, *after])
    onnx_mode = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    if onnx_mode == "wrap":
        return _wrap(b, value, before, after)
    if onnx_mode == "constant":
        if value.dtype == ir.DataType.BOOL:
            return b.cast(
                b.Pad(b.cast(value, ir.DataType.INT32), pads, b.constant(int(fill), ir.DataType.INT32)), value.dtype
            )
        result = b.Pad(value, pads, b.scalar(fill, value.dtype))  # type: ignore[arg-type]
    else:
        result = b.Pad(value, pads, mode=onnx_mode)
    known = [
        b.add_int(b.add_int(b.size(value, axis), before[axis]), after[axis])
        if isinstance(b.dim(value, axis), int)
        else -1
        for axis in range(rank)
    ]
    return b.with_sizes(result, known)


def _wrap(b: Builder, value: ir.Value, before: list[Int], after: list[Int]) -> ir.Value:
    """Circular padding: the end before the beginning, and the other way round."""
    for axis, (low, high) in enumerate(zip(before, after, strict=True)):
        parts = [value]
        if low != 0:
            start = b.int_vector([-low]) if isinstance(low, int) else b.Neg(b.as_vector(low.value))
            parts.insert(0, b.Slice(value, start, [2**63 - 1], [axis]))
        if high != 0:
            parts.append(b.Slice(value, [0], b.int_vector([high]), [axis]))
        if len(parts) > 1:
            value = b.Concat(*parts, axis=axis)
    return value


@handler("aten::rot90")
def rot90(b: Builder, self: ir.Value, k: int = 1, dims: list[int] = [0, 1]) -> ir.Value:  # noqa: B006
    one, other = (b.axis(self, dim) for dim in dims)
    match k % 4:
        case 1:
            return b.transpose(flip(b, self, [other]), one, other)
        case 2:
            return flip(b, self, [one, other])
        case 3:
            return b.transpose(flip(b, self, [one]), one, other)
        case _:
            return self


@handler("aten::meshgrid", "aten::meshgrid.indexing")
def meshgrid(b: Builder, tensors: list[ir.Value], indexing: str = "ij") -> list[ir.Value]:
    flat = [b.reshape(each, [1]) if b.rank(each) == 0 else each for each in tensors]
    sizes = [b.size(each, 0) for each in flat]
    count = len(flat)
    grids = []
    for index, each in enumerate(flat):
        axes = [axis for axis in range(count) if axis != index]
        grids.append(b.expand(b.unsqueeze(each, *axes) if axes else each, sizes))
    return [b.transpose(grid, 0, 1) for grid in grids] if indexing == "xy" and count > 1 else grids


@handler("aten::repeat_interleave.self_int")
def repeat_interleave(
    b: Builder, self: ir.Value, repeats: Int, dim: int | None = None, output_size: Any = None
) -> ir.Value:
    if dim is None:
        self, dim = b.reshape(self, [-1]), 0
    axis = b.axis(self, dim)
    sizes = b.sizes(self)
    if not sizes:
        return b.expand(b.reshape(self, [1]), [repeats])
    spread = b.expand(b.unsqueeze(self, axis + 1), [*sizes[: axis + 1], repeats, *sizes[axis + 1 :]])
    return b.reshape(spread, [*sizes[:axis], b.mul_int(sizes[axis], repeats), *sizes[axis + 1 :]])


@handler("aten::pixel_shuffle")
def pixel_shuffle(b: Builder, self: ir.Value, upscale_factor: int) -> ir.Value:
    *batch, channels, height, width = b.sizes(self)
    if isinstance(channels, Number):
        raise UnsupportedError("The number of channels depends on the inputs.")
    r = upscale_factor
    parts = b.reshape(self, [*batch, channels // (r * r), r, r, height, width])
    n = len(batch)
    mixed = permute(b, parts, [*range(n), n, n + 3, n + 1, n + 4, n + 2])
    return b.reshape(mixed, [*batch, channels // (r * r), b.mul_int(height, r), b.mul_int(width, r)])


@handler("aten::pixel_unshuffle")
def pixel_unshuffle(b: Builder, self: ir.Value, downscale_factor: int) -> ir.Value:
    *batch, channels, height, width = b.sizes(self)
    r = downscale_factor
    h, w = (_divided(b, size, r) for size in (height, width))
    parts = b.reshape(self, [*batch, channels, h, r, w, r])
    n = len(batch)
    mixed = permute(b, parts, [*range(n), n, n + 2, n + 4, n + 1, n + 3])
    return b.reshape(mixed, [*batch, b.mul_int(channels, r * r), h, w])


def _divided(b: Builder, size: Int, by: int) -> Int:
    return size // by if isinstance(size, int) else Number(b.Div(size.value, by), int)


@handler("aten::channel_shuffle", "aten::native_channel_shuffle")
def channel_shuffle(b: Builder, self: ir.Value, groups: int) -> ir.Value:
    batch, channels, *rest = b.sizes(self)
    parts = b.reshape(self, [batch, groups, _divided(b, channels, groups), *rest])
    return b.reshape(b.transpose(parts, 1, 2), [batch, channels, *rest])


__all__ = ["arange", "cat", "stack"]

LINEAR = frozenset(
    {
        "aten::cat", "aten::concat", "aten::concatenate", "aten::stack", "aten::hstack", "aten::vstack",
        "aten::repeat", "aten::tile", "aten::flip", "aten::roll", "aten::tril", "aten::triu", "aten::rot90",
        "aten::constant_pad_nd", "aten::meshgrid", "aten::meshgrid.indexing", "aten::repeat_interleave.self_int",
        "aten::reflection_pad1d", "aten::reflection_pad2d", "aten::replication_pad1d", "aten::replication_pad2d",
        "aten::index.Tensor", "aten::index_select", "aten::gather", "aten::sum", "aten::sum.dim_IntList", "aten::mean",
        "aten::mean.dim", "aten::take", "aten::masked_select", "aten::cumsum", "aten::trace",
        "aten::index_put", "aten::scatter.src", "aten::index_copy", "aten::diag_embed", "aten::pixel_shuffle",
        "aten::neg", "aten::channel_shuffle", "aten::index_add", "aten::scatter_add",
    }
)  # fmt: skip

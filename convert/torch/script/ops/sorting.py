"""Order: ranks, medians, running extremes, places in sorted tensors, distinct values, counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.dtypes import dtype_of, is_float
from transload.convert.torch.script.ops.special import logaddexp
from transload.convert.torch.script.registry import handler
from transload.convert.torch.script.values import Number
from transload.serialize.errors import UnsupportedError

INT64, BOOL, DOUBLE = ir.DataType.INT64, ir.DataType.BOOL, ir.DataType.DOUBLE


def _ascending(b: Builder, value: ir.Value, axis: int) -> tuple[ir.Value, ir.Value]:
    """Sorted values and where they were, NaN last; equal ones in their order."""
    size = b.int_vector([b.size(value, axis)])
    keys = b.Where(b.IsNaN(value), math.inf, value) if is_float(dtype_of(value)) else value
    _, indices = b.TopK(keys, size, axis=axis, largest=0, sorted=1, _outputs=2)
    return b.GatherElements(value, indices, axis=axis), indices


def _any_nan(b: Builder, value: ir.Value, axis: int) -> ir.Value:
    return b.cast(b.ReduceMax(b.cast(b.IsNaN(value), ir.DataType.INT32), [axis], keepdims=1), BOOL)


def _dropped(b: Builder, value: ir.Value, axis: int, keepdim: bool) -> ir.Value:
    return value if keepdim else b.squeeze(value, axis)


@handler("aten::kthvalue")
def kthvalue(b: Builder, self: ir.Value, k: Int, dim: int = -1, keepdim: bool = False) -> tuple[ir.Value, ir.Value]:
    if b.rank(self) == 0:
        return self, b.constant(0)
    axis = b.axis(self, dim)
    values, indices = _ascending(b, self, axis)
    place = b.int_vector([b.add_int(k, -1)])
    return tuple(_dropped(b, b.Gather(each, place, axis=axis), axis, keepdim) for each in (values, indices))  # type: ignore[return-value]


@handler("aten::median.dim")
def median_dim(b: Builder, self: ir.Value, dim: int, keepdim: bool = False) -> tuple[ir.Value, ir.Value]:
    if b.rank(self) == 0:
        return self, b.constant(0)
    axis = b.axis(self, dim)
    values, indices = _ascending(b, self, axis)
    count = b.scalar(b.size(self, axis), INT64)
    place = b.Reshape(b.Div(b.Sub(count, 1), 2), [1])
    middle, where = (b.Gather(each, place, axis=axis) for each in (values, indices))
    if is_float(dtype_of(self)):
        nan = b.IsNaN(self)
        first = b.ArgMax(b.cast(nan, ir.DataType.INT32), axis=axis, keepdims=1)
        spoiled = _any_nan(b, self, axis)
        middle, where = b.Where(spoiled, math.nan, middle), b.Where(spoiled, first, where)
    return _dropped(b, middle, axis, keepdim), _dropped(b, where, axis, keepdim)


@handler("aten::median")
def median(b: Builder, self: ir.Value) -> ir.Value:
    return median_dim(b, b.reshape(self, [-1]), 0)[0]


@handler("aten::nanmedian.dim")
def nanmedian_dim(b: Builder, self: ir.Value, dim: int, keepdim: bool = False) -> tuple[ir.Value, ir.Value]:
    if b.rank(self) == 0 or not is_float(dtype_of(self)):
        return median_dim(b, self, dim, keepdim)
    axis = b.axis(self, dim)
    values, indices = _ascending(b, self, axis)
    count = b.ReduceSum(b.cast(b.Not(b.IsNaN(self)), INT64), [axis], keepdims=1)
    place = b.Max(b.Div(b.Sub(count, 1), 2), b.constant(0))
    middle, where = (b.GatherElements(each, place, axis=axis) for each in (values, indices))
    return _dropped(b, middle, axis, keepdim), _dropped(b, where, axis, keepdim)


@handler("aten::nanmedian")
def nanmedian(b: Builder, self: ir.Value) -> ir.Value:
    return nanmedian_dim(b, b.reshape(self, [-1]), 0)[0]


@handler("aten::mode")
def mode(b: Builder, self: ir.Value, dim: int = -1, keepdim: bool = False) -> tuple[ir.Value, ir.Value]:
    if b.rank(self) == 0:
        return self, b.constant(0)
    axis, rank = b.axis(self, dim), b.rank(self)
    last = b.transpose(self, axis, rank - 1)
    value = b.cast(last, INT64) if last.dtype == BOOL else last
    same = b.Equal(b.Unsqueeze(value, [-1]), b.Unsqueeze(value, [-2]))
    counts = b.ReduceSum(b.cast(same, INT64), [-1], keepdims=0)
    often = b.Equal(counts, b.ReduceMax(counts, [-1], keepdims=1))
    # Of the most frequent values the smallest, and where it stands last.
    highest = b.ReduceMax(value, keepdims=0)
    best = b.ReduceMin(b.Where(often, value, highest), [-1], keepdims=1)
    place = b.ReduceMax(b.Where(b.Equal(value, best), b.scalar_range(b.size(value, -1)), -1), [-1], keepdims=1)
    found = b.cast(best, dtype_of(self))
    return tuple(_dropped(b, b.transpose(each, axis, rank - 1), axis, keepdim) for each in (found, place))  # type: ignore[return-value]


# Running values, by doubling: after each step, a place knows twice as many places before it


def _doubling(
    b: Builder, parts: list[ir.Value], axis: int, combine: Callable[[list[ir.Value], list[ir.Value]], list[ir.Value]]
) -> list[ir.Value]:
    size = b.dim(parts[0], axis)
    if size is None:
        raise UnsupportedError("A running value over a size that depends on the inputs.")
    step = 1
    while step < size:
        before = [b.Slice(part, [0], [size - step], [axis]) for part in parts]
        here = [b.Slice(part, [step], [size], [axis]) for part in parts]
        head = [b.Slice(part, [0], [step], [axis]) for part in parts]
        joined = combine(before, here)
        parts = [b.Concat(first, rest, axis=axis) for first, rest in zip(head, joined, strict=True)]
        step *= 2
    return parts


def _running_extreme(b: Builder, value: ir.Value, dim: int, comparison: str) -> tuple[ir.Value, ir.Value]:
    if b.rank(value) == 0:
        return value, b.constant(0)
    axis = b.axis(value, dim)
    dtype = dtype_of(value)
    narrow = dtype in (BOOL, ir.DataType.UINT8, ir.DataType.INT8, ir.DataType.INT16)
    whole = b.cast(value, INT64) if narrow else value
    after = b.rank(value) - axis - 1
    places = b.scalar_range(b.size(value, axis))
    places = b.expand(b.unsqueeze(places, *range(1, after + 1)) if after else places, b.sizes(value))

    def combine(before: list[ir.Value], here: list[ir.Value]) -> list[ir.Value]:
        newer = getattr(b, comparison)(here[0], before[0])
        if is_float(dtype):
            newer = b.Or(b.IsNaN(here[0]), b.And(newer, b.Not(b.IsNaN(before[0]))))
        return [b.Where(newer, one, other) for one, other in zip(here, before, strict=True)]

    values, indices = _doubling(b, [whole, places], axis, combine)
    return b.cast(values, dtype), indices


@handler("aten::cummax")
def cummax(b: Builder, self: ir.Value, dim: int) -> tuple[ir.Value, ir.Value]:
    return _running_extreme(b, self, dim, "GreaterOrEqual")


@handler("aten::cummin")
def cummin(b: Builder, self: ir.Value, dim: int) -> tuple[ir.Value, ir.Value]:
    return _running_extreme(b, self, dim, "LessOrEqual")


@handler("aten::logcumsumexp")
def logcumsumexp(b: Builder, self: ir.Value, dim: int) -> ir.Value:
    if b.rank(self) == 0:
        return self
    [wide] = _doubling(
        b, [b.cast(self, DOUBLE)], b.axis(self, dim), lambda before, here: [logaddexp(b, before[0], here[0])]
    )
    return b.cast(wide, dtype_of(self))


# Places in sorted tensors, membership


@handler("aten::searchsorted.Tensor", "aten::searchsorted.Scalar")
def searchsorted(
    b: Builder,
    sorted_sequence: ir.Value,
    self: Any,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: ir.Value | None = None,
) -> ir.Value:
    edges = sorted_sequence if sorter is None else b.GatherElements(sorted_sequence, sorter, axis=-1)
    value = self if isinstance(self, ir.Value) else b.scalar(self, dtype_of(edges))
    edges, value = b.promoted(edges, value)
    if b.rank(edges) > 1:
        edges = b.Unsqueeze(edges, [-2])
    before = b.LessOrEqual if right or side == "right" else b.Less
    below = before(edges, b.Unsqueeze(value, [-1]))
    count = b.ReduceSum(b.cast(below, INT64), [-1], keepdims=0)
    return b.cast(count, ir.DataType.INT32) if out_int32 else count


@handler("aten::bucketize.Tensor", "aten::bucketize.Scalar")
def bucketize(b: Builder, self: Any, boundaries: ir.Value, out_int32: bool = False, right: bool = False) -> ir.Value:
    return searchsorted(b, boundaries, self, out_int32, right)


@handler("aten::isin.Tensor_Tensor")
def isin(
    b: Builder, elements: ir.Value, test_elements: ir.Value, assume_unique: bool = False, invert: bool = False
) -> ir.Value:
    one, two = b.promoted(elements, test_elements)
    same = b.Equal(b.Unsqueeze(one, [-1]), b.reshape(two, [-1]))
    found = b.Greater(b.ReduceSum(b.cast(same, INT64), [-1], keepdims=0), 0)
    return b.Not(found) if invert else found


# Distinct values and counts


def _unique(b: Builder, value: ir.Value, axis: int | None) -> tuple[ir.Value, ir.Value, ir.Value]:
    if value.dtype == BOOL:
        found, inverse, counts = _unique(b, b.cast(value, INT64), axis)
        return b.cast(found, BOOL), inverse, counts
    found, _, inverse, counts = b.Unique(value, axis=axis, sorted=1, _outputs=4)
    return found, inverse, counts


@handler("aten::_unique2")
def unique2(
    b: Builder, self: ir.Value, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False
) -> tuple[ir.Value, ir.Value, ir.Value]:
    found, inverse, counts = _unique(b, self, None)
    return found, b.reshape(inverse, b.sizes(self)), counts


@handler("aten::unique_dim")
def unique_dim(
    b: Builder, self: ir.Value, dim: int, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False
) -> tuple[ir.Value, ir.Value, ir.Value]:
    return _unique(b, self, b.axis(self, dim))


@handler("aten::unique_consecutive")
def unique_consecutive(
    b: Builder, self: ir.Value, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> tuple[ir.Value, ir.Value, ir.Value]:
    value = b.reshape(self, [-1]) if dim is None else self
    axis = 0 if dim is None else b.axis(self, dim)
    rank = b.rank(value)
    if rank == 0 or b.dim(value, axis) == 0:
        raise UnsupportedError("Runs of equal values in a tensor without elements.")
    before, here = b.Slice(value, [0], [-1], [axis]), b.Slice(value, [1], [2**62], [axis])
    change = b.cast(b.Not(b.Equal(before, here)), INT64)
    others = [each for each in range(rank) if each != axis]
    change = b.ReduceMax(change, others, keepdims=0) if others else change
    begins = b.Concat(b.constant([1], INT64), change, axis=0)
    found = b.Compress(value, b.cast(begins, BOOL), axis=axis)
    inverse = b.Sub(b.CumSum(begins, b.constant(0)), 1)
    count = b.Shape(found, start=axis, end=axis + 1)
    ones = b.expand(b.constant(1), [b.size(begins, 0)])
    counts = b.ScatterElements(b.Expand(b.constant(0), count), inverse, ones, axis=0, reduction="add")
    return found, b.reshape(inverse, b.sizes(self)) if dim is None else inverse, counts


@handler("aten::bincount")
def bincount(b: Builder, self: ir.Value, weights: ir.Value | None = None, minlength: Int = 0) -> ir.Value:
    values = b.cast(self, INT64)
    least = b.Sub(b.int_vector([minlength]), 1)
    largest = b.ReduceMax(b.Concat(values, least, axis=0), [0], keepdims=1)
    if weights is None:
        weights = b.expand(b.constant(1), [b.size(values, 0)])
    elif not is_float(dtype_of(weights)):
        weights = b.cast(weights, DOUBLE)
    zeros = b.Expand(b.constant(0, weights.dtype), b.Add(largest, 1))
    return b.ScatterElements(zeros, values, weights, axis=0, reduction="add")


@handler("aten::histc")
def histc(b: Builder, self: ir.Value, bins: int = 100, min: Any = 0, max: Any = 0) -> ir.Value:
    dtype = dtype_of(self)
    if not is_float(dtype) or isinstance(bins, Number):
        raise UnsupportedError("A histogram of integers, or of a number of bins that depends on the data.")
    value = b.reshape(self, [-1])
    low, high = b.scalar(min, dtype), b.scalar(max, dtype)
    if min == max:
        if b.dim(value, 0) == 0:
            raise UnsupportedError("A histogram of no values without bounds.")
        low, high = b.ReduceMin(value, keepdims=0), b.ReduceMax(value, keepdims=0)
        flat = b.Equal(low, high)
        low, high = b.Where(flat, b.Sub(low, 1), low), b.Where(flat, b.Add(high, 1), high)
    place = b.Floor(b.Div(b.Mul(b.Sub(value, low), float(bins)), b.Sub(high, low)))
    place = b.Min(b.cast(b.Where(b.IsNaN(place), -1, place), INT64), b.constant(bins - 1))
    inside = b.And(b.GreaterOrEqual(value, low), b.LessOrEqual(value, high))
    zeros = b.constant([0.0] * bins, dtype)
    return b.ScatterElements(zeros, b.Where(inside, place, 0), b.cast(inside, dtype), axis=0, reduction="add")


@handler("aten::one_hot")
def one_hot(b: Builder, self: ir.Value, num_classes: Int = -1) -> ir.Value:
    if isinstance(num_classes, int) and num_classes < 0:
        count = b.Add(b.ReduceMax(self, keepdims=0), 1)
        classes = b.Range(b.constant(0), count, b.constant(1))
    else:
        classes = b.scalar_range(num_classes)
    return b.cast(b.Equal(b.Unsqueeze(self, [-1]), classes), INT64)


@handler("aten::nonzero_static")
def nonzero_static(b: Builder, self: ir.Value, size: int, fill_value: int = -1) -> ir.Value:
    from transload.convert.torch.script.ops.indexing import nonzero

    found = nonzero(b, self)
    rank = b.rank(self)
    filler = b.expand(b.constant(fill_value, INT64), [size, rank])
    whole = b.Slice(b.Concat(found, filler, axis=0), [0], [size], [0])
    return b.with_sizes(whole, [size, rank])

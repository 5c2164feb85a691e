"""Values put together by index: reductions, sources in order, bags of embeddings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.dtypes import TO_TORCH, dtype_of, is_float
from transload.convert.torch.script.ops.elementwise import floor_divide
from transload.convert.torch.script.ops.sorting import searchsorted
from transload.convert.torch.script.ops.views import write_diagonal
from transload.convert.torch.script.registry import handler
from transload.serialize.errors import UnsupportedError

INT64, BOOL = ir.DataType.INT64, ir.DataType.BOOL

REDUCTIONS = {"sum": "add", "prod": "mul", "mean": "add", "amax": "max", "amin": "min"}


def _neutral(reduce: str, dtype: ir.DataType) -> Any:
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    if is_float(dtype):
        return -math.inf if reduce == "amax" else math.inf
    info = np.iinfo(str(TO_TORCH[dtype]).removeprefix("torch."))
    return info.min if reduce == "amax" else info.max


def _check(b: Builder, reduce: str, dtype: ir.DataType) -> None:
    if reduce in ("amax", "amin") and b.opset < 18:
        raise UnsupportedError(f"Scattering by {reduce} needs opset 18.", hint="Choose a newer --opset.")
    if dtype == BOOL:
        raise UnsupportedError("Scattering of bool with a reduction.")


def _mean(b: Builder, total: ir.Value, count: ir.Value) -> ir.Value:
    count = b.Where(b.Equal(count, 0), 1, count)
    return b.Div(total, count) if is_float(dtype_of(total)) else floor_divide(b, total, count)


@handler("aten::scatter_reduce.two")
def scatter_reduce(
    b: Builder, self: ir.Value, dim: int, index: ir.Value, src: ir.Value, reduce: str, include_self: bool = True
) -> ir.Value:
    dtype = dtype_of(self)
    _check(b, reduce, dtype)
    if b.rank(self) == 0 or b.rank(index) == 0:
        parts = [b.reshape(each, [1]) if b.rank(each) == 0 else each for each in (self, index, src)]
        return b.reshape(scatter_reduce(b, parts[0], 0, parts[1], parts[2], reduce, include_self), b.sizes(self))
    axis = b.axis(self, dim)
    src = b.Slice(src, b.constant([0] * b.rank(self), INT64), b.shape(index))

    def scatter(base: ir.Value, updates: ir.Value, how: str) -> ir.Value:
        return b.ScatterElements(base, index, updates, axis=axis, reduction=how)

    base = self
    if not include_self:
        neutral = b.expand(b.constant(_neutral(reduce, dtype), dtype), b.sizes(index))
        base = scatter(self, neutral, "none")
    result = scatter(base, src, REDUCTIONS[reduce])
    if reduce != "mean":
        return result
    ones = b.expand(b.constant(1, dtype), b.sizes(index))
    start = b.expand(b.constant(1, dtype), b.sizes(self))
    if not include_self:
        start = scatter(start, b.expand(b.constant(0, dtype), b.sizes(index)), "none")
    return _mean(b, result, scatter(start, ones, "add"))


@handler("aten::index_reduce")
def index_reduce(
    b: Builder, self: ir.Value, dim: int, index: ir.Value, source: ir.Value, reduce: str, include_self: bool = True
) -> ir.Value:
    if b.rank(self) == 0:
        flat = index_reduce(b, b.reshape(self, [1]), 0, index, b.reshape(source, [1]), reduce, include_self)
        return b.reshape(flat, [])
    axis = b.axis(self, dim)
    index = b.reshape(index, [1]) if b.rank(index) == 0 else index
    after = b.rank(self) - axis - 1
    spread = b.unsqueeze(b.cast(index, INT64), *range(1, after + 1)) if after else b.cast(index, INT64)
    sizes = b.sizes(self)
    sizes[axis] = b.size(index, 0)
    return scatter_reduce(b, self, axis, b.expand(spread, sizes), source, reduce, include_self)


@handler("aten::masked_scatter")
def masked_scatter(b: Builder, self: ir.Value, mask: ir.Value, source: ir.Value) -> ir.Value:
    whole = b.expand(b.cast(mask, BOOL), b.sizes(self))
    flat = b.reshape(whole, [-1])
    order = b.Sub(b.CumSum(b.cast(flat, INT64), b.constant(0)), 1)
    values = b.reshape(source, [-1])
    taken = b.Gather(values, b.Max(order, b.constant(0)), axis=0)
    return b.reshape(b.Where(flat, taken, b.reshape(self, [-1])), b.sizes(self))


@handler("aten::put")
def put(b: Builder, self: ir.Value, index: ir.Value, source: ir.Value, accumulate: bool = False) -> ir.Value:
    flat, places, values = (b.reshape(each, [-1]) for each in (self, index, source))
    result = b.ScatterElements(flat, places, values, axis=0, reduction="add" if accumulate else "none")
    return b.reshape(result, b.sizes(self))


@handler("aten::diagonal_scatter")
def diagonal_scatter(
    b: Builder, self: ir.Value, src: ir.Value, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> ir.Value:
    return write_diagonal(b, self, src, offset, dim1, dim2)


@handler("aten::tensor_split.tensor_indices_or_sections")
def tensor_split(b: Builder, self: ir.Value, tensor_indices_or_sections: ir.Value, dim: int = 0) -> list[ir.Value]:
    from transload.convert.torch.script.ops.views import tensor_split as by_sections
    from transload.convert.torch.script.ops.views import tensor_split_indices

    known = b.known(tensor_indices_or_sections)
    if known is None:
        raise UnsupportedError("Into which parts a tensor is split depends on the data.")
    if known.dim() == 0:
        return by_sections(b, self, int(known), dim)
    return tensor_split_indices(b, self, [int(each) for each in known], dim)


@handler("aten::repeat_interleave.self_Tensor")
def repeat_interleave(
    b: Builder, self: ir.Value, repeats: ir.Value, dim: int | None = None, output_size: Any = None
) -> ir.Value:
    value = b.reshape(self, [-1]) if dim is None else self
    axis = 0 if dim is None else b.axis(self, dim)
    times = b.expand(b.cast(repeats, INT64), [b.size(value, axis)])
    return b.Gather(value, repeat_interleave_tensor(b, times), axis=axis)


@handler("aten::repeat_interleave.Tensor")
def repeat_interleave_tensor(b: Builder, repeats: ir.Value, output_size: Any = None) -> ir.Value:
    ends = b.CumSum(b.cast(repeats, INT64), b.constant(0))
    total = b.ReduceSum(b.cast(repeats, INT64), keepdims=0)
    return searchsorted(b, ends, b.Range(b.constant(0), total, b.constant(1)), right=True)


SUM, MEAN, MAX = 0, 1, 2


@handler("aten::embedding_bag", "aten::embedding_bag.padding_idx", "aten::_embedding_bag_forward_only")
def embedding_bag(
    b: Builder,
    weight: ir.Value,
    indices: ir.Value,
    offsets: ir.Value,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: ir.Value | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Any, ...]:
    """Bags of rows, each summed, averaged or reduced to its largest; an empty bag is zeros."""
    dtype = dtype_of(weight)
    starts = b.cast(offsets, INT64)
    if include_last_offset:
        starts = b.Slice(starts, [0], [-1], [0])
    count: Int = b.size(starts, 0)
    position = b.scalar_range(b.size(indices, 0))
    bag = b.Sub(searchsorted(b, starts, position, right=True), 1)
    rows = b.Gather(weight, indices, axis=0)
    if per_sample_weights is not None:
        rows = b.Mul(rows, b.unsqueeze(per_sample_weights, 1))
    width = b.size(weight, 1)
    counted = b.expand(b.constant(1, dtype), [b.size(indices, 0), 1])
    if padding_idx is not None and padding_idx >= 0:
        kept = b.unsqueeze(b.Not(b.Equal(indices, b.constant(padding_idx, indices.dtype))), 1)
        counted = b.cast(kept, dtype)
        rows = b.Where(kept, rows, b.constant(-math.inf if mode == MAX else 0, dtype))
    places = b.expand(b.unsqueeze(bag, 1), [b.size(indices, 0), width])
    base = b.expand(b.constant(-math.inf if mode == MAX else 0, dtype), [count, width])
    if mode == MAX:
        _check(b, "amax", dtype)
    result = b.ScatterElements(base, places, rows, axis=0, reduction="max" if mode == MAX else "add")
    sizes = b.ScatterElements(
        b.expand(b.constant(0, dtype), [count, 1]), b.unsqueeze(bag, 1), counted, axis=0, reduction="add"
    )
    if mode == MEAN:
        result = b.Div(result, b.Where(b.Equal(sizes, 0), 1, sizes))
    if mode == MAX:
        result = b.Where(b.Equal(sizes, 0), 0, result)
    return result, None, None, None

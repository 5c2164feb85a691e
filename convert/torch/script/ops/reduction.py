"""Sums, means, extremes and other values over dimensions."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.dtypes import default_float
from transload.convert.torch.script.registry import handler

FLOAT, INT64, BOOL = ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.BOOL


def reduce(b: Builder, op_type: str, value: ir.Value, dim: list[int] | int | None, keepdim: bool) -> ir.Value:
    """An ONNX reduction over some dimensions; None or no dimensions are all of them."""
    rank = b.rank(value)
    dims = [dim] if isinstance(dim, int) else dim
    if rank == 0:
        return value
    axes = sorted({b.axis(rank, each) for each in dims}) if dims else list(range(rank))
    if op_type == "ReduceMean" and not all(b.dim(value, axis) for axis in axes):
        # ONNX Runtime gives 0 for the mean of nothing.
        return _mean_of_any_size(b, value, axes, keepdim)
    result: ir.Value = getattr(b, op_type)(value, axes, keepdims=int(keepdim))
    return result


def _mean_of_any_size(b: Builder, value: ir.Value, axes: list[int], keepdim: bool) -> ir.Value:
    """The mean as a quotient, which is NaN where there is nothing; of short floats in single precision, as torch."""
    assert value.dtype is not None
    dtype = FLOAT if value.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16) else value.dtype
    count: Int = 1
    for axis in axes:
        count = b.mul_int(count, b.size(value, axis))
    total = b.ReduceSum(b.cast(value, dtype), axes, keepdims=int(keepdim))
    return b.cast(b.Div(total, b.scalar(count, dtype)), value.dtype)


def _sum_type(value: ir.Value, dtype: ir.DataType | None) -> ir.DataType:
    assert value.dtype is not None
    return dtype or (value.dtype if value.dtype.is_floating_point() else INT64)


@handler("aten::sum.dim_IntList", "aten::sum")
def sum_(
    b: Builder, self: ir.Value, dim: list[int] | None = None, keepdim: bool = False, dtype: ir.DataType | None = None
) -> ir.Value:
    return reduce(b, "ReduceSum", b.cast(self, _sum_type(self, dtype)), dim, keepdim)


@handler("aten::mean.dim", "aten::mean")
def mean(
    b: Builder, self: ir.Value, dim: list[int] | None = None, keepdim: bool = False, dtype: ir.DataType | None = None
) -> ir.Value:
    return reduce(b, "ReduceMean", b.cast(self, dtype) if dtype else self, dim, keepdim)


@handler("aten::prod", "aten::prod.dim_int")
def prod(
    b: Builder, self: ir.Value, dim: int | None = None, keepdim: bool = False, dtype: ir.DataType | None = None
) -> ir.Value:
    return reduce(b, "ReduceProd", b.cast(self, _sum_type(self, dtype)), dim, keepdim)


def _extreme(b: Builder, op_type: str, value: ir.Value, dim: list[int] | int | None, keepdim: bool) -> ir.Value:
    if value.dtype == BOOL:
        return b.cast(reduce(b, op_type, b.cast(value, ir.DataType.INT32), dim, keepdim), BOOL)
    return reduce(b, op_type, value, dim, keepdim)


@handler("aten::amax", "aten::max")
def amax(b: Builder, self: ir.Value, dim: list[int] | None = None, keepdim: bool = False) -> ir.Value:
    return _extreme(b, "ReduceMax", self, dim, keepdim)


@handler("aten::amin", "aten::min")
def amin(b: Builder, self: ir.Value, dim: list[int] | None = None, keepdim: bool = False) -> ir.Value:
    return _extreme(b, "ReduceMin", self, dim, keepdim)


@handler("aten::max.dim")
def max_dim(b: Builder, self: ir.Value, dim: int, keepdim: bool = False) -> tuple[ir.Value, ir.Value]:
    return _extreme(b, "ReduceMax", self, dim, keepdim), argmax(b, self, dim, keepdim)


@handler("aten::min.dim")
def min_dim(b: Builder, self: ir.Value, dim: int, keepdim: bool = False) -> tuple[ir.Value, ir.Value]:
    return _extreme(b, "ReduceMin", self, dim, keepdim), argmin(b, self, dim, keepdim)


@handler("aten::argmax")
def argmax(b: Builder, self: ir.Value, dim: int | None = None, keepdim: bool = False) -> ir.Value:
    return _arg(b, "ArgMax", self, dim, keepdim)


@handler("aten::argmin")
def argmin(b: Builder, self: ir.Value, dim: int | None = None, keepdim: bool = False) -> ir.Value:
    return _arg(b, "ArgMin", self, dim, keepdim)


def _arg(b: Builder, op_type: str, value: ir.Value, dim: int | None, keepdim: bool) -> ir.Value:
    value = b.cast(value, ir.DataType.INT32) if value.dtype == BOOL else value
    rank = b.rank(value)
    if rank == 0:
        return b.constant(0)
    if dim is None:
        found = getattr(b, op_type)(b.reshape(value, [-1]), axis=0, keepdims=0)
        return b.reshape(found, [1] * rank) if keepdim else found
    result: ir.Value = getattr(b, op_type)(value, axis=b.axis(rank, dim), keepdims=int(keepdim))
    return result


@handler("aten::any", "aten::any.dim", "aten::any.dims")
def any_(b: Builder, self: ir.Value, dim: Any = None, keepdim: bool = False) -> ir.Value:
    return _truth(b, "ReduceMax", self, dim, keepdim)


@handler("aten::all", "aten::all.dim", "aten::all.dims")
def all_(b: Builder, self: ir.Value, dim: Any = None, keepdim: bool = False) -> ir.Value:
    return _truth(b, "ReduceMin", self, dim, keepdim)


def _truth(b: Builder, op_type: str, value: ir.Value, dim: Any, keepdim: bool) -> ir.Value:
    result = b.cast(reduce(b, op_type, b.cast(b.cast(value, BOOL), ir.DataType.INT32), dim, keepdim), BOOL)
    return b.cast(result, ir.DataType.UINT8) if value.dtype == ir.DataType.UINT8 else result


@handler("aten::logsumexp", "aten::special_logsumexp")
def logsumexp(b: Builder, self: ir.Value, dim: list[int], keepdim: bool = False) -> ir.Value:
    value = self if self.dtype is not None and self.dtype.is_floating_point() else b.cast(self, default_float())
    return reduce(b, "ReduceLogSumExp", value, dim, keepdim)


@handler("aten::var.correction", "aten::var.dim", "aten::var")
def var(
    b: Builder,
    self: ir.Value,
    dim: list[int] | None = None,
    correction: Any = None,
    keepdim: bool = False,
    unbiased: bool = True,
) -> ir.Value:
    correction = (1 if unbiased else 0) if correction is None else correction
    return _variance(b, self, dim, correction, keepdim)[0]


@handler("aten::std.correction", "aten::std.dim", "aten::std")
def std(
    b: Builder,
    self: ir.Value,
    dim: list[int] | None = None,
    correction: Any = None,
    keepdim: bool = False,
    unbiased: bool = True,
) -> ir.Value:
    return b.Sqrt(var(b, self, dim, correction, keepdim, unbiased))


@handler("aten::var_mean.correction", "aten::var_mean.dim", "aten::var_mean")
def var_mean(
    b: Builder,
    self: ir.Value,
    dim: list[int] | None = None,
    correction: Any = None,
    keepdim: bool = False,
    unbiased: bool = True,
) -> tuple[ir.Value, ir.Value]:
    correction = (1 if unbiased else 0) if correction is None else correction
    return _variance(b, self, dim, correction, keepdim)


@handler("aten::std_mean.correction", "aten::std_mean.dim", "aten::std_mean")
def std_mean(
    b: Builder,
    self: ir.Value,
    dim: list[int] | None = None,
    correction: Any = None,
    keepdim: bool = False,
    unbiased: bool = True,
) -> tuple[ir.Value, ir.Value]:
    variance, middle = var_mean(b, self, dim, correction, keepdim, unbiased)
    return b.Sqrt(variance), middle


def _variance(
    b: Builder, value: ir.Value, dim: list[int] | None, correction: Any, keepdim: bool
) -> tuple[ir.Value, ir.Value]:
    assert value.dtype is not None
    rank = b.rank(value)
    axes = sorted({b.axis(rank, each) for each in dim}) if dim else list(range(rank))
    middle = reduce(b, "ReduceMean", value, axes, True)
    centred = b.Sub(value, middle)
    total = reduce(b, "ReduceSum", b.Mul(centred, centred), axes, keepdim)
    count: Any = 1
    for axis in axes if rank else []:
        count = b.mul_int(count, b.size(value, axis))
    divisor = b.Max(b.Sub(b.scalar(count, value.dtype), b.scalar(correction, value.dtype)), b.constant(0, value.dtype))
    return b.Div(total, divisor), middle if keepdim or not rank else b.squeeze(middle, *axes)


@handler("aten::cumsum")
def cumsum(b: Builder, self: ir.Value, dim: int, dtype: ir.DataType | None = None) -> ir.Value:
    value = b.cast(self, _sum_type(self, dtype))
    return value if b.rank(value) == 0 else b.CumSum(value, b.constant(b.axis(value, dim)))


@handler("aten::topk")
def topk(
    b: Builder, self: ir.Value, k: Any, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[ir.Value, ir.Value]:
    if b.rank(self) == 0:
        return self, b.constant(0)
    values, indices = b.TopK(
        self, b.int_vector([k]), axis=b.axis(self, dim), largest=int(largest), sorted=1, _outputs=2
    )
    return values, indices


@handler("aten::sort", "aten::sort.stable")
def sort(
    b: Builder, self: ir.Value, dim: int = -1, descending: bool = False, stable: bool | None = None
) -> tuple[ir.Value, ir.Value]:
    if b.rank(self) == 0:
        return self, b.constant(0)
    value = b.cast(self, ir.DataType.INT32) if self.dtype == BOOL else self
    axis = b.axis(value, dim)
    values, indices = b.TopK(
        value, b.int_vector([b.size(value, axis)]), axis=axis, largest=int(descending), sorted=1, _outputs=2
    )
    return b.cast(values, self.dtype), indices  # type: ignore[arg-type]


@handler("aten::argsort", "aten::argsort.stable")
def argsort(
    b: Builder, self: ir.Value, dim: int = -1, descending: bool = False, stable: bool | None = None
) -> ir.Value:
    return sort(b, self, dim, descending)[1]

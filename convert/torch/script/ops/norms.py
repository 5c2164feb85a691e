"""Norms of vectors and matrices, and condition numbers."""

from __future__ import annotations

import math

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder
from transload.convert.torch.script.ops.linalg import inv_ex
from transload.convert.torch.script.ops.matrices import DOUBLE, batch, full, narrow, wide
from transload.convert.torch.script.ops.reduction import amax, amin, reduce
from transload.convert.torch.script.ops.spectral import singular_values
from transload.convert.torch.script.registry import handler
from transload.convert.torch.script.values import Number
from transload.serialize.errors import UnsupportedError

Order = float | int | Number | None

_EXACT_ENOUGH = 1024
"""ONNX Runtime adds FLOAT one after the other: up to so many terms its rounding is far below the tolerance."""


def _axes(b: Builder, value: ir.Value, dim: list[int] | int | None) -> list[int]:
    rank = b.rank(value)
    dims = [dim] if isinstance(dim, int) else dim
    return sorted({b.axis(rank, each) for each in dims}) if dims and rank else list(range(rank))


def _is_short(b: Builder, value: ir.Value, axes: list[int]) -> bool:
    sizes = [b.dim(value, axis) for axis in axes]
    known = [size for size in sizes if size is not None]
    return len(known) == len(sizes) and 0 < math.prod(known) <= _EXACT_ENOUGH


def _total(b: Builder, value: ir.Value, axes: list[int], keepdim: bool) -> ir.Value:
    """The sum, infinite where it is in the element type of the terms."""
    if _is_short(b, value, axes):
        return reduce(b, "ReduceSum", value, axes, keepdim)
    return narrow(b, reduce(b, "ReduceSum", wide(b, value), axes, keepdim), value)


@handler("aten::linalg_vector_norm")
def vector_norm(
    b: Builder,
    self: ir.Value,
    ord: Order = 2,
    dim: list[int] | int | None = None,
    keepdim: bool = False,
    dtype: ir.DataType | None = None,
) -> ir.Value:
    value = b.cast(self, dtype) if dtype else self
    assert value.dtype is not None
    if not isinstance(ord, int | float):
        raise UnsupportedError("The order of a norm depends on the data.")
    if value.dtype not in (ir.DataType.FLOAT, DOUBLE):
        return narrow(b, vector_norm(b, b.cast(value, ir.DataType.FLOAT), ord, dim, keepdim), value)
    axes = _axes(b, value, dim)
    if ord == 0:
        return _total(b, b.cast(b.Not(b.Equal(value, 0)), value.dtype), axes, keepdim)
    if not axes:
        return b.Abs(value)
    if ord == 2:
        if _is_short(b, value, axes):
            return reduce(b, "ReduceL2", value, axes, keepdim)
        return b.Sqrt(narrow(b, reduce(b, "ReduceSumSquare", wide(b, value), axes, keepdim), value))
    size = b.Abs(value)
    if ord in (math.inf, -math.inf):
        return (amax if ord > 0 else amin)(b, size, axes, keepdim)
    if ord == 1:
        return _total(b, size, axes, keepdim)
    powers = b.Pow(size, b.constant(float(ord), value.dtype))
    return b.Pow(_total(b, powers, axes, keepdim), b.constant(1 / ord, value.dtype))


@handler(
    "aten::norm.Scalar", "aten::norm.ScalarOpt_dim", "aten::norm.ScalarOpt_dtype", "aten::norm.ScalarOpt_dim_dtype"
)
def norm(
    b: Builder,
    self: ir.Value,
    p: Order = 2,
    dim: list[int] | None = None,
    keepdim: bool = False,
    dtype: ir.DataType | None = None,
) -> ir.Value:
    return vector_norm(b, self, 2 if p is None else p, dim, keepdim, dtype)


@handler("aten::linalg_matrix_norm", "aten::linalg_matrix_norm.str_ord")
def matrix_norm(
    b: Builder,
    self: ir.Value,
    ord: Order | str = "fro",
    dim: tuple[int, ...] | list[int] = (-2, -1),
    keepdim: bool = False,
    dtype: ir.DataType | None = None,
) -> ir.Value:
    value = b.cast(self, dtype) if dtype else self
    rows, columns = (b.axis(value, axis) for axis in dim)
    if ord == "fro":
        return vector_norm(b, value, 2, [rows, columns], keepdim)
    if ord in ("nuc", 2, -2):
        others = [axis for axis in range(b.rank(value)) if axis not in (rows, columns)]
        values = narrow(b, singular_values(b, wide(b, b.Transpose(value, perm=[*others, rows, columns]))), value)
        # Nothing has the spectral norm 0.
        is_sum = ord == "nuc" or b.dim(values, -1) == 0
        result = vector_norm(b, values, 1 if is_sum else math.inf if ord == 2 else -math.inf, [-1])
        return b.unsqueeze(result, *sorted((rows, columns))) if keepdim else result
    if ord not in (1, -1, math.inf, -math.inf):
        raise UnsupportedError(f"There is no matrix norm of order {ord}.")
    assert isinstance(ord, int | float)
    summed, compared = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = vector_norm(b, value, 1, [summed], True)
    if b.dim(sums, compared) == 0 and ord > 0:
        return vector_norm(b, sums, 1, [rows, columns], keepdim)
    result = (amax if ord > 0 else amin)(b, sums, [compared], True)
    return result if keepdim else b.squeeze(result, rows, columns)


@handler("aten::linalg_norm", "aten::linalg_norm.ord_str")
def linalg_norm(
    b: Builder,
    self: ir.Value,
    ord: Order | str = None,
    dim: list[int] | int | None = None,
    keepdim: bool = False,
    dtype: ir.DataType | None = None,
) -> ir.Value:
    dims = [dim] if isinstance(dim, int) else dim
    if ord is None:
        return vector_norm(b, self, 2, dims, keepdim, dtype)
    dims = dims if dims is not None else list(range(b.rank(self)))
    if len(dims) == 2:
        return matrix_norm(b, self, ord, dims, keepdim, dtype)
    if isinstance(ord, str):
        raise UnsupportedError(f"There is no vector norm {ord!r}.")
    return vector_norm(b, self, ord, dims, keepdim, dtype)


@handler("aten::linalg_cond", "aten::linalg_cond.p_str")
def cond(b: Builder, self: ir.Value, p: Order | str = None) -> ir.Value:
    if 0 in b.sizes(self):
        return full(b, 0.0, batch(b, self), self.dtype or DOUBLE)
    matrix = wide(b, self)
    if p in (None, 2, -2):
        values = singular_values(b, matrix)
        largest, smallest = b.Gather(values, 0, axis=-1), b.Gather(values, -1, axis=-1)
        return narrow(b, b.Div(smallest, largest) if p == -2 else b.Div(largest, smallest), self)
    inverse, info = inv_ex(b, matrix)
    inverse = b.Where(b.Greater(b.unsqueeze(info, -1, -2), 0), math.inf, inverse)
    return narrow(b, b.Mul(matrix_norm(b, matrix, p), matrix_norm(b, inverse, p)), self)

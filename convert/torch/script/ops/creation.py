"""Tensors made from sizes and numbers."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import torch

from transload.convert.torch.script.builder import FOLD_ELEMENTS, Builder, Int
from transload.convert.torch.script.dtypes import COMPLEX_OF, REAL_PART, TO_TORCH, default_float, dtype_of
from transload.convert.torch.script.registry import complex_handler, handler
from transload.convert.torch.script.values import Complex, Number

Filled = ir.Value | Complex


def full_of(b: Builder, sizes: list[Int], number: Any, dtype: ir.DataType) -> Filled:
    """A tensor of a shape with one number everywhere."""
    if dtype in REAL_PART:
        part = REAL_PART[dtype]
        whole = complex(number)
        return Complex(filled(b, sizes, whole.real, part), filled(b, sizes, whole.imag, part))
    return filled(b, sizes, number, dtype)


def filled(b: Builder, sizes: list[Int], number: Any, dtype: ir.DataType) -> ir.Value:
    """As full_of, for real types."""
    static = [size for size in sizes if isinstance(size, int)]
    count = 1
    for size in static:
        count *= size
    if isinstance(number, Number):
        return b.expand(b.scalar(number, dtype), sizes)
    if len(static) == len(sizes) and count <= FOLD_ELEMENTS:
        return b.constant(torch.full(static, number, dtype=TO_TORCH[dtype]))
    result = b.Expand(b.scalar(number, dtype), b.int_vector(sizes))
    return b.with_sizes(result, sizes)


def _make(number: int, *names: str) -> None:
    def by_size(
        b: Builder, size: list[Int], dtype: ir.DataType | None = None, stride: Any = None, physical_layout: Any = None
    ) -> Filled:
        return full_of(b, size, number, dtype or default_float())

    def new(b: Builder, self: Any, size: list[Int], dtype: ir.DataType | None = None, stride: Any = None) -> Filled:
        return full_of(b, size, number, dtype or content_dtype(self))

    def like(b: Builder, self: Any, dtype: ir.DataType | None = None) -> Filled:
        part = self.real if isinstance(self, Complex) else self
        return full_of(b, b.sizes(part), number, dtype or content_dtype(self))

    for name in names:
        function = like if name.endswith("_like") else new if "::new_" in name else by_size
        handler(name)(function)
        if function is not by_size:
            complex_handler(name)(function)


def content_dtype(content: Any) -> ir.DataType:
    """The element type of a real or complex tensor."""
    return COMPLEX_OF[dtype_of(content.real)] if isinstance(content, Complex) else dtype_of(content)


# Memory that torch leaves as it is may hold anything; zeros are one such thing.
_make(
    0,
    "aten::zeros",
    "aten::empty.memory_format",
    "aten::empty_strided",
    "aten::empty_permuted",
    "aten::new_zeros",
    "aten::new_empty",
    "aten::new_empty_strided",
    "aten::zeros_like",
    "aten::empty_like",
)
_make(1, "aten::ones", "aten::new_ones", "aten::ones_like")


@handler("aten::full")
def full(b: Builder, size: list[Int], fill_value: Any, dtype: ir.DataType | None = None) -> Filled:
    return full_of(b, size, fill_value, dtype or _number_type(fill_value))


def _number_type(number: Any) -> ir.DataType:
    kind = number.kind if isinstance(number, Number) else type(number)
    if kind is complex:
        return COMPLEX_OF[default_float()]
    return {bool: ir.DataType.BOOL, int: ir.DataType.INT64, float: default_float()}[kind]


@handler("aten::new_full")
@complex_handler("aten::new_full")
def new_full(b: Builder, self: Any, size: list[Int], fill_value: Any, dtype: ir.DataType | None = None) -> Filled:
    return full_of(b, size, fill_value, dtype or content_dtype(self))


@handler("aten::full_like")
@complex_handler("aten::full_like")
def full_like(b: Builder, self: Any, fill_value: Any, dtype: ir.DataType | None = None) -> Filled:
    part = self.real if isinstance(self, Complex) else self
    return full_of(b, b.sizes(part), fill_value, dtype or content_dtype(self))


@handler("aten::fill.Scalar")
@complex_handler("aten::fill.Scalar")
def fill(b: Builder, self: Any, value: Any) -> Filled:
    return full_like(b, self, value)


@handler("aten::fill.Tensor")
def fill_tensor(b: Builder, self: ir.Value, value: ir.Value) -> ir.Value:
    assert self.dtype is not None
    return b.expand(b.cast(value, self.dtype), b.sizes(self))


@handler("aten::zero")
@complex_handler("aten::zero")
def zero(b: Builder, self: Any) -> Filled:
    return full_like(b, self, 0)


@handler("aten::arange")
def arange(b: Builder, end: Any, dtype: ir.DataType | None = None) -> ir.Value:
    return arange_start_step(b, 0, end, 1, dtype)


@handler("aten::arange.start")
def arange_start(b: Builder, start: Any, end: Any, dtype: ir.DataType | None = None) -> ir.Value:
    return arange_start_step(b, start, end, 1, dtype)


@handler("aten::arange.start_step")
def arange_start_step(b: Builder, start: Any, end: Any, step: Any = 1, dtype: ir.DataType | None = None) -> ir.Value:
    kinds = [each.kind if isinstance(each, Number) else type(each) for each in (start, end, step)]
    dtype = dtype or (default_float() if float in kinds else ir.DataType.INT64)
    if not any(isinstance(each, Number) for each in (start, end, step)):
        known = torch.arange(start, end, step, dtype=TO_TORCH[dtype])
        if known.numel() <= 16 * FOLD_ELEMENTS:
            return b.constant(known)
    if float not in kinds:
        whole = b.Range(*(b.scalar(each, ir.DataType.INT64) for each in (start, end, step)))
        if start == 0 and step == 1:
            whole = b.with_sizes(whole, [end])
        return b.cast(whole, dtype)
    # torch counts in double precision and rounds each element once (RangeFactories.cpp).
    first, last, stride = (b.scalar(each, ir.DataType.DOUBLE) for each in (start, end, step))
    count = b.cast(b.Ceil(b.Div(b.Sub(last, first), stride)), ir.DataType.INT64)
    steps = b.cast(b.Range(b.constant(0), count, b.constant(1)), ir.DataType.DOUBLE)
    return b.cast(b.Add(first, b.Mul(steps, stride)), dtype)


@handler(
    "aten::linspace", "aten::linspace.Tensor_Tensor", "aten::linspace.Tensor_Scalar", "aten::linspace.Scalar_Tensor"
)
def linspace(b: Builder, start: Any, end: Any, steps: Int, dtype: ir.DataType | None = None) -> ir.Value:
    dtype = dtype or default_float()
    if isinstance(steps, int) and not isinstance(start, Number | ir.Value) and not isinstance(end, Number | ir.Value):
        known = torch.linspace(start, end, steps, dtype=TO_TORCH[dtype])
        if known.numel() <= 16 * FOLD_ELEMENTS:
            return b.constant(known)
    wide = ir.DataType.DOUBLE
    first, last = b.scalar(start, wide), b.scalar(end, wide)
    count = b.scalar(steps, ir.DataType.INT64)
    gaps = b.cast(b.Max(b.Sub(count, 1), b.constant(1)), wide)
    step = b.Div(b.Sub(last, first), gaps)
    index = b.Range(b.constant(0), count, b.constant(1))
    at = b.cast(index, wide)
    # From the middle on, torch counts from the end, so that the last element is exactly `end`.
    back = b.cast(b.Sub(b.Sub(count, 1), index), wide)
    low, high = b.Add(first, b.Mul(at, step)), b.Sub(last, b.Mul(back, step))
    values = b.Where(b.Less(index, b.Div(count, 2)), low, high)
    values = b.Where(b.Equal(count, 1), b.Mul(b.Add(b.Mul(at, 0.0), 1.0), first), values)
    if dtype.is_integer():
        values = b.cast(values, ir.DataType.INT64)
    return b.with_sizes(b.cast(values, dtype), [steps])


@handler("aten::eye")
def eye(b: Builder, n: Int, dtype: ir.DataType | None = None) -> Filled:
    return eye_m(b, n, n, dtype)


@handler("aten::eye.m")
def eye_m(b: Builder, n: Int, m: Int, dtype: ir.DataType | None = None) -> Filled:
    dtype = dtype or default_float()
    if dtype in REAL_PART:
        return b.complex(eye_m(b, n, m, REAL_PART[dtype]))
    rows, columns = (arange(b, size) for size in (n, m))
    return b.cast(b.Equal(b.unsqueeze(rows, 1), b.unsqueeze(columns, 0)), dtype)


@handler("aten::complex")
def make_complex(b: Builder, real: ir.Value, imag: ir.Value) -> Complex:
    return _paired(b, real, imag)


def _paired(b: Builder, real: ir.Value, imag: ir.Value) -> Complex:
    """Parts broadcast to one shape."""
    one, other = b.static_shape(real), b.static_shape(imag)
    if one is not None and one == other:
        return Complex(real, imag)
    zero_real, zero_imag = b.Mul(real, 0), b.Mul(imag, 0)
    return Complex(b.Add(real, zero_imag), b.Add(imag, zero_real))

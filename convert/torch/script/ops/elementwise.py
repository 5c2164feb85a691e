"""Arithmetic, comparison and functions element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Operand
from transload.convert.torch.script.dtypes import default_float, dtype_of, is_float, promote
from transload.convert.torch.script.registry import handler
from transload.convert.torch.script.values import Number
from transload.serialize.errors import UnsupportedError

BOOL, INT64 = ir.DataType.BOOL, ir.DataType.INT64


def as_float(b: Builder, value: Operand) -> ir.Value:
    """A tensor that floating functions take: integers become the default float."""
    dtype = promote(value)
    return b.scalar(value, dtype if is_float(dtype) else default_float())


# Functions of one tensor

_FLOAT_FUNCTIONS = {
    "sin": "Sin", "cos": "Cos", "tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh",
    "cosh": "Cosh", "tanh": "Tanh", "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh", "exp": "Exp", "log": "Log",
    "sqrt": "Sqrt", "sigmoid": "Sigmoid", "reciprocal": "Reciprocal", "erf": "Erf", "special_erf": "Erf",
    "special_expit": "Sigmoid",
}  # fmt: skip


_SINGLE_ONLY = frozenset({"Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"})


def _float_function(op_type: str) -> Callable[..., ir.Value]:
    def function(b: Builder, self: ir.Value) -> ir.Value:
        value = as_float(b, self)
        if value.dtype == ir.DataType.DOUBLE and op_type in _SINGLE_ONLY:
            raise UnsupportedError(f"ONNX Runtime has no kernel for {op_type} in double precision.")
        result: ir.Value = getattr(b, op_type)(value)
        return result

    return function


for _name, _op_type in _FLOAT_FUNCTIONS.items():
    handler(f"aten::{_name}")(_float_function(_op_type))


@handler("aten::rsqrt")
def rsqrt(b: Builder, self: ir.Value) -> ir.Value:
    return b.Reciprocal(b.Sqrt(as_float(b, self)))


@handler("aten::log2")
def log2(b: Builder, self: ir.Value) -> ir.Value:
    return b.Div(b.Log(as_float(b, self)), math.log(2))


@handler("aten::log10")
def log10(b: Builder, self: ir.Value) -> ir.Value:
    return b.Div(b.Log(as_float(b, self)), math.log(10))


@handler("aten::exp2", "aten::special_exp2")
def exp2(b: Builder, self: ir.Value) -> ir.Value:
    value = as_float(b, self)
    return b.Pow(b.constant(2.0, value.dtype), value)


@handler("aten::abs", "aten::absolute")
def absolute(b: Builder, self: ir.Value) -> ir.Value:
    return self if self.dtype == BOOL else b.Abs(self)


@handler("aten::neg", "aten::negative")
def neg(b: Builder, self: ir.Value) -> ir.Value:
    if self.dtype is not None and self.dtype in (ir.DataType.UINT8, ir.DataType.UINT16):
        return b.cast(b.Neg(b.cast(self, INT64)), self.dtype)
    return b.Neg(self)


@handler("aten::sign", "aten::sgn")
def sign(b: Builder, self: ir.Value) -> ir.Value:
    if self.dtype == BOOL:
        return self
    result = b.Sign(self)
    # torch gives 0 for NaN, as comparing with 0 does.
    return b.Where(b.IsNaN(self), 0, result) if is_float(self.dtype) else result  # type: ignore[arg-type]


def _rounding(op_type: str) -> Callable[..., ir.Value]:
    def function(b: Builder, self: ir.Value) -> ir.Value:
        assert self.dtype is not None
        return getattr(b, op_type)(self) if is_float(self.dtype) else self

    return function


handler("aten::floor")(_rounding("Floor"))
handler("aten::ceil")(_rounding("Ceil"))
handler("aten::round")(_rounding("Round"))


@handler("aten::trunc", "aten::fix")
def trunc(b: Builder, self: ir.Value) -> ir.Value:
    assert self.dtype is not None
    if not is_float(self.dtype):
        return self
    # Not through integers, which would overflow.
    return b.Where(b.Less(self, 0), b.Ceil(self), b.Floor(self))


@handler("aten::frac")
def frac(b: Builder, self: ir.Value) -> ir.Value:
    return b.Sub(self, trunc(b, self))


@handler("aten::square")
def square(b: Builder, self: ir.Value) -> ir.Value:
    value = b.cast(self, INT64) if self.dtype == BOOL else self
    return b.Mul(value, value)


@handler("aten::logical_not")
def logical_not(b: Builder, self: ir.Value) -> ir.Value:
    return b.Not(b.cast(self, BOOL))


@handler("aten::isnan")
def isnan(b: Builder, self: ir.Value) -> ir.Value:
    return b.IsNaN(self) if is_float(self.dtype) else b.expand(b.constant(False), b.sizes(self))  # type: ignore[arg-type]


@handler("aten::isinf")
def isinf(b: Builder, self: ir.Value) -> ir.Value:
    if not is_float(self.dtype):  # type: ignore[arg-type]
        return b.expand(b.constant(False), b.sizes(self))
    return b.Equal(b.Abs(self), math.inf)


@handler("aten::isfinite")
def isfinite(b: Builder, self: ir.Value) -> ir.Value:
    if not is_float(self.dtype):  # type: ignore[arg-type]
        return b.expand(b.constant(True), b.sizes(self))
    # NaN compares false.
    return b.Less(b.Abs(self), math.inf)


# Arithmetic of two


def _scaled(b: Builder, value: Operand, alpha: Any) -> Any:
    if isinstance(alpha, int | float) and alpha == 1:
        return value
    if isinstance(value, ir.Value):
        return mul(b, value, alpha)
    if isinstance(value, Number) or isinstance(alpha, Number):
        raise UnsupportedError("`alpha` beside a number that depends on the data.")
    return value * alpha


@handler("aten::add.Tensor", "aten::add.Scalar")
def add(b: Builder, self: ir.Value, other: Operand, alpha: Any = 1) -> ir.Value:
    dtype = promote(self, other)
    if dtype == BOOL:
        return b.Or(b.scalar(self, BOOL), b.scalar(other, BOOL))
    if type(other) is int and other == 0 and not is_float(dtype):
        return b.scalar(self, dtype)
    return b.Add(b.scalar(self, dtype), b.scalar(_scaled(b, other, alpha), dtype))


@handler("aten::sub.Tensor", "aten::sub.Scalar", "aten::subtract.Tensor", "aten::subtract.Scalar")
def sub(b: Builder, self: ir.Value, other: Operand, alpha: Any = 1) -> ir.Value:
    dtype = promote(self, other)
    return b.Sub(b.scalar(self, dtype), b.scalar(_scaled(b, other, alpha), dtype))


@handler("aten::rsub.Tensor", "aten::rsub.Scalar")
def rsub(b: Builder, self: ir.Value, other: Operand, alpha: Any = 1) -> ir.Value:
    dtype = promote(self, other)
    return b.Sub(b.scalar(other, dtype), b.scalar(_scaled(b, self, alpha), dtype))


@handler("aten::mul.Tensor", "aten::mul.Scalar", "aten::multiply.Tensor", "aten::multiply.Scalar")
def mul(b: Builder, self: ir.Value, other: Operand) -> ir.Value:
    dtype = promote(self, other)
    if dtype == BOOL:
        return b.And(b.scalar(self, BOOL), b.scalar(other, BOOL))
    return b.Mul(b.scalar(self, dtype), b.scalar(other, dtype))


@handler(
    "aten::div.Tensor",
    "aten::div.Scalar",
    "aten::true_divide.Tensor",
    "aten::true_divide.Scalar",
    "aten::divide.Tensor",
    "aten::divide.Scalar",
)
def div(b: Builder, self: ir.Value, other: Operand) -> ir.Value:
    dtype = promote(self, other)
    dtype = dtype if is_float(dtype) else default_float()
    return b.Div(b.scalar(self, dtype), b.scalar(other, dtype))


@handler("aten::div.Tensor_mode", "aten::div.Scalar_mode", "aten::divide.Tensor_mode", "aten::divide.Scalar_mode")
def div_mode(b: Builder, self: ir.Value, other: Operand, rounding_mode: str | None = None) -> ir.Value:
    if rounding_mode is None:
        return div(b, self, other)
    return floor_divide(b, self, other) if rounding_mode == "floor" else trunc_divide(b, self, other)


@handler("aten::floor_divide", "aten::floor_divide.Scalar")
def floor_divide(b: Builder, self: ir.Value, other: Operand) -> ir.Value:
    one, two = b.promoted(self, other)
    assert one.dtype is not None
    dtype = one.dtype
    if not is_float(dtype):
        # ONNX divides integers towards zero. Taking off a remainder first would overflow at the lowest integer.
        one, two = _wide(b, one, two)
        quotient = b.Div(one, two)
        rest = b.Sub(one, b.Mul(quotient, two))
        return b.cast(b.Where(_has_other_sign(b, rest, two), b.Sub(quotient, 1), quotient), dtype)
    # As c10's div_floor: by way of the remainder, so that 0.6 // 0.2 is 2.
    rest = b.Mod(one, two, fmod=1)
    quotient = b.Div(b.Sub(one, rest), two)
    quotient = b.Where(_has_other_sign(b, rest, two), b.Sub(quotient, 1), quotient)
    floor = b.Floor(quotient)
    floor = b.Where(b.Greater(b.Sub(quotient, floor), 0.5), b.Add(floor, 1), floor)
    return b.Where(b.Equal(two, 0), b.Div(one, two), floor)


def _has_other_sign(b: Builder, rest: ir.Value, divisor: ir.Value) -> ir.Value:
    """Whether a remainder is not zero and has another sign than the divisor."""
    known = ir.convenience.get_const_tensor(divisor)
    if known is not None and bool(np.all(known.numpy() > 0)):
        return b.Less(rest, 0)
    return b.And(b.Not(b.Equal(rest, 0)), b.Xor(b.Less(rest, 0), b.Less(divisor, 0)))


def _wide(b: Builder, *values: ir.Value) -> list[ir.Value]:
    """Integers in a type for which ONNX Runtime has kernels."""
    return [b.cast(value, INT64) for value in values]


def trunc_divide(b: Builder, self: ir.Value, other: Operand) -> ir.Value:
    """Division rounded towards zero."""
    one, two = b.promoted(self, other)
    assert one.dtype is not None
    if is_float(one.dtype):
        return trunc(b, b.Div(one, two))
    return b.Div(one, two)


@handler("aten::remainder.Tensor", "aten::remainder.Scalar", "aten::remainder.Scalar_Tensor")
def remainder(b: Builder, self: Operand, other: Operand) -> ir.Value:
    one, two = b.promoted(self, other)
    assert one.dtype is not None
    if not is_float(one.dtype):
        return b.Mod(one, two)
    rest = b.Mod(one, two, fmod=1)
    return b.Where(_has_other_sign(b, rest, two), b.Add(rest, two), rest)


@handler("aten::fmod.Tensor", "aten::fmod.Scalar")
def fmod(b: Builder, self: ir.Value, other: Operand) -> ir.Value:
    one, two = b.promoted(self, other)
    assert one.dtype is not None
    if is_float(one.dtype):
        return b.Mod(one, two, fmod=1)
    # ONNX Runtime computes `fmod` of integers in float64.
    wide = _wide(b, one, two)
    return b.cast(b.Sub(wide[0], b.Mul(b.Div(*wide), wide[1])), one.dtype)


@handler("aten::pow.Tensor_Tensor", "aten::pow.Tensor_Scalar", "aten::pow.Scalar")
def power(b: Builder, self: Operand, exponent: Operand) -> ir.Value:
    dtype = promote(self, exponent)
    if isinstance(exponent, int | float) and isinstance(self, ir.Value):
        base = b.scalar(self, dtype)
        if exponent == 2:
            return b.Mul(base, base)
        if exponent == 1:
            return base
        if exponent == 0.5:
            return b.Sqrt(base)
        if exponent == 3 and not is_float(dtype):
            return b.Mul(b.Mul(base, base), base)
    if dtype == BOOL:
        dtype = INT64
    return b.Pow(b.scalar(self, dtype), b.scalar(exponent, dtype))


@handler("aten::float_power.Tensor_Tensor", "aten::float_power.Tensor_Scalar", "aten::float_power.Scalar")
def float_power(b: Builder, self: Operand, exponent: Operand) -> ir.Value:
    return b.Pow(b.scalar(self, ir.DataType.DOUBLE), b.scalar(exponent, ir.DataType.DOUBLE))


@handler("aten::maximum", "aten::max.other")
def maximum(b: Builder, self: ir.Value, other: ir.Value) -> ir.Value:
    return _extreme(b, "Max", "Greater", self, other)


@handler("aten::minimum", "aten::min.other")
def minimum(b: Builder, self: ir.Value, other: ir.Value) -> ir.Value:
    return _extreme(b, "Min", "Less", self, other)


def _extreme(b: Builder, op_type: str, comparison: str, self: Operand, other: Operand) -> ir.Value:
    one, two = b.promoted(self, other)
    if one.dtype == BOOL:
        return b.Or(one, two) if op_type == "Max" else b.And(one, two)
    result: ir.Value = getattr(b, op_type)(one, two)
    return result


@handler("aten::clamp", "aten::clip", "aten::clamp.Tensor", "aten::clip.Tensor")
def clamp(b: Builder, self: ir.Value, min: Operand | None = None, max: Operand | None = None) -> ir.Value:
    operands = [each for each in (self, min, max) if each is not None]
    dtype = promote(*operands)
    result = b.scalar(self, dtype)
    if min is not None:
        result = _extreme(b, "Max", "Greater", result, b.scalar(min, dtype))
    if max is not None:
        result = _extreme(b, "Min", "Less", result, b.scalar(max, dtype))
    return result


@handler("aten::clamp_min", "aten::clamp_min.Tensor")
def clamp_min(b: Builder, self: ir.Value, min: Operand) -> ir.Value:
    return clamp(b, self, min=min)


@handler("aten::clamp_max", "aten::clamp_max.Tensor")
def clamp_max(b: Builder, self: ir.Value, max: Operand) -> ir.Value:
    return clamp(b, self, max=max)


# Comparison


def _comparison(op_type: str) -> Callable[..., ir.Value]:
    def function(b: Builder, self: ir.Value, other: Operand) -> ir.Value:
        one, two = b.promoted(self, other)
        if one.dtype == BOOL and op_type != "Equal":
            one, two = b.cast(one, ir.DataType.INT32), b.cast(two, ir.DataType.INT32)
        result: ir.Value = getattr(b, op_type)(one, two)
        return result

    return function


for _base, _op_type in {
    "eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual", "less": "Less",
    "less_equal": "LessOrEqual", "greater": "Greater", "greater_equal": "GreaterOrEqual",
}.items():  # fmt: skip
    handler(f"aten::{_base}.Tensor", f"aten::{_base}.Scalar")(_comparison(_op_type))


@handler("aten::ne.Tensor", "aten::ne.Scalar", "aten::not_equal.Tensor", "aten::not_equal.Scalar")
def not_equal(b: Builder, self: ir.Value, other: Operand) -> ir.Value:
    return b.Not(b.Equal(*b.promoted(self, other)))


def _logical(op_type: str) -> Callable[..., ir.Value]:
    def function(b: Builder, self: ir.Value, other: ir.Value) -> ir.Value:
        result: ir.Value = getattr(b, op_type)(b.cast(self, BOOL), b.cast(other, BOOL))
        return result

    return function


def _bitwise(op_type: str) -> Callable[..., ir.Value]:
    def function(b: Builder, self: ir.Value, other: Operand) -> ir.Value:
        one, two = b.promoted(self, other)
        result: ir.Value = getattr(b, op_type if one.dtype == BOOL else f"Bitwise{op_type}")(one, two)
        return result

    return function


for _base, _op_type in {"and": "And", "or": "Or", "xor": "Xor"}.items():
    handler(f"aten::logical_{_base}")(_logical(_op_type))
    handler(
        f"aten::bitwise_{_base}.Tensor", f"aten::bitwise_{_base}.Scalar", f"aten::__{_base}__.Tensor",
        f"aten::__{_base}__.Scalar",
    )(_bitwise(_op_type))  # fmt: skip


@handler("aten::bitwise_not")
def bitwise_not(b: Builder, self: ir.Value) -> ir.Value:
    return b.Not(self) if self.dtype == BOOL else b.BitwiseNot(self)


@handler("aten::where.self", "aten::where.ScalarOther", "aten::where.ScalarSelf", "aten::where.Scalar")
def where(b: Builder, condition: ir.Value, self: Operand, other: Operand) -> ir.Value:
    one, two = b.promoted(self, other)
    return b.Where(b.cast(condition, BOOL), one, two)


@handler("aten::masked_fill.Scalar", "aten::masked_fill.Tensor")
def masked_fill(b: Builder, self: ir.Value, mask: ir.Value, value: Operand) -> ir.Value:
    assert self.dtype is not None
    return b.Where(b.cast(mask, BOOL), b.scalar(value, self.dtype), self)


@handler("aten::addcmul")
def addcmul(b: Builder, self: ir.Value, tensor1: ir.Value, tensor2: ir.Value, value: Any = 1) -> ir.Value:
    return add(b, self, mul(b, tensor1, tensor2), alpha=value)


@handler("aten::addcdiv")
def addcdiv(b: Builder, self: ir.Value, tensor1: ir.Value, tensor2: ir.Value, value: Any = 1) -> ir.Value:
    return add(b, self, div(b, tensor1, tensor2), alpha=value)


@handler("aten::lerp.Scalar", "aten::lerp.Tensor")
def lerp(b: Builder, self: ir.Value, end: ir.Value, weight: Operand) -> ir.Value:
    one, two = b.promoted(self, end)
    assert one.dtype is not None
    share = b.scalar(weight, one.dtype)
    gap = b.Sub(two, one)
    # Two forms, each exact at one end (ATen/native/Lerp.h).
    low, high = b.Add(one, b.Mul(share, gap)), b.Sub(two, b.Mul(gap, b.Sub(b.constant(1, one.dtype), share)))
    return b.Where(b.Less(b.Abs(share), 0.5), low, high)


# Activations


@handler("aten::relu")
def relu(b: Builder, self: ir.Value) -> ir.Value:
    return b.Relu(self) if is_float(dtype_of(self)) else b.Max(self, 0)


@handler("aten::relu6")
def relu6(b: Builder, self: ir.Value) -> ir.Value:
    return b.Clip(self, 0, 6)


@handler("aten::gelu")
def gelu(b: Builder, self: ir.Value, approximate: str = "none") -> ir.Value:
    if b.opset >= 20:
        return b.Gelu(self, approximate=approximate)
    if approximate == "tanh":
        cube = b.Mul(b.Mul(self, self), self)
        inner = b.Mul(b.Add(self, b.Mul(cube, 0.044715)), math.sqrt(2 / math.pi))
        return b.Mul(b.Mul(self, 0.5), b.Add(b.Tanh(inner), 1))
    return b.Mul(b.Mul(self, b.Add(b.Erf(b.Div(self, math.sqrt(2))), 1)), 0.5)


@handler("aten::silu")
def silu(b: Builder, self: ir.Value) -> ir.Value:
    return b.Mul(self, b.Sigmoid(self))


@handler("aten::leaky_relu")
def leaky_relu(b: Builder, self: ir.Value, negative_slope: float = 0.01) -> ir.Value:
    return b.LeakyRelu(self, alpha=float(negative_slope))


@handler("aten::elu")
def elu(b: Builder, self: ir.Value, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> ir.Value:
    if input_scale == 1:
        result = b.Elu(self, alpha=float(alpha))
    else:
        negative = b.Mul(b.Sub(b.Exp(b.Mul(self, input_scale)), 1), alpha)
        result = b.Where(b.LessOrEqual(self, 0), negative, self)
    return result if scale == 1 else b.Mul(result, scale)


@handler("aten::celu")
def celu(b: Builder, self: ir.Value, alpha: float = 1.0) -> ir.Value:
    return b.Celu(self, alpha=float(alpha)) if self.dtype == ir.DataType.FLOAT else elu(b, self, alpha, 1, 1 / alpha)


@handler("aten::selu")
def selu(b: Builder, self: ir.Value) -> ir.Value:
    return b.Selu(self, alpha=1.6732632423543772, gamma=1.0507009873554805)


@handler("aten::hardtanh")
def hardtanh(b: Builder, self: ir.Value, min_val: Any = -1, max_val: Any = 1) -> ir.Value:
    return b.Clip(self, b.scalar(min_val, self.dtype), b.scalar(max_val, self.dtype))  # type: ignore[arg-type]


@handler("aten::hardsigmoid")
def hardsigmoid(b: Builder, self: ir.Value) -> ir.Value:
    return b.HardSigmoid(self, alpha=1 / 6, beta=0.5)


@handler("aten::hardswish")
def hardswish(b: Builder, self: ir.Value) -> ir.Value:
    return b.HardSwish(self)


@handler("aten::mish")
def mish(b: Builder, self: ir.Value) -> ir.Value:
    return b.Mul(self, b.Tanh(softplus(b, self)))


@handler("aten::softplus")
def softplus(b: Builder, self: ir.Value, beta: Any = 1, threshold: Any = 20) -> ir.Value:
    scaled = self if beta == 1 else b.Mul(self, beta)
    soft = b.Softplus(scaled)
    return b.Where(b.Greater(scaled, threshold), self, soft if beta == 1 else b.Div(soft, beta))


@handler("aten::log_sigmoid")
def log_sigmoid(b: Builder, self: ir.Value) -> ir.Value:
    return b.Neg(b.Softplus(b.Neg(self)))


@handler("aten::threshold")
def threshold(b: Builder, self: ir.Value, threshold: Any, value: Any) -> ir.Value:
    assert self.dtype is not None
    # NaN stays: it is not at or below the threshold.
    return b.Where(b.LessOrEqual(self, b.scalar(threshold, self.dtype)), b.scalar(value, self.dtype), self)


@handler("aten::prelu", "aten::_prelu_kernel")
def prelu(b: Builder, self: ir.Value, weight: ir.Value) -> ir.Value:
    rank = b.rank(self)
    if rank == 0:
        weight = b.reshape(weight, [])
    elif b.rank(weight) == 1 and rank > 2 and b.dim(weight, 0) != 1:
        weight = b.unsqueeze(weight, *range(1, rank - 1))
    return b.PRelu(self, weight)


@handler("aten::glu")
def glu(b: Builder, self: ir.Value, dim: int = -1) -> ir.Value:
    one, other = b.Split(self, None, axis=b.axis(self, dim), num_outputs=2, _outputs=2)
    return b.Mul(one, b.Sigmoid(other))

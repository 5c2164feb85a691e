"""Functions beyond ONNX's own, element by element: computed in double precision where single does not do."""

from __future__ import annotations

import math

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Operand
from transload.convert.torch.script.dtypes import TO_TORCH, default_float, is_float
from transload.convert.torch.script.ops.elementwise import as_float, mul, power
from transload.convert.torch.script.registry import handler
from transload.serialize.errors import UnsupportedError

BOOL, INT64, DOUBLE = ir.DataType.BOOL, ir.DataType.INT64, ir.DataType.DOUBLE


def _wide(b: Builder, value: Operand) -> tuple[ir.Value, ir.DataType]:
    """The operand in double precision, and the floating type that the result has."""
    narrow = as_float(b, value)
    assert narrow.dtype is not None
    return b.cast(narrow, DOUBLE), narrow.dtype


@handler("aten::log1p", "aten::special_log1p")
def log1p(b: Builder, self: ir.Value) -> ir.Value:
    x, dtype = _wide(b, self)
    return b.cast(_log1p(b, x), dtype)


def _log1p(b: Builder, x: ir.Value) -> ir.Value:
    """Kahan's: log(u) * x / (u - 1) for u = 1 + x, exact where 1 + x rounds."""
    u = b.Add(x, 1.0)
    near = b.Div(b.Mul(b.Log(u), x), b.Sub(u, 1.0))
    return b.Where(b.Equal(u, 1.0), x, b.Where(b.Less(b.Abs(x), 1.0), near, b.Log(u)))


@handler("aten::expm1", "aten::special_expm1")
def expm1(b: Builder, self: ir.Value) -> ir.Value:
    x, dtype = _wide(b, self)
    u = b.Exp(x)
    # Kahan's: (u - 1) * x / log(u).
    near = b.Div(b.Mul(b.Sub(u, 1.0), x), b.Log(u))
    result = b.Where(b.Less(b.Abs(x), 0.5), near, b.Sub(u, 1.0))
    return b.cast(b.Where(b.Equal(u, 1.0), x, result), dtype)


def _is_negative(b: Builder, value: ir.Value) -> ir.Value:
    """The sign bit: of zeros too."""
    return b.Or(b.Less(value, 0), b.And(b.Equal(value, 0), b.Less(b.Reciprocal(value), 0)))


@handler("aten::signbit")
def signbit(b: Builder, self: ir.Value) -> ir.Value:
    assert self.dtype is not None
    if self.dtype == BOOL or self.dtype == ir.DataType.UINT8:
        return b.expand(b.constant(False), b.sizes(self))
    return _is_negative(b, self) if is_float(self.dtype) else b.Less(self, 0)


@handler("aten::copysign.Tensor", "aten::copysign.Scalar")
def copysign(b: Builder, self: ir.Value, other: Operand) -> ir.Value:
    one, two = b.promoted(self, other)
    assert one.dtype is not None
    dtype = one.dtype if is_float(one.dtype) else default_float()
    size, sign = b.Abs(b.cast(one, dtype)), b.cast(two, dtype)
    return b.Where(_is_negative(b, sign), b.Neg(size), size)


@handler("aten::atan2", "aten::arctan2")
def atan2(b: Builder, self: ir.Value, other: ir.Value) -> ir.Value:
    y, x = b.promoted(self, other)
    assert y.dtype is not None
    dtype = y.dtype if is_float(y.dtype) else default_float()
    if dtype == DOUBLE:
        raise UnsupportedError("ONNX Runtime computes the arctangent in single precision only.")
    y, x = b.cast(y, dtype), b.cast(x, dtype)
    size_y, size_x = b.Abs(y), b.Abs(x)
    both = b.And(b.Equal(size_y, math.inf), b.Equal(size_x, math.inf))
    angle = b.Atan(b.Div(size_y, size_x))
    angle = b.Where(b.And(b.Equal(y, 0.0), b.Equal(x, 0.0)), 0.0, b.Where(both, math.pi / 4, angle))
    angle = b.Where(_is_negative(b, x), b.Sub(b.constant(math.pi, dtype), angle), angle)
    return b.Where(_is_negative(b, y), b.Neg(angle), angle)


@handler("aten::hypot")
def hypot(b: Builder, self: ir.Value, other: ir.Value) -> ir.Value:
    x, y = b.promoted(self, other)
    assert x.dtype is not None
    wide = [b.cast(each, DOUBLE) for each in (x, y)]
    result = b.Sqrt(b.Add(b.Mul(wide[0], wide[0]), b.Mul(wide[1], wide[1])))
    return b.cast(result, x.dtype)


@handler("aten::fmax")
def fmax(b: Builder, self: ir.Value, other: ir.Value) -> ir.Value:
    return _ignoring_nan(b, "Max", self, other)


@handler("aten::fmin")
def fmin(b: Builder, self: ir.Value, other: ir.Value) -> ir.Value:
    return _ignoring_nan(b, "Min", self, other)


def _ignoring_nan(b: Builder, op_type: str, self: ir.Value, other: ir.Value) -> ir.Value:
    one, two = b.promoted(self, other)
    assert one.dtype is not None
    if one.dtype == BOOL:
        return b.Or(one, two) if op_type == "Max" else b.And(one, two)
    result = getattr(b, op_type)(one, two)
    if not is_float(one.dtype):
        return result
    return b.Where(b.IsNaN(one), two, b.Where(b.IsNaN(two), one, result))


@handler("aten::logaddexp")
def logaddexp(b: Builder, self: ir.Value, other: ir.Value) -> ir.Value:
    return _logaddexp(b, self, other, 1.0)


@handler("aten::logaddexp2")
def logaddexp2(b: Builder, self: ir.Value, other: ir.Value) -> ir.Value:
    return _logaddexp(b, self, other, math.log(2))


def _logaddexp(b: Builder, self: ir.Value, other: ir.Value, base: float) -> ir.Value:
    one, two = b.promoted(self, other)
    assert one.dtype is not None
    x, y = (b.Mul(b.cast(each, DOUBLE), base) for each in (one, two))
    top = b.Max(x, y)
    result = b.Add(top, _log1p(b, b.Exp(b.Neg(b.Abs(b.Sub(x, y))))))
    # The difference of equal infinities is not a number.
    result = b.Where(b.And(b.Equal(x, y), b.Equal(b.Abs(x), math.inf)), x, result)
    return b.cast(b.Div(result, base), one.dtype)


@handler("aten::erfc", "aten::special_erfc")
def erfc(b: Builder, self: ir.Value) -> ir.Value:
    x = as_float(b, self)
    assert x.dtype is not None
    return b.cast(b.Sub(b.constant(1.0, ir.DataType.FLOAT), b.Erf(b.cast(x, ir.DataType.FLOAT))), x.dtype)


def _polynomial(b: Builder, x: ir.Value, coefficients: list[float]) -> ir.Value:
    """Horner's scheme, the highest power first."""
    result = b.constant(coefficients[0], x.dtype)
    for coefficient in coefficients[1:]:
        result = b.Add(b.Mul(result, x), coefficient)
    return result


@handler("aten::erfinv", "aten::special_erfinv")
def erfinv(b: Builder, self: ir.Value) -> ir.Value:
    """Source: ATen/native/Math.h, calc_erfinv: rational approximations, refined by two steps of Newton's method."""
    y = as_float(b, self)
    dtype = y.dtype
    assert dtype is not None
    if dtype == DOUBLE:
        raise UnsupportedError("ONNX Runtime computes erf in single precision only.")
    y = b.cast(y, ir.DataType.FLOAT)
    square = b.Mul(y, y)
    above = _polynomial(b, square, [-0.140543331, 0.914624893, -1.645349621, 0.886226899])
    below = _polynomial(b, square, [0.012229801, -0.329097515, 1.442710462, -2.118377725, 1.0])
    central = b.Div(b.Mul(y, above), below)
    tail = b.Sqrt(b.Neg(b.Log(b.Div(b.Sub(b.constant(1.0, ir.DataType.FLOAT), b.Abs(y)), 2.0))))
    above = _polynomial(b, tail, [1.641345311, 3.429567803, -1.624906493, -1.970840454])
    below = _polynomial(b, tail, [1.637067800, 3.543889200, 1.0])
    outer = b.Mul(b.Div(above, below), b.Sign(y))
    x = b.Where(b.LessOrEqual(b.Abs(y), 0.7), central, outer)
    for _ in range(2):
        slope = b.Mul(b.Exp(b.Neg(b.Mul(x, x))), 2.0 / math.sqrt(math.pi))
        x = b.Sub(x, b.Div(b.Sub(b.Erf(x), y), slope))
    x = b.Where(b.Equal(b.Abs(y), 1.0), b.Mul(y, math.inf), x)
    return b.cast(x, dtype)


# Gamma functions

LANCZOS = (
    0.99999999999980993,
    676.5203681218851,
    -1259.1392167224028,
    771.32342877765313,
    -176.61502916214059,
    12.507343278686905,
    -0.13857109526572012,
    9.9843695780195716e-6,
    1.5056327351493116e-7,
)
"""Lanczos' approximation with g = 7 and nine terms (Godfrey's coefficients)."""


@handler("aten::lgamma", "aten::special_gammaln")
def lgamma(b: Builder, self: ir.Value) -> ir.Value:
    x, dtype = _wide(b, self)
    return b.cast(_lgamma(b, x), dtype)


def _lgamma(b: Builder, x: ir.Value) -> ir.Value:
    reflected = b.Less(x, 0.5)
    z = b.Sub(b.Where(reflected, b.Sub(b.constant(1.0, DOUBLE), x), x), 1.0)
    series = b.constant(LANCZOS[0], DOUBLE)
    for index, coefficient in enumerate(LANCZOS[1:], start=1):
        series = b.Add(series, b.Div(b.constant(coefficient, DOUBLE), b.Add(z, float(index))))
    t = b.Add(z, 7.5)
    value = b.Add(b.Sub(b.Mul(b.Add(z, 0.5), b.Log(t)), t), b.Add(b.Log(series), 0.5 * math.log(2 * math.pi)))
    # log Γ(x) = log(π / |sin πx|) - log Γ(1 - x), the sine of the distance to a whole number.
    fraction = b.Sub(x, b.Floor(x))
    sine = b.Abs(b.Sin(b.Mul(fraction, math.pi)))
    other = b.Sub(b.Log(b.Div(b.constant(math.pi, DOUBLE), sine)), value)
    result = b.Where(reflected, other, value)
    pole = b.And(b.LessOrEqual(x, 0.0), b.Equal(fraction, 0.0))
    return b.Where(b.Or(pole, b.Equal(b.Abs(x), math.inf)), math.inf, result)


@handler("aten::digamma", "aten::special_digamma", "aten::special_psi")
def digamma(b: Builder, self: ir.Value) -> ir.Value:
    x, dtype = _wide(b, self)
    reflected = b.Less(x, 0.0)
    z = b.Where(reflected, b.Sub(b.constant(1.0, DOUBLE), x), x)
    shift = b.constant(0.0, DOUBLE)
    for step in range(10):
        shift = b.Add(shift, b.Reciprocal(b.Add(z, float(step))))
    z = b.Add(z, 10.0)
    inverse = b.Reciprocal(b.Mul(z, z))
    # The asymptotic series with Bernoulli numbers B(2k) / 2k.
    series = _polynomial(b, inverse, [-1 / 12, 691 / 32760, -1 / 132, 1 / 240, -1 / 252, 1 / 120, -1 / 12, 0.0])
    value = b.Sub(b.Add(b.Sub(b.Log(z), b.Div(b.constant(0.5, DOUBLE), z)), series), shift)
    fraction = b.Sub(x, b.Floor(x))
    angle = b.Mul(fraction, math.pi)
    other = b.Sub(value, b.Div(b.Mul(b.Cos(angle), math.pi), b.Sin(angle)))
    result = b.Where(reflected, b.Where(b.Equal(fraction, 0.0), math.nan, other), value)
    # ψ(±0) is an infinity of the other sign.
    result = b.Where(b.Equal(x, 0.0), b.Neg(b.Reciprocal(x)), result)
    return b.cast(result, dtype)


BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


def _hurwitz_zeta(b: Builder, s: float, q: ir.Value) -> ir.Value:
    """The sum of (q + k) ** -s over k from 0, by Euler and Maclaurin's formula once q + k is above 10."""
    lowest = b.Min(b.ReduceMin(q, keepdims=0), b.constant(10.0, DOUBLE))
    count = b.Add(b.cast(b.Ceil(b.Sub(b.constant(10.0, DOUBLE), lowest)), INT64), 10)
    steps = b.cast(b.Range(b.constant(0), count, b.constant(1)), DOUBLE)
    terms = b.Pow(b.Add(b.Unsqueeze(q, [-1]), steps), b.constant(-s, DOUBLE))
    total = b.ReduceSum(terms, [-1], keepdims=0)
    a = b.Add(q, b.cast(count, DOUBLE))
    power_ = b.Pow(a, b.constant(-s, DOUBLE))
    total = b.Add(total, b.Add(b.Div(b.Mul(power_, a), s - 1), b.Mul(power_, 0.5)))
    factor = s
    for index, number in enumerate(BERNOULLI):
        order = 2 * (index + 1)
        power_ = b.Div(power_, a) if index == 0 else b.Div(b.Div(power_, a), a)
        total = b.Add(total, b.Mul(power_, number * factor / math.factorial(order)))
        factor *= (s + order - 1) * (s + order)
    return total


@handler("aten::polygamma", "aten::special_polygamma")
def polygamma(b: Builder, n: int, self: ir.Value) -> ir.Value:
    if n == 0:
        return digamma(b, self)
    if b.static_shape(self) is not None and 0 in (b.static_shape(self) or ()):
        return as_float(b, self)
    x, dtype = _wide(b, self)
    factor = (-1.0) ** (n + 1) * math.factorial(n)
    value = b.Mul(_hurwitz_zeta(b, float(n + 1), x), factor)
    pole = b.And(b.LessOrEqual(x, 0.0), b.Equal(x, b.Floor(x)))
    return b.cast(b.Where(pole, math.copysign(math.inf, factor), value), dtype)


@handler("aten::mvlgamma", "aten::special_multigammaln")
def mvlgamma(b: Builder, self: ir.Value, p: int) -> ir.Value:
    x, dtype = _wide(b, self)
    total = b.constant(p * (p - 1) / 4 * math.log(math.pi), DOUBLE)
    for index in range(p):
        total = b.Add(total, _lgamma(b, b.Sub(x, index / 2)))
    return b.cast(total, dtype)


# Bits and digits


@handler(
    "aten::bitwise_left_shift.Tensor",
    "aten::bitwise_left_shift.Tensor_Scalar",
    "aten::__lshift__.Tensor",
    "aten::__lshift__.Scalar",
)
def left_shift(b: Builder, self: ir.Value, other: Operand) -> ir.Value:
    one, two = b.promoted(self, other)
    assert one.dtype is not None
    # By powers of two in the widest type; what overflows is cut off by the conversion back.
    wide = b.Mul(b.cast(one, INT64), b.cast(b.Pow(b.constant(2.0, DOUBLE), b.cast(two, DOUBLE)), INT64))
    bits = 8 * TO_TORCH[one.dtype].itemsize
    out = b.Or(b.Less(two, 0), b.GreaterOrEqual(two, b.constant(bits, one.dtype)))
    return b.Where(out, 0, b.cast(wide, one.dtype))


@handler(
    "aten::bitwise_right_shift.Tensor",
    "aten::bitwise_right_shift.Tensor_Scalar",
    "aten::__rshift__.Tensor",
    "aten::__rshift__.Scalar",
)
def right_shift(b: Builder, self: ir.Value, other: Operand) -> ir.Value:
    one, two = b.promoted(self, other)
    assert one.dtype is not None
    bits = 8 * TO_TORCH[one.dtype].itemsize
    largest = min(bits - 1, 62)
    outside = b.Or(b.Less(two, 0), b.GreaterOrEqual(two, b.constant(largest + 1, one.dtype)))
    steps = b.cast(b.Where(outside, b.constant(largest, one.dtype), two), DOUBLE)
    by = b.cast(b.Pow(b.constant(2.0, DOUBLE), steps), INT64)
    wide = b.cast(one, INT64)
    # Towards minus infinity: ONNX's Mod has the divisor's sign.
    return b.cast(b.Div(b.Sub(wide, b.Mod(wide, by)), by), one.dtype)


@handler("aten::gcd")
def gcd(b: Builder, self: ir.Value, other: ir.Value) -> ir.Value:
    one, two = b.promoted(self, other)
    assert one.dtype is not None
    x, y = b.Abs(b.cast(one, INT64)), b.Abs(b.cast(two, INT64))
    x, y = b.Add(x, b.Mul(y, 0)), b.Add(y, b.Mul(x, 0))
    # Euclid's algorithm takes at most 93 steps on 64 bits.
    bits = 8 * TO_TORCH[one.dtype].itemsize
    for _ in range(math.ceil(1.45 * bits)):
        rest = b.Mod(x, b.Where(b.Equal(y, 0), 1, y))
        x, y = b.Where(b.Equal(y, 0), x, y), b.Where(b.Equal(y, 0), 0, rest)
    return b.cast(x, one.dtype)


@handler("aten::lcm")
def lcm(b: Builder, self: ir.Value, other: ir.Value) -> ir.Value:
    one, two = b.promoted(self, other)
    assert one.dtype is not None
    divisor = gcd(b, one, two)
    divisor = b.Where(b.Equal(divisor, 0), 1, divisor)
    return b.Abs(b.Mul(b.Div(one, divisor), two))


@handler("aten::round.decimals")
def round_decimals(b: Builder, self: ir.Value, decimals: int) -> ir.Value:
    assert self.dtype is not None
    if not is_float(self.dtype):
        raise UnsupportedError("Whole numbers are rounded to decimals.")
    if decimals == 0:
        return b.Round(self)
    factor = b.constant(10.0 ** abs(decimals), self.dtype)
    if decimals > 0:
        return b.Div(b.Round(b.Mul(self, factor)), factor)
    return b.Mul(b.Round(b.Div(self, factor)), factor)


@handler("aten::isclose")
def isclose(
    b: Builder, self: ir.Value, other: ir.Value, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> ir.Value:
    one, two = b.promoted(self, other)
    assert one.dtype is not None
    same = b.Equal(one, two)
    if not is_float(one.dtype):
        one, two = b.cast(one, default_float()), b.cast(two, default_float())
    elif equal_nan:
        same = b.Or(same, b.And(b.IsNaN(one), b.IsNaN(two)))
    allowed = b.Add(b.Abs(b.Mul(two, rtol)), atol)
    gap = b.Abs(b.Sub(one, two))
    near = b.And(b.LessOrEqual(gap, allowed), b.Less(gap, math.inf))
    return b.Or(same, near)


@handler("aten::frexp.Tensor")
def frexp(b: Builder, self: ir.Value) -> tuple[ir.Value, ir.Value]:
    assert self.dtype is not None
    x = b.cast(self, DOUBLE)
    size = b.Abs(x)
    ordinary = b.And(b.Greater(size, 0.0), b.Less(size, math.inf))
    safe = b.Where(ordinary, size, 1.0)
    exponent = b.Add(b.Floor(b.Div(b.Log(safe), math.log(2))), 1.0)
    # The logarithm may be one off at powers of two.
    scaled = b.Mul(safe, b.Pow(b.constant(2.0, DOUBLE), b.Neg(exponent)))
    exponent = b.Where(b.GreaterOrEqual(scaled, 1.0), b.Add(exponent, 1.0), exponent)
    exponent = b.Where(b.Less(scaled, 0.5), b.Sub(exponent, 1.0), exponent)
    mantissa = b.Mul(x, b.Pow(b.constant(2.0, DOUBLE), b.Neg(exponent)))
    mantissa = b.Where(ordinary, mantissa, x)
    exponent = b.Where(ordinary, exponent, 0.0)
    return b.cast(mantissa, self.dtype), b.cast(exponent, ir.DataType.INT32)


@handler("aten::ldexp.Tensor")
def ldexp(b: Builder, self: ir.Value, other: ir.Value) -> ir.Value:
    return mul(b, self, power(b, 2.0, other))


@handler("aten::deg2rad")
def deg2rad(b: Builder, self: ir.Value) -> ir.Value:
    return b.Mul(as_float(b, self), math.pi / 180)


@handler("aten::rad2deg")
def rad2deg(b: Builder, self: ir.Value) -> ir.Value:
    return b.Mul(as_float(b, self), 180 / math.pi)


@handler("aten::sinc", "aten::special_sinc")
def sinc(b: Builder, self: ir.Value) -> ir.Value:
    x, dtype = _wide(b, self)
    angle = b.Mul(x, math.pi)
    return b.cast(b.Where(b.Equal(x, 0.0), 1.0, b.Div(b.Sin(angle), angle)), dtype)

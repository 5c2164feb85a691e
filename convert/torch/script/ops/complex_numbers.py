"""Complex arithmetic on pairs of real tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder
from transload.convert.torch.script.dtypes import REAL_PART, dtype_of, promote
from transload.convert.torch.script.ops.creation import make_complex
from transload.convert.torch.script.ops.linear import linear as real_linear
from transload.convert.torch.script.ops.special import atan2
from transload.convert.torch.script.registry import complex_handler, handler
from transload.convert.torch.script.values import Complex, Number
from transload.serialize.errors import UnsupportedError

Operand = ir.Value | Complex | Number | complex | float | int | bool


def _pair(b: Builder, value: Operand, dtype: ir.DataType) -> Complex:
    """An operand as a complex tensor whose parts have a real type."""
    if isinstance(value, Complex):
        return Complex(b.cast(value.real, dtype), b.cast(value.imag, dtype))
    if isinstance(value, complex):
        return Complex(b.constant(value.real, dtype), b.constant(value.imag, dtype))
    real = b.scalar(value, dtype)
    return Complex(real, b.constant(0, dtype))


def _operands(b: Builder, *values: Operand) -> list[Complex]:
    dtype = promote(*values)
    part = REAL_PART.get(dtype)
    if part is None:
        raise UnsupportedError(f"Complex arithmetic in {dtype}.")
    return [_pair(b, value, part) for value in values]


def _whole(b: Builder, value: Complex) -> Complex:
    """Parts of one shape, which broadcasting may have left apart."""
    return make_complex(b, value.real, value.imag)


@complex_handler("aten::add.Tensor", "aten::add.Scalar")
def add(b: Builder, self: Any, other: Any, alpha: Any = 1) -> Complex:
    x, y = _operands(b, self, other)
    if alpha != 1:
        y = _times(b, y, _operands(b, self, alpha)[1])
    return _whole(b, Complex(b.Add(x.real, y.real), b.Add(x.imag, y.imag)))


@complex_handler("aten::sub.Tensor", "aten::sub.Scalar")
def sub(b: Builder, self: Any, other: Any, alpha: Any = 1) -> Complex:
    x, y = _operands(b, self, other)
    if alpha != 1:
        y = _times(b, y, _operands(b, self, alpha)[1])
    return _whole(b, Complex(b.Sub(x.real, y.real), b.Sub(x.imag, y.imag)))


@complex_handler("aten::rsub.Tensor", "aten::rsub.Scalar")
def rsub(b: Builder, self: Any, other: Any, alpha: Any = 1) -> Complex:
    x, y = _operands(b, self, other)
    if alpha != 1:
        raise UnsupportedError("rsub with alpha over complex numbers.")
    return _whole(b, Complex(b.Sub(y.real, x.real), b.Sub(y.imag, x.imag)))


def _times(b: Builder, x: Complex, y: Complex) -> Complex:
    real = b.Sub(b.Mul(x.real, y.real), b.Mul(x.imag, y.imag))
    return Complex(real, b.Add(b.Mul(x.real, y.imag), b.Mul(x.imag, y.real)))


@complex_handler("aten::mul.Tensor", "aten::mul.Scalar")
def mul(b: Builder, self: Any, other: Any) -> Complex:
    for one, two in ((self, other), (other, self)):
        if isinstance(one, Complex) and not isinstance(two, Complex | complex):
            x, y = _operands(b, one, two)
            return _whole(b, Complex(b.Mul(x.real, y.real), b.Mul(x.imag, y.real)))
    return _times(b, *_operands(b, self, other))


@complex_handler("aten::div.Tensor", "aten::div.Scalar")
def div(b: Builder, self: Any, other: Any) -> Complex:
    x, y = _operands(b, self, other)
    if not isinstance(other, Complex | complex):
        return _whole(b, Complex(b.Div(x.real, y.real), b.Div(x.imag, y.real)))
    return _times(b, x, _inverse(b, y))


def _inverse(b: Builder, x: Complex) -> Complex:
    # Scaled by the larger part, so that the square neither overflows nor vanishes.
    scale = b.Max(b.Abs(x.real), b.Abs(x.imag))
    real, imag = b.Div(x.real, scale), b.Div(x.imag, scale)
    square = b.Mul(b.Add(b.Mul(real, real), b.Mul(imag, imag)), scale)
    return Complex(b.Div(real, square), b.Neg(b.Div(imag, square)))


@complex_handler("aten::reciprocal")
def reciprocal(b: Builder, self: Complex) -> Complex:
    return _inverse(b, self)


@complex_handler("aten::abs")
def absolute(b: Builder, self: Complex) -> ir.Value:
    dtype = dtype_of(self.real)
    real, imag = b.cast(self.real, ir.DataType.DOUBLE), b.cast(self.imag, ir.DataType.DOUBLE)
    return b.cast(b.Sqrt(b.Add(b.Mul(real, real), b.Mul(imag, imag))), dtype)


@complex_handler("aten::angle")
def angle(b: Builder, self: Complex) -> ir.Value:
    return atan2(b, self.imag, self.real)


@handler("aten::angle")
def angle_of_real(b: Builder, self: ir.Value) -> ir.Value:
    from transload.convert.torch.script.ops.elementwise import as_float

    value = as_float(b, self)
    turned = b.Where(b.Less(value, 0), math.pi, b.constant(0, value.dtype))
    return b.Where(b.IsNaN(value), value, turned)


@complex_handler("aten::_conj", "aten::conj", "aten::conj_physical", "aten::_conj_physical")
def conj(b: Builder, self: Complex) -> Complex:
    return Complex(self.real, b.Neg(self.imag))


@handler("aten::_conj", "aten::conj", "aten::conj_physical", "aten::real")
def same(b: Builder, self: ir.Value) -> ir.Value:
    return self


@complex_handler("aten::real")
def real(b: Builder, self: Complex) -> ir.Value:
    return self.real


@complex_handler("aten::imag")
def imag(b: Builder, self: Complex) -> ir.Value:
    return self.imag


@complex_handler("aten::view_as_real", "aten::view_as_real_copy")
def view_as_real(b: Builder, self: Complex) -> ir.Value:
    return b.Concat(b.Unsqueeze(self.real, [-1]), b.Unsqueeze(self.imag, [-1]), axis=-1)


@handler("aten::view_as_complex", "aten::view_as_complex_copy")
def view_as_complex(b: Builder, self: ir.Value) -> Complex:
    return Complex(*(b.Gather(self, b.constant(part), axis=-1) for part in (0, 1)))


@handler("aten::polar")
def polar(b: Builder, abs: ir.Value, angle: ir.Value) -> Complex:
    return _whole(b, Complex(b.Mul(abs, b.Cos(angle)), b.Mul(abs, b.Sin(angle))))


@complex_handler("aten::sgn")
def sgn(b: Builder, self: Complex) -> Complex:
    size = absolute(b, self)
    safe = b.Where(b.Equal(size, 0), 1, size)
    return Complex(b.Div(self.real, safe), b.Div(self.imag, safe))


@complex_handler("aten::exp")
def exp(b: Builder, self: Complex) -> Complex:
    size = b.Exp(self.real)
    return Complex(b.Mul(size, b.Cos(self.imag)), b.Mul(size, b.Sin(self.imag)))


@complex_handler("aten::log")
def log(b: Builder, self: Complex) -> Complex:
    return Complex(b.Log(absolute(b, self)), angle(b, self))


@complex_handler("aten::log2")
def log2(b: Builder, self: Complex) -> Complex:
    return _divided(b, log(b, self), math.log(2))


@complex_handler("aten::log10")
def log10(b: Builder, self: Complex) -> Complex:
    return _divided(b, log(b, self), math.log(10))


def _divided(b: Builder, value: Complex, by: float) -> Complex:
    return Complex(b.Div(value.real, by), b.Div(value.imag, by))


@complex_handler("aten::sqrt")
def sqrt(b: Builder, self: Complex) -> Complex:
    dtype = dtype_of(self.real)
    wide = Complex(b.cast(self.real, ir.DataType.DOUBLE), b.cast(self.imag, ir.DataType.DOUBLE))
    size = absolute(b, wide)
    first = b.Sqrt(b.Max(b.Div(b.Add(size, wide.real), 2.0), b.constant(0.0, ir.DataType.DOUBLE)))
    second = b.Sqrt(b.Max(b.Div(b.Sub(size, wide.real), 2.0), b.constant(0.0, ir.DataType.DOUBLE)))
    second = b.Where(b.Less(wide.imag, 0), b.Neg(second), second)
    return Complex(b.cast(first, dtype), b.cast(second, dtype))


@complex_handler("aten::rsqrt")
def rsqrt(b: Builder, self: Complex) -> Complex:
    return _inverse(b, sqrt(b, self))


@complex_handler("aten::square")
def square(b: Builder, self: Complex) -> Complex:
    return _times(b, self, self)


@complex_handler("aten::pow.Tensor_Scalar", "aten::pow.Tensor_Tensor", "aten::pow.Scalar")
def power(b: Builder, self: Any, exponent: Any) -> Complex:
    if isinstance(exponent, int) and isinstance(self, Complex) and 1 <= exponent <= 8:
        result = self
        for _ in range(exponent - 1):
            result = _times(b, result, self)
        return result
    x, y = _operands(b, self, exponent)
    zero = b.And(b.Equal(x.real, 0), b.Equal(x.imag, 0))
    raised = exp(b, _times(b, y, log(b, x)))
    return Complex(b.Where(zero, 0, raised.real), b.Where(zero, 0, raised.imag))


def _hyperbolic(b: Builder, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """cosh and sinh, from exponentials, which exist in every precision."""
    up, down = b.Exp(x), b.Exp(b.Neg(x))
    return b.Div(b.Add(up, down), 2), b.Div(b.Sub(up, down), 2)


@complex_handler("aten::sin")
def sin(b: Builder, self: Complex) -> Complex:
    cosh, sinh = _hyperbolic(b, self.imag)
    return Complex(b.Mul(b.Sin(self.real), cosh), b.Mul(b.Cos(self.real), sinh))


@complex_handler("aten::cos")
def cos(b: Builder, self: Complex) -> Complex:
    cosh, sinh = _hyperbolic(b, self.imag)
    return Complex(b.Mul(b.Cos(self.real), cosh), b.Neg(b.Mul(b.Sin(self.real), sinh)))


@complex_handler("aten::sinh")
def sinh(b: Builder, self: Complex) -> Complex:
    cosh, sinh_ = _hyperbolic(b, self.real)
    return Complex(b.Mul(sinh_, b.Cos(self.imag)), b.Mul(cosh, b.Sin(self.imag)))


@complex_handler("aten::cosh")
def cosh(b: Builder, self: Complex) -> Complex:
    cosh_, sinh_ = _hyperbolic(b, self.real)
    return Complex(b.Mul(cosh_, b.Cos(self.imag)), b.Mul(sinh_, b.Sin(self.imag)))


@complex_handler("aten::tanh")
def tanh(b: Builder, self: Complex) -> Complex:
    return _times(b, sinh(b, self), _inverse(b, cosh(b, self)))


@complex_handler("aten::tan")
def tan(b: Builder, self: Complex) -> Complex:
    return _times(b, sin(b, self), _inverse(b, cos(b, self)))


@complex_handler("aten::sigmoid")
def sigmoid(b: Builder, self: Complex) -> Complex:
    grown = exp(b, Complex(b.Neg(self.real), b.Neg(self.imag)))
    return _inverse(b, Complex(b.Add(grown.real, 1), grown.imag))


@complex_handler("aten::silu")
def silu(b: Builder, self: Complex) -> Complex:
    return _times(b, self, sigmoid(b, self))


@complex_handler("aten::eq.Tensor", "aten::eq.Scalar")
def equal(b: Builder, self: Any, other: Any) -> ir.Value:
    x, y = _operands(b, self, other)
    return b.And(b.Equal(x.real, y.real), b.Equal(x.imag, y.imag))


@complex_handler("aten::ne.Tensor", "aten::ne.Scalar")
def not_equal(b: Builder, self: Any, other: Any) -> ir.Value:
    return b.Not(equal(b, self, other))


def _either(combine: str, test: Callable[[Builder, ir.Value], ir.Value]) -> Callable[..., ir.Value]:
    def function(b: Builder, self: Complex) -> ir.Value:
        result: ir.Value = getattr(b, combine)(test(b, self.real), test(b, self.imag))
        return result

    return function


complex_handler("aten::isnan")(_either("Or", lambda b, x: b.IsNaN(x)))
complex_handler("aten::isinf")(_either("Or", lambda b, x: b.Equal(b.Abs(x), math.inf)))
complex_handler("aten::isfinite")(_either("And", lambda b, x: b.Less(b.Abs(x), math.inf)))


@complex_handler("aten::isreal")
def isreal(b: Builder, self: Complex) -> ir.Value:
    return b.Equal(self.imag, 0)


@complex_handler("aten::masked_fill.Scalar", "aten::masked_fill.Tensor")
def masked_fill(b: Builder, self: Complex, mask: ir.Value, value: Any) -> Complex:
    filler = _pair(b, value, dtype_of(self.real))
    return Complex(b.Where(mask, filler.real, self.real), b.Where(mask, filler.imag, self.imag))


@complex_handler("aten::prod", "aten::prod.dim_int")
def prod(b: Builder, self: Complex, **arguments: Any) -> Complex:
    raise UnsupportedError("Products over complex numbers are not translated.")


def _product(b: Builder, x: Any, y: Any, multiply: Callable[[ir.Value, ir.Value], ir.Value]) -> Complex:
    dtype = next(dtype_of(each.real) for each in (x, y) if isinstance(each, Complex))
    if not isinstance(x, Complex):
        x = b.cast(x, dtype)
        return Complex(multiply(x, y.real), multiply(x, y.imag))
    if not isinstance(y, Complex):
        y = b.cast(y, dtype)
        return Complex(multiply(x.real, y), multiply(x.imag, y))
    first = b.Sub(multiply(x.real, y.real), multiply(x.imag, y.imag))
    return Complex(first, b.Add(multiply(x.real, y.imag), multiply(x.imag, y.real)))


@complex_handler("aten::matmul", "aten::mm", "aten::bmm", "aten::mv", "aten::dot", "aten::linalg_matmul")
def matmul(b: Builder, self: Any, other: Any = None, mat2: Any = None, vec: Any = None, tensor: Any = None) -> Complex:
    right = next(each for each in (other, mat2, vec, tensor) if each is not None)
    return _product(b, self, right, b.MatMul)


@complex_handler("aten::vdot")
def vdot(b: Builder, self: Any, other: Any) -> Complex:
    left = conj(b, self) if isinstance(self, Complex) else self
    return _product(b, left, other, b.MatMul)


@complex_handler("aten::linear")
def linear(b: Builder, input: Any, weight: Any, bias: Any = None) -> Complex:
    result = _product(b, input, weight, lambda x, y: real_linear(b, x, y))
    return result if bias is None else add(b, result, bias)


@complex_handler("aten::einsum")
def einsum(b: Builder, equation: str, tensors: list[Any], path: Any = None) -> Complex:
    if len(tensors) != 2:
        raise UnsupportedError("einsum of more than two tensors, or of one, over complex numbers.")
    plain = equation.replace(" ", "")
    return _product(b, tensors[0], tensors[1], lambda x, y: b.Einsum(x, y, equation=plain))


@complex_handler("aten::where.self", "aten::where.ScalarOther", "aten::where.ScalarSelf")
def where(b: Builder, condition: ir.Value, self: Any, other: Any) -> Complex:
    x, y = _operands(b, self, other)
    return _whole(b, Complex(b.Where(condition, x.real, y.real), b.Where(condition, x.imag, y.imag)))

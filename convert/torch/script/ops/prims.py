"""torch's `prims::` operators, which its decompositions end in: element types are promoted already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.ops import elementwise, special  # noqa: F401
from transload.convert.torch.script.ops.conversion import convert_content
from transload.convert.torch.script.ops.creation import Filled, arange_start_step, full_of
from transload.convert.torch.script.ops.reduction import _variance, reduce
from transload.convert.torch.script.ops.shaping import cat, flip
from transload.convert.torch.script.ops.views import permute
from transload.convert.torch.script.registry import OPERATORS, complex_handler, handler

UNARY = [
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "bitwise_not",
    "ceil",
    "cos",
    "cosh",
    "digamma",
    "erf",
    "erfc",
    "erf_inv",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "isfinite",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
    "neg",
    "reciprocal",
    "round",
    "rsqrt",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
]
BINARY = [
    "add",
    "atan2",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "div",
    "eq",
    "fmax",
    "fmin",
    "fmod",
    "gcd",
    "ge",
    "gt",
    "hypot",
    "le",
    "lt",
    "maximum",
    "minimum",
    "mul",
    "ne",
    "pow",
    "remainder",
    "shift_left",
    "shift_right_arithmetic",
    "sub",
]
NAMES = {
    "erf_inv": "erfinv",
    "pow": "pow.Tensor_Tensor",
    "shift_left": "bitwise_left_shift.Tensor",
    "shift_right_arithmetic": "bitwise_right_shift.Tensor",
}
PLAIN = frozenset({"atan2", "fmax", "fmin", "gcd", "hypot", "maximum", "minimum", "nextafter"})
"""Binary operators whose aten names have no overload."""


def _register(name: str, takes_other: bool) -> None:
    aten = NAMES.get(name) or (name if not takes_other or name in PLAIN else f"{name}.Tensor")
    function: Callable[..., Any] = OPERATORS[f"aten::{aten}"].function
    given = OPERATORS[f"aten::{aten}"].parameters

    if takes_other:
        second = next(each for each in ("other", "exponent") if each in given)

        @handler(f"prims::{name}")
        def binary(b: Builder, self: Any, other: Any) -> Any:
            return function(b, self, **{second: other})

        return

    @handler(f"prims::{name}")
    def unary(b: Builder, self: Any) -> Any:
        return function(b, self)


for _name in UNARY:
    _register(_name, takes_other=False)
for _name in BINARY:
    _register(_name, takes_other=True)


@handler("prims::convert_element_type")
@complex_handler("prims::convert_element_type")
def convert_element_type(b: Builder, a: Any, dtype: ir.DataType) -> Any:
    return convert_content(b, a, dtype)


@handler("prims::where")
def where(builder: Builder, pred: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
    return builder.Where(pred, a, b)


@handler("prims::view_of", "prims::device_put", "prims::clone")
def same(b: Builder, a: ir.Value | None = None, self: ir.Value | None = None) -> ir.Value | None:
    return a if a is not None else self


@handler("prims::broadcast_in_dim")
def broadcast_in_dim(b: Builder, a: ir.Value, shape: list[Int], broadcast_dimensions: list[int]) -> ir.Value:
    missing = [axis for axis in range(len(shape)) if axis not in broadcast_dimensions]
    return b.expand(b.unsqueeze(a, *missing) if missing else a, shape)


@handler("prims::collapse_view", "prims::collapse")
def collapse(b: Builder, a: ir.Value, start: int, end: int) -> ir.Value:
    sizes = b.sizes(a)
    product: Int = 1
    for size in sizes[start : end + 1]:
        product = b.mul_int(product, size)
    return b.reshape(a, [*sizes[:start], product, *sizes[end + 1 :]])


@handler("prims::split_dim")
def split_dim(b: Builder, a: ir.Value, dim: int, outer_length: Int) -> ir.Value:
    sizes = b.sizes(a)
    return b.reshape(a, [*sizes[:dim], outer_length, -1, *sizes[dim + 1 :]])


@handler("prims::squeeze")
def squeeze(b: Builder, a: ir.Value, dimensions: list[int]) -> ir.Value:
    return b.squeeze(a, *dimensions) if dimensions else a


@handler("prims::transpose")
def transpose(b: Builder, a: ir.Value, permutation: list[int]) -> ir.Value:
    return permute(b, a, permutation)


@handler("prims::reshape")
def reshape(b: Builder, a: ir.Value, shape: list[Int]) -> ir.Value:
    return b.reshape(a, shape)


@handler("prims::rev")
def rev(b: Builder, a: ir.Value, dims: list[int]) -> ir.Value:
    return flip(b, a, dims)


@handler("prims::cat")
def concatenate(b: Builder, tensors: list[ir.Value], dim: int) -> ir.Value:
    return cat(b, tensors, dim)


@handler("prims::fill")
def fill(b: Builder, self: ir.Value, value: Any) -> Filled:
    assert self.dtype is not None
    return full_of(b, b.sizes(self), value, self.dtype)


@handler("prims::full")
def full(b: Builder, shape: list[Int], fill_value: Any, dtype: ir.DataType) -> Filled:
    return full_of(b, shape, fill_value, dtype)


@handler("prims::full_like")
def full_like(b: Builder, a: ir.Value, fill_value: Any, dtype: ir.DataType) -> Filled:
    return full_of(b, b.sizes(a), fill_value, dtype)


@handler("prims::empty_strided")
def empty_strided(b: Builder, shape: list[Int], strides: Any, dtype: ir.DataType) -> Filled:
    return full_of(b, shape, 0, dtype)


@handler("prims::scalar_tensor")
def scalar_tensor(b: Builder, s: Any, dtype: ir.DataType | None = None) -> Filled:
    assert dtype is not None
    return full_of(b, [], s, dtype)


@handler("prims::iota")
def iota(b: Builder, length: Int, start: Int, step: Int, dtype: ir.DataType) -> ir.Value:
    end = b.add_int(start, b.mul_int(length, step))
    return arange_start_step(b, start, end, step, dtype)


def _reduction(name: str, op_type: str) -> None:
    @handler(f"prims::{name}")
    def over(b: Builder, inp: ir.Value, dims: list[int] | None, output_dtype: ir.DataType | None = None) -> ir.Value:
        value = inp if output_dtype is None else b.cast(inp, output_dtype)
        return value if dims == [] else reduce(b, op_type, value, dims, False)


for _name, _op_type in {"sum": "ReduceSum", "prod": "ReduceProd", "amax": "ReduceMax", "amin": "ReduceMin"}.items():
    _reduction(_name, _op_type)


@handler("prims::var")
def var(
    b: Builder,
    inp: ir.Value,
    dims: list[int] | None,
    correction: float | None = 1,
    output_dtype: ir.DataType | None = None,
) -> ir.Value:
    return _variance(b, inp, dims, 1 if correction is None else correction, False)[0]

"""Arithmetic of Python numbers: computed at once where they are known, by the graph where they are not."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder
from transload.convert.torch.script.dtypes import NUMBER_DTYPE
from transload.convert.torch.script.registry import OPERATORS
from transload.convert.torch.script.schemas import Schema
from transload.convert.torch.script.values import Number
from transload.serialize.errors import UnsupportedError

ARITHMETIC = {"add": "Add", "sub": "Sub", "mul": "Mul", "pow": "Pow"}
COMPARISONS = {"eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}
FLOAT_FUNCTIONS = {
    **{
        name: f"aten::{name}"
        for name in (
            *("sqrt", "exp", "log", "sin", "cos", "tan", "tanh", "sinh", "cosh", "asin", "acos", "atan", "asinh"),
            *("acosh", "atanh", "log2", "log10", "log1p", "expm1", "atan2", "hypot", "lgamma"),
        )
    },
    "copysign": "aten::copysign.Tensor",
    "fmod": "aten::fmod.Tensor",
}
"""Computed by the graph as they are of tensors of doubles."""

TESTS = ("isnan", "isinf", "isfinite")
BITWISE = {"__and__": ("And", "BitwiseAnd"), "__or__": ("Or", "BitwiseOr"), "__xor__": ("Xor", "BitwiseXor")}


def _floordiv(one: Any, other: Any) -> Any:
    if other == 0:
        raise UnsupportedError("A number is divided by zero.")
    # Python's own rounds a float quotient otherwise: 1.0 // 0.1 is 9.0 there, and 10.0 in TorchScript.
    return one // other if isinstance(one, int) and isinstance(other, int) else float(math.floor(one / other))


def _remainder(one: Any, other: Any) -> Any:
    if isinstance(one, int) and isinstance(other, int):
        return one % other
    return math.fmod(other + math.fmod(one, other), other)


def _pow(one: Any, other: Any) -> Any:
    return one**other if isinstance(one, int) and isinstance(other, int) else math.pow(one, other)


KNOWN: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "pow": _pow,
    "div": operator.truediv,
    "truediv": operator.truediv,
    "floordiv": _floordiv,
    "floor_divide": _floordiv,
    "remainder": _remainder,
    "mod": _remainder,
    "neg": operator.neg,
    "abs": abs,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "__and__": operator.and_,
    "__or__": operator.or_,
    "__xor__": operator.xor,
    "__not__": operator.not_,
    "__is__": operator.is_,
    "__isnot__": operator.is_not,
    "__lshift__": operator.lshift,
    "__rshift__": operator.rshift,
    "bitwise_not": operator.invert,
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "trunc": math.trunc,
    "gamma": math.gamma,
    "degrees": math.degrees,
    "radians": math.radians,
    "factorial": math.factorial,
    "gcd": math.gcd,
    "ldexp": math.ldexp,
    "mathremainder": math.remainder,
    "fabs": math.fabs,
    "erf": math.erf,
    "erfc": math.erfc,
    "isnan": math.isnan,
    "isinf": math.isinf,
    "isfinite": math.isfinite,
    "Int": int,
    "Float": float,
    "Bool": bool,
    "Complex": complex,
    "complex": complex,
    "IntImplicit": int,
    "FloatImplicit": float,
    "ScalarImplicit": lambda number: number,
    "min": min,
    "max": max,
    "__range_length": lambda low, high, step: len(range(low, high, step)),
    "__derive_index": lambda index, start, step: start + index * step,
    **{name: getattr(math, name) for name in FLOAT_FUNCTIONS},
}
"""torch's operators over Python numbers, by base name."""

NUMBER_OPERATORS = frozenset(KNOWN)


KINDS = {"int": int, "float": float, "bool": bool}


def apply_operator(b: Builder, schema: Schema, *args: Any) -> Any:
    """Apply an operator, with the type of number that TorchScript gives it: `**` of integers is a float there.

    Raises:
        UnsupportedError: it cannot be computed by the graph.
    """
    base = schema.name.partition("::")[2].partition(".")[0]
    try:
        result = apply_to_numbers(b, base, *args)
    except (ValueError, OverflowError):
        # Outside their domain, Python's functions raise, and C++'s give NaN or infinity.
        result = schema.operator(*args)
    kind = KINDS.get(schema.result)
    if kind is None or result is NotImplemented:
        return result
    if isinstance(result, Number):
        return result if result.kind is kind else Number(b.scalar(result.value, NUMBER_DTYPE[kind]), kind)
    return kind(result) if type(result) in (int, float, bool) else result


def apply_to_numbers(b: Builder, base: str, *args: Any) -> Any:
    """Apply an operator over Python values to values known or computed.

    Raises:
        UnsupportedError: it cannot be computed by the graph.
    """
    if not any(isinstance(arg, Number) for arg in args):
        return KNOWN[base](*args)
    if base in ("__is__", "__isnot__"):
        # A number is never None.
        return base == "__isnot__"
    return _Computed(b).apply(base, args)


class _Computed:
    def __init__(self, b: Builder) -> None:
        self.b = b

    def apply(self, base: str, args: tuple[Any, ...]) -> Any:
        kinds = [arg.kind if isinstance(arg, Number) else type(arg) for arg in args]
        kind = float if float in kinds else int
        if base in ARITHMETIC:
            if kinds == [int, int] and ((base == "add" and args[1] == 0) or (base == "mul" and args[1] == 1)):
                return args[0]
            if base == "pow" and kind is int and not (isinstance(args[1], int) and args[1] >= 0):
                kind = float
            return Number(getattr(self.b, ARITHMETIC[base])(*self.values(args, kind)), kind)
        if base in COMPARISONS:
            if kinds == [bool, bool]:
                kind = bool
            return Number(getattr(self.b, COMPARISONS[base])(*self.values(args, kind)), bool)
        if base == "ne":
            return self.apply("__not__", (self.apply("eq", args),))
        if base in ("div", "truediv"):
            return Number(self.b.Div(*self.values(args, float)), float)
        if base in ("floordiv", "floor_divide"):
            if kind is float:
                return Number(self.b.Floor(self.b.Div(*self.values(args, float))), float)
            return self.floordiv(*self.values(args, int))
        if base in ("remainder", "mod"):
            return self.remainder(kind, *self.values(args, kind))
        if base == "__derive_index":
            index, start, step = args
            return self.apply("add", (start, self.apply("mul", (index, step))))
        if base == "__range_length":
            return self.range_length(*args)
        if base == "neg":
            return Number(self.b.Neg(*self.values(args, kind)), kind)
        if base == "abs":
            return Number(self.b.Abs(*self.values(args, kind)), kind)
        if base in BITWISE:
            both = kinds == [bool, bool]
            return Number(
                getattr(self.b, BITWISE[base][0 if both else 1])(*self.values(args, bool if both else int)),
                bool if both else int,
            )
        if base == "__not__":
            return Number(self.b.Not(*self.values(args, bool)), bool)
        if base in ("min", "max"):
            return Number(getattr(self.b, base.capitalize())(*self.values(args, kind)), kind)
        if base in ("floor", "ceil", "round", "trunc"):
            return self.rounded(base, args[0])
        if base in ("Int", "IntImplicit"):
            return Number(self.b.scalar(args[0], ir.DataType.INT64), int)
        if base in ("Float", "FloatImplicit"):
            return Number(self.b.scalar(args[0], ir.DataType.DOUBLE), float)
        if base == "Bool":
            return Number(self.b.scalar(args[0], ir.DataType.BOOL), bool)
        if base == "ScalarImplicit":
            return args[0]
        if base == "log" and len(args) == 2:
            return Number(self.b.Div(*(self.b.Log(each) for each in self.values(args, float))), float)
        if base in FLOAT_FUNCTIONS:
            # As of tensors, since ONNX Runtime lacks some for doubles.
            value = OPERATORS[FLOAT_FUNCTIONS[base]].function(self.b, *self.values(args, float))
            return Number(self.b.cast(value, ir.DataType.DOUBLE), float)
        if base in TESTS:
            value = OPERATORS[f"aten::{base}"].function(self.b, *self.values(args, float))
            return Number(value, bool)
        if base in ("degrees", "radians"):
            factor = math.degrees(1) if base == "degrees" else math.radians(1)
            return self.apply("mul", (self.apply("Float", args), factor))
        if base in ("fabs", "bitwise_not"):
            name = "Abs" if base == "fabs" else "BitwiseNot"
            kind = float if base == "fabs" else int
            return Number(getattr(self.b, name)(*self.values(args, kind)), kind)
        raise UnsupportedError(f"The number that {base!r} is applied to depends on the data.")

    def values(self, args: tuple[Any, ...], kind: type) -> list[ir.Value]:
        return [self.b.scalar(arg, NUMBER_DTYPE[kind]) for arg in args]

    def floordiv(self, one: ir.Value, other: ir.Value) -> Number:
        # ONNX divides integers towards zero, its Mod has the divisor's sign.
        return Number(self.b.Div(self.b.Sub(one, self.b.Mod(one, other)), other), int)

    def range_length(self, low: Any, high: Any, step: Any) -> Any:
        if isinstance(step, Number):
            raise UnsupportedError("The step of a range depends on the data.")
        distance = self.apply("add", (high, self.apply("neg", (low,)) if isinstance(low, Number) else -low))
        if step < 0:
            distance = self.apply("neg", (distance,)) if isinstance(distance, Number) else -distance
        if not isinstance(distance, Number):
            return max(0, -(-distance // abs(step)))
        steps = self.apply("add", (distance, abs(step) - 1))
        return self.apply("max", (self.apply("floordiv", (steps, abs(step))), 0))

    def remainder(self, kind: type, one: ir.Value, other: ir.Value) -> Number:
        if kind is int:
            return Number(self.b.Mod(one, other), int)
        once = self.b.Add(other, self.b.Mod(one, other, fmod=1))
        return Number(self.b.Mod(once, other, fmod=1), float)

    def rounded(self, base: str, number: Number) -> Number:
        if number.kind is not float:
            return number
        if base == "trunc":
            return Number(self.b.cast(number.value, ir.DataType.INT64), int)
        rounded = getattr(self.b, base.capitalize())(number.value)
        # Unlike Python's, aten::round.float gives a float.
        return Number(rounded, float) if base == "round" else Number(self.b.cast(rounded, ir.DataType.INT64), int)

"""Arithmetic of Python numbers: computed at once where they are known, by the graph where they are not."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder
from transload.convert.torch.script.dtypes import NUMBER_DTYPE
from transload.convert.torch.script.values import Number
from transload.serialize.errors import UnsupportedError

ARITHMETIC = {"add": "Add", "sub": "Sub", "mul": "Mul", "pow": "Pow"}
COMPARISONS = {"eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}
FLOAT_FUNCTIONS = {
    "sqrt": "Sqrt",
    "exp": "Exp",
    "log": "Log",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "tanh": "Tanh",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "asin": "Asin",
    "acos": "Acos",
    "atan": "Atan",
    "erf": "Erf",
}
BITWISE = {"__and__": ("And", "BitwiseAnd"), "__or__": ("Or", "BitwiseOr"), "__xor__": ("Xor", "BitwiseXor")}


def _floordiv(one: Any, other: Any) -> Any:
    if other == 0:
        raise UnsupportedError("A number is divided by zero.")
    return one // other


KNOWN: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "pow": operator.pow,
    "div": operator.truediv,
    "truediv": operator.truediv,
    "floordiv": _floordiv,
    "floor_divide": _floordiv,
    "remainder": operator.mod,
    "fmod": math.fmod,
    "mod": operator.mod,
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
    "log2": math.log2,
    "log10": math.log10,
    "log1p": math.log1p,
    "expm1": math.expm1,
    "atan2": math.atan2,
    "hypot": math.hypot,
    "copysign": math.copysign,
    "gamma": math.gamma,
    "lgamma": math.lgamma,
    "degrees": math.degrees,
    "radians": math.radians,
    "factorial": math.factorial,
    "gcd": math.gcd,
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
            if (base == "add" and args[1] == 0) or (base == "mul" and args[1] == 1 and kinds[0] is kind):
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
        if base in FLOAT_FUNCTIONS:
            return Number(getattr(self.b, FLOAT_FUNCTIONS[base])(*self.values(args, float)), float)
        if base in ("log2", "log10"):
            natural = self.b.Log(*self.values(args, float))
            return Number(self.b.Div(natural, math.log(2 if base == "log2" else 10)), float)
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
        return Number(self.b.Sub(one, self.b.Mul(self.b.Floor(self.b.Div(one, other)), other)), float)

    def rounded(self, base: str, number: Number) -> Number:
        if number.kind is not float:
            return number
        if base == "trunc":
            return Number(self.b.cast(number.value, ir.DataType.INT64), int)
        rounded = getattr(self.b, base.capitalize())(number.value)
        # Unlike Python's, aten::round.float gives a float.
        return Number(rounded, float) if base == "round" else Number(self.b.cast(rounded, ir.DataType.INT64), int)

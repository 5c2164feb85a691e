"""Division of integers, and functions that tf2onnx computes in another precision than TensorFlow."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from transload.convert.tensorflow.operators.emitter import Emitter
from transload.convert.tensorflow.operators.registry import operator

FLOATS = frozenset(map(int, (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)))
DIVIDED = frozenset(map(int, (TensorProto.INT32, TensorProto.INT64, TensorProto.UINT32, TensorProto.UINT64)))
INT64 = int(TensorProto.INT64)


@operator("FloorMod")
def floor_mod(g: Emitter) -> str:
    """tf2onnx divides, which rounds integers towards zero, and of floats loses what a large quotient rounds off."""
    x, y = g.inputs
    if g.dtype(x) not in FLOATS:
        return str(g.Mod(x, y))
    remainder = g.Mod(x, y, fmod=1)
    return str(g.Where(_has_other_sign(g, remainder, y), g.Add(remainder, y), remainder))


def _has_other_sign(g: Emitter, remainder: str, divisor: str) -> str:
    """Whether a remainder is not zero and has another sign than the divisor."""
    zero = g.CastLike(np.array(0, np.float32), divisor)
    signs = g.Xor(g.Less(remainder, zero), g.Less(divisor, zero))
    return str(g.And(g.Not(g.Equal(remainder, zero)), signs))


@operator("FloorDiv")
def floor_div(g: Emitter) -> str:
    """tf2onnx rounds quotients of integers towards zero. Taking off the remainder first, which is shorter, overflows at
    the lowest integer."""
    x, y = g.inputs
    dtype = g.dtype(x)
    if dtype in FLOATS:
        return str(g.Floor(g.Div(x, y)))
    if dtype not in DIVIDED:
        x, y = g.Cast(x, to=INT64), g.Cast(y, to=INT64)
    quotient = g.Div(x, y)
    less = g.Sub(quotient, g.CastLike(np.array(1, np.float32), x))
    remainder = g.Sub(x, g.Mul(quotient, y))
    return str(g.Cast(g.Where(_has_other_sign(g, remainder, y), less, quotient), to=dtype))


@operator("TruncateMod", "Mod")
def truncate_mod(g: Emitter) -> str:
    """ONNX Runtime computes `fmod` of integers in float64."""
    x, y = g.inputs
    dtype = g.dtype(x)
    if dtype in FLOATS:
        return str(g.Mod(x, y, fmod=1))
    if dtype not in DIVIDED:
        x, y = g.Cast(x, to=INT64), g.Cast(y, to=INT64)
    return str(g.Cast(g.Sub(x, g.Mul(g.Div(x, y), y)), to=dtype))


@operator("Log")
def log(g: Emitter) -> str:
    """tf2onnx computes it in single precision always."""
    return str(g.Log(*g.inputs))


@operator("Atan2")
def atan2(g: Emitter) -> str:
    """tf2onnx divides infinities by each other, and takes a zero of either sign for the same."""
    y, x = g.inputs
    number = g.constant_like(y)
    zero, one = number(0.0), number(1.0)
    both = g.And(g.IsInf(x), g.IsInf(y))
    x, y = (g.Where(both, g.Sign(each), each) for each in (x, y))
    is_negative = {
        name: g.Or(g.Less(each, zero), g.Less(g.Div(one, each), zero)) for name, each in {"x": x, "y": y}.items()
    }
    upright = g.Equal(x, zero)
    lying = g.Equal(y, zero)
    angle = g.Where(lying, zero, g.Atan(g.Div(g.Abs(y), g.Where(upright, one, g.Abs(x)))))
    angle = g.Where(g.And(upright, g.Not(lying)), g.Where(g.IsNaN(y), y, number(np.pi / 2)), angle)
    angle = g.Where(g.And(is_negative["x"], g.Or(g.Not(upright), lying)), g.Sub(number(np.pi), angle), angle)
    angle = g.Where(is_negative["y"], g.Neg(angle), angle)
    return str(g.Where(g.Or(g.IsNaN(x), g.IsNaN(y)), number(np.nan), angle))

"""The largest elements and their places."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from transload.convert.tensorflow.operators.arithmetic import FLOATS
from transload.convert.tensorflow.operators.emitter import Emitter
from transload.convert.tensorflow.operators.registry import operator
from transload.serialize.errors import UnsupportedError

INT32, INT64 = int(TensorProto.INT32), int(TensorProto.INT64)

SORTED = frozenset(map(int, (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, INT32, INT64)))
"""The dtypes for which ONNX Runtime has a TopK."""


@operator("TopKV2", "TopK")
def top_k(g: Emitter) -> tuple[str, str]:
    """tf2onnx sorts integers as floats, which round them."""
    value, dtype = g.inputs[0], g.dtype(g.inputs[0])
    count = g.Reshape(g.Cast(g.inputs[1], to=INT64), np.array([1])) if len(g.inputs) > 1 else [g.attribute("k")]
    given = value if dtype in SORTED else g.Cast(value, to=INT64)
    largest, places = g.TopK(given, count, axis=-1, largest=1, sorted=1, outputs=2)
    g.graph.set_dtype(largest, dtype if dtype in SORTED else INT64)
    g.graph.set_dtype(places, INT64)
    return (largest if dtype in SORTED else g.Cast(largest, to=dtype)), g.Cast(places, to=g.dtype(g.node.output[1]))


@operator("ArgMax", "ArgMin")
def arg_extreme(g: Emitter) -> str:
    """TensorFlow begins with the lowest finite number, and no NaN is larger; ONNX Runtime begins with the first."""
    value, dtype = g.inputs[0], g.dtype(g.inputs[0])
    axis = g.known(g.inputs[1])
    if axis is None:
        raise UnsupportedError("The axis depends on the data.")
    largest = g.node.type == "ArgMax"
    if dtype in FLOATS and dtype != int(TensorProto.BFLOAT16):
        numbers = np.finfo(helper.tensor_dtype_to_np_dtype(dtype))
        start = np.array(numbers.min if largest else numbers.max)
        value = g.Where(g.Greater(value, start) if largest else g.Less(value, start), value, start)
    emit = g.ArgMax if largest else g.ArgMin
    return str(g.Cast(emit(value, axis=int(axis), keepdims=0), to=g.dtype(g.node.output[0])))

"""Choosing between elements."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from transload.convert.tensorflow.operators.emitter import Emitter
from transload.convert.tensorflow.operators.registry import operator

# ONNX Runtime's CPU provider has no Where for the others.
STAND_INS = {
    int(TensorProto.BOOL): int(TensorProto.UINT8),
    int(TensorProto.INT8): int(TensorProto.INT32),
    int(TensorProto.INT16): int(TensorProto.INT32),
    int(TensorProto.UINT16): int(TensorProto.INT32),
    int(TensorProto.UINT32): int(TensorProto.INT64),
    int(TensorProto.UINT64): int(TensorProto.INT64),
    int(TensorProto.FLOAT16): int(TensorProto.FLOAT),
    int(TensorProto.BFLOAT16): int(TensorProto.FLOAT),
}


@operator("Select", "SelectV2")
def select(g: Emitter) -> str:
    """tf2onnx multiplies by 0 and 1 and adds: NaN and infinities in what is not chosen spoil the rest."""
    condition, one, other = g.inputs
    if g.node.type == "Select" and len(g.shape(condition)) == 1 and (rank := len(g.shape(one))) > 1:
        # The older operation chooses whole rows by a condition of rank 1.
        condition = g.Reshape(condition, np.array([-1] + [1] * (rank - 1)))
    dtype = g.dtype(one)
    stand_in = STAND_INS.get(dtype)
    if stand_in is None:
        return str(g.Where(condition, one, other))
    return str(g.Cast(g.Where(condition, g.Cast(one, to=stand_in), g.Cast(other, to=stand_in)), to=dtype))

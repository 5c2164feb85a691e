"""What is unique along an axis."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from transload.convert.tensorflow.operators.emitter import Emitter
from transload.convert.tensorflow.operators.registry import operator
from transload.serialize.errors import UnsupportedError

INT64 = int(TensorProto.INT64)
KEPT = frozenset(map(int, (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT8, TensorProto.STRING, INT64)))


@operator("UniqueV2", "UniqueWithCountsV2")
def unique(g: Emitter) -> tuple[str, ...]:
    """In the order of first appearance; ONNX Runtime has no kernel for other integers than INT8 and INT64."""
    axes = g.known(g.inputs[1])
    if axes is None or np.size(axes) > 1:
        raise UnsupportedError("The axis depends on the data.")
    attributes = {"axis": int(np.ravel(axes)[0])} if np.size(axes) else {}
    value, dtype = g.inputs[0], g.dtype(g.inputs[0])
    given = value if dtype in KEPT else g.Cast(value, to=INT64)
    found, _, places, counts = g.Unique(given, sorted=0, outputs=4, **attributes)
    g.graph.set_dtype(found, dtype if dtype in KEPT else INT64)
    numbers = g.dtype(g.node.output[1])
    results = [found if dtype in KEPT else g.Cast(found, to=dtype), g.Cast(places, to=numbers)]
    if g.node.type == "UniqueWithCountsV2":
        results.append(g.Cast(counts, to=numbers))
    return tuple(results)

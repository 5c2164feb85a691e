"""Reductions read through a transpose, where that changes nothing."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from transload.convert.tensorflow.transposed_reductions import ReduceBeforeTransposePass

X = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)


def model(op: str, perm: str, axes: str, keepdims: int, opset: int = 18) -> onnx.ModelProto:
    reduce = f"{op} <axes = [{axes}], keepdims = {keepdims}> (t)"
    if opset >= 18:
        reduce = f"{op} <keepdims = {keepdims}> (t, axes)"
    text = f"""
    <ir_version: 10, opset_import: ["" : {opset}]>
    g (float[2,3,4,5] x) => (float[...] y) <int64[{len(axes.split(","))}] axes = {{{axes}}}>
    {{
        t = Transpose <perm = [{perm}]> (x)
        y = {reduce}
    }}
    """.replace("float[...]", "float")
    return onnx.parser.parse_model(text)


def run(proto: onnx.ModelProto) -> np.ndarray:
    (output,) = ort.InferenceSession(proto.SerializeToString()).run(None, {"x": X})
    return np.asarray(output)


@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize("op", ["ReduceMean", "ReduceMax", "ReduceL2"])
@pytest.mark.parametrize(
    ("perm", "axes"), [("0,2,3,1", "1,2"), ("0,2,3,1", "-2,-3"), ("3,0,1,2", "0"), ("1,0,2,3", "1")]
)
def test_the_transpose_goes_and_the_result_stays(op: str, perm: str, axes: str, opset: int) -> None:
    proto = model(op, perm, axes, 0, opset)
    expected = run(proto)
    found = ReduceBeforeTransposePass()(ir.from_proto(proto))
    assert found.modified
    assert "Transpose" not in {node.op_type for node in found.model.graph}
    np.testing.assert_allclose(run(ir.to_proto(found.model)), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("perm", "axes", "keepdims"), [("0,2,3,1", "1", 0), ("3,2,1,0", "1,2", 0), ("0,2,3,1", "1,2", 1)]
)
def test_axes_that_would_change_places_are_left_alone(perm: str, axes: str, keepdims: int) -> None:
    found = ReduceBeforeTransposePass()(ir.from_proto(model("ReduceSum", perm, axes, keepdims)))
    assert not found.modified

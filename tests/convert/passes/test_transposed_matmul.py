"""ONNX Runtime's crash over Transpose, Cast and MatMul, and the pass that keeps clear of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from transload.convert.passes.transposed_matmul import GuardTransposedMatMulPass

FLOAT, FLOAT16, DOUBLE = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE
WEIGHT = np.random.default_rng(0).standard_normal((6, 3))


def product(dtype: int, perm: list[int], *, cast: bool) -> onnx.ModelProto:
    """x, transposed and perhaps cast to float32, times a matrix."""
    shape = [2 + axis for axis in range(len(perm) - 1)] + [6]
    nodes = [helper.make_node("Transpose", ["x"], ["t"], perm=perm)]
    nodes += [helper.make_node("Cast", ["t"], ["c"], to=FLOAT)] if cast else []
    nodes += [helper.make_node("MatMul", ["c" if cast else "t", "w"], ["y"])]
    weight = WEIGHT.astype(helper.tensor_dtype_to_np_dtype(FLOAT if cast else dtype))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


def guarded(model: onnx.ModelProto) -> tuple[onnx.ModelProto, bool]:
    graph = ir.serde.deserialize_model(model)
    modified = GuardTransposedMatMulPass()(graph).modified
    return ir.serde.serialize_model(graph), modified


def exit_status(model: onnx.ModelProto, folder: Path) -> int:
    """How a process ends that creates a session of the model."""
    path = folder / "m.onnx"
    onnx.save(model, path)
    code = f"import onnxruntime; onnxruntime.InferenceSession({str(path)!r}, providers=['CPUExecutionProvider'])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode


CRASHES: list[Any] = [
    (FLOAT16, [1, 0, 2], False),
    (FLOAT16, [1, 0, 2], True),
    (DOUBLE, [1, 0, 2], True),
    (FLOAT16, [1, 2, 0, 3], True),
]


@pytest.mark.parametrize(("dtype", "perm", "cast"), CRASHES)
def test_onnx_runtime_crashes_unless_guarded(dtype: int, perm: list[int], cast: bool, tmp_path: Path) -> None:
    # The day the first of these fails, ONNX Runtime is mended; the pass stays until no supported release has the fault.
    model = product(dtype, perm, cast=cast)
    assert exit_status(model, tmp_path) < 0
    fixed, modified = guarded(model)
    assert modified
    session = ort.InferenceSession(fixed.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal(session.get_inputs()[0].shape)
    x = x.astype(helper.tensor_dtype_to_np_dtype(dtype))
    expected = np.transpose(x, perm).astype(np.float64) @ WEIGHT
    np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(("dtype", "perm", "cast"), [(FLOAT, [1, 0, 2], False), (FLOAT16, [0, 2, 1, 3], True)])
def test_what_does_not_crash_is_left_alone(dtype: int, perm: list[int], cast: bool, tmp_path: Path) -> None:
    model = product(dtype, perm, cast=cast)
    assert exit_status(model, tmp_path) == 0
    assert not guarded(model)[1]

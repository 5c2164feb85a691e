"""Loops whose bodies TensorFlow's optimiser merged with what they call: ONNX Runtime takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

import transload as tl
from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.loop_numbers import ScalarLoopNumbersPass

SCALAR, VECTOR = ir.Shape([]), ir.Shape([3])


def loop(shape: ir.Shape | None) -> ir.Model:
    """A loop that adds its numbers up, whose number has this shape."""
    number, goes_on, total = (ir.Value(name=name) for name in ("number", "goes_on", "total"))
    for value, dtype in ((number, ir.DataType.INT64), (goes_on, ir.DataType.BOOL), (total, ir.DataType.INT64)):
        value.dtype, value.shape = dtype, shape if value is number else SCALAR
    add = ir.node("Add", [total, number])
    same = ir.node("Identity", [goes_on])
    body = ir.Graph([number, goes_on, total], [same.outputs[0], add.outputs[0]], nodes=[same, add])
    count, start = ir.Value(name="count"), ir.Value(name="start")
    node = ir.node("Loop", [count, None, start], {"body": body})
    return ir.Model(ir.Graph([count, start], node.outputs, nodes=[node], opset_imports={"": 18}), ir_version=10)


def test_the_number_of_an_iteration_becomes_a_scalar() -> None:
    model = loop(None)
    assert ScalarLoopNumbersPass()(model).modified
    assert [value.shape for value in model.graph[0].attributes["body"].as_graph().inputs] == [SCALAR] * 3


def test_what_has_a_shape_keeps_it() -> None:
    model = loop(VECTOR)
    assert not ScalarLoopNumbersPass()(model).modified
    assert model.graph[0].attributes["body"].as_graph().inputs[0].shape == VECTOR


def test_a_branch_on_the_rows_of_a_loop(tmp_path: Path) -> None:
    weight = tf.Variable([0.5, 0.25])

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
    def step(x: Any) -> Any:
        total, last, count = tf.constant(0.0), tf.constant([1.0, 2.0]), tf.constant(0)
        for row in x:
            total += row[0]
            if total > 2.0:
                last = last - row * weight
                count = count * 2 + 1
        return {"total": total, "last": last, "count": count}

    tl.convert_model(step).save(tmp_path / "model.tload")
    x = np.random.default_rng(0).uniform(-1, 2, (6, 2)).astype(np.float32)
    found, expected = tl.load(tmp_path / "model.tload")(x), step(tf.constant(x))
    assert found["count"] == expected["count"].numpy() > 0
    np.testing.assert_allclose(found["last"], expected["last"].numpy(), rtol=1e-6)

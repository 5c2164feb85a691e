"""Graphs above the opset at which tf2onnx stops."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import transload as tl
from transload.convert.capture import Capture
from transload.convert.detect import detect_source
from transload.convert.options import ConvertOptions
from transload.convert.tensorflow import tf_function
from transload.convert.tensorflow.framework import tf
from transload.serialize.errors import UnsupportedError


@tf.function(input_signature=[tf.TensorSpec([None, 8, 2], tf.float32, name="x")])
def transform(x: Any) -> Any:
    """The Fourier transform of complex numbers, given and returned as pairs of real ones."""
    numbers = tf.signal.fft(tf.complex(x[..., 0], x[..., 1]))
    return tf.stack([tf.math.real(numbers), tf.math.imag(numbers)], axis=-1)


def capture(opset: int) -> Capture:
    (found,) = tf_function.capture(detect_source(transform), ConvertOptions(opset=opset))
    return found


@pytest.mark.parametrize("opset", [18, 19, 20, 23])
def test_the_axis_of_a_transform_is_an_input_since_opset_20(opset: int) -> None:
    model = capture(opset).model
    assert model.opset_imports[""] == opset
    (node,) = [node for node in model.graph.all_nodes() if node.op_type == "DFT"]
    if opset < 20:
        assert node.attributes["axis"].as_int() == 2
        assert len(node.inputs) == 1
    else:
        assert "axis" not in node.attributes
        axis = node.inputs[2]
        assert axis is not None
        known = ir.convenience.get_const_tensor(axis)
        assert known is not None
        np.testing.assert_array_equal(known.numpy(), 2)


@pytest.mark.parametrize("opset", [18, 20, 23])
def test_a_transform_is_proven_at_every_opset(opset: int) -> None:
    (component,) = tl.convert_model(transform, opset=opset, proof="quick").components
    assert component.interface.proof.level == "quick"
    assert component.model.opset_imports[""] == opset


def test_an_opset_that_is_not_known_here_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="opset 18 to 23, not 24"):
        capture(24)

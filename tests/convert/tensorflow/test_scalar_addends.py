"""Scalars that are added behind convolutions do not keep tf2onnx from taking transposes away."""

from __future__ import annotations

from typing import Any

import numpy as np

from transload.convert.options import ConvertOptions
from transload.convert.pipeline import capture_source
from transload.convert.source import Source, SourceKind
from transload.convert.tensorflow import tf2onnx_adapter
from transload.convert.tensorflow.framework import tf

KERNEL = np.random.default_rng(1).standard_normal((3, 3, 4, 4)).astype(np.float32)


def hard_swish(x: Any) -> Any:
    return x * tf.nn.relu6(x + 3.0) / 6.0


def test_transposes_between_convolutions_go_though_a_scalar_is_added(monkeypatch: Any) -> None:
    tries = []
    convert = tf2onnx_adapter._try_to_convert

    def count(*args: Any, **kwargs: Any) -> Any:
        tries.append(kwargs["catch_errors"])
        return convert(*args, **kwargs)

    monkeypatch.setattr(tf2onnx_adapter, "_try_to_convert", count)

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 4], tf.float32, name="x")])
    def stack(x: Any) -> Any:
        for _ in range(3):
            x = hard_swish(tf.nn.conv2d(x, KERNEL, 1, "SAME"))
        return x

    (capture,) = capture_source(Source(SourceKind.TF_FUNCTION, value=stack), ConvertOptions())
    ops = [node.op_type for node in capture.model.graph]
    assert ops.count("Conv") == 3
    assert ops.count("Transpose") == 2
    # A second try is the way without the optimiser that raised.
    assert tries == [False]


def test_a_scalar_added_to_a_scalar_stays_one() -> None:
    @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="x")])
    def three_more(x: Any) -> Any:
        return x + 3.0

    (capture,) = capture_source(Source(SourceKind.TF_FUNCTION, value=three_more), ConvertOptions())
    (output,) = capture.model.graph.outputs
    assert output.shape is not None
    assert output.shape.rank() == 0

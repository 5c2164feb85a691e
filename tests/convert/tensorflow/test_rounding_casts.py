"""Casts that round survive tf2onnx's optimiser, which takes a cast to fewer bits and back for nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from transload.convert.options import ConvertOptions
from transload.convert.pipeline import capture_source
from transload.convert.source import Source, SourceKind
from transload.convert.tensorflow.framework import tf


def captured_ops(function: Any, dtype: Any) -> list[str]:
    traced = tf.function(function, input_signature=[tf.TensorSpec([None, 3], dtype, name="x")])
    (capture,) = capture_source(Source(SourceKind.TF_FUNCTION, value=traced), ConvertOptions())
    return [node.op_type for node in capture.model.graph]


@pytest.mark.parametrize(("wide", "narrow"), [(tf.float64, tf.float32), (tf.float32, tf.float16)])
def test_a_cast_to_fewer_bits_and_back_stays(wide: Any, narrow: Any) -> None:
    assert captured_ops(lambda x: tf.cast(tf.cast(x, narrow), wide) * 2.0, wide).count("Cast") == 2


def test_a_cast_to_more_bits_and_back_goes() -> None:
    ops = captured_ops(lambda x: tf.cast(tf.cast(x, tf.float64), tf.float32) * np.float32(2.0), tf.float32)
    assert "RoundingCast" not in ops

"""tf2onnx reads functions through our replacement of its reader."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tensorflow_models import run_capture
from tf2onnx import tf_loader

from transload.convert.detect import detect_source
from transload.convert.options import ConvertOptions
from transload.convert.tensorflow import own_functions, tf2onnx_adapter, tf_function
from transload.convert.tensorflow.framework import tf


@tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
def grow(x: Any) -> Any:
    """Twice as many rows after each of three trips."""
    return tf.while_loop(
        lambda trip, rows: trip < 3,
        lambda trip, rows: (trip + 1, tf.concat([rows, rows * 2.0], 0)),
        (tf.constant(0), x),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, 2])),
    )[1]


def test_tf2onnx_reads_the_functions_of_a_loop_through_the_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where this fails after an upgrade, tf2onnx reads functions elsewhere, and the shapes are its own again.
    read: list[str] = []

    @contextlib.contextmanager
    def watch() -> Iterator[None]:
        with own_functions.keep_shapes():
            replacement: Any = tf_loader.function_def_to_graph
            assert replacement.__module__ == own_functions.__name__

            def record(definition: Any, input_shapes: Any = None) -> Any:
                read.append(definition.signature.name)
                return replacement(definition, input_shapes)

            tf_loader.function_def_to_graph = record
            yield

    monkeypatch.setattr(tf2onnx_adapter, "keep_shapes", watch)
    (found,) = tf_function.capture(detect_source(grow), ConvertOptions())
    assert len(read) == 2, read
    assert {"cond" in name for name in read} == {True, False}
    x = np.array([[1, 2]], np.float32)
    expected = x[0] * np.array([1, 2, 2, 4, 2, 4, 4, 8], np.float32)[:, np.newaxis]
    np.testing.assert_array_equal(run_capture(found, {"x": x})["output"], expected)


def test_tf2onnx_has_its_own_reader_back_afterwards() -> None:
    before = tf_loader.function_def_to_graph
    with pytest.raises(KeyError), own_functions.keep_shapes():
        assert tf_loader.function_def_to_graph is not before
        raise KeyError
    assert tf_loader.function_def_to_graph is before

"""Saving functions and a module with two signatures, and running a capture's graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from transload.convert.capture import Capture
from transload.convert.passes import run_passes
from transload.convert.tensorflow.framework import tf


def run_capture(capture: Capture, feed: dict[str, Any]) -> dict[str, Any]:
    """Run a capture's graph in ONNX Runtime."""
    model = run_passes(capture.model).model
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString())
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def save(path: Path, function: Any, *specs: Any, variables: Sequence[Any] = ()) -> Path:
    """Save a function with its variables as the signature `serving_default` of a SavedModel."""
    module = tf.Module()
    module.variables_of_function = list(variables)
    module.serve = tf.function(function, input_signature=list(specs))
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
    return path


class TwoSignatures(tf.Module):
    """`serving_default(x, scale) -> {sum, product}` and `lookup(ids) -> {rows}`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(np.arange(12, dtype=np.float32).reshape(4, 3) / 10)

    @tf.function(
        input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x"), tf.TensorSpec([], tf.float32, name="scale")]
    )
    def serve(self, x: Any, scale: Any) -> dict[str, Any]:
        product = tf.matmul(x, self.weight)
        return {"sum": tf.reduce_sum(product, axis=-1), "product": product * scale}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="ids")])
    def lookup(self, ids: Any) -> dict[str, Any]:
        return {"rows": tf.gather(self.weight, ids)}

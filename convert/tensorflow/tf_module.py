"""Modules of TensorFlow in memory: what `tf.saved_model.save` takes goes the way of a SavedModel."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from transload.convert.capture import Capture
from transload.convert.options import ConvertOptions
from transload.convert.source import Source
from transload.convert.tensorflow import saved_model
from transload.convert.tensorflow.framework import silence, tf


def capture(source: Source, options: ConvertOptions) -> list[Capture]:
    """Capture the functions of a `tf.Module`, or of a SavedModel that was loaded, each a component.

    Raises:
        UsageError: it has no functions that were traced or have an input_signature, or lacks one that was asked for.
        UnsupportedError: operations that cannot be converted.
    """
    scratch = tempfile.TemporaryDirectory(prefix="transload-")
    with silence():
        tf.saved_model.save(source.value, scratch.name, signatures=dict(getattr(source.value, "signatures", {})))
    # Its Python code has run in this process already; what is left to refuse are operations that ONNX lacks.
    trusted = replace(options, trust_source=True)
    captures = saved_model.capture(replace(source, path=Path(scratch.name)), trusted)
    return [replace(each, resources=(*each.resources, scratch)) for each in captures]

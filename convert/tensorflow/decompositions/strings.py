"""Operations on strings that are others in disguise."""

from __future__ import annotations

from typing import Any

from transload.convert.tensorflow.decompositions.registry import decomposition
from transload.convert.tensorflow.framework import tf


@decomposition("Add", "AddV2", when=lambda op: op.inputs[0].dtype == tf.string)
def add(op: Any, x: Any, y: Any) -> Any:
    return tf.strings.join([x, y])

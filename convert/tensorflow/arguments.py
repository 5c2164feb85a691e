"""From example arguments and descriptions of inputs to the TensorSpecs with which a function is traced."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transload.convert.capture import Array
from transload.convert.options import ConvertOptions, InputSpec
from transload.convert.structure import map_leaves
from transload.convert.tensorflow.framework import tf
from transload.serialize.errors import UsageError
from transload.serialize.interface import Dimension

_NOT_IN_NODE_NAMES = re.compile(r"[^A-Za-z0-9_.]")


def describe_arguments(
    arguments: Mapping[str, Any], options: ConvertOptions, *, batched: bool = False
) -> tuple[dict[str, Any], dict[str, Array]]:
    """The TensorSpecs of arguments, in their structure, and their values by path.

    Args:
        arguments: Arrays, tensors or TensorSpecs, or structures of them, by parameter name. Python numbers, strings and
            None are constants.
        options: Descriptions of inputs by path, which name the dimensions that may vary.
        batched: Whether the first dimension of each may vary where no description says otherwise.

    Raises:
        UsageError: a description has another rank than its argument.
    """
    descriptions = {spec.name: spec for spec in options.inputs}
    example: dict[str, Array] = {}

    def describe(path: str, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | str | tf.TensorSpec):
            return value
        array = value.numpy() if hasattr(value, "numpy") else np.asarray(value)
        example[path] = array
        shape: list[Dimension] = list(array.shape)
        if batched and shape:
            shape[0] = None
        described = descriptions[path].shape if path in descriptions else None
        if described is not None and len(described) != len(shape):
            raise UsageError(f"The input {path!r} has rank {len(shape)}, not {len(described)}.")
        return spec_of(shape if described is None else described, tf.as_dtype(array.dtype), path)

    return {name: map_leaves(value, describe, name) for name, value in arguments.items()}, example


def spec_of_description(spec: InputSpec) -> Any:
    """The TensorSpec of an input as the user described it.

    Raises:
        UsageError: it has no dimensions.
    """
    if spec.shape is None:
        raise UsageError(f"Input {spec.name!r} needs dimensions.", hint=f"Write {spec.name}:{spec.dtype}[DIMS].")
    return spec_of(spec.shape, spec.dtype, spec.name)


def spec_of(shape: Sequence[Dimension], dtype: Any, name: str) -> Any:
    """A TensorSpec; a dimension with a name is unknown to it."""
    sizes = [dim if isinstance(dim, int) else None for dim in shape]
    return tf.TensorSpec(sizes, tf.as_dtype(dtype), name=_NOT_IN_NODE_NAMES.sub("_", name))

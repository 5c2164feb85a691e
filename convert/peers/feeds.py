"""Inputs of several batch sizes, made of recorded ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transload.serialize.errors import UsageError
from transload.serialize.interface import Interface, input_tensors

Array = np.ndarray[Any, Any]


def batch_dimension(interface: Interface) -> str | None:
    """The name of the first axis that is dynamic, over the inputs in order; None where none is."""
    for tensor in input_tensors(interface):
        if tensor.shape and isinstance(tensor.shape[0], str):
            return tensor.shape[0]
    return None


def resize_batch(interface: Interface, feed: Mapping[str, Array], size: int) -> dict[str, Array]:
    """The feed with `size` along every axis that has the batch's name, its rows repeated or left out.

    Raises:
        UsageError: the first axis of no input is dynamic, and the batch has another size.
    """
    name = batch_dimension(interface)
    shapes = {tensor.name: tensor.shape or () for tensor in input_tensors(interface)}
    if name is None:
        if all(array.shape[:1] == (size,) for array in feed.values()):
            return dict(feed)
        raise UsageError(
            f"The model takes one batch size only; {size} is another.", hint="Leave --batch out to measure that one."
        )
    resized = {}
    for key, array in feed.items():
        for axis, dimension in enumerate(shapes[key]):
            if dimension == name:
                array = np.take(array, np.arange(size) % array.shape[axis], axis=axis)
        resized[key] = np.ascontiguousarray(array)
    return resized

"""Checking a call's tensors against the interface before ONNX Runtime sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transload.runtime.structure import describe
from transload.serialize.dimension_sums import add_terms, find_sums
from transload.serialize.dtypes import dtype_from_numpy, numpy_dtype
from transload.serialize.errors import UsageError
from transload.serialize.interface import Tensor

Array = np.ndarray[Any, Any]


def check_feed(
    feed: Mapping[str, Any], tensors: Mapping[str, Tensor], optional: frozenset[str] = frozenset()
) -> dict[str, Array]:
    """The feed as numpy arrays, if names, dtypes, ranks and sizes are the interface's. `optional` may be missing.

    Nothing is converted but Python scalars and lists, which become arrays of the declared dtype where that loses
    nothing.

    Raises:
        UsageError: they are not; the message says what the interface expects.
    """
    if unknown := sorted(set(feed) - set(tensors)):
        raise UsageError(f"The model has no input {unknown[0]!r}.", hint=f"Inputs: {_list(tensors)}.")
    if missing := sorted(set(tensors) - set(feed) - optional):
        raise UsageError(f"The input {missing[0]!r} is missing.", hint=f"Inputs: {_list(tensors)}.")
    sizes: dict[str, tuple[int, str]] = {}
    arrays = {name: _check_array(feed[name], tensor, sizes) for name, tensor in tensors.items() if name in feed}
    _check_sums(sizes)
    return arrays


def _check_sums(sizes: Mapping[str, tuple[int, str]]) -> None:
    known = {name: size for name, (size, _) in sizes.items()}
    for name, terms in find_sums(known).items():
        size, where = sizes[name]
        if size != (expected := add_terms(terms, known)):
            raise UsageError(f"The dimension {name!r} is {size} in {where}, but {expected} by its terms.")


def _check_array(value: Any, tensor: Tensor, sizes: dict[str, tuple[int, str]]) -> Array:
    array = _as_array(value, tensor)
    dtype = dtype_from_numpy(array.dtype)
    if dtype != tensor.dtype:
        raise UsageError(
            f"The input {tensor.name!r} has dtype {dtype}; the model takes {describe(tensor)}.",
            hint=f"Convert it with .astype({tensor.dtype!r}) if that is what you mean.",
        )
    if tensor.shape is None:
        return array
    found = ",".join(map(str, array.shape))
    if array.ndim != len(tensor.shape):
        raise UsageError(
            f"The input {tensor.name!r} has rank {array.ndim} ([{found}]); the model takes {describe(tensor)}."
        )
    for axis, (size, expected) in enumerate(zip(array.shape, tensor.shape, strict=True)):
        if isinstance(expected, int) and size != expected:
            raise UsageError(
                f"The input {tensor.name!r} has size {size} on axis {axis} ([{found}]); "
                f"the model takes {describe(tensor)}."
            )
        if isinstance(expected, str):
            first, where = sizes.setdefault(expected, (size, f"{tensor.name!r} axis {axis}"))
            if size != first:
                raise UsageError(
                    f"The dimension {expected!r} is {first} in {where} but {size} in {tensor.name!r} axis {axis}."
                )
    return array


def _as_array(value: Any, tensor: Tensor) -> Array:
    if isinstance(value, np.ndarray):
        return value
    array = np.asarray(value)
    if isinstance(value, bool | int | float | str | list | tuple):
        target = numpy_dtype(tensor.dtype)
        if tensor.dtype == "string":
            return array.astype(object)
        if np.can_cast(array.dtype, target, "same_kind") and array.dtype.kind != "b":
            return array.astype(target)
    return array


def _list(tensors: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name}: {describe(tensor)}" for name, tensor in tensors.items()) or "none"

"""Checking a call's tensors against the interface before ONNX Runtime sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime as ort

from transload.runtime.empty_sequences import refuse_empty
from transload.runtime.structure import describe
from transload.serialize.dimension_steps import find_steps
from transload.serialize.dimension_sums import add_terms, find_sums
from transload.serialize.dtypes import dtype_from_numpy, dtype_from_onnx, numpy_dtype
from transload.serialize.errors import UsageError
from transload.serialize.interface import Tensor

Array = np.ndarray[Any, Any]

REMEMBERED_FORMS = 1024
"""How many different combinations of dtypes and shapes are remembered as checked; more than any steady load has."""


@dataclass(frozen=True)
class FeedChecker:
    """`check_feed` for one model, quick where names, dtypes and shapes have passed before.

    Args:
        tensors, optional: As for `check_feed`.
        refuses_empty: Whether the model must not see an empty tensor.
    """

    tensors: Mapping[str, Tensor]
    optional: frozenset[str] = frozenset()
    refuses_empty: bool = False
    _passed: set[Any] = field(default_factory=set, repr=False, compare=False)

    def check(self, feed: Mapping[str, Any]) -> Mapping[str, Any]:
        """As `check_feed`; a feed of numpy arrays whose form has passed before is returned as it is.

        Raises:
            ExecutionError: an input is empty, over which ONNX Runtime would end the process.
        """
        try:
            form = tuple([(name, type(value), value.dtype, value.shape) for name, value in feed.items()])
            if form in self._passed:
                return feed if type(feed) is dict else dict(feed)
        except (AttributeError, TypeError):
            # Lists and scalars have no dtype; some dtypes and shapes of frameworks cannot be hashed.
            return self._check(feed)
        checked = self._check(feed)
        # Only what passed through unchanged may skip the check: everything else is converted in it.
        if len(self._passed) < REMEMBERED_FORMS and all(checked[name] is value for name, value in feed.items()):
            self._passed.add(form)
        return checked

    def _check(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        checked = check_feed(feed, self.tensors, self.optional)
        if self.refuses_empty:
            refuse_empty({name: _form(value)[1] for name, value in checked.items()})
        return checked


def check_feed(
    feed: Mapping[str, Any], tensors: Mapping[str, Tensor], optional: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The feed as ONNX Runtime takes it, if names, dtypes, ranks and sizes are the interface's.

    Tensors of other libraries on the CPU are taken over without a copy, through the buffer protocol or DLPack. Nothing
    is converted but Python scalars and lists, which become arrays of the declared dtype where that loses nothing, and
    arrays in the other byte order, which ONNX Runtime would misread.

    Args:
        feed: Values by input tensor name.
        tensors: What the model takes.
        optional: The names of those that may be missing.

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
    _check_steps(sizes)
    return arrays


def _check_steps(sizes: Mapping[str, tuple[int, str]]) -> None:
    for name, step in find_steps(sizes).items():
        size, where = sizes[name]
        if size % step:
            raise UsageError(f"The dimension {name!r} takes multiples of {step} only; it is {size} in {where}.")


def _check_sums(sizes: Mapping[str, tuple[int, str]]) -> None:
    known = {name: size for name, (size, _) in sizes.items()}
    for name, terms in find_sums(known).items():
        size, where = sizes[name]
        if size != (expected := add_terms(terms, known)):
            raise UsageError(f"The dimension {name!r} is {size} in {where}, but {expected} by its terms.")


def _check_array(value: Any, tensor: Tensor, sizes: dict[str, tuple[int, str]]) -> Any:
    array = _as_array(value, tensor)
    dtype, shape = _form(array)
    if dtype != tensor.dtype:
        raise UsageError(
            f"The input {tensor.name!r} has dtype {dtype}; the model takes {describe(tensor)}.",
            hint=f"Convert it with .astype({tensor.dtype!r}) if that is what you mean.",
        )
    if tensor.shape is None:
        return array
    found = ",".join(map(str, shape))
    if len(shape) != len(tensor.shape):
        raise UsageError(
            f"The input {tensor.name!r} has rank {len(shape)} ([{found}]); the model takes {describe(tensor)}."
        )
    for axis, (size, expected) in enumerate(zip(shape, tensor.shape, strict=True)):
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


def _form(array: Any) -> tuple[str, tuple[int, ...]]:
    """Dtype and shape of what `_as_array` returns."""
    if isinstance(array, ort.OrtValue):
        return dtype_from_onnx(array.element_type()), tuple(array.shape())
    return dtype_from_numpy(array.dtype), array.shape


def _as_array(value: Any, tensor: Tensor) -> Any:
    """A numpy array over the value's own memory where it has any; an OrtValue where numpy lacks the dtype."""
    if not isinstance(value, np.ndarray):
        value = _from_dlpack(value, tensor) if hasattr(value, "__dlpack__") else _from_python(value, tensor)
    if isinstance(value, np.ndarray) and not value.dtype.isnative:
        return value.astype(value.dtype.newbyteorder("="))
    return value


def _from_python(value: Any, tensor: Tensor) -> Array:
    array = np.asarray(value)
    if isinstance(value, bool | int | float | str | list | tuple):
        target = numpy_dtype(tensor.dtype)
        if tensor.dtype == "string":
            return array.astype(object)
        if np.can_cast(array.dtype, target, "same_kind") and array.dtype.kind != "b":
            return array.astype(target)
    return array


def _from_dlpack(value: Any, tensor: Tensor) -> Any:
    # In this order: TensorFlow 2.21 aborts the process when a string tensor is asked for its DLPack form, and torch has
    # no other form for bfloat16, which numpy's DLPack lacks. Both share the memory.
    errors = []
    for convert in (np.asarray, ort.OrtValue.from_dlpack):
        try:
            return convert(value)
        except Exception as error:
            # Libraries raise BufferError, RuntimeError, TypeError and errors of their own.
            errors.append(str(error).strip())
    raise UsageError(
        f"The input {tensor.name!r} is a {type(value).__name__} whose memory cannot be read: {errors[0]}",
        hint="Give a tensor in one piece on the CPU, without a gradient: .detach().cpu().contiguous().",
    )


def _list(tensors: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name}: {describe(tensor)}" for name, tensor in tensors.items()) or "none"

"""Between torch tensors and numpy arrays, and between torch's dtypes and ours. Always copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from transload.convert.capture import Array
from transload.serialize.dtypes import ONNX_NUMBER, dtype_from_numpy, numpy_dtype
from transload.serialize.errors import UnsupportedError, UsageError
from transload.serialize.interface import Tensor


def dtype_name(dtype: torch.dtype) -> str:
    """Our name of a torch dtype.

    Raises:
        UnsupportedError: ONNX has no such element type.
    """
    name = str(dtype).removeprefix("torch.")
    if name not in ONNX_NUMBER:
        hint = "Take real and imaginary parts as two tensors (torch.view_as_real)." if dtype.is_complex else ""
        raise UnsupportedError(f"ONNX has no tensors of dtype {name}.", hint=hint)
    return name


def to_torch(array: Array) -> torch.Tensor:
    """A CPU tensor with the values of `array`; whoever writes to it does not write to `array`.

    Raises:
        UsageError: torch has no such dtype.
    """
    name = dtype_from_numpy(array.dtype)
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise UsageError(f"torch has no tensors of dtype {name}.")
    if array.dtype.kind == "V" or array.dtype.isbuiltin != 1:
        # torch does not know ml_dtypes: hand over the bits.
        bits = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}").copy()
        return torch.from_numpy(bits).view(dtype).reshape(array.shape)
    return torch.from_numpy(np.array(array, order="C", copy=True)).reshape(array.shape)


def to_numpy(tensor: torch.Tensor) -> Array:
    """An array with the values of `tensor` that shares no memory with it.

    Raises:
        UnsupportedError: ONNX has no such element type.
    """
    target = numpy_dtype(dtype_name(tensor.dtype))
    tensor = tensor.detach().cpu()
    if tensor.is_sparse or tensor.is_quantized or tensor.is_nested:
        raise UnsupportedError("Sparse, quantized and nested tensors cannot be inputs or outputs.")
    if target.isbuiltin != 1:
        bits = tensor.contiguous().view(torch.uint8 if target.itemsize == 1 else torch.int16)
        return np.array(bits.numpy(), copy=True).view(target)
    return np.array(tensor.numpy(), order="C", copy=True)


def describe_tensor(name: str, value: Any) -> Tensor | None:
    """The leaf for a torch tensor, with its sizes as they are; None for anything else.

    Raises:
        UnsupportedError: ONNX has no such element type.
    """
    if not isinstance(value, torch.Tensor):
        return None
    return Tensor(name, dtype_name(value.dtype), tuple(value.shape))

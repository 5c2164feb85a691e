"""Element types that ONNX Runtime's Python binding makes no arrays of: their bits go in and out by OrtValue.

The binding (1.31) knows numpy's own types only. An `OrtValue` can be made over any array of the right size, whatever
its type, and tells the address of its memory.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np
import onnxruntime as ort

from transload.serialize.dtypes import DTYPES, ONNX_NUMBER, dtype_from_numpy, dtype_from_onnx, numpy_dtype

Array = np.ndarray[Any, Any]

FOUR_BITS = frozenset({"int4", "uint4"})
RAW_DTYPES = FOUR_BITS | {"bfloat16"} | {name for name in DTYPES if name.startswith("float8")}


def make_value(array: Array) -> ort.OrtValue:
    """An OrtValue over an array's own memory, or over a copy where its elements are not in a row, or have four bits."""
    # ascontiguousarray would give an array without axes one.
    array = np.asarray(array, order="C")
    dtype = dtype_from_numpy(array.dtype)
    if dtype not in RAW_DTYPES:
        return ort.OrtValue.ortvalue_from_numpy(array)
    bits = _pack(array) if dtype in FOUR_BITS else array.view(f"u{array.itemsize}")
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, ONNX_NUMBER[dtype])


def read_value(value: ort.OrtValue) -> Array:
    """The array of a tensor in the CPU's memory; of the types above it is a copy."""
    dtype, shape = dtype_from_onnx(value.element_type()), tuple(value.shape())
    if dtype not in RAW_DTYPES:
        found: Array = value.numpy()
        return found
    if value.device_name().lower() != "cpu":
        raise ValueError(f"A tensor of {dtype} lies on the device {value.device_name()}.")
    size = value.tensor_size_in_bytes()
    data = ctypes.string_at(value.data_ptr(), size) if size else b""
    if dtype in FOUR_BITS:
        return _unpack(np.frombuffer(data, np.uint8), dtype, math.prod(shape)).reshape(shape)
    return np.frombuffer(data, numpy_dtype(dtype)).reshape(shape).copy()


def _pack(array: Array) -> Array:
    """Two elements a byte, the first in the low half, as ONNX has them; in the shape of the array, which is larger."""
    nibbles = np.zeros(array.size + array.size % 2, np.uint8)
    nibbles[: array.size] = array.astype(np.int8).ravel().view(np.uint8) & 0xF
    packed = np.zeros(array.shape, np.uint8)
    packed.reshape(-1)[: nibbles.size // 2] = nibbles[::2] | nibbles[1::2] << 4
    return packed


def _unpack(data: Array, dtype: str, count: int) -> Array:
    nibbles = np.stack([data & 0xF, data >> 4], axis=-1).reshape(-1)[:count]
    # For int4, bit 3 is the sign.
    values = np.where(nibbles >= 8, nibbles.astype(np.int8) - 16, nibbles) if dtype == "int4" else nibbles
    return values.astype(numpy_dtype(dtype))

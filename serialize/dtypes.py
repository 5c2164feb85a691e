"""The element types of tensors: one name for each, with its ONNX number and its numpy dtype."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx

from transload.serialize.errors import UsageError

# ONNX TensorProto.DataType name -> our name. Ours are numpy's and ml_dtypes' words.
_NAMES: dict[str, str] = {
    "FLOAT": "float32",
    "DOUBLE": "float64",
    "FLOAT16": "float16",
    "BFLOAT16": "bfloat16",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "BOOL": "bool",
    "STRING": "string",
    "INT4": "int4",
    "UINT4": "uint4",
    "FLOAT8E4M3FN": "float8_e4m3fn",
    "FLOAT8E4M3FNUZ": "float8_e4m3fnuz",
    "FLOAT8E5M2": "float8_e5m2",
    "FLOAT8E5M2FNUZ": "float8_e5m2fnuz",
}

ONNX_NUMBER: dict[str, int] = {name: onnx.TensorProto.DataType.Value(onnx_name) for onnx_name, name in _NAMES.items()}
_FROM_ONNX: dict[int, str] = {number: name for name, number in ONNX_NUMBER.items()}

DTYPES: tuple[str, ...] = tuple(ONNX_NUMBER)
FLOATS: frozenset[str] = frozenset(name for name in DTYPES if "float" in name)
INTEGERS: frozenset[str] = frozenset(name for name in DTYPES if "int" in name)


def dtype_from_onnx(number: int) -> str:
    """The name of an ONNX element type, given its `TensorProto.DataType` number.

    Raises:
        UsageError: the number is not an element type that transload carries.
    """
    if number not in _FROM_ONNX:
        raise UsageError(f"ONNX element type {number} is not supported.", hint=f"Supported: {_known()}.")
    return _FROM_ONNX[number]


def dtype_from_numpy(dtype: np.dtype[Any]) -> str:
    """The name of a numpy (or ml_dtypes) dtype; numpy strings and objects are `string`.

    Raises:
        UsageError: the dtype is not one that transload carries.
    """
    if dtype.kind in "OUST":
        return "string"
    if dtype.name not in ONNX_NUMBER:
        raise UsageError(f"numpy dtype {dtype} is not supported.", hint=f"Supported: {_known()}.")
    return str(dtype.name)


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The numpy dtype in which tensors of this element type are held in memory.

    Raises:
        UsageError: the name is not an element type.
    """
    if name == "string":
        return np.dtype(object)
    if name not in ONNX_NUMBER:
        raise UsageError(f"Unknown dtype {name!r}.", hint=f"Supported: {_known()}.")
    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name, name))
    return dtype


def _known() -> str:
    return ", ".join(DTYPES)

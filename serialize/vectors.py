"""Vectors: recorded inputs and the source framework's outputs, as the files of ONNX's own test data sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper

from transload.serialize.dtypes import ONNX_NUMBER, dtype_from_numpy
from transload.serialize.errors import PackageError
from transload.serialize.interface import Tensor
from transload.serialize.model_rules import are_possible, is_too_wide

Array = np.ndarray[Any, Any]

MAX_RANK = 64
"""Dimensions of an array in numpy."""


@dataclass(frozen=True)
class VectorSet:
    """One recorded call: arrays by the names of the ONNX graph's inputs and outputs."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]


def encode_tensor(name: str, array: Array) -> bytes:
    """A TensorProto with this name and these values."""
    array = np.asarray(array)
    if dtype_from_numpy(array.dtype) == "string":
        proto = onnx.TensorProto(name=name, data_type=ONNX_NUMBER["string"], dims=array.shape)
        proto.string_data.extend(item if isinstance(item, bytes) else str(item).encode() for item in array.ravel())
    else:
        proto = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def decode_tensor(data: bytes | memoryview, member: str) -> tuple[str, Array]:
    """Name and values of a TensorProto.

    Raises:
        PackageError: the bytes are not a TensorProto with its data inside.
    """
    proto = onnx.TensorProto()
    try:
        if is_too_wide(data, proto.DESCRIPTOR):
            raise ValueError("it has too many values that are not raw bytes")
        proto.ParseFromString(bytes(data))
        if proto.data_location == onnx.TensorProto.EXTERNAL or proto.external_data:
            raise PackageError("A vector may not be external data.", member=member, rule="vectors")
        _check_count(proto)
        array = numpy_helper.to_array(proto)
    except (DecodeError, ValueError, TypeError, KeyError) as error:
        raise PackageError(f"Not a tensor: {error}.", member=member, rule="vectors") from error
    if array.dtype.kind == "O":
        array = np.array(
            [item.decode() if isinstance(item, bytes) else item for item in array.ravel()], dtype=object
        ).reshape(array.shape)
    return proto.name, array


def _check_count(proto: onnx.TensorProto) -> None:
    """Refuse too few or too many values before numpy copies them, and what it would take for a wish: a size of -1."""
    if len(proto.dims) > MAX_RANK or not are_possible(proto.dims):
        raise ValueError("its dimensions cannot be")
    expected = math.prod(proto.dims)
    is_packed = proto.data_type in (ONNX_NUMBER["int4"], ONNX_NUMBER["uint4"])
    if not proto.HasField("raw_data"):
        found = len(getattr(proto, helper.tensor_dtype_to_field(proto.data_type)))
    elif is_packed:
        found = len(proto.raw_data)
    else:
        return
    if found != (-(-expected // 2) if is_packed else expected):
        raise ValueError(f"{found} values are not the {expected} of its shape")


def member_names(folder: str, index: int, kind: str, count: int) -> list[str]:
    """Where the tensors of a vector set lie; `kind` is `input` or `output`."""
    return [f"{folder}/test_data_set_{index}/{kind}_{number}.pb" for number in range(count)]


def check_tensors(found: Sequence[tuple[str, Array]], expected: Sequence[Tensor], folder: str) -> dict[str, Array]:
    """The arrays by name, if names and dtypes are those of the interface.

    Raises:
        PackageError: they are not.
    """
    for (name, array), tensor in zip(found, expected, strict=True):
        if name != tensor.name or dtype_from_numpy(array.dtype) != tensor.dtype:
            raise PackageError(
                f"The vectors hold {name!r} ({array.dtype}) where the interface has {tensor.name!r} ({tensor.dtype}).",
                member=folder,
                rule="vectors",
            )
    return dict(found)

"""Vectors: files that ONNX's own tools read, and every dtype comes back as it was."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from transload.serialize.dtypes import DTYPES, dtype_from_numpy, dtype_from_onnx, numpy_dtype
from transload.serialize.errors import UsageError
from transload.serialize.vectors import decode_tensor, encode_tensor


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_each_dtype_and_shape_comes_back(dtype: str, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape) % 2
    array = np.array(values.astype(str) if dtype == "string" else values, numpy_dtype(dtype))
    name, found = decode_tensor(encode_tensor("x", array), "input_0.pb")
    assert (name, found.dtype, found.shape) == ("x", array.dtype, shape)
    np.testing.assert_array_equal(found, array)


def test_onnx_reads_the_file_alone() -> None:
    proto = onnx.TensorProto.FromString(encode_tensor("x", np.array([1.5, np.nan], np.float32)))
    assert (proto.name, proto.data_type) == ("x", onnx.TensorProto.FLOAT)
    np.testing.assert_array_equal(numpy_helper.to_array(proto), np.array([1.5, np.nan], np.float32))


def test_names_of_dtypes_agree_with_onnx_and_numpy() -> None:
    assert dtype_from_onnx(onnx.TensorProto.BFLOAT16) == "bfloat16"
    assert dtype_from_numpy(np.dtype("U3")) == dtype_from_numpy(np.dtype(object)) == "string"
    assert numpy_dtype("float8_e4m3fn").itemsize == 1


def test_a_dtype_that_is_not_carried_is_refused() -> None:
    with pytest.raises(UsageError, match="complex64"):
        dtype_from_numpy(np.dtype("complex64"))
    with pytest.raises(UsageError, match="float33"):
        numpy_dtype("float33")
    with pytest.raises(UsageError, match="99"):
        dtype_from_onnx(99)

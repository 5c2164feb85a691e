"""Arrays of element types that ONNX Runtime's Python binding lacks go in and come out with their bits unchanged."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper

from transload.runtime.model import load
from transload.runtime.raw_values import RAW_DTYPES, make_value, read_value
from transload.serialize import Component, Package
from transload.serialize.dtypes import ONNX_NUMBER, numpy_dtype
from transload.serialize.errors import ExecutionError
from transload.serialize.interface import Interface, Proof, SourceRecord, Tensor
from transload.serialize.interface import Tuple as TupleNode

FOUR_BIT_VALUES = {"int4": range(-8, 8), "uint4": range(16)}


def every_value(dtype: str) -> np.ndarray:
    """All bit patterns of a type that mean something, 4-bit elements as their values."""
    if dtype in FOUR_BIT_VALUES:
        return np.array(FOUR_BIT_VALUES[dtype], np.int8).astype(numpy_dtype(dtype))
    bits = 16 if dtype == "bfloat16" else 8
    return np.arange(1 << bits, dtype=f"u{bits // 8}").view(numpy_dtype(dtype))


def save_package(dtype: str, other_dtype: str, path: Path) -> Path:
    """`y, copy = x, other`."""
    x, y = (Tensor(name, dtype, ("rows", "columns")) for name in ("x", "y"))
    other, copy = (Tensor(name, other_dtype, ("n",)) for name in ("other", "copy"))
    nodes = [helper.make_node("Identity", [a], [b]) for a, b in (("x", "y"), ("other", "copy"))]
    values = [
        [helper.make_tensor_value_info(each.name, ONNX_NUMBER[each.dtype], each.shape) for each in tensors]
        for tensors in ((x, other), (y, copy))
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "graph", *values), opset_imports=[helper.make_opsetid("", 21)], ir_version=10
    )
    source = SourceRecord("onnx", "onnx", "1")
    interface = Interface("forward", {"x": x, "other": other}, TupleNode((y, copy)), {}, source, Proof("none"))
    return Package("m", (Component("forward", interface, ir.from_proto(model)),)).save(path)


def bits_of(array: np.ndarray) -> tuple[object, ...]:
    return array.dtype, array.shape, array.tobytes()


@pytest.mark.parametrize("dtype", sorted(RAW_DTYPES))
def test_every_value_comes_back_with_its_bits(dtype: str) -> None:
    array = every_value(dtype)
    value = make_value(array)
    assert value.element_type() == ONNX_NUMBER[dtype]
    assert tuple(value.shape()) == array.shape
    assert bits_of(read_value(value)) == bits_of(array)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (3, 5), (2, 0, 3), (1, 1, 7)])
@pytest.mark.parametrize("dtype", ["bfloat16", "int4", "uint4", "float8_e5m2"])
def test_every_shape_comes_back(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.resize(every_value(dtype)[1:8], shape)
    assert bits_of(read_value(make_value(array))) == bits_of(array)


@pytest.mark.parametrize("dtype", ["bfloat16", "int4", "float8_e4m3fn"])
def test_an_array_whose_elements_are_not_in_a_row_is_read_in_its_order(dtype: str) -> None:
    array = np.resize(every_value(dtype)[1:8], (3, 4)).T
    assert not array.flags.c_contiguous
    assert bits_of(read_value(make_value(array))) == bits_of(np.ascontiguousarray(array))


def test_four_bit_elements_share_a_byte_the_first_in_the_low_half() -> None:
    value = make_value(np.array([1, -2, 3], np.int8).astype(ml_dtypes.int4))
    assert value.tensor_size_in_bytes() == 2
    packed = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(np.array([0xE1, 0x03, 0], np.uint8), ONNX_NUMBER["int4"])
    assert read_value(packed).astype(np.int8).tolist() == [1, -2, 3]


def test_a_model_takes_and_gives_bfloat16_beside_other_types(tmp_path: Path) -> None:
    model = load(save_package("bfloat16", "int64", tmp_path / "m.tload"))
    x = np.array([[1.5, -2.0, 0.125]]).astype(ml_dtypes.bfloat16)
    y, copy = model(x, np.array([1, 2]))
    assert bits_of(y) == bits_of(x)
    assert bits_of(copy) == bits_of(np.array([1, 2]))


def test_strings_beside_bfloat16_run_where_no_output_is_bfloat16(tmp_path: Path) -> None:
    """ONNX Runtime's binding makes no OrtValue of strings, and no array of bfloat16."""
    model = load(save_package("bfloat16", "string", tmp_path / "m.tload"))
    feed = {"x": np.zeros((1, 2), ml_dtypes.bfloat16), "other": np.array(["a", "ß"], object)}
    assert model.run(["copy"], feed)[0].tolist() == ["a", "ß"]
    with pytest.raises(ExecutionError, match="non-string"):
        model.run(["y"], feed)

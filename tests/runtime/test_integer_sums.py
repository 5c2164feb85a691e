"""Products of bytes are added exactly, also on processors where ONNX Runtime's default kernels do not.

These tests are sharper on a processor without VNNI, where a forgotten option gives other numbers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from transload.runtime import integer_sums
from transload.runtime.configuration import Configuration, provider_list, session_options
from transload.runtime.integer_sums import EXACT_OPTION, PROBE, adds_exactly
from transload.runtime.session import open_session
from transload.serialize.errors import UnsupportedError

X = np.full((3, 64), 255, np.uint8)
WEIGHT = np.full((64, 5), 127, np.int8)
SUMS = 64 * 255 * 127


def make_model(nodes: list[Any], inputs: list[Any], output: int, **initializers: Any) -> bytes:
    outputs = [helper.make_tensor_value_info("y", output, None)]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in initializers.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    data: bytes = made.SerializeToString()
    return data


def integer_model() -> bytes:
    inputs = [helper.make_tensor_value_info("x", TensorProto.UINT8, [3, 64])]
    return make_model([helper.make_node("MatMulInteger", ["x", "w"], ["y"])], inputs, TensorProto.INT32, w=WEIGHT)


def quantized_model() -> bytes:
    """As quantizers write them, with signed activations."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "one", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "one", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "one", "zero"], ["v"]),
        helper.make_node("MatMul", ["d", "v"], ["z"]),
        helper.make_node("QuantizeLinear", ["z", "step", "zero"], ["p"]),
        helper.make_node("DequantizeLinear", ["p", "step", "zero"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 64])]
    scales = {"one": np.float32(1), "step": np.float32(16384), "zero": np.int8(0)}
    return make_model(nodes, inputs, TensorProto.FLOAT, w=WEIGHT, **scales)


def signed_model() -> bytes:
    """A product of signed bytes by signed bytes, for which ONNX Runtime has no kernel with the option."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.INT8, [3, 64])]
    names = ["x", "one", "zero", "w", "one", "zero", "one", "zero"]
    scales = {"one": np.float32(1), "zero": np.int8(0)}
    return make_model([helper.make_node("QLinearMatMul", names, ["y"])], inputs, TensorProto.INT8, w=WEIGHT, **scales)


def open_model(model: bytes, **settings: Any) -> ort.InferenceSession:
    configuration = Configuration(1, **settings)
    return open_session(model, session_options(configuration, "."), provider_list(configuration), "a test")


@pytest.fixture
def without_vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor on which the option is needed."""
    monkeypatch.setattr(integer_sums, "adds_exactly", lambda: False)


def test_the_probe_is_a_product_of_bytes() -> None:
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "p",
        [],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [1, 1])],
        [
            numpy_helper.from_array(np.full((1, 4), 255, np.uint8), "x"),
            numpy_helper.from_array(np.full((4, 1), 127, np.int8), "w"),
        ],
    )
    expected = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)], ir_version=5)
    assert onnx.load_from_string(PROBE) == expected
    source = (Path(__file__).parents[2] / "cpp_loader" / "src" / "integer_sums.cpp").read_text()
    digits = re.findall(r"0x([0-9a-f]{2})", source)
    assert bytes.fromhex("".join(digits)) == PROBE


def test_the_probe_tells_what_the_kernels_do() -> None:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(integer_model(), options, providers=["CPUExecutionProvider"])
    assert adds_exactly() == bool((session.run(None, {"x": X})[0] == SUMS).all())


@pytest.mark.parametrize("level", ["disable", "basic", "extended", "all"])
def test_sums_of_integer_operators_are_exact_at_every_level(level: Any) -> None:
    session = open_model(integer_model(), level=level)
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], np.full((3, 5), SUMS))


@pytest.mark.parametrize("level", ["disable", "basic", "extended", "all"])
def test_sums_of_quantized_models_are_exact_at_every_level(level: Any) -> None:
    session = open_model(quantized_model(), level=level)
    expected = np.full((3, 5), round(64 * 127 * 127 / 16384) * 16384, np.float32)
    np.testing.assert_array_equal(session.run(None, {"x": np.full((3, 64), 127, np.float32)})[0], expected)


@pytest.mark.usefixtures("without_vnni")
@pytest.mark.parametrize("model", [integer_model(), quantized_model()], ids=["integer", "quantized"])
def test_the_option_is_set_where_it_is_needed(model: bytes) -> None:
    set_options = open_model(model).get_session_options()
    assert set_options.get_session_config_entry(EXACT_OPTION) == "1"


@pytest.mark.usefixtures("without_vnni")
def test_integer_operators_get_the_optimisations_that_the_option_needs() -> None:
    session = open_model(integer_model(), level="disable")
    level = session.get_session_options().graph_optimization_level
    assert level == ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], np.full((3, 5), SUMS))


@pytest.mark.usefixtures("without_vnni")
def test_a_quantized_model_that_cannot_be_opened_so_runs_on_floats() -> None:
    # Two weights with one zero point, over which ONNX Runtime stumbles with the option.
    names = ("d", "e")
    nodes = [helper.make_node("DequantizeLinear", ["w", "one", "zero"], [name]) for name in names]
    nodes += [helper.make_node("MatMul", ["x", "d"], ["z"]), helper.make_node("Gemm", ["z", "e"], ["y"], transB=1)]
    nodes[1].input[0] = "v"
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 64])]
    tensors = {"w": WEIGHT, "v": WEIGHT - 1, "one": np.float32(1), "zero": np.int8(0)}
    model = make_model(nodes, inputs, TensorProto.FLOAT, **tensors)
    options = ort.SessionOptions()
    options.add_session_config_entry(EXACT_OPTION, "1")
    # Where this opens after an upgrade, OwnZeroPointsPass and the second try have no reason any more.
    with pytest.raises(Exception, match="replace the existing tensor"):
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    session = open_model(model)
    level = session.get_session_options().graph_optimization_level
    assert level == ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    expected = np.ones((3, 64)) @ WEIGHT.astype(np.int64) @ (WEIGHT - 1).T.astype(np.int64)
    np.testing.assert_array_equal(session.run(None, {"x": np.ones((3, 64), np.float32)})[0], expected)


@pytest.mark.usefixtures("without_vnni")
def test_what_cannot_be_added_exactly_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="VNNI"):
        open_model(signed_model())


def test_the_processor_is_not_asked_for_models_without_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask() -> bool:
        raise AssertionError

    monkeypatch.setattr(integer_sums, "adds_exactly", ask)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 64])]
    model = make_model([helper.make_node("Neg", ["x"], ["y"])], inputs, TensorProto.FLOAT)
    assert open_model(model).get_inputs()[0].name == "x"

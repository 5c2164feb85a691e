"""The measured facts about NaN in ONNX Runtime, and telling a graph that is right about NaN from one that is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from captures import StubRunner, graph, randn
from onnx import helper

from transload.convert.capture import Array
from transload.convert.equivalence.nan_readings import KERNELS_THAT_LOSE_NAN, find_reading, rewrite_maxima


def one_node(
    op_type: str, shape: list[int | str], weights: dict[str, Array] | None = None, **attributes: Any
) -> onnx.ModelProto:
    node = helper.make_node(op_type, ["x", *(weights or {})], ["y"], **attributes)
    return graph([node], {"x": ("float32", shape)}, {"y": "float32"}, weights)


def losing_model(op_type: str) -> onnx.ModelProto:
    gates = {"GRU": 3, "LSTM": 4}.get(op_type)
    if gates:
        weights = {"w": randn(1, gates * 2, 6), "r": randn(1, gates * 2, 2), "b": randn(1, gates * 4)}
        return one_node(op_type, [2, 2, 6], weights, hidden_size=2)
    if op_type == "MaxPool":
        return one_node(op_type, [2, 2, 6], kernel_shape=[2])
    return one_node(op_type, [2, 2, 6])


def count_lost(model: onnx.ModelProto) -> int:
    """At how many of 24 places a NaN in the input leaves no NaN in the output."""
    runner, lost = StubRunner(model, True), 0
    for place in range(24):
        x = randn(2, 2, 6)
        x.flat[place] = np.nan
        lost += not np.isnan(runner.run(None, {"x": x})[0]).any()
    return lost


@pytest.mark.parametrize("op_type", sorted(KERNELS_THAT_LOSE_NAN))
def test_the_named_kernels_still_lose_nan(op_type: str) -> None:
    # The day one of these fails, ONNX Runtime carries NaN on there, and the name can leave the list.
    assert count_lost(losing_model(op_type)) > 0


@pytest.mark.parametrize("op_type", ["Relu", "Softmax", "Sigmoid", "Tanh", "Elu", "Gelu", "GlobalAveragePool"])
def test_other_kernels_carry_nan_on(op_type: str) -> None:
    model = one_node(op_type, [2, 2, 6])
    model.opset_import[0].version = 20
    assert count_lost(model) == 0


POOL = one_node("MaxPool", [1, 2, 6, 6], kernel_shape=[2, 2], strides=[2, 2])


def planted(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with each NaN of the input turned to zero first."""
    wrong = onnx.ModelProto()
    wrong.CopyFrom(model)
    wrong.graph.node[0].input[0] = "clean"
    zero = helper.make_node("Constant", [], ["zero"], value_float=0.0)
    places = helper.make_node("IsNaN", ["x"], ["bad"])
    for node in (helper.make_node("Where", ["bad", "zero", "x"], ["clean"]), places, zero):
        wrong.graph.node.insert(0, node)
    return wrong


def with_nan() -> Array:
    x = randn(1, 2, 6, 6)
    x[0, 0, 0, 1] = x[0, 1, 3, 4] = np.nan
    return x


def test_a_rewritten_pool_lets_nan_win_as_torch_does() -> None:
    x = with_nan()
    copy = rewrite_maxima(ir.serde.deserialize_model(POOL), nan_wins=True)
    (y,) = StubRunner(ir.serde.serialize_model(copy), True).run(None, {"x": x})
    np.testing.assert_array_equal(y, torch.nn.functional.max_pool2d(torch.from_numpy(x), 2).numpy())
    assert np.isnan(y).sum() == 2


def test_a_rewritten_pool_never_lets_nan_win() -> None:
    x = with_nan()
    copy = rewrite_maxima(ir.serde.deserialize_model(POOL), nan_wins=False)
    (y,) = StubRunner(ir.serde.serialize_model(copy), True).run(None, {"x": x})
    np.testing.assert_array_equal(y, np.nanmax(x.reshape(1, 2, 3, 2, 3, 2), axis=(3, 5)))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op_type", ["ReduceMax", "ReduceMin"])
def test_a_rewritten_reduction_lets_nan_win(op_type: str, axis: int) -> None:
    x = randn(4, 6)
    x[1, 2] = np.nan
    model = one_node(op_type, [4, 6], {"axis": np.array([axis])}, keepdims=0)
    copy = rewrite_maxima(ir.serde.deserialize_model(model), nan_wins=True)
    (y,) = StubRunner(ir.serde.serialize_model(copy), True).run(None, {"x": x})
    np.testing.assert_array_equal(y, x.max(axis) if op_type == "ReduceMax" else x.min(axis))


def test_a_pool_that_is_right_has_a_reading() -> None:
    x = with_nan()
    source = {"y": torch.nn.functional.max_pool2d(torch.from_numpy(x), 2).numpy()}
    assert find_reading(ir.serde.deserialize_model(POOL), {"x": x}, source) == "NaN wins"


def test_a_pool_after_a_planted_fault_has_no_reading() -> None:
    x = with_nan()
    source = {"y": torch.nn.functional.max_pool2d(torch.from_numpy(x), 2).numpy()}
    assert find_reading(ir.serde.deserialize_model(planted(POOL)), {"x": x}, source) is None


def test_a_rewritten_pool_begins_with_the_lowest_finite_number() -> None:
    x = np.full((1, 1, 2, 4), -np.inf, np.float32)
    x[..., 1:] = np.nan
    x[0, 0, 0, 2:] = 7.0
    copy = rewrite_maxima(ir.serde.deserialize_model(POOL_OF_TWO), nan_wins=False, finite=True)
    (y,) = StubRunner(ir.serde.serialize_model(copy), True).run(None, {"x": x})
    np.testing.assert_array_equal(y, np.array([[[[np.finfo(np.float32).min, 7.0]]]], np.float32))


POOL_OF_TWO = one_node("MaxPool", [1, 1, 2, 4], kernel_shape=[2, 2], strides=[2, 2])
DEEP_POOL = one_node("MaxPool", [1, 1, 1, 1, 4], kernel_shape=[1, 1, 2], strides=[1, 1, 2])


def test_a_pool_in_three_dimensions_may_forget_what_came_before_a_nan() -> None:
    x = np.array([5.0, np.nan, 2.0, 3.0], np.float32).reshape(1, 1, 1, 1, 4)
    model = ir.serde.deserialize_model(DEEP_POOL)
    for first in (np.nan, 5.0, -np.inf):
        source = {"y": np.array([first, 3.0], np.float32).reshape(1, 1, 1, 1, 2)}
        assert find_reading(model, {"x": x}, source) is not None
    wrong = {"y": np.array([np.nan, 2.0], np.float32).reshape(1, 1, 1, 1, 2)}
    assert find_reading(model, {"x": x}, wrong) is None


def test_a_lstm_that_is_right_has_a_reading_and_one_after_a_planted_fault_has_none() -> None:
    torch.manual_seed(0)
    module = torch.nn.LSTM(6, 2)

    def gates(array: Any) -> Array:
        entry, forget, cell, exit_ = np.split(array.detach().numpy(), 4)
        return np.concatenate([entry, exit_, forget, cell])

    bias = np.concatenate([gates(module.bias_ih_l0), gates(module.bias_hh_l0)])[np.newaxis]
    weights = {"w": gates(module.weight_ih_l0)[np.newaxis], "r": gates(module.weight_hh_l0)[np.newaxis], "b": bias}
    model = one_node("LSTM", [2, 2, 6], weights, hidden_size=2)
    x = randn(2, 2, 6)
    x[0, 0, 0] = np.nan
    source = {"y": module(torch.from_numpy(x))[0].detach().numpy()[:, np.newaxis]}
    assert find_reading(ir.serde.deserialize_model(model), {"x": x}, source) is not None
    assert find_reading(ir.serde.deserialize_model(planted(model)), {"x": x}, source) is None

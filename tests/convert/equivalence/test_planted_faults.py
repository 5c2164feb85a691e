"""Testing the test: faults planted in a graph, each of which the equivalence check must catch (NUMERICS.md)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captures import FunctionReference, ModuleReference, capture, check, graph, randn
from onnx import helper
from torch import nn

from transload.convert.capture import Array
from transload.serialize.errors import MismatchError

BATCH_3 = {"x": ("float32", ["batch", 3])}


def test_swapped_outputs_are_caught() -> None:
    model = graph(
        [helper.make_node("Sin", ["x"], ["b"]), helper.make_node("Cos", ["x"], ["a"])],
        BATCH_3,
        {"a": "float32", "b": "float32"},
    )
    source = FunctionReference(lambda x: (np.sin(x), np.cos(x)), ["a", "b"])
    with pytest.raises(MismatchError, match="a: DIFFERS"):
        check(capture(model, source, {"x": randn(2, 3)}), model)


def test_outputs_in_another_order_are_caught() -> None:
    model = graph(
        [helper.make_node("Sin", ["x"], ["a"]), helper.make_node("Cos", ["x"], ["b"])],
        BATCH_3,
        {"b": "float32", "a": "float32"},
    )
    source = FunctionReference(lambda x: (np.sin(x), np.cos(x)), ["a", "b"])
    made = capture(model, source, {"x": randn(2, 3)}, {"a": "float32", "b": "float32"})
    with pytest.raises(MismatchError, match="outputs"):
        check(made, model)


def test_one_wrong_element_is_caught() -> None:
    weight = randn(64, 64)
    wrong = weight.copy()
    wrong[17, 5] += 1e-3
    model = graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"x": ("float32", ["batch", 64])},
        {"y": "float32"},
        {"w": wrong},
    )
    source = FunctionReference(lambda x: x @ weight.astype(x.dtype), ["y"])
    with pytest.raises(MismatchError) as caught:
        check(capture(model, source, {"x": randn(4, 64)}), model)
    assert any("worst at" in row and ",5]" in row for row in caught.value.report)
    assert any("blame: the capture" in row for row in caught.value.report)


def test_a_widened_dtype_is_caught() -> None:
    model = graph(
        [helper.make_node("Sin", ["x"], ["s"]), helper.make_node("Cast", ["s"], ["y"], to=11)],
        BATCH_3,
        {"y": "float64"},
    )
    source = FunctionReference(lambda x: np.sin(x), ["y"])
    with pytest.raises(MismatchError, match="dtype float64 instead of float32"):
        check(capture(model, source, {"x": randn(2, 3)}), model)


def test_a_dropped_output_is_caught() -> None:
    model = graph([helper.make_node("Sin", ["x"], ["a"])], BATCH_3, {"a": "float32"})
    source = FunctionReference(lambda x: (np.sin(x), np.cos(x)), ["a", "b"])
    made = capture(model, source, {"x": randn(2, 3)}, {"a": "float32", "b": "float32"})
    with pytest.raises(MismatchError, match="outputs"):
        check(made, model)


def test_a_scalar_that_became_a_vector_of_one_is_caught() -> None:
    model = graph(
        [
            helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
            helper.make_node("Reshape", ["s", "one"], ["y"]),
        ],
        BATCH_3,
        {"y": "float32"},
        {"one": np.array([1])},
    )
    source = FunctionReference(lambda x: x.sum(), ["y"])
    with pytest.raises(MismatchError, match=r"rank differs: \[1\] instead of \[\]"):
        check(capture(model, source, {"x": randn(2, 3)}), model)


def test_a_frozen_batch_axis_is_caught_and_the_node_named() -> None:
    model = graph(
        [helper.make_node("Reshape", ["x", "shape"], ["y"], name="flatten")],
        {"x": ("float32", ["batch", 3, 2])},
        {"y": "float32"},
        {"shape": np.array([2, 6])},
    )
    source = FunctionReference(lambda x: x.reshape(-1, 6), ["y"])
    with pytest.raises(MismatchError, match="The dimension 'batch' cannot be dynamic") as caught:
        check(capture(model, source, {"x": randn(2, 3, 2)}), model)
    assert "flatten" in caught.value.where


def test_a_batch_axis_frozen_without_an_error_is_caught_and_the_output_named() -> None:
    model = graph(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        {"x": ("float32", ["batch", 6])},
        {"y": "float32"},
        {"shape": np.array([2, -1])},
    )
    source = FunctionReference(lambda x: x.reshape(-1, 6), ["y"])
    with pytest.raises(MismatchError, match="The dimension 'batch' cannot be dynamic") as caught:
        check(capture(model, source, {"x": randn(2, 6)}), model)
    assert caught.value.report[0].startswith("y: DIFFERS; shape differs")


def test_a_frozen_time_axis_is_caught() -> None:
    # The table of positions was cut at the example's length: shorter inputs still work, longer ones do not.
    positions = randn(16, 4)
    model = graph(
        [
            helper.make_node("Shape", ["x"], ["length"], start=1, end=2),
            helper.make_node("Slice", ["p", "zero", "length", "zero"], ["used"]),
            helper.make_node("Add", ["x", "used"], ["y"], name="add_positions"),
        ],
        {"x": ("float32", ["batch", "time", 4])},
        {"y": "float32"},
        {"p": positions[:7], "zero": np.array([0])},
    )
    source = FunctionReference(lambda x: x + positions[: x.shape[1]], ["y"])
    with pytest.raises(MismatchError, match="The dimension 'time' cannot be dynamic") as caught:
        check(capture(model, source, {"x": randn(2, 7, 4)}), model)
    assert "add_positions" in caught.value.where


def test_dropout_left_in_training_mode_is_caught() -> None:
    model = graph(
        [helper.make_node("Dropout", ["x", "ratio", "training"], ["y"])],
        BATCH_3,
        {"y": "float32"},
        {"ratio": np.float32(0.5), "training": np.array(True)},
    )
    with pytest.raises(MismatchError):
        check(capture(model, FunctionReference(lambda x: x, ["y"]), {"x": randn(2, 3)}), model)


def test_a_source_in_training_mode_is_named_as_the_culprit() -> None:
    model = graph([helper.make_node("Identity", ["x"], ["y"])], BATCH_3, {"y": "float32"})
    source = ModuleReference(nn.Dropout(0.5).train(), ["y"])
    with pytest.raises(MismatchError, match="The source gives other outputs when it is called again"):
        check(capture(model, source, {"x": randn(2, 3)}), model)


def test_random_outputs_are_caught_by_the_second_call() -> None:
    noise = [
        helper.make_node("RandomUniformLike", ["x"], ["r"], low=0.0, high=1e-7),
        helper.make_node("Add", ["x", "r"], ["y"]),
    ]
    model = graph(noise, BATCH_3, {"y": "float32"})
    with pytest.raises(MismatchError, match="called again"):
        check(capture(model, FunctionReference(lambda x: x, ["y"]), {"x": randn(2, 3)}), model)


def test_batch_statistics_instead_of_running_ones_are_caught() -> None:
    norm = nn.BatchNorm2d(3)
    norm(torch.randn(8, 3, 4, 4))
    norm.eval()
    weights = {
        "scale": norm.weight.detach().numpy(),
        "bias": norm.bias.detach().numpy(),
        "mean": norm.running_mean.numpy(),
        "var": norm.running_var.numpy(),
    }
    outputs = ["y", "running_mean", "running_var"]
    model = graph(
        [helper.make_node("BatchNormalization", ["x", *weights], outputs, training_mode=1)],
        {"x": ("float32", ["batch", 3, 4, 4])},
        {"y": "float32"},
        weights,
    )
    with pytest.raises(MismatchError, match="y: DIFFERS"):
        check(capture(model, ModuleReference(norm, ["y"]), {"x": randn(2, 3, 4, 4)}), model)


def gru_weights(gru: nn.GRU) -> dict[str, Array]:
    """torch orders the gates r, z, n; ONNX z, r, h."""

    def reorder(tensor: torch.Tensor) -> Array:
        r, z, n = tensor.detach().numpy().reshape(3, gru.hidden_size, -1)
        return np.concatenate([z, r, n])[None]

    bias = np.concatenate([reorder(gru.bias_ih_l0)[0], reorder(gru.bias_hh_l0)[0]]).reshape(1, -1)
    return {"w": reorder(gru.weight_ih_l0), "r": reorder(gru.weight_hh_l0), "b": bias}


class LastGru(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gru(x)[0].unsqueeze(1)


@pytest.mark.parametrize("linear_before_reset", [0, 1])
def test_linear_before_reset_flipped_in_a_gru_is_caught(linear_before_reset: int) -> None:
    torch.manual_seed(0)
    source = LastGru().eval()
    model = graph(
        [helper.make_node("GRU", ["x", "w", "r", "b"], ["y"], hidden_size=5, linear_before_reset=linear_before_reset)],
        {"x": ("float32", ["time", "batch", 4])},
        {"y": "float32"},
        gru_weights(source.gru),
    )
    made = capture(model, ModuleReference(source, ["y"]), {"x": randn(6, 2, 4)})
    if linear_before_reset:
        assert check(made, model).dynamic == {"time", "batch"}
    else:
        with pytest.raises(MismatchError, match="y: DIFFERS"):
            check(made, model)


def test_a_nan_that_turned_to_zero_is_caught() -> None:
    model = graph(
        [
            helper.make_node("IsNaN", ["x"], ["bad"]),
            helper.make_node("Where", ["bad", "zero", "x"], ["y"]),
        ],
        BATCH_3,
        {"y": "float32"},
        {"zero": np.float32(0)},
    )
    with pytest.raises(MismatchError, match=r"not finite.*\n.*\n.*NaN or infinity in other places") as caught:
        check(capture(model, FunctionReference(lambda x: x, ["y"]), {"x": randn(4, 3)}), model)
    assert "reference nan" in caught.value.report[0]


def test_a_nan_that_turned_to_zero_before_a_kernel_that_loses_nan_is_caught() -> None:
    nodes = [
        helper.make_node("IsNaN", ["x"], ["bad"]),
        helper.make_node("Where", ["bad", "zero", "x"], ["clean"]),
        helper.make_node("MaxPool", ["clean"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    inputs = {"x": ("float32", ["batch", 2, 6, 6])}
    model = graph(nodes, inputs, {"y": "float32"}, {"zero": np.float32(0)})
    with pytest.raises(MismatchError, match="not finite"):
        check(capture(model, ModuleReference(nn.MaxPool2d(2), ["y"]), {"x": randn(2, 2, 6, 6)}), model)


def test_a_nan_that_only_the_runtime_loses_is_recorded_and_not_blamed_on_the_capture() -> None:
    # ONNX Runtime 1.31.1: ReduceMax drops NaN where torch.amax, numpy and onnx.reference carry it on.
    nodes = [helper.make_node("ReduceMax", ["x", "axis"], ["y"], keepdims=0)]
    model = graph(nodes, BATCH_3, {"y": "float32"}, {"axis": np.array([1])})
    made = capture(model, FunctionReference(lambda x: x.max(axis=1), ["y"]), {"x": randn(4, 3)})
    case = next(case for case in check(made, model).proof.cases if case.name == "not finite")
    assert case.result == "undefined"
    assert "the graph is right" in case.note and "ReduceMax" in case.note


def test_floor_division_that_truncates_is_caught() -> None:
    model = graph(
        [helper.make_node("Div", ["x", "three"], ["y"])],
        {"x": ("int64", ["batch", 3])},
        {"y": "int64"},
        {"three": np.array(3)},
    )
    source = FunctionReference(lambda x: x // 3, ["y"])
    example = {"x": np.arange(6).reshape(2, 3)}
    with pytest.raises(MismatchError, match="int64 must be equal"):
        check(capture(model, source, example, {"y": "int64"}), model)

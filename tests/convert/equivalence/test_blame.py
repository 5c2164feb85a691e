"""Which part is wrong, and the measured facts about NaN in ONNX Runtime on which excuses rest."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from captures import StubRunner, graph, randn
from onnx import helper

from transload.convert.equivalence.blame import KERNELS_THAT_LOSE_NAN, find_blame

X = {"x": ("float32", ["batch", 3])}
SIN = graph([helper.make_node("Sin", ["x"], ["y"])], X, {"y": "float32"})


def blame(source: np.ndarray, plain: np.ndarray) -> str:  # type: ignore[type-arg]
    feed = {"x": np.ones((2, 3), np.float32)}
    model = ir.serde.deserialize_model(SIN)
    return find_blame(model, feed, {"y": source}, {"y": plain}, is_plain_right=False).culprit


def test_the_capture_is_blamed_when_reference_and_runtime_agree() -> None:
    right, wrong = np.full((2, 3), np.sin(1), np.float32), np.zeros((2, 3), np.float32)
    assert blame(source=wrong, plain=right) == "capture"


def test_the_runtime_is_blamed_when_reference_and_source_agree() -> None:
    right, wrong = np.full((2, 3), np.sin(1), np.float32), np.zeros((2, 3), np.float32)
    assert blame(source=right, plain=wrong) == "runtime"


def test_nobody_is_blamed_when_all_three_differ() -> None:
    assert blame(source=np.zeros((2, 3), np.float32), plain=np.ones((2, 3), np.float32)) == "unknown"


@pytest.mark.parametrize("op_type", sorted(KERNELS_THAT_LOSE_NAN))
def test_the_named_kernels_still_lose_nan(op_type: str) -> None:
    # The day one of these fails, ONNX Runtime carries NaN on there, and the name can leave the list.
    if op_type in ("GRU", "LSTM", "RNN"):
        gates = {"GRU": 3, "LSTM": 4, "RNN": 1}[op_type]
        nodes = [helper.make_node(op_type, ["x", "w", "r"], ["y"], hidden_size=2)]
        weights = {"w": randn(1, gates * 2, 3), "r": randn(1, gates * 2, 2)}
        shape: list[int | str] = [4, 2, 3]
    elif op_type == "GlobalMaxPool":
        nodes, weights, shape = [helper.make_node(op_type, ["x"], ["y"])], {}, [1, 2, 6]
    else:
        nodes, weights, shape = [helper.make_node(op_type, ["x"], ["y"])], {}, [4, 3]
    model = graph(nodes, {"x": ("float32", shape)}, {"y": "float32"}, weights)
    x = randn(*(int(size) for size in shape))
    x.flat[0] = np.nan
    (y,) = StubRunner(model, True).run(None, {"x": x})
    assert not np.isnan(y).any()


@pytest.mark.parametrize("op_type", ["Relu", "Softmax", "MaxPool", "Sigmoid", "Tanh", "Sin"])
def test_other_kernels_still_carry_nan_on(op_type: str) -> None:
    attributes = {"kernel_shape": [2]} if op_type == "MaxPool" else {}
    model = graph(
        [helper.make_node(op_type, ["x"], ["y"], **attributes)], {"x": ("float32", [1, 2, 6])}, {"y": "float32"}
    )
    x = randn(1, 2, 6)
    x.flat[0] = np.nan
    (y,) = StubRunner(model, True).run(None, {"x": x})
    assert np.isnan(y).any()

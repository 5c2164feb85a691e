"""Recurrent operators by their definitions give what torch gives, and carry NaN on."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from captures import graph, randn
from onnx import helper

from transload.convert.capture import Array
from transload.convert.equivalence.recurrent_definitions import run_by_definitions

SIZE, HIDDEN = 3, 4
# The order of gates in ONNX, by their places in torch.
GATES = {"RNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2)}


def in_onnx_order(array: Array, op_type: str) -> Array:
    parts = np.split(array, len(GATES[op_type]))
    return np.concatenate([parts[place] for place in GATES[op_type]])


def make(op_type: str, *, bidirectional: bool = False, **attributes: Any) -> tuple[Any, onnx.ModelProto]:
    """A torch module and the ONNX node of the same weights, both over [time, batch, size]."""
    torch.manual_seed(3)
    module = getattr(torch.nn, op_type)(SIZE, HIDDEN, bidirectional=bidirectional)
    suffixes = ("", "_reverse") if bidirectional else ("",)

    def weights(name: str) -> Array:
        arrays = [getattr(module, f"{name}_l0{suffix}").detach().numpy() for suffix in suffixes]
        return np.stack([in_onnx_order(array, op_type) for array in arrays])

    bias = np.concatenate([weights("bias_ih"), weights("bias_hh")], axis=1)
    node = helper.make_node(
        op_type,
        ["x", "w", "r", "b"],
        ["y", "last"],
        hidden_size=HIDDEN,
        direction="bidirectional" if bidirectional else "forward",
        **attributes,
    )
    tensors = {"w": weights("weight_ih"), "r": weights("weight_hh"), "b": bias}
    return module, graph([node], {"x": ("float32", ["t", "n", SIZE])}, {"y": "float32", "last": "float32"}, tensors)


CASES = [("RNN", {}), ("GRU", {"linear_before_reset": 1}), ("LSTM", {})]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("op_type", "attributes"), CASES, ids=[case[0] for case in CASES])
def test_definitions_agree_with_torch(op_type: str, attributes: dict[str, Any], bidirectional: bool) -> None:
    module, model = make(op_type, bidirectional=bidirectional, **attributes)
    x = randn(5, 2, SIZE)
    outputs = run_by_definitions(ir.serde.deserialize_model(model), {"x": x})
    expected, state = module(torch.from_numpy(x))
    last = state[0] if isinstance(state, tuple) else state
    assert outputs is not None
    count = 2 if bidirectional else 1
    by_direction = expected.detach().numpy().reshape(5, 2, count, HIDDEN).transpose(0, 2, 1, 3)
    np.testing.assert_allclose(outputs["y"], by_direction, atol=1e-6)
    np.testing.assert_allclose(outputs["last"], last.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize(("op_type", "attributes"), CASES, ids=[case[0] for case in CASES])
def test_definitions_carry_nan_on_to_later_steps_of_its_row(op_type: str, attributes: dict[str, Any]) -> None:
    _, model = make(op_type, **attributes)
    x = randn(5, 2, SIZE)
    x[2, 1, 0] = np.nan
    outputs = run_by_definitions(ir.serde.deserialize_model(model), {"x": x})
    assert outputs is not None
    assert np.isnan(outputs["y"][2:, 0, 1]).all()
    assert np.isfinite(outputs["y"][:2]).all()
    assert np.isfinite(outputs["y"][:, 0, 0]).all()


def test_the_wrong_kind_of_gru_is_told_apart() -> None:
    module, model = make("GRU", linear_before_reset=0)
    x = randn(5, 2, SIZE)
    outputs = run_by_definitions(ir.serde.deserialize_model(model), {"x": x})
    assert outputs is not None
    assert abs(outputs["y"][:, 0] - module(torch.from_numpy(x))[0].detach().numpy()).max() > 1e-3


def test_a_graph_without_recurrent_nodes_and_one_with_clipping_are_left_alone() -> None:
    plain = graph([helper.make_node("Relu", ["x"], ["y"])], {"x": ("float32", [2])}, {"y": "float32"})
    assert run_by_definitions(ir.serde.deserialize_model(plain), {"x": randn(2)}) is None
    _, clipped = make("LSTM", clip=1.0)
    assert run_by_definitions(ir.serde.deserialize_model(clipped), {"x": randn(5, 2, SIZE)}) is None

"""Quantized outputs may be one step off at one element in a thousand; a step more, or an element more, is a fault."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from captures import FunctionReference, capture, check, graph, randn
from onnx import helper

from transload.convert.capture import Array
from transload.convert.equivalence.quantized_outputs import find_steps
from transload.serialize.errors import MismatchError

SCALE = np.float32(0.25)
SIZE = 4000
"""Four elements of so many may be off."""

CONSTANTS = {"scale": np.array(SCALE), "zero": np.array(3, np.uint8)}

Fault = Callable[[Array], None]


def model(*, dequantized: bool) -> onnx.ModelProto:
    """An input quantized to bytes, and back where `dequantized` says so."""
    nodes = [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q" if dequantized else "y"])]
    if dequantized:
        nodes.append(helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]))
    return graph(nodes, {"x": ("float32", ["batch", SIZE])}, {"y": "float32" if dequantized else "uint8"}, CONSTANTS)


def reference(fault: Fault, *, dequantized: bool) -> FunctionReference:
    """The same in numpy, its steps changed by a fault."""

    def quantize(x: Array) -> Array:
        with np.errstate(invalid="ignore"):
            steps = np.clip(np.rint(x / SCALE) + 3, 0, 255)
        steps = np.nan_to_num(steps).astype(np.int64)
        fault(steps)
        if dequantized:
            return ((steps - 3) * SCALE).astype(np.float32)
        return steps.astype(np.uint8)

    return FunctionReference(quantize, ["y"], has_float64=False)


def prove(fault: Fault, *, dequantized: bool) -> None:
    made = model(dequantized=dequantized)
    dtype = "float32" if dequantized else "uint8"
    source = capture(made, reference(fault, dequantized=dequantized), {"x": randn(2, SIZE)}, {"y": dtype})
    evidence = check(source, made, proof="quick")
    assert {case.result for case in evidence.proof.cases} == {"noise"}
    # A replay demands that integers are equal, so that such sets are no vectors.
    assert bool(evidence.vectors) == dequantized
    assert not dequantized or evidence.tolerances["y"].noise == pytest.approx(SCALE)


def move(count: int, steps: int) -> Fault:
    """So many elements of each row moved by so many steps, away from the ends of the range."""

    def fault(array: Array) -> None:
        array[..., :count] = np.where(array[..., :count] > 100, array[..., :count] - steps, array[..., :count] + steps)

    return fault


@pytest.mark.parametrize("dequantized", [False, True])
def test_one_step_at_one_element_in_a_thousand_passes(dequantized: bool) -> None:
    prove(move(4, 1), dequantized=dequantized)


@pytest.mark.parametrize("dequantized", [False, True])
@pytest.mark.parametrize(("count", "steps"), [(1, 2), (5, 1)], ids=["a step too far", "an element too many"])
def test_what_is_beyond_the_rule_is_a_fault(count: int, steps: int, dequantized: bool) -> None:
    with pytest.raises(MismatchError):
        prove(move(count, steps), dequantized=dequantized)


def steps_of(nodes: list[onnx.NodeProto], constants: dict[str, Array]) -> dict[str, float]:
    made = graph(nodes, {"x": ("float32", [2, 4])}, {"y": "float32"}, constants)
    return find_steps(ir.serde.deserialize_model(made))


def test_steps_are_found_behind_changes_of_shape_and_not_behind_calculations() -> None:
    assert steps_of(list(model(dequantized=True).graph.node), CONSTANTS) == {"y": pytest.approx(0.25)}
    quantize = helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"])
    dequantize = helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"])
    turn = helper.make_node("Transpose", ["d"], ["y"])
    assert steps_of([quantize, dequantize, turn], CONSTANTS) == {"y": pytest.approx(0.25)}
    assert steps_of([quantize, dequantize, helper.make_node("Relu", ["d"], ["y"])], CONSTANTS) == {}


def test_a_scale_for_each_channel_gives_no_step() -> None:
    constants = {"scale": np.full(4, SCALE), "zero": np.full(4, 3, np.uint8)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], axis=1),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"], axis=1),
    ]
    assert steps_of(nodes, constants) == {}

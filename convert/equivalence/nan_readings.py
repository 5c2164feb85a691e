"""Whether a graph is right about NaN where kernels of ONNX Runtime are not, and ONNX does not say what is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from transload.convert.capture import Array, Feed
from transload.convert.equivalence.graph_runs import agree_loosely, run_in_reference, run_in_runtime

KERNELS_THAT_LOSE_NAN = frozenset(
    {"MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin", "GRU", "LSTM", "ThresholdedRelu"}
)
"""Operators whose kernels in ONNX Runtime 1.31.1 give numbers where a NaN came in.

MaxPool, GlobalMaxPool and the reductions keep it at some positions and lose it at others; GRU and LSTM lose it when
they have a bias. tests/convert/equivalence/test_nan_readings.py measures it.
"""

REWRITABLE = {"MaxPool": -np.inf, "GlobalMaxPool": -np.inf, "ReduceMax": -np.inf, "ReduceMin": np.inf}
"""For each, the number that never wins."""

FLOAT_DTYPES = {ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16}

Reading = Literal["as it is", "NaN wins", "NaN never wins"]


def find_kernels_that_lose_nan(model: ir.Model) -> tuple[str, ...]:
    """The operators of a graph that are among `KERNELS_THAT_LOSE_NAN`, sorted."""
    return tuple(sorted({node.op_type for node in model.graph.all_nodes()} & KERNELS_THAT_LOSE_NAN))


def find_reading(model: ir.Model, feed: Feed, source: Mapping[str, Array]) -> Reading | None:
    """The reading of the graph under which it computes what the source computes; None where none is found.

    ONNX does not say what a maximum over NaN is. torch lets NaN win, TensorFlow's pooling never does, and ONNX
    Runtime's kernels do either by position. So the graph is run as it is, and with its maxima and minima rewritten to
    each of the two clear meanings, in ONNX Runtime and, where it is small enough, in onnx.reference.
    """
    for reading, variant in _variants(model):
        for run in (run_in_runtime, run_in_reference):
            outputs = run(variant, feed)
            if outputs is not None and agree_loosely(outputs, source):
                return reading
    return None


def _variants(model: ir.Model) -> Iterator[tuple[Reading, ir.Model]]:
    yield "as it is", model
    if any(node.op_type in REWRITABLE for node in model.graph.all_nodes()):
        yield "NaN wins", rewrite_maxima(model, nan_wins=True)
        yield "NaN never wins", rewrite_maxima(model, nan_wins=False)


def rewrite_maxima(model: ir.Model, *, nan_wins: bool) -> ir.Model:
    """A copy of a graph whose maxima and minima have one clear meaning for NaN.

    1. Before the operator, each NaN becomes the infinity that never wins.
    2. With `nan_wins`, the same maximum is taken over the places of NaN, and where it finds one the result is NaN.

    Left alone: operators on dtypes other than floats, or of unknown dtype, and pools that also give indices.
    """
    copy = ShapeInferencePass(strict_mode=False)(model.clone()).model
    for number, node in enumerate(list(copy.graph.all_nodes())):
        value = node.inputs[0] if node.inputs else None
        if node.op_type in REWRITABLE and len(node.outputs) == 1 and value is not None and value.dtype in FLOAT_DTYPES:
            _rewrite(node, value, f"nan_{number}", nan_wins)
    return copy


def _rewrite(node: ir.Node, value: ir.Value, prefix: str, nan_wins: bool) -> None:
    graph, output, dtype = node.graph, node.outputs[0], value.dtype
    assert graph is not None and dtype is not None

    def make(op_type: str, inputs: list[ir.Value | None], attributes: Mapping[str, object] | None = None) -> ir.Value:
        made = ir.node(op_type, inputs, attributes)  # type: ignore[arg-type]
        made.outputs[0].name = f"{prefix}_{len(new)}"
        new.append(made)
        return made.outputs[0]

    def constant(number: float, kind: ir.DataType) -> ir.Value:
        return make("Constant", [], {"value": ir.tensor(np.array(number, kind.numpy()))})

    new: list[ir.Node] = []
    bad = make("IsNaN", [value])
    clean = make("Where", [bad, constant(REWRITABLE[node.op_type], dtype), value])
    graph.insert_before(node, new)
    node.replace_input_with(0, clean)
    if not nan_wins:
        return
    new = []
    prefix += "_after"
    places = make("Cast", [bad], {"to": ir.DataType.FLOAT})
    op_type = "ReduceMax" if node.op_type == "ReduceMin" else node.op_type
    found = make(op_type, [places, *node.inputs[1:]], dict(node.attributes))
    hit = make("Greater", [found, constant(0.5, ir.DataType.FLOAT)])
    final = make("Where", [hit, constant(np.nan, dtype), output])
    name = output.name
    output.replace_all_uses_with(final, replace_graph_outputs=True)
    new[-1].replace_input_with(2, output)
    output.name, final.name = f"{prefix}_raw", name
    final.dtype, final.shape = dtype, output.shape
    graph.insert_after(node, new)

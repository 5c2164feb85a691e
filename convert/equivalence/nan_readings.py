"""Whether a graph is right about NaN where kernels of ONNX Runtime are not, and ONNX does not say what is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from transload.convert.capture import Array, Feed
from transload.convert.equivalence.graph_runs import agree_loosely, run_in_reference, run_in_runtime
from transload.convert.equivalence.recurrent_definitions import run_by_definitions

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

Reading = Literal[
    "as it is",
    "recurrent by definition",
    "NaN wins",
    "NaN never wins",
    "the lowest number wins over NaN",
    "NaN wins or loses by its place",
]


def find_kernels_that_lose_nan(model: ir.Model) -> tuple[str, ...]:
    """The operators of a graph that are among `KERNELS_THAT_LOSE_NAN`, sorted."""
    return tuple(sorted({node.op_type for node in model.graph.all_nodes()} & KERNELS_THAT_LOSE_NAN))


def find_reading(model: ir.Model, feed: Feed, source: Mapping[str, Array]) -> Reading | None:
    """The reading of the graph under which it computes what the source computes; None where none is found.

    ONNX does not say what a maximum over NaN is. torch lets NaN win, TensorFlow's pooling begins with the lowest finite
    number and never lets NaN win, and ONNX Runtime's kernels do either by position. So the graph is run as it is, and
    with its maxima and minima rewritten to each of the clear meanings, in ONNX Runtime and, where it is small enough,
    in onnx.reference. Recurrent operators have one meaning, of which onnx.reference knows a part: they are computed by
    their definitions, where no other graph holds them. TensorFlow's pooling in three dimensions forgets what came
    before a NaN: there, windows that hold one are not compared.
    """
    for reading, variant in _variants(model):
        for run in (run_in_runtime, run_in_reference):
            outputs = run(variant, feed)
            if outputs is not None and agree_loosely(outputs, source):
                return reading
    outputs = run_by_definitions(model, feed)
    if outputs is not None and agree_loosely(outputs, source):
        return "recurrent by definition"
    if any(node.op_type == "MaxPool" and len(node.attributes["kernel_shape"].as_ints()) == 3 for node in _nodes(model)):
        outputs = run_in_runtime(rewrite_maxima(model, nan_wins=True), feed)
        if outputs is not None and agree_loosely(outputs, _hide(source, outputs)):
            return "NaN wins or loses by its place"
    return None


def _nodes(model: ir.Model) -> list[ir.Node]:
    return list(model.graph.all_nodes())


def _hide(source: Mapping[str, Array], outputs: Mapping[str, Array]) -> dict[str, Array]:
    """The source's outputs with NaN where others have it."""
    return {
        name: np.where(np.isnan(outputs[name]), outputs[name], array)
        if array.shape == outputs[name].shape and array.dtype.kind == "f"
        else array
        for name, array in source.items()
    }


def _variants(model: ir.Model) -> Iterator[tuple[Reading, ir.Model]]:
    yield "as it is", model
    if any(node.op_type in REWRITABLE for node in model.graph.all_nodes()):
        yield "NaN wins", rewrite_maxima(model, nan_wins=True)
        yield "NaN never wins", rewrite_maxima(model, nan_wins=False)
        yield "the lowest number wins over NaN", rewrite_maxima(model, nan_wins=False, finite=True)


def rewrite_maxima(model: ir.Model, *, nan_wins: bool, finite: bool = False) -> ir.Model:
    """A copy of a graph whose maxima and minima have one clear meaning for NaN.

    1. Before the operator, each NaN becomes the infinity that never wins; with `finite`, it and this infinity become
       the outermost finite number instead.
    2. With `nan_wins`, the same maximum is taken over the places of NaN, and where it finds one the result is NaN.

    Left alone: operators on dtypes other than floats, or of unknown dtype, and pools that also give indices.
    """
    copy = ShapeInferencePass(strict_mode=False)(model.clone()).model
    for number, node in enumerate(list(copy.graph.all_nodes())):
        value = node.inputs[0] if node.inputs else None
        if node.op_type in REWRITABLE and len(node.outputs) == 1 and value is not None and value.dtype in FLOAT_DTYPES:
            _rewrite(node, value, f"nan_{number}", nan_wins, finite)
    return copy


def _rewrite(node: ir.Node, value: ir.Value, prefix: str, nan_wins: bool, finite: bool) -> None:
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
    never = REWRITABLE[node.op_type]
    if finite:
        never = float(np.copysign(np.finfo(dtype.numpy()).max, never))
        bad = make("Not", [make("Greater" if never < 0 else "Less", [value, constant(never, dtype)])])
    clean = make("Where", [bad, constant(never, dtype), value])
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

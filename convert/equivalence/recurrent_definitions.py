"""ONNX's recurrent operators by their definitions, in numpy, for graphs whose kernels in ONNX Runtime lose NaN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from transload.convert.capture import Array, Feed
from transload.convert.equivalence.graph_runs import run_in_runtime

RECURRENT = frozenset({"RNN", "GRU", "LSTM"})

State = tuple[Array, ...]
Step = Callable[[Array, State], State]
"""From a time step's input [batch, size] and the state to the next state, whose first part is what comes out."""

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "Sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "Tanh": np.tanh,
    "Relu": lambda x: np.maximum(x, 0),
    "Elu": lambda x: np.where(x < 0, np.exp(np.minimum(x, 0)) - 1, x),
    "HardSigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "Softsign": lambda x: x / (1.0 + np.abs(x)),
    "Softplus": lambda x: np.logaddexp(x, 0),
}
"""With the default parameters."""

DEFAULTS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}

UNKNOWN = frozenset({"activation_alpha", "activation_beta", "clip", "input_forget"})
"""Attributes with which a node is not computed here."""


def run_by_definitions(model: ir.Model, feed: Feed) -> dict[str, Array] | None:
    """A graph's outputs with its recurrent nodes computed here and the rest in ONNX Runtime.

    None where it has no such node, one inside of another graph, one that is not known here, or where a run fails.
    """
    model = ShapeInferencePass(strict_mode=False)(model.clone()).model
    nodes = [node for node in model.graph if node.op_type in RECURRENT]
    if not nodes or len(nodes) != sum(node.op_type in RECURRENT for node in model.graph.all_nodes()):
        return None
    outputs, known = {str(value.name): value for value in model.graph.outputs}, dict(feed)
    for node in nodes:
        taken = [value for value in node.inputs if value is not None]
        model.graph.outputs.clear()
        model.graph.outputs.extend(_as_outputs(model.graph, taken))
        values = run_in_runtime(model, known)
        if values is None:
            return None
        given = iter(values.values())
        results = _compute(node, [None if value is None else next(given) for value in node.inputs])
        if results is None:
            return None
        for number, (value, result) in enumerate(zip(node.outputs, results, strict=False)):
            stand_in = ir.Value(
                name=f"{node.name}_result_{number}",
                shape=ir.Shape(result.shape),
                type=ir.TensorType(ir.DataType.from_numpy(result.dtype)),
            )
            value.replace_all_uses_with(stand_in)
            outputs = {name: stand_in if each is value else each for name, each in outputs.items()}
            model.graph.inputs.append(stand_in)
            known[str(stand_in.name)] = result
        model.graph.outputs.clear()
        model.graph.remove(node, safe=True)
    # What a recurrent node gives straight to the outside is known already.
    rest = {name: value for name, value in outputs.items() if str(value.name) not in known}
    model.graph.outputs.extend(rest.values())
    values = run_in_runtime(model, known) if rest else {}
    if values is None:
        return None
    return {name: values[name] if name in rest else known[str(value.name)] for name, value in outputs.items()}


def _as_outputs(graph: ir.Graph, values: Sequence[ir.Value]) -> list[ir.Value]:
    """Each value through an Identity, as a graph may not give back what it was given."""
    copies = []
    for number, value in enumerate(values):
        node = ir.node("Identity", [value])
        node.outputs[0].name = f"{value.name}_copy_{number}_{len(graph)}"
        node.outputs[0].dtype = value.dtype or ir.DataType.FLOAT
        graph.append(node)
        copies.append(node.outputs[0])
    return copies


def _compute(node: ir.Node, inputs: Sequence[Array | None]) -> list[Array] | None:
    """The node's outputs; None where it has attributes or inputs that are not known here."""
    attributes = node.attributes
    activations = list(attributes["activations"].as_strings()) if "activations" in attributes else []
    peepholes = inputs[7] if len(inputs) > 7 else None
    layout = attributes["layout"].as_int() if "layout" in attributes else 0
    if UNKNOWN & attributes.keys() or peepholes is not None or layout or not set(activations) <= FUNCTIONS.keys():
        return None
    x, weights, own_weights, bias, lengths, *starts = [*inputs, *[None] * (7 - len(inputs))][:7]
    assert x is not None and weights is not None and own_weights is not None
    hidden = own_weights.shape[2]
    direction = attributes["direction"].as_string() if "direction" in attributes else "forward"
    defaults = DEFAULTS[node.op_type]
    found = []
    for number in range(len(weights)):
        names = activations[number * len(defaults) : (number + 1) * len(defaults)] or defaults
        none = np.zeros(2 * weights.shape[1], x.dtype)
        offsets = np.split(none if bias is None else bias[number], 2)
        make_step = {"RNN": _rnn, "GRU": _gru, "LSTM": _lstm}[node.op_type]
        linear = "linear_before_reset" in attributes and bool(attributes["linear_before_reset"].as_int())
        step = make_step(weights[number], own_weights[number], offsets, [FUNCTIONS[name] for name in names], linear)
        zeros = np.zeros((x.shape[1], hidden), x.dtype)
        count = 2 if node.op_type == "LSTM" else 1
        state = tuple(zeros if start is None else start[number] for start in starts[:count])
        with np.errstate(all="ignore"):
            found.append(_unroll(x, step, state, lengths, direction == "reverse" or number == 1))
    states = zip(*(each[1] for each in found), strict=True)
    return [np.stack([each[0] for each in found], axis=1), *(np.stack(parts) for parts in states)]


def _unroll(x: Array, step: Step, state: State, lengths: Array | None, backwards: bool) -> tuple[Array, State]:
    """All outputs [time, batch, hidden] and the last state; what lies beyond a row's length leaves its state alone."""
    outputs = np.zeros((x.shape[0], *state[0].shape), x.dtype)
    last = np.full(x.shape[1], x.shape[0]) if lengths is None else lengths
    for time in reversed(range(x.shape[0])) if backwards else range(x.shape[0]):
        runs = (time < last)[:, np.newaxis]
        new = step(x[time], state)
        state = tuple(np.where(runs, one, old).astype(x.dtype) for one, old in zip(new, state, strict=True))
        outputs[time] = np.where(runs, state[0], 0)
    return outputs, state


def _rnn(weights: Array, own: Array, offsets: Sequence[Array], functions: Sequence[Any], linear: bool) -> Step:
    return lambda x, state: (functions[0](x @ weights.T + state[0] @ own.T + offsets[0] + offsets[1]),)


def _gru(weights: Array, own: Array, offsets: Sequence[Array], functions: Sequence[Any], linear: bool) -> Step:
    gate, candidate = functions

    def step(x: Array, state: State) -> State:
        (hidden,) = state
        given = np.split(x @ weights.T + offsets[0], 3, axis=1)
        to_update, to_reset, to_new = np.split(own, 3)
        of_update, of_reset, of_new = np.split(offsets[1], 3)
        update = gate(given[0] + hidden @ to_update.T + of_update)
        reset = gate(given[1] + hidden @ to_reset.T + of_reset)
        kept = reset * (hidden @ to_new.T + of_new) if linear else (reset * hidden) @ to_new.T + of_new
        return ((1 - update) * candidate(given[2] + kept) + update * hidden,)

    return step


def _lstm(weights: Array, own: Array, offsets: Sequence[Array], functions: Sequence[Any], linear: bool) -> Step:
    gate, candidate, result = functions

    def step(x: Array, state: State) -> State:
        hidden, cell = state
        gates = np.split(x @ weights.T + hidden @ own.T + offsets[0] + offsets[1], 4, axis=1)
        entry, exit_, forget = (gate(each) for each in gates[:3])
        cell = forget * cell + entry * candidate(gates[3])
        return exit_ * result(cell), cell

    return step

"""A pass: loops that are recurrent layers become ONNX's operators for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from transload.convert.passes.affine import Affine, read_affine
from transload.convert.passes.constants import insert_axes, insert_constant
from transload.convert.passes.matching import infer_shapes, is_standard, maker, number, other_operand
from transload.convert.passes.sequence_loops import SequenceLoop, read_loop

ACTIVATIONS = frozenset({"Relu", "Sigmoid", "Tanh"})
"""Operators that ONNX's recurrent ones know by the same name."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Gate:
    """`activation(x @ kernel + bias + h @ recurrent + recurrent_bias)`."""

    activation: str
    kernel: Array
    recurrent: Array
    bias: Array
    recurrent_bias: Array


@dataclass(frozen=True)
class Cell:
    """What a recurrent operator computes at a step: the operator, its gates in ONNX's order, and an attribute."""

    operator: str
    gates: tuple[Gate, ...]
    linear_before_reset: bool = False


class RecurrentLayersPass(ir.passes.InPlacePass):
    """Put recurrent layers together again.

    Keras writes a GRU as a loop whose body has some twenty nodes; tf2onnx knows such a loop for an LSTM and not for it.
    ONNX Runtime's kernel multiplies all steps of a sequence by the kernel at once.

    1. A loop over all steps of a sequence that carries `z * h + (1 - z) * g` becomes `GRU`, with the reset before the
       product with the state or behind it.
    2. One that carries `activation(x @ kernel + h @ recurrent + bias)` becomes `RNN`.

    Left alone: loops with masks, projections or several states, activations other than Relu, Sigmoid and Tanh, other
    element types than float32, and opsets below 13, where Squeeze has no input for its axes.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        loops = [node for node in model.graph.all_nodes() if is_standard(node, "Loop")]
        if not loops or model.graph.opset_imports.get("", 0) < 13:
            return ir.passes.PassResult(model, False)
        shapes = infer_shapes(model)
        modified = False
        for node in loops:
            loop = read_loop(node, shapes)
            cell = _read_cell(loop) if loop is not None else None
            if loop is not None and cell is not None:
                _replace(loop, cell)
                modified = True
        return ir.passes.PassResult(model, modified)


def _read_cell(loop: SequenceLoop) -> Cell | None:
    """The cell whose next state the loop carries, if that is all it gives."""
    following = loop.resolve(loop.following)
    if any(loop.resolve(inner) is not following for _, inner in loop.results):
        return None
    if (gate := _read_gate(loop, following)) is not None:
        return Cell("RNN", (gate,))
    return _read_gru(loop, following)


def _read_gate(loop: SequenceLoop, value: ir.Value | None) -> Gate | None:
    """The gate that a value is, of the step and the state."""
    node = value.producer() if value is not None else None
    if node is None or node.op_type not in ACTIVATIONS or not is_standard(node):
        return None
    return _make_gate(loop, node.op_type, read_affine(node.inputs[0], loop.resolve), loop.state)


def _make_gate(loop: SequenceLoop, activation: str, total: Affine | None, state: ir.Value) -> Gate | None:
    """The gate of a sum over the step and the state, or what stands in the place of the state."""
    if total is None or total.terms.keys() != {loop.step, state}:
        return None
    kernel, recurrent = total.terms[loop.step], total.terms[state]
    return Gate(activation, kernel, recurrent, total.bias, np.zeros_like(total.bias))


def _read_gru(loop: SequenceLoop, value: ir.Value | None) -> Cell | None:
    """`z * h + (1 - z) * g`."""
    total = maker(value, "Add")
    for one, other in (total.inputs, tuple(reversed(total.inputs))) if total is not None else ():
        kept, new = maker(loop.resolve(one), "Mul"), maker(loop.resolve(other), "Mul")
        update = _beside(loop, kept, loop.state)
        gate = _read_gate(loop, update)
        for rest in map(loop.resolve, new.inputs) if new is not None else ():
            if gate is None or not _is_rest(loop, rest, update):
                continue
            found = _read_candidate(loop, _beside(loop, new, rest), gate.activation)
            if found is None:
                continue
            reset, candidate, linear_before_reset = found
            return Cell("GRU", (gate, reset, candidate), linear_before_reset)
    return None


def _beside(loop: SequenceLoop, product: ir.Node | None, factor: ir.Value | None) -> ir.Value | None:
    """The other factor of a product; None where the product has not this one."""
    one, other = (loop.resolve(each) for each in product.inputs) if product is not None else (None, None)
    if factor is None or factor not in (one, other):
        return None
    return other if one is factor else one


def _is_rest(loop: SequenceLoop, value: ir.Value | None, update: ir.Value | None) -> bool:
    """Whether a value is `1 - update`."""
    difference = maker(value, "Sub")
    return difference is not None and number(difference.inputs[0]) == 1 and loop.resolve(difference.inputs[1]) is update


def _read_candidate(loop: SequenceLoop, value: ir.Value | None, activation: str) -> tuple[Gate, Gate, bool] | None:
    """The gate of the reset, that of the candidate, and whether the product with the state comes before the reset."""
    node = value.producer() if value is not None else None
    if node is None or node.op_type not in ACTIVATIONS or not is_standard(node):
        return None
    total = read_affine(node.inputs[0], loop.resolve)
    if total is not None:
        # The reset state is multiplied.
        for state in total.terms.keys() - {loop.step}:
            gate = _read_gate(loop, _beside(loop, maker(state, "Mul"), loop.state))
            candidate = _make_gate(loop, node.op_type, total, state)
            if gate is not None and candidate is not None and gate.activation == activation:
                return gate, candidate, False
        return None
    addition = maker(loop.resolve(node.inputs[0]), "Add")
    for one in addition.inputs if addition is not None else ():
        product = maker(loop.resolve(one), "Mul")
        outer = read_affine(other_operand(addition, one), loop.resolve) if one is not None and addition else None
        if product is None or outer is None or outer.terms.keys() != {loop.step}:
            continue
        for first, second in (product.inputs, tuple(reversed(product.inputs))):
            gate, inner = _read_gate(loop, loop.resolve(first)), read_affine(second, loop.resolve)
            if gate is None or gate.activation != activation or inner is None or inner.terms.keys() != {loop.state}:
                continue
            kernel, recurrent = outer.terms[loop.step], inner.terms[loop.state]
            return gate, Gate(node.op_type, kernel, recurrent, outer.bias, inner.bias), True
    return None


def _replace(loop: SequenceLoop, cell: Cell) -> None:
    node = loop.node
    graph = node.graph
    assert graph is not None

    def weight(name: str, array: Array) -> ir.Value:
        return insert_constant(node, ir.tensor(array[None].astype(np.float32), name=f"{loop.last.name}_{name}"))

    def add(new: ir.Node) -> ir.Value:
        graph.insert_before(node, new)
        return new.outputs[0]

    kernel = weight("kernel", np.concatenate([gate.kernel.T for gate in cell.gates]))
    recurrent = weight("recurrent", np.concatenate([gate.recurrent.T for gate in cell.gates]))
    biases = [gate.bias for gate in cell.gates] + [gate.recurrent_bias for gate in cell.gates]
    bias = weight("bias", np.concatenate(biases))
    # The reset's activation is the update's.
    activations = [cell.gates[0].activation, *(gate.activation for gate in cell.gates[2:])]
    attributes: dict[str, Any] = {"hidden_size": len(cell.gates[0].bias), "activations": activations}
    if cell.operator == "GRU":
        attributes["linear_before_reset"] = int(cell.linear_before_reset)
    start = ir.node("Unsqueeze", [loop.start, None])
    add(start)
    insert_axes(start, 1, [0])
    layer = ir.node(
        cell.operator, [loop.sequence, kernel, recurrent, bias, None, start.outputs[0]], attributes, num_outputs=2
    )
    layer.metadata_props.update(node.metadata_props)
    add(layer)
    replaced = [(output, layer.outputs[0], 1) for output, _ in loop.results] + [(loop.last, layer.outputs[1], 0)]
    for output, value, axis in replaced:
        squeeze = ir.node("Squeeze", [value, None])
        add(squeeze)
        insert_axes(squeeze, 1, [axis])
        new = squeeze.outputs[0]
        ir.convenience.replace_all_uses_with(output, new, replace_graph_outputs=True)
        name, output.name = output.name, f"{output.name}_of_loop"
        new.name, new.type, new.shape = name, output.type, output.shape
    for _, outer, output in loop.unchanged:
        ir.convenience.replace_all_uses_with(output, outer, replace_graph_outputs=True)
    graph.remove(node, safe=True)

"""LSTM whose hidden state is projected (`proj_size`), as ONNX's Scan: ONNX's own LSTM has no projection."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder

BOOL = ir.DataType.BOOL
INT64 = ir.DataType.INT64


@dataclass(frozen=True, eq=False)
class Weights:
    """The parameters of one layer in one direction, as torch keeps them: rows of input, forget, cell, output gates."""

    input: ir.Value
    hidden: ir.Value
    bias: ir.Value | None
    projection: ir.Value

    @classmethod
    def from_params(cls, b: Builder, params: list[ir.Value]) -> Weights:
        """Two or four weights and biases, and the projection behind them."""
        input_, hidden, *biases, projection = params
        return cls(input_, hidden, b.Add(*biases) if biases else None, projection)


def run_projected(
    b: Builder,
    sequence: ir.Value,
    lengths: ir.Value | None,
    states: list[ir.Value],
    params: list[ir.Value],
    num_layers: int,
    directions: int,
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """All layers over a time-major sequence; gives the outputs, the last hidden and the last cell states.

    Args:
        sequence: [time, batch, features].
        lengths: [batch], or None where every sequence fills the time; outputs behind a sequence are zero.
        states: Initial hidden [layers * directions, batch, proj_size] and cell [layers * directions, batch, hidden].
        params: For each layer and direction w_ih, w_hh, b_ih and b_hh where there are biases, w_hr.
    """
    per_direction = len(params) // (num_layers * directions)
    running = None if lengths is None else _running(b, sequence, lengths)
    finals: list[tuple[ir.Value, ir.Value]] = []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            index = layer * directions + direction
            weights = Weights.from_params(b, params[index * per_direction :][:per_direction])
            initial = [b.Gather(state, b.constant(index), axis=0) for state in states]
            *final, output = _scan(b, sequence, running, initial, weights, reverse=direction == 1)
            finals.append((final[0], final[1]))
            outputs.append(output)
        sequence = outputs[0] if directions == 1 else b.Concat(*outputs, axis=2)
    hidden, cell = zip(*finals, strict=True)
    return sequence, _stacked(b, hidden), _stacked(b, cell)


def _running(b: Builder, sequence: ir.Value, lengths: ir.Value) -> ir.Value:
    """[time, batch, 1]: whether a sequence goes on at that time."""
    steps = b.scalar_range(b.size(sequence, 0))
    going: ir.Value = b.Less(b.unsqueeze(steps, 1), b.unsqueeze(b.cast(lengths, INT64), 0))
    return b.unsqueeze(going, 2)


def _scan(
    b: Builder, sequence: ir.Value, running: ir.Value | None, initial: list[ir.Value], weights: Weights, reverse: bool
) -> tuple[ir.Value, ...]:
    gates = b.MatMul(sequence, b.Transpose(weights.input, perm=[1, 0]))
    if weights.bias is not None:
        gates = b.Add(gates, weights.bias)
    scanned = [gates] if running is None else [gates, running]
    for value in (*initial, *scanned):
        b.name_sizes(value)
    inputs = [ir.Value(name="state", type=value.type, shape=value.shape) for value in initial]
    inputs += [ir.Value(name="step", type=value.type, shape=ir.Shape(list(value.shape or ())[1:])) for value in scanned]
    for each in inputs:
        each.name = b.unique(each.name or "")
    with b.block(inputs=inputs) as graph:
        graph.outputs.extend(_step(b, weights, *inputs))
    backwards = int(reverse)
    attributes = [
        ir.AttrGraph("body", graph),
        ir.AttrInt64("num_scan_inputs", len(scanned)),
        ir.AttrInt64s("scan_input_directions", [backwards] * len(scanned)),
        ir.AttrInt64s("scan_output_directions", [backwards]),
    ]
    node = ir.Node("", "Scan", [*initial, *scanned], attributes, num_outputs=3)
    for output, value in zip(node.outputs, initial, strict=False):
        output.type, output.shape = value.type, value.shape
    node.outputs[2].type = initial[0].type
    node.outputs[2].shape = ir.Shape([*list(gates.shape or ())[:1], *list(initial[0].shape or ())])
    b.append(node)
    return tuple(node.outputs)


def _step(
    b: Builder, weights: Weights, hidden: ir.Value, cell: ir.Value, gates: ir.Value, going: ir.Value | None = None
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """One step of torch.nn.LSTM with proj_size, see its documentation; gives both states and the output."""
    gates = b.Add(gates, b.MatMul(hidden, b.Transpose(weights.hidden, perm=[1, 0])))
    parts = b.Split(gates, None, axis=1, num_outputs=4, _outputs=4)
    input_gate, forget_gate, output_gate = (b.Sigmoid(parts[place]) for place in (0, 1, 3))
    next_cell = b.Add(b.Mul(forget_gate, cell), b.Mul(input_gate, b.Tanh(parts[2])))
    next_hidden = b.MatMul(b.Mul(output_gate, b.Tanh(next_cell)), b.Transpose(weights.projection, perm=[1, 0]))
    if going is None:
        return next_hidden, next_cell, b.Identity(next_hidden)
    assert hidden.dtype is not None
    output = b.Where(going, next_hidden, b.scalar(0, hidden.dtype))
    return b.Where(going, next_hidden, hidden), b.Where(going, next_cell, cell), output


def _stacked(b: Builder, values: tuple[ir.Value, ...]) -> ir.Value:
    stack: ir.Value = b.Concat(*[b.unsqueeze(value, 0) for value in values], axis=0)
    return stack

"""Where a graph may turn: the numbers that it calculates with, the sizes of its tables, and whether it jumps."""

from __future__ import annotations

import onnx_ir as ir

JUMPING = frozenset(
    {
        "Floor",
        "Ceil",
        "Round",
        "Sign",
        "ArgMax",
        "ArgMin",
        "TopK",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Equal",
        "If",
        "QuantizeLinear",
        "DynamicQuantizeLinear",
    }
)
"""Operators whose results jump: a small fault before them shows only at the few values near a jump."""

SATURATING = frozenset({"Softmax", "LogSoftmax", "Sigmoid", "Tanh", "HardSigmoid", "Softsign"})
"""Operators that give the same for all large operands, one of a softmax's being larger than the others."""

MAX_ELEMENTS = 4
"""Larger constants are weights or tables, not numbers of which a program was written."""

MAX_NUMBERS = 16

MAX_ROWS = 512
"""A longer sequence than this takes too long to be tried."""


def find_numbers(model: ir.Model) -> tuple[float, ...]:
    """The small floating constants of a graph and of its subgraphs, in order, each once, and at most MAX_NUMBERS."""
    found: dict[float, None] = {}
    for graph in model.graphs():
        tensors = [value.const_value for value in graph.initializers.values()]
        tensors += [node.attributes["value"].as_tensor() for node in graph if _is_constant(node)]
        for tensor in tensors:
            if tensor is not None and tensor.dtype.is_floating_point() and 0 < tensor.size <= MAX_ELEMENTS:
                found.update(dict.fromkeys(float(each) for each in tensor.numpy().ravel() if abs(each) < 1e6))
    return tuple(found)[:MAX_NUMBERS]


def find_table_sizes(model: ir.Model) -> frozenset[int]:
    """How many rows the constant tables have that the graph looks up, MAX_ROWS at most."""
    tables = [node.inputs[0] for node in model.graph.all_nodes() if node.op_type == "Gather"]
    constants = [ir.convenience.get_const_tensor(table) for table in tables if table is not None]
    sizes = {int(each.shape.numpy()[0]) for each in constants if each is not None and each.shape.rank()}
    return frozenset(size for size in sizes if 1 < size <= MAX_ROWS)


def has_jumps(model: ir.Model) -> bool:
    """Whether small changes of the inputs may change results by much."""
    return any(node.op_type in JUMPING for node in model.graph.all_nodes())


def saturates(model: ir.Model) -> bool:
    """Whether a fault in large values shows only where they happen to balance."""
    return any(node.op_type in SATURATING for node in model.graph.all_nodes())


def counts(model: ir.Model) -> bool:
    """Whether the graph counts, so that a dtype may be too narrow for a long size."""
    return any(node.op_type == "Range" for node in model.graph.all_nodes())


def _is_constant(node: ir.Node) -> bool:
    return node.op_type == "Constant" and "value" in node.attributes

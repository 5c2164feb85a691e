"""Looking at a graph around a value, for passes that look for a pattern."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass


def maker(value: ir.Value | None, op_type: str) -> ir.Node | None:
    """The node that computes a value, if it is a standard operator of this type."""
    node = value.producer() if value is not None else None
    return node if node is not None and is_standard(node, op_type) else None


def readers(value: ir.Value, op_type: str) -> Iterator[ir.Node]:
    """The nodes that read a value and are a standard operator of this type, each once."""
    for node in dict.fromkeys(use.node for use in value.uses()):
        if is_standard(node, op_type):
            yield node


def number(value: ir.Value | None) -> float | None:
    """What a float32 constant of rank 0, or of rank 1 and one element, holds; None for all else.

    One of a higher rank would give its rank to what it is added to.
    """
    tensor = _constant(value)
    if tensor is None or tensor.size != 1 or len(tensor.shape) > 1 or tensor.dtype != ir.DataType.FLOAT:
        return None
    return float(tensor.numpy().item())


def integers(value: ir.Value | None) -> list[int] | None:
    """What a small constant of integers holds; None for all else."""
    tensor = _constant(value)
    if tensor is None or not tensor.dtype.is_integer() or tensor.size > 64:
        return None
    return [int(each) for each in tensor.numpy().reshape(-1)]


def other_operand(node: ir.Node, value: ir.Value) -> ir.Value | None:
    """What a node of two inputs reads beside a value."""
    first, second = node.inputs
    return second if first is value else first


def squared(value: ir.Value | None) -> ir.Value | None:
    """What a value is the square of."""
    if (product := maker(value, "Mul")) is not None and product.inputs[0] is product.inputs[1]:
        return product.inputs[0]
    power = maker(value, "Pow")
    return power.inputs[0] if power is not None and number(power.inputs[1]) == 2 else None


def mean_under_root(root: ir.Node) -> tuple[ir.Node, float] | None:
    """The mean and epsilon of which a node is `1 / sqrt(mean + epsilon)`, in float32; None where it is none."""
    square_root = maker(root.inputs[0], "Sqrt") if is_standard(root, "Reciprocal") else None
    total = maker(square_root.inputs[0], "Add") if square_root is not None else None
    for value in total.inputs if total is not None else ():
        mean = maker(value, "ReduceMean")
        if total is not None and value is not None and mean is not None:
            epsilon = number(other_operand(total, value))
            return None if epsilon is None else (mean, epsilon)
    return None


def infer_shapes(model: ir.Model) -> dict[ir.Value, ir.Shape]:
    """The shapes of all values as far as they follow from the inputs by ONNX's rules; the model is left as it was.

    What a graph itself says of the values between is not believed: exporters write down the sizes of their example. Nor
    is what the rules give written into the graph: a package says what its source said.
    """
    values = [value for graph in model.graphs() for value in ir.convenience.create_value_mapping(graph).values()]
    before = [(value, value.shape, value.type) for value in values]
    given = {*model.graph.inputs, *(value for value in values if value.is_initializer())}
    for value in values:
        if value not in given:
            value.shape = None
    ShapeInferencePass()(model)
    shapes = {value: value.shape for value in values if value.shape is not None}
    for value, shape, kind in before:
        value.shape, value.type = shape, kind
    return shapes


def _constant(value: ir.Value | None) -> ir.TensorProtocol | None:
    return None if value is None or value.is_graph_input() else ir.convenience.get_const_tensor(value)


def is_constant(value: ir.Value | None) -> bool:
    """Whether what a value holds is known, however much it is."""
    return (
        value is not None
        and not value.is_graph_input()
        and (value.is_initializer() or ir.convenience.get_const_tensor(value) is not None)
    )


def is_standard(node: ir.Node, op_type: str | None = None) -> bool:
    """Whether a node is one of ONNX's own operators, and this one."""
    return node.domain in ("", "ai.onnx") and op_type in (None, node.op_type)

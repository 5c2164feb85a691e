"""A pass: normalizations that an exporter took apart become what ONNX Runtime has kernels for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from transload.convert.passes.constants import insert_constant, put_in_place
from transload.convert.passes.matching import (
    infer_shapes,
    integers,
    maker,
    mean_under_root,
    other_operand,
    readers,
    squared,
)
from transload.convert.passes.shape_values import Shapes


@dataclass(frozen=True)
class Normalized:
    """`(x - mean) / sqrt(variance + epsilon) * scale + bias` over the last axis, `result` at its end.

    `rank` is that of `x`, `size` that of its last axis; scale and bias are constants of this size and at most that
    rank, or None.
    """

    x: ir.Value
    result: ir.Value
    rank: int
    size: int
    epsilon: float
    scale: ir.Value | None = None
    bias: ir.Value | None = None


class LayerNormalizationPass(ir.passes.InPlacePass):
    """Put layer normalizations together again.

    Keras, and TensorFlow's `batch_normalization`, write them as `x * g + (bias - mean * g)` with
    `g = scale / sqrt(variance + epsilon)`: eleven nodes, which ONNX Runtime's optimiser does not know. Its kernel takes
    the mean off before it multiplies, and so comes nearer to the exact value than those nodes do: at a mean of 1000 and
    a deviation of 1 it is off by 3e-5, they by 1.8e-4 (1.31.1).

    1. The form above, with or without scale and bias, in float32 over the last axis, becomes `LayerNormalization`.
    2. So does `(x - mean) * (1 / sqrt(variance + epsilon)) * scale + bias`.

    Left alone: other axes and element types, scales and biases that are computed, and opsets below 17.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        if model.graph.opset_imports.get("", 0) < 17:
            return ir.passes.PassResult(model, False)
        roots = [node for node in model.graph.all_nodes() if mean_under_root(node) is not None]
        if not roots:
            return ir.passes.PassResult(model, False)
        shapes = infer_shapes(model)
        modified = False
        for root in roots:
            if (found := _match(root, shapes)) is not None:
                _replace(found)
                modified = True
        return ir.passes.PassResult(model, modified)


def _match(root: ir.Node, shapes: Shapes) -> Normalized | None:
    """The normalization of which a reciprocal is the part `1 / sqrt(variance + epsilon)`."""
    under = mean_under_root(root)
    if under is None:
        return None
    variance, epsilon = under
    difference = squared(variance.inputs[0])
    if difference is None or (subtraction := maker(difference, "Sub")) is None:
        return None
    x, mean = subtraction.inputs
    mean_node = maker(mean, "ReduceMean")
    if x is None or mean is None or mean_node is None or mean_node.inputs[0] is not x:
        return None
    size = _last_axis(mean_node, shapes)
    if size is None or _last_axis(variance, shapes) != size:
        return None
    found = Normalized(x, root.outputs[0], shapes[x].rank(), size, epsilon)
    return _from_difference(root, difference, found) or _from_factor(root, mean, found)


def _last_axis(node: ir.Node, shapes: Shapes) -> int | None:
    """The size of the last axis, if a reduction goes over it alone and keeps it."""
    shape = shapes.get(node.inputs[0]) if node.inputs[0] is not None else None
    if shape is None or shape.rank() == 0 or not node.attributes.get_int("keepdims", 1):
        return None
    axes = node.attributes.get_ints("axes") if "axes" in node.attributes else None
    if axes is None and len(node.inputs) > 1:
        axes = integers(node.inputs[1])
    size = shape[-1]
    is_last = axes is not None and [axis % shape.rank() for axis in axes] == [shape.rank() - 1]
    return size if is_last and isinstance(size, int) and size > 0 else None


def _from_difference(root: ir.Node, difference: ir.Value, found: Normalized) -> Normalized | None:
    """`(x - mean) * root * scale + bias`."""
    for product in readers(root.outputs[0], "Mul"):
        if other_operand(product, root.outputs[0]) is difference:
            return _with_scale_and_bias(replace(found, result=product.outputs[0]))
    return None


def _with_scale_and_bias(found: Normalized) -> Normalized:
    for product, scale in _with_constants(found, "Mul"):
        found = replace(found, result=product, scale=scale)
    for total, bias in _with_constants(found, "Add"):
        found = replace(found, result=total, bias=bias)
    return found


def _with_constants(found: Normalized, op_type: str) -> Iterator[tuple[ir.Value, ir.Value]]:
    """If all that reads the result is one node with a constant along the last axis: its result, and the constant."""
    value = found.result
    nodes = list(readers(value, op_type))
    if len(nodes) == len(value.uses()) == 1 and not value.is_graph_output():
        constant = other_operand(nodes[0], value)
        if constant is not None and _is_row(constant, found):
            yield nodes[0].outputs[0], constant


def _is_row(value: ir.Value | None, found: Normalized) -> bool:
    """Whether it is a constant of float32 that differs along the last axis alone, and adds no axes."""
    tensor = ir.convenience.get_const_tensor(value) if value is not None and not value.is_graph_input() else None
    if tensor is None or tensor.dtype != ir.DataType.FLOAT:
        return False
    shape = tensor.shape.numpy()
    return 0 < len(shape) <= found.rank and shape[-1] == found.size == tensor.size


def _from_factor(root: ir.Node, mean: ir.Value, found: Normalized) -> Normalized | None:
    """`x * g + (bias - mean * g)`, where `g` is the root by the scale, or the root itself."""
    factors: list[tuple[ir.Value, ir.Value | None]] = [(root.outputs[0], None)]
    for product in readers(root.outputs[0], "Mul"):
        scale = other_operand(product, root.outputs[0])
        if _is_row(scale, found):
            factors.append((product.outputs[0], scale))
    for factor, scale in factors:
        for product in readers(factor, "Mul"):
            if other_operand(product, factor) is not found.x:
                continue
            for total in readers(product.outputs[0], "Add"):
                rest = other_operand(total, product.outputs[0])
                is_shift, bias = _shift(rest, mean, factor, found)
                if is_shift:
                    return replace(found, result=total.outputs[0], scale=scale, bias=bias)
    return None


def _shift(rest: ir.Value | None, mean: ir.Value, factor: ir.Value, found: Normalized) -> tuple[bool, ir.Value | None]:
    """Whether a value is `bias - mean * factor`, with the bias, or `-mean * factor`."""
    if _is_product(rest, mean, factor, negative=True):
        return True, None
    if (total := maker(rest, "Add")) is not None:
        for one, bias in (total.inputs, tuple(reversed(total.inputs))):
            if _is_row(bias, found) and _is_product(one, mean, factor, negative=True):
                return True, bias
    if (rest_node := maker(rest, "Sub")) is not None:
        bias, product = rest_node.inputs
        if _is_row(bias, found) and _is_product(product, mean, factor, negative=False):
            return True, bias
    return False, None


def _is_product(value: ir.Value | None, mean: ir.Value | None, factor: ir.Value, *, negative: bool) -> bool:
    """Whether a value is `mean * factor`, or the negative of it."""
    if negative and (opposite := maker(value, "Neg")) is not None:
        return _is_product(opposite.inputs[0], mean, factor, negative=False)
    product = maker(value, "Mul")
    if product is None or factor not in product.inputs:
        return False
    rest = other_operand(product, factor)
    opposite = maker(rest, "Neg")
    return (opposite is not None and opposite.inputs[0] is mean) if negative else rest is mean


def _replace(found: Normalized) -> None:
    last = found.result.producer()
    assert last is not None and last.graph is not None
    scale = _row(last, found.scale, found, np.ones(found.size, np.float32), "scale")
    inputs = [found.x, scale]
    if found.bias is not None:
        inputs.append(_row(last, found.bias, found, np.zeros(0), "bias"))
    node = ir.node("LayerNormalization", inputs, {"axis": -1, "epsilon": found.epsilon})
    put_in_place(last, [node])


def _row(before: ir.Node, value: ir.Value | None, found: Normalized, otherwise: np.ndarray, name: str) -> ir.Value:
    """A constant of rank 1."""
    if value is not None and value.shape is not None and value.shape.rank() == 1:
        return value
    tensor = ir.convenience.get_const_tensor(value) if value is not None else None
    array = otherwise if tensor is None else tensor.numpy().reshape(-1)
    return insert_constant(before, ir.tensor(array, name=f"{found.result.name}_{name}"))

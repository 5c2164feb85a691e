"""A pass: reshape by constants where a graph computes sizes that the operator finds by itself."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from transload.convert.passes.constants import insert_constant
from transload.convert.passes.matching import infer_shapes, is_standard
from transload.convert.passes.shape_values import Element, Shapes, elements_of, sizes_of


class ConstantShapesPass(ir.passes.InPlacePass):
    """Write the shape that `Reshape` takes as a constant.

    Exporters write `x.reshape(x.shape[0], x.shape[1], 8, 64)` as Shape, Gather and Concat, five to eight small nodes
    for each, and dense layers of Keras on three dimensions do the same. Besides the time that they take, they hide from
    ONNX Runtime's fusions what the tensors look like.

    1. An element that is a number stays; the size of the input along the same axis becomes 0, which says so.
    2. One element more may be anything if all others are positive numbers: it becomes -1, and follows from them.

    Left alone: with `allowzero`, and whatever would need two such elements.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        reshapes = [node for node in model.graph.all_nodes() if _is_computed(node)]
        if not reshapes:
            return ir.passes.PassResult(model, False)
        shapes = infer_shapes(model)
        modified = False
        for node in reshapes:
            constant = _constant_shape(node, shapes)
            if constant is not None:
                tensor = ir.tensor(constant, dtype=ir.DataType.INT64, name=f"{node.outputs[0].name}_shape")
                node.replace_input_with(1, insert_constant(node, tensor))
                modified = True
        return ir.passes.PassResult(model, modified)


def _is_computed(node: ir.Node) -> bool:
    """Whether it is a `Reshape` whose shape another node computes."""
    if not is_standard(node, "Reshape") or node.attributes.get_int("allowzero", 0) == 1:
        return False
    # An attribute before opset 5.
    shape = node.inputs[1] if len(node.inputs) > 1 else None
    return shape is not None and shape.producer() is not None and ir.convenience.get_const_tensor(shape) is None


def _constant_shape(node: ir.Node, shapes: Shapes) -> list[int] | None:
    given = sizes_of(node.inputs[0], shapes) if node.inputs[0] is not None else None
    wanted = elements_of(node.inputs[1], shapes)
    if wanted is None:
        return None
    constant = [_size(element, axis, given or []) for axis, element in enumerate(wanted)]
    known = [size for size in constant if size is not None]
    if len(known) == len(constant):
        return known
    if len(known) < len(constant) - 1 or not all(size > 0 for size in known):
        return None
    return [-1 if size is None else size for size in constant]


def _size(element: Element, axis: int, given: Sequence[Element]) -> int | None:
    """The number that stands for an element; None where there is none."""
    if isinstance(element, int):
        return element
    if element is not None and axis < len(given) and element == given[axis]:
        return 0
    return None

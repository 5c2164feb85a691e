"""A pass: write root mean square normalizations in the form that ONNX Runtime has a kernel for."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from transload.convert.passes.constants import insert_constant, put_in_place
from transload.convert.passes.matching import is_constant, maker, mean_under_root, other_operand, readers, squared


class DivideByRootPass(ir.passes.InPlacePass):
    """Write `x * (1 / sqrt(mean(x * x) + epsilon))` as `x / sqrt(mean(x ** 2) + epsilon)`.

    That is how the models of the Llama and T5 families normalize, where `torch.rsqrt` becomes a reciprocal. ONNX
    Runtime's optimiser makes one operator of the second form, its scale included, and does not know the first.

    1. The product becomes a quotient, the square a power, if the mean is over the square of the same `x`, in float32.
    2. `x * (1 / sqrt(…) * scale)`, as Keras writes it, becomes that quotient by the scale.

    Left alone: other element types, and products of the reciprocal with anything else.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        modified = False
        for root in list(model.graph.all_nodes()):
            mean, _ = mean_under_root(root) or (None, 0)
            x = squared(mean.inputs[0]) if mean is not None else None
            if mean is None or x is None:
                continue
            for product, scale in _products(root.outputs[0], x):
                if product.graph is mean.graph:
                    _divide(product, x, root.inputs[0], scale)
                    _raise_to_two(mean, x)
                    modified = True
        return ir.passes.PassResult(model, modified)


def _products(root: ir.Value, x: ir.Value) -> list[tuple[ir.Node, ir.Value | None]]:
    """The nodes that give `x * root`, and those that give `x * (root * scale)`, with the scale."""
    found: list[tuple[ir.Node, ir.Value | None]] = []
    for product in readers(root, "Mul"):
        factor = other_operand(product, root)
        if factor is x:
            found.append((product, None))
        elif is_constant(factor):
            scaled = product.outputs[0]
            found += [(last, factor) for last in readers(scaled, "Mul") if other_operand(last, scaled) is x]
    return found


def _divide(product: ir.Node, x: ir.Value, square_root: ir.Value | None, scale: ir.Value | None) -> None:
    nodes = [ir.node("Div", [x, square_root])]
    if scale is not None:
        nodes.append(ir.node("Mul", [nodes[0].outputs[0], scale]))
    put_in_place(product, nodes)


def _raise_to_two(mean: ir.Node, x: ir.Value) -> None:
    if maker(mean.inputs[0], "Pow") is not None:
        return
    assert mean.graph is not None
    two = insert_constant(mean, ir.tensor(np.float32(2), name=f"{mean.outputs[0].name}_two"))
    power = ir.node("Pow", [x, two])
    mean.graph.insert_before(mean, power)
    mean.replace_input_with(0, power.outputs[0])

"""A pass: write root mean square normalizations in the form that ONNX Runtime has a kernel for."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from transload.convert.passes.constants import insert_constant
from transload.convert.passes.matching import maker, mean_under_root, other_operand, readers, squared


class DivideByRootPass(ir.passes.InPlacePass):
    """Write `x * (1 / sqrt(mean(x * x) + epsilon))` as `x / sqrt(mean(x ** 2) + epsilon)`.

    That is how the models of the Llama and T5 families normalize, where `torch.rsqrt` becomes a reciprocal. ONNX
    Runtime's optimiser makes one operator of the second form, its scale included, and does not know the first.

    1. The product becomes a quotient, the square a power, if the mean is over the square of the same `x`, in float32.

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
            for product in list(readers(root.outputs[0], "Mul")):
                if other_operand(product, root.outputs[0]) is x and product.graph is mean.graph:
                    _divide(product, x, root.inputs[0])
                    _raise_to_two(mean, x)
                    modified = True
        return ir.passes.PassResult(model, modified)


def _divide(product: ir.Node, x: ir.Value, square_root: ir.Value | None) -> None:
    assert product.graph is not None
    quotient = ir.node("Div", [x, square_root])
    quotient.metadata_props.update(product.metadata_props)
    (result,) = product.outputs
    quotient.outputs[0].type, quotient.outputs[0].shape = result.type, result.shape
    ir.convenience.replace_nodes_and_values(product.graph, product, [product], [quotient], [result], quotient.outputs)


def _raise_to_two(mean: ir.Node, x: ir.Value) -> None:
    if maker(mean.inputs[0], "Pow") is not None:
        return
    assert mean.graph is not None
    two = insert_constant(mean, ir.tensor(np.float32(2), name=f"{mean.outputs[0].name}_two"))
    power = ir.node("Pow", [x, two])
    mean.graph.insert_before(mean, power)
    mean.replace_input_with(0, power.outputs[0])

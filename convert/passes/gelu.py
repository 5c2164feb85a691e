"""A pass: write GELU in the form that ONNX Runtime has a kernel for."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from transload.convert.passes.constants import insert_constant, put_in_place
from transload.convert.passes.matching import is_standard, maker, number, other_operand, readers

ERF_SCALE = math.sqrt(0.5)
RELATIVE = 1e-6
"""What float32 leaves of a constant."""


class GeluPass(ir.passes.InPlacePass):
    """Write `x * 0.5 * (1 + erf(x / sqrt(2)))` so that ONNX Runtime makes one operator of it.

    Its optimiser knows the form in which `x` is divided by the root. TensorFlow takes the complement,
    `1 - erf(-x * sqrt(1/2))`, and others multiply by the root's inverse.

    1. GELU in any of these forms becomes `Gelu` from opset 20 on, and below that the form with the division.

    Left alone: the form with the division below opset 20, and element types other than float32.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        opset = model.graph.opset_imports.get("", 0)
        modified = False
        for erf in [node for node in model.graph.all_nodes() if is_standard(node, "Erf")]:
            x, is_negative, is_division = _argument(erf.inputs[0])
            if x is None or (is_division and opset < 20):
                continue
            for last in _products(erf.outputs[0], x, is_negative):
                _replace(last, x, opset)
                modified = True
        return ir.passes.PassResult(model, modified)


def _argument(value: ir.Value | None) -> tuple[ir.Value | None, bool, bool]:
    """The `x` of which a value is `x / sqrt(2)`, whether its opposite is, and whether it is divided."""
    if (division := maker(value, "Div")) is not None:
        return (division.inputs[0] if _is_near(division.inputs[1], 1 / ERF_SCALE) else None), False, True
    product = maker(value, "Mul")
    for one, factor in (product.inputs, tuple(reversed(product.inputs))) if product is not None else ():
        if _is_near(factor, ERF_SCALE):
            opposite = maker(one, "Neg")
            return (one, False, False) if opposite is None else (opposite.inputs[0], True, False)
        if _is_near(factor, -ERF_SCALE):
            return one, True, False
    return None, False, False


def _products(erf: ir.Value, x: ir.Value, is_negative: bool) -> Iterator[ir.Node]:
    """The nodes that give `0.5 * x * (1 + erf)`, or `0.5 * x * (1 - erf)` of the opposite's."""
    for total in list(readers(erf, "Sub" if is_negative else "Add")):
        one = total.inputs[0] if is_negative else other_operand(total, erf)
        if one is erf or number(one) != 1:
            continue
        for product in list(readers(total.outputs[0], "Mul")):
            rest = other_operand(product, total.outputs[0])
            half = maker(rest, "Mul")
            if half is not None and x in half.inputs and number(other_operand(half, x)) == 0.5:
                yield product
            for last in list(readers(product.outputs[0], "Mul")):
                factors = (rest, other_operand(last, product.outputs[0]))
                if any(one is x and number(other) == 0.5 for one, other in (factors, factors[::-1])):
                    yield last


def _is_near(value: ir.Value | None, wanted: float) -> bool:
    found = number(value)
    return found is not None and math.isclose(found, wanted, rel_tol=RELATIVE)


def _replace(last: ir.Node, x: ir.Value, opset: int) -> None:
    if opset >= 20:
        nodes = [ir.node("Gelu", [x])]
    else:
        root, one, half = (
            insert_constant(last, ir.tensor(np.float32(value), name=f"{last.outputs[0].name}_{name}"))
            for name, value in (("root", math.sqrt(2)), ("one", 1), ("half", 0.5))
        )
        division = ir.node("Div", [x, root])
        erf = ir.node("Erf", division.outputs)
        total = ir.node("Add", [*erf.outputs, one])
        product = ir.node("Mul", [x, *total.outputs])
        nodes = [division, erf, total, product, ir.node("Mul", [*product.outputs, half])]
    put_in_place(last, nodes)

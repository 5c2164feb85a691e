"""A pass: count the axes of reductions from the front, since ONNX Runtime miscounts negative ones of empty tensors."""

from __future__ import annotations

import onnx_ir as ir

from transload.convert.passes.constants import insert_axes

REDUCTIONS = frozenset(
    {
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
    }
)
EXTREMES = frozenset({"ArgMax", "ArgMin"})


class CountAxesFromFrontPass(ir.passes.InPlacePass):
    """Write the axes of reductions as numbers that are not negative.

    Where a tensor has no elements, ONNX Runtime (1.31.1, at every opset) leaves an axis with a negative number as it
    was: ReduceSum of shape [0, 3] over axis -1 gives [0, 3] instead of [0]. Over axis 1 it is right. Empty tensors come
    from masks and from detectors that find nothing.

    1. The `axes` attribute of a reduction, and `axis` of ArgMax and ArgMin.
    2. The `axes` input of a reduction, where it is a constant.

    Left alone: tensors whose rank is not known or 0, and axes that are computed.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        modified = False
        for node in model.graph.all_nodes():
            if node.domain not in ("", "ai.onnx") or node.op_type not in REDUCTIONS | EXTREMES:
                continue
            value = node.inputs[0]
            if value is not None and value.shape is not None and value.shape.rank() > 0:
                modified |= _count_from_front(node, value.shape.rank())
        return ir.passes.PassResult(model, modified)


def _count_from_front(node: ir.Node, rank: int) -> bool:
    name = "axis" if node.op_type in EXTREMES else "axes"
    if (attribute := node.attributes.get(name)) is not None:
        if name == "axis" and attribute.as_int() < 0:
            node.attributes[name] = ir.AttrInt64(name, attribute.as_int() + rank)
            return True
        if name == "axes" and min(attribute.as_ints(), default=0) < 0:
            node.attributes[name] = ir.AttrInt64s(name, [axis % rank for axis in attribute.as_ints()])
            return True
        return False
    if len(node.inputs) < 2 or node.inputs[1] is None or node.graph is None:
        return False
    constant = ir.convenience.get_const_tensor(node.inputs[1])
    if constant is None or not (constant.numpy() < 0).any():
        return False
    insert_axes(node, 1, [int(axis) % rank for axis in constant.numpy()])
    return True

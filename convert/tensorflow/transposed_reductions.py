"""A pass: reductions over a transposed tensor read the tensor itself, so that no transpose is left before them."""

from __future__ import annotations

import onnx_ir as ir

REDUCTIONS = frozenset(
    {
        *("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceL1", "ReduceL2"),
        *("ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"),
    }
)


class ReduceBeforeTransposePass(ir.passes.InPlacePass):
    """Global pooling of an NHWC model, which tf2onnx leaves behind a transpose of the whole tensor.

    1. `Reduce(Transpose(x, perm), axes)` becomes `Reduce(x, perm[axes])` where `keepdims` is 0 and the axes that are
       left keep their order.

    Left alone: axes that are no constants, or none (which reduces all), and `keepdims`, for which tf2onnx has a rule.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        changed = False
        for node in list(model.graph.all_nodes()):
            if node.op_type in REDUCTIONS and not node.domain:
                changed |= _read_untransposed(node)
        return ir.passes.PassResult(model, changed)


def _read_untransposed(node: ir.Node) -> bool:
    value = node.inputs[0]
    producer = value.producer() if value is not None else None
    if value is None or producer is None or producer.op_type != "Transpose" or "perm" not in producer.attributes:
        return False
    keep = node.attributes.get("keepdims")
    axes = _constant_axes(node)
    if axes is None or keep is None or keep.as_int():
        return False
    perm = producer.attributes["perm"].as_ints()
    reduced = {axis % len(perm) for axis in axes}
    left = [perm[axis] for axis in range(len(perm)) if axis not in reduced]
    if left != sorted(left):
        return False
    _write_axes(node, sorted(perm[axis] for axis in reduced))
    node.replace_input_with(0, producer.inputs[0])
    if not value.uses() and not value.is_graph_output() and producer.graph is not None:
        producer.graph.remove(producer, safe=True)
    return True


def _constant_axes(node: ir.Node) -> list[int] | None:
    """The axes, an attribute up to opset 17 and an input since."""
    if "axes" in node.attributes:
        return list(node.attributes["axes"].as_ints())
    value = node.inputs[1] if len(node.inputs) > 1 else None
    constant = ir.convenience.get_const_tensor(value) if value is not None else None
    return [int(axis) for axis in constant.numpy()] if constant is not None and constant.size else None


def _write_axes(node: ir.Node, axes: list[int]) -> None:
    if "axes" in node.attributes:
        node.attributes["axes"] = ir.AttrInt64s("axes", axes)
        return
    assert node.graph is not None
    constant = ir.node("Constant", [], {"value": ir.tensor(axes, dtype=ir.DataType.INT64)})
    constant.outputs[0].name = f"{node.outputs[0].name}_axes"
    node.graph.insert_before(node, constant)
    node.replace_input_with(1, constant.outputs[0])

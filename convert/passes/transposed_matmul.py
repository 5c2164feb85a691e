"""A pass: keep ONNX Runtime from crashing over a converted transpose before a matrix product."""

from __future__ import annotations

import onnx_ir as ir

from transload.convert.passes.constants import insert_axes


class GuardTransposedMatMulPass(ir.passes.InPlacePass):
    """Give the right side of a matrix product as many axes as the left where ONNX Runtime's fusion crashes over two.

    MatmulTransposeFusion (ONNX Runtime 1.31.1, graph optimization level all) takes down the process while a session is
    created for Transpose → Cast → MatMul, where the transpose moves the first axis to the last but one and the right
    side has rank 2. In float16 no Cast need be written: ONNX Runtime puts one there itself. It is what a float16 LSTM
    with `batch_first` and a linear layer behind it comes to. With a right side of the left's rank the fusion is right.

    1. The right side of such a MatMul goes through an Unsqueeze of its first axes; the product is the same.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        modified = False
        for node in list(model.graph.all_nodes()):
            if node.op_type == "MatMul" and node.domain in ("", "ai.onnx") and (rank := _rank_of_hit(node)):
                _widen_right(node, rank)
                modified = True
        return ir.passes.PassResult(model, modified)


def _rank_of_hit(node: ir.Node) -> int:
    """The rank of the left side where the fusion would crash, else 0."""
    left, right = node.inputs
    if left is None or right is None or right.shape is None or right.shape.rank() != 2:
        return 0
    before = left.producer()
    converted = right.dtype != ir.DataType.FLOAT
    if before is not None and before.op_type == "Cast" and before.inputs[0] is not None:
        converted, before = True, before.inputs[0].producer()
    if not converted or before is None or before.op_type != "Transpose":
        return 0
    perm = before.attributes.get("perm")
    if perm is None:
        return 0
    order = list(perm.as_ints())
    rank = len(order)
    return rank if rank >= 3 and order == [*range(1, rank - 1), 0, rank - 1] else 0


def _widen_right(node: ir.Node, rank: int) -> None:
    right = node.inputs[1]
    assert node.graph is not None and right is not None and right.shape is not None
    unsqueeze = ir.node("Unsqueeze", [right, None], name=f"{node.name}_right")
    result = unsqueeze.outputs[0]
    result.name, result.type = f"{node.outputs[0].name}_right", right.type
    result.shape = ir.Shape([1] * (rank - 2) + list(right.shape))
    node.graph.insert_before(node, unsqueeze)
    insert_axes(unsqueeze, 1, list(range(rank - 2)))
    node.replace_input_with(1, result)

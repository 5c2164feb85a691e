"""A pass: loops say that their number and their condition are scalars."""

from __future__ import annotations

import onnx_ir as ir


class ScalarLoopNumbersPass(ir.passes.InPlacePass):
    """Write down the shape of the first two inputs of a loop's body, which ONNX lays down.

    tf2onnx takes the number of the iteration for what TensorFlow counts by, and loses its shape where TensorFlow's
    optimiser merged the body with functions that it calls. ONNX Runtime refuses a loop without it.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Write the shapes in place."""
        modified = False
        for node in model.graph.all_nodes():
            if node.op_type == "Loop" and not node.domain:
                for value in node.attributes["body"].as_graph().inputs[:2]:
                    modified |= value.shape is None
                    value.shape = ir.Shape([]) if value.shape is None else value.shape
        return ir.passes.PassResult(model, modified)

"""A pass: shape the graph so that ONNX Runtime cannot fuse a residual sum with the layer normalization behind it."""

from __future__ import annotations

import onnx_ir as ir


class KeepResidualApartPass(ir.passes.InPlacePass):
    """Write the sum before a layer normalization so that it is not fused.

    ONNX Runtime's optimiser SkipLayerNormFusion joins `Add` and `LayerNormalization` into one kernel, which on the CPU
    is slower than the two: BERT-base as a whole takes 1.08 times as long on one thread with 1.31.1, the kernel itself
    five times as long as both nodes (docs/benchmarks.md). `Sum` of two tensors computes the same, as fast as `Add`, and
    the optimiser does not look for it.

    1. An `Add` of two values that are not initializers, read by the first input of a `LayerNormalization`, becomes a
       `Sum`.

    Left alone: an Add with an initializer, which is a bias that other fusions take.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        modified = False
        for node in model.graph.all_nodes():
            if node.op_type != "LayerNormalization" or node.domain not in ("", "ai.onnx") or node.inputs[0] is None:
                continue
            add = node.inputs[0].producer()
            if add is None or add.op_type != "Add" or add.domain not in ("", "ai.onnx"):
                continue
            if not any(value is None or value.is_initializer() for value in add.inputs):
                add.op_type = "Sum"
                modified = True
        return ir.passes.PassResult(model, modified)

"""A pass: shape the graph so that ONNX Runtime cannot fuse a residual sum with the layer normalization behind it."""

from __future__ import annotations

from collections.abc import Iterator

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
        for add in find_residuals(model, "Add"):
            if not any(value is None or value.is_initializer() for value in add.inputs):
                add.op_type = "Sum"
                modified = True
        return ir.passes.PassResult(model, modified)


def find_residuals(model: ir.Model, op_type: str) -> Iterator[ir.Node]:
    """The nodes of an operator whose result is what a layer normalization normalizes."""
    for node in model.graph.all_nodes():
        if node.op_type == "LayerNormalization" and node.domain in ("", "ai.onnx") and node.inputs[0] is not None:
            maker = node.inputs[0].producer()
            if maker is not None and maker.op_type == op_type and maker.domain in ("", "ai.onnx"):
                yield maker

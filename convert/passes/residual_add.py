"""A pass for tuning: let ONNX Runtime fuse a residual sum with the layer normalization behind it."""

from __future__ import annotations

import onnx_ir as ir

from transload.convert.passes.skip_normalization import find_residuals


class JoinResidualPass(ir.passes.InPlacePass):
    """Write the sum before a layer normalization so that it may be fused.

    The reverse of `KeepResidualApartPass`: the fused kernel was slower on the processor on which that was measured, but
    which is faster is for the host to say, and `transload tune` asks it.

    1. A `Sum` of two values, read by the first input of a `LayerNormalization`, becomes an `Add`.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        modified = False
        for total in find_residuals(model, "Sum"):
            if len(total.inputs) == 2:
                total.op_type = "Add"
                modified = True
        return ir.passes.PassResult(model, modified)

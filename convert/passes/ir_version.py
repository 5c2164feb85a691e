"""A pass: write an IR version that the oldest supported ONNX Runtime takes."""

from __future__ import annotations

import onnx_ir as ir

from transload.serialize.errors import UnsupportedError, UnsupportedOperation

IR_VERSION = 10
"""What ONNX Runtime 1.20, the oldest supported, reads. 1.31.1 refuses 14, which onnx 1.23's helpers write."""

NEWER_DTYPES = frozenset(
    {
        ir.DataType.FLOAT4E2M1,
        ir.DataType.FLOAT8E8M0,
        ir.DataType.UINT2,
        ir.DataType.INT2,
        ir.DataType.FLOAT6E2M3,
        ir.DataType.FLOAT6E3M2,
    }
)
"""Element types that came with IR versions after 10 (onnx.proto, `enum Version`)."""


class SetIrVersionPass(ir.passes.InPlacePass):
    """Set the IR version to 10.

    1. Element types of later IR versions are refused.
    2. The version is set, upwards or downwards.
    3. Multi-device configurations (IR version 11) are hints without a meaning for the values; they are removed.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place.

        Raises:
            UnsupportedError: the model uses element types of a newer IR version.
        """
        refuse_newer_dtypes(model)
        modified = model.ir_version != IR_VERSION
        model.ir_version = IR_VERSION
        for configuration in list(model.device_configurations):
            model.remove_device_configuration(configuration, cascade=True)
            modified = True
        return ir.passes.PassResult(model, modified)


def refuse_newer_dtypes(model: ir.Model) -> None:
    """Refuse element types that IR version 10 lacks.

    Raises:
        UnsupportedError: with every value that has one.
    """
    found = []
    for graph in model.graphs():
        values = [*graph.inputs, *graph.initializers.values()]
        values += [output for node in graph for output in node.outputs]
        for value in values:
            if value.dtype in NEWER_DTYPES:
                found.append(UnsupportedOperation(f"element type {value.dtype}", f"value {value.name!r}"))
    if found:
        raise UnsupportedError(
            f"The model uses element types that IR version {IR_VERSION} does not have.", operations=tuple(found)
        )

"""torch's kernels for quantized layers, which some processors make add wrongly."""

from __future__ import annotations

import functools

import onnx_ir as ir
import torch

from transload.convert.torch.quiet import quiet

SATURATION = (
    "On this processor torch's kernels for quantized layers cut sums off at 16 bits, which the package does not: it "
    "adds exactly. Convert on a processor with VNNI."
)


def find_doubt(model: ir.Model) -> str:
    """Why the answers of a source that gave this graph may be wrong here; '' where nothing is known of such."""
    weights = (value.const_value for value in model.graph.initializers.values())
    if any(weight is not None and weight.dtype == ir.DataType.INT8 and len(weight.shape) > 1 for weight in weights):
        return "" if adds_exactly() else SATURATION
    return ""


@functools.cache
def adds_exactly() -> bool:
    """Whether torch's product of quantized matrices adds in 32 bits on this processor; it is asked to."""
    with quiet():
        x = torch.quantize_per_tensor(torch.full((1, 4), 255.0), 1.0, 0, torch.quint8)
        weight = torch.quantize_per_tensor(torch.full((1, 4), 127.0), 1.0, 0, torch.qint8)
        product = torch.ao.nn.quantized.functional.linear(x, weight, scale=4096.0, zero_point=0)
    return int(product.int_repr().item()) == round(4 * 255 * 127 / 4096)

"""torch's `map` as ONNX's Scan without a state: torch's exporter has no translation of it (torch 2.13.0)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir
import torch
from onnxscript import opset18 as op


def translate_map(body: ir.Function, xs: Sequence[ir.Value], others: Sequence[ir.Value]) -> Sequence[ir.Value]:
    """Apply a function to each element of tensors along their first axis, and stack what it gives.

    Args:
        body: Takes one element of each of `xs`, then `others`.
        xs: What is gone through, all of one size on the first axis.
        others: What every call sees.
    """
    elements = [
        ir.Value(name=f"{x.name}_of_{body.name}", type=x.type, shape=None if x.shape is None else ir.Shape(x.shape[1:]))
        for x in xs
    ]
    call = ir.Node(body.domain, body.name, [*elements, *others], num_outputs=len(body.outputs))
    for formal, output in zip(body.outputs, call.outputs, strict=True):
        output.name, output.type, output.shape = f"{formal.name}_of_{body.name}", formal.type, formal.shape
    graph = ir.Graph(elements, call.outputs, nodes=[call], name=body.name)
    # torch's exporter runs this with values of graphs where onnxscript's types speak of arrays.
    scan: Any = op.Scan
    # The node comes with one output, for as many as the operator's schema must have.
    node = scan(*xs, body=graph, num_scan_inputs=len(xs)).producer()
    node.resize_outputs(len(body.outputs))
    return tuple(node.outputs)


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {torch.ops.higher_order.map_impl: translate_map}
"""What torch's exporter is given beside its own translations."""

"""A pass: compute in float32 what ONNX Runtime's CPU provider has no bfloat16 kernel for."""

from __future__ import annotations

import onnx_ir as ir

FLOAT, BFLOAT16 = ir.DataType.FLOAT, ir.DataType.BFLOAT16

BFLOAT16_KERNELS = frozenset(
    {
        "Cast",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "Flatten",
        "Gather",
        "GatherElements",
        "GatherND",
        "Identity",
        "IsNaN",
        "Reshape",
        "Shape",
        "Sign",
        "Slice",
        "Split",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
"""What ONNX Runtime's CPU provider (1.31.1) has a bfloat16 kernel for: operators that move values, mostly."""


class WidenBfloat16Pass(ir.passes.InPlacePass):
    """Cast bfloat16 to float32 before an operator and back behind it.

    The results are rounded to bfloat16 after every operator, which is what PyTorch's CPU kernels do: they accumulate in
    float32 and round once.

    1. Every operator on bfloat16 but `BFLOAT16_KERNELS`: ONNX Runtime refuses it ("Could not find an implementation").

    Left alone: operators with blocks, whose bodies are rewritten instead, and values that are not tensors.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        modified = False
        wide: dict[tuple[ir.Graph, ir.Value], ir.Value] = {}
        for node in list(model.graph.all_nodes()):
            if _lacks_kernel(node):
                _widen(node, wide)
                modified = True
        return ir.passes.PassResult(model, modified)


def _lacks_kernel(node: ir.Node) -> bool:
    if node.domain not in ("", "ai.onnx") or node.op_type in BFLOAT16_KERNELS:
        return False
    if any(each.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for each in node.attributes.values()):
        return False
    return any(_is_bfloat16(value) for value in (*node.inputs, *node.outputs))


def _is_bfloat16(value: ir.Value | None) -> bool:
    return value is not None and isinstance(value.type, ir.TensorType) and value.dtype == BFLOAT16


def _widen(node: ir.Node, wide: dict[tuple[ir.Graph, ir.Value], ir.Value]) -> None:
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    for place, value in enumerate(node.inputs):
        if value is None or not _is_bfloat16(value):
            continue
        if (graph, value) not in wide:
            cast = _cast(value, FLOAT, f"{value.name}_float32_{len(wide)}")
            graph.insert_before(node, cast)
            wide[graph, value] = cast.outputs[0]
        node.replace_input_with(place, wide[graph, value])
    if (dtype := node.attributes.get("dtype")) is not None and dtype.as_int() == BFLOAT16:
        node.attributes["dtype"] = ir.AttrInt64("dtype", FLOAT)
    for output in node.outputs:
        if not _is_bfloat16(output):
            continue
        cast = _cast(output, BFLOAT16, output.name)
        ir.convenience.replace_all_uses_with(output, cast.outputs[0], replace_graph_outputs=True)
        # The replacement took the cast's own input with it.
        cast.replace_input_with(0, output)
        output.dtype = FLOAT
        output.name = f"{output.name}_unrounded"
        graph.insert_after(node, cast)


def _cast(value: ir.Value, to: ir.DataType, name: str | None) -> ir.Node:
    cast = ir.node("Cast", [value], {"to": to}, name=f"{name}_cast")
    result = cast.outputs[0]
    result.name, result.dtype, result.shape = name, to, value.shape
    return cast

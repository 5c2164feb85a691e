"""Weights that the graph only reads transposed are stored transposed."""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir
import torch


def store_transposed(graph: ir.Graph) -> None:
    """Replace `Transpose` of an initializer, where all its uses are the same Transpose, by an initializer.

    ONNX Runtime would transpose it at every start, into memory of its own. The values are transposed one by one when
    they are written. A weight that is tied to another one stays as it is, so that both are stored as one.
    """
    tied = Counter(_memory(value) for value in graph.initializers.values())
    for value in list(graph.initializers.values()):
        nodes = [node for node, _ in value.uses()]
        perms = {tuple(node.attributes["perm"].as_ints()) for node in nodes if node.op_type == "Transpose"}
        if value.is_graph_input() or len(perms) != 1 or any(node.op_type != "Transpose" for node in nodes):
            continue
        content = value.const_value
        assert isinstance(content, ir.tensor_adapters.TorchTensor)
        if tied[_memory(value)] > 1:
            continue
        [perm] = perms
        transposed = _transposed(content.raw, perm, value.name or "")
        replacement = ir.Value(
            name=f"{value.name}.transposed",
            type=value.type,
            shape=ir.Shape(transposed.shape),
            const_value=transposed,
        )
        graph.register_initializer(replacement)
        for node in nodes:
            node.outputs[0].replace_all_uses_with(replacement, replace_graph_outputs=True)
            assert node.graph is not None
            node.graph.remove(node, safe=True)
        del graph.initializers[value.name or ""]


def _memory(value: ir.Value) -> tuple[object, ...]:
    """What tied weights have in common."""
    content = value.const_value
    if not isinstance(content, ir.tensor_adapters.TorchTensor):
        return (id(value),)
    tensor = content.raw
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype


def _transposed(tensor: torch.Tensor, perm: tuple[int, ...], name: str) -> ir.LazyTensor:
    return ir.LazyTensor(
        lambda: ir.tensor_adapters.TorchTensor(tensor.permute(perm).contiguous(), name=name),
        dtype=ir.tensor_adapters.from_torch_dtype(tensor.dtype),
        shape=ir.Shape([tensor.shape[axis] for axis in perm]),
        name=name,
    )

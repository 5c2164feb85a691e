"""A pass for tuning: compute linear layers as convolutions, for which ONNX Runtime has faster kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from transload.convert.passes.constants import insert_axes

CHANNELS = 16
"""ONNX Runtime's layout NCHWc takes inputs whose channels are a multiple of this on every processor."""

POINTWISE = frozenset(
    {
        "Add",
        "Clip",
        "Div",
        "Elu",
        "Erf",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "LeakyRelu",
        "Mul",
        "Neg",
        "Relu",
        "Sigmoid",
        "Softplus",
        "Sub",
        "Tanh",
    }
)
"""Operators that treat each element alike, so that they may run while the channels are in front."""

NEW_AXES = {2: [0, 2], 3: [2], 4: []}
"""The axes of size 1 that make pixels of a tensor of each rank: [1, M, 1, K] of [M, K], [B, M, 1, K] of [B, M, K]."""


@dataclass(frozen=True)
class Linear:
    """`x @ weight + bias`: `nodes` compute it, the last of them gives the result; `transposed` weights are [N, K]."""

    nodes: tuple[ir.Node, ...]
    x: ir.Value
    weight: ir.Value
    bias: ir.Value | None
    transposed: bool


class LinearAsConvolutionPass(ir.passes.InPlacePass):
    """Write linear layers as convolutions with kernels of one pixel.

    ONNX Runtime's kernels for convolutions in its layout NCHWc are faster than those for matrix products: the layers of
    BERT-base and ViT-S take 0.87 to 0.91 times as long (1.31.1, one thread, AVX-512; docs/benchmarks.md). And their
    weights lie in the file as the kernels read them, whereas those of matrix products are packed for each session.

    1. `MatMul` by a constant matrix, and the `Add` of a constant vector behind it, or `Gemm` of both, becomes `Conv`
       between transposes that bring the channels to the front and back again.
       The reshapes around it that join the leading dimensions and part them again vanish.
    2. What treats each element alike behind it, GELU in whatever form or the product of two such layers, runs while the
       channels are in front, so that nothing is transposed between two layers.

    Left alone: GELU by tanh, whose fused operator knows no such layout; other element types than float32; inputs whose
    last dimension is not a multiple of 16, or whose rank is not 2, 3 or 4; `Gemm` with factors or a transposed input.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        modified = False
        for graph in model.graphs():
            # Values with their channels in front, by the value with its channels behind.
            images: dict[ir.Value, ir.Value] = {}
            for node in list(graph):
                if node.graph is None:
                    # The sum with the bias of a layer that was rewritten.
                    continue
                if (linear := _match(node)) is not None:
                    linear = _without_reshapes(linear)
                    assert linear.x.shape is not None
                    if linear.x not in images:
                        images[linear.x] = _channels_first(linear.x, node)
                    axes = NEW_AXES[linear.x.shape.rank()]
                    images |= _replace(linear.nodes, _convolve(linear, images[linear.x]), axes)
                    modified = True
                elif (new_axes := _pointwise_axes(node, images)) is not None:
                    inputs = [value if value is None else images.get(value, value) for value in node.inputs]
                    images |= _replace((node,), ir.node(node.op_type, inputs, node.attributes), new_axes)
        return ir.passes.PassResult(model, modified)


def _match(node: ir.Node) -> Linear | None:
    if node.domain not in ("", "ai.onnx") or node.op_type not in ("MatMul", "Gemm"):
        return None
    x, weight = node.inputs[:2]
    if x is None or weight is None or not _is_constant(weight) or weight.shape is None or weight.shape.rank() != 2:
        return None
    if x.dtype != ir.DataType.FLOAT or x.shape is None or x.shape.rank() not in NEW_AXES:
        return None
    transposed = node.attributes.get_int("transB", 0) == 1
    channels, features = reversed(list(weight.shape)) if transposed else list(weight.shape)
    if not isinstance(channels, int) or channels % CHANNELS or channels == 0 or features == 0:
        return None
    if node.op_type == "Gemm":
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        is_plain = not node.attributes.get_int("transA", 0) and all(
            node.attributes.get_float(name, 1.0) == 1 for name in ("alpha", "beta")
        )
        if not is_plain or (bias is not None and not _is_bias(bias, features)):
            return None
        return Linear((node,), x, weight, bias, transposed)
    (product,) = node.outputs
    readers = [use.node for use in product.uses()]
    if len(readers) == 1 and readers[0].op_type == "Add" and not product.is_graph_output():
        (total,) = readers
        bias = total.inputs[1] if total.inputs[0] is product else total.inputs[0]
        if total.graph is node.graph and bias is not None and _is_bias(bias, features):
            return Linear((node, total), x, weight, bias, transposed)
    return Linear((node,), x, weight, None, transposed)


def _without_reshapes(linear: Linear) -> Linear:
    """The layer on the tensor whose leading dimensions were joined before it, if they are parted again behind it."""
    before = linear.x.producer()
    (result,) = linear.nodes[-1].outputs
    readers = [use.node for use in result.uses()]
    if before is None or len(readers) != 1 or result.is_graph_output():
        return linear
    x, y = before.inputs[0], readers[0].outputs[0]
    if before.op_type != "Reshape" or readers[0].op_type != "Reshape" or readers[0].graph is not before.graph:
        return linear
    if x is None or x.shape is None or y.shape is None or x.shape.rank() not in NEW_AXES:
        return linear
    if linear.x.shape is None or result.shape is None:
        return linear
    is_same = _leading(x.shape) == _leading(y.shape) and None not in _leading(x.shape)
    if is_same and x.shape[-1] == linear.x.shape[-1] and y.shape[-1] == result.shape[-1]:
        return replace(linear, nodes=(*linear.nodes, readers[0]), x=x)
    return linear


def _leading(shape: ir.Shape) -> list[int | str | None]:
    return [dimension.value if isinstance(dimension, ir.SymbolicDim) else dimension for dimension in shape[:-1]]


def _is_constant(value: ir.Value) -> bool:
    return value.is_initializer() and value.const_value is not None and not value.is_graph_input()


def _is_bias(value: ir.Value, size: int | ir.SymbolicDim) -> bool:
    return _is_constant(value) and value.shape is not None and list(value.shape) == [size]


def _pointwise_axes(node: ir.Node, images: Mapping[ir.Value, ir.Value]) -> list[int] | None:
    """If all that a node reads has its channels in front or is a number, the axes that its result has more there."""
    if node.domain not in ("", "ai.onnx") or node.op_type not in POINTWISE:
        return None
    given = [value for value in node.inputs if value is not None]
    # GELU by tanh: ONNX Runtime makes one operator of its parts, which has no kernel in the layout.
    if any(use.node.op_type == "Pow" for value in given if value in images for use in value.uses()):
        return None
    ranks = {None if value.shape is None else value.shape.rank() for value in given if value in images}
    if len(ranks) != 1 or not all(value in images or _is_number(value) for value in given):
        return None
    rank = ranks.pop()
    return None if rank is None else NEW_AXES[rank]


def _is_number(value: ir.Value) -> bool:
    tensor = ir.convenience.get_const_tensor(value)
    return tensor is not None and tensor.size == 1 and len(tensor.shape) <= 1


def _channels_first(x: ir.Value, before: ir.Node) -> ir.Value:
    """`x` as pixels in one column, its channels in front; the nodes that compute it go before another."""
    assert x.shape is not None and before.graph is not None
    if axes := NEW_AXES[x.shape.rank()]:
        unsqueeze = ir.node("Unsqueeze", [x, None])
        before.graph.insert_before(before, unsqueeze)
        unsqueeze.outputs[0].name = f"{x.name}_pixels"
        insert_axes(unsqueeze, 1, axes)
        (x,) = unsqueeze.outputs
    transpose = ir.node("Transpose", [x], {"perm": (0, 3, 1, 2)})
    before.graph.insert_before(before, transpose)
    return transpose.outputs[0]


def _convolve(linear: Linear, image: ir.Value) -> ir.Node:
    """The convolution; its kernel is put before the layer's last node."""
    last, kernel = linear.nodes[-1], linear.weight
    assert last.graph is not None
    if not linear.transposed:
        turn = ir.node("Transpose", [kernel], {"perm": (1, 0)})
        last.graph.insert_before(last, turn)
        (kernel,) = turn.outputs
    widen = ir.node("Unsqueeze", [kernel, None])
    last.graph.insert_before(last, widen)
    widen.outputs[0].name = f"{last.outputs[0].name}_kernel"
    insert_axes(widen, 1, [2, 3])
    (kernel,) = widen.outputs
    inputs = [image, kernel] if linear.bias is None else [image, kernel, linear.bias]
    return ir.node("Conv", inputs, {"kernel_shape": (1, 1)})


def _replace(nodes: Sequence[ir.Node], image_node: ir.Node, axes: Sequence[int]) -> dict[ir.Value, ir.Value]:
    """Put a node whose channels are in front, and what brings them back, in the place of the nodes.

    Gives the new value with its channels behind, and that with them in front.
    """
    (old,) = nodes[-1].outputs
    graph = nodes[-1].graph
    assert graph is not None
    transpose = ir.node("Transpose", image_node.outputs, {"perm": (0, 2, 3, 1)})
    graph.insert_before(nodes[-1], [image_node, transpose])
    image_node.metadata_props.update(nodes[0].metadata_props)
    (new,) = transpose.outputs
    if axes:
        new.name = f"{old.name}_pixels"
        squeeze = ir.node("Squeeze", [new, None])
        graph.insert_before(nodes[-1], squeeze)
        insert_axes(squeeze, 1, axes)
        (new,) = squeeze.outputs
    ir.convenience.replace_nodes_and_values(graph, nodes[-1], nodes, [], [old], [new])
    return {new: image_node.outputs[0]}

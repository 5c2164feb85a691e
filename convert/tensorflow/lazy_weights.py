"""Weights that tf2onnx saw as inputs become lazy initializers of the ONNX graph, their transpositions folded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from transload.convert.capture import Array


@dataclass(frozen=True)
class Weight:
    """A tensor that is read only when its values are needed, and anew each time."""

    dtype: ir.DataType
    shape: tuple[int, ...]
    read: Callable[[], Array]

    @property
    def size_bytes(self) -> int:
        """What its values take."""
        return math.prod(self.shape) * int(self.dtype.itemsize)


def attach_weights(model: ir.Model, weights: Mapping[str, Weight]) -> None:
    """Turn the inputs that stand for weights into lazy initializers, with transpositions and reshapings of them folded.

    Changes the model in place.
    """
    inputs = list(model.graph.inputs)
    model.graph.inputs.clear()
    for value in inputs:
        weight = weights.get(value.name or "")
        if weight is None:
            model.graph.inputs.append(value)
            continue
        value.shape = ir.Shape(weight.shape)
        value.type = ir.TensorType(weight.dtype)
        value.const_value = _lazy_tensor(weight, value.name)
        model.graph.register_initializer(value)
    _fold(model.graph, dict(weights))


def _fold(graph: ir.Graph, weights: dict[str, Weight]) -> None:
    outputs = set(graph.outputs)
    for node in list(graph):
        source = node.inputs[0] if node.inputs else None
        weight = weights.get(source.name or "") if source is not None and source.is_initializer() else None
        change = _change_of(node) if weight is not None else None
        old = node.outputs[0]
        if weight is None or change is None or source is None or old in outputs:
            continue
        # The shape comes from a view without content: broadcasting one element costs nothing.
        shape = change(np.broadcast_to(np.empty((), np.uint8), weight.shape)).shape
        folded = Weight(weight.dtype, tuple(shape), _compose(weight.read, change))
        value = ir.Value(
            name=old.name,
            shape=ir.Shape(folded.shape),
            type=ir.TensorType(folded.dtype),
            const_value=_lazy_tensor(folded, old.name),
        )
        ir.convenience.replace_all_uses_with(old, value)
        graph.remove(node, safe=True)
        graph.register_initializer(value)
        weights[value.name or ""] = folded
        if not source.uses() and source not in outputs:
            del graph.initializers[source.name or ""]


def _change_of(node: ir.Node) -> Callable[[Array], Array] | None:
    """What a node does to its first input, where that is no more than a change of shape."""
    if node.op_type == "Identity":
        return lambda array: array
    if node.op_type == "Transpose" and "perm" in node.attributes:
        perm = tuple(node.attributes["perm"].as_ints())
        return lambda array: np.transpose(array, perm)
    if node.op_type == "Reshape" and node.inputs[1] is not None:
        sizes = ir.convenience.get_const_tensor(node.inputs[1])
        if sizes is not None and 0 not in sizes.numpy():
            shape = tuple(int(size) for size in sizes.numpy())
            return lambda array: array.reshape(shape)
    return None


def _compose(read: Callable[[], Array], change: Callable[[Array], Array]) -> Callable[[], Array]:
    return lambda: change(read())


def _lazy_tensor(weight: Weight, name: str | None) -> ir.LazyTensor:
    def evaluate() -> ir.TensorProtocol:
        return ir.Tensor(np.ascontiguousarray(weight.read()), dtype=weight.dtype)

    return ir.LazyTensor(evaluate, weight.dtype, ir.Shape(weight.shape), name=name)

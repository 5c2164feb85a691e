"""Large weights stay outside of TensorFlow's and tf2onnx's protobufs: placeholders on the way in, lazy tensors after.

A frozen GraphDef holds every weight, and both TensorFlow's freezing and tf2onnx's optimisers copy it many times over:
4.6 GB for ResNet50V2's 102 MB. It also ends at 2 GiB. So variables and constants of some size become placeholders of
their shape, tf2onnx converts a graph without them, and the ONNX graph gets them back as initializers that are read
when they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from transload.convert.capture import Array
from transload.convert.tensorflow.framework import dtype_name, tf
from transload.convert.tensorflow.graph_nodes import data_inputs, node_name, rewrite
from transload.convert.tensorflow.lazy_weights import Weight
from transload.serialize.dtypes import ONNX_NUMBER

WEIGHT_BYTES = 64 << 10
"""Smaller ones stay constants, so that TensorFlow folds what normalisation layers compute from them."""


@dataclass(frozen=True)
class CapturedWeight:
    """What a function captured: a variable, which its graph reads through a resource, or (`is_value`) a tensor."""

    weight: Weight
    is_value: bool


def weigh(
    dtype: Any, shape: tuple[int, ...], read: Callable[[], Array], *, is_value: bool = False
) -> CapturedWeight | None:
    """A captured variable or tensor of numbers; None where it is none, such as a string."""
    return CapturedWeight(Weight(_onnx_dtype(dtype), shape, read), is_value) if _is_numeric(dtype) else None


def find_captures(function: Any) -> dict[str, CapturedWeight] | None:
    """What a ConcreteFunction captured, by the name of its node; None where something is no plain weight."""
    variables = {id(variable.handle): variable for variable in function.graph.variables}
    found: dict[str, CapturedWeight] = {}
    for outer, inner in function.graph.captures:
        variable = variables.get(id(outer))
        captured = None
        if variable is not None and variable.shape.is_fully_defined():
            captured = weigh(variable.dtype, tuple(variable.shape), variable.numpy)
        elif variable is None and hasattr(outer, "numpy"):
            captured = weigh(outer.dtype, tuple(outer.shape), outer.numpy, is_value=True)
        if captured is None:
            return None
        found[node_name(inner.name)] = captured
    return found


def separate_captures(graph_def: Any, captures: Mapping[str, CapturedWeight]) -> dict[str, Weight] | None:
    """Replace what a function captured: large tensors by placeholders, others by constants.

    Args:
        graph_def: The function's graph with function calls inlined; changed in place.
        captures: What it captured, by the name of its node.

    Returns:
        The large weights by tensor name; None where the graph does more than read a variable: a loop or branch takes
        it, or it is assigned to. `graph_def` is then of no further use.
    """
    added = []
    for node in graph_def.node:
        taken = [name for name in map(node_name, data_inputs(node)) if name in captures]
        if not taken or captures[taken[0]].is_value:
            continue
        if node.op == "ReadVariableOp":
            rewrite(node, "Identity", {"T": node.attr["dtype"]})
        elif node.op == "ResourceGather":
            added.append(_gather_along_first_axis(node))
        else:
            return None
    weights: dict[str, Weight] = {}
    for node in graph_def.node:
        if node.name in captures:
            weight = captures[node.name].weight
            if weight.size_bytes >= WEIGHT_BYTES:
                _make_placeholder(node, weight)
                weights[f"{node.name}:0"] = weight
            else:
                _make_constant(node, weight.read())
    graph_def.node.extend(added)
    return weights


def separate_constants(graph_def: Any) -> dict[str, Weight]:
    """Replace the large constants of a GraphDef's main graph by placeholders; the weights by tensor name."""
    weights: dict[str, Weight] = {}
    for node in graph_def.node:
        dtype = tf.as_dtype(node.attr["dtype"].type) if node.op == "Const" else None
        if dtype is None or not _is_numeric(dtype):
            continue
        shape = tf.TensorShape(node.attr["value"].tensor.tensor_shape)
        if shape.num_elements() * dtype.size >= WEIGHT_BYTES:
            weight = _from_array(tf.make_ndarray(node.attr["value"].tensor))
            _make_placeholder(node, weight)
            weights[f"{node.name}:0"] = weight
    return weights


def _from_array(array: Array) -> Weight:
    return Weight(_onnx_dtype(tf.as_dtype(array.dtype)), array.shape, lambda: array)


def _onnx_dtype(dtype: Any) -> ir.DataType:
    return ir.DataType(ONNX_NUMBER[dtype_name(dtype)])


def _is_numeric(dtype: Any) -> bool:
    """Whether ONNX has this dtype, and its values have a size."""
    return dtype != tf.string and dtype_name(dtype) in ONNX_NUMBER


def _gather_along_first_axis(node: Any) -> Any:
    """Turn a ResourceGather into a GatherV2; the new node that holds its axis."""
    axis = type(node)(name=f"{node.name}/separated_axis")
    _make_constant(axis, np.array(0, np.int32))
    data = list(data_inputs(node))
    control = [name for name in node.input if name.startswith("^")]
    index_type = type(node.attr["dtype"])(type=tf.int32.as_datatype_enum)
    attributes = {"Tparams": node.attr["dtype"], "Tindices": node.attr["Tindices"], "Taxis": index_type}
    if "batch_dims" in node.attr:
        attributes["batch_dims"] = node.attr["batch_dims"]
    rewrite(node, "GatherV2", attributes, [*data, axis.name, *control])
    return axis


def _make_placeholder(node: Any, weight: Weight) -> None:
    rewrite(node, "Placeholder", {}, [])
    node.attr["dtype"].type = _tf_dtype(weight).as_datatype_enum
    node.attr["shape"].shape.CopyFrom(tf.TensorShape(weight.shape).as_proto())


def _make_constant(node: Any, array: Array) -> None:
    rewrite(node, "Const", {}, [])
    tensor = tf.make_tensor_proto(array)
    node.attr["dtype"].type = tensor.dtype
    node.attr["value"].tensor.CopyFrom(tensor)


def _tf_dtype(weight: Weight) -> Any:
    return tf.as_dtype(weight.dtype.numpy())

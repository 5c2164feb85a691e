"""Signatures straight from a SavedModel's files: TensorFlow makes objects neither of the graph nor of the weights.

Loading NASNetMobile takes TensorFlow 350 MB and a fifth of the whole conversion. What a conversion needs lies in the
files: the functions, which variables each of them captures, and where the checkpoint keeps these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from transload.convert.capture import Array
from transload.convert.tensorflow.framework import silence, tf
from transload.convert.tensorflow.graph_nodes import (
    CALLS,
    called_functions,
    data_inputs,
    node_name,
    reached_functions,
    rewrite,
)
from transload.convert.tensorflow.kept_state import changes_variable
from transload.convert.tensorflow.separated_weights import CapturedWeight, weigh
from transload.convert.tensorflow.twin_signatures import WRAPPING
from transload.serialize.errors import SourceError

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""Where a checkpoint keeps which of its tensors belongs to which object (tensorflow/python/trackable/base.py)."""

_VALUE = "VARIABLE_VALUE"
"""What TensorFlow calls the value of a plain variable in a checkpoint."""


@dataclass(frozen=True)
class StoredSignature:
    """A signature whose variables are plain weights, which it only reads.

    Args:
        graph_def: Its function as a graph.
        inputs: What it takes, by parameter name: a TensorSpec under the name of the graph's tensor.
        outputs: What it gives, likewise, by its own names.
        captures: The weights by the node that stands for each.
        bound: What each of them is in the SavedModel's graph of objects.
    """

    graph_def: Any
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    captures: Mapping[str, CapturedWeight]
    bound: Sequence[int]

    @property
    def size_bytes(self) -> int:
        """What its weights take."""
        return sum(each.weight.size_bytes for each in self.captures.values())


class StoredVariables:
    """The values of a SavedModel's variables, which stay in its checkpoint until they are read.

    Args:
        folder: The SavedModel.
        objects: Its SavedObjectGraph.
    """

    def __init__(self, folder: Path, objects: Any) -> None:
        self._folder = folder
        with silence():
            self._reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
        self._shapes = self._reader.get_variable_to_shape_map()
        self._dtypes = self._reader.get_variable_to_dtype_map()
        self._objects = objects
        # What TensorFlow 1 saved has no graph of objects.
        stored = self._reader.get_tensor(_OBJECT_GRAPH) if _OBJECT_GRAPH in self._shapes else None
        self._keys = {} if stored is None else _find_keys(objects, TrackableObjectGraph.FromString(stored))

    def capture(self, index: int) -> CapturedWeight | None:
        """The variable that is this node of the object graph; None where the checkpoint does not hold just that."""
        variable = self._objects.nodes[index].variable
        key = self._keys.get(index, "")
        if variable.experimental_distributed_variable_components or key not in self._shapes:
            return None
        shape, dtype = self._shapes[key], tf.as_dtype(variable.dtype)
        if tf.TensorShape(variable.shape).as_list() != shape or self._dtypes[key] != dtype:
            return None
        return weigh(dtype, tuple(shape), lambda: self._read(key))

    def _read(self, key: str) -> Array:
        try:
            array: Array = self._reader.get_tensor(key)
        except (RuntimeError, ValueError, tf.errors.OpError) as error:
            raise SourceError(f"TensorFlow cannot read the weights of {self._folder.name}: {error}") from error
        return array


def read_signature(meta_graph: Any, name: str, variables: StoredVariables) -> StoredSignature | None:
    """A signature of a SavedModel of TensorFlow 2; None where more than plain weights and values are behind it.

    Raises:
        LookupError, TypeError, ValueError: the file contradicts itself.
    """
    signature, objects = meta_graph.signature_def[name], meta_graph.object_graph_def
    infos = [*signature.inputs.values(), *signature.outputs.values()]
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    calls = {node_name(info.name) for info in signature.outputs.values()}
    call = nodes.get(next(iter(calls))) if len(calls) == 1 else None
    if call is None or call.op not in CALLS or any(info.WhichOneof("encoding") != "name" for info in infos):
        return None
    functions = {function.signature.name: function for function in meta_graph.graph_def.library.function}
    wrapper = functions[call.attr["f"].func.name]
    if wrapper.signature.name not in objects.concrete_functions:
        return None
    count = len(signature.inputs)
    arguments = [argument.name for argument in wrapper.signature.input_arg]
    bound = list(objects.concrete_functions[wrapper.signature.name].bound_inputs)
    given = list(data_inputs(call))
    calls_only = all(node.op in WRAPPING for node in wrapper.node_def)
    if not calls_only or len(arguments) != len(given) or len(given) != count + len(bound):
        return None
    called = reached_functions([name for node in wrapper.node_def for name in called_functions(node)], functions)
    if any(changes_variable(node.op) for function in called.values() for node in function.node_def):
        return None
    captures = {}
    # What a function captured comes after what its caller gives.
    for argument, index in zip(arguments[count:], bound, strict=True):
        captured = _capture(objects.nodes[index], index, nodes, variables)
        if captured is None:
            return None
        captures[argument] = captured
    tensors = dict(zip(given[:count], arguments[:count], strict=True))
    inputs = {name: _spec(info, f"{tensors[_short(info.name)]}:0") for name, info in signature.inputs.items()}
    results = [_graph_tensor(wrapper.ret[result.name]) for result in wrapper.signature.output_arg]
    outputs = {
        result: _spec(info, results[int(info.name.partition(":")[2])]) for result, info in signature.outputs.items()
    }
    graph_def = _as_graph(wrapper, {node_name(spec.name): spec.shape for spec in inputs.values()})
    graph_def.versions.CopyFrom(meta_graph.graph_def.versions)
    # In the order of their names, as a graph that TensorFlow loaded has them.
    graph_def.library.function.extend(called[name] for name in sorted(called))
    return StoredSignature(graph_def, inputs, outputs, captures, bound)


def _find_keys(objects: Any, stored: Any) -> dict[int, str]:
    """Where the checkpoint keeps the value of each variable: both graphs of objects have the same names on the way."""
    keys = {}
    seen = {0}
    waiting = [(0, 0)]
    while waiting:
        index, place = waiting.pop()
        attributes = stored.nodes[place].attributes
        if len(attributes) == 1 and attributes[0].name == _VALUE:
            keys[index] = attributes[0].checkpoint_key
        places = {child.local_name: child.node_id for child in stored.nodes[place].children}
        for child in objects.nodes[index].children:
            if child.local_name in places and child.node_id not in seen:
                seen.add(child.node_id)
                waiting.append((child.node_id, places[child.local_name]))
    return keys


def _capture(saved: Any, index: int, nodes: Mapping[str, Any], variables: StoredVariables) -> CapturedWeight | None:
    kind = saved.WhichOneof("kind")
    if kind == "variable":
        return variables.capture(index)
    if kind != "constant":
        return None
    value = nodes[saved.constant.operation].attr["value"].tensor
    array = tf.make_ndarray(value)
    return weigh(tf.as_dtype(value.dtype), array.shape, lambda: array, is_value=True)


def _as_graph(function: Any, shapes: Mapping[str, Any]) -> Any:
    """A FunctionDef as a GraphDef whose placeholders are its arguments; `shapes` are those that are known."""
    graph_def = tf.compat.v1.GraphDef()
    for argument in function.signature.input_arg:
        placeholder = graph_def.node.add(name=argument.name)
        rewrite(placeholder, "Placeholder", {})
        placeholder.attr["dtype"].type = argument.type
        shape = shapes.get(argument.name, tf.TensorShape(None))
        placeholder.attr["shape"].shape.CopyFrom(shape.as_proto())
    for node in function.node_def:
        copy = graph_def.node.add()
        copy.CopyFrom(node)
        copy.input[:] = [name if name.startswith("^") else _short(_graph_tensor(name)) for name in node.input]
    return graph_def


def _graph_tensor(name: str) -> str:
    """A tensor's name in a graph by that in a function (`node:output:0`, or an argument); of one list of outputs."""
    node, _, place = name.partition(":")
    return f"{node}:{place.rpartition(':')[2] or 0}"


def _short(tensor: str) -> str:
    """A tensor's name as nodes write their inputs."""
    return tensor.removesuffix(":0")


def _spec(info: Any, tensor: str) -> Any:
    return tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype), tensor)

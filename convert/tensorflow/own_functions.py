"""Give every call in a GraphDef a function of its own, whose inputs have the shapes of that call."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from tf2onnx import tf_loader

from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.function_graphs import read_function
from transload.convert.tensorflow.graph_nodes import BRANCHES, CASES, LOOPS

# TensorFlow numbers functions with a counter that runs on for the life of the process.
_COUNTER = re.compile(r"(?:_\d+)+$")


def own_functions(graph_def: Any) -> Any:
    """The GraphDef with a copy of a function for each operation that calls it, and the shapes written down.

    tf2onnx changes a function where it puts it in, so that a second call finds it spoilt. The shapes that it gives a
    function's inputs are those with which a loop begins, though they may grow, and for a branch those of the inputs one
    place before. `keep_shapes` makes it read what is written down here.
    """
    if not graph_def.library.function:
        return graph_def
    result = type(graph_def)()
    result.CopyFrom(graph_def)
    definitions = {function.signature.name: function for function in graph_def.library.function}
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        copies = _Copies(definitions, graph)
        copies.visit(result.node, graph)
    del result.library.function[:]
    del result.library.gradient[:]
    result.library.function.extend(copies.made)
    return result


class _Copies:
    def __init__(self, definitions: dict[str, Any], graph: Any) -> None:
        self.definitions, self.graph = definitions, graph
        self.made: list[Any] = []
        self._count = 0

    def visit(self, nodes: Any, graph: Any) -> None:
        """Copy the functions that nodes of a graph call, and what those call in turn; the nodes are changed."""
        for node in nodes:
            # A map of protobuf has another order in every object.
            for _, attribute in sorted(node.attr.items(), key=lambda item: item[0]):
                for function in (attribute.func, *attribute.list.func):
                    if function.name in self.definitions:
                        op = graph.get_operation_by_name(node.name)
                        function.name = self._copy(function.name, _input_shapes(op))

    def _copy(self, name: str, shapes: list[Any]) -> str:
        copy = type(self.definitions[name])()
        copy.CopyFrom(self.definitions[name])
        self._count += 1
        new_name = f"{_COUNTER.sub('', name)}_{self._count}"
        copy.signature.name = new_name
        _rename_arguments(copy, f"_{self._count}")
        del copy.attr["_input_shapes"].list.shape[:]
        copy.attr["_input_shapes"].list.shape.extend(shape.as_proto() for shape in shapes)
        with self.graph.as_default():
            inner = read_function(copy)
        self.visit(copy.node_def, inner)
        self.made.append(copy)
        return new_name


def _rename_arguments(function: Any, suffix: str) -> None:
    """Give a FunctionDef's arguments names that no function inside of it has.

    tf2onnx puts what a call gives in the place of an argument by its name, in loops inside of the function too.
    """
    names: dict[str, str] = {argument.name: argument.name + suffix for argument in function.signature.input_arg}
    for argument in function.signature.input_arg:
        argument.name = names[argument.name]

    def renamed(name: str) -> str:
        base, colon, place = name.removeprefix("^").partition(":")
        return name[: name.startswith("^")] + names.get(base, base) + colon + place

    for node in function.node_def:
        node.input[:] = [renamed(name) for name in node.input]
    for result in list(function.ret):
        function.ret[result] = renamed(function.ret[result])


def _input_shapes(op: Any) -> list[Any]:
    if op.type in LOOPS:
        return [tensor.shape for tensor in op.outputs]
    inputs = op.inputs[1:] if op.type in BRANCHES | CASES else op.inputs
    return [tensor.shape for tensor in inputs]


@contextlib.contextmanager
def keep_shapes() -> Iterator[None]:
    """tf2onnx reads functions with the shapes that are written down in them."""
    before = tf_loader.function_def_to_graph

    def read(definition: Any, input_shapes: Any = None) -> Any:
        return read_function(definition)

    tf_loader.function_def_to_graph = read
    try:
        yield
    finally:
        tf_loader.function_def_to_graph = before

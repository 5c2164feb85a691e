"""The functions of a GraphDef's library as graphs: the one place that needs TensorFlow's own reader of them."""

from __future__ import annotations

from typing import Any

from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

from transload.convert.tensorflow.framework import tf


def read_function(definition: Any) -> Any:
    """The graph of a FunctionDef, with the input shapes written down in it; what it calls is in the default graph.

    TensorFlow has no public reader of them.
    """
    return function_def_to_graph(definition)


class FunctionGraphs:
    """The library of one GraphDef.

    Args:
        graph: The graph into which the GraphDef was imported.
        graph_def: The GraphDef.
    """

    def __init__(self, graph: Any, graph_def: Any) -> None:
        self._graph = graph
        self._library = graph_def.library
        self._definitions = {function.signature.name: function for function in graph_def.library.function}
        self._graphs: dict[str, Any] = {}

    def graph(self, name: str) -> Any:
        """The function's graph, with `inputs` and `outputs`."""
        if name not in self._graphs:
            with self._graph.as_default():
                self._graphs[name] = read_function(self._definitions[name])
        return self._graphs[name]

    def called(self, op: Any) -> list[str]:
        """The names of the functions that an operation calls."""
        names = []
        for _, attribute in sorted(op.node_def.attr.items(), key=lambda item: item[0]):
            names += [function.name for function in (attribute.func, *attribute.list.func) if function.name]
        return [name for name in names if name in self._definitions]

    def copy_library(self) -> None:
        """Make the functions known in the graph that is the default now."""
        tf.import_graph_def(tf.compat.v1.GraphDef(library=self._library), name="")

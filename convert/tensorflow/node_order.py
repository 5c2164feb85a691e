"""tf2onnx orders and names nodes by what the graph holds alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from transload.convert.tensorflow.framework import silence

with silence():
    from tf2onnx import utils
    from tf2onnx.graph import Graph

FIRST_NAME = 1_000_000_000
"""The number after which names of nodes are numbered."""


@contextlib.contextmanager
def keep_order() -> Iterator[None]:
    """tf2onnx's graphs stay in their order where nodes that nobody needs are taken out.

    tf2onnx would leave them in the order of a set, which is that of addresses in memory, and its optimisers take the
    first node that they meet: of a chain of Identities another one stays each time.
    """
    before = Graph.extract_sub_graph_nodes

    def extract(graph: Any, *args: Any, **kwargs: Any) -> list[Any]:
        needed = set(before(graph, *args, **kwargs))
        # A rewriter may have left a node twice in the list.
        return [node for node in dict.fromkeys(graph.get_nodes()) if node in needed]

    Graph.extract_sub_graph_nodes = extract
    try:
        yield
    finally:
        Graph.extract_sub_graph_nodes = before


def restart_names() -> None:
    """Number names from the same number again: tf2onnx's counter runs on for the life of the process.

    It is one with so many digits that none is added: tf2onnx sorts names as texts.
    """
    utils.INTERNAL_NAME = FIRST_NAME

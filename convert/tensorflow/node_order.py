"""tf2onnx's optimisers see the nodes of a graph in an order that the graph alone gives."""

from __future__ import annotations

from typing import Any

from transload.convert.tensorflow.framework import silence

with silence():
    from tf2onnx import utils

FIRST_NAME = 1_000_000_000
"""The number after which names of nodes are numbered."""


class OrderOptimizer:
    """Put the nodes of a graph, and of the graphs in its nodes, in tf2onnx's own topological order.

    Each optimiser of tf2onnx ends by keeping a set of nodes, whose order is that of addresses in memory, and the next
    takes the first node that it meets: of a chain of Identities another one stays each time. Stands before each of
    them; it is not one of tf2onnx's own classes, since theirs end so too.
    """

    graph_been_opt = False
    """Whether the optimisers have to go on, which tf2onnx asks."""

    def optimize(self, graph: Any, iteration: int) -> Any:
        """The graph of tf2onnx, changed in place; `iteration` is tf2onnx's count of rounds."""
        _order(graph)
        return graph


def restart_names() -> None:
    """Number names from the same number again: tf2onnx's counter runs on for the life of the process.

    It is one with so many digits that none is added: tf2onnx sorts names as texts.
    """
    utils.INTERNAL_NAME = FIRST_NAME


def _order(graph: Any) -> None:
    for node in graph.get_nodes():
        for inner in (node.get_body_graphs() or {}).values():
            _order(inner)
    graph.topological_sort(graph.get_nodes())

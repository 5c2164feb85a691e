"""tf2onnx writes its nodes' protobufs once, at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from transload.convert.tensorflow.framework import silence

with silence():
    from tf2onnx.graph import Graph


@contextlib.contextmanager
def write_protobufs_late() -> Iterator[None]:
    """tf2onnx's optimisers change nodes without writing each one's protobuf anew.

    They would do so after every step, though nothing reads them until the model is made, which writes them in any case.
    What a protobuf held before stays in its arena: some 30 copies of every constant, 115 MB for NASNetMobile.
    """
    before = Graph.update_proto

    def leave(graph: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing is written."""

    Graph.update_proto = leave
    try:
        yield
    finally:
        Graph.update_proto = before

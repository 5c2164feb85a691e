"""tf2onnx writes no protobuf between its steps; that this is so hangs on how it calls itself."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import keras
import pytest
from tf2onnx.graph import Graph, Node

from transload.convert.options import ConvertOptions
from transload.convert.source import Source, SourceKind
from transload.convert.tensorflow import saved_model
from transload.convert.tensorflow.late_protobufs import write_protobufs_late


def test_no_node_is_written_between_optimisers(
    image_model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []
    write = Node.update_proto

    def record(node: Any, *args: Any, **kwargs: Any) -> None:
        written.append(node)
        write(node, *args, **kwargs)

    monkeypatch.setattr(Node, "update_proto", record)
    image_model.export(str(tmp_path / "m"), verbose=False)
    saved_model.capture(Source(SourceKind.SAVED_MODEL, tmp_path / "m"), ConvertOptions())
    # Once as tf2onnx ends its own rewriting, and once as the model is made; between them lie eleven optimisers.
    assert written
    assert max(Counter(map(id, written)).values()) <= 2


def test_tf2onnx_is_as_before_afterwards() -> None:
    before = Graph.update_proto
    with pytest.raises(KeyError), write_protobufs_late():
        raise KeyError
    assert Graph.update_proto is before

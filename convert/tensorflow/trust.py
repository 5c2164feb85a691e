"""Which operations of a TensorFlow graph could touch files or run Python when the model is loaded or called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from transload.serialize.errors import SourceError

DANGEROUS = frozenset(
    {
        "PyFunc",
        "PyFuncStateless",
        "EagerPyFunc",
        "ReadFile",
        "WriteFile",
        "MatchingFiles",
        "FixedLengthRecordReaderV2",
        "TextLineReaderV2",
        "TFRecordReaderV2",
        "WholeFileReaderV2",
        "DebugIdentityV2",
        "DumpIdentity",
        "PrintV2",
        "CreateSummaryFileWriter",
        "ImmutableConst",
        "RawIterator",
        "RpcCall",
    }
)
"""Operations that reach out of the graph. Those that load table files from the folder's assets are not among them."""

CHECKPOINT = frozenset({"SaveV2", "RestoreV2", "Save", "Restore", "SaveSlices", "RestoreSlice", "MergeV2Checkpoints"})
"""Operations that read and write checkpoints: part of every SavedModel's loading, and dangerous anywhere else."""

_CHECKPOINT_PREFIXES = ("__inference__traced_save", "__inference__traced_restore")
_CHECKPOINT_SCOPE = "save"


def check_trust(saved_model: Any, path: Path) -> None:
    """Refuse a SavedModel with operations that could touch files or run Python.

    Raises:
        SourceError: it names every such node.
    """
    found = [place for meta_graph in saved_model.meta_graphs for place in _dangerous_nodes(meta_graph.graph_def)]
    _refuse(found, path)


def check_graph_trust(graph_def: Any, path: Path) -> None:
    """Refuse a GraphDef likewise.

    Raises:
        SourceError: it names every such node.
    """
    _refuse(list(_dangerous_nodes(graph_def)), path)


def _dangerous_nodes(graph_def: Any) -> Iterator[str]:
    yield from _in_nodes(
        graph_def.node, "", in_checkpoint=lambda name: name.split("/")[0].startswith(_CHECKPOINT_SCOPE)
    )
    for function in graph_def.library.function:
        is_checkpoint = function.signature.name.startswith(_CHECKPOINT_PREFIXES)
        where = f" in function {function.signature.name!r}"
        yield from _in_nodes(function.node_def, where, in_checkpoint=lambda name, known=is_checkpoint: known)


def _in_nodes(nodes: Iterable[Any], where: str, in_checkpoint: Any) -> Iterator[str]:
    for node in nodes:
        if node.op in DANGEROUS or (node.op in CHECKPOINT and not in_checkpoint(node.name)):
            yield f"{node.op} (node {node.name!r}{where})"


def _refuse(found: list[str], path: Path) -> None:
    if found:
        raise SourceError(
            f"{path.name} holds operations that can touch files or run code: {'; '.join(found)}.",
            hint="If you trust where it comes from, convert it with --trust-source.",
        )

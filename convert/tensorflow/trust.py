"""Which operations of a TensorFlow graph could touch files or run Python when the model is loaded or called."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

from transload.convert.tensorflow.graph_nodes import called_functions, node_name, reached_functions
from transload.serialize.errors import SourceError

DANGEROUS = frozenset(
    {
        # Python functions of the process that loads the graph.
        "PyFunc",
        "PyFuncStateless",
        "EagerPyFunc",
        # Single files, by any name that the graph makes up.
        "ReadFile",
        "WriteFile",
        "MatchingFiles",
        "ImmutableConst",
        "PrintV2",
        "FileSystemSetConfiguration",
        # Readers and datasets.
        "WholeFileReader",
        "WholeFileReaderV2",
        "TextLineReader",
        "TextLineReaderV2",
        "FixedLengthRecordReader",
        "FixedLengthRecordReaderV2",
        "TFRecordReader",
        "TFRecordReaderV2",
        "LMDBReader",
        "RecordInput",
        "TextLineDataset",
        "CSVDataset",
        "CSVDatasetV2",
        "FixedLengthRecordDataset",
        "FixedLengthRecordDatasetV2",
        "TFRecordDataset",
        "TFRecordDatasetV2",
        "LMDBDataset",
        "SqlDataset",
        "MatchingFilesDataset",
        "CacheDataset",
        "CacheDatasetV2",
        "LoadDataset",
        "SaveDataset",
        "SaveDatasetV2",
        "SnapshotDataset",
        "SnapshotDatasetV2",
        "SnapshotDatasetReader",
        "ListSnapshotChunksDataset",
        "DatasetToTFRecord",
        "DataServiceDatasetV4",
        "DistributedSave",
        # Summaries, debugger and other processes.
        "CreateSummaryFileWriter",
        "CreateSummaryDbWriter",
        "DebugIdentity",
        "DebugIdentityV2",
        "DebugIdentityV3",
        "DebugNanCount",
        "DebugNumericSummary",
        "RemoteCall",
    }
)
"""Operations that reach out of the graph."""

VOCABULARIES = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
"""Operations that read a vocabulary: part of many a SavedModel, and dangerous where the file is none of its assets."""

_DT_STRING = 7
"""tensorflow/core/framework/types.proto."""

SAVERS = frozenset({"SaveV2", "Save", "SaveSlices", "MergeV2Checkpoints"})
RESTORERS = frozenset({"RestoreV2", "Restore", "RestoreSlice", "LoadAndRemapMatrix"})
"""Operations that write and read checkpoints: part of every SavedModel, and dangerous where a call reaches them."""


def check_trust(saved_model: Any, path: Path) -> None:
    """Refuse a SavedModel with operations that could touch files or run Python.

    Operations of checkpoints are refused where anything but the SavedModel's own saver leads to them; what it is named
    does not count.

    Raises:
        SourceError: it names every such node.
    """
    found: dict[str, None] = {}
    for meta_graph in saved_model.meta_graphs:
        graph = _Graph(meta_graph.graph_def)
        called = _called_by_signatures(meta_graph)
        functions = set(meta_graph.object_graph_def.concrete_functions)
        restored = [meta_graph.saver_def.restore_op_name]
        found |= dict.fromkeys(_find_dangerous(graph))
        found |= dict.fromkeys(_find_foreign_vocabularies(graph, meta_graph))
        found |= dict.fromkeys(graph.find(RESTORERS, called, functions))
        found |= dict.fromkeys(graph.find(SAVERS, [*called, *restored], functions))
    _refuse(found, path)


def check_graph_trust(graph_def: Any, path: Path) -> None:
    """Refuse a GraphDef with operations that could touch files or run Python, wherever they are.

    Raises:
        SourceError: it names every such node.
    """
    _refuse(_find_dangerous(_Graph(graph_def)), path)


def check_outputs_trust(graph_def: Any, outputs: Iterable[str], path: Path) -> None:
    """Refuse a GraphDef where an output needs a checkpoint to be read or written; unused savers may lie around.

    Raises:
        SourceError: it names every such node.
    """
    _refuse(_Graph(graph_def).find(SAVERS | RESTORERS, outputs, ()), path)


class _Graph:
    """A GraphDef as what leads to what."""

    def __init__(self, graph_def: Any) -> None:
        self.nodes = {node.name: node for node in graph_def.node}
        self.functions = {function.signature.name: function for function in graph_def.library.function}

    def all_nodes(self) -> Iterator[tuple[Any, str]]:
        """Every node, and the name of the function that it is in or ''."""
        yield from ((node, "") for node in self.nodes.values())
        yield from ((node, name) for name, function in self.functions.items() for node in function.node_def)

    def find(self, operations: frozenset[str], tensors: Iterable[str], functions: Iterable[str]) -> Iterator[str]:
        """The nodes of these operations that run when these tensors are computed or these functions called."""
        for node, function in self._reached(tensors, functions):
            if node.op in operations:
                yield _describe(node, function)

    def leads_to_constant(self, tensor: str, function: str, allowed: Container[str]) -> bool:
        """Whether a tensor of a function, or of the graph where that is '', is a constant that is not allowed."""
        nodes = self.nodes if not function else {node.name: node for node in self.functions[function].node_def}
        node = nodes.get(node_name(tensor))
        while node is not None and node.op == "Identity":
            node = nodes.get(node_name(node.input[0]))
        # In functions constants have names of their own, so none of them is an asset.
        return node is not None and node.op == "Const" and (bool(function) or node.name not in allowed)

    def is_text(self, name: str) -> bool:
        """Whether a node of the graph holds strings; False where there is none of that name."""
        return name in self.nodes and self.nodes[name].attr["dtype"].type == _DT_STRING

    def _reached(self, tensors: Iterable[str], functions: Iterable[str]) -> Iterator[tuple[Any, str]]:
        names = [node_name(tensor) for tensor in tensors]
        calls = list(functions)
        seen: set[str] = set()
        while names:
            name = names.pop()
            node = self.nodes.get(name)
            if node is None or name in seen:
                continue
            seen.add(name)
            yield node, ""
            names += [node_name(each) for each in node.input]
            calls += called_functions(node)
        for called, function in reached_functions(calls, self.functions).items():
            # All of a function, since what has side effects runs whether or not a result needs it.
            yield from ((node, called) for node in function.node_def)


def _called_by_signatures(meta_graph: Any) -> list[str]:
    signatures = meta_graph.signature_def.values()
    tensors = [name for signature in signatures for info in signature.outputs.values() for name in _tensors_of(info)]
    # The loader runs what these name, the operation that initialises tables among them.
    return tensors + [name for each in meta_graph.collection_def.values() for name in each.node_list.value]


def _tensors_of(info: Any) -> list[str]:
    """The tensors behind one output of a signature, which may be sparse or made of several."""
    sparse = info.coo_sparse
    parts = [name for part in info.composite_tensor.components for name in _tensors_of(part)]
    return [info.name, sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name, *parts]


def _find_dangerous(graph: _Graph) -> Iterator[str]:
    return (_describe(node, function) for node, function in graph.all_nodes() if node.op in DANGEROUS)


def _find_foreign_vocabularies(graph: _Graph, meta_graph: Any) -> Iterator[str]:
    """Readers of vocabularies whose file's name is a constant of the graph and not one of the SavedModel's assets."""
    assets = {node_name(asset.tensor_info.name) for asset in meta_graph.asset_file_def}
    for node, function in graph.all_nodes():
        if node.op in VOCABULARIES and graph.leads_to_constant(node.input[1], function, assets):
            yield _describe(node, function)
    objects = meta_graph.object_graph_def
    for name, concrete in objects.concrete_functions.items():
        bound = [objects.nodes[index] for index in concrete.bound_inputs]
        texts = [each for each in bound if graph.is_text(each.constant.operation)]
        if texts:
            yield from graph.find(VOCABULARIES, (), [name])


def _describe(node: Any, function: str) -> str:
    where = f" in function {function!r}" if function else ""
    return f"{node.op} (node {node.name!r}{where})"


def _refuse(found: Iterable[str], path: Path) -> None:
    if places := list(found):
        raise SourceError(
            f"{path.name} holds operations that can touch files or run code: {'; '.join(places)}.",
            hint="If you trust where it comes from, convert it with --trust-source.",
        )

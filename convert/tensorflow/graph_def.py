"""Frozen GraphDef files, binary (`.pb`) or text (`.pbtxt`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from transload.convert.capture import Capture
from transload.convert.options import ConvertOptions, InputSpec
from transload.convert.source import Source
from transload.convert.tensorflow.conversion import settle_defaults
from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.function import capture_function
from transload.convert.tensorflow.graph_tensors import list_sinks, name_tensors
from transload.convert.tensorflow.protobuf_file import parse_proto
from transload.convert.tensorflow.signature import check_names
from transload.convert.tensorflow.trust import check_graph_trust, check_outputs_trust
from transload.serialize.errors import SourceError, UsageError

COMPONENT = "graph"
_VARIABLES = frozenset({"VariableV2", "VarHandleOp", "Variable"})


def capture(source: Source, options: ConvertOptions) -> list[Capture]:
    """Capture the whole graph: placeholders are the inputs; the outputs are those asked for, else the graph's sinks.

    Raises:
        SourceError: the file is damaged, or its graph could touch files or run Python.
        UsageError: the graph is not frozen, has no inputs or outputs, or lacks an output that was asked for.
        UnsupportedError: operations that cannot be converted.
    """
    assert source.path is not None
    graph_def = parse_proto(source.path, tf.compat.v1.GraphDef())
    if not options.trust_source:
        # Before TensorFlow sees the graph: it may compute parts of one that it only imports, to infer shapes.
        check_graph_trust(graph_def, source.path)
    if variables := [node.name for node in graph_def.node if node.op in _VARIABLES]:
        raise UsageError(
            f"The graph is not frozen: its weights are in variables, not in the file ({variables[0]!r}, …).",
            hint="Freeze it, or convert the SavedModel that it belongs to.",
        )
    defaults = settle_defaults(graph_def)
    placeholders = [node.name for node in graph_def.node if node.op == "Placeholder"]
    check_names(options, placeholders)
    _fill_in_ranks(graph_def, {spec.name: spec for spec in options.inputs})
    wrapped = _import_graph(graph_def)
    outputs = list(options.outputs) or list_sinks(wrapped.graph)
    if not options.trust_source:
        check_outputs_trust(graph_def, outputs, source.path)
    if not placeholders or not outputs:
        raise UsageError("The graph has no placeholder, or no output.", hint="Name outputs with --outputs NODE:0.")
    named = replace(name_tensors(COMPONENT, wrapped, placeholders, outputs, options), graph_def=graph_def)
    captured = capture_function(named, options, source.kind.value)
    notes = tuple(f"The placeholder {name!r} always has its default value." for name in defaults)
    return [replace(captured, notes=captured.notes + notes)]


def _fill_in_ranks(graph_def: Any, specs: Mapping[str, InputSpec]) -> None:
    """Give placeholders of unknown rank the shape that the user described, which TensorFlow then carries on."""
    for node in graph_def.node:
        shape = specs[node.name].shape if node.op == "Placeholder" and node.name in specs else None
        if shape is not None and tf.TensorShape(node.attr["shape"].shape).rank is None:
            known = tf.TensorShape([dim if isinstance(dim, int) else None for dim in shape])
            node.attr["shape"].shape.CopyFrom(known.as_proto())


def _import_graph(graph_def: Any) -> Any:
    """The graph in TensorFlow.

    Raises:
        SourceError: TensorFlow does not take it.
    """
    try:
        return tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph_def, name=""), [])
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise SourceError(f"TensorFlow does not take the graph: {error}") from error

"""Capturing the signatures of a SavedModel without loading it, which only the proof needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from transload.convert.capture import Capture
from transload.convert.component_options import options_for
from transload.convert.options import ConvertOptions
from transload.convert.tensorflow.channels_first import choose_target
from transload.convert.tensorflow.conversion import SEPARATE_BYTES, convert_stored
from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.function import FunctionReference, LaterReference, put_together
from transload.convert.tensorflow.signature import name_function, name_specs
from transload.convert.tensorflow.stored_signature import StoredSignature, StoredVariables, read_signature
from transload.convert.tensorflow.twin_signatures import without_repetition, wrapped_call
from transload.serialize.interface import leaves

_INITIALIZER = "__saved_model_init_op"
"""What TensorFlow 2 writes beside the signatures."""


def read_stored(proto: Any, path: Path, options: ConvertOptions) -> dict[str, StoredSignature]:
    """The signatures that were asked for, straight from the files; none where TensorFlow has to load one of them.

    Args:
        proto: The SavedModel.
        path: Its folder.
        options: What the user asked for; its tags choose one of the SavedModel's graphs.
    """
    tags = sorted(options.tags)
    [meta_graph] = [each for each in proto.meta_graphs if not tags or sorted(each.meta_info_def.tags) == tags]
    names = options.signatures or sorted(set(meta_graph.signature_def) - {_INITIALIZER})
    if options.outputs or not names or not set(names) <= set(meta_graph.signature_def):
        return {}
    stored: dict[str, StoredSignature] = {}
    try:
        variables = StoredVariables(path, meta_graph.object_graph_def)
        for name in names:
            signature = read_signature(meta_graph, name, variables)
            # TensorFlow's own freezing folds more of a small model, see SEPARATE_BYTES.
            if signature is None or signature.size_bytes < SEPARATE_BYTES:
                return {}
            stored[name] = signature
    except (DecodeError, LookupError, OSError, RuntimeError, TypeError, ValueError, tf.errors.OpError):
        # Whatever is wrong with the files, TensorFlow says it when it loads them.
        return {}
    return stored


def capture_stored(
    stored: Mapping[str, StoredSignature], options: ConvertOptions, kind: str, load: Callable[[], Any]
) -> list[Capture]:
    """Capture each of the signatures; none where one of them cannot be converted so.

    Args:
        stored: The signatures.
        options: What the user asked for.
        kind: The kind of source.
        load: Loads the SavedModel, whose functions are what a proof compares with, once.

    Raises:
        UsageError: an input description or an example does not fit.
    """
    notes: tuple[str, ...] = ()
    if not options.signatures:
        stored, notes = without_repetition(stored, _are_same)
    parameters = {name: frozenset(each.inputs) for name, each in stored.items()}
    captures = []
    for name, signature in stored.items():
        captured = _capture(name, signature, options_for(name, parameters, options), kind, load)
        if captured is None:
            return []
        captures.append(replace(captured, notes=captured.notes + notes))
    return captures


def _capture(
    name: str, signature: StoredSignature, options: ConvertOptions, kind: str, load: Callable[[], Any]
) -> Capture | None:
    named = name_specs(name, signature.inputs, signature.outputs, options)
    outputs = list(leaves(named.outputs))
    results = [named.results[leaf.name] for leaf in outputs]
    target = choose_target(options, {leaf.name: tensor for tensor, leaf in named.inputs.items()})
    model = convert_stored(signature.graph_def, signature.captures, named.inputs, results, outputs, target)
    if model is None:
        return None
    reference = LaterReference(lambda: FunctionReference(name_function(name, load().signatures[name], options)))
    return put_together(named, model, reference, options, kind)


def _are_same(one: StoredSignature, other: StoredSignature) -> bool:
    """Whether two signatures are mere wrappers around one function, with equal names in and out."""
    return (
        wrapped_call(one.graph_def.node) == wrapped_call(other.graph_def.node) is not None
        and (one.inputs, one.outputs) == (other.inputs, other.outputs)
        and one.bound == other.bound
    )

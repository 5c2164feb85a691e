"""SavedModel folders: signatures and functions under their own names, each a component."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from transload.convert.capture import Capture
from transload.convert.component_options import options_for
from transload.convert.options import ConvertOptions
from transload.convert.source import Source
from transload.convert.tensorflow.framework import silence, tf
from transload.convert.tensorflow.function import capture_function
from transload.convert.tensorflow.graph_tensors import find_placeholders, name_tensors
from transload.convert.tensorflow.signature import name_function, parameter_values
from transload.convert.tensorflow.stored_capture import capture_stored, read_stored
from transload.convert.tensorflow.trust import check_outputs_trust, check_trust
from transload.convert.tensorflow.twin_signatures import are_same_functions, without_repetition
from transload.serialize.errors import SourceError, UnsupportedError, UsageError

GRAPH_COMPONENT = "graph"


def capture(source: Source, options: ConvertOptions) -> list[Capture]:
    """Capture the signatures or functions that were asked for, else every signature, else every function.

    `options.outputs` goes by the tensors of a graph of TensorFlow 1 instead.

    Raises:
        SourceError: the folder is damaged, or its graph could touch files or run Python.
        UsageError: there is no such signature, function, graph or tensor, or an input description does not fit.
        UnsupportedError: operations that cannot be converted.
    """
    assert source.path is not None
    proto = read_saved_model(source.path)
    if not options.trust_source:
        check_trust(proto, source.path)
    tags = [sorted(graph.meta_info_def.tags) for graph in proto.meta_graphs]
    _check_tags(source.path, tags, options)
    kind = source.kind.value
    stored = read_stored(proto, source.path, options)
    # The file's own copy of the graph goes before TensorFlow makes others of it: 20 MB for MobileNetV2.
    del proto
    load = functools.cache(functools.partial(_load, source.path, options))
    if captures := capture_stored(stored, options, kind, load):
        return captures
    loaded = load()
    if options.outputs:
        captures = [_capture_tensors(loaded, source.path, options, kind)]
    else:
        captures = _capture_functions(*_choose_functions(loaded, options), options, kind)
    # A function holds its variables weakly; the loaded object owns them.
    return [replace(each, resources=(loaded,)) for each in captures]


def read_saved_model(folder: Path) -> Any:
    """The SavedModel protobuf of a folder, binary or text.

    Raises:
        SourceError: it cannot be parsed.
    """
    proto = new_saved_model()
    try:
        if (folder / "saved_model.pb").is_file():
            proto.ParseFromString((folder / "saved_model.pb").read_bytes())
        else:
            text_format.Parse((folder / "saved_model.pbtxt").read_text(), proto)
    except (DecodeError, text_format.ParseError, UnicodeDecodeError, OSError) as error:
        raise SourceError(f"{folder.name} is not a readable SavedModel: {error}") from error
    return proto


def new_saved_model() -> Any:
    """An empty SavedModel protobuf."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    return SavedModel()


def _check_tags(path: Path, found: list[list[str]], options: ConvertOptions) -> None:
    """Refuse tags that choose none of a SavedModel's graphs; `found` are those of each."""
    known = "; ".join(" ".join(f"--tag {tag}" for tag in tags) or "(no tags)" for tags in found)
    if options.tags and sorted(options.tags) not in found:
        raise UsageError(f"{path.name} has no graph with the tags {', '.join(options.tags)}.", hint=f"It has: {known}.")
    if not options.tags and len(found) > 1:
        raise UsageError(f"{path.name} holds {len(found)} graphs.", hint=f"Choose one by all of its tags: {known}.")


def _load(path: Path, options: ConvertOptions) -> Any:
    """The SavedModel as TensorFlow loads it."""
    try:
        with silence():
            return tf.saved_model.load(str(path), tags=list(options.tags) or None)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise SourceError(f"TensorFlow cannot load {path.name}: {error}") from error


def _capture_functions(
    functions: Mapping[str, Any], notes: tuple[str, ...], options: ConvertOptions, kind: str
) -> list[Capture]:
    parameters = {name: frozenset(parameter_values(function)) for name, function in functions.items()}
    captures = []
    refused: dict[str, UnsupportedError] = {}
    for name, function in functions.items():
        own = options_for(name, parameters, options)
        try:
            captured = capture_function(name_function(name, function, own), own, kind)
        except UnsupportedError as error:
            refused[name] = error
        else:
            captures.append(replace(captured, notes=captured.notes + notes))
    if refused:
        raise _join_refusals(refused, len(functions))
    return captures


def _join_refusals(refused: Mapping[str, UnsupportedError], count: int) -> UnsupportedError:
    """One error for all the signatures that cannot be converted."""
    first = next(iter(refused.values()))
    if count == 1:
        return first
    return UnsupportedError(
        f"{len(refused)} of {count} signatures cannot be converted. {first.what}",
        operations=tuple(dict.fromkeys(operation for error in refused.values() for operation in error.operations)),
        where=f"signature {', '.join(map(repr, refused))}",
        hint="Choose other signatures with --signature.",
    )


def _choose_functions(loaded: Any, options: ConvertOptions) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Functions by component name, and sentences for the user about those left out."""
    signatures = dict(sorted(loaded.signatures.items()))
    functions = _list_functions(loaded)
    if not options.signatures:
        if signatures:
            return without_repetition(signatures, are_same_functions)
        if functions:
            return {name: each for found in functions.values() for name, each in found.items()}, ()
        raise UsageError(
            "The SavedModel has neither signatures nor functions.",
            hint="Save it with signatures=…, or with Keras' model.export(). A graph of TensorFlow 1 is converted by "
            "the names of its tensors: --outputs NODE:0,NODE:0.",
        )
    chosen: dict[str, Any] = {}
    for name in options.signatures:
        if name in signatures:
            chosen[name] = signatures[name]
        elif name in functions:
            chosen |= functions[name]
        else:
            raise UsageError(
                f"The SavedModel has no signature or function {name!r}.",
                hint=f"Choose with --signature: {', '.join([*signatures, *functions])}.",
            )
    return chosen, ()


def _list_functions(loaded: Any) -> dict[str, dict[str, Any]]:
    """The object's own functions: by attribute, each of its traces by component name, `name.0` where it has several."""
    found = {}
    for name in ("__call__", *(name for name in dir(loaded) if not name.startswith("_"))):
        traces = getattr(getattr(loaded, name, None), "concrete_functions", None)
        if traces:
            found[name] = (
                {name: traces[0]}
                if len(traces) == 1
                else {f"{name}.{index}": trace for index, trace in enumerate(traces)}
            )
    return found


def _capture_tensors(loaded: Any, path: Path, options: ConvertOptions, kind: str) -> Capture:
    """The function from the placeholders that some tensors need to these."""
    if not hasattr(loaded, "prune"):
        raise UsageError(
            f"{path.name} is of TensorFlow 2, whose tensors have no names from outside.",
            hint="Choose a signature or a function with --signature instead of --outputs.",
        )
    if not options.trust_source:
        check_outputs_trust(loaded.graph.as_graph_def(), options.outputs, path)
    placeholders = find_placeholders(loaded.graph, options.outputs)
    named = name_tensors(GRAPH_COMPONENT, loaded, placeholders, options.outputs, options)
    return capture_function(named, options, kind)

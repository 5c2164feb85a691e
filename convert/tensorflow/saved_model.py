"""SavedModel folders: one signature, under its own names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from transload.convert.capture import Capture
from transload.convert.options import ConvertOptions
from transload.convert.source import Source
from transload.convert.structure import build_output_tree
from transload.convert.tensorflow.framework import silence, tf
from transload.convert.tensorflow.function import (
    NamedFunction,
    capture_function,
    check_specs,
    graph_tensors,
    name_dimensions,
    output_leaf,
)
from transload.convert.tensorflow.trust import check_trust
from transload.serialize.errors import SourceError, UsageError

DEFAULT_SIGNATURE = "serving_default"


def capture(source: Source, options: ConvertOptions) -> list[Capture]:
    """Capture the signature that was asked for, else `serving_default`, else the only one.

    Raises:
        SourceError: the folder is damaged, or its graph could touch files or run Python.
        UsageError: there is no such signature, or an input description does not fit.
        UnsupportedError: operations that cannot be converted.
    """
    assert source.path is not None
    proto = read_saved_model(source.path)
    if not options.trust_source:
        check_trust(proto, source.path)
    try:
        with silence():
            loaded = tf.saved_model.load(str(source.path))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise SourceError(f"TensorFlow cannot load {source.path.name}: {error}") from error
    signatures = dict(loaded.signatures)
    name = _choose_signature(list(signatures), options.signature)
    captured = capture_function(name_signature(name, signatures[name], options), options, source.kind.value)
    # A signature holds its variables weakly; the loaded object owns them.
    return [replace(captured, resources=(loaded,))]


def name_signature(component: str, function: Any, options: ConvertOptions) -> NamedFunction:
    """A signature with its own input and output names."""
    _, keywords = function.structured_input_signature
    names = sorted(keywords)
    given = check_specs(options, names)
    inputs = {
        tensor.name: name_dimensions(name, tensor.shape, tensor.dtype, given.get(name))
        for name, tensor in zip(names, graph_tensors(function), strict=True)
    }
    results = dict(sorted(function.structured_outputs.items()))
    outputs = build_output_tree(results, output_leaf, taken=names)
    # TensorFlow 1's signatures may give one tensor under several names; TensorFlow 2's give descriptions here.
    flat = tf.nest.flatten(results)
    output_names = [graph.name for graph in (flat if all(map(tf.is_symbolic_tensor, flat)) else function.outputs)]
    return NamedFunction(
        component,
        function,
        inputs,
        {leaf.name: leaf for leaf in inputs.values()},
        outputs,
        output_names,
    )


def read_saved_model(folder: Path) -> Any:
    """The SavedModel protobuf of a folder, binary or text.

    Raises:
        SourceError: it cannot be parsed.
    """
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    proto = SavedModel()
    try:
        if (folder / "saved_model.pb").is_file():
            proto.ParseFromString((folder / "saved_model.pb").read_bytes())
        else:
            text_format.Parse((folder / "saved_model.pbtxt").read_text(), proto)
    except (DecodeError, text_format.ParseError, UnicodeDecodeError, OSError) as error:
        raise SourceError(f"{folder.name} is not a readable SavedModel: {error}") from error
    return proto


def _choose_signature(names: list[str], wanted: str | None) -> str:
    if not names:
        raise UsageError(
            "The SavedModel has no signatures.", hint="Save it with signatures=…, or with Keras' model.export()."
        )
    if wanted is None:
        wanted = names[0] if len(names) == 1 else DEFAULT_SIGNATURE
    if wanted not in names:
        raise UsageError(
            f"The SavedModel has no signature {wanted!r}.", hint=f"Choose with --signature: {', '.join(sorted(names))}."
        )
    return wanted

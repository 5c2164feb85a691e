"""Checkpoints of TensorFlow 1 with their graph: `model.ckpt.meta` and the files beside it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from transload.convert.capture import Capture
from transload.convert.options import ConvertOptions
from transload.convert.source import Source
from transload.convert.source_digest import digest_files
from transload.convert.tensorflow import saved_model
from transload.convert.tensorflow.framework import silence, tf
from transload.convert.tensorflow.graph_tensors import leads_from_placeholder, list_sinks
from transload.convert.tensorflow.protobuf_file import parse_proto
from transload.convert.tensorflow.trust import check_trust
from transload.serialize.errors import SourceError, UsageError

v1 = tf.compat.v1


def capture(source: Source, options: ConvertOptions) -> list[Capture]:
    """Restore the checkpoint into its graph, and go the way of a SavedModel from there.

    Raises:
        SourceError: a file is damaged or missing, or the graph could touch other files or run Python.
        UsageError: the graph has no signatures, and no outputs were named.
        UnsupportedError: operations that cannot be converted.
    """
    path = source.path
    assert path is not None
    meta = parse_proto(path, v1.MetaGraphDef())
    if not options.trust_source:
        proto = saved_model.new_saved_model()
        proto.meta_graphs.add().CopyFrom(meta)
        check_trust(proto, path)
    scratch = tempfile.TemporaryDirectory(prefix="transload-")
    folder = Path(scratch.name) / "saved_model"
    with silence():
        _restore_and_save(meta, path, folder, options)
    captures = saved_model.capture(replace(source, path=folder), replace(options, tags=()))
    digest = digest_files(path.parent, path.parent.glob(f"{path.stem}.*"))
    return [
        replace(
            each,
            source=msgspec.structs.replace(each.source, sha256=digest),
            resources=(*each.resources, scratch),
        )
        for each in captures
    ]


def _restore_and_save(meta: Any, path: Path, folder: Path, options: ConvertOptions) -> None:
    prefix = path.with_name(path.name.removesuffix(".meta"))
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        try:
            saver = v1.train.import_meta_graph(meta, clear_devices=True)
            if saver is not None:
                saver.restore(session, str(prefix))
        except (ValueError, KeyError, tf.errors.OpError) as error:
            raise SourceError(f"TensorFlow cannot restore {prefix.name}: {error}") from error
        if not meta.signature_def and not options.outputs:
            sinks = [name for name in list_sinks(graph) if leads_from_placeholder(graph, name)]
            raise UsageError(
                "The checkpoint's graph has no signatures; its outputs have to be named.",
                hint=f"Name them with --outputs. Tensors that nothing uses: {', '.join(sinks) or 'none'}.",
            )
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(
            session,
            [tf.saved_model.SERVING],
            signature_def_map=dict(meta.signature_def),
            main_op=v1.tables_initializer(),
        )
        builder.save()

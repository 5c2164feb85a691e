"""Running a signature of a SavedModel in TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from transload.convert.peers.runners import Run


def open_model(source: str, threads: int) -> Run:
    """A signature; `source` is `FOLDER` or `FOLDER#SIGNATURE`."""
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    path, _, name = source.partition("#")
    loaded = tf.saved_model.load(path)
    signature = loaded.signatures[name or "serving_default"]

    def run(feed: Mapping[str, Any], loaded: Any = loaded) -> object:
        # The signature does not keep what it was loaded from alive; this function does.
        outputs = signature(**{key: tf.constant(array) for key, array in feed.items()})
        return [value.numpy() for value in outputs.values()]

    return run

"""The one place that imports TensorFlow, so that its settings are made before and its noise stays inside."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Read once, when the libraries load. Level 3 leaves out all but fatal messages of TensorFlow's C++ code.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Send nowhere what is written to file descriptors 1 and 2, as C++ code does."""
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(Path(os.devnull).open("wb"))
        # What Python still holds back was written outside of the block, and what the block wrote belongs inside.
        _flush()
        for descriptor in (1, 2):
            saved = os.dup(descriptor)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, descriptor)
            os.dup2(sink.fileno(), descriptor)
        stack.callback(_flush)
        yield


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


with silence():
    import tensorflow as tf

VERSION: str = tf.__version__


def dtype_name(dtype: Any) -> str:
    """Our name of a `tf.DType`."""
    return "string" if dtype == tf.string else str(dtype.name)


__all__ = ["VERSION", "dtype_name", "silence", "tf"]

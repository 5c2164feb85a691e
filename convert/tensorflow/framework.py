"""The one place that imports TensorFlow, so that its settings are made before and its noise stays inside."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transload.convert.verbosity import is_verbose

if not is_verbose():
    # Read once, when the libraries load. Level 3 leaves out all but fatal messages of TensorFlow's C++ code.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
if "tensorflow" not in sys.modules:
    # oneDNN's kernels (softmax, fused convolutions and products) give 0 where a NaN came in; TensorFlow's own do not.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

KEEPS_NAN = os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0"
"""Whether TensorFlow runs with its own kernels: only then has a model a defined answer for inputs with NaN."""


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Send nowhere what Python prints, and what C++ code writes straight to file descriptors 1 and 2.

    Does nothing where the user asked to see it.
    """
    if is_verbose():
        yield
        return
    with contextlib.ExitStack() as stack:
        # What Python still holds back for the real streams stays there.
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        sink = stack.enter_context(Path(os.devnull).open("wb"))
        for descriptor in (1, 2):
            saved = os.dup(descriptor)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, descriptor)
            os.dup2(sink.fileno(), descriptor)
        yield


with silence():
    import tensorflow as tf

VERSION: str = tf.__version__


def dtype_name(dtype: Any) -> str:
    """Our name of a `tf.DType`."""
    return "string" if dtype == tf.string else str(dtype.name)


__all__ = ["KEEPS_NAN", "VERSION", "dtype_name", "silence", "tf"]

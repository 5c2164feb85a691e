"""The one place that imports TensorFlow, so that its settings are made before and its noise stays inside."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Read once, when the libraries load. Level 3 leaves out all but fatal messages of TensorFlow's C++ code.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Send nowhere what Python prints, and what C++ code writes straight to file descriptors 1 and 2."""
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


@contextlib.contextmanager
def without_fusion() -> Iterator[None]:
    """Run functions operation by operation, as TensorFlow does outside of `tf.function`.

    TensorFlow's graph optimiser fuses MatMul, BiasAdd and Relu, convolutions likewise, into kernels that give 0 where
    a NaN came in; each operation by itself carries the NaN on. tests/convert/tensorflow/test_framework.py measures it.
    """
    before = tf.config.optimizer.get_experimental_options().get("remapping", True)
    tf.config.optimizer.set_experimental_options({"remapping": False})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"remapping": before})


def dtype_name(dtype: Any) -> str:
    """Our name of a `tf.DType`."""
    return "string" if dtype == tf.string else str(dtype.name)


__all__ = ["VERSION", "dtype_name", "silence", "tf", "without_fusion"]

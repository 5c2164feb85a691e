"""Creating an ONNX Runtime session whose weights are mapped from the package file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import onnxruntime as ort

from transload.runtime.device import Providers
from transload.serialize.errors import ExecutionError, TransloadError, UnsupportedError
from transload.serialize.manifest import FOLDER_OPTION
from transload.serialize.package_file import PackageFile

FATAL_ONLY = 4
"""ONNX Runtime's log level for a session: what matters comes as an exception, the rest is chatter on stderr."""


def create_session(
    package: PackageFile, component: str, providers: Providers, *, threads: int | None, optimize: bool
) -> ort.InferenceSession:
    """A session for a component.

    ONNX Runtime maps external data itself when a model comes as bytes and names a file, an offset in it and the
    file's folder; so no weight is copied here.

    Args:
        package: The opened package.
        component: Which of its components.
        providers: Execution providers, best first.
        threads: Intra-op threads; None leaves the choice to ONNX Runtime.
        optimize: False switches graph optimisations off, and pre-packing, which copies weights for faster kernels.

    Raises:
        PackageError: model or weights are damaged, or the file was replaced meanwhile.
        UnsupportedError: ONNX Runtime has no kernel for an operator.
        ExecutionError: ONNX Runtime refuses the model for another reason.
    """
    options = ort.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    options.add_session_config_entry(FOLDER_OPTION, str(package.path.parent))
    if threads is not None:
        options.intra_op_num_threads = threads
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.disable_prepacking", "1")
    model: bytes = package.model_proto(component).SerializeToString()
    with runtime_errors(f"component {component!r} of {package.path.name}"):
        session = ort.InferenceSession(model, options, providers=providers)
    # ONNX Runtime has opened the file by its name, and mapped whatever lay there.
    package.archive.check_unchanged()
    wanted = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if wanted not in session.get_providers():
        # ONNX Runtime itself goes on with the next provider and says so in a log line only.
        raise ExecutionError(f"ONNX Runtime could not use {wanted} on this machine.")
    return session


@contextlib.contextmanager
def runtime_errors(where: str) -> Iterator[None]:
    """Turn ONNX Runtime's exceptions into ours."""
    try:
        yield
    except Exception as error:
        raise runtime_error(error, where) from error


def runtime_error(error: Exception, where: str) -> TransloadError:
    """Our exception for one of ONNX Runtime's, whose classes have no base class of their own but Exception."""
    message = str(error).strip()
    if "NOT_IMPLEMENTED" in message:
        return UnsupportedError(f"ONNX Runtime has no kernel for an operator of this model: {message}", where=where)
    return ExecutionError(f"ONNX Runtime failed: {message}", where=where)

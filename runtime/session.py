"""Creating an ONNX Runtime session whose weights are mapped from the package file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import onnxruntime as ort

from transload.runtime.configuration import Configuration, provider_list, session_options
from transload.runtime.device import CPU, Providers
from transload.runtime.integer_sums import open_exactly
from transload.runtime.platform import return_free_memory
from transload.runtime.tuning.entry import TunedVariant
from transload.serialize.errors import ExecutionError, TransloadError, UnsupportedError, UsageError
from transload.serialize.package_file import Integrity, PackageFile


def create_session(
    package: PackageFile,
    component: str,
    providers: Providers,
    *,
    threads: int | None,
    optimize: bool,
    libraries: Sequence[str | Path] = (),
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
        libraries: Where the operators are whose domains the component's interface declares.

    Raises:
        UsageError: there is no such library.
        PackageError: model or weights are damaged, or the file was replaced meanwhile.
        UnsupportedError: ONNX Runtime has no kernel for an operator, or it is in a library that was not given.
        ExecutionError: ONNX Runtime refuses the model or a library for another reason.
    """
    configuration = Configuration(threads or 0, level="all" if optimize else "disable", prepack=optimize)
    where = f"component {component!r} of {package.path.name}"
    domains = package.interface(component).operator_domains
    if domains and not libraries:
        raise UnsupportedError(
            f"The model has operators of a library, of the domain {', '.join(domains)}.",
            where=where,
            hint="Give the library if you trust it, since its code runs: --library FILE, or libraries=[FILE].",
        )
    with _meanwhile(lambda: package.data_member(component)):
        model: bytes = package.model_proto(component, check_weights=False).SerializeToString()
        options = session_options(configuration, str(package.path.parent))
        register_libraries(options, libraries if domains else (), where)
        session = open_session(model, options, providers, where)
    # ONNX Runtime has opened the file by its name, and mapped whatever lay there.
    package.archive.check_unchanged()
    return session


def create_tuned_session(
    variant: TunedVariant, *, threads: int | None, integrity: Integrity, where: str
) -> ort.InferenceSession:
    """A session for a tuned variant, whose graph is optimised already.

    Args:
        variant: What `find_tuned` found.
        threads: Intra-op threads; None takes those that were found best.
        integrity: Weights are checked unless it is `none`.
        where: For messages.

    Raises:
        PackageError: it is damaged.
        UnsupportedError, ExecutionError: ONNX Runtime refuses it.
    """
    configuration = variant.record.configuration
    if configuration.provider == CPU:
        # It was optimised when it was stored; other providers optimise for themselves.
        configuration = msgspec.structs.replace(configuration, level="disable")
    if threads is not None:
        configuration = msgspec.structs.replace(configuration, threads=threads)
    with _meanwhile(variant.check_weights if integrity != "none" else lambda: None):
        options = session_options(configuration, str(variant.archive.path.parent))
        # Its bytes are added exactly already, since it was optimised on such a processor.
        session = _open(variant.model_bytes(), options, provider_list(configuration), where)
    variant.archive.check_unchanged()
    # ONNX Runtime packed every weight once, to compare it with the stored one, and freed it again.
    return_free_memory()
    return session


def open_session(model: bytes, options: ort.SessionOptions, providers: Providers, where: str) -> ort.InferenceSession:
    """A session on the first of `providers`, whose products of bytes are added exactly on every processor.

    Raises:
        UnsupportedError: ONNX Runtime has no kernel for an operator.
        ExecutionError: ONNX Runtime refuses the model for another reason, or cannot use the provider.
    """
    return open_exactly(model, options, lambda: _open(model, options, providers, where), where)


def _open(model: bytes, options: ort.SessionOptions, providers: Providers, where: str) -> ort.InferenceSession:
    with runtime_errors(where):
        session = ort.InferenceSession(model, options, providers=providers)
    wanted = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if wanted not in session.get_providers():
        # ONNX Runtime itself goes on with the next provider and says so in a log line only.
        raise ExecutionError(f"ONNX Runtime could not use {wanted} on this machine.")
    return session


def register_libraries(options: ort.SessionOptions, libraries: Sequence[str | Path], where: str) -> None:
    """Open libraries of operators; their code runs.

    Raises:
        UsageError: there is no such library.
        ExecutionError: ONNX Runtime refuses a library.
    """
    for library in libraries:
        # Only a file: of a bare name the system's loader would look for a library anywhere.
        path = Path(library).resolve()
        if not path.is_file():
            raise UsageError(f"There is no library {str(library)!r}.")
        with runtime_errors(where):
            options.register_custom_ops_library(str(path))


@contextlib.contextmanager
def _meanwhile(check: Callable[[], object]) -> Iterator[None]:
    """Check weights while the session is made: the one reads them, the other mostly copies. Its error wins."""
    with ThreadPoolExecutor(1) as pool:
        checked = pool.submit(check)
        try:
            yield
        finally:
            checked.result()


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

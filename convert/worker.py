"""The worker process: reads one request from stdin, does it, and reports through a pipe.

Started by transload.convert.supervisor as `python -m transload.convert.worker EVENTS_FD TARGET LIMITS`.
"""

from __future__ import annotations

import errno
import faulthandler
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from transload.convert.options import ConvertOptions, InputSpec, Proof, Select
from transload.convert.platform import limit_this_process, peak_memory_bytes
from transload.convert.sandbox import enter_sandbox
from transload.serialize.errors import ERROR_CLASSES, ExecutionError, TransloadError, WorkerError, error_fields

_OUT_OF_MEMORY = re.compile(
    r"bad_alloc|can(no|')t allocate memory|failed to allocate memory|resource ?exhausted", re.IGNORECASE
)
"""How C++ libraries say that memory ran out: libstdc++, torch, ONNX Runtime, TensorFlow."""


DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""No room, a quota, a file over its limit, a disk that fails."""


class Limits(msgspec.Struct, frozen=True):
    """What a conversion may use; None is no limit.

    Args:
        time_s: Seconds of wall clock.
        memory_bytes: Address space.
        cpu_s: Seconds of all processors together.
        file_bytes: The size of a file that it writes.
        sandbox: Whether a source that is a file may only write into the scratch folder, and has no network.
    """

    time_s: float | None = None
    memory_bytes: int | None = None
    cpu_s: float | None = None
    file_bytes: int | None = None
    sandbox: bool = True


class Request(msgspec.Struct, frozen=True, tag="convert", tag_field="work"):
    """A conversion, as it crosses the process border: paths and plain values only, no pickles.

    The fields are those of `ConvertOptions`; `example` and `second_example` are paths of .npz files.
    """

    source: str
    inputs: tuple[InputSpec, ...] = ()
    example: str | None = None
    second_example: str | None = None
    select: Select = "first"
    opset: int | None = None
    methods: tuple[str, ...] = ()
    all_methods: bool = False
    signatures: tuple[str, ...] = ()
    inputs_as_nchw: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    task: str | None = None
    weights: str | None = None
    atol: float | None = None
    rtol: float | None = None
    proof: Proof = "full"
    trust_source: bool = False
    license: str | None = None
    libraries: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """What is read: paths, or names of factories."""
        return (self.source,)


class CompareRequest(msgspec.Struct, frozen=True, tag="compare", tag_field="work"):
    """A comparison: the reference and how to open either model, the other model, and .npz files of inputs."""

    reference: Request
    ours: str
    inputs: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """What is read: paths, or names of factories."""
        return (self.reference.source, self.ours)


class DebugRequest(msgspec.Struct, frozen=True, tag="debug", tag_field="work"):
    """A search for the node that is to blame: the package and how to open its source, that source, and .npz files."""

    package: Request
    source: str | None = None
    inputs: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """What is read: paths, or names of factories."""
        return (self.package.source,) if self.source is None else (self.package.source, self.source)


Work = Request | CompareRequest | DebugRequest


class Stage(msgspec.Struct, frozen=True, tag="stage", tag_field="event"):
    """A stage begins."""

    name: str


class Unprotected(msgspec.Struct, frozen=True, tag="unprotected", tag_field="event"):
    """What of the sandbox this machine does not have, in words."""

    missing: tuple[str, ...]


class Failure(msgspec.Struct, frozen=True, tag="failure", tag_field="event"):
    """An error, by its class's name and the arguments that make an equal one."""

    error_class: str
    fields: dict[str, Any]


class Done(msgspec.Struct, frozen=True, tag="done", tag_field="event"):
    """The package is written and synced."""

    peak_memory_bytes: int


Event = Stage | Unprotected | Failure | Done


def main(arguments: list[str]) -> None:
    """Do what stdin asks; never returns."""
    events, target = int(arguments[0]), Path(arguments[1])
    limits = msgspec.json.decode(arguments[2], type=Limits)
    faulthandler.enable()
    # What the frameworks start must not hold the pipe open when this process has died.
    os.set_inheritable(events, False)
    limit_this_process(memory_bytes=limits.memory_bytes, cpu_s=limits.cpu_s, file_bytes=limits.file_bytes)
    stage = "start"

    def report(event: Event) -> None:
        os.write(events, msgspec.json.encode(event, enc_hook=str) + b"\n")

    def on_stage(name: str) -> None:
        nonlocal stage
        stage = name
        report(Stage(name))

    try:
        work = msgspec.json.decode(sys.stdin.buffer.read(), type=Work)
        # A factory is the user's own code, which may well keep a cache or fetch weights.
        are_files = all(Path(model).exists() for model in work.models)
        if limits.sandbox and are_files and (missing := enter_sandbox(target.parent)):
            report(Unprotected(missing))
        on_stage("detect")
        # After everything else, so that a module factory is found here but shadows nothing.
        sys.path.append(str(Path.cwd()))
        _WORKERS[type(work)](work, target, on_stage)
        report(Done(peak_memory_bytes()))
    except BaseException as error:
        # Whatever ends the work, sys.exit() in a user's module too, must reach the other side as an error.
        traceback.print_exc()
        report(_failure(error, stage, limits))
    sys.stdout.flush()
    sys.stderr.flush()
    # The frameworks' own shutdown is skipped, since it takes long and may crash after all is done.
    os._exit(0)


def _convert(request: Request, target: Path, on_stage: Any) -> None:
    # Imported here, so that a crash or a lack of memory in an import is reported with a stage.
    from transload.convert.detect import detect_source
    from transload.convert.pipeline import convert_source

    source = detect_source(request.source, trust_source=request.trust_source)
    convert_source(source, _read_options(request), on_stage).save(target)


def _compare(request: CompareRequest, target: Path, on_stage: Any) -> None:
    from transload.convert.compare.comparison import compare_models
    from transload.convert.npz import read_npz

    inputs = [read_npz(path) for path in request.inputs]
    options = _read_options(request.reference)
    target.write_bytes(
        msgspec.json.encode(compare_models(request.reference.source, request.ours, options, inputs, on_stage))
    )


def _debug(request: DebugRequest, target: Path, on_stage: Any) -> None:
    from transload.convert.debug.search import debug_package
    from transload.convert.npz import read_npz

    inputs = [read_npz(path) for path in request.inputs]
    on_stage("debug")
    found = debug_package(request.package.source, request.source, _read_options(request.package), inputs)
    target.write_bytes(msgspec.json.encode(found))


_WORKERS: dict[type, Callable[[Any, Path, Any], None]] = {
    Request: _convert,
    CompareRequest: _compare,
    DebugRequest: _debug,
}


def _read_options(request: Request) -> ConvertOptions:
    from transload.convert.npz import read_npz

    return ConvertOptions(
        inputs=request.inputs,
        example=None if request.example is None else read_npz(request.example),
        second_example=None if request.second_example is None else read_npz(request.second_example),
        select=request.select,
        opset=request.opset,
        methods=request.methods,
        task=request.task,
        all_methods=request.all_methods,
        signatures=request.signatures,
        inputs_as_nchw=request.inputs_as_nchw,
        tags=request.tags,
        outputs=request.outputs,
        weights=None if request.weights is None else Path(request.weights),
        atol=request.atol,
        rtol=request.rtol,
        proof=request.proof,
        trust_source=request.trust_source,
        license=request.license,
        libraries=request.libraries,
    )


def _failure(error: BaseException, stage: str, limits: Limits) -> Failure:
    """The error as the other side shall raise it."""
    if _is_out_of_memory(error):
        error = WorkerError(
            "The worker process ran out of memory.",
            stage=stage,
            hint="Use a machine with more memory." if limits.memory_bytes is None else "Raise --memory-limit.",
        )
    elif (full := _disk_error(error)) is not None:
        error = WorkerError(
            f"The worker process could not write: {full.strerror}.",
            stage=stage,
            where=str(full.filename or ""),
            hint="Make room beside the output and in the folder of temporary files"
            + ("." if limits.file_bytes is None else ", or raise --file-limit."),
        )
    elif not isinstance(error, TransloadError):
        error = ExecutionError(
            f"The worker process failed in the stage {stage!r}: {type(error).__name__}: {error}",
            hint="This is a fault of transload; `--verbose` shows the traceback, please report it.",
        )
    name = next(cls.__name__ for cls in type(error).__mro__ if cls.__name__ in ERROR_CLASSES)
    return Failure(name, error_fields(error))


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether the error, or one that led to it, says that memory ran out."""
    return any(isinstance(each, MemoryError) or _OUT_OF_MEMORY.search(str(each)) for each in _chain(error))


def _disk_error(error: BaseException) -> OSError | None:
    """The error, or one that led to it, if it says that a file could not be written."""
    return next((each for each in _chain(error) if isinstance(each, OSError) and each.errno in DISK_ERRORS), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what led to it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


if __name__ == "__main__":
    main(sys.argv[1:])

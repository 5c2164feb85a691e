"""Converting and comparing in a worker process: limits, what its death means, and no file left behind."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from transload.convert.compare.result import Comparison
from transload.convert.debug.finding import Finding
from transload.convert.platform import exits_on_termination, kill_group, signal_name
from transload.convert.verbosity import SWITCH
from transload.convert.worker import (
    CompareRequest,
    DebugRequest,
    Done,
    Event,
    Failure,
    Limits,
    Request,
    Stage,
    Unprotected,
    Work,
)
from transload.serialize.errors import ERROR_CLASSES, UsageError, WorkerError
from transload.serialize.platform import sync_folder

# -P: a file in the user's folder must not shadow a module of the standard library or of a framework.
_COMMAND = (sys.executable, "-P", "-m", "transload.convert.worker")

_EVENTS = msgspec.json.Decoder(Event)

POLL_S = 0.1
EXIT_GRACE_S = 5.0
"""How long a worker that has reported its result may take to end."""

MAX_FRAMES = 4
MAX_LINES = 5
LAST_BYTES = 64 << 10
"""How much of a dead worker's output is looked at, from its end."""


@dataclass(frozen=True)
class WorkerReport:
    """What a conversion took: seconds of wall clock by stage, and the worker's largest resident size.

    `unprotected` says what of the sandbox this machine does not have.
    """

    stage_seconds: dict[str, float]
    peak_memory_bytes: int
    unprotected: tuple[str, ...] = ()


OnUnprotected = Callable[[tuple[str, ...]], None]
"""Called with what of the sandbox this machine does not have; with nothing where it has all."""


def compare_in_worker(
    request: CompareRequest,
    *,
    limits: Limits | None = None,
    on_unprotected: OnUnprotected = lambda missing: None,
    verbose: bool = False,
) -> Comparison:
    """Compare two models in a child process.

    Raises:
        WorkerError: the child crashed, or ran out of its limits.
        TransloadError: whatever stopped the comparison in the child.
    """
    return msgspec.json.decode(_ask_worker(request, limits, on_unprotected, verbose), type=Comparison)


def debug_in_worker(
    request: DebugRequest,
    *,
    limits: Limits | None = None,
    on_unprotected: OnUnprotected = lambda missing: None,
    verbose: bool = False,
) -> Finding:
    """Search for the node that is to blame in a child process.

    Raises:
        WorkerError: the child crashed, or ran out of its limits.
        TransloadError: whatever stopped the search in the child.
    """
    return msgspec.json.decode(_ask_worker(request, limits, on_unprotected, verbose), type=Finding)


def _ask_worker(request: Work, limits: Limits | None, on_unprotected: OnUnprotected, verbose: bool) -> bytes:
    """The JSON that a child process answers a request with."""
    with exits_on_termination(), tempfile.TemporaryDirectory(prefix="transload-") as folder:
        result = Path(folder) / "result.json"
        report = _run(request, result, limits or Limits(), lambda stage: None, verbose)
        on_unprotected(report.unprotected)
        return result.read_bytes()


def convert_in_worker(
    request: Request,
    target: Path,
    *,
    limits: Limits | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
    verbose: bool = False,
) -> WorkerReport:
    """Convert in a child process; `target` appears whole, or is what it was before.

    All that the child writes is in a scratch folder beside the target, which is removed in any case. The child and
    whatever it started are killed when this process is interrupted or terminated.

    Args:
        request: What to convert, and how.
        target: The package file to write.
        limits: What the child may use.
        on_stage: Called when a stage begins, with its name.
        verbose: Let the frameworks' own output through to stderr.

    Raises:
        UsageError: the target cannot be written, or is the source.
        WorkerError: the child crashed, or ran out of its limits.
        TransloadError: whatever stopped the conversion in the child.
    """
    _check_target(Path(request.source), target)
    with exits_on_termination(), _scratch_folder(target) as scratch:
        package = scratch / "package.tload"
        report = _run(request, package, limits or Limits(), on_stage, verbose)
        if not stat.S_ISREG(package.lstat().st_mode):
            raise WorkerError("The worker process wrote something that is no file.", stage="package")
        package.replace(target)
        sync_folder(target.parent)
    return report


@dataclass
class _Progress:
    """What the worker has told so far, and when each stage began."""

    began: list[tuple[str, float]] = field(default_factory=lambda: [("start", time.monotonic())])
    result: Failure | Done | None = None
    unprotected: tuple[str, ...] = ()

    @property
    def stage(self) -> str:
        return self.began[-1][0]

    def seconds(self) -> dict[str, float]:
        ends = [moment for _, moment in self.began[1:]] + [time.monotonic()]
        return {name: end - moment for (name, moment), end in zip(self.began, ends, strict=True)}


def _run(request: Work, package: Path, limits: Limits, on_stage: Callable[[str], None], verbose: bool) -> WorkerReport:
    progress = _Progress()
    # Without a name, so that nothing that runs in the worker can put something else in its place.
    with contextlib.nullcontext() if verbose else tempfile.TemporaryFile(dir=package.parent) as log:
        with _worker(request, package, limits, log) as (process, events):
            _follow(process, events, progress, limits, on_stage)
        if progress.result is None:
            raise _death(process.returncode, progress.stage, limits, log)
    if isinstance(progress.result, Failure):
        raise ERROR_CLASSES[progress.result.error_class](**progress.result.fields)
    return WorkerReport(progress.seconds(), progress.result.peak_memory_bytes, progress.unprotected)


@contextlib.contextmanager
def _worker(
    request: Work, package: Path, limits: Limits, log: IO[bytes] | None
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The running worker, and the end of the pipe from which its events come; at the end nothing of it runs."""
    temporary = package.parent / "tmp"
    temporary.mkdir()
    output: IO[bytes] | int = 2 if log is None else log
    reader, writer = os.pipe()
    try:
        try:
            process = subprocess.Popen(
                [*_COMMAND, str(writer), str(package), msgspec.json.encode(limits).decode()],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=[writer],
                env=os.environ | {"TMPDIR": str(temporary)} | ({SWITCH: "1"} if log is None else {}),
                start_new_session=True,
            )
        finally:
            os.close(writer)
        try:
            assert process.stdin is not None
            # A worker that dies at once breaks this pipe; its exit status tells more than the pipe does.
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(msgspec.json.encode(request))
            yield process, reader
        finally:
            kill_group(process.pid)
            process.wait()
    finally:
        os.close(reader)


def _follow(
    process: subprocess.Popen[bytes],
    events: int,
    progress: _Progress,
    limits: Limits,
    on_stage: Callable[[str], None],
) -> None:
    """Read events until the worker has told its result or is gone.

    Raises:
        WorkerError: the time limit passed.
    """
    deadline = None if limits.time_s is None else time.monotonic() + limits.time_s
    pending = b""
    while progress.result is None:
        gone = process.poll() is not None
        if select.select([events], [], [], 0 if gone else POLL_S)[0]:
            chunk = os.read(events, 1 << 16)
            if not chunk:
                break
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                _take(_decode(line, progress.stage), progress, on_stage)
        elif gone:
            break
        if deadline is not None and time.monotonic() > deadline and progress.result is None:
            raise WorkerError(
                f"The worker process did not end within its time limit of {limits.time_s:g} s.",
                stage=progress.stage,
                hint="Raise --time-limit.",
            )
    # Killing a worker that is about to end by itself would hide how it ended.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(EXIT_GRACE_S)


def _decode(line: bytes, stage: str) -> Event:
    """An event, not trusted: what runs in the worker may be a stranger's."""
    try:
        event: Event = _EVENTS.decode(line)
        if isinstance(event, Failure):
            ERROR_CLASSES[event.error_class](**event.fields)
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise WorkerError("The worker process reported something that makes no sense.", stage=stage) from error
    return event


def _take(event: Event, progress: _Progress, on_stage: Callable[[str], None]) -> None:
    if isinstance(event, Stage):
        progress.began.append((event.name, time.monotonic()))
        on_stage(event.name)
    elif isinstance(event, Unprotected):
        progress.unprotected = event.missing
    else:
        progress.result = event


def _death(status: int, stage: str, limits: Limits, log: IO[bytes] | None) -> WorkerError:
    """What to say of a worker that ended without a result."""
    hint = "`--verbose` shows all that the framework wrote."
    if status >= 0:
        what = f"The worker process ended with status {status} and no result."
    elif (name := signal_name(-status)) == "SIGKILL":
        what = "The worker process was killed (SIGKILL), most often because the machine ran out of memory."
        hint = "Use a machine with more memory."
    elif name == "SIGXCPU" and limits.cpu_s is not None:
        what = f"The worker process did not end within its limit of {limits.cpu_s:g} s of processor time."
        hint = "Raise --cpu-limit."
    else:
        what = f"The worker process crashed with {name}."
        if limits.memory_bytes is not None:
            hint = f"The memory limit was {limits.memory_bytes} bytes; libraries may crash when they reach it. {hint}"
    return WorkerError(what, stage=stage, where=_last_words(log), hint=hint)


def _last_words(log: IO[bytes] | None) -> str:
    """Where a crash happened, as Python's fault handler wrote it; else the last lines of the output."""
    if log is None:
        return ""
    log.seek(max(0, log.seek(0, os.SEEK_END) - LAST_BYTES))
    lines = log.read().decode(errors="replace").splitlines()
    frames = [line.strip() for line in lines if line.startswith("  File ")]
    if any(line.startswith("Fatal Python error") for line in lines):
        return "\n    ".join(frames[:MAX_FRAMES])
    return "\n    ".join([line for line in lines if line.strip()][-MAX_LINES:])


def _check_target(source: Path, target: Path) -> None:
    if target.is_dir():
        raise UsageError(f"{target} is a folder.", hint="Name the package file to write, for instance model.tload.")
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"{target} is the source itself; the package would overwrite it.")


@contextlib.contextmanager
def _scratch_folder(target: Path) -> Iterator[Path]:
    """A new folder beside the target, on the same file system, removed at the end."""
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    except OSError as error:
        raise UsageError(f"Cannot write into {target.parent}: {error.strerror}.") from error
    try:
        yield scratch.absolute()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)

"""Calls whose meaning depends on the operating system: limits of a worker process, and the end of its whole group."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_PR_SET_PDEATHSIG = 1
"""Linux, prctl(2): the signal that a process gets when its parent dies."""


OPEN_FILES = 4096
"""Files that a worker may have open at once; frameworks need some hundred."""


def limit_this_process(*, memory_bytes: int | None, cpu_s: float | None, file_bytes: int | None) -> None:
    """Leave no core file, die with the parent, and refuse what exceeds a limit; None is no limit.

    Args:
        memory_bytes: Address space.
        cpu_s: Seconds of all processors together; at their end the process dies by SIGXCPU.
        file_bytes: The size of a file that it writes.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_AS, memory_bytes)
    # Two seconds between SIGXCPU, which tells what happened, and SIGKILL, which does not.
    _limit(resource.RLIMIT_CPU, None if cpu_s is None else math.ceil(cpu_s), grace=2)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit(what: int, value: int | None, grace: int = 0) -> None:
    if value is None:
        return
    hard = resource.getrlimit(what)[1]
    highest = value + grace if hard == resource.RLIM_INFINITY else min(value + grace, hard)
    resource.setrlimit(what, (min(value, highest), highest))


def peak_memory_bytes() -> int:
    """The largest resident size that this process has had."""
    # Linux counts in kilobytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def return_free_memory() -> None:
    """Give the system back what was freed, where the C library keeps it and can be told so (glibc, malloc_trim(3))."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def kill_group(process_id: int) -> None:
    """Kill a process that leads its own session, and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process_id, signal.SIGKILL)


def signal_name(number: int) -> str:
    """`SIGSEGV` and so on; real-time signals, which have no name, by number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@contextlib.contextmanager
def exits_on_termination() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit (status 128 + number), so that what is open gets cleaned up.

    Only the main thread may handle signals; in another one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    former = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)

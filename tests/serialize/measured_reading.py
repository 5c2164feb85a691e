"""What reading a file costs: processor time and the largest memory, in a process that does nothing else."""

from __future__ import annotations

import ctypes
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from transload.convert.peers.worker import peak_bytes

LIMIT_BYTES = 64 << 20
"""How much memory a broken file may take, beside its own size."""

LIMIT_S = 2.0
"""How much processor time a broken file may take."""


@dataclass(frozen=True)
class Cost:
    """What one file took. `verdict` is what the reader made of it; the time is endless where it died of it.

    Memory includes the pages of the file itself.
    """

    verdict: str
    memory_bytes: int
    seconds: float

    def is_met(self, size_bytes: int) -> bool:
        """Whether a file of this size stayed in the limits."""
        return self.memory_bytes < LIMIT_BYTES + size_bytes and self.seconds < LIMIT_S


def forget_peak() -> None:
    """From now on the kernel's peak is that of what comes, not of what was; see proc(5)."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def measure(read: Callable[[Path], str], path: Path, good: Path) -> Cost:
    """Read a file in a fork of this process that has read a good one before, so that all code is there.

    `read` returns the reader's verdict. Processor time, not wall-clock time, since the machine may be busy.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            read(good)
            forget_peak()
            before, began = peak_bytes(), time.process_time()
            verdict = read(path)
            os.write(writer, json.dumps([verdict, peak_bytes() - before, time.process_time() - began]).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Cost(*json.loads(answer)) if answer else Cost(f"ended by {-status}", 0, math.inf)

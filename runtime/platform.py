"""Calls whose meaning depends on the operating system: what the processor is, and where a user's cache lies."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
from pathlib import Path

CPU_FIELDS = ("vendor_id", "cpu family", "model", "stepping", "flags")
"""The fields of /proc/cpuinfo that decide which kernels ONNX Runtime takes and how they lay out weights."""


def describe_cpu() -> str:
    """The first processor's `CPU_FIELDS`, one `field: value` line each; flags sorted. Elsewhere than on Linux: ''."""
    found: dict[str, str] = {}
    try:
        with Path("/proc/cpuinfo").open() as file:
            for line in file:
                name, separator, value = line.partition(":")
                if not separator:
                    # An empty line ends the first processor; the others are of the same kind.
                    break
                found[name.strip()] = value.strip()
    except OSError:
        return ""
    if "flags" not in found:
        return ""
    found["flags"] = " ".join(sorted(found["flags"].split()))
    return "\n".join(f"{name}: {found.get(name, '')}" for name in CPU_FIELDS)


def machine_name() -> str:
    """The processor's architecture, such as `x86_64`."""
    return platform.machine()


def cache_folder() -> Path:
    """Where this user's caches lie: `$XDG_CACHE_HOME`, or `~/.cache` where that is not set or not absolute."""
    # XDG Base Directory Specification 0.8: relative paths must be ignored.
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    return Path(chosen) if Path(chosen).is_absolute() else Path.home() / ".cache"


def is_own_file(path: Path) -> bool:
    """Whether the file is this user's and nobody else may write it."""
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def return_free_memory() -> None:
    """Give memory that was freed, but that the allocator keeps for later, back to the system, where it can."""
    with contextlib.suppress(AttributeError, OSError):
        # glibc alone has the function, and needs it: blocks of up to 32 MiB stay in its heap after the first one.
        ctypes.CDLL(None).malloc_trim(0)

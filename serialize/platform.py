"""Calls whose meaning depends on the operating system: mapping and replacing files, and counting processors."""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from transload.serialize.errors import PackageError, UsageError


@dataclass(frozen=True)
class FileState:
    """Which file a path led to, and when it was last written: two equal ones are the same unchanged file."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int


def file_state(status: os.stat_result) -> FileState:
    """The state that `stat` or `fstat` tells."""
    return FileState(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def map_file(path: Path) -> tuple[mmap.mmap, FileState]:
    """A read-only mapping of a whole regular file, and the file's state.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        PackageError: it is empty or not a regular file.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise PackageError(f"{path} is not a regular file.", rule="regular-file")
            if status.st_size == 0:
                raise PackageError(f"{path} is empty.", rule="end-record")
            # With its size, since a file that shrank meanwhile must not be mapped past its end.
            return mmap.mmap(file.fileno(), status.st_size, access=mmap.ACCESS_READ), file_state(status)
    except IsADirectoryError as error:
        raise UsageError(
            f"{path} is a folder, not a package.", hint="`transload pack` makes a package from a folder."
        ) from error
    except ValueError as error:
        raise PackageError(f"{path} was cut short while it was opened.", rule="changed") from error
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from error


def count_cpus() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` when the block ends well, and vanishes when it does not.

    It is written beside the target, synced, renamed over it, and the folder is synced: after a crash or a power cut
    at any moment, `path` is what it was before or what it became, whole.

    Raises:
        UsageError: the folder does not exist or cannot be written, or the disk is full or fails.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with _create(temporary) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UsageError(f"Cannot write {path}: {error.strerror or error}.") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _create(path: Path) -> IO[bytes]:
    try:
        return path.open("x+b")
    except OSError as error:
        raise UsageError(f"Cannot write into {path.parent}: {error.strerror}.") from error


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

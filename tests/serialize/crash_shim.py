"""A shim between a save and the disk: it counts and records every step, and can fail or end the process at any.

Steps are what changes the disk: creating a file, each write and truncation that reaches the kernel, syncing, renaming
and removing. It takes the place of `io.open`, `os.fsync`, `os.replace` and `os.unlink`, which is how Python does them.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Step:
    """One step: what it does, to which file, and the bytes and place of a write."""

    action: str
    path: str
    data: bytes = b""
    offset: int = 0
    target: str = ""


@dataclass
class Shim:
    """The steps so far. `before` is called ahead of each with its number; `shorten` writes one byte of two."""

    before: Callable[[int, Step], None] = lambda number, step: None
    shorten: bool = False
    steps: list[Step] = field(default_factory=list)
    _count: int = 0

    def take(self, step: Step) -> None:
        number, self._count = self._count, self._count + 1
        self.before(number, step)
        self.steps.append(step)


class _File(io.FileIO):
    """A file whose writes are steps; the buffer above it decides what a write is, as it does without the shim."""

    def __init__(self, path: Any, mode: str, shim: Shim) -> None:
        self._shim = shim
        self._path = str(path)
        shim.take(Step("create", self._path))
        super().__init__(path, mode)

    def write(self, data: Any) -> int:
        piece = bytes(data)
        if self._shim.shorten and len(piece) > 1:
            piece = piece[: -(-len(piece) // 2)]
        self._shim.take(Step("write", self._path, piece, self.tell()))
        return super().write(piece)

    def truncate(self, size: int | None = None) -> int:
        size = self.tell() if size is None else size
        self._shim.take(Step("truncate", self._path, offset=size))
        return super().truncate(size)


@contextlib.contextmanager
def installed(shim: Shim) -> Iterator[Shim]:
    """The shim in place of Python's own ways to the disk."""
    own = io.open, os.fsync, os.replace, os.unlink
    real_open, real_fsync, real_replace, real_unlink = own

    def open_file(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if mode != "x+b":
            return real_open(path, mode, *args, **kwargs)
        return io.BufferedRandom(_File(path, "x+b", shim))

    def fsync(handle: int) -> None:
        shim.take(Step("sync", str(Path(f"/proc/self/fd/{handle}").readlink())))
        real_fsync(handle)

    def replace(source: Any, target: Any) -> None:
        shim.take(Step("rename", str(source), target=str(target)))
        real_replace(source, target)

    def unlink(path: Any, **kwargs: Any) -> None:
        shim.take(Step("unlink", str(path)))
        real_unlink(path, **kwargs)

    io.open, os.fsync, os.replace, os.unlink = open_file, fsync, replace, unlink  # type: ignore[assignment]
    try:
        yield shim
    finally:
        io.open, os.fsync, os.replace, os.unlink = own  # type: ignore[assignment]


def states_after_power_cut(steps: list[Step], target: Path, old: bytes | None) -> Iterator[tuple[bytes | None, str]]:
    """What `target` may hold after the power went at the end of `steps`, and how it came to that.

    What was synced is on the disk. Of the rest, a disk may have everything, nothing, or some and not the other: each
    write may be lost alone, and the folder's changes (names) may be there up to any one of them, before or after the
    files' content.
    """
    synced_names = max((index for index, step in enumerate(steps) if _is_sync(step, target.parent)), default=-1)
    named = [index for index, step in enumerate(steps) if step.action in ("create", "rename", "unlink")]
    for names in [index for index in named if index > synced_names] + [synced_names]:
        content = _named(steps[: names + 1], target)
        if content is None:
            yield old, "the old name"
            continue
        for kept, lost in _kept_writes(steps, content):
            yield _replay(kept), f"names up to step {names}, without the writes {lost}"


def _is_sync(step: Step, folder: Path) -> bool:
    return step.action == "sync" and step.path == str(folder)


def _named(steps: list[Step], target: Path) -> str | None:
    """The file, by the name under which it was made, that `target` names; None for the one that was there before."""
    found = None
    for step in steps:
        if step.action == "rename" and step.target == str(target):
            found = step.path
    return found


def _kept_writes(steps: list[Step], path: str) -> Iterator[tuple[list[Step], list[int]]]:
    own = [step for step in steps if step.path == path and step.action in ("write", "truncate", "sync")]
    last_sync = max((index for index, step in enumerate(own) if step.action == "sync"), default=-1)
    open_writes = list(range(last_sync + 1, len(own)))
    for lost in ([], open_writes, *([index] for index in open_writes)):
        yield [step for index, step in enumerate(own) if index not in lost], lost


def _replay(steps: list[Step]) -> bytes:
    content = bytearray()
    for step in steps:
        if step.action == "write":
            content.extend(bytes(max(0, step.offset + len(step.data) - len(content))))
            content[step.offset : step.offset + len(step.data)] = step.data
        elif step.action == "truncate":
            del content[step.offset :]
            content.extend(bytes(step.offset - len(content)))
    return bytes(content)

"""A package that was cut off or has a flipped bit anywhere is refused, in little memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from broken_files import (
    Damage,
    Report,
    every_truncation,
    one_flip_of_each_byte,
    read_all,
    sampled_flips,
    try_all,
    write_package,
)
from costly_files import COSTLY
from measured_reading import LIMIT_BYTES, measure
from packages import rebuild

from transload.serialize.errors import PackageError


def check(report: Report) -> None:
    assert report.accepted == []
    assert report.memory_bytes < LIMIT_BYTES


@pytest.mark.parametrize("damages", [every_truncation, one_flip_of_each_byte])
def test_every_broken_copy_of_a_small_package_is_refused(
    tmp_path: Path, damages: Callable[[int], Iterator[Damage]]
) -> None:
    path = write_package(tmp_path / "m.tload", 16)
    size_bytes = path.stat().st_size
    report = try_all(path, damages(size_bytes))
    check(report)
    # A file of no bytes cannot be mapped, and is refused like the others.
    assert sum(report.refused.values()) == size_bytes
    read_all(path)


def test_flipped_bits_of_a_large_package_are_refused(tmp_path: Path) -> None:
    path = write_package(tmp_path / "m.tload", 700)
    check(try_all(path, sampled_flips(path.stat().st_size, 100)))


def test_the_whole_package_is_not_refused(tmp_path: Path) -> None:
    path = write_package(tmp_path / "m.tload", 16)
    report = try_all(path, [("cut", path.stat().st_size, 0)])
    assert len(report.accepted) == 1


def test_a_reader_that_takes_much_memory_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # More than the limit was in use before, and given back: that must not hide what is taken later.
    bytearray(b"x" * (4 * LIMIT_BYTES))
    path = write_package(tmp_path / "m.tload", 16)
    monkeypatch.setattr("broken_files.read_all", lambda path: bytearray(b"x" * (2 * LIMIT_BYTES)) and None)
    assert try_all(path, [("cut", 10, 0)]).memory_bytes > LIMIT_BYTES


def test_what_goes_to_a_limit_of_the_format_takes_little_memory(tmp_path: Path) -> None:
    whole = write_package(tmp_path / "forward.tload", 16, "forward")
    data, path = whole.read_bytes(), tmp_path / "m.tload"
    too_much = []
    for name, edit in COSTLY.items():
        path.write_bytes(rebuild(data, edit))
        cost = measure(verdict, path, whole)
        if cost.memory_bytes > LIMIT_BYTES + path.stat().st_size or cost.verdict.startswith("ended"):
            too_much.append(f"{name}: {cost}")
    assert too_much == []


def verdict(path: Path) -> str:
    try:
        read_all(path)
    except PackageError as error:
        return error.rule
    return "accepted"


def test_a_process_that_takes_much_memory_or_dies_would_be_found(tmp_path: Path) -> None:
    whole = write_package(tmp_path / "m.tload", 16)

    def read(path: Path) -> str:
        return str(len(bytearray(b"x" * LIMIT_BYTES))) if path != whole else ""

    spoiled = tmp_path / "spoiled.tload"
    spoiled.write_bytes(b"")
    assert not measure(read, spoiled, whole).is_met(0)
    assert measure(lambda path: os.kill(os.getpid(), 9) or "", spoiled, whole).verdict == "ended by 9"  # type: ignore[func-returns-value]


def test_a_bit_that_nothing_checks_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The planted fault: a reader that compares no CRC-32.
    monkeypatch.setattr("transload.serialize.archive.Archive.check_crc32", lambda archive, name: None)
    path = write_package(tmp_path / "m.tload", 16)
    assert try_all(path, one_flip_of_each_byte(path.stat().st_size)).accepted
    with pytest.raises(PackageError):
        path.write_bytes(path.read_bytes()[:-1])
        read_all(path)

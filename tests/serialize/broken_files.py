"""Broken copies of a package, one after another: each must be refused, or hold exactly what the whole one holds.

`make broken` tries every truncation and every flipped bit of a small package and 2,000 flipped bits of a large one, and
tells how long the slowest took and how much memory was needed.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from packages import linear_component

from transload.convert.peers.worker import peak_bytes
from transload.serialize import Package, open_package
from transload.serialize.errors import PackageError

LIMIT_BYTES = 64 << 20


@dataclass
class Report:
    """What became of the broken copies: how many by the rule that refused them, and those that nobody refused."""

    refused: dict[str, int] = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    memory_bytes: int = 0


Damage = tuple[str, int, int]
"""`cut` at a length, or `flip` of a byte's bit."""


def every_truncation(size_bytes: int) -> Iterator[Damage]:
    return (("cut", length, 0) for length in range(size_bytes))


def every_flip(size_bytes: int) -> Iterator[Damage]:
    return (("flip", position, bit) for position in range(size_bytes) for bit in range(8))


def one_flip_of_each_byte(size_bytes: int) -> Iterator[Damage]:
    return (("flip", position, position % 8) for position in range(size_bytes))


def sampled_flips(size_bytes: int, count: int) -> Iterator[Damage]:
    numbers = random.Random(9)
    return (("flip", numbers.randrange(size_bytes), numbers.randrange(8)) for _ in range(count))


def try_all(path: Path, damages: Iterable[Damage]) -> Report:
    """Damage the file in place, read all of it as a program would, and undo the damage; again and again."""
    whole = path.read_bytes()
    report = Report()
    # From now on the kernel's peak is this function's, not that of what ran before in this process; see proc(5).
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_bytes()
    for kind, position, bit in damages:
        with path.open("r+b") as file:
            if kind == "cut":
                file.truncate(position)
            else:
                file.seek(position)
                file.write(bytes([whole[position] ^ 1 << bit]))
        began = time.monotonic()
        try:
            read_all(path)
        except PackageError as error:
            report.refused[error.rule] = report.refused.get(error.rule, 0) + 1
        else:
            report.accepted.append(f"{kind} {position}.{bit}")
        report.slowest_s = max(report.slowest_s, time.monotonic() - began)
        with path.open("r+b") as file:
            file.seek(position)
            file.write(whole[position:] if kind == "cut" else whole[position : position + 1])
    report.memory_bytes = peak_bytes() - before
    return report


def read_all(path: Path) -> None:
    """Everything that a load and a verification would read, short of running it."""
    package = open_package(path)
    for name in package.component_names:
        package.model_proto(name)
        package.vectors(name)


def write_package(path: Path, width: int) -> Path:
    weight = np.random.default_rng(3).standard_normal((width, width)).astype(np.float32)
    return Package("m", (linear_component("f", weight),)).save(path)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        small = write_package(Path(folder) / "small.tload", 16)
        large = write_package(Path(folder) / "large.tload", 1400)
        for name, path, damages in (
            ("every truncation of a small package", small, every_truncation(small.stat().st_size)),
            ("every flipped bit of a small package", small, every_flip(small.stat().st_size)),
            ("2,000 flipped bits of a large package", large, sampled_flips(large.stat().st_size, 2000)),
        ):
            report = try_all(path, damages)
            rules = ", ".join(f"{rule} {count}" for rule, count in sorted(report.refused.items()))
            print(f"{name} ({path.stat().st_size} bytes): {sum(report.refused.values())} refused ({rules}),")
            print(
                f"  {len(report.accepted)} accepted {report.accepted[:5]}, slowest {report.slowest_s:.3f} s, ", end=""
            )
            print(f"{report.memory_bytes / 1e6:.1f} MB of memory")
            sys.exit(1) if report.accepted else None


if __name__ == "__main__":
    main()

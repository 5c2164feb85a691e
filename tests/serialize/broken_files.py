"""Broken copies of a package, one after another: each must be refused, or hold exactly what the whole one holds.

`make broken` tries every truncation and every flipped bit of a small package and 2,000 flipped bits of a large one, and
tells how long the slowest took and how much memory was needed. Then it has both readers read a file for each rule and
for each limit, each in a process of its own, and holds what that takes against our limits.
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
from measured_reading import LIMIT_S, Cost, forget_peak, measure
from packages import linear_component, rebuild

from transload.convert.peers.worker import peak_bytes
from transload.serialize import Package, open_package
from transload.serialize.errors import PackageError


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
    forget_peak()
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


def write_package(path: Path, width: int, component: str = "f") -> Path:
    weight = np.random.default_rng(3).standard_normal((width, width)).astype(np.float32)
    return Package("m", (linear_component(component, weight),)).save(path)


def try_copies(folder: Path) -> bool:
    """Truncations and flipped bits; whether all were refused in time."""
    small = write_package(folder / "small.tload", 16)
    large = write_package(folder / "large.tload", 1400)
    good = True
    for name, path, damages in (
        ("every truncation of a small package", small, every_truncation(small.stat().st_size)),
        ("every flipped bit of a small package", small, every_flip(small.stat().st_size)),
        ("2,000 flipped bits of a large package", large, sampled_flips(large.stat().st_size, 2000)),
    ):
        report = try_all(path, damages)
        rules = ", ".join(f"{rule} {count}" for rule, count in sorted(report.refused.items()))
        print(f"{name} ({path.stat().st_size} bytes): {sum(report.refused.values())} refused ({rules}),")
        print(f"  {len(report.accepted)} accepted {report.accepted[:5]}, slowest {report.slowest_s:.3f} s, ", end="")
        print(f"{report.memory_bytes / 1e6:.1f} MB of memory", flush=True)
        good &= not report.accepted and report.slowest_s < LIMIT_S
    return good


def try_rules(folder: Path) -> bool:
    """A file for each rule and limit through both readers; whether they agree and stayed in our limits."""
    # Imported here: these need the built C++ loader, and pytest.
    from loader import Loader
    from test_verdicts import EDITS, loader_verdict, python_verdict

    loader = Loader()
    readers = {
        "Python": lambda path: str(python_verdict(path, "crc32")),
        "C++": lambda path: str(loader_verdict(loader, path, "crc32")),
    }
    whole = write_package(folder / "forward.tload", 16, "forward")
    data, path = whole.read_bytes(), folder / "edited.tload"
    costs: dict[str, list[tuple[Cost, str]]] = {reader: [] for reader in readers}
    problems = []
    for name, edit in EDITS.items():
        path.write_bytes(rebuild(data, edit))
        size_bytes = path.stat().st_size
        found = {reader: measure(read, path, whole) for reader, read in readers.items()}
        if len({cost.verdict for cost in found.values()}) > 1:
            problems.append(f"{name}: {found}")
        for reader, cost in found.items():
            over = Cost(cost.verdict, cost.memory_bytes - size_bytes, cost.seconds)
            costs[reader].append((over, name))
            if not cost.is_met(size_bytes):
                problems.append(f"{name}: {reader} took {over.memory_bytes / 1e6:.1f} MB and {cost.seconds:.2f} s")
    for reader, each in costs.items():
        most, slowest = (
            max(each, key=key) for key in (lambda pair: pair[0].memory_bytes, lambda pair: pair[0].seconds)
        )
        print(f"{len(each)} files that break or stretch a rule, {reader}: at most ", end="")
        print(f"{most[0].memory_bytes / 1e6:.1f} MB beside the file ({most[1]}), ", end="")
        print(f"{slowest[0].seconds:.2f} s of processor ({slowest[1]})")
    print(*problems, sep="\n", end="\n" if problems else "")
    return not problems


def main() -> int:
    """Returns the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        # Not `and`: both are told of.
        return 0 if try_copies(Path(folder)) & try_rules(Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())

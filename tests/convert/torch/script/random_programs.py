"""Random TorchScript programs in which tensors, lists and control flow share memory and change in place."""

from __future__ import annotations

import linecache
import random
import typing
import zlib
from collections.abc import Callable
from typing import Any

import torch

TENSORS = ("a", "b", "c")
LISTS = ("p", "q")
HEADER = "def program(x: Tensor, n: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor, Tensor, int]:"


def write_program(seed: int) -> str:
    """The source of a program over a tensor x[3] and a number n of trips; lists are never empty."""
    return "\n".join([HEADER, *_Writer(random.Random(seed)).write()]) + "\n"


def load_program(source: str) -> Callable[..., Any]:
    """The program as a Python function that torch.jit.script can read."""
    file = f"<random program {zlib.crc32(source.encode())}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    scope = {"torch": torch, "Tensor": torch.Tensor, **vars(typing)}
    exec(compile(source, file, "exec"), scope)
    program: Callable[..., Any] = scope["program"]
    return program


class _Writer:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.loops = 0

    def write(self) -> list[str]:
        lines = [
            "a, b, c = x + 1, x * 2, x - 1",
            "p, q = [x + 3, x * 0.5], [a, b]",
            "k = 0",
            *self._block(self.chance.randint(3, 7), 0),
            "return a, b, c, torch.stack(p).sum(0), torch.stack(q).sum(0), k",
        ]
        return ["    " + line for line in lines]

    def _block(self, count: int, depth: int) -> list[str]:
        return [line for _ in range(count) for line in self._statement(depth)]

    def _statement(self, depth: int) -> list[str]:
        if depth < 3 and self.chance.random() < 0.35:
            return self._branch(depth) if self.chance.random() < 0.5 else self._loop(depth)
        return [self._simple()]

    def _simple(self) -> str:
        pick = self.chance.choice
        one, other, items, others = pick(TENSORS), pick(TENSORS), pick(LISTS), pick(LISTS)
        number = pick(("0", "1", "-1"))
        return pick(
            (
                f"{one} = {other} + {pick(TENSORS)}",
                f"{one} = {other}",
                f"{one} = {other}.view(-1)",
                f"{one} = {other}[torch.arange(3)]",
                f"{one} = {items}[{number}]",
                f"{one} += {other}",
                f"{one} -= 1",
                f"{one}.mul_(0.5)",
                f"{one}[{pick('012')}] = {other}.sum() * 0.1",
                f"{one}[1:] += 1",
                f"{one}[:2].copy_({other}[1:])",
                f"{items}.append({one})",
                f"{items}.append({one} * 0.3)",
                f"{items}[{number}] = {one}",
                f"{items}[{number}] += 1",
                f"{items}[{number}] = {items}[{number}] - 1",
                f"{items} = {others}",
                f"{items} = [{one}, {other}]",
                f"{items} = {items} + [{one}]",
                f"{items}.reverse()",
                f"if len({items}) > 1: {items}.pop()",
                f"k += len({items})",
                f"k = int({one}.sum() > 0) + k % 3",
            )
        )

    def _condition(self) -> str:
        pick = self.chance.choice
        return pick(
            (
                f"bool({pick(TENSORS)}.sum() > {pick(('0', '2', '-3'))})",
                f"k % 2 == {pick('01')}",
                f"len({pick(LISTS)}) > 2",
            )
        )

    def _branch(self, depth: int) -> list[str]:
        then = self._block(self.chance.randint(1, 3), depth + 1)
        lines = [f"if {self._condition()}:", *("    " + line for line in then)]
        if self.chance.random() < 0.6:
            otherwise = self._block(self.chance.randint(1, 3), depth + 1)
            lines += ["else:", *("    " + line for line in otherwise)]
        return lines

    def _loop(self, depth: int) -> list[str]:
        self.loops += 1
        index = f"i{self.loops}"
        body = self._block(self.chance.randint(1, 3), depth + 1)
        if self.chance.random() < 0.3:
            body.append(f"if {self._condition()}: {self.chance.choice(('break', 'continue'))}")
            body.append(self._simple())
        if self.chance.random() < 0.3:
            body.append(f"k += {index}")
        trips = self.chance.choice(("int(n)", "int(n)", "3", "len(p) % 5"))
        return [f"for {index} in range({trips}):", *("    " + line for line in body)]

"""Scripted programs: lists, tuples, dicts, strings, classes, submodule lists."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from script_check import check, op_types
from torch import Tensor, nn

ROWS = {"x": {0: "n"}}


def rows(*sizes: int) -> list[tuple[Tensor, ...]]:
    return [(torch.randn(size, 3, generator=torch.manual_seed(size)),) for size in sizes]


def appended_then_stacked(x: Tensor) -> Tensor:
    out: list[Tensor] = []
    for index in range(x.size(0)):
        out.append(x[index] * index)
    return torch.stack(out)


def appended_in_a_branch(x: Tensor) -> Tensor:
    out = [x[0]]
    for index in range(x.size(0)):
        if bool(x[index].sum() > 0):
            out.append(x[index])
    return torch.cat(out)


def grown_by_cat(x: Tensor) -> Tensor:
    out = torch.zeros(0, 3)
    for index in range(x.size(0)):
        out = torch.cat([out, x[index : index + 1] * 2, x[: index % 2]])
    return out


def list_of_ints(x: Tensor) -> Tensor:
    sizes: list[int] = []
    for index in range(x.size(0)):
        sizes.append(index * index)
    return torch.tensor(sizes) + len(sizes)


def ints_indexed(x: Tensor) -> Tensor:
    order: list[int] = []
    for index in range(x.size(0)):
        order.append(x.size(0) - 1 - index)
    total = torch.zeros(3)
    for index in range(len(order)):
        total = total * 0.5 + x[order[index]]
    return total


def popped_and_inserted(x: Tensor) -> Tensor:
    items = [x, x + 1, x + 2]
    last = items.pop()
    items.insert(0, last * 2)
    items[1] = items[1] - 1
    del items[-1]
    items.reverse()
    return torch.cat(items + [last])


def lists_of_lists(x: Tensor) -> Tensor:
    groups = [[x, x + 1], [x * 2]]
    groups[1].append(x * 3)
    total = x
    for group in groups:
        for item in group:
            total = total + item
    return total


def comprehension(x: Tensor) -> Tensor:
    return torch.stack([x * scale for scale in [1.0, 2.0, 3.0]]).sum(0)


def zipped(x: Tensor) -> Tensor:
    total = x
    for index, (scale, shift) in enumerate(zip([1.0, 2.0], [3.0, 4.0])):
        total = total * scale + shift * index
    return total


def swapped(x: Tensor) -> tuple[Tensor, Tensor]:
    a, b = x, x + 1
    a, b = b, a
    (c, d), e = (a, b), a
    return c - d, e


def dictionary(x: Tensor) -> dict[str, Tensor]:
    found = {"x": x}
    for name in ["a", "b"]:
        found[name] = found["x"] * len(found)
    if "c" not in found:
        found["c"] = found.pop("a")
    found.update({"d": x})
    return found


def dictionary_in_a_branch(x: Tensor) -> Tensor:
    found = {"a": x, "b": x + 1}
    if bool(x.sum() > 0):
        found["a"] = x * 2
    else:
        found["b"] = x * 3
    total = torch.zeros_like(x)
    for name, value in found.items():
        total = total + value * len(name)
    return total


def int_keys(x: Tensor) -> Tensor:
    found: dict[int, Tensor] = {}
    for index in range(3):
        found[index * 2] = x * index
    return found[4] + found.get(2, x)


def strings(x: Tensor, mode: str = "mean") -> Tensor:
    if mode.startswith("me") and mode.upper() == "MEAN":
        return x.mean(0)
    return x.sum(0)


def as_list(x: Tensor) -> Tensor:
    first: list[float] = x[0].tolist()
    total = 0.0
    for value in first:
        total += value
    return x * total


def computed_tensor(x: Tensor) -> Tensor:
    return torch.tensor([x.size(0), 2, x.size(1)]).float() + torch.tensor([float(x[0, 0]), 1.0, 2.0])


PROGRAMS = [
    appended_then_stacked, appended_in_a_branch, grown_by_cat, list_of_ints, ints_indexed, popped_and_inserted,
    lists_of_lists, comprehension, zipped, swapped, dictionary, dictionary_in_a_branch, int_keys, strings,
    computed_tensor,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_programs_keep_their_containers(program: object) -> None:
    example, *others = rows(3, 2, 5)
    check(program, *example, dynamic=ROWS, others=others)


def test_a_tensor_becomes_a_list_of_numbers() -> None:
    check(as_list, torch.randn(2, 3), others=[(torch.randn(2, 3),)])


Boxes = NamedTuple("Boxes", [("corners", Tensor), ("scores", Tensor)])


class Detector(nn.Module):
    def forward(self, boxes: Boxes, extra: tuple[Tensor, list[Tensor]]) -> tuple[Boxes, dict[str, Tensor]]:
        first, rest = extra
        return Boxes(boxes.corners * first, boxes.scores + rest[0]), {"rest": rest[1]}


def test_named_tuples_come_and_go() -> None:
    x = torch.randn(2, 3)
    check(Detector(), Boxes(x, x + 1), (x * 2, [x, x - 1]))


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(3)])
        self.heads = nn.ModuleDict({"a": nn.Linear(3, 2), "b": nn.Linear(3, 2)})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        for index, layer in enumerate(self.layers):
            x = torch.relu(layer(x)) if index < 2 else layer(x)
        out: dict[str, Tensor] = {}
        for name, head in self.heads.items():
            out[name] = head(x)
        return out


def test_lists_and_dicts_of_submodules_are_iterated() -> None:
    check(Stack(), *rows(3)[0], dynamic=ROWS, others=rows(5))


@torch.jit.script
class Accumulator:
    def __init__(self, start: float) -> None:
        self.total = start
        self.items: list[Tensor] = []

    def add(self, item: Tensor) -> None:
        self.items.append(item)
        self.total = self.total + 1.0

    def result(self) -> Tensor:
        return torch.stack(self.items).sum(0) * self.total


class UsesClass(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        accumulator = Accumulator(0.5)
        for index in range(3):
            accumulator.add(x * index)
        return accumulator.result()


def test_objects_of_scripted_classes_hold_state_within_the_call() -> None:
    check(UsesClass(), *rows(3)[0], dynamic=ROWS, others=rows(5))


class FirstSeen(nn.Module):
    """A state that is None before the loop."""

    def forward(self, x: Tensor) -> Tensor:
        state: Tensor | None = None
        for index in range(4):
            if state is None:
                state = x
            else:
                state = state * 0.5 + x * index
        assert state is not None
        return state


def test_a_state_that_is_none_at_first_is_followed_through_a_known_loop() -> None:
    check(FirstSeen(), *rows(3)[0], dynamic=ROWS, others=rows(5))


def test_a_list_appended_to_in_a_branch_is_a_sequence() -> None:
    assert "SequenceInsert" in op_types(check(appended_in_a_branch, *rows(3)[0], dynamic=ROWS))

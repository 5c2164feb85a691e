"""Programs with lists and operators whose results share memory, where one of them is changed."""

from __future__ import annotations

import torch
from script_check import check, refusal
from torch import Tensor

N = torch.tensor
POSITIVE, NEGATIVE = torch.ones(3), -torch.ones(3)


def test_a_list_that_one_arm_changes_and_whose_item_the_other_changes() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        a = x + 1
        items = [a, x]
        if bool(x.sum() > 0):
            items[0] = x * 2
        else:
            a += 10
        return items[0], a

    check(program, POSITIVE, others=[(NEGATIVE,)])


def test_a_list_inside_a_list_that_the_other_arm_changes() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        inner = [x + 1]
        outer = [inner, [x]]
        if bool(x.sum() > 0):
            outer[0] = [x * 2]
        else:
            inner[0] = x * 5
        return outer[0][0], inner[0]

    check(program, POSITIVE, others=[(NEGATIVE,)])


def test_a_tensor_put_into_a_growing_list_by_one_trip_and_changed_by_the_next() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        kept = [x * 0]
        y = x + 1
        for _ in range(int(n)):
            y += 1
            kept.append(y)
        return torch.stack(kept)

    refusal(program, POSITIVE, N(2))


def test_a_tensor_put_into_a_growing_list_late_by_one_trip_and_changed_by_the_next() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        kept = [x * 0]
        y = x + 1
        last = x
        for _ in range(int(n)):
            y += 1
            kept.append(last)
            last = y
        return torch.stack(kept)

    refusal(program, POSITIVE, N(3))


def test_conj_physical_of_a_real_tensor_is_that_tensor() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        y = x + 1
        z = torch.conj_physical(y)
        z += 1
        return y, z

    refusal(program, POSITIVE)


def test_a_grid_shares_memory_with_its_axes() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        y = x + 1
        grids = torch.meshgrid([y, x])
        y += 1
        return grids[0], y

    refusal(program, POSITIVE)


def test_a_list_that_may_be_another_and_is_changed_in_a_loop() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        a, b = [x + 1], [x + 2]
        c = a
        for i in range(int(n)):
            if i % 2 == 0:
                c = b
            c[0] = c[0] * 2
        return a[0] + b[0]

    assert "may be the same list" in str(refusal(program, POSITIVE, N(3)))


def test_a_tensor_that_is_another_from_the_second_trip_on() -> None:
    def program(x: Tensor, n: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, b, c = x + 1, x + 2, x + 3
        for i in range(int(n)):
            if i == 1:
                a = b
            b = c * 2
            c = a + 1
            a += 1
        return a, b, c

    check(program, POSITIVE, N(3), others=[(NEGATIVE, N(0)), (NEGATIVE, N(2)), (NEGATIVE, N(5))])

"""Integers divided and rounded down, at the edges of their range."""

from __future__ import annotations

import pytest
import torch
from script_check import check

LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1
EDGES = torch.tensor([LOWEST, LOWEST + 1, -7, -6, -1, 0, 1, 6, 7, HIGHEST - 1, HIGHEST])


def by_three(n: torch.Tensor) -> torch.Tensor:
    return torch.div(n, 3, rounding_mode="floor")


def by_minus_four(n: torch.Tensor) -> torch.Tensor:
    return n // -4


def by_another(n: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return torch.floor_divide(n, other)


@pytest.mark.parametrize("program", [by_three, by_minus_four])
def test_the_remainder_of_the_lowest_integer_does_not_overflow(program: object) -> None:
    check(program, EDGES)
    check(program, EDGES.clamp(-128, 127).to(torch.int8))


def test_divisors_that_are_computed_may_have_either_sign() -> None:
    for divisor in (3, -3, 7, HIGHEST, LOWEST):
        check(by_another, EDGES, torch.full_like(EDGES, divisor))


def test_the_remainder_of_a_division_is_exact_beyond_what_a_float64_holds() -> None:
    def remainders(n: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.fmod(n, 3), torch.fmod(n, -1000)

    check(remainders, EDGES)
    check(remainders, torch.tensor([(1 << 53) + 1, -(1 << 53) - 1]))

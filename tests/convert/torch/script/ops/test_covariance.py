"""Covariances and correlations: one variable, weights, dynamic sizes."""

from __future__ import annotations

import torch
from script_check import check


def both(value: torch.Tensor) -> list[torch.Tensor]:
    return [torch.cov(value), torch.corrcoef(value), torch.cov(value, correction=0)]


def test_any_number_of_variables_and_observations() -> None:
    names = {"value": {0: "variables", 1: "observations"}}
    check(both, torch.randn(3, 4), dynamic=names, others=[(torch.randn(5, 2),)])


def test_one_variable_has_a_number() -> None:
    check(both, torch.randn(5))
    check(both, torch.randn(1, 5), dynamic={"value": {1: "observations"}}, others=[(torch.randn(1, 7),)])


def test_integers_give_floats() -> None:
    check(both, torch.randint(-9, 9, (2, 6)))


def test_both_kinds_of_weights() -> None:
    def weighted(value: torch.Tensor, counts: torch.Tensor, weights: torch.Tensor) -> list[torch.Tensor]:
        return [
            torch.cov(value, fweights=counts),
            torch.cov(value, aweights=weights, correction=2),
            torch.cov(value, fweights=counts, aweights=weights),
        ]

    check(weighted, torch.randn(3, 4), torch.tensor([1, 0, 3, 2]), torch.rand(4))

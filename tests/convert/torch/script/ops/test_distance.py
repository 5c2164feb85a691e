"""Distances between rows: which way they are computed, at which sizes."""

from __future__ import annotations

import torch
from script_check import check, op_types

ROWS = {"one": {0: "n"}, "other": {0: "m"}}


def euclid(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return torch.cdist(one, other)


def test_equal_rows_far_from_zero_are_at_distance_zero_however_many_rows_there_are() -> None:
    far = torch.randn(3, 5) + 1e4
    check(euclid, far, far, dynamic=ROWS, others=[(far[:1], far[:2])])


def test_with_many_rows_no_tensor_of_all_differences_is_made() -> None:
    model = check(euclid, torch.randn(40, 5), torch.randn(30, 5))
    assert "MatMul" in op_types(model)


def test_rows_of_unknown_number_take_both_ways() -> None:
    few, many = torch.randn(4, 3), torch.randn(60, 3)
    model = check(euclid, few, few, dynamic=ROWS, others=[(many, few), (few, many)], rtol=1e-5)
    assert "If" in op_types(model)


def test_batches_broadcast() -> None:
    check(euclid, torch.randn(2, 1, 4, 3), torch.randn(5, 6, 3))


def test_distances_of_rows_without_elements_are_zero() -> None:
    check(euclid, torch.zeros(3, 0), torch.zeros(2, 0))


def test_hamming_distance_counts_nan_as_nan() -> None:
    def hamming(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return torch.cdist(one, other, p=0.0)

    check(hamming, torch.tensor([[1.0, 2.0], [0.0, float("nan")]]), torch.tensor([[1.0, 3.0], [0.5, float("inf")]]))


def test_largest_difference_passes_over_nan() -> None:
    def chebyshev(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return torch.cdist(one, other, p=float("inf"))

    check(chebyshev, torch.tensor([[1.0, float("nan")], [float("nan"), float("nan")]]), torch.randn(3, 2))


def test_pairs_of_any_number_of_rows() -> None:
    def pairs(rows: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pdist(rows, p=3.0)

    check(pairs, torch.randn(4, 3), dynamic={"rows": {0: "n"}}, others=[(torch.randn(7, 3),), (torch.randn(2, 3),)])

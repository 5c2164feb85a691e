"""Einstein sums: every kind of equation that torch takes, at sizes that are not known too."""

from __future__ import annotations

import pytest
import torch
from script_check import check, op_types


class Sum(torch.nn.Module):
    def __init__(self, equation: str) -> None:
        super().__init__()
        self.equation = equation

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return torch.einsum(self.equation, one, other)


class SumOfOne(torch.nn.Module):
    def __init__(self, equation: str) -> None:
        super().__init__()
        self.equation = equation

    def forward(self, one: torch.Tensor) -> torch.Tensor:
        return torch.einsum(self.equation, one)


@pytest.mark.parametrize(
    ("equation", "one", "other"),
    [
        ("bij, bjk -> bik", (2, 3, 4), (2, 4, 5)),
        ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
        ("ij,kl->likj", (2, 3), (4, 5)),
        ("ij,ij->", (2, 3), (2, 3)),
        ("ij,ij->ji", (2, 3), (2, 3)),
        ("ijk,jkl", (2, 3, 4), (3, 4, 5)),
        ("bA,bA", (2, 3), (2, 3)),
        ("bA,Ca", (2, 3), (4, 5)),
        ("iij,jkk->ik", (3, 3, 4), (4, 5, 5)),
        ("ijii,i->j", (3, 4, 3, 3), (3,)),
        ("...ij,...jk->...ik", (2, 3, 4), (5, 2, 4, 6)),
        ("...ij,j...->i...", (2, 3, 4), (4, 2)),
        ("...a,...a", (2, 3), (4, 2, 3)),
        ("...ik,...j->ij", (1, 2, 3), (3,)),
        ("ij,jk->ik", (2, 1), (3, 2)),
        ("...i,...i->...", (1, 3, 4), (5, 1, 4)),
        (",i->i", (), (3,)),
        ("ij,k->k", (2, 3), (4,)),
        ("ij,jk->ik", (2, 0), (0, 3)),
    ],
)
def test_two_tensors(equation: str, one: tuple[int, ...], other: tuple[int, ...]) -> None:
    model = check(Sum(equation), torch.randn(one).double(), torch.randn(other).double())
    assert "Einsum" not in op_types(model)


@pytest.mark.parametrize("equation", ["iij", "iij->ji", "iii->", "iij->i", "i...->...i", "...", "ijk->", "...i->i"])
def test_one_tensor(equation: str) -> None:
    check(SumOfOne(equation), torch.randn(3, 3, 3).double())


def test_matrix_products_are_one_node() -> None:
    assert op_types(check(Sum("bij,bjk->bik"), torch.randn(2, 3, 4), torch.randn(2, 4, 5))) == ["MatMul"]


def test_all_sizes_may_be_dynamic() -> None:
    names = {"one": {0: "b", 1: "h", 2: "q", 3: "d"}, "other": {0: "b", 1: "h", 2: "k", 3: "d"}}
    others = [(torch.randn(1, 5, 2, 3).double(), torch.randn(1, 5, 7, 3).double())]
    start = torch.randn(2, 3, 4, 5).double(), torch.randn(2, 3, 6, 5).double()
    for equation in ("bhqd,bhkd->bhqk", "bhqd,bhkd->qhkb", "bhqd,bhkd->bqk", "...qd,...kd->...kq"):
        check(Sum(equation), *start, dynamic=names, others=others)


def test_axes_of_the_ellipsis_broadcast_where_their_sizes_are_dynamic() -> None:
    names = {"one": {0: "a"}, "other": {0: "b"}}
    start = torch.randn(1, 3, 4), torch.randn(5, 4, 2)
    others = [(torch.randn(5, 3, 4), torch.randn(1, 4, 2)), (torch.randn(5, 3, 4), torch.randn(5, 4, 2))]
    check(Sum("...ij,...jk->...ki"), *start, dynamic=names, others=others)


def test_three_tensors() -> None:
    def trilinear(one: torch.Tensor, weight: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bi,oij,bj->bo", one, weight, other)

    check(trilinear, torch.randn(2, 3).double(), torch.randn(4, 3, 5).double(), torch.randn(2, 5).double())


def test_sums_of_small_integers_are_int64_and_products_are_not() -> None:
    check(SumOfOne("i->"), torch.full((300,), 7, dtype=torch.uint8))
    check(Sum("ij,jk->ik"), torch.ones(2, 300, dtype=torch.uint8), torch.ones(300, 2, dtype=torch.uint8))

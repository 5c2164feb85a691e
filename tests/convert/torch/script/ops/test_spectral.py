"""Eigenvalues and singular values: valid decompositions of any size, of multiple and vanishing values too."""

from __future__ import annotations

import pytest
import torch
from script_check import check

SQUARE = {"matrix": {0: "batch", 1: "n", 2: "n"}}
ANY = {"matrix": {0: "batch", 1: "m", 2: "n"}}


def symmetric(*sizes: int) -> torch.Tensor:
    root = torch.randn(*sizes).double()
    return root + root.mT


def eigen(matrix: torch.Tensor) -> list[torch.Tensor]:
    values, vectors = torch.linalg.eigh(matrix)
    return [values, vectors @ torch.diag_embed(values) @ vectors.mT, vectors.mT @ vectors]


def singular(matrix: torch.Tensor) -> list[torch.Tensor]:
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    return [values, (left * values.unsqueeze(-2)) @ right, left.mT @ left, right @ right.mT]


def singular_whole(matrix: torch.Tensor) -> list[torch.Tensor]:
    left, values, right = torch.linalg.svd(matrix)
    return [values, left.mT @ left, left @ left.mT, right @ right.mT]


@pytest.mark.parametrize("opset", [17, 23])
def test_eigenvectors_of_any_size_are_orthogonal_and_give_the_matrix(opset: int) -> None:
    others = [(symmetric(1, size, size),) for size in (1, 2, 3, 5, 30)]
    check(eigen, symmetric(2, 4, 4), dynamic=SQUARE, others=others, opset=opset)


def test_multiple_eigenvalues() -> None:
    basis = torch.linalg.qr(symmetric(6, 6)).Q
    same = basis @ torch.diag(torch.tensor([1.0, 1, 1, 2, 2, 0]).double()) @ basis.mT
    check(eigen, same[None], dynamic=SQUARE, others=[(torch.eye(4).double()[None],), (torch.zeros(1, 3, 3).double(),)])


def test_eigenvalues_far_from_one() -> None:
    def values(matrix: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvalsh(matrix)

    check(values, symmetric(5, 5) * 1e200, rtol=1e-7)
    check(values, symmetric(2, 5, 5).float() * 1e-20, atol=1e-25)


def test_only_the_chosen_triangle_is_read() -> None:
    def values(matrix: torch.Tensor) -> list[torch.Tensor]:
        return [torch.linalg.eigvalsh(matrix, UPLO="L"), torch.linalg.eigvalsh(matrix, UPLO="U")]

    check(values, torch.randn(4, 4).double())


@pytest.mark.parametrize("program", [singular, singular_whole])
@pytest.mark.parametrize("shape", [(1, 5, 3), (2, 3, 5), (4, 4), (1, 1), (20, 3), (40, 33)])
def test_singular_vectors_are_orthogonal_and_give_the_matrix(program: object, shape: tuple[int, ...]) -> None:
    check(program, torch.randn(shape).double())


def test_all_sizes_may_be_dynamic() -> None:
    others = [(torch.randn(sizes).double(),) for sizes in [(1, 3, 6), (3, 7, 7), (1, 1, 1), (1, 1, 4), (1, 4, 1)]]
    check(singular, torch.randn(2, 4, 3).double(), dynamic=ANY, others=others)


def test_vectors_of_vanishing_singular_values_are_orthogonal() -> None:
    column = torch.randn(5, 1).double()
    others = [(torch.zeros(5, 3).double(),), (torch.cat([column, column, 0 * column], 1),)]
    check(singular, torch.randn(5, 3).double(), others=others)
    check(singular_whole, torch.randn(5, 3).double(), others=others)


def test_small_singular_values_are_exact() -> None:
    def values(matrix: torch.Tensor) -> torch.Tensor:
        return torch.linalg.svdvals(matrix)

    check(values, torch.diag(torch.tensor([1.0, 1e-8, 1e-16]).double()) @ symmetric(3, 3), atol=1e-30, rtol=1e-3)


def test_rank_counts_what_is_not_rounding() -> None:
    def rank(matrix: torch.Tensor) -> list[torch.Tensor]:
        return [torch.linalg.matrix_rank(matrix), torch.linalg.matrix_rank(matrix, atol=1.0)]

    low = torch.randn(2, 6, 2) @ torch.randn(2, 2, 4)
    check(rank, low, dynamic=ANY, others=[(torch.randn(3, 4, 4),), (torch.zeros(1, 2, 3),)])


def test_pseudoinverse_of_dependent_columns() -> None:
    def inverse(matrix: torch.Tensor) -> torch.Tensor:
        return torch.linalg.pinv(matrix)

    low = torch.randn(2, 6, 2).double() @ torch.randn(2, 2, 4).double()
    check(inverse, low, dynamic=ANY, others=[(torch.randn(1, 3, 5).double(),), (torch.zeros(1, 2, 3).double(),)])


def test_condition_numbers_of_every_norm() -> None:
    def numbers(matrix: torch.Tensor) -> list[torch.Tensor]:
        return [
            torch.linalg.cond(matrix),
            torch.linalg.cond(matrix, -2),
            torch.linalg.cond(matrix, "nuc"),
            torch.linalg.cond(matrix, "fro"),
            torch.linalg.cond(matrix, float("inf")),
        ]

    check(numbers, torch.randn(2, 4, 4).double(), dynamic=SQUARE, others=[(torch.randn(1, 6, 6).double(),)])


def test_least_squares_of_vectors_and_matrices() -> None:
    def solve(matrix: torch.Tensor, right: torch.Tensor) -> list[torch.Tensor]:
        gelsd = torch.linalg.lstsq(matrix, right, driver="gelsd")
        gels = torch.linalg.lstsq(matrix, right, driver="gels")
        return [torch.linalg.lstsq(matrix, right).solution, *gelsd, *gels]

    check(solve, torch.randn(6, 3).double(), torch.randn(6, 2).double())
    check(solve, torch.randn(3, 6).double(), torch.randn(3, 2).double())

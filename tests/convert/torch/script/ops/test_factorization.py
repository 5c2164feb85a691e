"""Cholesky, LU and triangular systems: any size and batch, LAPACK's pivots, nothing read that torch does not read."""

from __future__ import annotations

import pytest
import torch
from script_check import check, op_types

SQUARE = {"matrix": {0: "batch", 1: "n", 2: "n"}}


def positive(*sizes: int) -> torch.Tensor:
    root = torch.randn(*sizes).double()
    return root @ root.mT + torch.eye(sizes[-1])


def cholesky(matrix: torch.Tensor) -> torch.Tensor:
    return torch.linalg.cholesky(matrix)


def lu(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.linalg.lu_factor(matrix)


def test_small_matrices_of_known_size_need_no_loop() -> None:
    assert "Loop" not in op_types(check(cholesky, positive(4, 4)))


def test_large_matrices_are_a_loop() -> None:
    assert op_types(check(cholesky, positive(2, 40, 40))).count("Loop") == 1


@pytest.mark.parametrize("opset", [17, 18, 23])
def test_size_and_batch_may_be_dynamic(opset: int) -> None:
    others = [(positive(1, 7, 7),), (positive(5, 1, 1),), (positive(3, 20, 20),)]
    check(cholesky, positive(2, 3, 3), dynamic=SQUARE, others=others, opset=opset)
    check(lu, torch.randn(2, 3, 3).double(), dynamic=SQUARE, others=others, opset=opset)


def test_only_one_triangle_is_read() -> None:
    nan = torch.full((4, 4), torch.nan).triu(1)
    check(cholesky, positive(4, 4) + nan)

    def upper(matrix: torch.Tensor) -> torch.Tensor:
        return torch.linalg.cholesky(matrix, upper=True)

    check(upper, positive(4, 4) + nan.T)

    def solve(matrix: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return torch.linalg.solve_triangular(matrix, right, upper=False, unitriangular=True)

    check(solve, torch.randn(4, 4).tril(-1) + torch.full((4, 4), torch.nan).triu(), torch.randn(4, 2), atol=1e-4)


def test_a_minor_that_is_not_positive_is_told() -> None:
    def info(matrix: torch.Tensor) -> torch.Tensor:
        return torch.linalg.cholesky_ex(matrix).info

    bad = torch.stack([torch.eye(3), torch.diag(torch.tensor([1.0, -1.0, 1.0])), torch.diag(torch.tensor([1.0, 1, 0]))])
    check(info, bad, dynamic={"matrix": {0: "batch"}}, others=[(torch.eye(3)[None],)])


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (0, 3, 3), (2, 0, 3)])
def test_lu_of_any_shape(shape: tuple[int, ...]) -> None:
    def parts(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return torch.linalg.lu(matrix)

    check(parts, torch.randn(shape).double())


def test_of_equal_pivots_the_first_is_taken() -> None:
    check(lu, torch.tensor([[1.0, 2.0, 1.0], [-1.0, 1.0, 4.0], [1.0, -5.0, 2.0]]))


def test_a_column_of_zeros_stays_and_is_told() -> None:
    def factor(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return torch.linalg.lu_factor_ex(matrix)

    check(factor, torch.tensor([[[0.0, 1.0], [0.0, 2.0]], [[1.0, 2.0], [2.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]]]))


def test_unpacking_undoes_dynamic_pivots() -> None:
    def back(matrix: torch.Tensor) -> torch.Tensor:
        factors, pivots = torch.linalg.lu_factor(matrix)
        permutation, lower, upper = torch.lu_unpack(factors, pivots)
        return permutation @ lower @ upper

    check(back, torch.randn(2, 3, 3), dynamic=SQUARE, others=[(torch.randn(3, 6, 6),)], atol=1e-4)


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("left", [False, True])
def test_factors_solve_from_both_sides(left: bool, adjoint: bool) -> None:
    class Solve(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.adjoint = left, adjoint

        def forward(self, factors: torch.Tensor, pivots: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return torch.linalg.lu_solve(factors, pivots, right, left=self.left, adjoint=self.adjoint)

    factors, pivots = torch.linalg.lu_factor(torch.randn(3, 3).double())
    check(Solve(), factors, pivots, torch.randn(2, 3, 3).double())


def test_triangular_systems_broadcast_their_batches() -> None:
    def solve(matrix: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return torch.linalg.solve_triangular(matrix, right, upper=True, left=False)

    check(solve, torch.randn(2, 1, 3, 3).double().triu() + 3 * torch.eye(3), torch.randn(4, 5, 3).double())

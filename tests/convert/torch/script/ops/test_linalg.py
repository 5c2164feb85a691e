"""Inverses, determinants, systems of equations and functions of matrices, where sizes or values are special."""

from __future__ import annotations

import pytest
import torch
from script_check import check

SQUARE = {"matrix": {0: "batch", 1: "n", 2: "n"}}


def regular(*sizes: int) -> torch.Tensor:
    return (torch.randn(*sizes) + 3 * torch.eye(sizes[-1])).double()


def test_inverse_of_any_size() -> None:
    def inverse(matrix: torch.Tensor) -> torch.Tensor:
        return torch.linalg.inv(matrix)

    check(inverse, regular(2, 3, 3), dynamic=SQUARE, others=[(regular(1, 1, 1),), (regular(3, 20, 20),)])


@pytest.mark.parametrize("opset", [17, 23])
def test_determinants_of_any_size(opset: int) -> None:
    def determinants(matrix: torch.Tensor) -> list[torch.Tensor]:
        sign, logarithm = torch.linalg.slogdet(matrix)
        return [torch.det(matrix), sign, logarithm, torch.logdet(matrix)]

    sizes = [(3, 1, 1), (5, 6, 6), (1, 20, 20), (0, 2, 2)]
    others = [*((torch.randn(each).double(),) for each in sizes), (torch.zeros(2, 2, 2).double(),)]
    check(determinants, torch.randn(2, 3, 3).double(), dynamic=SQUARE, others=others, opset=opset)


def test_determinant_of_a_matrix_without_elements_is_one() -> None:
    def determinant(matrix: torch.Tensor) -> torch.Tensor:
        return torch.linalg.det(matrix)

    check(determinant, torch.zeros(2, 0, 0))


def test_vectors_and_matrices_are_solved_for() -> None:
    def solve(matrix: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return torch.linalg.solve(matrix, right)

    dynamic = {"matrix": {0: "batch"}, "right": {0: "batch"}}
    check(
        solve,
        regular(2, 3, 3),
        torch.randn(2, 3).double(),
        dynamic=dynamic,
        others=[(regular(5, 3, 3), torch.randn(5, 3).double())],
    )
    check(solve, regular(2, 3, 3), torch.randn(2, 3, 4).double(), dynamic=dynamic)
    check(solve, regular(4, 3, 3), torch.randn(3, 2).double())
    check(solve, regular(4, 3, 3), torch.randn(3).double())


def test_solving_from_the_right() -> None:
    def solve(matrix: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return torch.linalg.solve(matrix, right, left=False)

    check(solve, regular(2, 3, 3), torch.randn(4, 3).double())


def test_singular_matrices_are_told() -> None:
    def info(matrix: torch.Tensor) -> torch.Tensor:
        return torch.linalg.inv_ex(matrix).info

    check(info, torch.stack([torch.eye(2), torch.zeros(2, 2), torch.tensor([[1.0, 2.0], [2.0, 4.0]])]))


def test_exponential_of_small_and_large_matrices() -> None:
    def exponential(matrix: torch.Tensor) -> torch.Tensor:
        return torch.matrix_exp(matrix)

    mixed = torch.stack([torch.zeros(3, 3), 1e-3 * torch.randn(3, 3), 8 * torch.randn(3, 3)]).double()
    check(
        exponential, mixed, dynamic=SQUARE, others=[(torch.randn(1, 1, 1).double(),), (torch.randn(2, 9, 9).double(),)]
    )
    rotation = torch.tensor([[0.0, -1.0], [1.0, 0.0]]) * torch.tensor([0.5, 30.0])[:, None, None]
    check(exponential, rotation)


def test_powers_negative_too() -> None:
    def powers(matrix: torch.Tensor) -> list[torch.Tensor]:
        return [torch.linalg.matrix_power(matrix, n) for n in (-2, 0, 1, 5)]

    check(powers, regular(2, 3, 3), dynamic=SQUARE, others=[(regular(1, 5, 5),)])


def test_diagonals_are_the_last_two_axes_and_share_memory() -> None:
    def change(value: torch.Tensor) -> list[torch.Tensor]:
        value = value.clone()
        diagonal = torch.linalg.diagonal(value, offset=1)
        diagonal.mul_(2)
        return [value, diagonal]

    check(change, torch.randn(2, 3, 4), dynamic={"value": {0: "batch", 2: "n"}}, others=[(torch.randn(5, 3, 2),)])


def test_tensors_are_inverted_as_matrices() -> None:
    def inverse(value: torch.Tensor) -> torch.Tensor:
        return torch.linalg.tensorinv(value, ind=1)

    check(
        inverse,
        torch.randn(6, 2, 3).double(),
        dynamic={"value": {0: "n", 1: "a"}},
        others=[(torch.randn(12, 4, 3).double(),)],
    )


def test_kronecker_products_of_different_ranks() -> None:
    def kron(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return torch.kron(one, other)

    names = {"one": {0: "a"}, "other": {0: "b", 1: "c"}}
    check(kron, torch.randn(2), torch.randn(3, 4), dynamic=names, others=[(torch.randn(1), torch.randn(2, 5))])
    check(kron, torch.tensor(2), torch.tensor(3.0))

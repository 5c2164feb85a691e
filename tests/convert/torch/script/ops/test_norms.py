"""Norms of every order over every axis: NaN, overflow, long vectors, sizes that are not known."""

from __future__ import annotations

import math

import pytest
import torch
from script_check import check, op_types

ANY = {"value": {0: "batch", 1: "m", 2: "n"}}


class VectorNorm(torch.nn.Module):
    def __init__(self, order: float) -> None:
        super().__init__()
        self.order = order

    def forward(self, value: torch.Tensor) -> list[torch.Tensor]:
        return [
            torch.linalg.vector_norm(value, self.order),
            torch.linalg.vector_norm(value, self.order, dim=[-1], keepdim=True),
            torch.linalg.vector_norm(value, self.order, dim=[0, 2]),
        ]


class MatrixNorm(torch.nn.Module):
    def __init__(self, order: float) -> None:
        super().__init__()
        self.order = order

    def forward(self, value: torch.Tensor) -> list[torch.Tensor]:
        return [
            torch.linalg.matrix_norm(value, self.order),
            torch.linalg.matrix_norm(value, self.order, dim=[2, 0], keepdim=True),
            torch.linalg.matrix_norm(value, self.order, dim=[0, 1]),
        ]


@pytest.mark.parametrize("order", [0.0, 0.5, 1.0, 2.0, 3.5, -1.0, math.inf, -math.inf])
@pytest.mark.parametrize("opset", [17, 20])
def test_vectors_of_any_size(order: float, opset: int) -> None:
    odd = torch.tensor([[[0.0, -1.0, 2.0], [-0.0, 5.0, -7.0]]])
    check(VectorNorm(order), torch.randn(2, 3, 4), dynamic=ANY, others=[(odd,), (torch.randn(1, 9, 1),)], opset=opset)


@pytest.mark.parametrize("order", [1.0, -1.0, 2.0, -2.0, math.inf, -math.inf])
def test_matrices_of_any_size(order: float) -> None:
    check(MatrixNorm(order), torch.randn(2, 3, 4), dynamic=ANY, others=[(torch.randn(1, 5, 2),)])


def test_nuclear_and_frobenius_norms() -> None:
    def norms(value: torch.Tensor) -> list[torch.Tensor]:
        return [torch.linalg.norm(value, "nuc", dim=[1, 2]), torch.linalg.matrix_norm(value, "nuc", keepdim=True)]

    check(norms, torch.randn(2, 3, 4), dynamic=ANY, others=[(torch.randn(1, 5, 2),)])

    def frobenius(value: torch.Tensor) -> list[torch.Tensor]:
        return [torch.linalg.matrix_norm(value), torch.linalg.norm(value), torch.norm(value, dim=0)]

    check(frobenius, torch.randn(2, 3, 4), dynamic=ANY, others=[(torch.randn(1, 5, 2),)])


@pytest.mark.parametrize("order", [0.0, 1.0, 2.0, 3.0])
def test_long_vectors_are_added_up_exactly(order: float) -> None:
    # torch itself is off by up to 6e-6 here; adding FLOAT one after the other would be by 2e-5.
    check(VectorNorm(order), torch.rand(3, 500, 100), rtol=8e-6)


def test_what_overflows_in_torch_overflows() -> None:
    large = torch.full((1, 1, 2000), 1e20)
    model = check(VectorNorm(2.0), large, dynamic=ANY, others=[(torch.tensor([[[1e-30, 1e-30]]]),)])
    assert "ReduceSumSquare" in op_types(model)


def test_scalars_and_vectors_without_elements() -> None:
    def norms(value: torch.Tensor) -> list[torch.Tensor]:
        return [
            torch.linalg.vector_norm(value),
            torch.linalg.vector_norm(value, 0),
            torch.linalg.vector_norm(value, 3),
        ]

    check(norms, torch.tensor(-3.0))
    check(norms, torch.zeros(0))
    check(norms, torch.zeros(4), dynamic={"value": {0: "n"}}, others=[(torch.zeros(0),)])


def test_half_precision() -> None:
    check(VectorNorm(2.0), torch.randn(2, 3, 4).half())

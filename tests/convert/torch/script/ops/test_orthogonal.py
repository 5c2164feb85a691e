"""QR and Householder products: LAPACK's signs, any shape, any size."""

from __future__ import annotations

import pytest
import torch
from script_check import check

DYNAMIC = {"matrix": {0: "batch", 1: "m", 2: "n"}}


@pytest.mark.parametrize("mode", ["reduced", "complete", "r"])
@pytest.mark.parametrize("shape", [(3, 3), (5, 2), (2, 5), (2, 20, 19), (0, 3), (3, 0)])
def test_every_mode_of_every_shape(shape: tuple[int, ...], mode: str) -> None:
    class Factor(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mode = mode

        def forward(self, matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.linalg.qr(matrix, mode=self.mode)

    check(Factor(), torch.randn(shape).double())


@pytest.mark.parametrize("opset", [17, 23])
def test_all_sizes_may_be_dynamic(opset: int) -> None:
    def factor(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.linalg.qr(matrix)

    others = [(torch.randn(1, 3, 6).double(),), (torch.randn(3, 7, 7).double(),), (torch.randn(1, 1, 1).double(),)]
    check(factor, torch.randn(2, 4, 3).double(), dynamic=DYNAMIC, others=others, opset=opset)


def test_columns_that_are_reflected_already_stay() -> None:
    def factor(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.geqrf(matrix)

    check(factor, torch.tensor([[-2.0, 1.0, 0.0], [0.0, 3.0, 0.0], [0.0, 4.0, 0.0]]))


def test_products_of_fewer_reflections_than_columns() -> None:
    def product(factors: torch.Tensor, taus: torch.Tensor) -> torch.Tensor:
        return torch.linalg.householder_product(factors, taus)

    factors, taus = torch.geqrf(torch.randn(2, 5, 4).double())
    check(product, factors, taus[:, :2].clone())

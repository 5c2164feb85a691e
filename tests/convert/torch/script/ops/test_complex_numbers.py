"""Complex arithmetic inside of programs that take and return real tensors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from script_check import check, trace
from torch import Tensor

FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": lambda x, y: x + 2 * y,
    "add a number": lambda x, y: x + (1 + 2j) - 3,
    "subtract": lambda x, y: 1.5 - x - y,
    "multiply": lambda x, y: x * y * 0.5j,
    "by a real tensor": lambda x, y: x * y.real,
    "divide": lambda x, y: x / y,
    "divide by a number": lambda x, y: x / (2 - 1j),
    "power": lambda x, y: x**3 + x**0.5,
    "exp and log": lambda x, y: x.exp() + y.log(),
    "roots": lambda x, y: x.sqrt() + y.rsqrt(),
    "trigonometry": lambda x, y: x.sin() * y.cos() + x.tanh() + x.sinh() + y.cosh(),
    "sigmoid": lambda x, y: torch.sigmoid(x) + torch.nn.functional.silu(y),
    "conjugate": lambda x, y: x.conj() * y + x.conj().resolve_conj(),
    "sign": lambda x, y: x.sgn(),
    "matrices": lambda x, y: x @ y.mT,
    "sums": lambda x, y: x.sum(0) + y.mean() + x.cumsum(1),
    "views": lambda x, y: torch.cat([x.t(), y.reshape(3, 2)], 1)[1:, ::2].flip(0),
    "where": lambda x, y: torch.where(x.real > 0, x, y * 1j),
    "masks": lambda x, y: x.masked_fill(y.imag > 0, 2.0),
    "einsum": lambda x, y: torch.einsum("ij,kj->ik", x, y),
    "a constant": lambda x, y: x * torch.tensor([1 + 1j, 2 - 1j, 3j]),
    "zeros": lambda x, y: torch.zeros_like(x) + torch.ones_like(y) + torch.full((2, 3), 1 + 2j),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_complex_arithmetic_is_that_of_torch(name: str) -> None:
    def program(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
        return torch.view_as_real(FUNCTIONS[name](torch.complex(a, b), torch.complex(c, d)).resolve_conj())

    torch.manual_seed(0)
    parts = tuple(torch.randn(2, 3) for _ in range(4))
    check(trace(program, *parts), *parts, rtol=1e-5, atol=1e-5)


def magnitudes(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x = torch.complex(a, b)
    return x.abs(), x.angle(), (x == x.conj()) | x.isnan()


def test_magnitudes_angles_and_comparisons_are_real() -> None:
    a = torch.tensor([0.0, -0.0, 1.0, -1.0, 3.0, float("inf"), float("nan")])
    b = torch.tensor([0.0, 0.0, 0.0, 0.0, -4.0, 1.0, 0.0])
    check(magnitudes, a, b)


class Rotary(torch.nn.Module):
    """Rotary position embeddings as complex factors, the positions counted from the length."""

    def forward(self, x: Tensor) -> Tensor:
        batch, steps, width = x.size(0), x.size(1), x.size(2)
        frequencies = 1.0 / (100.0 ** (torch.arange(0, width, 2).float() / width))
        angles = torch.outer(torch.arange(steps).float(), frequencies)
        factors = torch.polar(torch.ones_like(angles), angles)
        pairs = torch.view_as_complex(x.reshape(batch, steps, -1, 2))
        return torch.view_as_real(pairs * factors).flatten(2)


def test_rotary_embeddings_follow_the_length() -> None:
    others = [(torch.randn(1, 9, 8),), (torch.randn(3, 2, 8),)]
    check(Rotary(), torch.randn(2, 5, 8), dynamic={"x": {0: "b", 1: "t"}}, others=others)

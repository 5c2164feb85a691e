"""Modules whose way through their code, or whose results' sizes, depend on the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import transload as tl

pytestmark = pytest.mark.filterwarnings("ignore")


class Choice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda x: x.sin(), lambda x: x - 1, (x,))


class Repetition(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        def goes_on(count: Tensor, x: Tensor) -> Tensor:
            return (count < 5) & (x.sum() < 100)

        def step(count: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            return count + 1, x * 2 + 1

        return torch._higher_order_ops.while_loop(goes_on, step, (torch.tensor(0), x))[1]


class Recurrence(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        def step(carry: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
            total = carry * 0.5 + row
            return total, total * 2

        return torch._higher_order_ops.scan(step, torch.zeros(x.shape[1]), x)


class Each(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        weights = torch.arange(x.shape[1])
        return torch._higher_order_ops.map(lambda row, weights: (row.cumsum(0) * weights, row.sum()), x, weights)


class Selection(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[x > 0], torch.nonzero(x > 0.5)


def suppress(boxes: Tensor, scores: Tensor, limit: float) -> Tensor:
    """Non-maximum suppression in plain torch, as people write it."""
    order = scores.argsort(descending=True)
    kept = []
    while order.numel() > 0:
        best = order[0]
        kept.append(best)
        rest = order[1:]
        corner, other = torch.maximum(boxes[rest, :2], boxes[best, :2]), torch.minimum(boxes[rest, 2:], boxes[best, 2:])
        shared = (other - corner).clamp(min=0).prod(1)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        order = rest[shared / (areas[rest] + areas[best] - shared) <= limit]
    return torch.stack(kept)


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Conv2d(3, 5, 3, 2, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        found = self.head(image).permute(0, 2, 3, 1).reshape(-1, 5)
        centers, sides, scores = found[:, :2] * 4, found[:, 2:4].exp(), found[:, 4].sigmoid()
        boxes = torch.cat([centers - sides, centers + sides], 1)
        likely = scores > 0.45
        boxes, scores = boxes[likely], scores[likely]
        kept = suppress(boxes, scores, 0.5)
        return boxes[kept], scores[kept]


def images(*shape: int) -> list[Tensor]:
    return [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]


CASES: dict[str, tuple[Any, str, list[Tensor]]] = {
    "cond": (Choice, "export", [torch.full((2, 3), 0.5), torch.full((2, 3), -0.5), torch.ones(4, 5)]),
    "while_loop": (Repetition, "export", [torch.full((2, 3), 0.1), torch.full((2, 3), 40.0), torch.ones(1, 2)]),
    "scan": (Recurrence, "export", [torch.randn(4, 3), torch.randn(7, 3), torch.randn(1, 2)]),
    "map": (Each, "export", [torch.randn(4, 3), torch.randn(7, 2), torch.randn(1, 5)]),
    "nonzero": (Selection, "trace", [torch.randn(2, 3), torch.randn(5, 4), -torch.ones(2, 2)]),
    "detector": (Detector, "script", [*images(1, 3, 16, 16), *images(1, 3, 12, 22)]),
}


@pytest.mark.parametrize("name", list(CASES))
def test_what_depends_on_the_data_is_proven_and_follows_it(name: str, tmp_path: Path) -> None:
    make, way, inputs = CASES[name]
    module = make().eval()
    package = tl.convert_model(module, (inputs[0],), proof="quick")
    assert package.components[0].interface.source.way == way
    package.save(tmp_path / "m.tload")
    model = tl.load(tmp_path / "m.tload")
    for x in inputs:
        expected = module(x)
        found = model(x.numpy())
        for ours, theirs in zip(
            found if isinstance(found, tuple) else (found,),
            expected if isinstance(expected, tuple) else (expected,),
            strict=True,
        ):
            torch.testing.assert_close(torch.as_tensor(ours), theirs)

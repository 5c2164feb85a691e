"""Programs of attention: heads, masks, caches, positions that turn."""

from __future__ import annotations

import math
from typing import Optional

import torch
import torch.nn.functional as F  # noqa: N812
from script_check import check
from torch import Tensor, nn

TIMES = {"x": {0: "batch", 1: "time"}}


def sequences(*pairs: tuple[int, int]) -> list[tuple[Tensor, ...]]:
    return [(torch.randn(batch, time, 8),) for batch, time in pairs]


class Heads(nn.Module):
    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(8, 8) for _ in range(4))
        self.heads = 2
        self.causal = causal

    def split(self, x: Tensor) -> Tensor:
        b, t, _ = x.shape
        return x.view(b, t, self.heads, -1).transpose(1, 2)

    def forward(self, x: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        b, t, d = x.shape
        q, k, v = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        scores = q @ k.transpose(-2, -1) / math.sqrt(d // self.heads)
        if self.causal:
            later = torch.arange(t).view(1, -1) > torch.arange(t).view(-1, 1)
            scores = scores.masked_fill(later, float("-inf"))
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], -1e9)
        return self.out((F.softmax(scores, -1) @ v).transpose(1, 2).contiguous().view(b, t, d))


def test_heads_attend_causally() -> None:
    check(Heads(True), torch.randn(2, 5, 8), dynamic=TIMES, others=sequences((1, 1), (3, 9)))


def test_heads_do_not_attend_to_padding() -> None:
    mask = torch.arange(5).view(1, -1) < torch.tensor([[3], [5]])
    dynamic = {**TIMES, "mask": {0: "batch", 1: "time"}}
    others = [(torch.randn(1, 3, 8), torch.ones(1, 3, dtype=torch.bool))]
    check(Heads(False), torch.randn(2, 5, 8), mask, dynamic=dynamic, others=others)


class Turning(nn.Module):
    """Rotary positions (RoFormer, arXiv:2104.09864)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequency", 1.0 / (100.0 ** (torch.arange(0, 8, 2).float() / 8)))

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        at = torch.arange(x.shape[1]) + offset
        angle = torch.outer(at.float(), self.frequency)
        turned = torch.cat([angle, angle], -1)
        first, second = x.chunk(2, -1)
        return x * turned.cos() + torch.cat([-second, first], -1) * turned.sin()


def test_positions_turn() -> None:
    others = [(torch.randn(1, 7, 8), torch.tensor(10)), (torch.randn(3, 1, 8), torch.tensor(0))]
    check(Turning(), torch.randn(2, 5, 8), torch.tensor(3), dynamic=TIMES, others=others)


class Decoding(nn.Module):
    """Steps of attention over a cache that grows inside the call."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(8, 24)

    def forward(self, x: Tensor, cache: Optional[tuple[Tensor, Tensor]] = None) -> tuple[Tensor, Tensor, Tensor]:
        outs: list[Tensor] = []
        if cache is None:
            keys, values = x[:, :0], x[:, :0]
        else:
            keys, values = cache
        for i in range(x.shape[1]):
            q, k, v = self.project(x[:, i : i + 1]).chunk(3, -1)
            keys, values = torch.cat([keys, k], 1), torch.cat([values, v], 1)
            weights = torch.softmax(q @ keys.transpose(1, 2) / math.sqrt(8), -1)
            outs.append(weights @ values)
        return torch.cat(outs, 1), keys, values


def test_a_cache_grows_in_a_loop() -> None:
    check(Decoding(), torch.randn(2, 5, 8), dynamic=TIMES, others=sequences((1, 1), (2, 9)))


def test_a_cache_goes_on_from_the_one_given() -> None:
    dynamic = {**TIMES, "cache/0": {0: "batch", 1: "past"}, "cache/1": {0: "batch", 1: "past"}}
    given = (torch.randn(2, 3, 8), torch.randn(2, 3, 8))
    others = [(torch.randn(1, 2, 8), (torch.randn(1, 6, 8), torch.randn(1, 6, 8)))]
    check(Decoding(), torch.randn(2, 5, 8), given, dynamic=dynamic, others=others)


def test_rows_that_are_masked_whole_are_nan_as_in_torch() -> None:
    def program(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        weights = torch.softmax(x.masked_fill(mask, float("-inf")), -1)
        return weights, torch.nan_to_num(weights)

    mask = torch.tensor([[True, True, True], [False, True, False]])
    check(program, torch.randn(2, 3), mask)


def test_scores_relative_to_the_distance() -> None:
    def program(x: Tensor, table: Tensor) -> Tensor:
        t = x.shape[1]
        at = torch.arange(t)
        distance = (at.unsqueeze(0) - at.unsqueeze(1)).clamp(-3, 3) + 3
        bias = F.embedding(distance, table).permute(2, 0, 1)
        slopes = torch.tensor([2.0 ** -(i + 1) for i in range(2)])
        linear = -(at.unsqueeze(0) - at.unsqueeze(1)).abs().float() * slopes.view(-1, 1, 1)
        return torch.softmax((x @ x.transpose(1, 2)).unsqueeze(1) + bias + linear, -1)

    table = torch.randn(7, 2)
    others = [(each, table) for (each,) in sequences((1, 1), (3, 9))]
    check(program, torch.randn(2, 5, 8), table, dynamic=TIMES, others=others)


def test_local_attention_in_blocks() -> None:
    def program(x: Tensor) -> Tensor:
        b, t, d = x.shape
        rest = (4 - t % 4) % 4
        padded = F.pad(x, (0, 0, 0, rest))
        blocks = padded.view(b, -1, 4, d)
        out = torch.softmax(blocks @ blocks.transpose(-1, -2), -1) @ blocks
        return out.reshape(b, -1, d)[:, :t]

    check(program, torch.randn(2, 6, 8), dynamic=TIMES, others=sequences((1, 4), (3, 9)))

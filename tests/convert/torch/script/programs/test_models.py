"""Scripted programs as people write them: attention, decoding, detection, signals, recurrent cells, state, sizes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from script_check import check, op_types, trace
from torch import Tensor, nn

torch.manual_seed(0)


class Attention(nn.Module):
    """Causal attention by hand, the mask counted from the length."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(8, 24)
        self.out = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        batch, steps, width = x.shape
        q, k, v = self.project(x).view(batch, steps, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-2, -1) / math.sqrt(4)
        mask = torch.arange(steps).unsqueeze(0) > torch.arange(steps).unsqueeze(1)
        weights = torch.softmax(scores.masked_fill(mask, float("-inf")), dim=-1)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, steps, width))


class Cached(nn.Module):
    """One step with a cache of keys and values that grows."""

    def forward(self, x: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        keys = torch.cat([keys, x], dim=1)
        values = torch.cat([values, x * 2], dim=1)
        return torch.nn.functional.scaled_dot_product_attention(x, keys, values), keys, values


class Positions(nn.Module):
    """Sinusoidal positions for any length."""

    def forward(self, x: Tensor) -> Tensor:
        steps, width = x.size(1), x.size(2)
        position = torch.arange(steps, dtype=torch.float32).unsqueeze(1)
        scale = torch.exp(torch.arange(0, width, 2).float() * (-math.log(100.0) / width))
        table = torch.zeros(steps, width)
        table[:, 0::2] = torch.sin(position * scale)
        table[:, 1::2] = torch.cos(position * scale)
        return x + table


class MaskedMean(nn.Module):
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        mask = (torch.arange(x.size(1)).unsqueeze(0) < lengths.unsqueeze(1)).unsqueeze(-1).float()
        return (x * mask).sum(1) / mask.sum(1).clamp(min=1.0)


class MaskedSoftmax(nn.Module):
    """Rows that are masked whole give zeros."""

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        mask = torch.arange(x.size(1)).unsqueeze(0) < lengths.unsqueeze(1)
        weights = torch.softmax(x.mean(-1).masked_fill(~mask, float("-inf")), dim=-1)
        return torch.where(mask.any(1, keepdim=True), weights, torch.zeros_like(weights))


class Cell(nn.Module):
    """A recurrent cell over the time axis, by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 6)
        self.outer = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.zeros(x.size(0), 6)
        seen: list[Tensor] = []
        for step in range(x.size(1)):
            hidden = torch.tanh(self.inner(x[:, step]) + self.outer(hidden))
            seen.append(hidden)
        return torch.stack(seen, dim=1), hidden


class CellLoop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        h, c = torch.zeros(x.size(0), 5), torch.zeros(x.size(0), 5)
        for step in range(x.size(1)):
            h, c = self.cell(x[:, step], (h, c))
        return h


class Smoothing(nn.Module):
    """Windows over time: a moving average and a median filter."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        windows = x.unfold(1, 3, 1)
        return windows.mean(-1), windows.median(dim=-1)[0]


SEQUENCES = [Attention, Positions, Cell, CellLoop, Smoothing]


@pytest.mark.parametrize("module", SEQUENCES)
def test_sequence_models_take_other_lengths_and_batches(module: type[nn.Module]) -> None:
    others = [(torch.randn(1, 9, 8),), (torch.randn(3, 4, 8),)]
    check(module(), torch.randn(2, 5, 8), dynamic={"x": {0: "batch", 1: "time"}}, others=others, rtol=1e-5)


@pytest.mark.parametrize("module", [MaskedMean, MaskedSoftmax])
def test_lengths_mask_what_is_padded(module: type[nn.Module]) -> None:
    dynamic = {"x": {0: "batch", 1: "time"}, "lengths": {0: "batch"}}
    others = [(torch.randn(2, 4, 8), torch.tensor([0, 4])), (torch.randn(1, 2, 8), torch.tensor([1]))]
    check(module(), torch.randn(3, 5, 8), torch.tensor([2, 5, 1]), dynamic=dynamic, others=others)


def test_a_cache_grows() -> None:
    dynamic = {name: {0: "batch", 1: axis} for name, axis in (("keys", "past"), ("values", "past"))}
    dynamic["x"] = {0: "batch"}
    one, cache = torch.randn(2, 1, 8), torch.randn(2, 4, 8)
    others = [(torch.randn(1, 1, 8), torch.randn(1, past, 8), torch.randn(1, past, 8)) for past in (0, 7)]
    check(Cached(), one, cache, cache + 1, dynamic=dynamic, others=others)


class Greedy(nn.Module):
    """Greedy decoding until the end token, at most 12 steps."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.score = nn.Linear(8, 11)

    def forward(self, start: Tensor) -> Tensor:
        tokens = start
        going = True
        while going and tokens.size(0) < 12:
            logits = self.score(self.embed(tokens).mean(0) + tokens.size(0) * 0.3)
            best = logits.argmax(-1, keepdim=True)
            tokens = torch.cat([tokens, best])
            going = bool(best[0] != 3)
        return tokens


def test_greedy_decoding_ends_at_the_end_token() -> None:
    others = [(torch.tensor([5, 1]),), (torch.tensor([3]),)]
    check(Greedy(), torch.tensor([2]), dynamic={"start": {0: "n"}}, others=others)


class Beam(nn.Module):
    """Beam search over a fixed number of steps."""

    def __init__(self) -> None:
        super().__init__()
        self.move = nn.Linear(7, 7)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores, paths = torch.log_softmax(x, -1).topk(2)
        paths = paths.unsqueeze(1)
        for step in range(5):
            state = torch.nn.functional.one_hot(paths[:, -1], 7).float()
            # Each step counts otherwise, or the same moves in another order would be as good.
            grown = (scores.unsqueeze(1) + torch.log_softmax(self.move(state), -1) / (step + 1)).view(-1)
            scores, best = grown.topk(2)
            paths = torch.cat([paths[torch.div(best, 7, rounding_mode="floor")], (best % 7).unsqueeze(1)], 1)
        return paths, scores


def test_beam_search_finds_the_same_paths() -> None:
    check(Beam(), torch.randn(7), others=[(torch.randn(7),), (torch.randn(7),)])


class Viterbi(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.randn(4, 4))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        score = x[0]
        back: list[Tensor] = []
        for step in range(1, x.size(0)):
            best, where = (score.unsqueeze(1) + self.transitions).max(0)
            score = best + x[step]
            back.append(where)
        last = score.argmax()
        path = [last]
        for step in range(len(back) - 1, -1, -1):
            last = back[step][last]
            path.append(last)
        return torch.stack(path).flip(0), score.max()


def test_viterbi_finds_the_same_path_at_any_length() -> None:
    others = [(torch.randn(steps, 4),) for steps in (2, 9)]
    check(Viterbi(), torch.randn(5, 4), dynamic={"x": {0: "time"}}, others=others)


class Suppression(nn.Module):
    """Non-maximum suppression, written out."""

    def forward(self, boxes: Tensor, scores: Tensor) -> Tensor:
        order = scores.argsort(descending=True)
        boxes = boxes[order]
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        keep = torch.ones(boxes.size(0), dtype=torch.bool)
        for index in range(boxes.size(0)):
            if bool(keep[index]):
                low = torch.maximum(boxes[index, :2], boxes[:, :2])
                high = torch.minimum(boxes[index, 2:], boxes[:, 2:])
                overlap = (high - low).clamp(min=0).prod(1)
                share = overlap / (area[index] + area - overlap)
                later = torch.arange(boxes.size(0)) > index
                keep = keep & ~((share > 0.5) & later)
        return order[keep]


def boxes(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.manual_seed(count)
    corner = torch.rand(count, 2, generator=generator)
    return torch.cat([corner, corner + 0.3 + torch.rand(count, 2, generator=generator)], 1), torch.rand(count)


def test_suppression_keeps_the_same_boxes() -> None:
    dynamic = {"boxes": {0: "n"}, "scores": {0: "n"}}
    check(Suppression(), *boxes(6), dynamic=dynamic, others=[boxes(1), boxes(15)])


class Frames(nn.Module):
    """A spectrum by a convolution with sines and cosines."""

    def __init__(self) -> None:
        super().__init__()
        angle = torch.outer(torch.arange(9.0), torch.arange(16.0)) * (2 * math.pi / 16)
        self.register_buffer("basis", torch.cat([angle.cos(), -angle.sin()]).unsqueeze(1))

    def forward(self, x: Tensor) -> Tensor:
        parts = torch.nn.functional.conv1d(x.unsqueeze(1), self.basis, stride=4)
        real, imag = parts.chunk(2, dim=1)
        return (real.square() + imag.square()).clamp(min=1e-5).log()


def test_a_spectrum_by_hand_follows_the_length() -> None:
    check(Frames(), torch.randn(2, 64), dynamic={"x": {1: "n"}}, others=[(torch.randn(2, 33),)], rtol=1e-4, atol=1e-3)


class Histogram(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        counts = torch.zeros(5, dtype=torch.int64)
        for value in x.flatten():
            place = int(torch.clamp((value + 2.5).floor(), 0, 4))
            counts[place] += 1
        return counts


def test_a_histogram_is_counted_in_a_loop() -> None:
    check(Histogram(), torch.randn(7), dynamic={"x": {0: "n"}}, others=[(torch.randn(20),)])


def numbers(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    n = x.size(0)
    whole = x.long()
    scale = math.sqrt(float(n)) + math.floor(n / 2) + min(n, 4) + max([n, 1]) + abs(-n) + n**2
    return whole // 3 + whole % -3 + (whole << 1) + (whole & 5), x * scale, torch.full((n % 3 + 1,), n // 2 - 7 // -2)


def promoted(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    whole = torch.arange(x.size(0))
    return whole * 2.5, whole / 2, x.double() + whole, (whole > 1) + 1


def converted(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    y = x.to(torch.float64) if x.dtype == torch.float32 else x
    whole = x.to(torch.int64).to(dtype=torch.uint8 if y.dim() > 5 else torch.int16)
    return y.type_as(x).half().float(), x.int().to(torch.bool), whole


def sliced_by_data(x: Tensor) -> tuple[Tensor, Tensor]:
    cut = int((x > 0).sum())
    return x[:cut], x[cut:].flip(0)


def sorted_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    order = x.abs().argsort()
    return x[order], x.gather(0, order).cumsum(0)


PLAIN: list[Any] = [numbers, promoted, converted, sliced_by_data, sorted_rows]


@pytest.mark.parametrize("program", PLAIN, ids=lambda program: program.__name__)
def test_numbers_and_types_are_those_of_torch(program: Any) -> None:
    others = [(torch.randn(size) * 10,) for size in (1, 4, 8)]
    check(program, torch.randn(5) * 10, dynamic={"x": {0: "n"}}, others=others)


@pytest.mark.parametrize(
    ("layer", "operator"),
    [
        (nn.LayerNorm(8), "LayerNormalization"),
        (nn.GELU(), "Gelu"),
        (nn.Sequential(nn.Conv1d(5, 4, 3), nn.BatchNorm1d(4).eval()), "BatchNormalization"),
        (nn.Softmax(-1), "Softmax"),
        (nn.MaxPool1d(2), "MaxPool"),
        (nn.Upsample(scale_factor=2.0), "Resize"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_layers_are_the_operators_that_the_runtime_has_kernels_for(layer: nn.Module, operator: str) -> None:
    model = check(layer, torch.randn(2, 5, 8), dynamic={"input": {0: "batch"}}, others=[(torch.randn(3, 5, 8),)])
    assert operator in op_types(model)


def test_an_encoder_layer_is_normalized_and_attends() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
    found = op_types(check(trace(layer, torch.randn(2, 5, 8)), torch.randn(2, 5, 8)))
    assert found.count("LayerNormalization") == 2
    assert found.count("Softmax") == 1
    assert found.count("Gelu") == 1


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_fused_kernel_of_a_scripted_encoder_layer_is_taken_apart(norm_first: bool) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu", norm_first=norm_first).eval()
    others = [(torch.randn(3, 7, 8),)]
    check(torch.jit.script(layer), torch.randn(2, 5, 8), dynamic={"src": {0: "b", 1: "t"}}, others=others)


def test_the_fused_kernel_hides_whatever_its_mask_of_floats_does_not_leave_at_zero() -> None:
    layer = torch.jit.script(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval())
    mask = torch.zeros(5, 5)
    mask[0, 1], mask[2, 3] = -0.5, float("-inf")
    check(layer, torch.randn(2, 5, 8), mask)
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    check(layer, torch.randn(2, 5, 8), None, padding)

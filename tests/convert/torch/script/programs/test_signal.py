"""Programs of signals and of numerics: filters, spectra, histograms, iterations until convergence."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from script_check import check
from torch import Tensor

N = torch.tensor
TIME = {"x": {0: "time"}}


def signals(*lengths: int) -> list[tuple[Tensor, ...]]:
    return [(torch.randn(length),) for length in lengths]


def test_a_spectrum_by_hand() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        size, hop = 8, 4
        window = 0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(size).float() / size)
        padded = F.pad(x.view(1, 1, -1), (size // 2, size // 2), mode="reflect").view(-1)
        frames = padded.unfold(0, size, hop) * window
        angle = 2 * math.pi * torch.outer(torch.arange(size // 2 + 1).float(), torch.arange(size).float()) / size
        real, imag = frames @ angle.cos().t(), -frames @ angle.sin().t()
        return torch.sqrt(real**2 + imag**2 + 1e-9), torch.atan2(imag, real + 3)

    check(program, torch.randn(32), dynamic=TIME, others=signals(16, 45))


def test_frames_laid_over_one_another() -> None:
    def program(x: Tensor) -> Tensor:
        frames = x.unfold(0, 4, 2)
        out = torch.zeros(x.shape[0])
        for i in range(frames.shape[0]):
            out[2 * i : 2 * i + 4] += frames[i] * 0.5
        return out

    check(program, torch.randn(10), dynamic=TIME, others=signals(4, 23))


def test_a_recursive_filter() -> None:
    def program(x: Tensor) -> Tensor:
        y = torch.zeros_like(x)
        y[0] = x[0]
        for i in range(1, x.shape[0]):
            y[i] = 0.3 * x[i] + 0.7 * y[i - 1]
        return y

    check(program, torch.randn(10), dynamic=TIME, others=signals(1, 40))


def test_a_median_filter() -> None:
    def program(x: Tensor) -> Tensor:
        padded = torch.cat([x[:1], x, x[-1:]])
        return padded.unfold(0, 3, 1).median(-1)[0]

    check(program, torch.randn(10), dynamic=TIME, others=signals(1, 17))


def test_a_histogram_counted_by_a_loop_and_at_once() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        counts = torch.zeros(4)
        for value in x:
            place = min(3, max(0, int(torch.floor(value + 2))))
            counts[place] += 1
        places = torch.floor(x + 2).long().clamp(0, 3)
        return counts, torch.zeros(4).index_add_(0, places, torch.ones_like(x))

    check(program, torch.randn(10), dynamic=TIME, others=signals(1, 30))


def test_zero_crossings_and_peaks() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        crossings = ((x[1:] * x[:-1]) < 0).sum()
        peaks: list[int] = []
        for i in range(1, x.shape[0] - 1):
            if bool(x[i] > x[i - 1]) and bool(x[i] > x[i + 1]):
                peaks.append(i)
        return crossings, torch.tensor(peaks)

    check(program, torch.randn(10), dynamic=TIME, others=[*signals(30), (torch.arange(4.0),)])


def test_resampling_by_interpolation() -> None:
    def program(x: Tensor, rate: Tensor) -> Tensor:
        count = int(x.shape[0] * float(rate))
        at = torch.arange(count) / float(rate)
        low = at.floor().long().clamp(max=x.shape[0] - 1)
        high = (low + 1).clamp(max=x.shape[0] - 1)
        part = at - low
        return x[low] * (1 - part) + x[high] * part

    others = [(torch.randn(5), N(0.5)), (torch.randn(3), N(4.0))]
    check(program, torch.randn(8), N(1.5), dynamic=TIME, others=others)


def test_the_largest_eigenvalue_by_iteration() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        a = x.t() @ x + torch.eye(3)
        v = torch.ones(3)
        value = torch.zeros(())
        for _ in range(50):
            w = a @ v
            value = v @ w
            v = w / w.norm()
        return value, v

    check(program, torch.randn(4, 3), dynamic=TIME, others=[(torch.randn(7, 3),)], rtol=1e-4)


def test_a_root_by_newton_until_it_converges() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        y = x.clone()
        steps = 0
        error = (y * y - x).abs().max()
        while bool(error > 1e-4) and steps < 50:
            y = 0.5 * (y + x / y)
            error = (y * y - x).abs().max()
            steps += 1
        return y, torch.tensor(steps)

    others = [(N([1.0]),), (N([100.0, 0.01, 5.0]),)]
    check(program, N([2.0, 9.0]), dynamic=TIME, others=others, rtol=1e-4)


def test_bisection_with_numbers_alone() -> None:
    def program(x: Tensor) -> Tensor:
        target = float(x)
        low, high = 0.0, 10.0
        while high - low > 1e-6:
            middle = (low + high) / 2
            if middle * middle * middle < target:
                low = middle
            else:
                high = middle
        return torch.tensor(low)

    check(program, N(8.0), others=[(N(100.0),), (N(0.001),)])


def test_distances_balanced_by_rows_and_columns() -> None:
    def program(x: Tensor, steps: Tensor) -> Tensor:
        p = torch.exp(-((x.unsqueeze(0) - x.unsqueeze(1)) ** 2))
        for _ in range(int(steps)):
            p = p / p.sum(0, keepdim=True)
            p = p / p.sum(1, keepdim=True)
        return p

    check(program, torch.randn(4), N(5), dynamic=TIME, others=[(torch.randn(2), N(0)), (torch.randn(6), N(20))])


def test_clusters_move_to_their_means() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        centers = x[:2]
        nearest = torch.zeros(x.shape[0], dtype=torch.int64)
        for _ in range(5):
            distance = ((x.unsqueeze(1) - centers.unsqueeze(0)) ** 2).sum(-1)
            nearest = distance.argmin(1)
            rows: list[Tensor] = []
            for k in range(2):
                mask = (nearest == k).float().unsqueeze(1)
                rows.append((x * mask).sum(0) / mask.sum().clamp(min=1))
            centers = torch.stack(rows)
        return centers, nearest

    check(program, torch.randn(8, 2), dynamic=TIME, others=[(torch.randn(3, 2),), (torch.randn(20, 2),)])


def test_edit_distance_by_rows() -> None:
    def program(x: Tensor, y: Tensor) -> Tensor:
        row = torch.arange(y.shape[0] + 1)
        for i in range(x.shape[0]):
            new = torch.zeros_like(row)
            new[0] = i + 1
            for j in range(y.shape[0]):
                same = 0 if bool(x[i] == y[j]) else 1
                new[j + 1] = torch.min(torch.min(row[j + 1] + 1, new[j] + 1), row[j] + same)
            row = new
        return row[-1]

    dynamic = {"x": {0: "n"}, "y": {0: "m"}}
    others = [(N([1]), N([2])), (N([1, 2, 3, 4]), N([2, 3])), (N([5, 5]), N([5, 5]))]
    check(program, N([1, 2, 3]), N([1, 3, 3, 4]), dynamic=dynamic, others=others)


def test_a_warped_path_through_a_table() -> None:
    def program(x: Tensor, y: Tensor) -> Tensor:
        cost = (x.unsqueeze(1) - y.unsqueeze(0)).abs()
        n, m = cost.shape
        total = torch.full((n + 1, m + 1), float("inf"))
        total[0, 0] = 0.0
        for i in range(n):
            for j in range(m):
                before = torch.stack([total[i, j], total[i, j + 1], total[i + 1, j]]).min()
                total[i + 1, j + 1] = cost[i, j] + before
        return total[n, m]

    dynamic = {"x": {0: "n"}, "y": {0: "m"}}
    check(program, torch.randn(4), torch.randn(3), dynamic=dynamic, others=[(torch.randn(1), torch.randn(6))])

"""Programs that decode: greedily, by beams, by dynamic programming, until an end token."""

from __future__ import annotations

import torch
from script_check import check
from torch import Tensor, nn

N = torch.tensor


class Language(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.embed = nn.Embedding(9, 6)
        self.cell = nn.GRUCell(6, 6)
        self.out = nn.Linear(6, 9)

    def step(self, token: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        h = self.cell(self.embed(token), h)
        return torch.log_softmax(self.out(h) * 3, -1), h

    def forward(self, start: Tensor, limit: Tensor) -> Tensor:
        h = torch.zeros(start.shape[0], 6)
        token = start
        found: list[Tensor] = []
        i = 0
        while i < int(limit):
            scores, h = self.step(token, h)
            token = scores.argmax(-1)
            found.append(token)
            if bool((token == 2).all()):
                break
            i += 1
        return torch.stack(found, 1)


class Padding(Language):
    """Sequences that have ended go on with padding."""

    def forward(self, start: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
        batch = start.shape[0]
        h = torch.zeros(batch, 6)
        done = torch.zeros(batch, dtype=torch.bool)
        tokens = start.unsqueeze(1)
        for _ in range(int(limit)):
            scores, h = self.step(tokens[:, -1], h)
            new = scores.argmax(-1).masked_fill(done, 0)
            tokens = torch.cat([tokens, new.unsqueeze(1)], 1)
            done |= new == 2
            if done.all():
                break
        return tokens, (tokens != 0).sum(1)


class Beams(Language):
    def forward(self, start: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
        width = 3
        scores, h = self.step(start, torch.zeros(1, 6))
        best, tokens = scores[0].topk(width)
        paths = tokens.unsqueeze(1)
        h = h.expand(width, 6)
        for _ in range(int(limit)):
            scores, h = self.step(paths[:, -1], h)
            ended = (paths[:, -1] == 2).unsqueeze(1)
            scores = scores.masked_fill(ended, float("-inf"))
            scores[:, 2] = torch.where(ended[:, 0], torch.zeros(width), scores[:, 2])
            total = (best.unsqueeze(1) + scores).view(-1)
            best, flat = total.topk(width)
            source = torch.div(flat, 9, rounding_mode="floor")
            paths = torch.cat([paths[source], (flat % 9).unsqueeze(1)], 1)
            h = h[source]
        return paths, best


class Chain(nn.Module):
    """The best path through a chain of states, and the score of all paths together."""

    def __init__(self) -> None:
        super().__init__()
        self.move = nn.Parameter(torch.randn(4, 4))

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        alpha = x[0]
        back: list[Tensor] = []
        for i in range(1, x.shape[0]):
            best, source = (alpha.unsqueeze(-1) + self.move).max(1)
            back.append(source)
            alpha = torch.where(mask[i].unsqueeze(-1), best + x[i], alpha)
        last = alpha.argmax(-1)
        path = [last]
        for i in range(len(back)):
            step = len(back) - 1 - i
            before = back[step].gather(1, last.unsqueeze(1)).squeeze(1)
            last = torch.where(mask[step + 1], before, last)
            path.append(last)
        path.reverse()
        return torch.stack(path), alpha.max(-1)[0]


class Partition(nn.Module):
    def forward(self, x: Tensor, move: Tensor) -> Tensor:
        alpha = x[0]
        for row in x[1:]:
            alpha = torch.logsumexp(alpha.unsqueeze(1) + move, 0) + row
        return torch.logsumexp(alpha, 0)


def test_greedy_decoding_until_all_have_ended() -> None:
    others = [(N([1]), N(20)), (N([3, 8, 2]), N(5)), (N([4]), N(1))]
    check(Language(), N([1, 5]), N(6), dynamic={"start": {0: "batch"}}, others=others)


def test_greedy_decoding_pads_what_has_ended() -> None:
    others = [(N([1]), N(20)), (N([3, 8, 2]), N(5)), (N([4]), N(0))]
    check(Padding(), N([1, 5]), N(6), dynamic={"start": {0: "batch"}}, others=others)


def test_beams_over_any_number_of_steps() -> None:
    check(Beams(), N([1]), N(4), others=[(N([5]), N(0)), (N([3]), N(9))])


def test_the_best_path_through_a_chain() -> None:
    dynamic = {"x": {0: "time", 1: "batch"}, "mask": {0: "time", 1: "batch"}}
    full = torch.ones(5, 2, dtype=torch.bool)
    full[3:, 1] = False
    others = [(torch.randn(t, b, 4), torch.ones(t, b, dtype=torch.bool)) for t, b in ((2, 1), (9, 3))]
    check(Chain(), torch.randn(5, 2, 4), full, dynamic=dynamic, others=others)


def test_all_paths_together() -> None:
    move = torch.randn(4, 4)
    others = [(torch.randn(t, 4), move) for t in (1, 9)]
    check(Partition(), torch.randn(5, 4), move, dynamic={"x": {0: "time"}}, others=others)


def test_repeats_and_blanks_are_taken_out() -> None:
    def program(x: Tensor) -> Tensor:
        best = x.argmax(-1)
        found: list[int] = []
        before = -1
        for i in range(best.shape[0]):
            now = int(best[i])
            if now != before and now != 0:
                found.append(now)
            before = now
        return torch.tensor(found)

    others = [(torch.randn(1, 3),), (torch.randn(30, 3),), (torch.tensor([[1.0, 0, 0]]),)]
    check(program, torch.randn(9, 3), dynamic={"x": {0: "time"}}, others=others)


def test_sampling_by_given_numbers() -> None:
    def program(x: Tensor, u: Tensor) -> Tensor:
        p = torch.softmax(x, -1).cumsum(-1)
        return (p < u.unsqueeze(-1)).sum(-1)

    check(program, torch.randn(5, 3), torch.rand(5), others=[(torch.randn(5, 3), torch.rand(5))])


def test_the_smallest_set_of_tokens_that_holds_enough() -> None:
    def program(x: Tensor) -> Tensor:
        ranked, order = torch.sort(x, descending=True)
        p = torch.softmax(ranked, -1).cumsum(-1)
        drop = p > 0.7
        drop[..., 1:] = drop[..., :-1].clone()
        drop[..., 0] = False
        gone = torch.zeros_like(drop).scatter(-1, order, drop)
        return x.masked_fill(gone, float("-inf"))

    check(program, torch.randn(3, 6), dynamic={"x": {0: "n"}}, others=[(torch.randn(1, 6),)])


def test_tokens_that_were_used_are_worth_less() -> None:
    def program(x: Tensor, used: Tensor) -> Tensor:
        score = torch.gather(x, 1, used)
        score = torch.where(score < 0, score * 1.5, score / 1.5)
        return x.scatter(1, used, score)

    dynamic = {"x": {0: "n"}, "used": {0: "n", 1: "k"}}
    check(program, torch.randn(2, 6), N([[1, 2], [0, 0]]), dynamic=dynamic, others=[(torch.randn(1, 6), N([[5]]))])

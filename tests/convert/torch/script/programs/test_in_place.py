"""Scripted programs that change tensors in place, through views too."""

from __future__ import annotations

import pytest
import torch
from script_check import check
from torch import Tensor

from transload.serialize.errors import UnsupportedError

ROWS = {"x": {0: "n"}}


def rows(*sizes: int) -> list[tuple[Tensor, ...]]:
    return [(torch.randn(size, 4, generator=torch.manual_seed(size)),) for size in sizes]


def a_column(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, 0] += 1
    y[:, 1:3] *= 2
    y[-1] = 0.5
    return y


def every_other(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, ::2] = y[:, 1::2] * 10
    return y


def by_mask(x: Tensor) -> Tensor:
    y = x.clone()
    y[y > 0] = 0.0
    y[y < -1] *= 2
    return y


def by_index(x: Tensor) -> Tensor:
    y = x.clone()
    places = torch.tensor([0, 1])
    y[places] = y[places] + 10
    y[:, places] -= 1
    y[places, places + 1] = 7.0
    return y


def by_index_put(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    places = torch.tensor([0, 0, 1])
    y.index_put_([places], torch.ones(3, 4), accumulate=True)
    return y + x


def copied(x: Tensor) -> Tensor:
    y = torch.empty(x.size(0), 4)
    y.copy_(x[0])
    y[:, 2].copy_(x[:, 0])
    return y


def filled(x: Tensor) -> Tensor:
    y = x.clone()
    y.masked_fill_(x > 0, 3.0)
    y[:, 1].fill_(2.0)
    y[0].zero_()
    return y


def transposed(x: Tensor) -> Tensor:
    y = x.clone()
    y.t()[0].add_(1)
    y.transpose(0, 1)[1:3] *= 2
    y.permute(1, 0)[3].sub_(5)
    return y


def reshaped(x: Tensor) -> Tensor:
    y = x.clone()
    y.view(-1)[2:5] = 0.0
    y.unsqueeze(0)[0, :, 1] += 3
    y.view(x.size(0), 2, 2)[:, 1, 0] *= -1
    return y


def diagonal(x: Tensor) -> Tensor:
    y = x @ x.t()
    y.diagonal().add_(1.0)
    y.diagonal(1).zero_()
    return y


def parts(x: Tensor) -> Tensor:
    y = x.clone()
    a, b = y.chunk(2, dim=1)
    a.mul_(2)
    b += a
    y.split([1, 3], dim=1)[1].neg_()
    y.unbind(1)[0].add_(1)
    return y


def both_names(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    y = x.clone()
    z = y[:, :2]
    before = z.sum()
    y += 1
    z *= 2
    return y, z, before


def in_one_branch(x: Tensor) -> Tensor:
    y = x.clone()
    if bool(x.sum() > 0):
        y[:, 0] = 0
    return y + 1


def in_a_loop(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    for index in range(x.size(0)):
        y[index] = x[index] * index
        y[:, 0] += 1
    return y


def argument(x: Tensor) -> Tensor:
    x += 1
    x[:, 0].mul_(3)
    return x.relu_()


def metadata(x: Tensor) -> Tensor:
    y = x.clone()
    z = y[:, 1:]
    y.unsqueeze_(0)
    y.squeeze_(0).t_()
    z.add_(1)
    return y


def scattered(x: Tensor) -> Tensor:
    y = torch.zeros(x.size(0), 6)
    y.scatter_(1, torch.tensor([[0, 2, 4, 5]]).expand(x.size(0), 4), x)
    y.scatter_add_(1, torch.zeros(x.size(0), 4, dtype=torch.long), x)
    y.index_fill_(1, torch.tensor([3]), -1.0)
    return y


def clamped(x: Tensor) -> Tensor:
    y = x * 2
    y.clamp_(-1, 1).sqrt_().nan_to_num_(0.0)
    y.div_(2).pow_(2)
    return y


def integers(x: Tensor) -> Tensor:
    y = torch.arange(x.size(0) * 4).view(-1, 4)
    y[:, 1].floor_divide_(-3)
    y[0] += x[0].long()
    y[:, 2] = y[:, 2] % 5
    return y


PROGRAMS = [
    a_column, every_other, by_mask, by_index, by_index_put, copied, filled, transposed, reshaped, diagonal, parts,
    both_names, in_one_branch, in_a_loop, argument, metadata, scattered, clamped, integers,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_changes_reach_all_that_shares_the_memory(program: object) -> None:
    example, *others = rows(3, 2, 5)
    check(program, *example, dynamic=ROWS, others=others)


def test_a_change_to_what_may_be_the_same_tensor_is_refused_where_the_other_is_read() -> None:
    def program(x: Tensor) -> Tensor:
        y = x * 2
        z = y
        if bool(x.sum() > 0):
            z = x + 1
        z += 5
        return y + z

    with pytest.raises(UnsupportedError, match="may be the same memory"):
        check(program, torch.randn(3))


def test_a_change_to_a_tensor_in_a_list_of_unknown_length_is_refused() -> None:
    def program(x: Tensor) -> Tensor:
        row = x[0] * 1
        out = [row]
        for index in range(x.size(0)):
            out.append(x[index] * 2)
        row += 1
        return torch.stack(out)

    with pytest.raises(UnsupportedError, match="list whose length depends"):
        check(program, torch.randn(3, 4), dynamic=ROWS)


def test_a_change_to_an_expanded_tensor_is_refused() -> None:
    def program(x: Tensor) -> Tensor:
        y = x[:1].expand(3, 4)
        y += 1
        return y

    with pytest.raises((UnsupportedError, RuntimeError)):
        check(program, torch.randn(3, 4))

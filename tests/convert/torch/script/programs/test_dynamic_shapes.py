"""Programs whose shapes depend on the inputs' sizes or on the data; integers, types and numbers of all kinds."""

from __future__ import annotations

import math

import torch
from script_check import check, refusal
from torch import Tensor

N = torch.tensor
ROWS = {"x": {0: "n"}}
BOTH = {"x": {0: "n", 1: "m"}}


def sizes(*pairs: tuple[int, ...]) -> list[tuple[Tensor, ...]]:
    return [(torch.randn(*pair),) for pair in pairs]


def test_views_with_sizes_of_the_input() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        b, t = x.shape[0], x.size(1)
        y = x.view(b, t, 2, -1).permute(0, 2, 1, 3).reshape(b * 2, t, -1)
        z = y.reshape(b, 2 * t, y.shape[-1]).flatten(1)
        return y, z, x.reshape(-1, 4)[::2], x.view(b, -1).unflatten(1, (t, 4))

    check(program, torch.randn(2, 3, 4), dynamic=BOTH, others=sizes((1, 5, 4), (4, 1, 4)))


def test_sizes_in_arithmetic() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        n = x.shape[0]
        half = n // 2
        pad = (4 - n % 4) % 4
        padded = torch.nn.functional.pad(x, (0, 0, 0, pad))
        blocks = padded.view(-1, 4, x.shape[1]).mean(1)
        return blocks, x[:half], x[half:].sum(0), x * (n / 2) + math.sqrt(n) - n**2

    check(program, torch.randn(5, 3), dynamic=ROWS, others=sizes((1, 3), (4, 3), (8, 3), (7, 3)))


def test_windows_that_slide() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        windows = x.unfold(0, 3, 2)
        total = torch.zeros(x.shape[1])
        for i in range(0, x.shape[0] - 2, 2):
            total = total + x[i : i + 3].max(0)[0]
        return windows.amax(-1), total

    check(program, torch.randn(9, 2), dynamic=ROWS, others=sizes((3, 2), (4, 2), (12, 2)))


def test_slices_by_numbers_of_the_data() -> None:
    def program(x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        i, j = int(a), int(b)
        return x[i:j], x[i:], x[:j].sum(0), x[i]

    others = [(torch.randn(6, 2), N(i), N(j)) for i, j in ((-3, -1), (2, 2), (4, 1), (-6, 100))]
    check(program, torch.randn(6, 2), N(1), N(4), others=others)


def test_backwards_and_with_steps() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return x.flip(0), x.flip(0, 1)[1:-1:2], x[-2:], x[:-1]

    check(program, torch.randn(5, 3), dynamic=ROWS, others=sizes((2, 3), (8, 3)))


def test_masks_choose_and_put() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mask = x > 0
        chosen = x[mask]
        places = torch.nonzero(mask)
        y = x.clone()
        y[mask] = chosen * 2
        y[~mask] = -1.0
        return y, places, chosen.cumsum(0)

    check(program, torch.randn(5, 3), dynamic=ROWS, others=[*sizes((2, 3), (8, 3)), (-torch.ones(3, 3),)])


def test_where_chains() -> None:
    def program(x: Tensor) -> Tensor:
        y = torch.where(x > 1, x * 2, torch.where(x < -1, -x, torch.zeros_like(x)))
        y = torch.where(x == 0, 5.0, y)
        return torch.where((x > 0) & (x < 0.5) | (x < -2), y + 1, y)

    check(program, torch.randn(6) * 2, dynamic=ROWS, others=[(torch.tensor([0.0, 0.25, -3.0, float("nan")]),)])


def test_integer_arithmetic_of_negatives() -> None:
    def program(x: Tensor, k: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        i = int(k)
        numbers = torch.tensor([i // 3, i % 3, i // -3, i % -3, -i, abs(i), i & 6, i | 9, i ^ 5])
        return x // 3, x % -3, torch.div(x, -3, rounding_mode="trunc"), (x & 5) | (x ^ 3) << 1, numbers

    x = torch.arange(-7, 8)
    check(program, x, N(7), dynamic=ROWS, others=[(x[:5], N(k)) for k in (-7, 0, 1, -1)])


def test_promotion_of_numbers_and_tensors() -> None:
    def program(x: Tensor, k: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        i, f = int(k), float(k) / 2
        whole = torch.arange(x.shape[0])
        return whole + f, whole * i, whole / i, x * i + f, (whole > i) + 1, whole.int() * i

    check(program, torch.randn(4), N(3), dynamic=ROWS, others=[(torch.randn(2), N(-2))])


def test_functions_of_floats() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        s = float(x.sum())
        a = math.sqrt(abs(s)) + math.exp(-abs(s)) + math.log(abs(s) + 1) + math.sin(s) * math.cos(s)
        b = math.floor(s) + math.ceil(s) + int(s) + round(s) + max(s, 1.0) + min(s, 0.5) + math.pi
        c = max([1.0, s, 0.25]) + min(3, x.shape[0]) + sum([s, 1.0])
        return torch.tensor([a, b, c, s % 2.0, s // 2.0]), x * a

    check(program, torch.randn(4) * 3, dynamic=ROWS, others=[(torch.randn(2) - 5,), (torch.tensor([2.5]),)])


def test_powers_are_floats_as_torchscript_has_it() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        n = x.shape[0]
        return torch.tensor([n**2]), torch.tensor([2**3])

    check(program, torch.randn(3), dynamic=ROWS, others=[(torch.randn(5),)])


def test_item_in_arithmetic() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        top = x.max().item()
        low = x.argmin().item()
        return x / top, x + low, torch.full((2,), top)

    check(program, torch.rand(4) + 1, dynamic=ROWS, others=[(torch.rand(7) + 1,)])


def test_a_tensor_as_a_list() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        values: list[float] = x.tolist()
        total = 0.0
        for v in values:
            total += v * v
        values.append(total)
        return torch.tensor(values), torch.tensor(total)

    check(program, torch.randn(4), dynamic=ROWS, others=[(torch.randn(1),), (torch.randn(30),)])


def test_a_matrix_as_nested_lists() -> None:
    def program(x: Tensor) -> Tensor:
        values: list[list[int]] = x.tolist()
        return torch.tensor([values[0][1] + values[1][0], len(values)])

    check(program, torch.arange(4).view(2, 2), others=[(torch.arange(4).view(2, 2) * 7,)])


def test_types_are_compared_and_converted() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if x.dtype == torch.float32:
            y = x.double()
        else:
            y = x.float()
        z = y.to(torch.int32).to(x.dtype)
        w = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
        if x.is_floating_point() and not x.is_cuda:
            w = w + 1
        return y.half().float(), z, w.type_as(x), x.new_zeros(x.shape) + x.new_full((1,), 2)

    check(program, torch.randn(4) * 3, dynamic=ROWS, others=[(torch.randn(1),)])


def test_cumulative_sums_and_one_hot_rows() -> None:
    def program(x: Tensor, k: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        one_hot = torch.zeros(k.shape[0], 5).scatter_(1, k.unsqueeze(1), 1.0)
        return one_hot.cumsum(0), x.cumsum(1) - x, torch.nn.functional.one_hot(k, 5)

    dynamic = {"x": {0: "n"}, "k": {0: "n"}}
    check(program, torch.randn(4, 3), N([0, 4, 2, 2]), dynamic=dynamic, others=[(torch.randn(1, 3), N([3]))])


def test_sorting_by_keys() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        order = x[:, 0].argsort(descending=True)
        values, places = x.sort(0)
        return x[order], values.gather(0, places), x.index_select(0, order[: x.shape[0] // 2])

    check(program, torch.randn(5, 3), dynamic=ROWS, others=sizes((2, 3), (8, 3)))


def test_tables_of_positions_are_counted_from_the_length() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        n, d = x.shape
        position = torch.arange(n).float().unsqueeze(1)
        scale = torch.exp(torch.arange(0, d, 2).float() * -(math.log(10000.0) / d))
        table = torch.zeros(n, d)
        table[:, 0::2] = torch.sin(position * scale)
        table[:, 1::2] = torch.cos(position * scale)
        return x + table, torch.linspace(0, 1, 5) * n

    check(program, torch.randn(5, 6), dynamic=ROWS, others=sizes((1, 6), (50, 6)))


def test_empty_rows() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        kept = x[x[:, 0] > 100]
        return kept, kept.sum(0), torch.cat([kept, x])

    check(program, torch.randn(5, 3), dynamic=ROWS, others=[*sizes((2, 3)), (torch.full((3, 3), 200.0),)])


def test_shapes_made_of_computed_numbers() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        count = int((x > 0).sum())
        return torch.ones(count, 2) * x.sum(), torch.arange(count) + torch.zeros([count])

    check(program, torch.randn(6), dynamic=ROWS, others=[(torch.randn(9),), (-torch.ones(2),)])


def test_repeats_tiles_and_expansions_by_sizes() -> None:
    def program(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        n, m = x.shape[0], y.shape[0]
        grid = x.unsqueeze(1).expand(n, m, -1) + y.unsqueeze(0).expand(n, m, y.shape[1])
        return grid, x.repeat(2, m), torch.stack([x] * 2).view(-1, x.shape[1]), x.repeat_interleave(3, 0)

    dynamic = {"x": {0: "n"}, "y": {0: "m"}}
    others = [(torch.randn(1, 3), torch.randn(5, 3)), (torch.randn(4, 3), torch.randn(1, 3))]
    check(program, torch.randn(2, 3), torch.randn(3, 3), dynamic=dynamic, others=others)


def test_an_input_asked_for_more_than_it_has_is_no_branch() -> None:
    def program(x: Tensor) -> Tensor:
        if x.dim() == 2 and x.shape[1] == 3 and x.numel() > 0:
            return x.sum(1)
        return x.view(-1)

    check(program, torch.randn(2, 3), dynamic=ROWS, others=sizes((1, 3), (6, 3)))


def test_parts_whose_number_depends_on_the_size() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        total = torch.zeros(2)
        for part in x.split(2):
            total = total * 0.5 + part.sum(0)
        rows = x.unbind(0)
        columns = torch.stack(x.t().unbind(1))
        return total, rows[-1] + len(rows), columns

    check(program, torch.randn(5, 2), dynamic=ROWS, others=sizes((1, 2), (8, 2)))


def test_a_part_of_an_unknown_number_of_parts_cannot_be_changed() -> None:
    def program(x: Tensor) -> Tensor:
        y = x.clone()
        for row in y.unbind(0):
            row += 1
        return y

    error = str(refusal(program, torch.randn(5, 2), dynamic=ROWS))
    assert "row += 1" in error


def test_all_operations_without_translation_are_listed_with_their_lines() -> None:
    def program(x: Tensor) -> Tensor:
        y = torch.poisson(x)
        for _ in range(x.shape[0]):
            if bool(x.sum() > 0):
                y = y + torch.binomial(x, x)
        z = torch.bernoulli(x)
        return y + z

    error = refusal(program, torch.rand(3), dynamic=ROWS)
    found = {operation.name: operation.location for operation in error.operations}
    assert set(found) == {"aten::poisson", "aten::binomial", "aten::bernoulli"}
    assert all("test_dynamic_shapes.py" in location for location in found.values())
    assert found["aten::binomial"].endswith("y = y + torch.binomial(x, x)")


def test_statistics_of_what_a_mask_leaves_be_it_nothing() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        kept = x[x[:, 0] > 0]
        return kept.mean(), kept.mean(0), kept.sum(-1), torch.var_mean(kept, 0, unbiased=False)[1]

    check(program, torch.ones(3, 2), dynamic=ROWS, others=[(-torch.ones(4, 2),), (torch.randn(5, 2),)])


def test_dimensions_may_have_any_name() -> None:
    def program(x: Tensor, y: Tensor) -> Tensor:
        columns: list[Tensor] = []
        for i in range(x.shape[1]):
            columns.append(x[x[:, i] > 0.5, i].sum() + x[0])
        return torch.stack(columns)[: y.shape[0]]

    names = {"x": {0: "size_1", 1: "size_2"}, "y": {0: "value_1"}}
    others = [(torch.rand(2, 7), torch.zeros(3)), (torch.rand(7, 2), torch.zeros(2))]
    check(program, torch.rand(4, 5), torch.zeros(4), dynamic=names, others=others)

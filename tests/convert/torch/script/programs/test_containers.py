"""Programs of lists, tuples, dicts, enums, strings, scripted classes and type refinement."""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple, Optional, Union

import pytest
import torch
from script_check import check, op_types, refusal
from torch import Tensor, nn

N = torch.tensor
ROWS = {"x": {0: "n"}}


class Pair(NamedTuple):
    left: Tensor
    right: Tensor
    count: int


class Mode(Enum):
    SUM = 1
    MEAN = 2


@torch.jit.script
class Vec:
    def __init__(self, x: Tensor, scale: float) -> None:
        self.x = x
        self.scale = scale
        self.log: list[Tensor] = []
        self.count = 0

    def step(self, y: Tensor) -> Tensor:
        self.x = self.x * self.scale + y
        self.count += 1
        self.log.append(self.x)
        return self.x

    def norm(self) -> Tensor:
        return (self.x * self.x).sum()

    def __add__(self, other: Vec) -> Vec:
        return Vec(self.x + other.x, self.scale)


def test_a_list_of_ints_built_in_a_loop_of_unknown_trips() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        found: list[int] = []
        for i in range(x.shape[0]):
            if bool(x[i] > 0):
                found.append(i * 2)
        found.append(-1)
        return torch.tensor(found), torch.tensor([sum(found), max(found), len(found), found[0], found[-1]])

    check(program, torch.randn(6), dynamic=ROWS, others=[(-torch.ones(3),), (torch.randn(20),)])


def test_a_list_of_floats_and_bools_built_in_a_loop() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        values: list[float] = []
        flags: list[bool] = []
        for row in x:
            values.append(float(row.sum()) * 0.5)
            flags.append(bool(row[0] > 0))
        return torch.tensor(values), torch.tensor(flags)

    check(program, torch.randn(4, 2), dynamic=ROWS, others=[(torch.randn(1, 2),), (torch.randn(9, 2),)])


def test_items_of_lists_of_unknown_length_are_set_popped_and_inserted() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        items: list[Tensor] = []
        for i in range(x.shape[0]):
            items.append(x[i] + i)
        items[0] = x[0] * 100
        items[-1] = items[-1] + 0.5
        last = items.pop()
        items.insert(0, last * 3)
        del items[-1]
        items.append(last)
        return torch.stack(items), last

    check(program, torch.randn(4, 2), dynamic=ROWS, others=[(torch.randn(n, 2),) for n in (2, 3, 7)])


def test_ints_of_lists_of_unknown_length_are_set_and_popped() -> None:
    def program(x: Tensor) -> Tensor:
        items: list[int] = []
        for i in range(x.shape[0]):
            items.append(i * i)
        items[1] = 50
        items[-1] += 7
        first = items.pop(0)
        last = items.pop()
        items.append(first + last * 2)
        part = items[1:]
        return torch.tensor(items + part + [len(part)])

    check(program, torch.randn(4), dynamic=ROWS, others=[(torch.randn(n),) for n in (3, 8)])


def test_slices_of_lists_of_unknown_length_backwards() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        numbers = list(range(x.shape[0]))
        rows: list[Tensor] = []
        for i in range(x.shape[0]):
            rows.append(x[i] * i)
        turned = torch.tensor(numbers[::-1])
        return turned, torch.tensor(numbers[5:1:-2]), torch.tensor(numbers[:-3:-1]), torch.stack(rows[2::-1])

    check(program, torch.randn(4, 2), dynamic=ROWS, others=[(torch.randn(n, 2),) for n in (1, 2, 3, 8)])


def test_a_slice_backwards_from_a_place_that_may_lie_before_the_list_is_refused() -> None:
    def program(x: Tensor) -> Tensor:
        return torch.tensor(list(range(x.shape[0]))[-2::-1])

    assert "backwards from a place that is not known" in str(refusal(program, torch.randn(4), dynamic=ROWS))


def test_a_list_of_lists_in_a_loop_of_few_known_trips() -> None:
    def program(x: Tensor) -> Tensor:
        groups: list[list[Tensor]] = []
        for i in range(3):
            group: list[Tensor] = []
            for j in range(i + 1):
                group.append(x * j)
            groups.append(group)
        return torch.stack([torch.stack(group).sum(0) for group in groups])

    check(program, torch.randn(2), dynamic=ROWS, others=[(torch.randn(5),)])


def test_a_list_of_lists_whose_length_depends_on_the_data_is_refused() -> None:
    def program(x: Tensor) -> Tensor:
        groups: list[list[Tensor]] = []
        for i in range(x.shape[0]):
            groups.append([x[i], x[i] * 2])
        return groups[0][1]

    error = str(refusal(program, torch.randn(3), dynamic=ROWS))
    assert "groups.append([x[i], x[i] * 2])" in error or "for i in range(x.shape[0])" in error


def test_tensors_of_different_shapes_in_a_list() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        parts: list[Tensor] = []
        for i in range(x.shape[0]):
            parts.append(x[: i + 1] * i)
        return torch.cat(parts), parts[-1]

    check(program, torch.randn(4), dynamic=ROWS, others=[(torch.randn(1),), (torch.randn(9),)])


def test_a_stack_and_its_bounds() -> None:
    def program(x: Tensor) -> Tensor:
        stack = [x[0]]
        total = torch.zeros(())
        steps = 0
        while len(stack) > 0 and steps < 20:
            top = stack.pop()
            total = total + top
            if bool(top > 1):
                stack.append(top / 2)
                stack.append(top / 3)
            steps += 1
        return total

    check(program, N([5.0]), others=[(N([0.5]),), (N([30.0]),)])


def test_named_tuples_are_made_and_taken_apart() -> None:
    def program(x: Tensor) -> Pair:
        pair = Pair(x, x + 1, 3)
        left, right, count = pair
        if bool(x.sum() > 0):
            pair = Pair(right, left, pair.count)
        return Pair(pair.left * count, pair.right, count)

    check(program, torch.ones(2), others=[(-torch.ones(2),)])


class Nested(nn.Module):
    def forward(self, x: dict[str, list[Tensor]], y: tuple[Tensor, tuple[Tensor, Tensor]]) -> dict[str, Any]:
        first, (second, third) = y
        total = first + second * third
        for item in x["items"]:
            total = total + item
        return {"total": total, "pair": (first, [second, third])}


def test_nested_inputs() -> None:
    def program(x: dict[str, list[Tensor]], y: tuple[Tensor, tuple[Tensor, Tensor]]) -> tuple[Tensor, list[Tensor]]:
        first, (second, third) = y
        total = first + second * third
        for item in x["items"]:
            total = total + item
        return total, [first, second]

    a, b, c = (torch.randn(2) for _ in range(3))
    check(program, {"items": [a, b]}, (a, (b, c)))


def test_dicts_updated_in_branches_and_loops() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        found = {"a": x, "b": x * 2}
        counts = {1: 0, 2: 0}
        for i in range(int(n)):
            if bool(found["a"].sum() > 3):
                found["b"] = found["b"] + i
                counts[1] += 1
            else:
                found["a"] = found["a"] + 1
                counts[2] = counts[2] + i
        return found["a"] + found["b"] * counts[1] - counts[2]

    check(program, torch.zeros(2), N(5), others=[(torch.ones(2) * 3, N(0)), (torch.ones(2), N(9))])


def test_a_key_added_in_one_branch_alone_is_refused() -> None:
    def program(x: Tensor) -> Tensor:
        found = {"a": x}
        if bool(x.sum() > 0):
            found["b"] = x * 2
        return found["a"] + len(found)

    error = str(refusal(program, torch.ones(2)))
    assert "keys ['a', 'b']" in error
    assert "if bool(x.sum() > 0)" in error


def test_methods_of_dicts() -> None:
    def program(x: Tensor) -> Tensor:
        found = {"a": x, "b": x + 1}
        total = torch.zeros_like(x)
        for key in found:
            total = total + found[key]
        for key, value in found.items():
            if key == "b":
                total = total + value * 2
        keys = list(found.keys())
        total = total + len(keys)
        copy = found.copy()
        del copy["a"]
        default = found.get("z")
        if default is None and "a" not in copy and "a" in found:
            total = total + copy.setdefault("q", x * 3)
        return total + torch.stack(list(copy.values())).sum(0)

    check(program, torch.randn(2), dynamic=ROWS, others=[(torch.randn(5),)])


def test_a_key_that_depends_on_the_data_is_refused() -> None:
    def program(x: Tensor, k: Tensor) -> Tensor:
        found = {0: x, 1: x * 2}
        return found[int(k)]

    assert "key of a dict depends on the data" in str(refusal(program, torch.randn(2), N(1)))


def test_enums_are_compared() -> None:
    def program(x: Tensor, flag: bool) -> Tensor:
        mode = Mode.SUM if flag else Mode.MEAN
        if mode == Mode.SUM:
            return x.sum() + mode.value
        return x.mean() if mode.name == "MEAN" else x

    check(program, torch.randn(3), True)
    check(program, torch.randn(3), False)


def test_an_enum_that_both_arms_choose_alike() -> None:
    def program(x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            x = x * 2
            mode = Mode.MEAN
        else:
            mode = Mode.MEAN
        return x.sum() if mode == Mode.SUM else x.mean()

    check(program, torch.ones(3), others=[(-torch.ones(3),)])


class Stepping(nn.Module):
    def forward(self, x: Tensor, n: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        vec = Vec(x, 0.5)
        for i in range(int(n)):
            vec.step(x + i)
            if bool(vec.norm() > 20):
                vec.x = vec.x / 2
        both = vec + Vec(x, 1.0)
        return both.x, torch.tensor(vec.count), vec.norm()


def test_objects_change_in_loops() -> None:
    check(Stepping(), torch.ones(2), N(3), others=[(torch.ones(2) * 3, N(8)), (torch.ones(2), N(0))])


class Logging(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        vec = Vec(x, 0.5)
        other = vec
        for i in range(x.shape[0]):
            other.step(x * i)
        return torch.stack(vec.log)


def test_objects_collect_items_under_two_names() -> None:
    check(Logging(), torch.ones(2), dynamic=ROWS, others=[(torch.randn(5),)])


def test_refinement_of_unions_and_any() -> None:
    def double(x: Union[Tensor, int, list[Tensor]]) -> Tensor:
        if isinstance(x, Tensor):
            return x * 2
        if isinstance(x, int):
            return torch.full((2,), x)
        return x[0] + x[1]

    def program(x: Tensor) -> Tensor:
        return double(x) + double(3) + double([x, x])

    check(program, torch.randn(2))


def test_refinement_by_isinstance_of_optionals() -> None:
    def program(x: Tensor, y: Optional[Tensor] = None) -> Tensor:
        items = torch.jit.annotate(list[Optional[Tensor]], [x, None])
        total = x
        for item in items:
            if item is not None:
                total = total + item
        if isinstance(y, Tensor):
            total = total * y
        return total

    check(program, torch.randn(2))
    check(program, torch.randn(2), torch.randn(2))


@pytest.mark.parametrize("mode", ["sum", "mean", "max", "other"])
def test_strings_are_compared_while_translating(mode: str) -> None:
    def program(x: Tensor, mode: str) -> Tensor:
        if mode == "sum":
            return x.sum(0)
        if mode in ["mean", "avg"]:
            return x.mean(0)
        if mode != "other" and len(mode) == 3:
            return x.max(0)[0]
        text = f"{mode}-{len(mode)}" + "!".upper() + mode[0] + str(3) + "x".join(["a", "b"])
        return x[0] * len(text)

    check(program, torch.randn(3, 2), mode, dynamic=ROWS, others=[(torch.randn(5, 2), mode)])


def test_comprehensions_zip_and_slices_of_lists() -> None:
    def program(x: Tensor) -> Tensor:
        parts = [x * i for i in range(5)]
        odd = parts[1::2]
        total = torch.zeros_like(x)
        for i, (a, b) in enumerate(zip(parts[:-1], parts[1:])):  # noqa: RUF007
            total = total + a * b * i
        for a in parts[::-1][:2]:
            total = total - a
        sizes = [p.shape[0] for p in odd]
        names = {str(i): p for i, p in enumerate(odd)}
        return total + sum(sizes) + names["1"]

    check(program, torch.randn(2), dynamic=ROWS, others=[(torch.randn(5),)])


def test_a_comprehension_over_rows_of_a_dynamic_tensor() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        rows = [row * 2 for row in x]
        sums = [float(row.sum()) for row in rows]
        return torch.stack(rows), torch.tensor(sums)

    check(program, torch.randn(3, 2), dynamic=ROWS, others=[(torch.randn(1, 2),), (torch.randn(8, 2),)])


def test_unpacking_and_swapping() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        a, b, c = x.unbind(0)
        a, b = b, a
        (p, q), r = (a, b), c
        first, second = [p + r, q]
        n, m = x.shape
        return first * n, second * m

    check(program, torch.randn(3, 2), dynamic={"x": {1: "m"}}, others=[(torch.randn(3, 5),)])


def test_a_tensor_of_computed_numbers() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        s = float(x.sum())
        n = x.shape[0]
        return (
            torch.tensor([s, 1.0, s * 2]),
            torch.tensor([[n, 2], [3, n * n]]),
            torch.tensor([n > 2, s > 0]),
            torch.tensor(s, dtype=torch.float64) + torch.tensor(n),
        )

    check(program, torch.randn(3), dynamic=ROWS, others=[(torch.randn(1),), (torch.randn(6),)])


def test_lists_of_numbers_become_sizes() -> None:
    def program(x: Tensor) -> Tensor:
        sizes = [x.shape[0], -1]
        sizes[1] = 2
        sizes.append(1)
        y = x.view(sizes)
        shape = list(y.shape)
        shape[0] = 1
        return y + torch.ones(shape) * len(shape)

    check(program, torch.randn(3, 2), dynamic=ROWS, others=[(torch.randn(1, 2),), (torch.randn(6, 2),)])


def test_sorted_reversed_contains_and_count() -> None:
    def program(x: Tensor) -> Tensor:
        order = [3, 1, 2]
        order.sort()
        back = sorted([5, 4])
        order.extend(back)
        order.reverse()
        order.remove(1)
        order += [7]
        if 3 in order and 9 not in order:
            x = x + order.index(3)
        flags = [True, False]
        return x * order.count(7) + torch.tensor(order).sum() + (1 if any(flags) and not all(flags) else 0)

    check(program, torch.randn(2))


def test_a_list_that_is_stacked_after_a_loop_is_what_the_loop_gives() -> None:
    def program(x: Tensor) -> Tensor:
        rows: list[Tensor] = []
        h = torch.zeros(2)
        for i in range(x.shape[0]):
            h = torch.tanh(x[i] + h)
            rows.append(h)
        return torch.stack(rows)

    model = check(program, torch.randn(4, 2), dynamic=ROWS, others=[(torch.randn(1, 2),), (torch.randn(9, 2),)])
    assert not [name for name in op_types(model) if "Sequence" in name]


def test_ints_collected_in_a_loop_are_what_the_loop_gives() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        found: list[int] = []
        for i in range(x.shape[0]):
            found.append(i * i)
        return torch.tensor(found), x[found[-1] % 2]

    model = check(program, torch.arange(100.0)[:9], dynamic=ROWS, others=[(torch.randn(2),)])
    assert "Concat" not in op_types(model)


def test_a_list_read_in_the_loop_that_fills_it() -> None:
    def program(x: Tensor) -> Tensor:
        rows = [x[0]]
        for i in range(x.shape[0] - 1):
            rows.append(rows[i] * 0.5 + rows[len(rows) - 1] + x[i + 1])
        return torch.stack(rows)

    check(program, torch.randn(4, 2), dynamic=ROWS, others=[(torch.randn(1, 2),), (torch.randn(9, 2),)])


def test_several_lists_filled_in_one_loop() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        a: list[Tensor] = []
        b: list[Tensor] = [x[0]]
        c: list[Tensor] = []
        d: list[Tensor] = []
        for i in range(x.shape[0]):
            a.append(x[i] * 2)
            b.append(x[i])
            c.append(x[: i + 1].sum(0))
            c.append(x[i])
            if bool(x[i].sum() > 0):
                d.append(x[i])
        d.append(x[0])
        return torch.cat(a), torch.stack(b, 1), torch.stack(c), torch.stack(d)

    check(program, torch.randn(4, 2), dynamic=ROWS, others=[(torch.randn(1, 2),), (torch.randn(9, 2),)])


def test_items_with_dynamic_sizes_are_stacked() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a: list[Tensor] = []
        for i in range(x.shape[0]):
            a.append(x[i] * i)
        return torch.stack(a, 1), torch.cat(a, -1), a[-1]

    dynamic = {"x": {0: "n", 1: "m"}}
    check(program, torch.randn(4, 2), dynamic=dynamic, others=[(torch.randn(1, 3),), (torch.randn(9, 5),)])


def test_a_list_filled_in_nested_loops() -> None:
    def program(x: Tensor) -> Tensor:
        rows: list[Tensor] = []
        for i in range(x.shape[0]):
            columns: list[Tensor] = []
            for j in range(x.shape[1]):
                columns.append(x[i, j] * j)
            rows.append(torch.stack(columns))
        return torch.stack(rows)

    dynamic = {"x": {0: "n", 1: "m"}}
    check(program, torch.randn(4, 2), dynamic=dynamic, others=[(torch.randn(1, 3),), (torch.randn(9, 5),)])

"""Programs in which two names may mean the same tensor, list or object, and one of them is changed."""

from __future__ import annotations

import torch
from script_check import check, refusal
from torch import Tensor, nn

N = torch.tensor
POSITIVE, NEGATIVE = torch.ones(3), -torch.ones(3)


def test_a_second_name_that_a_loop_changes_in_place() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        z = x * 2
        y = z
        for _ in range(int(n)):
            y += 1
        return y + z

    check(program, POSITIVE, N(3), others=[(NEGATIVE, N(0)), (NEGATIVE, N(1))])


def test_a_second_name_that_a_branch_in_a_loop_changes_in_place() -> None:
    def program(x: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        z = x * 2
        y = z.view(-1)
        for i in range(int(n)):
            if bool(y.sum() < 5):
                y += i
            else:
                z -= 2
        return y, z

    check(program, POSITIVE, N(3), others=[(NEGATIVE, N(0)), (NEGATIVE, N(9))])


def test_a_name_given_away_in_a_loop_and_then_changed() -> None:
    def program(x: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        kept = x * 2
        y = x + 1
        for _ in range(int(n)):
            kept = y
            y += 1
        return kept, y

    check(program, POSITIVE, N(2), others=[(NEGATIVE, N(0)), (NEGATIVE, N(1))])


def test_names_that_take_turns_in_a_loop() -> None:
    def program(x: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        a, b = x + 1, x + 2
        for _ in range(int(n)):
            a, b = b, a
            a += 1
        return a, b

    refusal(program, POSITIVE, N(2))


def test_names_that_take_turns_are_right_where_nothing_is_changed_in_place() -> None:
    def program(x: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        a, b = x + 1, x + 2
        for _ in range(int(n)):
            a, b = b, a + b
        return a, b

    check(program, POSITIVE, N(2), others=[(NEGATIVE, N(0)), (NEGATIVE, N(5))])


def test_a_fresh_tensor_of_each_trip_may_be_changed() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        y = x
        for i in range(int(n)):
            y = y * 2
            y += i
            y[0] = 1.5
        return x + y

    check(program, POSITIVE, N(2), others=[(NEGATIVE, N(0)), (NEGATIVE, N(5))])


def test_a_change_after_a_branch_reaches_through_two_joins() -> None:
    def program(x: Tensor, p: Tensor, q: Tensor) -> Tensor:
        a, c = x + 1, x + 2
        b = a if bool(p) else c
        d = b if bool(q) else x * 3
        d += 1
        return a

    refusal(program, POSITIVE, N(True), N(True))


def test_a_branch_that_keeps_the_same_tensor_in_both_arms() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        y = x + 1
        if bool(x.sum() > 0):
            y += 1
            z = y
        else:
            z = y
        z *= 2
        return y, z

    check(program, POSITIVE, others=[(NEGATIVE,)])


def test_a_list_of_the_same_tensors_in_both_arms() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        a, b = x + 1, x + 2
        items = [a, b]
        if bool(x.sum() > 0):
            items = [a, b]
            items[1] += 10
        items[0] += 1
        return a, b

    check(program, POSITIVE, others=[(NEGATIVE,)])


def test_a_list_chosen_by_the_data_and_then_changed() -> None:
    def program(x: Tensor) -> Tensor:
        a = [x]
        b = a
        if bool(x.sum() > 0):
            b = [x * 2]
        b.append(x)
        return torch.stack(a).sum(0)

    error = str(refusal(program, POSITIVE))
    assert "the same list" in error


def test_a_list_chosen_by_the_data_may_be_changed_where_the_other_is_not_read() -> None:
    def program(x: Tensor) -> Tensor:
        b = [x]
        if bool(x.sum() > 0):
            b = [x * 2]
        b.append(x + 1)
        return torch.stack(b)

    check(program, POSITIVE, others=[(NEGATIVE,)])


def test_a_dict_chosen_by_the_data_and_then_changed() -> None:
    def program(x: Tensor) -> Tensor:
        a = {"k": x}
        b = a
        if bool(x.sum() > 0):
            b = {"k": x * 2}
        b["k"] = x * 5
        return a["k"]

    error = str(refusal(program, POSITIVE))
    assert "the same dict" in error


def test_an_item_of_a_list_of_unknown_length_is_changed() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        items = [x + 1]
        for i in range(int(n)):
            items.append(x * i)
        items[0].add_(1)
        return torch.stack(items)

    assert "list whose length depends" in str(refusal(program, POSITIVE, N(2)))


def test_a_tensor_that_a_list_holds_already_is_changed_in_the_loop_that_fills_it() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        a = x.clone()
        items = [a]
        for i in range(int(n)):
            a += 1
            items.append(a * i)
        return torch.stack(items)

    check(program, POSITIVE, N(2), others=[(NEGATIVE, N(1)), (NEGATIVE, N(0))])


def test_a_tensor_that_a_list_holds_already_is_changed_in_the_loop_that_changes_the_list() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        a = x.clone()
        items = [a]
        for i in range(int(n)):
            a += 1
            if bool(a.sum() > 2):
                items.append(a * i)
        return torch.stack(items)

    assert "list whose length depends" in str(refusal(program, POSITIVE, N(2)))


def test_a_tensor_is_changed_after_each_append() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        a = x.clone()
        items: list[Tensor] = []
        for _ in range(int(n)):
            items.append(a)
            a += 1
        return torch.stack(items)

    assert "list whose length depends" in str(refusal(program, POSITIVE, N(2)))


def test_a_tensor_cloned_into_a_list_may_be_changed() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        a = x.clone()
        items: list[Tensor] = []
        for _ in range(int(n)):
            a += 1
            items.append(a.clone())
        return torch.stack(items)

    check(program, POSITIVE, N(2), others=[(NEGATIVE, N(1)), (NEGATIVE, N(7))])


def test_a_tensor_that_may_be_in_a_list_of_unknown_length_is_changed() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        a = x.clone()
        items: list[Tensor] = []
        for _ in range(int(n)):
            items.append(a)
        b = a
        if bool(x.sum() > 0):
            b = x * 2
        b += 1
        return torch.stack(items)

    refusal(program, POSITIVE, N(2))


def test_items_of_known_lists_are_changed_through_either_name() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        a = x.clone()
        items = [a, a, x + 1]
        items[1] += 1
        for item in items:
            item *= 2
        return a, torch.stack(items)

    check(program, POSITIVE, dynamic={"x": {0: "n"}}, others=[(torch.randn(5),)])


def test_reshaping_what_may_be_contiguous_is_a_view_or_a_copy() -> None:
    def program(x: Tensor) -> Tensor:
        y = x.clone()
        y.t().reshape(-1)[0] += 5
        return y

    refusal(program, torch.randn(2, 3))


def test_flattening_what_is_contiguous_does_not_copy() -> None:
    def program(x: Tensor) -> Tensor:
        y = torch.zeros(2, 3)
        y.flatten()[2] += 1
        y.reshape(3, 2)[0] += x[0, :2]
        y.ravel()[5] = 7
        y.contiguous()[0, 0] = 3
        return y

    check(program, torch.randn(2, 3))


def test_what_may_be_a_copy_or_not_is_right_as_long_as_only_one_is_read() -> None:
    def program(x: Tensor) -> Tensor:
        y = (x.t() @ x).t()
        z = y.reshape(-1)
        z += 1
        z[0] = 0
        return z

    check(program, torch.randn(2, 3), dynamic={"x": {0: "n"}}, others=[(torch.randn(5, 3),)])


def test_dropout_gives_the_tensor_itself_in_eval_mode() -> None:
    def program(x: Tensor) -> Tensor:
        y = x * 2
        z = torch.nn.functional.dropout(y, 0.5, training=False)
        z += 1
        return y

    check(program, POSITIVE)


def test_conversions_that_convert_nothing_give_the_tensor_itself() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        y = x * 2
        z = y.float()
        z += 1
        w = y.double()
        w += 1
        v = y.to(torch.float32, copy=True)
        v += 1
        return y, y.type_as(x).add_(1)

    check(program, POSITIVE)


def test_at_least_some_dimensions_is_a_view() -> None:
    def program(x: Tensor) -> Tensor:
        y = x * 2
        z = torch.atleast_2d(y)
        z += 1
        return y

    check(program, POSITIVE)


def test_axes_changed_in_place_inside_a_branch() -> None:
    def program(x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            y = x + 1
            y.unsqueeze_(0)
        else:
            y = torch.stack([x])
        return y

    check(program, POSITIVE, others=[(NEGATIVE,)])


def test_axes_of_an_older_tensor_changed_in_a_branch_are_refused() -> None:
    def program(x: Tensor) -> Tensor:
        y = x + 1
        if bool(x.sum() > 0):
            y.unsqueeze_(0)
        return y.sum()

    assert "axes of a tensor" in str(refusal(program, POSITIVE))


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            self.seen.add_(x)
        return x + self.seen


def test_a_buffer_first_touched_in_a_branch_is_changed_by_it() -> None:
    from script_check import script

    from transload.convert.torch.script import translate

    result = translate(script(Counter()), {"x": POSITIVE}, dynamic_axes={}, opset=20)
    assert [slot.path for slot in result.state] == ["seen"]


def test_an_argument_changed_in_place() -> None:
    def program(x: Tensor, items: list[Tensor]) -> tuple[Tensor, Tensor]:
        x[0] = 5
        items[0].mul_(2)
        items.append(x)
        return x + 1, torch.stack(items)

    check(program, POSITIVE, [NEGATIVE], dynamic={"x": {0: "n"}, "items/0": {0: "n"}})


def test_data_shares_memory_and_not_axes() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        y = x * 2
        z = y.detach()
        z.unsqueeze_(0)
        z += 1
        return y, z

    check(program, POSITIVE)


def test_the_same_tensor_twice_in_a_call() -> None:
    def program(x: Tensor) -> Tensor:
        y = x.clone()
        y.add_(y)
        y[1:].copy_(y[:-1] * 2)
        y.mul_(y.sum())
        return y

    check(program, POSITIVE, dynamic={"x": {0: "n"}}, others=[(torch.randn(5),)])


def test_augmented_bit_operations() -> None:
    def program(x: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        a = x.clone()
        b = a
        a &= 6
        a |= 1
        a ^= 3
        a <<= 2
        a >>= 1
        k = m.clone()
        j = k
        k &= x > 2
        return b, j

    x = torch.tensor([1, 5, 9])
    check(program, x, x > 1)


def test_a_list_in_an_object_and_outside() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        outer = [x]
        pair = (outer, x)
        for i in range(int(n)):
            pair[0].append(x * i)
        return torch.stack(outer)

    check(program, POSITIVE, N(2), others=[(NEGATIVE, N(0))])


def test_a_list_replaced_in_a_loop_leaves_the_first_as_it_was() -> None:
    def program(x: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        first = [x]
        items = first
        for i in range(int(n)):
            items = items + [x * i]
        return torch.stack(first), torch.stack(items)

    check(program, POSITIVE, N(2), others=[(NEGATIVE, N(0))])


def test_a_list_replaced_and_changed_in_a_loop() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        first = [x]
        items = first
        for i in range(int(n)):
            items.append(x * i)
            if i > 0:
                items = [x]
        return torch.stack(first)

    refusal(program, POSITIVE, N(2))

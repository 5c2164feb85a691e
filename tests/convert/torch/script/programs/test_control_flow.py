"""Programs of loops and branches: known and unknown trips, break, continue, early return, nesting."""

from __future__ import annotations

import pytest
import torch
from script_check import check, op_types, refusal
from torch import Tensor

N = torch.tensor


def test_a_loop_of_known_trips() -> None:
    def program(x: Tensor) -> Tensor:
        for i in range(4):
            x = x * 2 + i
        return x

    check(program, torch.randn(3), dynamic={"x": {0: "n"}}, others=[(torch.randn(1),), (torch.randn(0),)])


def test_a_loop_of_many_known_trips_is_not_written_out() -> None:
    def program(x: Tensor) -> Tensor:
        for i in range(100):
            x = torch.cos(x) + i * 0.01
        return x

    model = check(program, torch.randn(3))
    assert op_types(model).count("Cos") == 1


def test_a_loop_of_as_many_trips_as_an_argument_says() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        for i in range(int(n)):
            x = x * 0.5 + i
        return x

    check(program, torch.randn(3), N(5), others=[(torch.randn(3), N(k)) for k in (0, 1, 30)])


def test_a_loop_over_a_range_with_start_and_step() -> None:
    def program(x: Tensor, start: Tensor, stop: Tensor) -> Tensor:
        total = torch.zeros(1)
        for i in range(int(start), int(stop), 3):
            total = total + i
        for i in range(int(stop), int(start), -2):
            total = total * 2 + i
        return total + x

    others = [(torch.randn(1), N(a), N(b)) for a, b in ((2, 2), (5, 1), (-4, 9))]
    check(program, torch.randn(1), N(0), N(10), others=others)


def test_a_loop_over_the_rows_of_a_dynamic_tensor() -> None:
    def program(x: Tensor) -> Tensor:
        best = x[0]
        for row in x:
            best = torch.maximum(best, row * row.sum())
        return best

    others = [(torch.randn(n, 3),) for n in (1, 7)]
    check(program, torch.randn(4, 3), dynamic={"x": {0: "n"}}, others=others)


def test_a_while_loop_runs_until_the_data_says() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        steps = 0
        while bool(x.abs().max() > 1):
            x = x / 2
            steps += 1
        return x, torch.tensor(steps)

    check(program, torch.randn(3) * 10, others=[(torch.zeros(3),), (torch.tensor([1e6, 3.0, -5.0]),)])


def test_break_leaves_the_loop() -> None:
    def program(x: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
        at = -1
        total = torch.zeros(1)
        for i in range(x.shape[0]):
            if float(total) > float(limit):
                at = i
                break
            total = total + x[i]
        return total, torch.tensor(at)

    others = [(torch.ones(n), N(limit)) for n, limit in ((2, 100.0), (30, 7.5), (1, -1.0))]
    check(program, torch.ones(6), N(2.5), dynamic={"x": {0: "n"}}, others=others)


def test_continue_goes_on_with_the_next_trip() -> None:
    def program(x: Tensor) -> Tensor:
        total = torch.zeros(1)
        for i in range(x.shape[0]):
            if bool(x[i] < 0):
                continue
            if i % 2 == 1:
                continue
            total = total + x[i]
        return total

    check(program, torch.randn(9), dynamic={"x": {0: "n"}}, others=[(torch.randn(4),), (-torch.ones(3),)])


def test_while_true_with_break_and_continue() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        i = 0
        while True:
            i += 1
            if i > int(n):
                break
            if i % 3 == 0:
                continue
            x = x + i
        return x

    check(program, torch.randn(2), N(7), others=[(torch.randn(2), N(0)), (torch.randn(2), N(20))])


def test_an_early_return_inside_a_loop() -> None:
    def program(x: Tensor, target: Tensor) -> Tensor:
        for i in range(x.shape[0]):
            if bool(x[i].sum() > target):
                return x[i] * 2
        return torch.zeros(3) - 1

    others = [(torch.zeros(5, 3), N(1.0)), (torch.ones(2, 3), N(-5.0))]
    check(program, torch.arange(12.0).reshape(4, 3), N(5.0), dynamic={"x": {0: "n"}}, others=others)


def test_an_early_return_inside_nested_loops() -> None:
    def program(x: Tensor) -> tuple[Tensor, Tensor]:
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                if bool(x[i, j] > 1):
                    return torch.tensor(i), torch.tensor(j)
        return torch.tensor(-1), torch.tensor(-1)

    hit = torch.zeros(3, 4)
    hit[1, 2] = 5
    dynamic = {"x": {0: "n", 1: "m"}}
    check(program, hit, dynamic=dynamic, others=[(torch.zeros(2, 2),), (torch.ones(5, 1) * 2,)])


def test_early_returns_in_branches() -> None:
    def program(x: Tensor) -> Tensor:
        if bool(x.sum() > 10):
            return x
        if bool(x.sum() < -10):
            return -x
        y = x * 2
        if bool(y.max() > 1):
            return y + 1
        return y - 1

    check(program, torch.zeros(3), others=[(torch.ones(3) * k,) for k in (20, -20, 2)])


def test_nested_loops_of_unknown_trips() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        for i in range(int(n)):
            y = x
            for j in range(i + 1):
                y = y * 0.5 + j
                k = 0
                while k < j:
                    y = y + k
                    k += 2
            x = x + y
        return x

    check(program, torch.randn(2), N(3), others=[(torch.randn(2), N(0)), (torch.randn(2), N(6))])


def test_a_loop_in_a_branch_in_a_loop() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        for i in range(int(n)):
            if bool(x.sum() > 0):
                for j in range(i):
                    x = x - j
            else:
                while bool(x.sum() <= 0):
                    x = x + 3
        return x

    check(program, torch.randn(2), N(5), others=[(torch.randn(2) - 20, N(3)), (torch.randn(2), N(0))])


def test_numbers_are_carried_through_loops() -> None:
    def program(x: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        count, scale, flag = 0, 1.0, True
        for i in range(int(n)):
            count += i
            scale = scale * 0.9 + count
            flag = not flag
        if flag:
            x = x * scale
        return x, torch.tensor([count, int(flag)])

    check(program, torch.randn(2), N(3), others=[(torch.randn(2), N(0)), (torch.randn(2), N(8))])


def test_a_sum_of_a_growing_shape() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        out = x
        for _ in range(int(n)):
            out = torch.cat([out, out[-1:] * 0.5], 0)
        return out

    others = [(torch.randn(k, 3), N(n)) for k, n in ((1, 0), (4, 9))]
    check(program, torch.randn(2, 3), N(3), dynamic={"x": {0: "n"}}, others=others)


def test_doubling_shapes() -> None:
    def program(x: Tensor, n: Tensor) -> Tensor:
        i = 0
        while i < int(n):
            x = torch.cat([x, x + 1])
            i += 1
        return x

    check(program, torch.randn(2), N(3), others=[(torch.randn(2), N(0)), (torch.randn(2), N(5))])


def test_a_variable_of_one_branch_alone() -> None:
    def program(x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            y = x + 1
            z = y * 2
        else:
            z = x
        return z

    check(program, torch.ones(3), others=[(-torch.ones(3),)])


def test_a_branch_on_a_shape() -> None:
    def program(x: Tensor) -> Tensor:
        if x.shape[0] > 3:
            return x[:3].sum(0)
        if x.shape[0] == 1:
            return x[0] * 10
        return x.mean(0)

    check(program, torch.randn(5, 2), dynamic={"x": {0: "n"}}, others=[(torch.randn(n, 2),) for n in (1, 2, 3, 4)])


def test_a_rank_that_depends_on_the_data_is_refused_where_it_is_asked_for() -> None:
    def program(x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            y = x[0]
        else:
            y = x
        return y.sum()

    assert "number of dimensions" in str(refusal(program, torch.ones(3, 2)))


def test_chained_ternaries() -> None:
    def program(x: Tensor) -> Tensor:
        s = float(x.sum())
        k = 1 if s > 1 else 2 if s > 0 else 3
        sign = -1.0 if s < 0 else 1.0
        return x * k * sign

    check(program, torch.ones(2), others=[(torch.full((2,), v),) for v in (0.25, -1.0, 0.0)])


def test_boolean_operators_do_not_compute_what_python_would_not() -> None:
    def program(x: Tensor, i: Tensor) -> Tensor:
        at = int(i)
        if at < x.shape[0] and bool(x[at] > 0):
            return x[at]
        if at >= x.shape[0] or bool(x[at] < -1):
            return torch.tensor(7.0)
        return torch.tensor(8.0)

    others = [(torch.randn(3), N(9)), (torch.tensor([-5.0, 1.0]), N(0)), (torch.tensor([-0.5]), N(0))]
    check(program, torch.ones(3), N(1), dynamic={"x": {0: "n"}}, others=others)


def test_chained_comparisons() -> None:
    def program(x: Tensor, a: Tensor) -> Tensor:
        v = float(a)
        if 0 < v <= 2 < x.shape[0]:
            return x + 1
        return x - 1

    others = [(torch.zeros(n), N(v)) for n, v in ((3, 2.0), (2, 1.0), (3, 0.0), (3, 2.5))]
    check(program, torch.zeros(4), N(1.0), dynamic={"x": {0: "n"}}, others=others)


def test_an_arm_that_raises_is_dropped() -> None:
    def program(x: Tensor) -> Tensor:
        if bool(x.sum() > 100):
            raise ValueError(f"sum is {float(x.sum())} of {x.shape}")
        for i in range(x.shape[0]):
            assert bool(x[i] < 50), "too large"
            x = x + x[i]
        return x

    check(program, torch.randn(4), dynamic={"x": {0: "n"}}, others=[(torch.randn(2),)])


def test_what_cannot_be_translated_in_an_arm_that_raises_does_not_matter() -> None:
    def program(x: Tensor) -> Tensor:
        if bool(x.sum() > 100):
            y = torch.poisson(x)
            raise ValueError(str(float(y.sum())))
        return x + 1

    check(program, torch.zeros(3))


def test_a_search_that_raises_where_nothing_is_found() -> None:
    def program(x: Tensor) -> Tensor:
        for i in range(x.shape[0]):
            if bool(x[i] > 0):
                return x[i]
        raise RuntimeError("none")

    check(program, torch.tensor([-1.0, 2.0, 3.0]), dynamic={"x": {0: "n"}}, others=[(torch.tensor([4.0]),)])


def test_optional_state_that_is_none_first() -> None:
    def program(x: Tensor) -> Tensor:
        state: torch.Tensor | None = None
        for i in range(x.shape[0]):
            if state is None:
                state = x[i]
            else:
                state = state * 0.5 + x[i]
        assert state is not None
        return state

    check(program, torch.randn(30, 2), dynamic={"x": {0: "n"}}, others=[(torch.randn(n, 2),) for n in (1, 2, 50)])


def test_optional_state_of_known_trips() -> None:
    def program(x: Tensor) -> Tensor:
        state: torch.Tensor | None = None
        for _i in range(40):
            if state is None:
                state = x
            else:
                state = state * 0.5 + x
        return x if state is None else state

    check(program, torch.randn(2))


def test_a_value_is_none_or_a_tensor_as_the_data_says() -> None:
    def program(x: Tensor) -> Tensor:
        y: torch.Tensor | None = None
        if bool(x.sum() > 0):
            y = x * 3
        z = x if y is None else y + 1
        if y is not None:
            z = z + y
        return z

    check(program, torch.ones(2), dynamic={"x": {0: "n"}}, others=[(-torch.ones(3),)])


def test_optional_numbers_and_tuples() -> None:
    def program(x: Tensor) -> Tensor:
        best: int | None = None
        pair: tuple[Tensor, int] | None = None
        for i in range(x.shape[0]):
            if bool(x[i] > 0):
                best = i if best is None else best * 10 + i
                pair = (x[i], i)
        total = torch.zeros(())
        if pair is not None:
            total = total + pair[0] * pair[1]
        return total + (-1 if best is None else best)

    others = [(torch.tensor(v),) for v in ([-1.0], [1.0, 1.0, -2.0, 3.0])]
    check(program, torch.tensor([-1.0, 2.0]), dynamic={"x": {0: "n"}}, others=others)


def test_a_value_that_is_none_or_not_is_refused_where_it_has_to_be_known() -> None:
    def program(x: Tensor, weight: Tensor) -> Tensor:
        bias: torch.Tensor | None = None
        if bool(x.sum() > 0):
            bias = x[0]
        return torch.nn.functional.linear(x, weight, bias)

    error = str(refusal(program, torch.ones(2, 3), torch.ones(3, 3)))
    assert "None or not" in error
    assert "return torch.nn.functional.linear(x, weight, bias)" in error


@pytest.mark.parametrize("present", [True, False])
def test_optional_arguments(present: bool) -> None:
    def program(x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            x = x.masked_fill(mask, 0.0)
        return x.sum(-1)

    x = torch.randn(2, 3)
    check(program, *((x, x > 0) if present else (x,)))


def test_a_condition_known_after_the_first_trip() -> None:
    def program(x: Tensor) -> Tensor:
        i = 10
        while i > 0:
            x = x + i
            i = i // 2
        return x

    assert "Loop" not in op_types(check(program, torch.randn(2)))


def test_break_in_a_loop_of_few_known_trips() -> None:
    def program(x: Tensor) -> Tensor:
        for _i in range(5):
            x = x * 2
            if bool(x.max() > 10):
                break
            x = x + 1
        return x

    check(program, torch.ones(2), others=[(torch.zeros(2) - 9,), (torch.ones(2) * 100,)])


def test_a_loop_over_two_tensors_with_zip_and_enumerate() -> None:
    def program(x: Tensor) -> Tensor:
        total = torch.zeros(2)
        for i, (a, b) in enumerate(zip([x, x + 1], [x * 2, x * 3])):
            total = total + i * a * b
        for i, v in enumerate([1.0, 2.0, 3.0]):
            total = total + i * v
        return total

    check(program, torch.randn(2))

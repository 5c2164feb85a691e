"""Operators taken apart by torch: the parts of torch that this rests on, dynamic sizes, and what is refused."""

from __future__ import annotations

import pytest
import torch
from script_check import check, op_types, refusal, trace
from torch import Tensor

from transload.convert.torch.script.decompose import _decompositions, is_translatable
from transload.convert.torch.script.ops import OPERATORS
from transload.convert.torch.script.schemas import find_schema
from transload.serialize.errors import UnsupportedError


def huber(x: Tensor, y: Tensor) -> Tensor:
    return torch.nn.functional.huber_loss(x, y, reduction="none")


def test_torch_still_has_the_decompositions_that_translations_rest_on() -> None:
    names = {"aten::huber_loss", "aten::addcmul", "aten::nll_loss_forward"}
    table = _decompositions()
    for name in names - set(OPERATORS):
        assert find_schema(name).operator in table, name


def test_an_operator_without_a_translation_of_ours_is_taken_apart() -> None:
    assert "aten::huber_loss" not in OPERATORS
    check(huber, torch.randn(3, 4), torch.randn(3, 4))


def test_a_taken_apart_operator_takes_other_sizes() -> None:
    dynamic = {"x": {0: "n"}, "y": {0: "n"}}
    others = [(torch.randn(size, 4), torch.randn(size, 4)) for size in (1, 2, 9)]
    check(huber, torch.randn(3, 4), torch.randn(3, 4), dynamic=dynamic, others=others)


def test_composite_operators_are_translatable_by_name_and_others_are_not() -> None:
    assert is_translatable("aten::cosine_similarity")
    assert not is_translatable("aten::poisson")


def test_an_operator_that_torch_cannot_take_apart_is_refused_by_name() -> None:
    def program(x: Tensor) -> Tensor:
        return torch.poisson(x.abs())

    with pytest.raises(UnsupportedError, match=r"aten::poisson"):
        check(program, torch.rand(3))


def test_equal_calls_are_taken_apart_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from transload.convert.torch.script import decompose

    made = []
    make = decompose._make
    monkeypatch.setattr(decompose, "_make", lambda *args: made.append(args[0].name) or make(*args))

    def program(x: Tensor, y: Tensor) -> Tensor:
        return huber(x, y) + huber(y, x)

    check(trace(program, torch.randn(3), torch.randn(3)), torch.randn(3), torch.randn(3))
    assert made.count("aten::huber_loss") == 1


def test_constants_are_computed_by_torch_while_translating() -> None:
    def program(x: Tensor) -> Tensor:
        table = torch.arange(6).reshape(2, 3).float().cumsum(1)
        return x + torch.erfinv(table / 100)

    assert op_types(check(program, torch.randn(2, 3))) == ["Add"]


def test_a_way_that_holds_for_some_sizes_alone_is_refused() -> None:
    def program(x: Tensor) -> Tensor:
        return torch.slice_scatter(x, torch.zeros(2, 3), 0, 1, 3)

    assert "depends on the sizes" in str(refusal(program, torch.ones(5, 3), dynamic={"x": {0: "n"}}))

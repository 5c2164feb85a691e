"""Choosing among several ways to capture one callable: each is proven before it counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import transload as tl
from transload.convert.capture import Alternatives, Capture
from transload.convert.options import ConvertOptions, parse_input_spec
from transload.convert.selection import Proven, choose
from transload.convert.source import Source, SourceKind
from transload.convert.torch.module import capture
from transload.serialize.errors import MismatchError, TransloadError, UnsupportedError, UnsupportedOperation
from transload.serialize.interface import Interface, Proof

Ways = Mapping[str, Callable[[], Capture]]


class Doubled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


class Frozen(torch.nn.Module):
    """The same numbers, but only at the size of the example, once it is traced."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.full((int(x.shape[0]), 1), 2.0)


def capture_of(module: torch.nn.Module, *, reference: torch.nn.Module | None = None) -> Capture:
    """A trace of one module that says that it came from another."""

    def trace(each: torch.nn.Module) -> Capture:
        options = ConvertOptions(inputs=(parse_input_spec("x[n,3]"),))
        [alternatives] = capture(Source(SourceKind.TORCH_MODULE, None, each), options)
        return alternatives.ways["trace"]()

    made = trace(module)
    return replace(made, reference=trace(reference).reference) if reference else made


def refuse(*operations: str) -> Callable[[], Capture]:
    def raise_it() -> Capture:
        found = tuple(UnsupportedOperation(name, "model.py:3", "no translation") for name in operations)
        raise UnsupportedError("Not this way.", operations=found)

    return raise_it


def select(ways: Ways, **options: Any) -> Proven:
    def make_interface(made: Capture) -> Interface:
        return Interface(made.component, made.inputs, made.outputs, {}, made.source, Proof("none"))

    alternatives = Alternatives("forward", ways, frozenset({"n"}))
    return choose(alternatives, make_interface, ConvertOptions(**options), lambda stage: None)


def wrong() -> Capture:
    class Tripled(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 3

    return capture_of(Tripled(), reference=Doubled())


def right() -> Capture:
    return capture_of(Doubled())


def narrow() -> Capture:
    """Right at the example's size only."""
    made = capture_of(Doubled())
    frozen = capture_of(Frozen(), reference=Doubled())
    return replace(made, model=frozen.model)


def must_not_run() -> Capture:
    raise AssertionError("the way before was right")


@pytest.mark.parametrize("proof", ["full", "quick", "none"])
def test_the_first_way_that_is_right_is_taken_and_the_others_faults_are_told(proof: str) -> None:
    found = select({"bad": refuse("aten::strange"), "wrong": wrong, "good": right, "next": must_not_run}, proof=proof)
    assert found.capture.way == "good"
    assert found.evidence.proof.level == proof
    assert found.evidence.dynamic == {"n"}
    assert found.notes[0] == "Captured by way of good."
    assert found.notes[1].startswith("By way of bad: Not this way. aten::strange at model.py:3")
    assert found.notes[2].startswith("By way of wrong: Source and package differ")


def test_a_way_that_fixes_a_dimension_is_taken_only_if_no_other_is_right() -> None:
    assert select({"narrow": narrow, "good": right}).capture.way == "good"
    found = select({"narrow": narrow, "bad": refuse("aten::strange")})
    assert found.capture.way == "narrow"
    assert found.evidence.dynamic == frozenset()


@pytest.mark.parametrize("proof", ["full", "none"])
def test_a_way_that_is_right_in_steps_is_taken_before_one_at_a_single_size_and_after_one_at_all(proof: str) -> None:
    class EvenDoubled(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2 + x.shape[0] % 2

    def even() -> Capture:
        made = capture_of(EvenDoubled(), reference=Doubled())
        return replace(made, must_vary=frozenset())

    found = select({"even": even, "narrow": narrow}, proof=proof)
    assert found.capture.way == "even"
    assert (found.evidence.dynamic, found.evidence.steps) == ({"n"}, {"n": 2})
    found = select({"even": even, "good": right}, proof=proof)
    assert found.capture.way == "good"
    assert "By way of even: in steps only: n." in found.notes


def test_the_fastest_is_measured_among_those_that_are_right() -> None:
    class Slow(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for _ in range(400):
                x = torch.flip(x, (0, 1))
            return x * 2

    found = select(
        {"slow": lambda: capture_of(Slow(), reference=Doubled()), "wrong": wrong, "quick": right}, select="fastest"
    )
    assert found.capture.way == "quick"
    assert sum("the example takes" in note for note in found.notes) == 2


def test_if_no_way_converts_all_that_each_lacks_is_listed() -> None:
    with pytest.raises(UnsupportedError) as caught:
        select({"one": refuse("aten::a", "aten::b"), "two": refuse("aten::c")})
    assert [(operation.name, operation.reason) for operation in caught.value.operations] == [
        ("aten::a", "one: no translation"),
        ("aten::b", "one: no translation"),
        ("aten::c", "two: no translation"),
    ]


def test_if_a_way_differs_and_none_is_right_that_is_the_error() -> None:
    with pytest.raises(MismatchError) as caught:
        select({"one": refuse("aten::a"), "two": wrong})
    assert caught.value.report[-2].startswith("one: Not this way. aten::a")
    assert caught.value.report[-1].startswith("two: Source and package differ")


def test_a_way_that_breaks_is_a_closed_way() -> None:
    def break_down() -> Capture:
        raise KeyError("weight at 0x7f01cba4c900")

    found = select({"broken": break_down, "good": right}, proof="quick")
    assert found.notes[:2] == ("Captured by way of good.", "By way of broken: KeyError: 'weight'")


def test_one_way_alone_keeps_its_own_error() -> None:
    with pytest.raises(TransloadError, match=r"^Not this way\."):
        select({"one": refuse("aten::a")})


def test_a_package_names_the_way_that_was_taken(tmp_path: Path) -> None:
    class Branch(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.sum() > 0:
                return x + 1
            return x * 2

    tl.convert_model(Branch(), (torch.ones(3),), proof="quick").save(tmp_path / "m.tload")
    from transload.serialize import open_package

    interface = open_package(tmp_path / "m.tload").interface("forward")
    assert interface.source.way == "script"
    assert any("test_selection.py" in note and "if x.sum() > 0" in note for note in interface.proof.notes)
    model = tl.load(tmp_path / "m.tload")
    np.testing.assert_array_equal(model(np.full(5, -1, np.float32)), np.full(5, -2, np.float32))

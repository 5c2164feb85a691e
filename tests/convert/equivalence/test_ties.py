"""Which of equal elements torch.topk names first is open, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from captures import ModuleReference, capture, check, graph, randn
from onnx import helper

from transload.convert.capture import Capture
from transload.convert.equivalence.ties import find_ties
from transload.serialize.errors import MismatchError
from transload.serialize.interface import SourceRecord

OUTPUTS = {"values": "float32", "places": "int64", "first": "int64"}


class Ranking(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        values, places = torch.topk(x, 3, dim=1)
        return values, places, torch.argmax(x, dim=1)


def ranking(*, last_of_equals: int = 0, framework: str = "torch") -> tuple[Capture, onnx.ModelProto]:
    nodes = [
        helper.make_node("TopK", ["x", "k"], ["values", "places"], axis=1),
        helper.make_node("ArgMax", ["x"], ["first"], axis=1, keepdims=0, select_last_index=last_of_equals),
    ]
    model = graph(nodes, {"x": ("float32", ["batch", 6])}, OUTPUTS, {"k": np.array([3])})
    made = capture(model, ModuleReference(Ranking(), list(OUTPUTS)), {"x": randn(2, 6)}, OUTPUTS)
    return replace(made, source=replace_framework(made, framework)), model


def replace_framework(made: Capture, framework: str) -> SourceRecord:
    return SourceRecord(made.source.kind, framework, made.source.framework_version)


def test_a_sort_of_equal_elements_counts_as_undefined_and_is_no_alarm() -> None:
    evidence = check(*ranking())
    (zeros,) = (case for case in evidence.proof.cases if case.name == "zeros")
    assert zeros.result == "undefined"
    assert "which of equal elements comes first is not defined" in zeros.note
    assert sum(case.result == "equal" for case in evidence.proof.cases) > 5


def test_an_output_that_does_not_depend_on_the_sort_must_agree_on_equal_elements() -> None:
    with pytest.raises(MismatchError, match="differ on the input set"):
        check(*ranking(last_of_equals=1))


def test_a_source_that_names_the_lowest_place_first_is_held_to_it() -> None:
    with pytest.raises(MismatchError, match="differ on the input set"):
        check(*ranking(framework="tensorflow"))


def test_only_elements_that_are_given_or_just_left_out_have_to_be_unlike() -> None:
    made, _ = ranking()
    above = np.array([[5, 4, 3, 1, 1, 1]], np.float32)
    assert find_ties(made, {"x": above}) is None
    at_the_edge = np.array([[5, 4, 3, 3, 1, 1]], np.float32)
    ties = find_ties(made, {"x": at_the_edge})
    assert ties is not None
    assert ties.outputs == {"places"}
    assert len(set(ties.apart["x"].ravel())) == 6

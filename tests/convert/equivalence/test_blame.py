"""Which part is wrong when outputs differ."""

from __future__ import annotations

import numpy as np
from captures import FunctionReference, StubRunner, capture, graph
from onnx import helper

from transload.convert.capture import Array
from transload.convert.equivalence.blame import Blame, find_blame
from transload.convert.equivalence.sides import Sides

X = {"x": ("float32", ["batch", 3])}
SIN = graph([helper.make_node("Sin", ["x"], ["y"])], X, {"y": "float32"})


def find(source: Array, plain: Array, optimized: Array, *, is_plain_right: bool = False) -> Blame:
    feed = {"x": np.ones((2, 3), np.float32)}
    made = capture(SIN, FunctionReference(lambda x: source, ["y"]), feed)
    sides = Sides(made, StubRunner(SIN, False), StubRunner(SIN, True), ("y",), {})
    return find_blame(sides, feed, {"y": source}, {"y": plain}, {"y": optimized}, is_plain_right=is_plain_right)


def blame(source: Array, plain: Array) -> str:
    return find(source, plain, plain).culprit


def test_the_capture_is_blamed_when_reference_and_runtime_agree() -> None:
    right, wrong = np.full((2, 3), np.sin(1), np.float32), np.zeros((2, 3), np.float32)
    assert blame(source=wrong, plain=right) == "capture"


def test_the_runtime_is_blamed_when_reference_and_source_agree() -> None:
    right, wrong = np.full((2, 3), np.sin(1), np.float32), np.zeros((2, 3), np.float32)
    assert blame(source=right, plain=wrong) == "runtime"


def test_nobody_is_blamed_when_all_three_differ() -> None:
    assert blame(source=np.zeros((2, 3), np.float32), plain=np.ones((2, 3), np.float32)) == "unknown"


def test_one_line_says_how_far_each_of_them_lies_from_the_source() -> None:
    right, wrong = np.full((2, 3), 1.5, np.float32), np.full((2, 3), 2, np.float32)
    found = find(right, right, wrong, is_plain_right=True)
    assert found.culprit == "optimisation"
    assert found.sentence.endswith(
        "(Largest difference from the source: its own float64 0, onnx.reference 0.66, "
        "ONNX Runtime with optimisations off 0, on 0.5.)"
    )
    assert "\n" not in found.sentence

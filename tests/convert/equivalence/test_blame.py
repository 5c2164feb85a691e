"""Which part is wrong when outputs differ."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from captures import graph
from onnx import helper

from transload.convert.equivalence.blame import find_blame

X = {"x": ("float32", ["batch", 3])}
SIN = graph([helper.make_node("Sin", ["x"], ["y"])], X, {"y": "float32"})


def blame(source: np.ndarray, plain: np.ndarray) -> str:  # type: ignore[type-arg]
    feed = {"x": np.ones((2, 3), np.float32)}
    model = ir.serde.deserialize_model(SIN)
    return find_blame(model, feed, {"y": source}, {"y": plain}, is_plain_right=False).culprit


def test_the_capture_is_blamed_when_reference_and_runtime_agree() -> None:
    right, wrong = np.full((2, 3), np.sin(1), np.float32), np.zeros((2, 3), np.float32)
    assert blame(source=wrong, plain=right) == "capture"


def test_the_runtime_is_blamed_when_reference_and_source_agree() -> None:
    right, wrong = np.full((2, 3), np.sin(1), np.float32), np.zeros((2, 3), np.float32)
    assert blame(source=right, plain=wrong) == "runtime"


def test_nobody_is_blamed_when_all_three_differ() -> None:
    assert blame(source=np.zeros((2, 3), np.float32), plain=np.ones((2, 3), np.float32)) == "unknown"

"""Outputs that never change are named: agreement on them proves little."""

from __future__ import annotations

import numpy as np
import pytest
from captures import FunctionReference, capture, check, graph, randn
from onnx import helper

from transload.convert.equivalence.response import describe_unmoved, find_responding
from transload.serialize.interface import Tolerance

TOLERANCES = {"y": Tolerance(rtol=1.3e-6, atol=1e-5)}


@pytest.mark.parametrize(
    ("example", "other", "moved"),
    [
        ([0.001, 0.001], [0.00101, 0.00099], False),
        ([0.001, 0.001], [0.9, 0.0], True),
        ([np.nan, 1.0], [1.0, 1.0], False),
        ([1e6, 1.0], [1e6 + 1, 1.0], False),
        ([1.0, 1.0], [1.0], True),
    ],
)
def test_an_output_responds_when_it_moves_well_beyond_its_tolerance(
    example: list[float], other: list[float], moved: bool
) -> None:
    found = find_responding({"y": np.array(example, np.float32)}, {"y": np.array(other, np.float32)}, TOLERANCES)
    assert found == ({"y"} if moved else set())


def test_an_integer_output_responds_when_any_value_changes() -> None:
    same, changed = np.array([3, 4]), np.array([3, 5])
    assert find_responding({"k": same}, {"k": same}, {}) == set()
    assert find_responding({"k": same}, {"k": changed}, {}) == {"k"}


def test_the_sentence_names_the_output() -> None:
    (sentence,) = describe_unmoved(["scores"])
    assert "'scores'" in sentence


@pytest.mark.parametrize(("scale", "named"), [(1.0, False), (1e-8, True)])
def test_the_proof_of_a_model_that_ignores_its_input_says_so(scale: float, named: bool) -> None:
    factor = np.float32(scale)
    model = graph(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        {"x": ("float32", ["batch", 4])},
        {"y": "float32"},
        {"factor": np.array(factor)},
    )
    reference = FunctionReference(lambda x: (x * factor).astype(x.dtype), ["y"])
    evidence = check(capture(model, reference, {"x": randn(2, 4)}), model)
    assert any("'y' hardly changed" in note for note in evidence.proof.notes) == named

"""The programs of `tensorflow_programs` as SavedModels: each is proven, or refused for the reason that it states.

`make conformance-tensorflow` runs all of them with the full proof; here a sample of each family gets the quick one.
"""

from __future__ import annotations

import pytest
from tensorflow_programs.program import Program, load_programs, sample_programs

from benchmarks.tensorflow_operators.case import convert_program, convert_upstream

KNOWN_FAILURES = {
    "linear_algebra.matrix_exponential": "tf2onnx lets names of loops within branches within loops meet",
}
"""Programs whose graphs ONNX Runtime does not take; nothing is written for them."""

PER_FAMILY = 7
"""Programs of each family that run here, evenly spread."""


@pytest.mark.parametrize("each", [pytest.param(each, id=each.name) for each in sample_programs(PER_FAMILY)])
def test_a_program_is_proven_or_refused_as_it_states(each: Program) -> None:
    outcome = convert_program(each, "quick")
    if each.name in KNOWN_FAILURES:
        assert outcome.kind == "failed"
        return
    if each.refused is None:
        assert outcome.kind == "proven", outcome.reason
    else:
        assert outcome.kind == "refused"
        assert each.refused in outcome.reason


def test_there_are_programs_of_every_family() -> None:
    assert len(load_programs()) >= 400
    assert len(sample_programs(PER_FAMILY)) >= 80


# What tf2onnx alone makes of them. Where one of these is right, a correction has become needless.
WRONG_UPSTREAM = (
    "control_flow.scan_in_reverse",
    "indexing.scatter_nd",
    "indexing.dynamic_stitch_overlapping",
    "reductions.integer_mean",
    "resizing.bicubic_up",
    "resizing.area_down",
    "images.saturation",
    "segments.max",
)
MISSING_UPSTREAM = (
    "complex_numbers.product",
    "control_flow.switch_case",
    "elementwise.log1p",
    "images.rgb_to_hsv",
    "linear_algebra.inverse",
    "resizing.lanczos3_antialias",
    "signals.irfft",
    "sorting.searchsorted",
    "strings.join",
)


@pytest.mark.parametrize("name", WRONG_UPSTREAM)
def test_tf2onnx_alone_gives_another_answer_than_tensorflow(name: str) -> None:
    assert convert_upstream(load_programs()[name]).kind == "wrong"


@pytest.mark.parametrize("name", MISSING_UPSTREAM)
def test_tf2onnx_alone_cannot_convert(name: str) -> None:
    assert convert_upstream(load_programs()[name]).kind in ("not converted", "not run")

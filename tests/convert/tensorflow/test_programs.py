"""The programs of `tensorflow_programs` as SavedModels: each is proven, or refused for the reason that it states.

`make conformance-tensorflow` runs all of them with the full proof; here a sample of each family gets the quick one.
"""

from __future__ import annotations

import pytest
from tensorflow_programs.program import load_programs, sample_programs

from benchmarks.tensorflow_operators.case import convert_program, convert_upstream
from benchmarks.tensorflow_operators.known_failures import KNOWN_FAILURES, compare_failures

FAILS_WITHOUT_PROOF = ("linear_algebra.matrix_exponential",)
"""Of the known failures those that fail with the quick proof too: ONNX Runtime does not take their graphs."""

PER_FAMILY = 7
"""Programs of each family that run here, evenly spread."""


NAMES = sorted({*(each.name for each in sample_programs(PER_FAMILY)), *FAILS_WITHOUT_PROOF})


@pytest.mark.parametrize("name", NAMES)
def test_a_program_is_proven_or_refused_as_it_states(name: str) -> None:
    program = load_programs()[name]
    outcome = convert_program(program, "quick")
    if name in FAILS_WITHOUT_PROOF:
        assert outcome.kind == "failed", "it no longer fails; take it off the known failures"
    elif program.refused is None:
        assert outcome.kind == "proven", outcome.reason
    else:
        assert outcome.kind == "refused"
        assert program.refused in outcome.reason


def test_known_failures_are_programs_that_are_not_refused() -> None:
    programs = load_programs()
    assert all(programs[name].refused is None for name in KNOWN_FAILURES)
    assert set(FAILS_WITHOUT_PROOF) <= KNOWN_FAILURES.keys()


def test_failures_that_are_not_known_and_known_ones_that_pass_are_told_apart() -> None:
    assert compare_failures({"signals.fft"}, {"signals.fft", "signals.rfft_ortho"}) == []
    assert compare_failures({"elementwise.sin"}, {"elementwise.sin"}) == ["elementwise.sin fails, which is not known"]
    (line,) = compare_failures(set(), {"signals.fft"})
    assert line.startswith("signals.fft no longer fails: ")


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

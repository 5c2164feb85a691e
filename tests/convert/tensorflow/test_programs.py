"""The programs of `tensorflow_programs` as SavedModels: each is proven, or refused for the reason that it states.

`make conformance-tensorflow` runs all of them with the full proof; here a sample of each family gets the quick one.
"""

from __future__ import annotations

import pytest
from tensorflow_programs.program import load_programs, sample_programs

from benchmarks.tensorflow_operators.case import convert_program, convert_upstream
from benchmarks.tensorflow_operators.known_failures import KNOWN_FAILURES, compare_failures

PER_FAMILY = 7
"""Programs of each family that run here, evenly spread."""


# Loops in branches in branches in loops: tf2onnx mixed up their arguments.
NESTED = "linear_algebra.matrix_exponential"

NAMES = sorted({*(each.name for each in sample_programs(PER_FAMILY)), NESTED})


@pytest.mark.parametrize("name", NAMES)
def test_a_program_is_proven_or_refused_as_it_states(name: str) -> None:
    program = load_programs()[name]
    outcome = convert_program(program, "quick")
    if program.refused is None:
        assert outcome.kind == "proven", outcome.reason
    else:
        assert outcome.kind == "refused"
        assert program.refused in outcome.reason


# One for each way in which NaN, infinities, edges of integers or rounding once went wrong.
AT_THE_EDGES = (
    "complex_numbers.matmul",
    "convolution.u_net",
    "elementwise.atan2",
    "elementwise.bfloat16",
    "elementwise.ndtri",
    "images.hue",
    "images.saturation",
    "indexing.take_along_axis",
    "pooling.max3d_same",
    "quantization.quantize_and_dequantize",
    "recurrent.bidirectional_mixed",
    "reductions.argmax",
    "reductions.integer_sums",
    "resizing.area_mixed",
    "resizing.bicubic_down",
    "resizing.bilinear_up",
    "resizing.bilinear_half_pixel_of_channels",
    "resizing.bytes_nearest",
    "resizing.doubled",
    "resizing.upsampled_convolutions",
    "resizing.lanczos3_antialias",
    "segments.sparse_matmul",
    "signals.fft",
    "signals.stft",
    "strings.split",
)


@pytest.mark.parametrize("name", AT_THE_EDGES)
def test_a_program_stands_the_full_proof(name: str) -> None:
    outcome = convert_program(load_programs()[name], "full")
    assert outcome.kind == "proven", outcome.reason


def test_known_failures_are_programs_that_are_not_refused() -> None:
    programs = load_programs()
    assert all(programs[name].refused is None for name in KNOWN_FAILURES)


def test_failures_that_are_not_known_and_known_ones_that_pass_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KNOWN_FAILURES, "signals.fft", "NaN in other places")
    assert compare_failures({"signals.fft"}, {"signals.fft", "signals.rfft_ortho"}) == []
    assert compare_failures({"elementwise.sin"}, {"elementwise.sin"}) == ["elementwise.sin fails, which is not known"]
    assert compare_failures(set(), {"signals.fft"}) == ["signals.fft no longer fails: NaN in other places"]


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

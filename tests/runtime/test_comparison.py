"""What counts as the same output, and what a comparison reports."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transload.runtime.comparison import (
    DEFAULT_TOLERANCES,
    EXACT,
    OutputComparison,
    Truth,
    compare_output,
    compare_outputs,
    format_rows,
    noise_levels,
)
from transload.serialize.interface import Tolerance

FLOAT32 = DEFAULT_TOLERANCES["float32"]


def compare(ours: Any, reference: Any, truth: Any = None, tolerance: Tolerance = FLOAT32) -> OutputComparison:
    return compare_output("y", np.asarray(ours), np.asarray(reference), tolerance, truth)


def f32(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values, np.float32)


def test_the_tolerances_are_those_of_torch_testing() -> None:
    assert {name: (bound.rtol, bound.atol) for name, bound in DEFAULT_TOLERANCES.items()} == {
        "float64": (1e-7, 1e-7),
        "float32": (1.3e-6, 1e-5),
        "float16": (1e-3, 1e-5),
        "bfloat16": (1.6e-2, 1e-5),
    }


@pytest.mark.parametrize(("error", "passed"), [(2.2e-5, True), (2.4e-5, False)])
def test_the_bound_is_atol_plus_rtol_times_the_reference(error: float, passed: bool) -> None:
    # At 10 the bound is 1e-5 + 1.3e-5; float64 arrays keep the error exact, the bound given is float32's.
    assert compare(np.array([10 + error]), np.array([10.0])).passed is passed


def test_one_element_outside_fails_the_output() -> None:
    reference = np.ones(100_000, np.float32)
    ours = reference.copy()
    ours[77_777] = 1.1
    row = compare(ours, reference)
    assert not row.passed
    assert (row.missed, row.size, row.worst_index) == (1, 100_000, (77_777,))
    assert (row.worst_ours, row.worst_reference) == ("1.10000002", "1")


def test_the_report_has_every_number_that_was_asked_for() -> None:
    row = compare(f32(1.0, 2.0, 3.0, 4.5), f32(1.0, 2.0, 3.0, 4.0))
    assert row.max_abs_error == pytest.approx(0.5)
    assert row.max_rel_error == pytest.approx(0.125)
    assert row.worst_index == (3,)
    assert row.p99_abs_error == pytest.approx(0.485)
    assert row.cosine == pytest.approx(32 / np.sqrt(34.25 * 30))
    (text,) = format_rows((row,))
    for part in ("y: DIFFERS", "max abs error 0.5", "max rel error 0.125", "worst at [3]: ours 4.5, reference 4"):
        assert part in text
    assert "1 of 4 elements missed" in text


def test_errors_are_gathered_over_all_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transload.runtime.comparison.CHUNK_ELEMENTS", 3)
    row = compare(f32(1, 2, 3, 4, 5, 6, 7.5, 8), f32(1, 2, 3, 4, 5, 6, 7, 8.25))
    assert (row.max_abs_error, row.worst_index, row.missed) == (0.5, (6,), 2)


def test_dtype_rank_and_shape_are_exact() -> None:
    assert "dtype float64 instead of float32" in compare(np.zeros(2), f32(0, 0)).reason
    assert "rank differs: [1] instead of []" in compare(f32(0), np.float32(0)).reason
    assert "shape differs: [1, 2] instead of [2, 1]" in compare(f32(0, 0)[None], f32(0, 0)[:, None]).reason


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64"])
def test_integers_are_exact(dtype: str) -> None:
    row = compare(np.array([1, 2, 5], dtype), np.array([1, 2, 3], dtype))
    assert not row.passed
    assert (row.max_abs_error, row.missed, row.worst_index, row.worst_ours) == (2.0, 1, (2,), "5")


def test_the_difference_of_extreme_integers_does_not_overflow() -> None:
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    assert compare(np.array([low]), np.array([high])).max_abs_error == pytest.approx(2.0**64)


def test_booleans_and_strings_are_exact() -> None:
    assert not compare(np.array([True]), np.array([False])).passed
    assert not compare(np.array(["a"], object), np.array(["b"], object)).passed
    assert compare(np.array([b"\xc3\xa9"], object), np.array(["é"], object)).passed
    assert compare(np.array(["a"]), np.array(["a"], object)).passed


@pytest.mark.parametrize(
    ("ours", "reference"),
    [(0.0, np.nan), (np.nan, 0.0), (np.inf, np.nan), (np.inf, -np.inf), (3e38, np.inf), (np.inf, 3e38)],
)
def test_the_places_of_nan_and_infinities_are_exact(ours: float, reference: float) -> None:
    row = compare(f32(1, ours), f32(1, reference))
    assert not row.passed
    assert row.missed == row.misplaced == 1
    assert row.lost_nan == (1 if np.isnan(reference) else 0)
    assert row.worst_index == (1,)


def test_equal_nan_and_infinities_pass() -> None:
    assert compare(f32(np.nan, np.inf, -np.inf, 1), f32(np.nan, np.inf, -np.inf, 1)).passed


def test_signed_zeros_are_reported_and_pass() -> None:
    row = compare(f32(-0.0, 0.0, 1), f32(0.0, 0.0, 1))
    assert row.passed
    assert row.signed_zeros == 1
    assert "1 zeros differ in sign" in format_rows((row,))[0]


def test_empty_and_scalar_outputs_compare() -> None:
    assert compare(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)).passed
    assert not compare(np.float32(1), np.float32(2)).passed
    assert compare(np.float32(1), np.float32(1)).worst_index == ()


def test_bfloat16_has_a_tolerance_and_float8_has_none() -> None:
    a, b = (np.array([value], ml_dtypes.bfloat16) for value in (1.0, 1.0078125))
    assert compare(a, b, tolerance=DEFAULT_TOLERANCES["bfloat16"]).passed
    a, b = (np.array([value], ml_dtypes.float8_e4m3fn) for value in (1.0, 1.125))
    assert not compare_outputs({"y": a}, {"y": b}, {})[0].passed


def test_a_tolerance_with_noise_is_wider_by_it() -> None:
    assert compare(f32(1.0009), f32(1.0), tolerance=Tolerance(0.0, 0.0, noise=1e-3)).passed
    assert not compare(f32(1.0011), f32(1.0), tolerance=Tolerance(0.0, 0.0, noise=1e-3)).passed


def noisy(seed: int, scale: float, size: int = 4096) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(1, 2, size)
    return truth, (truth + scale * rng.standard_normal(size)).astype(np.float32)


def test_what_is_as_near_the_truth_as_the_source_passes_by_noise() -> None:
    truth, source = noisy(0, 1e-3)
    _, ours = noisy(0, 0.0)
    ours = (truth + 1e-3 * np.random.default_rng(1).standard_normal(truth.size)).astype(np.float32)
    assert not compare(ours, source).passed
    row = compare(ours, source, truth)
    assert row.passed
    assert row.by_noise
    assert "within the source's own noise" in format_rows((row,))[0]


@pytest.mark.parametrize("seed", range(5))
def test_independent_rounding_of_the_same_size_raises_no_alarm(seed: int) -> None:
    truth, source = noisy(seed, 1e-3, 100_000)
    ours = (truth + 1e-3 * np.random.default_rng(seed + 100).standard_normal(truth.size)).astype(np.float32)
    assert compare(ours, source, truth).passed


def test_one_element_off_by_ten_times_the_noise_is_caught() -> None:
    truth, source = noisy(0, 1e-4)
    ours = source.copy()
    ours[1234] += 2e-3
    row = compare(ours, source, truth)
    assert (row.passed, row.missed, row.worst_index) == (False, 1, (1234,))


def test_a_loud_channel_does_not_hide_a_fault_in_a_quiet_one() -> None:
    rng = np.random.default_rng(0)
    truth = np.concatenate([rng.uniform(1e3, 2e3, 1000), rng.uniform(1, 2, 1000)])
    noise = np.concatenate([np.full(1000, 1.0), np.full(1000, 1e-4)]) * rng.standard_normal(2000)
    source = (truth + noise).astype(np.float32)
    ours = source.copy()
    ours[1500] += 0.1
    assert compare(ours, source, truth).missed == 1


def test_single_outliers_of_the_source_do_not_loosen_the_rest() -> None:
    truth, source = noisy(0, 1e-5)
    source[7] += 0.5
    ours = source.copy()
    ours[8] += 0.1
    assert compare(ours, source, truth).missed == 1


def rows(noise: float) -> tuple[Any, Any]:
    """Right answers in 100 rows of 64, and the source's; one row errs by a hundred times as much as the others."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.5, 1.5, (100, 64))
    sizes = np.where(np.arange(100) == 7, 100 * noise, noise)[:, np.newaxis]
    return truth, (truth + sizes * rng.standard_normal(truth.shape)).astype(np.float32)


def test_a_row_that_is_noisy_as_a_whole_raises_no_alarm() -> None:
    truth, source = rows(1e-5)
    ours = source.copy()
    ours[7] = truth[7] + 1e-3 * np.random.default_rng(1).standard_normal(64)
    assert compare(ours, source, truth).passed


def test_a_noisy_row_does_not_hide_a_fault_in_another() -> None:
    truth, source = rows(1e-5)
    ours = source.copy()
    ours[8, 3] += 3e-3
    row = compare(ours, source, truth)
    assert (row.missed, row.worst_index) == (1, (8, 3))


def test_the_level_is_at_least_the_element_s_own_noise() -> None:
    truth = Truth(np.zeros(3), np.array([0.0, 0.0, 5.0]))
    assert noise_levels(truth, np.zeros(3))[2] == 5.0


def test_nan_is_not_settled_where_the_truth_has_a_number() -> None:
    row = compare(f32(1, 2), f32(np.nan, 2), truth=np.array([1.0, 2.0]))
    assert row.passed
    assert row.unsettled == 1


def test_an_overflow_that_float64_does_not_have_is_settled() -> None:
    # The float64 answer is 1e39, which in float32 is infinite: the source is right to say so.
    assert not compare(f32(3e38), f32(np.inf), truth=np.array([1e39])).passed


def test_outputs_are_compared_by_name() -> None:
    one, two = f32(1), f32(2)
    assert [row.reason for row in compare_outputs({"a": one}, {"a": one, "b": two}, {})] == [
        "",
        "this output is missing",
    ]
    assert compare_outputs({"a": one, "b": two}, {"a": one}, {})[1].reason == "the source has no such output"
    swapped = compare_outputs({"a": two, "b": one}, {"a": one, "b": two}, {})
    assert [row.passed for row in swapped] == [False, False]


def test_outputs_in_another_order_fail() -> None:
    rows = compare_outputs({"b": f32(2), "a": f32(1)}, {"a": f32(1), "b": f32(2)}, {})
    assert not any(row.passed for row in rows)
    assert "order" in rows[0].reason


@given(st.lists(st.floats(width=32), min_size=1, max_size=50))
def test_everything_equals_itself(values: list[float]) -> None:
    array = f32(*values)
    row = compare(array, array.copy(), tolerance=EXACT)
    assert row.passed
    assert (row.max_abs_error, row.missed) == (0.0, 0)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=300), st.integers(0, 299), st.floats(0.01, 1.0))
def test_any_moved_element_is_found(values: list[float], place: int, factor: float) -> None:
    reference = f32(*values)
    place %= reference.size
    ours = reference.copy()
    ours[place] += np.float32(factor * (1 + abs(reference[place])))
    row = compare(ours, reference)
    assert not row.passed
    assert row.worst_index == (place,)

"""What sorting and Fourier transforms make of NaN and infinities is let pass, and faults beside them are not."""

from __future__ import annotations

import numpy as np

from transload.convert.capture import Array, Feed
from transload.convert.equivalence.unanswered import is_without_answer

SORTED, TRANSFORMED = frozenset({"TopK"}), frozenset({"DFT"})

WITH_NAN = {"x": np.array([[1.0, np.nan, 3.0, 2.0], [4.0, 8.0, 6.0, 5.0]], np.float32)}
WITH_INFINITY = {"x": np.array([[1.0, np.inf, 3.0, 2.0], [4.0, 8.0, 6.0, 5.0]], np.float32)}


def sort_rows(feed: Feed) -> dict[str, Array]:
    """A source that sorts each row, and gives the sum of the second as well, which has no NaN."""
    return {"sorted": np.sort(feed["x"], axis=1), "sum": feed["x"][1].sum(keepdims=True)}


def transform(feed: Feed) -> dict[str, Array]:
    return {"y": np.fft.fft(feed["x"], axis=1).real.astype(np.float32)}


def check(operators: frozenset[str], feed: Feed, source: dict[str, Array], ours: dict[str, Array]) -> bool:
    ask = transform if operators == TRANSFORMED else sort_rows
    return is_without_answer(operators, feed, source, [ours], ask)


def test_nan_may_lie_anywhere_in_what_was_sorted() -> None:
    source = sort_rows(WITH_NAN)
    ours = {**source, "sorted": source["sorted"].copy()}
    ours["sorted"][0] = [np.nan, 1.0, 2.0, 3.0]
    assert check(SORTED, WITH_NAN, source, ours)


def test_a_row_without_nan_must_agree() -> None:
    source = sort_rows(WITH_NAN)
    ours = {**source, "sorted": source["sorted"].copy()}
    ours["sorted"][1] = ours["sorted"][1][::-1]
    assert not check(SORTED, WITH_NAN, source, ours)


def test_another_output_that_nan_does_not_reach_must_agree() -> None:
    source = sort_rows(WITH_NAN)
    assert not check(SORTED, WITH_NAN, source, {**source, "sum": source["sum"] + 1})


def test_infinities_have_their_place_in_an_order() -> None:
    source = sort_rows(WITH_INFINITY)
    ours = {**source, "sorted": source["sorted"].copy()}
    ours["sorted"][0] = [np.inf, 1.0, 2.0, 3.0]
    assert not check(SORTED, WITH_INFINITY, source, ours)


def test_a_transform_may_make_nan_or_an_infinity_of_an_infinity() -> None:
    source = {"y": transform(WITH_INFINITY)["y"]}
    source["y"][0] = np.inf
    ours = {"y": source["y"].copy()}
    ours["y"][0] = np.nan
    assert check(TRANSFORMED, WITH_INFINITY, source, ours)


def test_nan_that_a_transform_turns_to_a_number_is_a_fault() -> None:
    source = transform(WITH_NAN)
    ours = {"y": source["y"].copy()}
    ours["y"][0, 0] = 0.0
    assert np.isnan(source["y"][0, 0])
    assert not check(TRANSFORMED, WITH_NAN, source, ours)


def test_a_row_that_a_transform_does_not_mix_with_nan_must_agree() -> None:
    source = transform(WITH_NAN)
    ours = {"y": source["y"].copy()}
    ours["y"][1, 2] += 1.0
    assert not check(TRANSFORMED, WITH_NAN, source, ours)


def test_without_such_an_operator_nothing_passes() -> None:
    source = sort_rows(WITH_NAN)
    assert not check(frozenset(), WITH_NAN, source, source)


def test_a_source_that_differs_on_finite_numbers_too_is_not_excused() -> None:
    source = sort_rows(WITH_NAN)
    assert not is_without_answer(SORTED, WITH_NAN, source, [source], lambda feed: None)

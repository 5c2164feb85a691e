"""Dimensions that vary in steps."""

from __future__ import annotations

import pytest

from transload.serialize.dimension_steps import find_steps, in_steps


def test_a_number_times_a_word_is_a_step() -> None:
    assert find_steps(["batch", 3, None, "32*height", "14*wídth"]) == {"32*height": 32, "14*wídth": 14}
    assert find_steps([in_steps("height", 32)]) == {"32*height": 32}


@pytest.mark.parametrize(
    "name", ["32", "h*32", "032*h", "0*h", "32*", "32*5", "32*h+1", "32 * h", "2*3*h", "1234567890*h"]
)
def test_anything_else_is_a_name_like_any_other(name: str) -> None:
    assert find_steps([name]) == {}


@pytest.mark.parametrize("other", ["n", "4*n", "n+1", "past+n"])
def test_a_word_that_another_dimension_shares_says_no_step(other: str) -> None:
    """Exporters write expressions of one symbol."""
    assert find_steps(["2*n", other]) == {}


def test_a_word_inside_another_is_not_shared() -> None:
    assert find_steps(["2*n", "length", "n1"]) == {"2*n": 2}

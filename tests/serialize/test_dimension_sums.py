"""Dimensions that are sums of others."""

from __future__ import annotations

import pytest

from transload.serialize.dimension_sums import add_terms, find_sums


def test_a_sum_of_known_names_and_numbers_is_found() -> None:
    found = find_sums(["past", "seq", "past+seq", "past + 1", 3, None])
    assert found == {"past+seq": ("past", "seq"), "past + 1": ("past", 1)}


@pytest.mark.parametrize("name", ["past+other", "2*past", "past", "past+", "past-1"])
def test_anything_else_is_a_name_like_any_other(name: str) -> None:
    assert find_sums(["past", name]) == {}


def test_the_size_of_a_sum_is_that_of_its_terms() -> None:
    assert add_terms(("past", "seq", 1), {"past": 4, "seq": 2}) == 7


def test_what_is_not_known_is_left() -> None:
    assert add_terms(("past", "seq", 1), {"seq": 2}) == "past+3"
    assert add_terms(("past", "seq"), {}) == "past+seq"

"""The check of the sweep over architectures that compares packages with their modules anew."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.architectures.difference import largest_difference

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("ours", "theirs", "difference"),
    [
        ([1.0, 2.0], [1.0, 4.0], 0.5),
        ([NAN, 4.0], [NAN, 4.0], 0.0),
        ([NAN, 4.0], [1.0, 4.0], INF),
        ([1.0, 4.0], [NAN, 4.0], INF),
        ([INF, 4.0], [1.0, 4.0], INF),
        ([1.0], [1.0, 4.0], INF),
    ],
)
def test_differences_are_seen_where_values_are_no_numbers_too(
    ours: list[float], theirs: list[float], difference: float
) -> None:
    assert largest_difference([np.array(ours)], [np.array(theirs)]) == difference

"""Examples at other sizes: values repeated, equal names equal sizes, no two names of one size."""

from __future__ import annotations

import numpy as np

from transload.convert.torch.dimensions import example_at_other_sizes, widened_example


def test_too_small_dimensions_are_widened_by_repeating_values() -> None:
    example = {"x": np.array([[5, 6, 7]]), "y": np.zeros((0, 1))}
    widened = widened_example(example, {"x": {0: "batch"}, "y": {0: "empty"}})
    assert widened["x"].tolist() == [[5, 6, 7], [5, 6, 7]]
    assert widened["y"].shape == (2, 1)
    assert example["x"].shape == (1, 3)


def test_a_sum_of_dimensions_follows_its_terms() -> None:
    example = {"past": np.zeros(1), "x": np.zeros(2), "mask": np.zeros(3)}
    dimensions = {"past": {0: "p"}, "x": {0: "n"}, "mask": {0: "p+n"}}
    widened = widened_example(example, dimensions)
    assert {name: array.size for name, array in widened.items()} == {"past": 2, "x": 2, "mask": 4}
    other, sizes = example_at_other_sizes(example, dimensions)
    assert other["mask"].size == other["past"].size + other["x"].size == sizes["p+n"]


def test_other_sizes_differ_from_all_former_ones_and_from_each_other() -> None:
    example = {"x": np.zeros((2, 3)), "y": np.zeros((3, 4))}
    other, sizes = example_at_other_sizes(example, {"x": {0: "a", 1: "b"}, "y": {0: "b", 1: "c"}})
    assert not set(sizes.values()) & {2, 3, 4}
    assert len(set(sizes.values())) == 3
    assert other["x"].shape == (sizes["a"], sizes["b"])
    assert other["y"].shape == (sizes["b"], sizes["c"])

"""Which dimensions may vary: found by trying sizes on a source, or from two examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from transload.convert.torch.found_dimensions import compare_examples, find_dimensions
from transload.serialize.errors import UsageError

Array = np.ndarray[Any, Any]
Sizes = dict[str, tuple[int, ...]]


def run_if(takes: Callable[[Sizes], bool]) -> Callable[[Mapping[str, Array]], str | None]:
    """A source that takes exactly the shapes for which `takes` holds."""
    return lambda feed: None if takes({name: array.shape for name, array in feed.items()}) else "model.py:7"


def zeros(**shapes: tuple[int, ...]) -> dict[str, Array]:
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


def test_an_axis_that_moves_alone_is_a_dimension_and_a_fixed_one_is_told_with_its_line() -> None:
    found = find_dimensions(zeros(x=(2, 3)), run_if(lambda sizes: sizes["x"][1] == 3))
    assert found.dimensions == {"x": {0: "batch"}}
    assert found.fixed == ("x, axis 1, is always 3: other sizes fail at model.py:7",)
    assert found.accepted == {"batch": 3}


def test_axes_that_move_only_together_are_one_dimension() -> None:
    def takes(sizes: Sizes) -> bool:
        return sizes["x"][0] == sizes["y"][0] and sizes["x"][1:] == (3,) and sizes["y"][1] == 4

    assert find_dimensions(zeros(x=(2, 3), y=(2, 4)), run_if(takes)).dimensions == {
        "x": {0: "batch"},
        "y": {0: "batch"},
    }


def test_axes_of_one_size_that_need_not_move_together_are_two_dimensions() -> None:
    found = find_dimensions(zeros(image=(2, 3, 8, 8)), run_if(lambda sizes: sizes["image"][1] == 3))
    assert found.dimensions == {"image": {0: "batch", 2: "image_dim2", 3: "image_dim3"}}


def test_a_square_keeps_both_sides_equal() -> None:
    found = find_dimensions(zeros(graph=(5, 5)), run_if(lambda sizes: sizes["graph"][0] == sizes["graph"][1]))
    assert found.dimensions == {"graph": {0: "graph_dim0", 1: "graph_dim0"}}


def test_a_size_that_strides_must_divide_is_found() -> None:
    found = find_dimensions(zeros(x=(2, 64)), run_if(lambda sizes: sizes["x"][1] % 32 == 0))
    assert found.dimensions == {"x": {0: "batch", 1: "x_dim1"}}
    assert found.accepted == {"batch": 3, "x_dim1": 96}


def test_a_batch_of_one_is_made_two() -> None:
    found = find_dimensions(zeros(x=(1, 3), y=(1, 3)), run_if(lambda sizes: sizes["x"] == (sizes["y"][0], 3)))
    assert found.dimensions == {"x": {0: "batch"}, "y": {0: "batch", 1: "y_dim1"}}
    assert found.example["x"].shape == (2, 3)


def test_a_one_beside_other_batches_stays() -> None:
    found = find_dimensions(
        zeros(x=(2, 3), y=(1, 3)), run_if(lambda sizes: sizes["y"] == (1, 3) and sizes["x"][1] == 3)
    )
    assert found.dimensions == {"x": {0: "batch"}}


def test_tensors_of_many_layers_move_as_one() -> None:
    example = zeros(**{f"past/{layer}": (2, 4, 5) for layer in range(6)})
    calls = 0

    def takes(sizes: Sizes) -> bool:
        nonlocal calls
        calls += 1
        return len(set(sizes.values())) == 1 and sizes["past/0"][2] == 5

    found = find_dimensions(example, run_if(takes))
    assert found.dimensions == {name: {0: "batch", 1: "past_0_dim1"} for name in example}
    assert calls < 20


@pytest.mark.parametrize("name", ["attention_mask", "bias"])
def test_a_size_that_is_the_sum_of_two_others(name: str) -> None:
    def takes(sizes: Sizes) -> bool:
        return sizes[name] == (sizes["tokens"][0], sizes["tokens"][1] + sizes["past"][1]) and (
            sizes["past"][0] == sizes["tokens"][0]
        )

    found = find_dimensions(zeros(tokens=(2, 3), past=(2, 4), **{name: (2, 7)}), run_if(takes))
    assert found.dimensions == {
        "tokens": {0: "batch", 1: "tokens_dim1"},
        "past": {0: "batch", 1: "past_dim1"},
        name: {0: "batch", 1: "tokens_dim1+past_dim1"},
    }


def test_a_mask_goes_with_what_it_masks_even_if_the_source_takes_any_mask() -> None:
    example = {"tokens": np.zeros((2, 7), np.int64), "attention_mask": np.ones((2, 7), np.int64)}

    def run(feed: Mapping[str, Array]) -> str | None:
        return None if feed["tokens"].shape[0] == feed["attention_mask"].shape[0] else "model.py:7"

    assert find_dimensions(example, run).dimensions == {
        "tokens": {0: "batch", 1: "tokens_dim1"},
        "attention_mask": {0: "batch", 1: "tokens_dim1"},
    }


def test_a_mask_that_hides_nothing_is_tried_with_something_hidden() -> None:
    example = {"tokens": np.zeros((2, 7), np.int64), "attention_mask": np.ones((2, 7), np.int64)}

    def run(feed: Mapping[str, Array]) -> str | None:
        # As transformers has it: a mask of ones is not looked at.
        if feed["attention_mask"].all() or feed["tokens"].shape == feed["attention_mask"].shape:
            return None
        return "model.py:7"

    assert find_dimensions(example, run).dimensions["attention_mask"] == {0: "batch", 1: "tokens_dim1"}


def test_two_examples_tell_dimensions_and_sums() -> None:
    first = zeros(tokens=(2, 3), past=(2, 4), mask=(2, 7), scale=(2,))
    second = zeros(tokens=(5, 4), past=(5, 6), mask=(5, 10), scale=(2,))
    assert compare_examples(first, second) == {
        "tokens": {0: "batch", 1: "tokens_dim1"},
        "past": {0: "batch", 1: "past_dim1"},
        "mask": {0: "batch", 1: "tokens_dim1+past_dim1"},
    }


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (zeros(y=(2,)), "other inputs than the first: x, y"),
        (zeros(x=(2, 3)), "'x' as float32 of rank 2"),
        ({"x": np.zeros(2, np.int64)}, "'x' as int64 of rank 1"),
    ],
)
def test_a_second_example_of_another_kind_is_refused(second: dict[str, Array], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        compare_examples(zeros(x=(2,)), second)

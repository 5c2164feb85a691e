"""What a call may hand over: everything else is refused with the interface's expectation in the message."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from transload.runtime.feed import check_feed
from transload.serialize.errors import UsageError
from transload.serialize.interface import Tensor

TOKENS = Tensor("tokens", "int64", ("batch", "seq"))
MASK = Tensor("mask", "float32", ("batch", "seq"))
IMAGE = Tensor("image", "float32", (1, 3, 4, 4))


def check(feed: dict[str, Any], *tensors: Tensor) -> dict[str, Any]:
    return check_feed(feed, {tensor.name: tensor for tensor in tensors})


@pytest.mark.parametrize(
    ("feed", "tensors", "message"),
    [
        ({"token": np.zeros((1, 2), np.int64)}, (TOKENS,), r"no input 'token'(.|\n)*tokens: int64\[batch,seq\]"),
        ({}, (TOKENS,), r"'tokens' is missing(.|\n)*int64\[batch,seq\]"),
        ({"tokens": np.zeros((1, 2), np.int32)}, (TOKENS,), r"dtype int32; the model takes int64\[batch,seq\]"),
        ({"tokens": np.zeros(2, np.int64)}, (TOKENS,), r"rank 1 \(\[2\]\); the model takes int64\[batch,seq\]"),
        ({"image": np.zeros((1, 3, 4, 5), np.float32)}, (IMAGE,), r"size 5 on axis 3 .* float32\[1,3,4,4\]"),
        ({"image": np.zeros((1, 3, 4, 4))}, (IMAGE,), "dtype float64; the model takes float32"),
        ({"image": "cat.png"}, (IMAGE,), "dtype string; the model takes float32"),
    ],
)
def test_a_feed_that_does_not_fit_is_refused(feed: dict[str, Any], tensors: tuple[Tensor, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        check(feed, *tensors)
    assert caught.value.exit_status == 2


def test_one_name_with_two_sizes_is_refused() -> None:
    feed = {"tokens": np.zeros((2, 5), np.int64), "mask": np.zeros((2, 6), np.float32)}
    with pytest.raises(UsageError, match="'seq' is 5 in 'tokens' axis 1 but 6 in 'mask' axis 1"):
        check(feed, TOKENS, MASK)


def test_arrays_that_fit_are_passed_on_without_a_copy() -> None:
    tokens = np.zeros((2, 5), np.int64)
    assert check({"tokens": tokens}, TOKENS)["tokens"] is tokens


@pytest.mark.parametrize(
    ("value", "tensor", "expected"),
    [
        ([[1, 2]], TOKENS, np.array([[1, 2]], np.int64)),
        ([[1.5]], MASK, np.array([[1.5]], np.float32)),
        (3, Tensor("k", "int32", ()), np.array(3, np.int32)),
        (["a"], Tensor("s", "string", ("n",)), np.array(["a"], object)),
    ],
)
def test_python_values_become_arrays_of_the_declared_dtype(value: Any, tensor: Tensor, expected: Any) -> None:
    found = check({tensor.name: value}, tensor)[tensor.name]
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("value", [[[1.5]], [[True]]])
def test_python_values_that_would_lose_something_are_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="the model takes int64"):
        check({"tokens": value}, TOKENS)


def test_bfloat16_is_told_from_float16() -> None:
    tensor = Tensor("x", "bfloat16", ("n",))
    assert check({"x": np.ones(2, ml_dtypes.bfloat16)}, tensor)["x"].dtype == ml_dtypes.bfloat16
    with pytest.raises(UsageError, match="dtype float16; the model takes bfloat16"):
        check({"x": np.ones(2, np.float16)}, tensor)


def test_a_sum_of_dimensions_is_checked() -> None:
    tensors = Tensor("mask", "int64", ("past+n",)), Tensor("x", "int64", ("n",)), Tensor("past", "int64", ("past",))
    arrays = {"x": np.zeros(2, np.int64), "past": np.zeros(3, np.int64)}
    assert check({**arrays, "mask": np.ones(5, np.int64)}, *tensors)["mask"].shape == (5,)
    with pytest.raises(UsageError, match=r"'past\+n' is 4 in 'mask' axis 0, but 5 by its terms"):
        check({**arrays, "mask": np.ones(4, np.int64)}, *tensors)


def test_a_dimension_in_steps_takes_their_multiples_only() -> None:
    image = Tensor("x", "float32", (1, "32*height", "width"))
    assert check({"x": np.zeros((1, 96, 5), np.float32)}, image)["x"].shape == (1, 96, 5)
    with pytest.raises(UsageError, match=r"'32\*height' takes multiples of 32 only; it is 48 in 'x' axis 1"):
        check({"x": np.zeros((1, 48, 5), np.float32)}, image)


def test_an_input_of_unknown_rank_takes_any_shape() -> None:
    assert check({"x": np.ones((1, 2, 3), np.float32)}, Tensor("x", "float32", None))["x"].ndim == 3

"""Convolutions: element types that ONNX Runtime has no kernel for, output padding, dynamic sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from script_check import check, op_types

IMAGE = {"input": {0: "batch", 2: "height", 3: "width"}}
SETTINGS: list[dict[str, Any]] = [
    {},
    {"stride": (2, 3), "padding": (1, 2), "dilation": (2, 1)},
    {"groups": 2, "padding": 1},
    {"padding": "same", "dilation": (3, 2)},
    {"padding": "valid", "stride": 2},
]
TRANSPOSED: list[dict[str, Any]] = [
    {},
    {"stride": (2, 3), "padding": (1, 2), "output_padding": (1, 2)},
    {"stride": 2, "dilation": 3, "output_padding": 2, "groups": 2},
    {"stride": 1, "padding": 3, "dilation": 2, "output_padding": 1},
]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_images_of_any_size(setting: dict[str, Any], dtype: torch.dtype) -> None:
    layer = torch.nn.Conv2d(4, 6, (3, 2), **setting).to(dtype)
    others = [(torch.randn(1, 4, 11, 7, dtype=dtype),), (torch.randn(3, 4, 8, 13, dtype=dtype),)]
    check(layer, torch.randn(2, 4, 9, 10, dtype=dtype), dynamic=IMAGE, others=others)


@pytest.mark.parametrize("setting", TRANSPOSED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_transposed_convolutions_of_images_of_any_size(setting: dict[str, Any], dtype: torch.dtype) -> None:
    layer = torch.nn.ConvTranspose2d(4, 6, (3, 4), **setting).to(dtype)
    others = [(torch.randn(1, 4, 11, 7, dtype=dtype),), (torch.randn(3, 4, 8, 13, dtype=dtype),)]
    check(layer, torch.randn(2, 4, 9, 10, dtype=dtype), dynamic=IMAGE, others=others)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_integers(dtype: torch.dtype) -> None:
    def convolve(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv1d(input, weight, bias, stride=2, padding=1)

    tensors = [torch.randint(0, 50, each).to(dtype) for each in [(2, 3, 9), (4, 3, 2), (4,)]]
    check(convolve, *tensors)


def test_one_item_without_a_batch() -> None:
    check(torch.nn.Conv1d(3, 4, 2), torch.randn(3, 9))
    check(torch.nn.ConvTranspose1d(3, 4, 2), torch.randn(3, 9))


def test_usual_convolutions_stay_one_node() -> None:
    assert op_types(check(torch.nn.Conv2d(3, 4, 3, padding="same"), torch.randn(2, 3, 8, 8))) == ["Conv"]
    layer = torch.nn.ConvTranspose2d(3, 4, 3, stride=2, output_padding=1)
    assert op_types(check(layer, torch.randn(2, 3, 8, 8))) == ["ConvTranspose"]

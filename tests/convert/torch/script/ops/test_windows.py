"""Unfold and fold, over known sizes and sizes that depend on the inputs."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from script_check import check, trace
from torch import Tensor

SETTINGS = [
    {"kernel_size": 3},
    {"kernel_size": (2, 3), "padding": (1, 0), "stride": (2, 1)},
    {"kernel_size": 2, "dilation": (1, 3), "padding": 2, "stride": 3},
]
DYNAMIC = {"input": {0: "batch", 2: "height", 3: "width"}}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_windows_become_columns(settings: dict[str, object], dtype: torch.dtype) -> None:
    def program(x: Tensor) -> Tensor:
        return F.unfold(x, **settings)

    first, *others = (torch.randn(shape, dtype=dtype) for shape in ((2, 3, 8, 9), (1, 3, 13, 7), (0, 3, 5, 5)))
    check(trace(program, first), first, dynamic=DYNAMIC, others=[(other,) for other in others])
    check(trace(program, first), first)
    check(trace(program, first[0]), first[0])


@pytest.mark.parametrize("settings", SETTINGS)
def test_columns_are_summed_into_an_image(settings: dict[str, object]) -> None:
    def program(x: Tensor) -> Tensor:
        return F.fold(F.unfold(x, **settings) * 0.5, x.shape[2:], **settings)

    first, *others = (torch.randn(shape) for shape in ((2, 3, 8, 9), (1, 3, 13, 7), (3, 3, 5, 5)))
    check(trace(program, first), first, dynamic=DYNAMIC, others=[(other,) for other in others])
    check(trace(program, first), first)

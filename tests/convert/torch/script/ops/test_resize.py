"""Antialiased interpolation: sizes that are known, and sizes that depend on the inputs."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from script_check import check

IMAGES = torch.randn(2, 3, 11, 14), torch.randn(1, 3, 6, 25)
DYNAMIC = {"image": {0: "batch", 2: "height", 3: "width"}}


def shrink_linear(image: torch.Tensor) -> torch.Tensor:
    return F.interpolate(image, [5, 9], mode="bilinear", antialias=True)


def shrink_cubic(image: torch.Tensor) -> torch.Tensor:
    return F.interpolate(image, [5, 9], mode="bicubic", antialias=True)


def grow_cubic_with_corners(image: torch.Tensor) -> torch.Tensor:
    return F.interpolate(image, [30, 17], mode="bicubic", antialias=True, align_corners=True)


def one_row_with_corners(image: torch.Tensor) -> torch.Tensor:
    return F.interpolate(image, [1, 4], mode="bilinear", antialias=True, align_corners=True)


def by_factor(image: torch.Tensor) -> torch.Tensor:
    return F.interpolate(image, scale_factor=0.4, mode="bilinear", antialias=True)


def to_a_size_of_the_input(image: torch.Tensor) -> torch.Tensor:
    return F.interpolate(image, [image.size(3), image.size(2) // 2], mode="bicubic", antialias=True)


PROGRAMS = [shrink_linear, shrink_cubic, grow_cubic_with_corners, one_row_with_corners, by_factor]


@pytest.mark.parametrize("program", [*PROGRAMS, to_a_size_of_the_input], ids=lambda program: program.__name__)
def test_antialiased_over_sizes_that_depend_on_the_inputs(program: object) -> None:
    check(program, IMAGES[0], dynamic=DYNAMIC, others=[(IMAGES[1],)])


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_antialiased_over_known_sizes(program: object) -> None:
    check(program, IMAGES[0])


def test_antialiased_in_double_precision() -> None:
    check(shrink_cubic, IMAGES[0].double(), dynamic=DYNAMIC, others=[(IMAGES[1].double(),)])

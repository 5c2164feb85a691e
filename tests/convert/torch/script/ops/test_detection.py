"""torchvision's operators, and a detector of the user's own making.

torchvision's library of operators does not load beside every torch, so that the operators are defined here, from
their documentation, where they are missing.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from script_check import check, op_types, refusal
from torch import Tensor

pytestmark = pytest.mark.filterwarnings("ignore")

SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align": "(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
}


def suppress(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    kept: list[int] = []
    for place in scores.argsort(descending=True, stable=True).tolist():
        if all(overlap(dets[place], dets[other]) <= iou_threshold for other in kept):
            kept.append(place)
    return torch.tensor(kept, dtype=torch.int64)


def overlap(one: Tensor, other: Tensor) -> float:
    sides = (torch.minimum(one[2:], other[2:]) - torch.maximum(one[:2], other[:2])).clamp(min=0)
    shared = float(sides.prod())
    return shared / float((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - shared)


def align(
    input: Tensor, rois: Tensor, spatial_scale: float, height: int, width: int, sampling_ratio: int, aligned: bool
) -> Tensor:
    """Bilinear values at `sampling_ratio` places along each side of each cell, averaged."""
    results = []
    for roi in rois.tolist():
        shift = 0.5 if aligned else 0.0
        left, top, right, bottom = (corner * spatial_scale - shift for corner in roi[1:])
        sides = [bottom - top, right - left]
        if not aligned:
            sides = [max(side, 1.0) for side in sides]
        ys, xs = (
            start + (torch.arange(cells * sampling_ratio) + 0.5) * side / (cells * sampling_ratio)
            for start, side, cells in ((top, sides[0], height), (left, sides[1], width))
        )
        values = bilinear(input[int(roi[0])], ys, xs)
        results.append(torch.nn.functional.avg_pool2d(values, sampling_ratio))
    return torch.stack(results)


def bilinear(image: Tensor, ys: Tensor, xs: Tensor) -> Tensor:
    (y_low, y_high, y_part), (x_low, x_high, x_part) = (
        (at.floor().long(), (at.floor().long() + 1).clamp(max=size - 1), at - at.floor())
        for at, size in (
            (ys.clamp(0, image.shape[1] - 1), image.shape[1]),
            (xs.clamp(0, image.shape[2] - 1), image.shape[2]),
        )
    )
    rows = image[:, y_low] * (1 - y_part)[:, None] + image[:, y_high] * y_part[:, None]
    return rows[:, :, x_low] * (1 - x_part) + rows[:, :, x_high] * x_part


for _name, _function in {"nms": suppress, "roi_align": align}.items():
    if not hasattr(torch.ops.torchvision, _name):
        torch.library.define(f"torchvision::{_name}", SCHEMAS[_name])
        torch.library.impl(f"torchvision::{_name}", "CPU", _function)


def boxes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    numbers = torch.Generator().manual_seed(seed)
    centers, sides = torch.rand(count, 2, generator=numbers) * 10, torch.rand(count, 2, generator=numbers) * 6 + 0.5
    # Few different scores, so that some are equal.
    scores = torch.randint(0, max(count // 2, 1), (count,), generator=numbers) / 10
    return torch.cat([centers - sides, centers + sides], 1), scores


def kept_boxes(dets: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    kept = torch.ops.torchvision.nms(dets, scores, 0.4)
    return kept, dets[kept]


def test_boxes_that_overlap_are_suppressed_best_first() -> None:
    names = {"dets": {0: "boxes"}, "scores": {0: "boxes"}}
    model = check(kept_boxes, *boxes(20, 0), dynamic=names, others=[boxes(1, 1), boxes(60, 2), boxes(0, 3)])
    assert "NonMaxSuppression" in op_types(model)


def test_boxes_in_double_precision_are_refused() -> None:
    dets, scores = boxes(5, 0)
    assert "float32 only" in str(refusal(kept_boxes, dets.double(), scores.double()))


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("ratio", [1, 2])
def test_regions_are_averaged(aligned: bool, ratio: int) -> None:
    def regions(features: Tensor, rois: Tensor) -> Tensor:
        return torch.ops.torchvision.roi_align(features, rois, 0.5, 3, 2, ratio, aligned)

    def example(count: int, seed: int) -> tuple[Tensor, Tensor]:
        corners = torch.rand(count, 2, generator=torch.Generator().manual_seed(seed)) * 8
        images = torch.randint(0, 2, (count, 1), generator=torch.Generator().manual_seed(seed))
        return torch.randn(2, 3, 12, 14), torch.cat([images, corners, corners + 3 + corners.flip(1)], 1)

    names = {"features": {2: "height", 3: "width"}, "rois": {0: "regions"}}
    module = torch.jit.trace(regions, example(4, 0), check_trace=False)
    check(_Holder(module), *example(4, 0), dynamic=names, others=[example(9, 1)])


class _Holder(torch.nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, features: Tensor, rois: Tensor) -> Tensor:
        return self.function(features, rois)

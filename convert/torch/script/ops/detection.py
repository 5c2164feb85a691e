"""torchvision's operators of detectors: suppressing boxes that overlap, and cutting regions out of feature maps."""

from __future__ import annotations

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder
from transload.convert.torch.script.registry import handler
from transload.serialize.errors import UnsupportedError

FLOAT, INT64 = ir.DataType.FLOAT, ir.DataType.INT64


@handler("torchvision::nms")
def nms(b: Builder, dets: ir.Value, scores: ir.Value, iou_threshold: float) -> ir.Value:
    """Places of the boxes that stay, best first, [kept]. Equal scores stay in order on both sides."""
    if dets.dtype != FLOAT or scores.dtype != FLOAT:
        raise UnsupportedError("ONNX suppresses overlapping boxes in float32 only.")
    count = b.scalar(b.size(dets, 0), INT64)
    chosen = b.NonMaxSuppression(b.unsqueeze(dets, 0), b.unsqueeze(scores, 0, 1), count, b.scalar(iou_threshold, FLOAT))
    return b.Gather(chosen, b.constant(2, INT64), axis=1)


@handler("torchvision::roi_align")
def roi_align(
    b: Builder,
    input: ir.Value,
    rois: ir.Value,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> ir.Value:
    """Averages over a grid in each region. `rois` is [regions, 5]: the image's place in the batch, then the corners."""
    corners = b.Slice(rois, [1], [5], [1])
    images = b.cast(b.Gather(rois, b.constant(0, INT64), axis=1), INT64)
    return b.RoiAlign(
        input,
        corners,
        images,
        output_height=pooled_height,
        output_width=pooled_width,
        sampling_ratio=max(sampling_ratio, 0),
        spatial_scale=spatial_scale,
        coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
    )

"""Sliding windows as columns, and columns summed back into an image (torch's Unfold and Fold)."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.registry import handler

INT64 = ir.DataType.INT64


def _places(b: Builder, size: Int, kernel: int, dilation: int, stride: int) -> ir.Value:
    """Where each element of the kernel lies in each window, along one axis: [kernel, windows]."""
    end = b.add_int(size, -dilation * (kernel - 1))
    if isinstance(end, int):
        starts = b.constant(np.arange(0, end, stride, dtype=np.int64))
    else:
        starts = b.Range(b.constant(0), end.value, b.constant(stride))
    return b.Add(b.unsqueeze(starts, 0), b.constant(np.arange(kernel, dtype=np.int64)[:, None] * dilation))


@handler("aten::im2col")
def im2col(
    b: Builder, self: ir.Value, kernel_size: list[int], dilation: list[int], padding: list[int], stride: list[int]
) -> ir.Value:
    """[batch, channels * kernel, windows], the batch left out where the image has none."""
    image = self if b.rank(self) == 4 else b.unsqueeze(self, 0)
    batch, channels, height, width = b.sizes(image)
    if any(padding):
        assert image.dtype is not None
        image = b.Pad(image, [0, 0, *padding, 0, 0, *padding], b.scalar(0, image.dtype))
    padded = [b.add_int(size, 2 * pad) for size, pad in zip((height, width), padding, strict=True)]
    rows, columns = map(lambda *each: _places(b, *each), padded, kernel_size, dilation, stride)
    windows = b.Gather(b.Gather(image, rows, axis=2), columns, axis=4)
    sizes = [
        batch,
        b.mul_int(channels, kernel_size[0] * kernel_size[1]),
        b.mul_int(b.size(rows, 1), b.size(columns, 1)),
    ]
    # Every size by itself: none can be told from the others where the batch is empty.
    columned = b.Reshape(b.Transpose(windows, perm=[0, 1, 2, 4, 3, 5]), b.int_vector(sizes), allowzero=1)
    result = b.with_sizes(columned, sizes)
    return result if b.rank(self) == 4 else b.squeeze(result, 0)


@handler("aten::col2im")
def col2im(
    b: Builder,
    self: ir.Value,
    output_size: list[Int],
    kernel_size: list[int],
    dilation: list[int],
    padding: list[int],
    stride: list[int],
) -> Any:
    if self.dtype != ir.DataType.FLOAT or b.opset < 18 or b.rank(self) != 3:
        return NotImplemented
    image = b.Col2Im(
        self, b.int_vector(output_size), kernel_size, dilations=dilation, pads=[*padding, *padding], strides=stride
    )
    return b.with_sizes(image, [-1, -1, *output_size])

"""Convolutions and transposed convolutions."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import MAX_INT64, Builder, Int
from transload.convert.torch.script.ops.linear import multiply
from transload.convert.torch.script.registry import handler
from transload.serialize.errors import UnsupportedError

FLOAT, FLOAT16 = ir.DataType.FLOAT, ir.DataType.FLOAT16

_TAPS_AT_MOST = 512
"""So many elements may a kernel have that is written out, each as a slice of the input."""


@dataclass(frozen=True)
class Window:
    """How a kernel goes over an input, axis by axis; `before` and `after` are the padding."""

    stride: list[int]
    before: list[int]
    after: list[int]
    dilation: list[int]


def _per_axis(value: list[int] | int, axes: int) -> list[int]:
    """One number for each spatial axis."""
    if isinstance(value, int):
        return [value] * axes
    return list(value) * axes if len(value) == 1 else list(value)


def convolve(
    b: Builder,
    input: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None,
    stride: list[int] | int,
    padding: list[int] | int | str,
    dilation: list[int] | int,
    groups: int,
    transposed: bool = False,
    output_padding: list[int] | int = 0,
) -> ir.Value:
    """A convolution over a batch, or over one item of a batch without its axis."""
    axes = b.rank(weight) - 2
    if b.rank(input) == axes + 1:
        batch = b.unsqueeze(input, 0)
        whole = convolve(b, batch, weight, bias, stride, padding, dilation, groups, transposed, output_padding)
        return b.squeeze(whole, 0)
    window = _window(b, weight, stride, padding, dilation)
    if input.dtype == ir.DataType.BFLOAT16:
        added = b.cast(bias, FLOAT) if bias is not None else None
        one, other = b.cast(input, FLOAT), b.cast(weight, FLOAT)
        wide = convolve(b, one, other, added, stride, padding, dilation, groups, transposed, output_padding)
        return b.cast(wide, ir.DataType.BFLOAT16)
    if transposed:
        return _transposed(b, input, weight, bias, window, groups, _per_axis(output_padding, axes))
    if input.dtype not in (FLOAT, FLOAT16):
        return _with_bias(b, _written_out(b, input, weight, window, groups), bias)
    return b.Conv(
        input,
        weight,
        bias,
        kernel_shape=_kernel_shape(b, weight),
        strides=window.stride,
        pads=[*window.before, *window.after],
        dilations=window.dilation,
        group=groups,
    )


def _kernel_shape(b: Builder, weight: ir.Value) -> list[int] | None:
    sizes = [b.dim(weight, axis) for axis in range(2, b.rank(weight))]
    known = [size for size in sizes if size is not None]
    return known if len(known) == len(sizes) else None


def _window(b: Builder, weight: ir.Value, stride: Any, padding: Any, dilation: Any) -> Window:
    axes = b.rank(weight) - 2
    strides, dilations = _per_axis(stride, axes), _per_axis(dilation, axes)
    if padding == "same":
        kernel = _kernel_shape(b, weight)
        if kernel is None:
            raise UnsupportedError("The size of the kernel depends on the inputs.")
        totals = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
        return Window(strides, [each // 2 for each in totals], [each - each // 2 for each in totals], dilations)
    pads = _per_axis(0 if padding == "valid" else padding, axes)
    return Window(strides, pads, pads, dilations)


def _transposed(
    b: Builder,
    input: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None,
    window: Window,
    groups: int,
    extra: list[int],
) -> ir.Value:
    if input.dtype not in (FLOAT, FLOAT16):
        return _with_bias(b, _transposed_written_out(b, input, weight, window, groups, extra), bias)
    attributes: dict[str, Any] = {
        "kernel_shape": _kernel_shape(b, weight),
        "strides": window.stride,
        "dilations": window.dilation,
        "group": groups,
    }
    if all(more < step for more, step in zip(extra, window.stride, strict=True)):
        attributes["output_padding"] = extra if any(extra) else None
        return b.ConvTranspose(input, weight, bias, pads=[*window.before, *window.after], **attributes)
    # ONNX Runtime takes no output_padding as large as the stride: cut off less instead, and add zeros beyond the end.
    after = [max(pad - more, 0) for pad, more in zip(window.after, extra, strict=True)]
    missing = [max(more - pad, 0) for pad, more in zip(window.after, extra, strict=True)]
    result = b.ConvTranspose(input, weight, pads=[*window.before, *after], **attributes)
    return _with_bias(b, _pad(b, result, [0] * len(extra), missing), bias)


def _with_bias(b: Builder, result: ir.Value, bias: ir.Value | None) -> ir.Value:
    if bias is None:
        return result
    axes = b.rank(result) - 2
    return b.Add(result, b.unsqueeze(bias, *range(1, axes + 1)))


def _pad(b: Builder, value: ir.Value, before: list[int], after: list[int]) -> ir.Value:
    """Zeros around the spatial axes; negative numbers cut off."""
    if not any(before) and not any(after):
        return value
    return b.Pad(value, b.constant([0, 0, *before, 0, 0, *after], ir.DataType.INT64))


# For element types that ONNX Runtime has no convolution for


def _written_out(b: Builder, input: ir.Value, weight: ir.Value, window: Window, groups: int) -> ir.Value:
    """The input's elements below each element of the kernel side by side, times the kernel as a matrix."""
    kernel = _kernel_shape(b, weight)
    if kernel is None or math.prod(kernel) > _TAPS_AT_MOST:
        raise UnsupportedError(f"A convolution of {input.dtype} with a kernel that is not known to be small.")
    assert input.dtype is not None
    number = input.dtype if input.dtype in (ir.DataType.DOUBLE, ir.DataType.INT64) else ir.DataType.INT64
    padded = _pad(b, b.cast(input, number), window.before, window.after)
    axes = list(range(2, b.rank(input)))
    reach = [d * (k - 1) for d, k in zip(window.dilation, kernel, strict=True)]
    taps = []
    for place in itertools.product(*(range(size) for size in kernel)):
        starts = [at * d for at, d in zip(place, window.dilation, strict=True)]
        ends = [start - most or MAX_INT64 for start, most in zip(starts, reach, strict=True)]
        taps.append(b.Slice(padded, starts, ends, axes, window.stride))
    spatial = b.sizes(taps[0])[2:]
    batch, channels = b.size(input, 0), b.size(input, 1)
    columns = b.Concat(*(b.unsqueeze(tap, 2) for tap in taps), axis=2)
    count: Int = 1
    for size in spatial:
        count = b.mul_int(count, size)
    if not isinstance(channels, int) or not isinstance(outputs := b.size(weight, 0), int):
        raise UnsupportedError("The number of channels depends on the inputs.")
    inner = channels // groups * len(taps)
    columns = b.reshape(columns, [batch, groups, inner, count])
    matrix = b.reshape(b.cast(weight, number), [groups, outputs // groups, inner])
    return b.cast(b.reshape(multiply(b, matrix, columns), [batch, outputs, *spatial]), input.dtype)


def _transposed_written_out(
    b: Builder, input: ir.Value, weight: ir.Value, window: Window, groups: int, extra: list[int]
) -> ir.Value:
    """A convolution of the input with zeros between its elements, with the kernel turned around."""
    kernel, channels, per_group = _kernel_shape(b, weight), b.dim(weight, 0), b.dim(weight, 1)
    if kernel is None or channels is None or per_group is None:
        raise UnsupportedError("The size of the kernel depends on the inputs.")
    axes = list(range(2, b.rank(weight)))
    spread = input
    for axis, step in zip(axes, window.stride, strict=True):
        spread = _spread(b, spread, axis, step)
    turned = b.Slice(weight, [-1] * len(axes), [-MAX_INT64] * len(axes), axes, [-1] * len(axes))
    split = b.reshape(turned, [groups, channels // groups, per_group, *kernel])
    split = b.transpose(split, 1, 2)
    turned = b.reshape(split, [groups * per_group, channels // groups, *kernel])
    reach = [d * (k - 1) for d, k in zip(window.dilation, kernel, strict=True)]
    before = [most - pad for most, pad in zip(reach, window.before, strict=True)]
    after = [most - pad + more for most, pad, more in zip(reach, window.after, extra, strict=True)]
    return _written_out(b, spread, turned, Window([1] * len(axes), before, after, window.dilation), groups)


def _spread(b: Builder, value: ir.Value, axis: int, step: int) -> ir.Value:
    """Zeros between neighbours along an axis."""
    if step == 1:
        return value
    sizes = b.sizes(value)
    apart = b.unsqueeze(value, axis + 1)
    rank = b.rank(apart)
    pads = [0] * (2 * rank)
    pads[rank + axis + 1] = step - 1
    padded = b.Pad(apart, b.constant(pads, ir.DataType.INT64))
    sizes[axis] = b.mul_int(sizes[axis], step)
    return b.Slice(b.reshape(padded, sizes), [0], [1 - step], [axis])


# Operators


@handler(
    "aten::conv1d",
    "aten::conv2d",
    "aten::conv3d",
    "aten::conv1d.padding",
    "aten::conv2d.padding",
    "aten::conv3d.padding",
    "aten::_convolution_mode",
)
def conv(
    b: Builder,
    input: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None = None,
    stride: list[int] | int = 1,
    padding: list[int] | int | str = 0,
    dilation: list[int] | int = 1,
    groups: int = 1,
) -> ir.Value:
    return convolve(b, input, weight, bias, stride, padding, dilation, groups)


@handler("aten::conv_transpose1d", "aten::conv_transpose2d.input", "aten::conv_transpose3d.input")
def conv_transpose(
    b: Builder,
    input: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None = None,
    stride: list[int] | int = 1,
    padding: list[int] | int = 0,
    output_padding: list[int] | int = 0,
    groups: int = 1,
    dilation: list[int] | int = 1,
) -> ir.Value:
    return convolve(b, input, weight, bias, stride, padding, dilation, groups, True, output_padding)


@handler("aten::_convolution", "aten::_convolution.deprecated", "aten::convolution")
def convolution(
    b: Builder,
    input: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
    benchmark: bool = False,
    deterministic: bool = False,
    cudnn_enabled: bool = True,
    allow_tf32: bool = True,
) -> ir.Value:
    return convolve(b, input, weight, bias, stride, padding, dilation, groups, transposed, output_padding)


@handler("aten::conv_tbc")
def conv_tbc(b: Builder, self: ir.Value, weight: ir.Value, bias: ir.Value, pad: int = 0) -> ir.Value:
    channels_second = b.Transpose(self, perm=[1, 2, 0])
    result = convolve(b, channels_second, b.Transpose(weight, perm=[2, 1, 0]), bias, 1, pad, 1, 1)
    return b.Transpose(result, perm=[2, 0, 1])

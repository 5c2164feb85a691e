"""Maximum and average over windows, of fixed and of adaptive size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.ops.numbers import apply_to_numbers
from transload.convert.torch.script.registry import handler
from transload.convert.torch.script.values import Number
from transload.serialize.errors import UnsupportedError

INT64, FLOAT, DOUBLE = ir.DataType.INT64, ir.DataType.FLOAT, ir.DataType.DOUBLE

POOLED = frozenset({FLOAT, DOUBLE, ir.DataType.FLOAT16, ir.DataType.INT8, ir.DataType.UINT8})
"""What ONNX Runtime's MaxPool takes."""


def per_axis(value: list[int] | int, axes: int) -> list[int]:
    """One number for each spatial axis."""
    items = [value] if isinstance(value, int) else list(value)
    return items * axes if len(items) == 1 else items


def _round_up(b: Builder, size: Int, kernel: int, stride: int, padding: int) -> Int:
    """What ceil_mode adds at the end of an axis, so that the last window is whole.

    Source: ATen/native/Pool.h, pooling_output_shape_pad_lr: the last window has to begin inside the input or the
    padding before it.
    """

    def number(base: str, *args: Any) -> Any:
        return apply_to_numbers(b, base, *args)

    reach = number("add", size, 2 * padding - kernel)
    windows = number("add", number("floordiv", number("add", reach, stride - 1), stride), 1)
    begins_after = number("ge", number("mul", number("add", windows, -1), stride), number("add", size, padding))
    windows = number("sub", windows, number("Int", begins_after))
    rest = number("sub", number("mul", number("add", windows, -1), stride), reach)
    result: Int = number("max", rest, 0)
    return result


def _pad(b: Builder, value: ir.Value, before: list[int], after: list[Int], fill: Any) -> ir.Value:
    assert value.dtype is not None
    lead = [0] * (b.rank(value) - len(before))
    return b.Pad(value, b.int_vector([*lead, *before, *lead, *after]), b.constant(fill, value.dtype))


def _batched(b: Builder, value: ir.Value, axes: int) -> tuple[ir.Value, bool]:
    """The tensor with an axis for the batch, and whether that had to be added."""
    return (b.unsqueeze(value, 0), True) if b.rank(value) == axes + 1 else (value, False)


def _ends(
    b: Builder, value: ir.Value, kernel: list[int], stride: list[int], padding: list[int], ceil_mode: bool
) -> list[Int]:
    """What has to be added at the end of each spatial axis for ceil_mode."""
    if not ceil_mode:
        return [0] * len(kernel)
    first = b.rank(value) - len(kernel)
    return [
        _round_up(b, b.size(value, first + axis), *numbers)
        for axis, numbers in enumerate(zip(kernel, stride, padding, strict=True))
    ]


def max_pool(
    b: Builder,
    value: ir.Value,
    axes: int,
    kernel_size: list[int] | int,
    stride: list[int] | int,
    padding: list[int] | int,
    dilation: list[int] | int,
    ceil_mode: bool,
    with_indices: bool,
) -> tuple[ir.Value, ir.Value | None]:
    """The maxima, and where in its plane each was found."""
    kernel, pads, dilations = (per_axis(each, axes) for each in (kernel_size, padding, dilation))
    strides = per_axis(stride, axes) if stride else kernel
    whole, added = _batched(b, value, axes)
    assert value.dtype is not None
    if value.dtype not in POOLED:
        whole = b.cast(whole, DOUBLE)
    reach = [dilate * (size - 1) + 1 for dilate, size in zip(dilations, kernel, strict=True)]
    ends = _ends(b, whole, reach, strides, pads, ceil_mode)
    sizes = b.sizes(whole)[2:]
    # ONNX Runtime takes only padding that is smaller than the kernel.
    if any(isinstance(end, Number) or pad + end >= size for end, pad, size in zip(ends, pads, kernel, strict=True)):
        if with_indices:
            raise UnsupportedError("ceil_mode with indices, where more is padded than a kernel covers.")
        whole = _pad(b, whole, pads, [b.add_int(pad, end) for pad, end in zip(pads, ends, strict=True)], -math.inf)
        attribute = [0] * (2 * axes)
    else:
        attribute = [*pads, *(pad + int(end) for pad, end in zip(pads, ends, strict=True))]  # type: ignore[arg-type]
    outputs = b.MaxPool(
        whole,
        kernel_shape=kernel,
        strides=strides,
        pads=attribute,
        dilations=dilations,
        _outputs=2 if with_indices else 1,
    )
    result, indices = b.cast(outputs[0], value.dtype), None
    if with_indices:
        # ONNX counts through the whole tensor, torch through the plane.
        plane: Int = 1
        for size in sizes:
            plane = b.mul_int(plane, size)
        indices = b.Mod(outputs[1], b.scalar(plane, INT64))
        indices = b.squeeze(indices, 0) if added else indices
    return b.squeeze(result, 0) if added else result, indices


def _register_max_pool(axes: int) -> None:
    @handler(f"aten::max_pool{axes}d")
    def plain(
        b: Builder,
        self: ir.Value,
        kernel_size: list[int],
        stride: list[int] | None = None,
        padding: list[int] | int = 0,
        dilation: list[int] | int = 1,
        ceil_mode: bool = False,
    ) -> ir.Value:
        return max_pool(b, self, axes, kernel_size, stride or [], padding, dilation, ceil_mode, False)[0]

    @handler(f"aten::max_pool{axes}d_with_indices")
    def with_indices(
        b: Builder,
        self: ir.Value,
        kernel_size: list[int],
        stride: list[int] | None = None,
        padding: list[int] | int = 0,
        dilation: list[int] | int = 1,
        ceil_mode: bool = False,
    ) -> tuple[ir.Value, ir.Value | None]:
        return max_pool(b, self, axes, kernel_size, stride or [], padding, dilation, ceil_mode, True)

    @handler(f"aten::avg_pool{axes}d")
    def average(
        b: Builder,
        self: ir.Value,
        kernel_size: list[int],
        stride: list[int] | None = None,
        padding: list[int] | int = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> ir.Value:
        return average_pool(
            b, self, axes, kernel_size, stride or [], padding, ceil_mode, count_include_pad, divisor_override
        )

    @handler(f"aten::adaptive_avg_pool{axes}d", f"aten::_adaptive_avg_pool{axes}d")
    def adaptive_average(b: Builder, self: ir.Value, output_size: list[Int]) -> ir.Value:
        return adaptive_average_pool(b, self, output_size)

    @handler(f"aten::adaptive_max_pool{axes}d")
    def adaptive_max(b: Builder, self: ir.Value, output_size: list[int]) -> tuple[ir.Value, ir.Value]:
        return adaptive_max_pool(b, self, output_size)


def average_pool(
    b: Builder,
    value: ir.Value,
    axes: int,
    kernel_size: list[int],
    stride: list[int],
    padding: list[int] | int,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> ir.Value:
    """Averages over windows, divided by what torch divides by."""
    kernel, pads = per_axis(kernel_size, axes), per_axis(padding, axes)
    strides = per_axis(stride, axes) if stride else kernel
    assert value.dtype is not None
    if value.dtype.is_integer():
        # Sums and quotients of whole numbers are exact in double precision, up to 2**53; torch rounds towards zero.
        wide = average_pool(
            b, b.cast(value, FLOAT), axes, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        )
        return b.cast(wide, value.dtype)
    whole, added = _batched(b, value, axes)
    ends = _ends(b, whole, kernel, strides, pads, ceil_mode)
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides}
    scale = math.prod(kernel) / divisor_override if divisor_override else None
    if all(isinstance(end, int) and end == 0 for end in ends):
        included = count_include_pad or divisor_override is not None
        result = b.AveragePool(whole, **attributes, pads=[*pads, *pads], count_include_pad=int(included))
    else:
        # Padding that ceil_mode adds does not count, whatever count_include_pad says.
        tails = [b.add_int(pad, end) for pad, end in zip(pads, ends, strict=True)]
        result = b.AveragePool(_pad(b, whole, pads, tails, 0), **attributes)
        if scale is None:
            ones = b.expand(b.constant(1, value.dtype), [1, 1, *b.sizes(whole)[2:]])
            if count_include_pad:
                ones = _pad(b, _pad(b, ones, pads, list(pads), 1), [0] * axes, ends, 0)
            else:
                ones = _pad(b, ones, pads, tails, 0)
            result = b.Div(result, b.AveragePool(ones, **attributes))
    if scale is not None:
        result = b.Mul(result, scale)
    return b.squeeze(result, 0) if added else result


def _windows(b: Builder, size: Int, count: Int) -> tuple[ir.Value, ir.Value]:
    """First and end of each adaptive window: floor(i * size / count), ceil((i + 1) * size / count)."""
    index = b.scalar_range(count)
    length, total = b.scalar(size, INT64), b.scalar(count, INT64)
    start = b.Div(b.Mul(index, length), total)
    end = b.Div(b.Add(b.Mul(b.Add(index, 1), length), b.Sub(total, 1)), total)
    return start, end


def adaptive_average_pool(b: Builder, value: ir.Value, output_size: list[Int]) -> ir.Value:
    """Averages over as many windows as asked for; these overlap where the sizes do not divide."""
    axes = len(output_size)
    first = b.rank(value) - axes
    if all(size == 1 for size in output_size):
        return b.ReduceMean(value, list(range(first, first + axes)), keepdims=1)
    sizes = b.sizes(value)[first:]
    if first == 2 and all(
        isinstance(size, int) and isinstance(count, int) and count and size % count == 0
        for size, count in zip(sizes, output_size, strict=True)
    ):
        kernel = [size // count for size, count in zip(sizes, output_size, strict=True)]  # type: ignore[operator]
        return b.AveragePool(value, kernel_shape=kernel, strides=kernel)
    assert value.dtype is not None
    result = value
    for axis, (size, count) in enumerate(zip(sizes, output_size, strict=True)):
        start, end = _windows(b, size, count)
        last = b.rank(value) - 1
        # The axis is multiplied where it stands last or last but one: ONNX Runtime 1.31 fails on the product of a
        # transposed tensor of higher rank with a matrix.
        lanes = [0, 1] if first + axis == last else [1, 0]
        start, end, position = (
            b.unsqueeze(each, lane)
            for each, lane in ((start, lanes[0]), (end, lanes[0]), (b.scalar_range(size), lanes[1]))
        )
        inside = b.And(b.GreaterOrEqual(position, start), b.Less(position, end))
        share = b.Div(b.cast(inside, value.dtype), b.cast(b.Sub(end, start), value.dtype))
        if first + axis == last:
            result = b.MatMul(result, share)
        else:
            moved = b.transpose(result, first + axis, last - 1)
            result = b.transpose(b.MatMul(share, moved), first + axis, last - 1)
    return result


def adaptive_max_pool(b: Builder, value: ir.Value, output_size: list[int]) -> tuple[ir.Value, ir.Value]:
    """Maxima over adaptive windows, and where in its plane each was found."""
    axes = len(output_size)
    first = b.rank(value) - axes
    sizes = [size for size in b.sizes(value)[first:] if isinstance(size, int)]
    if len(sizes) < axes:
        raise UnsupportedError("Adaptive maxima over a size that depends on the inputs.")
    cells = np.meshgrid(*[np.arange(count) for count in output_size], indexing="ij")
    lead = b.sizes(value)[:first]
    plane = b.reshape(value, [*lead, math.prod(sizes)])
    maxima, places = [], []
    for cell in zip(*(axis.ravel() for axis in cells), strict=True):
        ranges = [
            np.arange(int(i) * size // count, -(-(int(i) + 1) * size // count))
            for i, size, count in zip(cell, sizes, output_size, strict=True)
        ]
        members = np.ravel_multi_index(tuple(np.meshgrid(*ranges, indexing="ij")), sizes).ravel()
        window = b.Gather(plane, b.constant(members.tolist(), INT64), axis=first)
        maxima.append(b.ReduceMax(window, [first], keepdims=1))
        best = b.ArgMax(window, axis=first, keepdims=1)
        places.append(b.Gather(b.constant(members.tolist(), INT64), best, axis=0))
    shape: list[Int] = [*lead, *output_size]
    joined = [each[0] if len(each) == 1 else b.Concat(*each, axis=first) for each in (maxima, places)]
    return b.reshape(joined[0], shape), b.reshape(joined[1], shape)


for _axes in (1, 2, 3):
    _register_max_pool(_axes)

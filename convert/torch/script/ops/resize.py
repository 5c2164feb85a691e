"""Interpolation to other sizes, by ONNX's Resize where it computes what torch computes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.registry import handler
from transload.convert.torch.script.values import Number
from transload.serialize.errors import UnsupportedError

FLOAT, DOUBLE, INT64 = ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT64


def _resize(
    b: Builder, value: ir.Value, output_size: list[Int] | None, scales: list[float | None] | None, **attributes: Any
) -> ir.Value:
    """Resize the axes behind batch and channels, by factors where torch computes with these, else to sizes."""
    axes = b.rank(value) - 2
    sizes = b.sizes(value)
    if scales and all(isinstance(scale, int | float) for scale in scales):
        factors = [1.0, 1.0, *(float(scale) for scale in scales)]  # type: ignore[arg-type]
        result = b.Resize(value, None, b.constant(factors, FLOAT), **attributes)
        grown = [
            int(size * factor) if isinstance(size, int) else -1 for size, factor in zip(sizes, factors, strict=True)
        ]
        return b.with_sizes(result, [*sizes[:2], *grown[2:]])
    assert output_size is not None and len(output_size) == axes
    whole = [*sizes[:2], *output_size]
    return b.with_sizes(b.Resize(value, None, None, b.int_vector(whole), **attributes), whole)


def _is_plain(value: ir.Value, output_size: list[Int] | None, scales: list[Any] | None) -> bool:
    """Whether Resize has a kernel for it, and its factor or sizes are all of one kind."""
    if value.dtype != FLOAT or any(isinstance(scale, Number) for scale in scales or ()):
        return False
    return output_size is not None or (bool(scales) and all(scale is not None for scale in scales or ()))


def _register(name: str, mode: str) -> None:
    attributes: dict[str, Any] = {"mode": mode}
    if mode == "cubic":
        attributes["cubic_coeff_a"] = -0.75

    def resize(
        b: Builder, value: ir.Value, output_size: list[Int] | None, align_corners: bool, scales: list[Any] | None
    ) -> Any:
        assert value.dtype is not None
        if value.dtype.is_integer():
            raise UnsupportedError("Interpolation of integers, which torch computes in fixed point.")
        if not _is_plain(value, output_size, scales):
            return NotImplemented
        corners = "align_corners" if align_corners else "half_pixel"
        return _resize(b, value, output_size, scales, coordinate_transformation_mode=corners, **attributes)

    @handler(f"aten::{name}.vec")
    def by_vector(
        b: Builder,
        input: ir.Value,
        output_size: list[Int] | None,
        align_corners: bool,
        scale_factors: list[Any] | None,
    ) -> Any:
        return resize(b, input, output_size, align_corners, scale_factors)

    @handler(f"aten::{name}")
    def by_size(
        b: Builder,
        self: ir.Value,
        output_size: list[Int],
        align_corners: bool,
        scales: float | None = None,
        scales_d: float | None = None,
        scales_h: float | None = None,
        scales_w: float | None = None,
    ) -> Any:
        given = [scale for scale in (scales, scales_d, scales_h, scales_w) if scale is not None]
        return resize(b, self, output_size, align_corners, given if len(given) == len(output_size) else None)


for _name in ("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"):
    _register(_name, "linear")
_register("upsample_bicubic2d", "cubic")


# Nearest: by positions, which torch computes in single precision


def _grown(b: Builder, size: Int, scale: Any) -> Int:
    """floor(size * scale), in double precision as torch computes it."""
    if isinstance(size, int):
        return math.floor(size * scale)
    wide = b.Floor(b.Mul(b.cast(size.value, DOUBLE), b.constant(scale, DOUBLE)))
    return Number(b.cast(wide, INT64), int)


def _nearest(
    b: Builder, value: ir.Value, output_size: list[Int] | None, scales: list[Any] | None, exact: bool
) -> ir.Value:
    """Source: ATen/native/UpSample.h, nearest_neighbor_compute_source_index."""
    if any(isinstance(scale, Number) for scale in scales or ()):
        raise UnsupportedError("A scale factor depends on the data.")
    result = value
    for place, size in enumerate(b.sizes(value)[2:]):
        scale = scales[place] if scales else None
        target = output_size[place] if output_size is not None else _grown(b, size, scale)
        step: Any
        if scale is not None and scale > 0:
            step = b.constant(np.float32(1.0 / scale))
        else:
            step = b.Div(*(b.scalar(each, FLOAT) for each in (size, target)))
        at = b.cast(b.scalar_range(target), FLOAT)
        at = b.Mul(b.Add(at, 0.5) if exact else at, step)
        last = b.Sub(b.scalar(size, INT64), 1)
        indices = b.Min(b.cast(b.Floor(at), INT64), last)
        result = b.Gather(result, indices, axis=2 + place)
    return result


def _register_nearest(name: str, axes: int, exact: bool) -> None:
    @handler(f"aten::{name}{axes}d.vec")
    def by_vector(b: Builder, input: ir.Value, output_size: list[Int] | None, scale_factors: list[Any] | None) -> Any:
        whole = scale_factors and all(type(scale) is float and scale == int(scale) for scale in scale_factors)
        if not whole or input.dtype != FLOAT or exact:
            return _nearest(b, input, output_size, scale_factors, exact)
        # At whole factors, ONNX rounds positions as torch does.
        asymmetric = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return _resize(b, input, None, scale_factors, mode="nearest", **asymmetric)

    @handler(f"aten::{name}{axes}d")
    def by_size(
        b: Builder,
        self: ir.Value,
        output_size: list[Int],
        scales: float | None = None,
        scales_d: float | None = None,
        scales_h: float | None = None,
        scales_w: float | None = None,
    ) -> Any:
        given = [scales] if axes == 1 else [scales_d, scales_h, scales_w][3 - axes :]
        return _nearest(b, self, output_size, given, exact)


for _axes in (1, 2, 3):
    _register_nearest("upsample_nearest", _axes, exact=False)
    _register_nearest("_upsample_nearest_exact", _axes, exact=True)


# Antialiased: one weighted sum for each axis


def _triangle(b: Builder, x: ir.Value) -> ir.Value:
    return b.Max(b.Sub(b.constant(1.0, DOUBLE), b.Abs(x)), b.constant(0.0, DOUBLE))


def _cubic(b: Builder, x: ir.Value) -> ir.Value:
    """Keys' cubic with a = -0.5, as in PIL: 1.5x³ - 2.5x² + 1 up to 1, -0.5x³ + 2.5x² - 4x + 2 up to 2."""
    x = b.Abs(x)
    near = b.Add(b.Mul(b.Mul(b.Sub(b.Mul(x, 1.5), 2.5), x), x), 1.0)
    far = b.Add(b.Mul(b.Sub(b.Mul(b.Sub(x, 5.0), x), -8.0), b.Mul(x, -0.5)), 2.0)
    return b.Where(b.Less(x, 1.0), near, b.Where(b.Less(x, 2.0), far, b.constant(0.0, DOUBLE)))


def _scale(b: Builder, size: Int, target: Int, factor: Any, corners: bool) -> ir.Value:
    """How many elements of the input make one of the output."""
    one = b.constant(1.0, DOUBLE)
    sizes = b.scalar(size, DOUBLE), b.scalar(target, DOUBLE)
    if corners:
        # One element of the output is the first of the input.
        last = b.Sub(sizes[1], one)
        step = b.Div(b.Sub(sizes[0], one), b.Max(last, one))
        return b.Where(b.Greater(last, 0.0), step, b.constant(0.0, DOUBLE))
    return b.Div(one, b.scalar(factor, DOUBLE)) if factor else b.Div(*sizes)


def _weights(b: Builder, size: Int, target: Int, scale: ir.Value, support: float, kernel: Any) -> ir.Value:
    """The share of every input in every output, [target, size].

    Source: ATen/native/cpu/UpSampleKernel.cpp, HelperInterpBase::_compute_indices_min_size_weights_aa.
    """
    stretch = b.Max(scale, b.constant(1.0, DOUBLE))
    reach = b.Mul(stretch, support)
    center = b.Mul(b.Add(b.cast(b.unsqueeze(b.scalar_range(target), 1), DOUBLE), 0.5), scale)
    at = b.cast(b.unsqueeze(b.scalar_range(size), 0), DOUBLE)
    # Truncated as C++ does; what lies before the first element is not there anyway.
    first, end = (b.Floor(b.Add(edge, 0.5)) for edge in (b.Sub(center, reach), b.Add(center, reach)))
    inside = b.And(b.GreaterOrEqual(at, first), b.Less(at, end))
    share = kernel(b, b.Div(b.Add(b.Sub(at, center), 0.5), stretch))
    share = b.Where(inside, share, b.constant(0.0, DOUBLE))
    total = b.ReduceSum(share, [1], keepdims=1)
    return b.Div(share, b.Where(b.Equal(total, 0.0), b.constant(1.0, DOUBLE), total))


def _register_antialiased(name: str, support: float, kernel: Any) -> None:
    def resize(
        b: Builder, value: ir.Value, output_size: list[Int] | None, corners: bool, scales: list[Any] | None
    ) -> ir.Value:
        assert value.dtype is not None
        if value.dtype.is_integer():
            raise UnsupportedError("Antialiased interpolation of integers, which torch computes in fixed point.")
        batch, channels, height, width = b.sizes(value)
        targets = output_size or [
            _grown(b, size, scale) for size, scale in zip((height, width), scales or (), strict=True)
        ]
        rows, columns = (
            _weights(b, size, target, _scale(b, size, target, factor, corners), support, kernel)
            for size, target, factor in zip((height, width), targets, scales or (None, None), strict=True)
        )
        wide = b.MatMul(rows, b.MatMul(b.cast(value, DOUBLE), b.transpose(columns, 0, 1)))
        return b.with_sizes(b.cast(wide, value.dtype), [batch, channels, *targets])

    @handler(f"aten::{name}.vec")
    def by_vector(
        b: Builder,
        input: ir.Value,
        output_size: list[Int] | None,
        align_corners: bool,
        scale_factors: list[Any] | None,
    ) -> ir.Value:
        return resize(b, input, output_size, align_corners, scale_factors)

    @handler(f"aten::{name}")
    def by_size(
        b: Builder,
        self: ir.Value,
        output_size: list[Int],
        align_corners: bool,
        scales_h: float | None = None,
        scales_w: float | None = None,
    ) -> ir.Value:
        return resize(b, self, output_size, align_corners, [scales_h, scales_w])


_register_antialiased("_upsample_bilinear2d_aa", 1.0, _triangle)
_register_antialiased("_upsample_bicubic2d_aa", 2.0, _cubic)

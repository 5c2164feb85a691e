"""Fourier transforms, computed by ONNX's DFT in double precision.

ONNX Runtime 1.31's DFT is not usable in single precision (errors of 0.03 at length 997), and its inverse scales in
single precision always; so every transform here is a forward one of doubles.
"""

from __future__ import annotations

import math
from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.dtypes import promote
from transload.convert.torch.script.ops.numbers import apply_to_numbers
from transload.convert.torch.script.ops.shaping import pad as pad_tensor
from transload.convert.torch.script.ops.views import slice_, unfold
from transload.convert.torch.script.registry import complex_handler, handler, raw_handler
from transload.convert.torch.script.schemas import find_schema
from transload.convert.torch.script.values import Complex, Number, Tensor
from transload.serialize.errors import UnsupportedError

INT64, DOUBLE = ir.DataType.INT64, ir.DataType.DOUBLE


def _wide(b: Builder, value: ir.Value | Complex) -> Complex:
    if isinstance(value, Complex):
        return Complex(b.cast(value.real, DOUBLE), b.cast(value.imag, DOUBLE))
    real = b.cast(value, DOUBLE)
    return Complex(real, b.Mul(real, 0.0))


def _narrow(b: Builder, value: Complex, like: ir.Value) -> Complex:
    assert like.dtype is not None
    return Complex(b.cast(value.real, like.dtype), b.cast(value.imag, like.dtype))


def _real_part(value: ir.Value | Complex) -> ir.Value:
    return value.real if isinstance(value, Complex) else value


def _transform(b: Builder, value: Complex, dims: list[int], forward: bool) -> Complex:
    """The transform without normalization; backward by way of conjugates."""
    real, imag = value.real, value.imag if forward else b.Neg(value.imag)
    rank = b.rank(real)
    pair = b.Concat(b.Unsqueeze(real, [0, rank + 1]), b.Unsqueeze(imag, [0, rank + 1]), axis=rank + 1)
    for dim in dims:
        axis = b.axis(rank, dim) + 1
        sizes = b.sizes(pair)
        pair = b.DFT(pair, None, b.constant(axis)) if b.opset >= 20 else b.DFT(pair, axis=axis)
        pair = b.with_sizes(pair, sizes)
    real, imag = (b.squeeze(b.Gather(pair, b.constant(part), axis=rank + 1), 0) for part in (0, 1))
    return Complex(real, imag if forward else b.Neg(imag))


def _normalize(b: Builder, value: Complex, dims: list[int], normalization: int, sizes: list[Int]) -> Complex:
    """0 nothing, 1 by the root of the number of points, 2 by the number of points (ATen's fft_norm_mode)."""
    if normalization == 0:
        return value
    count: Int = 1
    for dim in dims:
        count = b.mul_int(count, sizes[b.axis(len(sizes), dim)])
    points = b.scalar(count, DOUBLE)
    divisor = b.Sqrt(points) if normalization == 1 else points
    return Complex(b.Div(value.real, divisor), b.Div(value.imag, divisor))


def _half(b: Builder, size: Int) -> Int:
    half: Int = apply_to_numbers(b, "add", apply_to_numbers(b, "floordiv", size, 2), 1)
    return half


@handler("aten::_fft_r2c")
def fft_r2c(b: Builder, self: ir.Value, dim: list[int], normalization: int, onesided: bool) -> Complex:
    sizes = b.sizes(self)
    result = _normalize(b, _transform(b, _wide(b, self), dim, True), dim, normalization, sizes)
    if onesided:
        last = b.axis(len(sizes), dim[-1])
        end = _half(b, sizes[last])
        result = Complex(slice_(b, result.real, last, 0, end), slice_(b, result.imag, last, 0, end))
    return _narrow(b, result, self)


@complex_handler("aten::_fft_c2c")
def fft_c2c(b: Builder, self: Complex, dim: list[int], normalization: int, forward: bool) -> Complex:
    result = _transform(b, _wide(b, self), dim, forward)
    return _narrow(b, _normalize(b, result, dim, normalization, b.sizes(self.real)), self.real)


@complex_handler("aten::_fft_c2r")
def fft_c2r(b: Builder, self: Complex, dim: list[int], normalization: int, last_dim_size: Int) -> ir.Value:
    value = _wide(b, self)
    rank = b.rank(self.real)
    last = b.axis(rank, dim[-1])
    if dim[:-1]:
        value = _transform(b, value, dim[:-1], False)
    whole = _mirrored(b, value, last, last_dim_size)
    sizes = b.sizes(self.real)
    sizes[last] = last_dim_size
    result = _transform(b, whole, [last], False)
    assert self.real.dtype is not None
    return b.cast(_normalize(b, result, dim, normalization, sizes).real, self.real.dtype)


def _mirrored(b: Builder, value: Complex, axis: int, size: Int) -> Complex:
    """All of the spectrum of a real signal, from its first half."""
    half = _half(b, size)
    parts = []
    for part, sign in ((value.real, 1), (value.imag, -1)):
        first = slice_(b, part, axis, 0, half)
        # Backwards from the last frequency that has a mirror image to the first.
        start = apply_to_numbers(b, "add", size, apply_to_numbers(b, "neg", half))
        rest = b.Slice(part, b.int_vector([start]), [0], [axis], [-1])
        parts.append(b.Concat(first, rest if sign == 1 else b.Neg(rest), axis=axis))
    rank = b.rank(value.real)
    sizes: list[Int] = [size if each == axis else -1 for each in range(rank)]
    return Complex(*(b.with_sizes(part, sizes) for part in parts))


def _sized(b: Builder, value: Any, axis: int, size: Int) -> Any:
    """The tensor cut or filled with zeros to a number of points, where its own is not known to be that."""
    if isinstance(value, Complex):
        return Complex(_sized(b, value.real, axis, size), _sized(b, value.imag, axis, size))
    if b.same_size(b.size(value, axis), size):
        return value
    value = slice_(b, value, axis, 0, size)
    rank = b.rank(value)
    # torch names the last dimension first.
    pads: list[Int] = [0, 0] * (rank - axis)
    pads[-1] = apply_to_numbers(b, "sub", size, b.size(value, axis))
    value = pad_tensor(b, value, pads)
    return b.with_sizes(value, [size if each == axis else -1 for each in range(rank)])


def _sized_along(
    interpreter: Any, tensor: Tensor, sizes: list[Int] | None, dims: list[int] | None, is_half: bool
) -> tuple[Any, list[int] | None]:
    """The content of a tensor cut or filled along some axes, and these; no axes where nothing had to be done.

    Args:
        sizes: The numbers of points; -1 leaves an axis as it is.
        dims: The axes, or None for the last ones.
        is_half: Along the last of the axes the tensor holds half of a spectrum.
    """
    b = interpreter.b
    content = interpreter.read(tensor)
    if sizes is None or b.static_shape(_real_part(content)) is not None:
        return content, None
    rank = b.rank(_real_part(content))
    axes = [b.axis(rank, dim) for dim in dims or range(-len(sizes), 0)]
    for size, axis in zip(sizes, axes, strict=True):
        if not (isinstance(size, int) and size < 1):
            content = _sized(b, content, axis, _half(b, size) if is_half and axis == axes[-1] else size)
    return content, axes


def _register_over_one(name: str) -> None:
    """A transform along one axis: torch's own implementation asks whether the tensor has as many points as named."""
    schema = find_schema(name)

    @raw_handler(name)
    def transform(interpreter: Any, self: Tensor, n: Any = None, dim: int = -1, norm: str | None = None) -> Any:
        content, axes = _sized_along(interpreter, self, None if n is None else [n], [dim], is_half=False)
        arguments = {"self": content, "n": n if axes is None else None, "dim": dim, "norm": norm}
        return interpreter.wrap(interpreter.compute(schema, arguments))


def _register_over_several(name: str, is_half: bool) -> None:
    """As `_register_over_one`, along several axes. Of half a spectrum torch has to be told of how many points it is."""
    schema = find_schema(name)

    @raw_handler(name)
    def transform(interpreter: Any, self: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
        sizes, dims = interpreter.contents(s), interpreter.contents(dim)
        content, axes = _sized_along(interpreter, self, sizes, dims, is_half)
        if axes is not None and not is_half:
            sizes, dims = None, axes
        return interpreter.wrap(interpreter.compute(schema, {"self": content, "s": sizes, "dim": dims, "norm": norm}))


for _kind in ("fft", "ifft", "rfft", "ihfft"):
    _register_over_one(f"aten::fft_{_kind}")
for _suffix in ("2", "n"):
    for _kind in ("fft", "ifft", "rfft", "ihfft", "irfft", "hfft"):
        _register_over_several(f"aten::fft_{_kind}{_suffix}", is_half=_kind in ("irfft", "hfft"))


def _from_half(
    b: Builder, given: ir.Value | Complex, n: Int | None, dim: int, norm: str | None, forward: bool
) -> ir.Value:
    """A real signal of n points from the first half of its spectrum, or the spectrum of half a symmetric signal."""
    value = given if isinstance(given, Complex) else b.complex(b.cast(given, promote(given, 1.0)))
    axis = b.axis(b.rank(value.real), dim)
    if n is None:
        n = b.mul_int(2, b.add_int(b.size(value.real, axis), -1))
    sized: Complex = _sized(b, value, axis, _half(b, n))
    if forward:
        sized = Complex(sized.real, b.Neg(sized.imag))
    # ATen's norm_from_string.
    normalization = 1 if norm == "ortho" else 2 if (norm == "forward") == forward else 0
    return fft_c2r(b, sized, [axis], normalization, n)


@handler("aten::fft_irfft")
@complex_handler("aten::fft_irfft")
def irfft(
    b: Builder, self: ir.Value | Complex, n: Int | None = None, dim: int = -1, norm: str | None = None
) -> ir.Value:
    return _from_half(b, self, n, dim, norm, forward=False)


@handler("aten::fft_hfft")
@complex_handler("aten::fft_hfft")
def hfft(
    b: Builder, self: ir.Value | Complex, n: Int | None = None, dim: int = -1, norm: str | None = None
) -> ir.Value:
    return _from_half(b, self, n, dim, norm, forward=True)


def _window(b: Builder, window: ir.Value | None, length: int, n_fft: int, dtype: ir.DataType) -> ir.Value:
    """The window as doubles, centred in n_fft points."""
    given = b.constant([1.0] * length, DOUBLE) if window is None else b.cast(window, DOUBLE)
    before = (n_fft - length) // 2
    if length == n_fft:
        return given
    return b.Pad(given, b.constant([before, n_fft - length - before]), b.constant(0.0, DOUBLE))


@handler("aten::stft")
def stft(
    b: Builder,
    self: ir.Value,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: ir.Value | None = None,
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Any:
    return stft_center(
        b,
        self,
        n_fft,
        hop_length,
        win_length,
        window,
        False,
        "reflect",
        normalized,
        onesided,
        return_complex,
        align_to_window,
    )


@handler("aten::stft.center")
def stft_center(
    b: Builder,
    self: ir.Value,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: ir.Value | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Any:
    if align_to_window:
        raise UnsupportedError("Frames aligned to the window are not translated.")
    if any(isinstance(each, Number) for each in (n_fft, hop_length, win_length)):
        raise UnsupportedError("The length of a transform, its window or its hop depends on the data.")
    hop, length = hop_length or n_fft // 4, win_length or n_fft
    signal = self if b.rank(self) == 2 else b.unsqueeze(self, 0)
    if center:
        amount: list[Int] = [n_fft // 2, n_fft // 2]
        signal = b.squeeze(pad_tensor(b, b.unsqueeze(signal, 0), amount, pad_mode), 0)
    assert self.dtype is not None
    frames = b.Mul(unfold(b, b.cast(signal, DOUBLE), 1, n_fft, hop), _window(b, window, length, n_fft, self.dtype))
    spectrum = _transform(b, Complex(frames, b.Mul(frames, 0.0)), [2], True)
    if onesided is not False:
        spectrum = Complex(*(slice_(b, part, 2, 0, n_fft // 2 + 1) for part in (spectrum.real, spectrum.imag)))
    parts = [b.transpose(part, 1, 2) for part in (spectrum.real, spectrum.imag)]
    if normalized:
        parts = [b.Div(part, math.sqrt(n_fft)) for part in parts]
    if b.rank(self) == 1:
        parts = [b.squeeze(part, 0) for part in parts]
    result = Complex(*(b.cast(part, self.dtype) for part in parts))
    if return_complex:
        return result
    return b.Concat(b.Unsqueeze(result.real, [-1]), b.Unsqueeze(result.imag, [-1]), axis=-1)


@complex_handler("aten::istft")
def istft(
    b: Builder,
    self: Complex,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: ir.Value | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: Int | None = None,
    return_complex: bool = False,
) -> ir.Value:
    if return_complex:
        raise UnsupportedError("A complex signal is made of a spectrum.")
    hop, win = hop_length or n_fft // 4, win_length or n_fft
    assert self.real.dtype is not None
    value = _wide(b, self)
    batched = b.rank(self.real) == 3
    parts = [b.transpose(p if batched else b.unsqueeze(p, 0), 1, 2) for p in (value.real, value.imag)]
    spectrum = Complex(*parts)
    if onesided is not False:
        spectrum = _mirrored(b, spectrum, 2, n_fft)
    scale = math.sqrt(n_fft) if normalized else 1.0
    frames = b.Mul(_transform(b, spectrum, [2], False).real, scale / n_fft)
    shape = _window(b, window, win, n_fft, self.real.dtype)
    batch, count = b.size(frames, 0), b.size(frames, 1)
    starts = b.Mul(b.scalar_range(count), hop)
    places = b.reshape(b.Add(b.unsqueeze(starts, 1), b.scalar_range(n_fft)), [1, -1])
    total = b.add_int(b.mul_int(b.add_int(count, -1), hop), n_fft)
    points = b.mul_int(count, n_fft)
    summed = _overlap(b, b.reshape(b.Mul(frames, shape), [batch, points]), places, batch, total, points)
    weights = b.expand(b.Mul(shape, shape), [count, n_fft])
    envelope = _overlap(b, b.reshape(weights, [1, points]), places, 1, total, points)
    start = n_fft // 2 if center else 0
    end: Int = b.add_int(total, -start) if length is None else b.add_int(length, start)
    signal, envelope = (slice_(b, each, 1, start, end) for each in (summed, envelope))
    signal = b.Div(signal, envelope)
    if length is not None:
        missing = b.Max(b.Sub(b.scalar(length, INT64), b.scalar(b.size(signal, 1), INT64)), b.constant(0))
        pads = b.Concat(b.constant([0, 0, 0]), b.Reshape(missing, [1]), axis=0)
        signal = b.with_sizes(b.Pad(signal, pads, b.constant(0.0, DOUBLE)), [batch, length])
    signal = b.cast(signal, self.real.dtype)
    return signal if batched else b.squeeze(signal, 0)


def _overlap(b: Builder, frames: ir.Value, places: ir.Value, batch: Int, total: Int, points: Int) -> ir.Value:
    """Frames added up where they lie."""
    zeros = b.expand(b.constant(0.0, DOUBLE), [batch, total])
    return b.ScatterElements(zeros, b.expand(places, [batch, points]), frames, axis=1, reduction="add")

"""Fourier transforms as ONNX's DFT in double precision, on pairs of real numbers along a last axis.

Complex tensors are there only as what `Complex` gives to a transform and a transform to `Real` and `Imag`
(`decompositions/complex_numbers.py` sees to that). ONNX Runtime 1.31's DFT is not usable in single precision (errors of
0.03 at length 997), and its inverse scales in single precision always; so every transform is a forward one of doubles.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from transload.convert.tensorflow.operators.emitter import Emitter
from transload.convert.tensorflow.operators.registry import operator

DOUBLE = int(TensorProto.DOUBLE)


@operator("Complex")
def complex_(g: Emitter) -> str:
    """Both parts side by side; `finish` declares what is real as such."""
    parts = [g.Unsqueeze(part, np.array([-1])) for part in g.inputs]
    pair = g.Concat(*parts, axis=-1)
    shape = g.shape(g.inputs[0])
    g.graph.set_shape(g.node.output[0], [*shape, 2])
    return str(pair)


def _part(g: Emitter, index: int) -> str:
    return str(g.Gather(g.inputs[0], np.array(index), axis=-1)) if g.shape(g.inputs[0]) else ""


@operator("Real")
def real(g: Emitter) -> str:
    return _part(g, 0)


@operator("Imag")
def imag(g: Emitter) -> str:
    return _part(g, 1)


def _transform(g: Emitter, pair: str, axes: list[int]) -> str:
    """The forward transform of doubles [..., 2] along axes counted from the front, without normalization."""
    # DFT wants an axis in front of those that it transforms.
    pair = g.Unsqueeze(pair, np.array([0]))
    for axis in axes:
        pair = g.DFT(pair, axis=axis + 1)
    return str(g.Squeeze(pair, np.array([0])))


def _conjugate(g: Emitter, pair: str) -> str:
    return str(g.Mul(pair, np.array([1.0, -1.0])))


def _dimensions(g: Emitter) -> int:
    return int(digit) if (digit := g.node.type[-2]).isdigit() else 1


def _points(g: Emitter, pair: str, axes: list[int]) -> str:
    sizes = g.Gather(g.Shape(pair), np.array(axes))
    return str(g.Cast(g.ReduceProd(sizes, keepdims=0), to=DOUBLE))


def _finish_pair(g: Emitter, pair: str, narrow: int, rank: int) -> str:
    sizes = g.graph.get_shape(g.node.output[0]) or [-1] * rank
    g.graph.set_shape(g.node.output[0], [*sizes, 2])
    return str(g.Cast(pair, to=narrow))


@operator("FFT", "FFT2D", "FFT3D")
def fft(g: Emitter) -> str:
    rank = len(g.shape(g.inputs[0])) - 1
    axes = list(range(rank - _dimensions(g), rank))
    narrow = g.dtype(g.inputs[0])
    return _finish_pair(g, _transform(g, g.Cast(g.inputs[0], to=DOUBLE), axes), narrow, rank)


@operator("IFFT", "IFFT2D", "IFFT3D")
def ifft(g: Emitter) -> str:
    rank = len(g.shape(g.inputs[0])) - 1
    axes = list(range(rank - _dimensions(g), rank))
    narrow = g.dtype(g.inputs[0])
    pair = _conjugate(g, g.Cast(g.inputs[0], to=DOUBLE))
    result = g.Div(_conjugate(g, _transform(g, pair, axes)), _points(g, pair, axes))
    return _finish_pair(g, result, narrow, rank)


def _fitted(g: Emitter, value: str, axes: list[int], lengths: str) -> str:
    """Cut, or filled up with zeros, to the lengths along the axes."""
    numbers = np.array(axes)
    lengths = g.Cast(lengths, to=int(TensorProto.INT64))
    missing = g.Max(g.Sub(lengths, g.Gather(g.Shape(value), numbers)), np.array(0))
    pads = g.Concat(g.Mul(missing, np.array(0)), missing, axis=0)
    padded = g.Pad(value, pads, np.array(0.0), numbers)
    return str(g.Slice(padded, np.zeros(len(axes), np.int64), lengths, numbers))


@operator("RFFT", "RFFT2D", "RFFT3D")
def rfft(g: Emitter) -> str:
    value, lengths = g.inputs
    rank, count = len(g.shape(value)), _dimensions(g)
    axes = list(range(rank - count, rank))
    narrow = g.dtype(value)
    value = _fitted(g, g.Cast(value, to=DOUBLE), axes, lengths)
    pair = g.Unsqueeze(value, np.array([-1]))
    pair = _transform(g, g.Concat(pair, g.Mul(pair, np.array(0.0)), axis=-1), axes)
    half = g.Add(
        g.Div(
            g.Cast(g.Slice(lengths, np.array([count - 1]), np.array([count])), to=int(TensorProto.INT64)), np.array([2])
        ),
        np.array([1]),
    )
    pair = g.Slice(pair, np.array([0]), half, np.array([rank - 1]))
    return _finish_pair(g, pair, narrow, rank)


@operator("IRFFT", "IRFFT2D", "IRFFT3D")
def irfft(g: Emitter) -> str:
    pair, lengths = g.inputs
    rank, count = len(g.shape(pair)) - 1, _dimensions(g)
    narrow = g.dtype(pair)
    axes, last = list(range(rank - count, rank)), rank - 1
    pair = g.Cast(pair, to=DOUBLE)
    length = g.Cast(g.Slice(lengths, np.array([count - 1]), np.array([count])), to=int(TensorProto.INT64))
    half = g.Add(g.Div(length, np.array([2])), np.array([1]))
    # The last axis holds the first half of a spectrum, the others whole ones; all are conjugated, for the way back.
    heads = (
        [g.Cast(g.Slice(lengths, np.array([0]), np.array([count - 1])), to=int(TensorProto.INT64))] if count > 1 else []
    )
    pair = _fitted(g, pair, axes, g.Concat(*heads, half, axis=0) if heads else half)
    pair = _conjugate(g, pair)
    if count > 1:
        pair = _transform(g, pair, axes[:-1])
    start = g.Sub(length, half)
    mirrored = _conjugate(g, g.Slice(pair, start, np.array([0]), np.array([last]), np.array([-1])))
    whole = _transform(g, g.Concat(pair, mirrored, axis=last), [last])
    value = g.Div(g.Gather(whole, np.array(0), axis=rank), _points(g, whole, axes))
    return str(g.Cast(value, to=narrow))

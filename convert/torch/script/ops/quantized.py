"""Quantized tensors and layers, as QuantizeLinear and DequantizeLinear around the operators over floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import torch

from transload.convert.torch.script.builder import Builder
from transload.convert.torch.script.dtypes import dtype_of
from transload.convert.torch.script.literals import tensor_content
from transload.convert.torch.script.ops.convolution import convolve
from transload.convert.torch.script.ops.linear import linear
from transload.convert.torch.script.registry import OPERATORS, REFUSED, raw_handler
from transload.convert.torch.script.schemas import Schema
from transload.convert.torch.script.values import Number, Quantized, Storage, Tensor
from transload.serialize.errors import UnsupportedError

FLOAT, DOUBLE = ir.DataType.FLOAT, ir.DataType.DOUBLE

SMALLEST_SCALE = 6.1e-5
"""Source: ATen/native/quantized/cpu/QuantUtils.h, SMALL_SCALE_THRESHOLD."""

STORED = {12: ir.DataType.INT8, 13: ir.DataType.UINT8, 14: ir.DataType.INT32}
"""What torch's quantized dtypes are stored in, by TorchScript's numbers for them."""

ON_INTEGERS = frozenset({"aten::max_pool2d", "aten::max_pool1d"})
"""Operators besides views that give the same on the integers as on what they mean."""

LOWEST = {ir.DataType.INT8: -128.0, ir.DataType.UINT8: 0.0}
"""The lowest integer of the types with 8 bits."""

for _name in ("quantized_lstm", "quantized_gru"):
    for _overload in ("input", "data"):
        REFUSED[f"aten::{_name}.{_overload}"] = "ONNX has no recurrent layers that quantize what they read by its range"

OVER_STEPS = frozenset({"aten::adaptive_avg_pool2d", "aten::avg_pool2d"})
"""Operators that torch computes on the integers, and rounds."""

THROUGH_FLOATS = frozenset({"aten::mean.dim", "aten::hardtanh"})
"""Operators that torch computes on floats; their result has the scale of their argument."""


def quantize(b: Builder, value: ir.Value, scale: Any, zero_point: Any, stored: ir.DataType) -> Quantized:
    """A tensor of floats in integers with one scale."""
    scale_value, zero = b.scalar(scale, FLOAT), b.scalar(zero_point, stored)
    return Quantized(b.QuantizeLinear(value, scale_value, zero), scale_value, zero)


def _levels(b: Builder, value: ir.Value, scale: ir.Value, zero_point: ir.Value) -> ir.Value:
    """Rounded value / scale + zero_point, as floats, with ties as torch's kernels have them.

    They multiply by the inverse and add the zero point in one instruction that rounds once, and round that to an
    integer: ties go to what is even with the zero point, where QuantizeLinear rounds before it adds.

    Source: fbgemm's QuantUtilsAvx2.cc, QuantizeAvx2.
    """
    inverse = b.cast(b.Div(b.constant(1.0, FLOAT), scale), DOUBLE)
    exact = b.Add(b.Mul(b.cast(value, DOUBLE), inverse), b.cast(zero_point, DOUBLE))
    return b.Round(b.cast(exact, FLOAT))


def _quantized(b: Builder, levels: ir.Value, like: Quantized) -> Quantized:
    """Rounded levels, as floats, as integers with the scale of another tensor."""
    stored = dtype_of(like.zero_point)
    value = b.cast(b.Clip(levels, LOWEST[stored], LOWEST[stored] + 255.0), stored)
    return Quantized(value, like.scale, like.zero_point)


def dequantize(b: Builder, content: Quantized) -> ir.Value:
    """What the integers mean."""
    axis = {} if content.axis is None else {"axis": content.axis}
    return b.DequantizeLinear(content.value, content.scale, content.zero_point, **axis)


def compute_quantized(interpreter: Any, schema: Schema, arguments: dict[str, Any]) -> Any:
    """An operator of floats over a quantized tensor.

    Raises:
        UnsupportedError: it is none that keeps the scale.
    """
    from transload.convert.torch.script.ops import BY_PARTS

    b = interpreter.b
    name, content = next((key, value) for key, value in arguments.items() if isinstance(value, Quantized))
    if content.axis is not None:
        raise UnsupportedError("A tensor with a scale for each channel is used by more than its own layer.")
    if schema.name == "aten::relu":
        return Quantized(b.Max(content.value, content.zero_point), content.scale, content.zero_point)
    if schema.name in THROUGH_FLOATS:
        result = interpreter.compute(schema, {**arguments, name: dequantize(b, content)})
        return _quantized(b, _levels(b, result, content.scale, content.zero_point), content)
    if schema.name in OVER_STEPS:
        zero = b.cast(content.zero_point, FLOAT)
        result = interpreter.compute(schema, {**arguments, name: b.Sub(b.cast(content.value, FLOAT), zero)})
        return _quantized(b, b.Round(b.Add(result, zero)), content)
    if schema.name in BY_PARTS or schema.name in ON_INTEGERS:
        result = interpreter.compute(schema, {**arguments, name: content.value})
        return Quantized(result, content.scale, content.zero_point)
    raise UnsupportedError("no translation for quantized tensors")


def _content(interpreter: Any, tensor: Tensor) -> Quantized:
    content = interpreter.read(tensor)
    if not isinstance(content, Quantized):
        raise UnsupportedError("A quantized operator is applied to a tensor that is not quantized.")
    return content


def _given(interpreter: Any, value: Any) -> Any:
    return interpreter.value(value) if isinstance(value, Tensor) else value


@raw_handler("aten::quantize_per_tensor", "aten::quantize_per_tensor.tensor_qparams")
def _quantize_per_tensor(interpreter: Any, self: Tensor, scale: Any, zero_point: Any, dtype: int) -> Tensor:
    b = interpreter.b
    stored = STORED[dtype]
    step, zero = b.scalar(_given(interpreter, scale), FLOAT), b.scalar(_given(interpreter, zero_point), stored)
    if stored not in LOWEST:
        return Tensor(Storage(quantize(b, interpreter.value(self), step, zero, stored)))
    levels = _levels(b, interpreter.value(self), step, zero)
    return Tensor(Storage(_quantized(b, levels, Quantized(zero, step, zero))))


@raw_handler("aten::quantize_per_channel")
def _quantize_per_channel(
    interpreter: Any, self: Tensor, scales: Tensor, zero_points: Tensor, axis: int, dtype: int
) -> Tensor:
    b = interpreter.b
    scale = b.cast(interpreter.value(scales), FLOAT)
    zero = b.cast(interpreter.value(zero_points), STORED[dtype])
    value = b.QuantizeLinear(interpreter.value(self), scale, zero, axis=axis)
    return Tensor(Storage(Quantized(value, scale, zero, axis)))


@raw_handler("aten::dequantize.self")
def _dequantize(interpreter: Any, self: Tensor) -> Tensor:
    content = interpreter.read(self)
    return Tensor(Storage(dequantize(interpreter.b, content))) if isinstance(content, Quantized) else self


@raw_handler("aten::int_repr")
def _int_repr(interpreter: Any, self: Tensor) -> Tensor:
    return Tensor(Storage(_content(interpreter, self).value))


@raw_handler("aten::q_scale")
def _q_scale(interpreter: Any, self: Tensor) -> Any:
    return interpreter.b.number(_content(interpreter, self).scale, float)


@raw_handler("aten::q_zero_point")
def _q_zero_point(interpreter: Any, self: Tensor) -> Any:
    return interpreter.b.number(_content(interpreter, self).zero_point, int)


def _unpacked(interpreter: Any, packed: Any) -> tuple[ir.Value, ir.Value | None]:
    """Weight and bias of a packed layer, as floats; the weight is stored in integers."""
    weight, bias = packed.unpack()
    b = interpreter.b
    floats = dequantize(b, tensor_content(b, weight, "quantized.weight"))
    return floats, None if bias is None else b.weight(bias.detach().float(), "quantized.bias")


def _biased(b: Builder, value: ir.Value, bias: ir.Value | None, axes: int = 0) -> ir.Value:
    """The result of a layer with its bias, which is added apart from the layer, and as a Sum.

    None of torch's engines (x86, fbgemm, onednn) rounds the bias. ONNX Runtime rounds it to steps of input scale times
    weight scale wherever it fuses it into an integer layer, which moves 2 % of a small network's results by one step.
    """
    return value if bias is None else b.Sum(value, b.reshape(bias, [-1] + [1] * axes) if axes else bias)


def _requantized(
    interpreter: Any, value: ir.Value, scale: float, zero_point: int, relu: bool, like: Quantized
) -> Tensor:
    b = interpreter.b
    value = b.Relu(value) if relu else value
    return Tensor(Storage(quantize(b, value, scale, zero_point, dtype_of(like.value))))


def _register_linear(name: str, relu: bool) -> None:
    @raw_handler(f"quantized::{name}")
    def run(interpreter: Any, X: Tensor, W_prepack: Any, Y_scale_i: float, Y_zero_point_i: int) -> Tensor:
        b = interpreter.b
        content = _content(interpreter, X)
        weight, bias = _unpacked(interpreter, W_prepack)
        result = _biased(b, linear(b, dequantize(b, content), weight, None), bias)
        return _requantized(interpreter, result, Y_scale_i, Y_zero_point_i, relu, content)


def _register_conv(axes: int, relu: bool) -> None:
    @raw_handler(f"quantized::conv{axes}d" + ("_relu" if relu else "") + ("" if axes == 1 else ".new"))
    def run(interpreter: Any, qx: Tensor, packed_weight: Any, output_scale: float, output_zero_point: int) -> Tensor:
        b = interpreter.b
        content = _content(interpreter, qx)
        weight, bias = _unpacked(interpreter, packed_weight)
        settings = (packed_weight.stride(), packed_weight.padding(), packed_weight.dilation(), packed_weight.groups())
        if axes == 1:
            # One-dimensional layers are packed with two axes.
            weight = b.squeeze(weight, 2)
            settings = (*(each[-1:] for each in settings[:3]), settings[3])
        result = _biased(b, convolve(b, dequantize(b, content), weight, None, *settings), bias, axes)
        return _requantized(interpreter, result, output_scale, output_zero_point, relu, content)


for _relu in (False, True):
    _register_linear("linear_relu" if _relu else "linear", _relu)
    for _axes in (1, 2, 3):
        _register_conv(_axes, _relu)


def _register_pair(name: str, combine: Callable[[Builder, ir.Value, ir.Value], ir.Value], relu: bool) -> None:
    @raw_handler(f"quantized::{name}")
    def run(interpreter: Any, qa: Tensor, qb: Tensor, scale: float, zero_point: int) -> Tensor:
        b = interpreter.b
        one, two = _content(interpreter, qa), _content(interpreter, qb)
        result = combine(b, dequantize(b, one), dequantize(b, two))
        return _requantized(interpreter, result, scale, zero_point, relu, one)


for _relu in (False, True):
    _register_pair("add_relu" if _relu else "add", lambda b, one, two: b.Add(one, two), _relu)
    _register_pair("mul_relu" if _relu else "mul", lambda b, one, two: b.Mul(one, two), _relu)


@raw_handler("quantized::cat")
def _cat(interpreter: Any, qx: Any, dim: int, scale: float | None, zero_point: int | None) -> Tensor:
    b = interpreter.b
    contents = [_content(interpreter, each) for each in qx.content]
    joined = OPERATORS["aten::cat"].function(b, [dequantize(b, each) for each in contents], dim)
    first = contents[0]
    out_scale = b.number(first.scale, float) if scale is None else scale
    out_zero = b.number(first.zero_point, int) if zero_point is None else zero_point
    if isinstance(out_scale, Number):
        raise UnsupportedError("The scale of a quantized tensor depends on the data.")
    return _requantized(interpreter, joined, out_scale, out_zero, False, first)


@raw_handler("quantized::linear_dynamic")
def _linear_dynamic(interpreter: Any, X: Tensor, W_prepack: Any, reduce_range: bool = False) -> Tensor:
    """A layer that quantizes its input by the input's own range.

    Source: ATen/native/quantized/cpu/QuantUtils.h, ChooseQuantizationParams.
    """
    b = interpreter.b
    value = interpreter.value(X)
    levels = 127 if reduce_range and torch.backends.quantized.engine in ("fbgemm", "x86") else 255
    low = b.cast(b.Min(b.ReduceMin(value, keepdims=0), b.constant(0.0, FLOAT)), DOUBLE)
    high = b.cast(b.Max(b.ReduceMax(value, keepdims=0), b.constant(0.0, FLOAT)), DOUBLE)
    wide = b.Div(b.Sub(high, low), float(levels))
    wide = b.Where(b.Equal(b.cast(wide, FLOAT), 0.0), b.constant(0.1, DOUBLE), wide)
    zero = b.Clip(b.Round(b.Neg(b.Div(low, wide))), 0.0, float(levels))
    scale = b.Max(b.cast(wide, FLOAT), b.constant(SMALLEST_SCALE, FLOAT))
    # The reduced range is what the scale aims at; integers are cut off at 255 all the same.
    steps = b.Sub(b.Clip(_levels(b, value, scale, zero), 0.0, 255.0), b.cast(zero, FLOAT))
    weight, bias = _unpacked(interpreter, W_prepack)
    return Tensor(Storage(_biased(b, linear(b, b.Mul(steps, scale), weight, None), bias)))


@raw_handler("aten::fake_quantize_per_tensor_affine")
def _fake_quantize(
    interpreter: Any, self: Tensor, scale: Any, zero_point: Any, quant_min: int, quant_max: int
) -> Tensor:
    b = interpreter.b
    value = interpreter.value(self)
    step = b.scalar(_given(interpreter, scale), FLOAT)
    zero = b.scalar(_given(interpreter, zero_point), FLOAT)
    inverse = b.Div(b.constant(1.0, FLOAT), step)
    level = b.Add(b.Round(b.Mul(value, inverse)), zero)
    level = b.Clip(level, float(quant_min), float(quant_max))
    return Tensor(Storage(b.Mul(b.Sub(level, zero), step)))

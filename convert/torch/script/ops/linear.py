"""Matrix products and convolutions."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.registry import handler
from transload.serialize.errors import UnsupportedError


def _product(b: Builder, one: ir.Value, other: ir.Value) -> ir.Value:
    assert one.dtype is not None
    if one.dtype in (ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.BOOL):
        # ONNX Runtime has no MatMul for these.
        wide = ir.DataType.INT32
        return b.cast(b.MatMul(b.cast(one, wide), b.cast(other, wide)), one.dtype)
    return b.MatMul(one, other)


@handler(
    "aten::matmul",
    "aten::mm",
    "aten::bmm",
    "aten::mv",
    "aten::dot",
    "aten::linalg_matmul",
    "aten::inner_1d",
    "aten::vdot",
    "aten::__matmul__",
)
def matmul(
    b: Builder,
    self: ir.Value,
    other: ir.Value | None = None,
    mat2: ir.Value | None = None,
    vec: ir.Value | None = None,
    tensor: ir.Value | None = None,
) -> ir.Value:
    right = next(each for each in (other, mat2, vec, tensor) if each is not None)
    return _product(b, self, right)


@handler("aten::linear")
def linear(b: Builder, input: ir.Value, weight: ir.Value, bias: ir.Value | None = None) -> ir.Value:
    if b.rank(weight) == 1:
        result = b.MatMul(input, weight)
    elif b.rank(input) == 2:
        # Gemm takes the weight as it is stored.
        return b.Gemm(input, weight, bias, transB=1)
    else:
        result = b.MatMul(input, b.Transpose(weight, perm=[1, 0]))
    return result if bias is None else b.Add(result, bias)


def _scaled(b: Builder, value: ir.Value, factor: Any) -> ir.Value:
    assert value.dtype is not None
    return value if isinstance(factor, int | float) and factor == 1 else b.Mul(value, b.scalar(factor, value.dtype))


def _blend(b: Builder, self: ir.Value, product: ir.Value, beta: Any, alpha: Any) -> ir.Value:
    """beta * self + alpha * product, where beta = 0 means that self is not read, NaN or not."""
    scaled = _scaled(b, product, alpha)
    if isinstance(beta, int | float) and beta == 0:
        return scaled
    assert product.dtype is not None
    return b.Add(_scaled(b, b.cast(self, product.dtype), beta), scaled)


@handler("aten::addmm")
def addmm(b: Builder, self: ir.Value, mat1: ir.Value, mat2: ir.Value, beta: Any = 1, alpha: Any = 1) -> ir.Value:
    plain = beta == 1 and alpha == 1 and self.dtype is not None and self.dtype.is_floating_point()
    if plain and self.dtype == mat1.dtype:
        return b.Gemm(mat1, mat2, self)
    return _blend(b, self, _product(b, mat1, mat2), beta, alpha)


@handler("aten::baddbmm")
def baddbmm(b: Builder, self: ir.Value, batch1: ir.Value, batch2: ir.Value, beta: Any = 1, alpha: Any = 1) -> ir.Value:
    return _blend(b, self, _product(b, batch1, batch2), beta, alpha)


@handler("aten::addbmm")
def addbmm(b: Builder, self: ir.Value, batch1: ir.Value, batch2: ir.Value, beta: Any = 1, alpha: Any = 1) -> ir.Value:
    return _blend(b, self, b.ReduceSum(_product(b, batch1, batch2), [0], keepdims=0), beta, alpha)


@handler("aten::addmv")
def addmv(b: Builder, self: ir.Value, mat: ir.Value, vec: ir.Value, beta: Any = 1, alpha: Any = 1) -> ir.Value:
    return _blend(b, self, _product(b, mat, vec), beta, alpha)


@handler("aten::addr")
def addr(b: Builder, self: ir.Value, vec1: ir.Value, vec2: ir.Value, beta: Any = 1, alpha: Any = 1) -> ir.Value:
    return _blend(b, self, b.Mul(b.unsqueeze(vec1, 1), b.unsqueeze(vec2, 0)), beta, alpha)


@handler("aten::outer", "aten::ger")
def outer(b: Builder, self: ir.Value, vec2: ir.Value) -> ir.Value:
    one, two = b.promoted(self, vec2)
    return b.Mul(b.unsqueeze(one, 1), b.unsqueeze(two, 0))


@handler("aten::einsum")
def einsum(b: Builder, equation: str, tensors: list[ir.Value], path: Any = None) -> ir.Value:
    return b.Einsum(*tensors, equation=equation.replace(" ", ""))


# Convolution


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
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    transposed: bool = False,
    output_padding: list[int] | int = 0,
) -> ir.Value:
    """A convolution over a batch, or over one item of a batch without its axis."""
    axes = b.rank(weight) - 2
    if b.rank(input) == axes + 1:
        whole = convolve(
            b, b.unsqueeze(input, 0), weight, bias, stride, padding, dilation, groups, transposed, output_padding
        )
        return b.squeeze(whole, 0)
    pads = _per_axis(padding, axes)
    attributes: dict[str, Any] = {
        "strides": _per_axis(stride, axes),
        "pads": [*pads, *pads],
        "dilations": _per_axis(dilation, axes),
        "group": groups,
    }
    if (kernel := b.static_shape(weight)) is not None:
        attributes["kernel_shape"] = list(kernel[2:])
    if transposed:
        if any(extra := _per_axis(output_padding, axes)):
            attributes["output_padding"] = extra
        return b.ConvTranspose(input, weight, bias, **attributes)
    return b.Conv(input, weight, bias, **attributes)


@handler("aten::conv1d", "aten::conv2d", "aten::conv3d")
def conv(
    b: Builder,
    input: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None = None,
    stride: list[int] | int = 1,
    padding: list[int] | int = 0,
    dilation: list[int] | int = 1,
    groups: int = 1,
) -> ir.Value:
    return convolve(b, input, weight, bias, stride, padding, dilation, groups)  # type: ignore[arg-type]


@handler("aten::conv1d.padding", "aten::conv2d.padding", "aten::conv3d.padding")
def conv_padding(
    b: Builder,
    input: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None = None,
    stride: list[int] | int = 1,
    padding: str = "valid",
    dilation: list[int] | int = 1,
    groups: int = 1,
) -> ir.Value:
    axes = b.rank(weight) - 2
    if padding == "valid":
        return convolve(b, input, weight, bias, stride, [0], dilation, groups)  # type: ignore[arg-type]
    kernel = b.static_shape(weight)
    if kernel is None:
        raise UnsupportedError("The size of the kernel depends on the inputs.")
    totals = [d * (k - 1) for d, k in zip(_per_axis(dilation, axes), kernel[2:], strict=True)]
    before, after = [total // 2 for total in totals], [total - total // 2 for total in totals]
    if b.rank(input) == axes + 1:
        whole = conv_padding(b, b.unsqueeze(input, 0), weight, bias, stride, padding, dilation, groups)
        return b.squeeze(whole, 0)
    return b.Conv(
        input,
        weight,
        bias,
        strides=_per_axis(stride, axes),
        pads=[*before, *after],
        dilations=_per_axis(dilation, axes),
        group=groups,
    )


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
    return convolve(b, input, weight, bias, stride, padding, dilation, groups, True, output_padding)  # type: ignore[arg-type]


@handler("aten::_convolution", "aten::_convolution.deprecated", "aten::convolution")
def convolution(
    b: Builder,
    input: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None,
    stride: list[int],
    padding: list[Int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
    benchmark: bool = False,
    deterministic: bool = False,
    cudnn_enabled: bool = True,
    allow_tf32: bool = True,
) -> ir.Value:
    return convolve(b, input, weight, bias, stride, padding, dilation, groups, transposed, output_padding)  # type: ignore[arg-type]

"""Normalization, softmax, attention."""

from __future__ import annotations

import math
from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.ops.elementwise import gelu
from transload.convert.torch.script.ops.linear import linear
from transload.convert.torch.script.registry import handler
from transload.serialize.errors import UnsupportedError


@handler("aten::softmax.int", "aten::_softmax", "aten::special_softmax")
def softmax(
    b: Builder, self: ir.Value, dim: int, dtype: ir.DataType | None = None, half_to_float: bool = False
) -> ir.Value:
    value = b.cast(self, dtype) if dtype is not None else self
    if b.rank(value) == 0:
        return b.reshape(b.Softmax(b.reshape(value, [1]), axis=0), [])
    return b.Softmax(value, axis=b.axis(value, dim))


@handler("aten::log_softmax.int", "aten::_log_softmax", "aten::special_log_softmax")
def log_softmax(
    b: Builder, self: ir.Value, dim: int, dtype: ir.DataType | None = None, half_to_float: bool = False
) -> ir.Value:
    value = b.cast(self, dtype) if dtype is not None else self
    if b.rank(value) == 0:
        return b.reshape(b.LogSoftmax(b.reshape(value, [1]), axis=0), [])
    return b.LogSoftmax(value, axis=b.axis(value, dim))


@handler("aten::layer_norm")
def layer_norm(
    b: Builder,
    input: ir.Value,
    normalized_shape: list[Int],
    weight: ir.Value | None = None,
    bias: ir.Value | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> ir.Value:
    if weight is None:
        sizes = [size for size in normalized_shape if isinstance(size, int)]
        if len(sizes) != len(normalized_shape):
            raise UnsupportedError("The normalized shape depends on the inputs.")
        assert input.dtype is not None
        weight = b.expand(b.constant(1, input.dtype), sizes)
    return b.LayerNormalization(input, weight, bias, axis=-len(normalized_shape), epsilon=eps)


@handler("aten::batch_norm")
def batch_norm(
    b: Builder,
    input: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    running_mean: ir.Value | None,
    running_var: ir.Value | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> ir.Value:
    if training or running_mean is None or running_var is None:
        return _by_batch_statistics(b, input, weight, bias, eps)
    assert input.dtype is not None
    channels = b.size(running_mean, 0)
    scale = weight if weight is not None else b.expand(b.constant(1, input.dtype), [channels])
    shift = bias if bias is not None else b.expand(b.constant(0, input.dtype), [channels])
    return b.BatchNormalization(input, scale, shift, running_mean, running_var, epsilon=eps)


def _by_batch_statistics(
    b: Builder, input: ir.Value, weight: ir.Value | None, bias: ir.Value | None, eps: float
) -> ir.Value:
    rank = b.rank(input)
    axes = [0, *range(2, rank)]
    mean = b.ReduceMean(input, axes, keepdims=1)
    centred = b.Sub(input, mean)
    variance = b.ReduceMean(b.Mul(centred, centred), axes, keepdims=1)
    result = b.Div(centred, b.Sqrt(b.Add(variance, eps)))
    return _scale_channels(b, result, weight, bias)


def _scale_channels(b: Builder, value: ir.Value, weight: ir.Value | None, bias: ir.Value | None) -> ir.Value:
    after = list(range(1, b.rank(value) - 1))
    if weight is not None:
        value = b.Mul(value, b.unsqueeze(weight, *after) if after else weight)
    if bias is not None:
        value = b.Add(value, b.unsqueeze(bias, *after) if after else bias)
    return value


@handler("aten::group_norm")
def group_norm(
    b: Builder,
    input: ir.Value,
    num_groups: int,
    weight: ir.Value | None = None,
    bias: ir.Value | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> ir.Value:
    assert input.dtype is not None
    sizes = b.sizes(input)
    # InstanceNormalization over groups: ONNX Runtime has a kernel for it, and none for GroupNormalization.
    flat = b.reshape(input, [0 if isinstance(sizes[0], int) and sizes[0] == 0 else sizes[0], num_groups, -1])
    ones, zeros = (b.constant([number] * num_groups, input.dtype) for number in (1, 0))
    normal = b.reshape(b.InstanceNormalization(flat, ones, zeros, epsilon=eps), sizes)
    return _scale_channels(b, normal, weight, bias)


@handler("aten::instance_norm")
def instance_norm(
    b: Builder,
    input: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    running_mean: ir.Value | None,
    running_var: ir.Value | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> ir.Value:
    if not use_input_stats:
        return batch_norm(b, input, weight, bias, running_mean, running_var, False, momentum, eps)
    assert input.dtype is not None
    channels = b.size(input, 1)
    scale = weight if weight is not None else b.expand(b.constant(1, input.dtype), [channels])
    shift = bias if bias is not None else b.expand(b.constant(0, input.dtype), [channels])
    return b.InstanceNormalization(input, scale, shift, epsilon=eps)


@handler("aten::rms_norm")
def rms_norm(
    b: Builder, input: ir.Value, normalized_shape: list[Int], weight: ir.Value | None = None, eps: float | None = None
) -> ir.Value:
    assert input.dtype is not None
    epsilon = eps if eps is not None else float(_machine_epsilon(input.dtype))
    axes = list(range(-len(normalized_shape), 0))
    mean = b.ReduceMean(b.Mul(input, input), axes, keepdims=1)
    result = b.Div(input, b.Sqrt(b.Add(mean, epsilon)))
    return result if weight is None else b.Mul(result, weight)


def _machine_epsilon(dtype: ir.DataType) -> float:
    return {ir.DataType.FLOAT: 2.0**-23, ir.DataType.DOUBLE: 2.0**-52, ir.DataType.FLOAT16: 2.0**-10}[dtype]


@handler("aten::scaled_dot_product_attention")
def scaled_dot_product_attention(
    b: Builder,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    attn_mask: ir.Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Any = None,
    enable_gqa: bool = False,
) -> ir.Value:
    if dropout_p:
        raise UnsupportedError("Attention drops out values at random.", hint="Call eval() before saving the module.")
    assert query.dtype is not None
    rank = b.rank(query)
    if enable_gqa:
        key, value = (_repeat_heads(b, query, each) for each in (key, value))
    width = b.size(query, -1)
    if scale is None:
        if isinstance(width, int):
            scale = 1 / math.sqrt(width)
        else:
            scale_value = b.Reciprocal(b.Sqrt(b.scalar(width, query.dtype)))
    factor = scale_value if scale is None else b.scalar(scale, query.dtype)
    scores = b.MatMul(b.Mul(query, factor), b.transpose(key, rank - 2, rank - 1))
    hidden = None
    if is_causal:
        rows, columns = b.scalar_range(b.size(query, -2)), b.scalar_range(b.size(key, -2))
        attn_mask = b.LessOrEqual(b.unsqueeze(columns, 0), b.unsqueeze(rows, 1))
        scores = b.Add(scores, _bias(b, attn_mask, query.dtype)[0])
    elif attn_mask is not None:
        bias, hidden = _bias(b, attn_mask, query.dtype)
        scores = b.Add(scores, bias)
    result = b.MatMul(b.Softmax(scores, axis=-1), value)
    return result if hidden is None else b.Where(hidden, 0, result)


def _bias(b: Builder, mask: ir.Value, dtype: ir.DataType) -> tuple[ir.Value, ir.Value]:
    """What a mask adds to the scores, and which rows it hides whole: these attend to nothing, where Softmax gives NaN.

    Layers that share a mask share both.
    """

    def make() -> tuple[ir.Value, ir.Value]:
        bias = mask
        if mask.dtype == ir.DataType.BOOL:
            bias = b.Where(mask, b.constant(0, dtype), b.constant(-math.inf, dtype))
        return bias, b.Equal(b.ReduceMax(bias, [-1], keepdims=1), -math.inf)

    return b.once(("attention bias", mask, dtype), make)


def _repeat_heads(b: Builder, query: ir.Value, part: ir.Value) -> ir.Value:
    from transload.convert.torch.script.ops.shaping import repeat_interleave

    ours, theirs = b.size(query, -3), b.size(part, -3)
    if not isinstance(ours, int) or not isinstance(theirs, int):
        raise UnsupportedError("The number of heads depends on the inputs.")
    return repeat_interleave(b, part, ours // theirs, -3)


# The fused kernels that torch.nn's transformer layers call in eval mode


@handler("aten::_native_multi_head_attention")
def native_multi_head_attention(
    b: Builder,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    embed_dim: int,
    num_head: int,
    qkv_weight: ir.Value,
    qkv_bias: ir.Value,
    proj_weight: ir.Value,
    proj_bias: ir.Value,
    mask: ir.Value | None = None,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    mask_type: int | None = None,
) -> tuple[ir.Value, ir.Value | None]:
    if any(each is not query for each in (key, value)):
        raise UnsupportedError("The fused attention of different queries, keys and values.")
    batch, steps = b.size(query, 0), b.size(query, 1)
    joined = linear(b, query, qkv_weight, qkv_bias)
    split = b.Split(joined, None, axis=2, num_outputs=3, _outputs=3)
    heads = [b.transpose(b.reshape(part, [batch, steps, num_head, embed_dim // num_head]), 1, 2) for part in split]
    assert query.dtype is not None
    scores = b.MatMul(b.Div(heads[0], math.sqrt(embed_dim / num_head)), b.transpose(heads[1], 2, 3))
    if (seen := _allowed(b, mask, mask_type)) is not None:
        # Rows that are masked whole stay NaN, as in the kernel.
        scores = b.Add(scores, _bias(b, seen, query.dtype)[0])
    attended = b.MatMul(b.Softmax(scores, axis=-1), heads[2])
    result = linear(b, b.reshape(b.transpose(attended, 1, 2), [batch, steps, embed_dim]), proj_weight, proj_bias)
    if need_weights:
        raise UnsupportedError("The fused attention is asked for its weights.")
    return result, None


def _allowed(b: Builder, mask: ir.Value | None, mask_type: int | None) -> ir.Value | None:
    """Which keys each query sees: the kernel's masks say which it does not (0 by step, 1 by padding, 2 both).

    A mask of floats hides whatever is not 0: so does torch's kernel (2.13), where its unfused path would add.
    """
    if mask is None:
        return None
    seen = b.Not(b.cast(mask, ir.DataType.BOOL))
    return b.unsqueeze(seen, 1, 2) if mask_type == 1 else seen


@handler("aten::_transformer_encoder_layer_fwd")
def transformer_encoder_layer(
    b: Builder,
    src: ir.Value,
    embed_dim: int,
    num_heads: int,
    qkv_weight: ir.Value,
    qkv_bias: ir.Value,
    proj_weight: ir.Value,
    proj_bias: ir.Value,
    use_gelu: bool,
    norm_first: bool,
    eps: float,
    norm_weight_1: ir.Value,
    norm_bias_1: ir.Value,
    norm_weight_2: ir.Value,
    norm_bias_2: ir.Value,
    ffn_weight_1: ir.Value,
    ffn_bias_1: ir.Value,
    ffn_weight_2: ir.Value,
    ffn_bias_2: ir.Value,
    mask: ir.Value | None = None,
    mask_type: int | None = None,
) -> ir.Value:
    def attend(x: ir.Value) -> ir.Value:
        packed = (qkv_weight, qkv_bias, proj_weight, proj_bias)
        return native_multi_head_attention(b, x, x, x, embed_dim, num_heads, *packed, mask, False, True, mask_type)[0]

    def feed(x: ir.Value) -> ir.Value:
        inner = linear(b, x, ffn_weight_1, ffn_bias_1)
        return linear(b, gelu(b, inner) if use_gelu else b.Relu(inner), ffn_weight_2, ffn_bias_2)

    def first_norm(x: ir.Value) -> ir.Value:
        return layer_norm(b, x, [embed_dim], norm_weight_1, norm_bias_1, eps)

    def second_norm(x: ir.Value) -> ir.Value:
        return layer_norm(b, x, [embed_dim], norm_weight_2, norm_bias_2, eps)

    if norm_first:
        src = b.Add(src, attend(first_norm(src)))
        return b.Add(src, feed(second_norm(src)))
    src = first_norm(b.Add(src, attend(src)))
    return second_norm(b.Add(src, feed(src)))

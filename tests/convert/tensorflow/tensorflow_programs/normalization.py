"""Normalization and attention layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tensorflow_programs.program import PROGRAMS, Program, built, floats, integers
from transload.convert.tensorflow.framework import tf

L = keras.layers
SPEC = floats("x", None, 5, 6, 4)


def _layer(name: str, make: Callable[[], Any], spec: Any = SPEC) -> None:
    def build() -> Any:
        layer = make()
        layer.build(tuple(spec.shape))
        rng = np.random.default_rng(6)
        layer.set_weights([rng.uniform(0.3, 0.9, each.shape).astype(each.dtype) for each in layer.get_weights()])
        return lambda x: layer(x, training=False) if "training" in layer.call.__code__.co_varnames else layer(x)

    PROGRAMS[f"normalization.{name}"] = Program(f"normalization.{name}", (spec,), build)


_layer("batch", L.BatchNormalization)
_layer("batch_without_scale", lambda: L.BatchNormalization(scale=False, center=False))
_layer("batch_of_features", L.BatchNormalization, floats("x", None, 4))
_layer("batch_of_other_axis", lambda: L.BatchNormalization(axis=1))
_layer("layer", L.LayerNormalization)
_layer("layer_of_two_axes", lambda: L.LayerNormalization(axis=[2, 3]))
_layer("group", lambda: L.GroupNormalization(groups=2))
_layer("instance", lambda: L.GroupNormalization(groups=-1))
_layer("unit", L.UnitNormalization)
_layer("spectral", lambda: L.SpectralNormalization(L.Conv2D(3, 3)))
_layer("dropout", lambda: L.Dropout(0.5))
_layer("spatial_dropout", lambda: L.SpatialDropout2D(0.5))
_layer("gaussian_noise", lambda: L.GaussianNoise(0.5))
_layer("prelu", lambda: L.PReLU(shared_axes=[1, 2]))
_layer("dense", lambda: L.Dense(3, activation="tanh"))
_layer("einsum_dense", lambda: L.EinsumDense("abcd,de->abce", output_shape=(None, 6, 3), bias_axes="e"))
_layer("upsampling", lambda: L.UpSampling2D((2, 3)))
_layer("zero_padding", lambda: L.ZeroPadding2D(((1, 2), (0, 3))))
_layer("cropping", lambda: L.Cropping2D(((1, 2), (0, 3))))
_layer("rms", lambda: L.RMSNormalization())


@built(SPEC)
def local_response() -> Any:
    return lambda x: tf.nn.local_response_normalization(x, depth_radius=1, bias=1.5, alpha=0.3, beta=0.6)


@built(SPEC)
def fused_batch_norm() -> Any:
    scale, offset = tf.constant([0.5, 1.0, 1.5, 2.0]), tf.constant([0.1, 0.2, 0.3, 0.4])
    return lambda x: tf.compat.v1.nn.fused_batch_norm(x, scale, offset, offset, scale, is_training=False)[0]


@built(SPEC)
def batch_statistics() -> Any:
    """Batch normalization by the batch's own statistics, as some style-transfer models use it."""
    scale, offset = tf.constant([0.5, 1.0, 1.5, 2.0]), tf.constant([0.1, 0.2, 0.3, 0.4])
    return lambda x: tf.compat.v1.nn.fused_batch_norm(x, scale, offset, is_training=True)[0]


@built(floats("x", None, None, 8))
def multi_head_attention() -> Any:
    layer = L.MultiHeadAttention(2, 4)
    layer.build((None, None, 8), (None, None, 8))
    return lambda x: layer(x, x, use_causal_mask=True)


@built(floats("x", None, None, 8))
def grouped_query_attention() -> Any:
    layer = L.GroupQueryAttention(4, 4, 2)
    layer.build((None, None, 8), (None, None, 8))
    return lambda x: layer(x, x)


@built(integers("tokens", None, None), example={"tokens": [[3, 5, 0, 0], [1, 2, 9, 4]]})
def transformer_block() -> Any:
    tokens = keras.Input((None,), dtype="int32")
    x = L.Embedding(12, 8, mask_zero=True)(tokens)
    attended = L.MultiHeadAttention(2, 4)(x, x)
    x = L.LayerNormalization()(L.Add()([x, attended]))
    x = L.LayerNormalization()(L.Add()([x, L.Dense(8)(L.Dense(16, activation="gelu")(x))]))
    model = keras.Model(tokens, L.Dense(3)(L.GlobalAveragePooling1D()(x)))
    return lambda tokens: model(tokens, training=False)

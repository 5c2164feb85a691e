"""Gradients that a graph computes for itself, and operations that only guard others."""

from __future__ import annotations

from typing import Any

from transload.convert.tensorflow.decompositions.registry import decomposition
from transload.convert.tensorflow.framework import tf


@decomposition("TanhGrad")
def tanh_grad(op: Any, y: Any, dy: Any) -> Any:
    return dy * (1.0 - y * y)


@decomposition("SigmoidGrad")
def sigmoid_grad(op: Any, y: Any, dy: Any) -> Any:
    return dy * y * (1.0 - y)


@decomposition("ReluGrad")
def relu_grad(op: Any, gradients: Any, features: Any) -> Any:
    return tf.where(features > 0, gradients, tf.zeros_like(gradients))


@decomposition("PreventGradient", "CheckNumerics", "CheckNumericsV2")
def pass_on(op: Any, value: Any) -> Any:
    return tf.identity(value)

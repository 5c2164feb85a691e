"""Sums of matrix products with constant matrices, read out of a graph: `x @ W + h @ R + b`, and slices of such sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from transload.convert.passes.matching import integers, is_standard

Array = np.ndarray[Any, Any]

Resolve = Callable[[ir.Value | None], ir.Value | None]
"""The value that another stands for."""


@dataclass(frozen=True)
class Affine:
    """The sum of `value @ matrix` over the terms, and of the bias: float32 [rows, columns], where each row has its own
    values."""

    terms: Mapping[ir.Value, Array]
    bias: Array

    def __add__(self, other: Affine) -> Affine:
        terms = dict(self.terms)
        for value, matrix in other.terms.items():
            terms[value] = terms[value] + matrix if value in terms else matrix
        return Affine(terms, self.bias + other.bias)

    def columns(self, chosen: slice) -> Affine:
        """Some of the columns."""
        return Affine({value: matrix[:, chosen] for value, matrix in self.terms.items()}, self.bias[chosen])


def read_affine(value: ir.Value | None, resolve: Resolve) -> Affine | None:
    """What a value is as such a sum; None where it is none.

    Args:
        value: A tensor of rank 2.
        resolve: Looks through identities, and through what a loop hands on unchanged.
    """
    value = resolve(value)
    constant = read_constant(value, resolve)
    if constant is not None:
        is_row = constant.dtype == np.float32 and constant.ndim > 0 and constant.size == constant.shape[-1]
        return Affine({}, constant.reshape(-1)) if is_row else None
    node = value.producer() if value is not None else None
    if node is None or value is None or not is_standard(node):
        return None
    if node.op_type == "MatMul":
        left, matrix = resolve(node.inputs[0]), read_constant(node.inputs[1], resolve)
        if left is None or matrix is None or matrix.ndim != 2 or matrix.dtype != np.float32:
            return None
        return Affine({left: matrix}, np.zeros(matrix.shape[1], np.float32))
    if node.op_type == "Add":
        one, other = (read_affine(each, resolve) for each in node.inputs)
        return one + other if one is not None and other is not None and one.bias.shape == other.bias.shape else None
    if node.op_type in ("Slice", "Split"):
        whole = read_affine(node.inputs[0], resolve)
        chosen = _part(node, value, 1, 2, len(whole.bias)) if whole is not None else None
        return whole.columns(chosen) if whole is not None and chosen is not None else None
    return None


def read_constant(value: ir.Value | None, resolve: Resolve) -> Array | None:
    """What a value holds, if that is known: a constant, or a part of one."""
    value = resolve(value)
    if value is None or value.is_graph_input():
        return None
    if (tensor := ir.convenience.get_const_tensor(value)) is not None:
        array: Array = tensor.numpy()
        return array
    node = value.producer()
    if node is None or not is_standard(node) or node.op_type not in ("Slice", "Split", "Squeeze"):
        return None
    whole = read_constant(node.inputs[0], resolve)
    if whole is None or whole.ndim == 0:
        return None
    if node.op_type == "Squeeze":
        axes = integers(node.inputs[1]) if len(node.inputs) > 1 else None
        return None if axes is None else np.squeeze(whole, tuple(axes))
    for axis, size in enumerate(whole.shape):
        if (chosen := _part(node, value, axis, whole.ndim, size)) is not None:
            part: Array = whole[(slice(None),) * axis + (chosen,)]
            return part
    return None


def _part(node: ir.Node, value: ir.Value, axis: int, rank: int, size: int) -> slice | None:
    """The part along an axis that a `Slice` or `Split` takes, if it takes all along every other."""
    if node.op_type == "Split":
        if node.attributes.get_int("axis", 0) % rank != axis:
            return None
        sizes = integers(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] is not None else None
        count = len(node.outputs)
        if sizes is None and size % count:
            return None
        bounds = np.cumsum([0, *(sizes or [size // count] * count)])
        place = node.outputs.index(value)
        return slice(int(bounds[place]), int(bounds[place + 1]))
    starts, ends, axes, steps = (integers(each) for each in (*node.inputs[1:], None, None)[:4])
    has_steps = len(node.inputs) > 4 and node.inputs[4] is not None
    if starts is None or ends is None or axes is None or (has_steps and set(steps or ()) != {1}):
        return None
    chosen = None
    for start, end, each in zip(starts, ends, axes, strict=True):
        if each % rank == axis:
            chosen = slice(start, end)
        elif start != 0 or end < 2**31 - 1:
            return None
    return chosen

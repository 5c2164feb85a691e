"""Distances between rows."""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder
from transload.convert.torch.script.ops.matrices import (
    DOUBLE,
    INT64,
    narrow,
    reduced,
    transposed,
    triangle,
    wide,
)
from transload.convert.torch.script.registry import handler

_ROWS_OF_DIRECT = 25
"""With more rows on either side torch multiplies matrices, where it may choose (ATen/native/Distance.cpp)."""

_ALWAYS_MULTIPLIED, _NEVER_MULTIPLIED = 1, 2
"""Values of compute_mode."""


@handler("aten::cdist", "aten::_cdist_forward")
def cdist(b: Builder, x1: ir.Value, x2: ir.Value, p: float = 2.0, compute_mode: int | None = None) -> ir.Value:
    one, other = wide(b, x1), wide(b, x2)

    def direct() -> ir.Value:
        left, right = b.unsqueeze(one, b.rank(one) - 1), b.unsqueeze(other, b.rank(other) - 2)
        return _norm(b, b.Sub(left, right), p)

    is_empty = 0 in [*b.sizes(one), *b.sizes(other)]
    if p != 2 or compute_mode == _NEVER_MULTIPLIED or is_empty:
        return narrow(b, direct(), x1)
    if compute_mode == _ALWAYS_MULTIPLIED:
        return narrow(b, _multiplied(b, one, other), x1)
    rows = [b.size(one, -2), b.size(other, -2)]
    if any(isinstance(size, int) and size > _ROWS_OF_DIRECT for size in rows):
        return narrow(b, _multiplied(b, one, other), x1)
    unknown = [b.scalar(size, INT64) for size in rows if not isinstance(size, int)]
    if not unknown:
        return narrow(b, direct(), x1)
    is_large = b.Greater(b.Max(*unknown), _ROWS_OF_DIRECT)
    return narrow(b, _choose(b, is_large, lambda: _multiplied(b, one, other), direct), x1)


def _choose(b: Builder, condition: ir.Value, one: Callable[[], ir.Value], other: Callable[[], ir.Value]) -> ir.Value:
    graphs = []
    for make in (one, other):
        with b.block() as graph:
            graph.outputs.append(make())
        graphs.append(graph)
    branches = [ir.AttrGraph(name, graph) for name, graph in zip(("then_branch", "else_branch"), graphs, strict=True)]
    node = ir.Node("", "If", [condition], branches, num_outputs=1)
    result, like = node.outputs[0], graphs[0].outputs[0]
    result.type, result.shape = like.type, like.shape
    b.append(node)
    return result


@handler("aten::_euclidean_dist")
def euclidean_dist(b: Builder, x1: ir.Value, x2: ir.Value) -> ir.Value:
    return narrow(b, _multiplied(b, wide(b, x1), wide(b, x2)), x1)


def _multiplied(b: Builder, one: ir.Value, other: ir.Value) -> ir.Value:
    """Euclidean distances by way of a matrix product: memory for the results alone."""
    own = b.unsqueeze(reduced(b, "ReduceSum", b.Mul(one, one), -1), b.rank(one) - 1)
    theirs = b.unsqueeze(reduced(b, "ReduceSum", b.Mul(other, other), -1), b.rank(other) - 2)
    square = b.Add(b.Mul(b.MatMul(one, transposed(b, other)), -2), b.Add(own, theirs))
    return b.Sqrt(b.Where(b.Less(square, 0), 0, square))


def _norm(b: Builder, difference: ir.Value, p: float) -> ir.Value:
    """The p-norm over the last axis."""
    if b.dim(difference, -1) == 0:
        p = 1.0
    size = b.Abs(difference)
    if p == 0:
        is_other = b.Where(b.Equal(size, 0), 0, b.Where(b.IsNaN(size), size, 1))
        return reduced(b, "ReduceSum", is_other, -1)
    if p == 1:
        return reduced(b, "ReduceSum", size, -1)
    if p == 2:
        return b.Sqrt(reduced(b, "ReduceSum", b.Mul(size, size), -1))
    if p == math.inf:
        # torch passes over NaN here, alone among the norms.
        return reduced(b, "ReduceMax", b.Where(b.IsNaN(size), 0, size), -1)
    return b.Pow(reduced(b, "ReduceSum", b.Pow(size, b.constant(float(p), DOUBLE)), -1), 1 / p)


@handler("aten::pdist", "aten::_pdist_forward")
def pdist(b: Builder, self: ir.Value, p: float = 2.0) -> ir.Value:
    rows = b.size(self, 0)
    matrix = wide(b, self)
    pairs = b.NonZero(triangle(b, b.expand(b.constant(1, INT64), [rows, rows]), True, 1))
    left, right = (b.Gather(matrix, b.Gather(pairs, side, axis=0), axis=0) for side in (0, 1))
    return narrow(b, _norm(b, b.Sub(left, right), p), self)

"""Covariances and correlations of variables, one in each row."""

from __future__ import annotations

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder
from transload.convert.torch.script.ops.elementwise import as_float
from transload.convert.torch.script.ops.linear import multiply
from transload.convert.torch.script.ops.matrices import DOUBLE, diagonal, reduced, transposed, wide
from transload.convert.torch.script.registry import handler


@handler("aten::cov")
def cov(
    b: Builder,
    self: ir.Value,
    correction: int = 1,
    fweights: ir.Value | None = None,
    aweights: ir.Value | None = None,
) -> ir.Value:
    like = as_float(b, self)
    assert like.dtype is not None
    return b.cast(_covariance(b, wide(b, self), correction, fweights, aweights), like.dtype)


def _covariance(
    b: Builder, value: ir.Value, correction: int, fweights: ir.Value | None, aweights: ir.Value | None
) -> ir.Value:
    """As ATen/native/Correlation.cpp, in DOUBLE."""
    rows = value if b.rank(value) == 2 else b.reshape(value, [1, -1])
    one, own = (wide(b, each) if each is not None else None for each in (fweights, aweights))
    weights = [each for each in (one, own) if each is not None]
    weight = b.Mul(*weights) if len(weights) == 2 else weights[0] if weights else None
    count = b.scalar(b.size(rows, 1), DOUBLE)
    total = count if weight is None else reduced(b, "ReduceSum", weight, -1)
    norm = b.Sub(total, b.constant(float(correction), DOUBLE))
    if weight is not None and own is not None and correction:
        share = b.Div(reduced(b, "ReduceSum", b.Mul(weight, own), -1), total)
        norm = b.Sub(total, b.Mul(share, b.constant(float(correction), DOUBLE)))
    weighted = rows if weight is None else b.Mul(rows, weight)
    centred = b.Sub(rows, b.unsqueeze(b.Div(reduced(b, "ReduceSum", weighted, -1), total), 1))
    right = centred if weight is None else b.Mul(centred, weight)
    product = b.Div(multiply(b, centred, transposed(b, right)), b.Where(b.Less(norm, 0), 0, norm))
    # torch squeezes; a number of variables that is not known counts as more than one.
    return b.reshape(product, []) if b.dim(rows, 0) == 1 else product


@handler("aten::corrcoef")
def corrcoef(b: Builder, self: ir.Value) -> ir.Value:
    like = as_float(b, self)
    assert like.dtype is not None
    covariance = _covariance(b, wide(b, self), 1, None, None)
    if b.rank(covariance) == 0:
        return b.cast(b.Div(covariance, covariance), like.dtype)
    deviation = b.Sqrt(diagonal(b, covariance))
    ratio = b.Div(b.Div(covariance, b.unsqueeze(deviation, 1)), deviation)
    clipped = b.Where(b.Greater(ratio, 1), 1, b.Where(b.Less(ratio, -1), -1, ratio))
    return b.cast(clipped, like.dtype)

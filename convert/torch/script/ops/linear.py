"""Products of matrices and vectors."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder
from transload.convert.torch.script.ops.elementwise import add, mul
from transload.convert.torch.script.registry import handler
from transload.serialize.errors import UnsupportedError

BOOL, INT32 = ir.DataType.BOOL, ir.DataType.INT32

_COMPUTED_IN = {
    ir.DataType.INT8: INT32,
    ir.DataType.UINT8: INT32,
    ir.DataType.INT16: INT32,
    BOOL: INT32,
    ir.DataType.BFLOAT16: ir.DataType.FLOAT,
}
"""What ONNX Runtime has no MatMul for."""


def multiply(b: Builder, one: ir.Value, other: ir.Value) -> ir.Value:
    """The matrix product of tensors of one element type; rank 1 are vectors."""
    assert one.dtype is not None
    if (wide := _COMPUTED_IN.get(one.dtype)) is not None:
        return b.cast(multiply(b, b.cast(one, wide), b.cast(other, wide)), one.dtype)
    if _may_be_empty(b, one) or _may_be_empty(b, other):
        # ONNX Runtime 1.31 refuses a matrix without rows times a vector.
        if b.rank(other) == 1:
            product = multiply(b, one, b.unsqueeze(other, 1))
            return b.squeeze(product, -1)
        if b.rank(one) == 1:
            product = multiply(b, b.unsqueeze(one, 0), other)
            return b.squeeze(product, -2)
    if b.dim(one, -1) == 0:
        # Over nothing ONNX Runtime 1.31 gives what the memory held before, where it fuses a transposition.
        one, other = _with_zero(b, one, -1), _with_zero(b, other, -2)
    return b.MatMul(one, other)


def _with_zero(b: Builder, value: ir.Value, axis: int) -> ir.Value:
    """The tensor with one more row or column, of zeros."""
    pads = [0] * (2 * b.rank(value))
    pads[axis] = 1
    return b.Pad(value, b.constant(pads, ir.DataType.INT64))


def _may_be_empty(b: Builder, value: ir.Value) -> bool:
    return any(not isinstance(size, int) or size == 0 for size in value.shape or ())


@handler(
    "aten::matmul",
    "aten::mm",
    "aten::bmm",
    "aten::mv",
    "aten::dot",
    "aten::linalg_matmul",
    "aten::vdot",
)
def matmul(
    b: Builder,
    self: ir.Value,
    other: ir.Value | None = None,
    mat2: ir.Value | None = None,
    vec: ir.Value | None = None,
    tensor: ir.Value | None = None,
) -> ir.Value:
    return multiply(b, self, next(each for each in (other, mat2, vec, tensor) if each is not None))


@handler("aten::linear")
def linear(b: Builder, input: ir.Value, weight: ir.Value, bias: ir.Value | None = None) -> ir.Value:
    if b.rank(weight) == 2 and b.rank(input) == 2 and _has_gemm(input):
        # Gemm takes the weight as it is stored.
        return b.Gemm(input, weight, bias, transB=1)
    result = multiply(b, input, b.Transpose(weight, perm=[1, 0]) if b.rank(weight) == 2 else weight)
    return result if bias is None else b.Add(result, bias)


def _has_gemm(value: ir.Value) -> bool:
    return value.dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16)


def _scaled(b: Builder, value: ir.Value, factor: Any) -> ir.Value:
    assert value.dtype is not None
    if isinstance(factor, int | float) and factor == 1:
        return value
    return mul(b, value, b.scalar(factor, value.dtype))


def _blend(b: Builder, self: ir.Value, product: ir.Value, beta: Any, alpha: Any) -> ir.Value:
    """beta * self + alpha * product, where beta = 0 means that self is not read, NaN or not."""
    scaled = _scaled(b, product, alpha)
    if isinstance(beta, int | float) and beta == 0:
        return scaled
    assert product.dtype is not None
    return add(b, _scaled(b, b.cast(self, product.dtype), beta), scaled)


@handler("aten::addmm")
def addmm(b: Builder, self: ir.Value, mat1: ir.Value, mat2: ir.Value, beta: Any = 1, alpha: Any = 1) -> ir.Value:
    if beta == 1 and alpha == 1 and self.dtype == mat1.dtype and _has_gemm(self):
        return b.Gemm(mat1, mat2, self)
    return _blend(b, self, multiply(b, mat1, mat2), beta, alpha)


@handler("aten::_grouped_mm")
def grouped_mm(
    b: Builder,
    self: ir.Value,
    mat2: ir.Value,
    offs: ir.Value | None = None,
    bias: ir.Value | None = None,
    out_dtype: Any = None,
) -> ir.Value:
    """The rows between two offsets times their group's matrix: experts in a mixture.

    Rows beyond the last offset, which torch's kernel leaves as they were in memory, are 0.
    """
    groups = b.dim(mat2, 0)
    if offs is None or b.rank(self) != 2 or b.rank(mat2) != 3 or groups is None:
        raise UnsupportedError("A grouped product of another kind than rows by one matrix for each group.")
    if bias is not None or out_dtype is not None:
        raise UnsupportedError("A grouped product with a bias or an element type of its own.")
    start = b.constant([0], ir.DataType.INT64)
    ends = b.cast(offs, ir.DataType.INT64)
    parts = []
    for group in range(groups):
        end = b.Slice(ends, [group], [group + 1], [0])
        parts.append(multiply(b, b.Slice(self, start, end, [0]), b.Gather(mat2, group, axis=0)))
        start = end
    rest = b.Slice(self, start, [2**62], [0])
    width = b.int_vector([b.size(mat2, 2)])
    parts.append(b.Expand(b.constant(0, self.dtype), b.Concat(b.Shape(rest, start=0, end=1), width, axis=0)))
    return b.Concat(*parts, axis=0)


@handler("aten::baddbmm")
def baddbmm(b: Builder, self: ir.Value, batch1: ir.Value, batch2: ir.Value, beta: Any = 1, alpha: Any = 1) -> ir.Value:
    return _blend(b, self, multiply(b, batch1, batch2), beta, alpha)


@handler("aten::addbmm")
def addbmm(b: Builder, self: ir.Value, batch1: ir.Value, batch2: ir.Value, beta: Any = 1, alpha: Any = 1) -> ir.Value:
    assert self.dtype is not None
    wide = _COMPUTED_IN.get(self.dtype, self.dtype)
    products = multiply(b, b.cast(batch1, wide), b.cast(batch2, wide))
    total = b.ReduceSum(products, [0], keepdims=0)
    return _blend(b, self, b.cast(total, self.dtype), beta, alpha)


@handler("aten::addmv")
def addmv(b: Builder, self: ir.Value, mat: ir.Value, vec: ir.Value, beta: Any = 1, alpha: Any = 1) -> ir.Value:
    return _blend(b, self, multiply(b, mat, vec), beta, alpha)


@handler("aten::addr")
def addr(b: Builder, self: ir.Value, vec1: ir.Value, vec2: ir.Value, beta: Any = 1, alpha: Any = 1) -> ir.Value:
    return _blend(b, self, outer(b, vec1, vec2), beta, alpha)


@handler("aten::outer", "aten::ger")
def outer(b: Builder, self: ir.Value, vec2: ir.Value) -> ir.Value:
    return mul(b, b.unsqueeze(self, 1), b.unsqueeze(vec2, 0))


@handler("aten::bilinear")
def bilinear(
    b: Builder, input1: ir.Value, input2: ir.Value, weight: ir.Value, bias: ir.Value | None = None
) -> ir.Value:
    outputs, left, right = b.sizes(weight)
    by_left = b.reshape(b.Transpose(weight, perm=[1, 0, 2]), [left, b.mul_int(outputs, right)])
    lead = b.sizes(input1)[:-1]
    half = b.reshape(multiply(b, input1, by_left), [*lead, outputs, right])
    result = b.squeeze(multiply(b, half, b.unsqueeze(input2, b.rank(input2))), -1)
    return result if bias is None else b.Add(result, bias)


@handler("aten::_trilinear")
def trilinear(
    b: Builder,
    i1: ir.Value,
    i2: ir.Value,
    i3: ir.Value,
    expand1: list[int],
    expand2: list[int],
    expand3: list[int],
    sumdim: list[int],
    unroll_dim: int = 1,
) -> ir.Value:
    pairs = zip((i1, i2, i3), (expand1, expand2, expand3), strict=True)
    one, two, three = (b.unsqueeze(value, *sorted(axes)) if axes else value for value, axes in pairs)
    product = b.Mul(b.Mul(one, two), three)
    return b.ReduceSum(product, sumdim, keepdims=0) if sumdim else product


@handler("aten::kron")
def kron(b: Builder, self: ir.Value, other: ir.Value) -> ir.Value:
    rank = max(b.rank(self), b.rank(other))
    one, two = (b.unsqueeze(v, *range(n)) if (n := rank - b.rank(v)) else v for v in (self, other))
    sizes = [b.mul_int(*pair) for pair in zip(b.sizes(one), b.sizes(two), strict=True)]
    apart = b.unsqueeze(one, *range(1, 2 * rank, 2)), b.unsqueeze(two, *range(0, 2 * rank, 2))
    return b.reshape(mul(b, *apart), sizes) if rank else mul(b, one, two)


@handler("aten::chain_matmul")
def chain_matmul(b: Builder, matrices: list[ir.Value]) -> ir.Value:
    return multi_dot(b, matrices)


@handler("aten::linalg_multi_dot")
def multi_dot(b: Builder, tensors: list[ir.Value]) -> ir.Value:
    chain = list(tensors)
    is_row, is_column = b.rank(chain[0]) == 1, b.rank(chain[-1]) == 1
    chain[0] = b.unsqueeze(chain[0], 0) if is_row else chain[0]
    chain[-1] = b.unsqueeze(chain[-1], 1) if is_column else chain[-1]
    result = _cheapest(b, chain)
    axes = [axis for axis, dropped in ((0, is_row), (1, is_column)) if dropped]
    return b.squeeze(result, *axes) if axes else result


_UNKNOWN_SIZE = 64
"""What sizes that are not known count as where only cost depends on them."""


def _cheapest(b: Builder, chain: list[ir.Value]) -> ir.Value:
    """The product of matrices in the order that takes the fewest multiplications (Cormen et al., 15.2)."""
    count = len(chain)
    sizes = [b.dim(chain[0], 0), *(b.dim(matrix, 1) for matrix in chain)]
    known = [_UNKNOWN_SIZE if size is None else size for size in sizes]
    cost = {(first, first): 0 for first in range(count)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for first in range(count - length):
            last = first + length
            options = {
                at: cost[first, at] + cost[at + 1, last] + known[first] * known[at + 1] * known[last + 1]
                for at in range(first, last)
            }
            split[first, last] = min(options, key=options.__getitem__)
            cost[first, last] = options[split[first, last]]

    def product(first: int, last: int) -> ir.Value:
        if first == last:
            return chain[first]
        at = split[first, last]
        return multiply(b, product(first, at), product(at + 1, last))

    return product(0, count - 1)

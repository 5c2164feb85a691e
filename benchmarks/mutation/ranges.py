"""Bounds of a graph's values for all inputs, by interval arithmetic: what proofs of equivalence stand on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from transload.convert.capture import Array


@dataclass(frozen=True)
class Range:
    """Every element lies in `[low, high]`, or is NaN where `may_be_nan`."""

    low: float
    high: float
    may_be_nan: bool

    @property
    def size(self) -> float:
        """The largest absolute value."""
        return max(abs(self.low), abs(self.high))

    @property
    def is_settled(self) -> bool:
        """Whether every element is a finite number."""
        return math.isfinite(self.size) and not self.may_be_nan


PASSING = frozenset(
    {
        "Transpose",
        "Reshape",
        "Expand",
        "Unsqueeze",
        "Squeeze",
        "Slice",
        "Identity",
        "Split",
        "Flatten",
        "Gather",
        "Tile",
    }
    | {"ReduceMean", "ReduceMax", "ReduceMin", "GatherElements"}
)
"""Operators whose results lie in the range of their first input."""


def find_ranges(model: ir.Model, *, nan_never_wins: bool = False) -> dict[ir.Value, Range]:
    """A range for each value of the main graph. Unknown operators have the widest that their dtype allows.

    `nan_never_wins`: the source is TensorFlow, whose maximum over a window is -3.4e38 where all of it is NaN.
    """
    ranges: dict[ir.Value, Range] = {value: _widest(value) for value in model.graph.inputs}
    for value in model.graph.initializers.values():
        if not value.is_graph_input() and value.const_value is not None:
            ranges[value] = _of_array(value.const_value.numpy())
    for node in model.graph:
        found = _of_node(node, ranges)
        if nan_never_wins and node.op_type == "MaxPool":
            found = Range(float(np.finfo(np.float32).min), math.inf, False)
        for value in node.outputs:
            ranges[value] = found or _widest(value)
    return ranges


def _widest(value: ir.Value) -> Range:
    is_float = value.dtype is None or value.dtype.is_floating_point()
    return Range(-math.inf, math.inf, is_float)


def _of_array(array: Array) -> Range:
    if array.dtype.kind not in "biuf" or not array.size:
        return Range(-math.inf, math.inf, True)
    numbers = array.astype(np.float64)
    return Range(float(np.nanmin(numbers)), float(np.nanmax(numbers)), bool(np.isnan(numbers).any()))


def _of_node(node: ir.Node, ranges: dict[ir.Value, Range]) -> Range | None:
    kind = node.op_type
    if kind == "Constant" and "value" in node.attributes:
        return _of_array(node.attributes["value"].as_tensor().numpy())
    inputs = [ranges.get(value) if value is not None else None for value in node.inputs]
    first = inputs[0] if inputs else None
    if first is None:
        return None
    nan = any(each.may_be_nan for each in inputs if each is not None)
    unsettled = nan or any(not each.is_settled for each in inputs if each is not None)
    if kind in PASSING:
        return first
    if kind == "Cast":
        return first if node.outputs[0].dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE) else None
    if kind in ("Sigmoid", "Softmax"):
        return Range(0, 1, nan or (kind == "Softmax" and unsettled))
    if kind == "Tanh":
        return Range(-1, 1, nan)
    if kind == "Relu":
        return Range(max(first.low, 0), max(first.high, 0), nan)
    if kind == "LogSoftmax":
        return Range(-math.inf, 0, unsettled)
    if kind in ("Concat", "Where"):
        parts = [each for each in inputs[1 if kind == "Where" else 0 :] if each is not None]
        return Range(min(p.low for p in parts), max(p.high for p in parts), any(p.may_be_nan for p in parts))
    if kind in ("GRU", "LSTM", "LayerNormalization", "InstanceNormalization"):
        return _of_layer(node, inputs, unsettled)
    return _of_arithmetic(node, inputs)


def _of_layer(node: ir.Node, inputs: list[Range | None], unsettled: bool) -> Range | None:
    if node.op_type in ("GRU", "LSTM"):
        # A hidden state is a mean of tanh and the state before (GRU), or a sigmoid times tanh (LSTM).
        initial = inputs[5] if len(inputs) > 5 else None
        return Range(-1, 1, unsettled) if node.op_type == "LSTM" or initial is None or initial.size <= 1 else None
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    sizes = list(shape or ())[-1:] if node.op_type == "LayerNormalization" else list(shape or ())[2:]
    scale, shift = inputs[1], inputs[2] if len(inputs) > 2 else Range(0, 0, False)
    count = _product(sizes)
    if not sizes or count is None or scale is None or shift is None:
        return None
    # Samuelson: of n numbers none lies more than sqrt(n - 1) standard deviations from their mean.
    bound = math.sqrt(count) * scale.size + shift.size
    return Range(-bound, bound, unsettled)


def _of_arithmetic(node: ir.Node, inputs: list[Range | None]) -> Range | None:
    a, b = inputs[0], inputs[1] if len(inputs) > 1 else None
    if node.op_type == "Div" and _is_normalized(node):
        return Range(-1, 1, True)
    if node.op_type == "Mul" and (count := _root_mean_square(node)):
        return Range(-math.sqrt(count), math.sqrt(count), True)
    if a is not None and node.op_type == "ReduceSum" and math.isfinite(a.size):
        count = _summed(node)
        return None if count is None else Range(-count * a.size, count * a.size, a.may_be_nan)
    if a is None or b is None or not (math.isfinite(a.size) and math.isfinite(b.size)):
        return None
    nan = a.may_be_nan or b.may_be_nan
    if node.op_type == "Add":
        return Range(a.low + b.low, a.high + b.high, nan)
    if node.op_type == "Sub":
        return Range(a.low - b.high, a.high - b.low, nan)
    if node.op_type == "Mul":
        corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
        return Range(min(corners), max(corners), nan)
    if node.op_type == "Div" and b.low > 0:
        corners = [x / y for x in (a.low, a.high) for y in (b.low, b.high)]
        return Range(min(corners), max(corners), nan)
    if node.op_type in ("MatMul", "Gemm"):
        shape = node.inputs[1].shape if node.inputs[1] is not None else None
        rows = None if shape is None or shape.rank() < 2 else shape[0 if node.op_type == "Gemm" else -2]
        if node.op_type == "Gemm" and node.attributes.get_int("transB", 0) and shape is not None:
            rows = shape[1]
        extra = inputs[2].size if len(inputs) > 2 and inputs[2] is not None else 0.0
        weight = ir.convenience.get_const_tensor(node.inputs[1]) if node.inputs[1] is not None else None
        if weight is not None and node.op_type == "MatMul":
            # No column gives more than the sum of its absolute values.
            bound = a.size * float(np.abs(weight.numpy().astype(np.float64)).sum(axis=-2).max())
            return Range(-bound, bound, nan)
        if isinstance(rows, int):
            bound = rows * a.size * b.size + extra
            return Range(-bound, bound, nan)
    return None


def _root_mean_square(node: ir.Node) -> int | None:
    """n, if a node is `x * 1 / sqrt(mean(x * x) + c)` with the mean over the last, static axis of size n and c > 0."""
    x = node.inputs[0]
    chain: ir.Node | None = node.inputs[1].producer() if node.inputs[1] is not None else None
    for op_type in ("Reciprocal", "Sqrt", "Add"):
        if chain is None or chain.op_type != op_type or chain.inputs[0] is None:
            return None
        if op_type == "Add":
            number = ir.convenience.get_const_tensor(chain.inputs[1]) if chain.inputs[1] is not None else None
            if number is None or not bool(np.all(number.numpy() > 0)):
                return None
        chain = chain.inputs[0].producer()
    square = chain.inputs[0].producer() if chain is not None and chain.inputs[0] is not None else None
    if chain is None or chain.op_type != "ReduceMean" or square is None or square.op_type not in ("Mul", "Pow"):
        return None
    size = x.shape[-1] if x is not None and x.shape is not None else None
    return size if square.inputs[0] is x and isinstance(size, int) else None


def _summed(node: ir.Node) -> int | None:
    """How many elements a ReduceSum adds up; None where that depends on the input."""
    value, axes = node.inputs[0], node.inputs[1] if len(node.inputs) > 1 else None
    tensor = None if axes is None else ir.convenience.get_const_tensor(axes)
    if value is None or value.shape is None or tensor is None:
        return None
    return _product([value.shape[int(axis)] for axis in tensor.numpy().ravel()])


def _product(sizes: Sequence[int | ir.SymbolicDim]) -> int | None:
    """None where a size depends on the input."""
    numbers = [size for size in sizes if isinstance(size, int)]
    return math.prod(numbers) if len(numbers) == len(sizes) else None


def _is_normalized(node: ir.Node) -> bool:
    """Whether it is `x / max(||x||, c)` with the Euclidean norm."""
    largest = node.inputs[1].producer() if node.inputs[1] is not None else None
    if largest is None or largest.op_type != "Max":
        return False
    norms = [v.producer() for v in largest.inputs if v is not None]
    return any(n is not None and n.op_type == "ReduceL2" and n.inputs[0] is node.inputs[0] for n in norms)

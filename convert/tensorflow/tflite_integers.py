"""A pass: quantized operators of TFLite on integers, with its own rounding, where tf2onnx computes in floats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

from transload.convert.capture import Array
from transload.convert.tensorflow.fixed_point import (
    BITS,
    Factors,
    divide_factors,
    hard_swish,
    quantize_factors,
)

MOVING = frozenset({"Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})
"""Operators that leave values as they are."""

AVERAGING = frozenset({"ReduceMean", "GlobalAveragePool"})

CLAMPING = frozenset({"Relu", "Clip", "Min", "Max"})
"""What may stand between an operator and the rounding of its result."""

EXACT_FLOATS = 1 << 24
"""Smaller integers are exact in single precision, and so are sums of them in any order."""

MAX_EXACT_SHIFT = 20
"""With a larger shift to the right, a half beside the product is not."""

EXACT_DOUBLES = 1 << 22
"""Times a factor of 31 bits, smaller integers are exact in double precision."""

ADDED_BITS = 20
"""By so much TFLite refines two numbers before it adds them."""


@dataclass(frozen=True)
class Integers:
    """A tensor of 8 bits behind its DequantizeLinear.

    Args:
        value: The integers.
        scale: The size of a step.
        zero: The integer that stands for 0, of their dtype.
        moves: Operators between the DequantizeLinear and the use, in order.
    """

    value: ir.Value
    scale: np.float32
    zero: np.int8 | np.uint8
    moves: tuple[ir.Node, ...]

    @property
    def largest(self) -> int:
        """The largest distance from zero that 8 bits leave."""
        return max(int(self.zero) - self.lowest, self.lowest + 255 - int(self.zero))

    @property
    def lowest(self) -> int:
        """The lowest integer of their dtype."""
        return int(np.iinfo(self.zero.dtype).min)


@dataclass(frozen=True)
class Constant:
    """Integers that are known, with zero points taken off, and the step of each."""

    values: Array
    scales: Array


@dataclass(frozen=True)
class Ending:
    """The QuantizeLinear behind a result.

    Args:
        node: It.
        step, zero: Its step and zero point.
        low, high: Between which numbers of steps the result is clamped before.
        is_next: Whether nothing but clamping comes before.
    """

    node: ir.Node
    step: float
    zero: np.int8 | np.uint8
    low: float
    high: float
    is_next: bool

    @property
    def has_negatives(self) -> bool:
        """Whether results below zero are told from zero."""
        return self.low < 0 and int(self.zero) > int(np.iinfo(self.zero.dtype).min)


Replacement = tuple[ir.Value, ir.Value]
"""A value, and the one that takes its place."""


class TfliteIntegersPass(ir.passes.InPlacePass):
    """Behind the DequantizeLinear of its inputs and before the QuantizeLinear of its result, an operator is rewritten.

    1. Conv and MatMul with constant weights: exact sums, of floats where these hold them, else by ConvInteger and
       MatMulInteger; and the sums times a rounded factor.
    2. Mul and Add of two tensors: the same on products and on refined sums.
    3. AveragePool and ReduceMean: sums, divided by how many there are, halves away from zero.
    4. HardSwish: a table of 256 results.
    5. A QuantizeLinear of other steps: its integers times a rounded factor.

    Where a result is transposed before it is rounded, it comes back as a multiple of the step, which QuantizeLinear
    turns into the same integer. Left alone: tensors of 16 bits, steps for each channel of an activation, results that
    are used before they are rounded, and other operators, for which floats give TFLite's integers, or one beside.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        changed = False
        if any(node.op_type in AVERAGING for node in model.graph):
            # A mean's factor depends on how many numbers there are.
            model = ShapeInferencePass()(model).model
        for node in list(model.graph):
            rewrite = REWRITES.get(node.op_type)
            if rewrite is None or node.domain:
                continue
            replacement = rewrite(node)
            if replacement is not None:
                before, after = replacement
                name, before.name = before.name, None
                ir.convenience.replace_all_uses_with(before, after, replace_graph_outputs=True)
                after.name = name
                changed = True
        if changed:
            RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, changed)


class _Writer:
    """Puts nodes before another one.

    Args:
        node: The one that is rewritten.
    """

    def __init__(self, node: ir.Node) -> None:
        self.node = node
        self.count = 0

    def __call__(self, op_type: str, *inputs: ir.Value | Array, **attributes: Any) -> ir.Value:
        values = [each if isinstance(each, ir.Value) else self.constant(np.asarray(each)) for each in inputs]
        return self.put(ir.node(op_type, values, attributes))

    def constant(self, array: Array) -> ir.Value:
        return self.put(ir.node("Constant", [], {"value": ir.tensor(array)}))

    def put(self, node: ir.Node) -> ir.Value:
        assert self.node.graph is not None
        node.outputs[0].name = f"{self.node.outputs[0].name}__integers_{self.count}"
        self.count += 1
        self.node.graph.insert_before(self.node, node)
        return node.outputs[0]

    def moved(self, integers: Integers) -> ir.Value:
        """The integers where the floats were, moved likewise."""
        value = integers.value
        for move in integers.moves:
            value = self.put(_like(move, move.op_type, [value, *move.inputs[1:]]))
        return value

    def distances(self, integers: Integers) -> ir.Value:
        """The integers without their zero point, in double precision."""
        doubles = self("Cast", self.moved(integers), to=ir.DataType.DOUBLE)
        return self("Sub", doubles, np.array(float(integers.zero)))


def _like(node: ir.Node, op_type: str, inputs: Sequence[ir.Value | None]) -> ir.Node:
    """A node with another's attributes."""
    made = ir.node(op_type, inputs)
    for attribute in node.attributes.values():
        made.attributes.add(attribute)
    return made


def _read(value: ir.Value | None) -> Integers | None:
    """The integers behind a float tensor, with one step for all."""
    moves: list[ir.Node] = []
    node = value.producer() if value is not None else None
    while node is not None and node.op_type in MOVING and node.inputs[0] is not None:
        moves.insert(0, node)
        node = node.inputs[0].producer()
    if node is None or node.op_type != "DequantizeLinear":
        return None
    integers, (scale, zero) = node.inputs[0], _step_and_zero(node)
    if integers is None or scale is None or zero is None:
        return None
    return Integers(integers, scale, zero, tuple(moves))


def _read_constant(value: ir.Value | None) -> Constant | None:
    """The constant integers behind a float tensor, moved as this is."""
    node = value.producer() if value is not None else None
    if node is None:
        return None
    if node.op_type in MOVING:
        inner = _read_constant(node.inputs[0])
        if inner is None:
            return None
        values, scales = _move(node, inner.values), _move(node, inner.scales)
        return Constant(values, scales) if values is not None and scales is not None else None
    values = _known(node.inputs[0]) if node.op_type == "DequantizeLinear" else None
    if values is None or (scale := _known(node.inputs[1])) is None:
        return None
    zero = _known(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else np.zeros_like(scale)
    if zero is None:
        return None
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 1
    around = [1] * values.ndim
    if scale.size > 1:
        around[axis] = scale.size
    distances = values.astype(np.int64) - (
        zero.astype(np.int64).reshape(around) if zero.size > 1 else int(zero.flat[0])
    )
    scale = scale.reshape(around) if scale.size > 1 else scale.reshape(())
    return Constant(distances, np.broadcast_to(scale, values.shape))


def _move(node: ir.Node, array: Array) -> Array | None:
    if node.op_type == "Identity":
        return array
    if node.op_type == "Transpose":
        perm = node.attributes.get("perm")
        return np.transpose(array, perm.as_ints() if perm is not None else None)
    if node.op_type == "Reshape":
        shape = _known(node.inputs[1])
        return array.reshape([int(size) for size in shape]) if shape is not None and 0 not in shape else None
    return None


def _known(value: ir.Value | None) -> Array | None:
    tensor = ir.convenience.get_const_tensor(value) if value is not None else None
    return tensor.numpy() if tensor is not None else None


def _step_and_zero(node: ir.Node) -> tuple[np.float32, np.int8 | np.uint8] | tuple[None, None]:
    """Those of a node that quantizes to 8 bits or back, where it has one step for all."""
    if len(node.inputs) < 3 or (scale := _known(node.inputs[1])) is None or (zero := _known(node.inputs[2])) is None:
        return None, None
    if scale.size != 1 or zero.dtype not in (np.int8, np.uint8):
        return None, None
    return scale.reshape(-1)[0], zero.reshape(-1)[0]


def _find_ending(value: ir.Value) -> Ending | None:
    """Where a result goes by way of nothing but clamping and moving."""
    low, high, is_next = -np.inf, np.inf, True
    while not value.is_graph_output():
        uses = list(value.uses())
        if len(uses) != 1 or uses[0].idx != 0:
            return None
        node = uses[0].node
        if node.op_type == "QuantizeLinear":
            step, zero = _step_and_zero(node)
            if step is None or zero is None:
                return None
            low, high = (float(np.rint(np.float32(limit) / step)) for limit in (low, high))
            return Ending(node, float(step), zero, low, high, is_next)
        bounds = _read_bounds(node)
        if bounds is not None:
            low, high = max(low, bounds[0]), min(high, bounds[1])
        elif node.op_type in MOVING | CLAMPING:
            is_next = False
        else:
            return None
        value = node.outputs[0]
    return None


def _read_bounds(node: ir.Node) -> tuple[float, float] | None:
    """What a node clamps to, where that is all it does and known."""
    if node.op_type == "Relu":
        return 0.0, np.inf
    if node.op_type != "Clip":
        return None
    inputs = [*node.inputs[1:], None, None][:2]
    bounds = [_known(each) for each in inputs]
    if any(bound is None and each is not None for bound, each in zip(bounds, inputs, strict=True)):
        return None
    low, high = bounds
    return -np.inf if low is None else float(low), np.inf if high is None else float(high)


def _times(write: _Writer, integers: ir.Value, factors: Factors, largest: int, has_negatives: bool = True) -> ir.Value:
    """Integers times factors, rounded as TFLite does, as doubles that are integers.

    Of the two roundings, the first with halves up and the second with halves away from zero, only a shift of the bound
    is left: `floor(x + 1/2 + d)` above zero and `floor(x + 1/2 - d)` below, where `d` is half of what the first keeps.

    Args:
        write: Where nodes go.
        integers: Doubles that are integers.
        factors: Of a shape that fits.
        largest: No integer is larger.
        has_negatives: Whether results below zero are told from zero.
    """
    left, right = int(factors.left.max()), int(factors.right.max())
    if (largest << left) < EXACT_DOUBLES and right <= MAX_EXACT_SHIFT:
        exact = np.ldexp(factors.multiplier.astype(np.float64), factors.left - factors.right - BITS)
        value = write("Mul", integers, exact)
    else:
        product = write("Mul", write("Cast", integers, to=ir.DataType.INT64), factors.multiplier << factors.left)
        # ONNX divides towards zero: what is divided is made positive first.
        lifted = write("Add", product, np.array((1 << 61) + (1 << (BITS - 1))))
        high = write("Sub", write("Div", lifted, np.array(1 << BITS)), np.array(1 << (61 - BITS)))
        value = write("Mul", write("Cast", high, to=ir.DataType.DOUBLE), np.ldexp(1.0, -factors.right))
    nudge = np.where(factors.right > 0, np.ldexp(0.5, -factors.right), 0.0)
    if has_negatives and nudge.any():
        value = write("Add", value, write("Mul", write("Sign", value), nudge))
        nudge = np.zeros_like(nudge)
    return write("Floor", write("Add", value, nudge + 0.5))


def _end(write: _Writer, integers: ir.Value, ending: Ending) -> Replacement:
    """Integers without a zero point in the place of the node's result, or of what it becomes when it is rounded."""
    floats = write("Cast", integers, to=ir.DataType.FLOAT)
    if not ending.is_next:
        result = write("Mul", floats, np.array(ending.step, np.float32))
        result.dtype, result.shape = ir.DataType.FLOAT, write.node.outputs[0].shape
        return write.node.outputs[0], result
    if ending.low > int(np.iinfo(ending.zero.dtype).min) - int(ending.zero) or np.isfinite(ending.high):
        floats = write("Clip", floats, *(np.array(limit, np.float32) for limit in (ending.low, ending.high)))
    before = ending.node.outputs[0]
    result = write("QuantizeLinear", floats, np.array(1, np.float32), np.array(ending.zero))
    result.type, result.shape = before.type, before.shape
    return before, result


def _convolve(node: ir.Node) -> Replacement | None:
    x, weights = _read(node.inputs[0]), _read_constant(node.inputs[1])
    ending = _find_ending(node.outputs[0])
    if x is None or weights is None or ending is None:
        return None
    bias = _read_bias(node.inputs[2] if len(node.inputs) > 2 else None)
    scales = weights.scales.reshape(len(weights.scales), -1)[:, 0]
    around = [1, -1, *[1] * (weights.values.ndim - 2)]
    return _weigh(node, "ConvInteger", x, weights, scales, bias, ending, around)


def _multiply_matrices(node: ir.Node) -> Replacement | None:
    x, weights = _read(node.inputs[0]), _read_constant(node.inputs[1])
    ending = _find_ending(node.outputs[0])
    if x is None or weights is None or ending is None or weights.values.ndim != 2:
        return None
    return _weigh(node, "MatMulInteger", x, weights, weights.scales[0], None, ending, [-1])


def _read_bias(value: ir.Value | None) -> Array | None:
    if value is None:
        return None
    bias = _read_constant(value)
    return bias.values.ravel() if bias is not None else None


def _weigh(
    node: ir.Node,
    op_type: str,
    x: Integers,
    weights: Constant,
    scales: Array,
    bias: Array | None,
    ending: Ending,
    around: Sequence[int],
) -> Replacement | None:
    has_bias = len(node.inputs) > 2 and node.inputs[2] is not None
    if np.abs(weights.values).max(initial=0) > 127 or has_bias != (bias is not None):
        return None
    write = _Writer(node)
    largest = x.largest * int(np.abs(weights.values).sum(axis=_summed(op_type, weights.values)).max())
    if largest < EXACT_FLOATS:
        sums = _sum_floats(write, x, weights.values)
    else:
        # Weights of signed bytes overflow in ONNX Runtime on processors without VNNI.
        operands = [(weights.values + 128).astype(np.uint8), np.array(x.zero), np.array(128, np.uint8)]
        sums = write.put(_like(node, op_type, [write.moved(x), *map(write.constant, operands)]))
    sums = write("Cast", sums, to=ir.DataType.DOUBLE)
    if bias is not None:
        sums = write("Add", sums, bias.astype(np.float64).reshape(around))
        largest += int(np.abs(bias).max())
    real = np.float64(x.scale) * scales.astype(np.float64) / np.float64(ending.step)
    factors = quantize_factors(real.reshape(around))
    return _end(write, _times(write, sums, factors, largest, ending.has_negatives), ending)


def _sum_floats(write: _Writer, x: Integers, weights: Array) -> ir.Value:
    """Sums that are exact in single precision, in which ONNX Runtime is several times as fast as on integers."""
    distances = write("DequantizeLinear", write.moved(x), np.array(1, np.float32), np.array(x.zero))
    # Kept as bytes in the package; ONNX Runtime converts constants when it loads.
    constant = write("Cast", write.constant(weights.astype(np.int8)), to=ir.DataType.FLOAT)
    return write.put(_like(write.node, write.node.op_type, [distances, constant]))


def _summed(op_type: str, weights: Array) -> tuple[int, ...]:
    return tuple(range(1, weights.ndim)) if op_type == "ConvInteger" else (0,)


def _multiply(node: ir.Node) -> Replacement | None:
    one, other, ending = _read(node.inputs[0]), _read(node.inputs[1]), _find_ending(node.outputs[0])
    if one is None or other is None or ending is None:
        return None
    write = _Writer(node)
    product = write("Mul", write.distances(one), write.distances(other))
    # In single precision, as TFLite has it here.
    real = np.float32(one.scale) * np.float32(other.scale) / np.float32(ending.step)
    factors = quantize_factors(float(real))
    return _end(write, _times(write, product, factors, one.largest * other.largest, ending.has_negatives), ending)


def _add(node: ir.Node) -> Replacement | None:
    one, other, ending = _read(node.inputs[0]), _read(node.inputs[1]), _find_ending(node.outputs[0])
    if one is None or other is None or ending is None:
        return None
    write = _Writer(node)
    twice = 2.0 * float(max(one.scale, other.scale))
    refined = []
    for each in (one, other):
        shifted = write("Mul", write.distances(each), np.array(2.0**ADDED_BITS))
        refined.append(_times(write, shifted, quantize_factors(float(each.scale) / twice), each.largest << ADDED_BITS))
    total = write(node.op_type, *refined)
    factors = quantize_factors(twice / (2.0**ADDED_BITS * ending.step))
    return _end(write, _times(write, total, factors, 1 << 30), ending)


def _average_windows(node: ir.Node) -> Replacement | None:
    x, ending = _read(node.inputs[0]), _find_ending(node.outputs[0])
    count = int(np.prod(node.attributes["kernel_shape"].as_ints()))
    if x is None or ending is None or ending.step != x.scale or count * 256 >= EXACT_DOUBLES:
        return None
    write = _Writer(node)
    values = write("Cast", write.moved(x), to=ir.DataType.FLOAT)
    ones = write("Add", write("Mul", values, np.array(0, np.float32)), np.array(1, np.float32))
    sums, counts = (write("Cast", _sum_windows(write, each, count), to=ir.DataType.DOUBLE) for each in (values, ones))
    # TFLite averages the integers themselves, zero point and all.
    halves = write("Floor", write("Mul", counts, np.array(0.5)))
    magnitude = write("Floor", write("Div", write("Add", write("Abs", sums), halves), counts))
    means = write("Mul", write("Sign", sums), magnitude)
    return _end(write, write("Sub", means, np.array(float(x.zero))), ending)


def _sum_windows(write: _Writer, values: ir.Value, count: int) -> ir.Value:
    pool = _like(write.node, "AveragePool", [values])
    pool.attributes["count_include_pad"] = ir.AttrInt64("count_include_pad", 1)
    return write("Round", write("Mul", write.put(pool), np.array(count, np.float32)))


def _average_axes(node: ir.Node) -> Replacement | None:
    x, ending = _read(node.inputs[0]), _find_ending(node.outputs[0])
    value = node.inputs[0]
    if x is None or ending is None or value is None or value.shape is None:
        return None
    rank = len(value.shape)
    axes = _reduced_axes(node, rank)
    sizes = [value.shape[axis] for axis in axes] if axes else []
    if not sizes or not all(isinstance(size, int) for size in sizes):
        return None
    count = int(np.prod([int(size) for size in sizes if isinstance(size, int)]))
    keep = node.attributes.get("keepdims")
    keepdims = 1 if keep is None else keep.as_int()
    write = _Writer(node)
    sums = write("ReduceSum", write.distances(x), np.array(axes, np.int64), keepdims=keepdims)
    factors = divide_factors(quantize_factors(float(x.scale) / ending.step), count)
    return _end(write, _times(write, sums, factors, x.largest * count), ending)


def _reduced_axes(node: ir.Node, rank: int) -> list[int]:
    if node.op_type == "GlobalAveragePool":
        return list(range(2, rank))
    known = _known(node.inputs[1]) if len(node.inputs) > 1 else None
    attribute = node.attributes.get("axes")
    given = attribute.as_ints() if attribute is not None else known.tolist() if known is not None else []
    return sorted(int(axis) % rank for axis in given)


def _look_up(node: ir.Node) -> Replacement | None:
    x, ending = _read(node.inputs[0]), _find_ending(node.outputs[0])
    if x is None or ending is None:
        return None
    write = _Writer(node)
    results = hard_swish(np.arange(256, dtype=np.int64) + x.lowest - int(x.zero), float(x.scale), ending.step)
    places = write("Sub", write("Cast", write.moved(x), to=ir.DataType.INT64), np.array(x.lowest))
    return _end(write, write("Gather", results.astype(np.float64), places), ending)


def _rescale(node: ir.Node) -> Replacement | None:
    """Integers of one step as those of another."""
    x, (step, zero) = _read(node.inputs[0]), _step_and_zero(node)
    if x is None or step is None or zero is None or (step == x.scale and zero == x.zero):
        return None
    write, ending = _Writer(node), Ending(node, float(step), zero, -np.inf, np.inf, is_next=True)
    factors = quantize_factors(float(x.scale) / ending.step)
    return _end(write, _times(write, write.distances(x), factors, x.largest), ending)


REWRITES: dict[str, Callable[[ir.Node], Replacement | None]] = {
    "Conv": _convolve,
    "MatMul": _multiply_matrices,
    "Mul": _multiply,
    "Add": _add,
    "Sub": _add,
    "AveragePool": _average_windows,
    "ReduceMean": _average_axes,
    "GlobalAveragePool": _average_axes,
    "HardSwish": _look_up,
    "QuantizeLinear": _rescale,
}

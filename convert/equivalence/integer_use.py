"""What a graph does with its integer inputs: index a table, calculate, or steer something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from transload.convert.capture import Array

Size = int | str | None
"""A number, the name of a dimension, or None where the graph does not tell."""

Kind = Literal["index", "calculation", "unknown"]


@dataclass(frozen=True)
class Limit:
    """`low <= value` and `value + offset < size`."""

    size: Size
    offset: int = 0
    low: int = 0


@dataclass(frozen=True)
class IntegerUse:
    """How one integer input is used.

    `index`: it reaches tables, and `limits` hold for its values. `calculation`: it only enters arithmetic, so any
    value is allowed. `unknown`: it reaches something else (a shape, a divisor, a loop), or a table by a way that
    cannot be followed.
    """

    kind: Kind
    limits: tuple[Limit, ...] = ()


# The input of an operator that holds indices into its first input.
INDEXING = {
    "Gather": 1,
    "GatherElements": 1,
    "GatherND": 1,
    "Scatter": 1,
    "ScatterElements": 1,
    "ScatterND": 1,
}

# Operators whose outputs hold the very values of these inputs.
CARRIERS: dict[str, tuple[int, ...]] = {
    "Cast": (0,),
    "Identity": (0,),
    "Reshape": (0,),
    "Flatten": (0,),
    "Squeeze": (0,),
    "Unsqueeze": (0,),
    "Transpose": (0,),
    "Slice": (0,),
    "Split": (0,),
    "Expand": (0,),
    "Tile": (0,),
    "Gather": (0,),
    "GatherElements": (0,),
    "GatherND": (0,),
    "Compress": (0,),
    "Clip": (0,),
    "Pad": (0,),
    "ReduceMax": (0,),
    "ReduceMin": (0,),
    "Where": (1, 2),
    "ScatterElements": (0, 2),
    "ScatterND": (0, 2),
}

# Operators where the place of an input says that its values are sizes, positions or divisors, not data.
STEERING: dict[str, tuple[int, ...]] = {
    "Reshape": (1,),
    "Expand": (1,),
    "Tile": (1,),
    "ConstantOfShape": (0,),
    "Range": (0, 1, 2),
    "Slice": (1, 2, 3, 4),
    "Pad": (1, 3),
    "Resize": (1, 2, 3),
    "Upsample": (1,),
    "TopK": (1,),
    "OneHot": (1,),
    "Split": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
    "Trilu": (1,),
    "CumSum": (1,),
    "BitShift": (1,),
    "Div": (1,),
    "Mod": (1,),
    "ReverseSequence": (1,),
    "RandomNormalLike": (0,),
    "Bernoulli": (0,),
    "CenterCropPad": (1,),
    "AffineGrid": (1,),
    "SequenceAt": (1,),
    "SequenceInsert": (2,),
    "SequenceErase": (1,),
    "Loop": tuple(range(1000)),
    "Scan": tuple(range(1000)),
    "If": (0,),
}

# What these give is true or false (or a count of a tensor's own size): the values themselves end there.
ENDINGS = frozenset(
    {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "IsNaN", "IsInf", "Not", "Shape", "Size"}
)

RECURRENT = frozenset({"RNN", "LSTM", "GRU"})


def find_integer_uses(model: ir.Model) -> dict[str, IntegerUse]:
    """The use of each integer input of the graph, by name. The model is not changed."""
    model = model.clone()
    inputs = [value for value in model.graph.inputs if value.dtype is not None and value.dtype.is_integer()]
    if inputs and any(node.op_type in INDEXING for node in model.graph.all_nodes()):
        # Exporters leave shapes out; without them the size of a table that is computed is not known.
        model = ShapeInferencePass(strict_mode=False)(model).model
        inputs = [value for value in model.graph.inputs if value.dtype is not None and value.dtype.is_integer()]
    return {str(value.name): _follow(value, model) for value in inputs}


def _follow(start: ir.Value, model: ir.Model) -> IntegerUse:
    """Walk forward from an input. `offset` is what was added on the way, None where that cannot be said."""
    limits: dict[Limit, None] = {}
    steering = False
    seen: set[tuple[ir.Value, int | None]] = set()
    queue: list[tuple[ir.Value, int | None]] = [(start, 0)]
    while queue:
        value, offset = queue.pop()
        if (value, offset) in seen:
            continue
        # A value that is added to again and again has no one offset.
        if offset is not None and sum(1 for other, _ in seen if other is value) > 8:
            offset = None
        seen.add((value, offset))
        for node, place in value.uses():
            found = _limits(node, place, offset)
            if found is None or _steers(node, place, model):
                steering = True
                continue
            limits.update(dict.fromkeys(found))
            queue += [(output, after) for output, after in _outputs(node, place, offset)]
    # A limit that only negative values meet belongs to the branch that wraps negative indices.
    usable = tuple(limit for limit in limits if limit.low >= 0)
    usable = tuple(
        limit
        for limit in usable
        if not isinstance(limit.size, int) or limit.size - 1 - limit.offset >= max(limit.low, 0)
    )
    if usable:
        return IntegerUse("index", usable)
    return IntegerUse("unknown" if steering or limits else "calculation")


def _limits(node: ir.Node, place: int, offset: int | None) -> list[Limit] | None:
    """The limits that a consumer sets, or None where it indexes by values that cannot be followed."""
    if node.op_type in INDEXING and place == INDEXING[node.op_type]:
        if offset is None:
            return None
        return [Limit(size, offset, max(0, -offset)) for size in _table_sizes(node)]
    if node.op_type == "OneHot" and place == 0:
        depth = _constant(node.inputs[1])
        return None if offset is None or depth is None else [Limit(int(depth.flat[0]), offset, max(0, -offset))]
    if node.op_type in RECURRENT and place == 4:
        layout = node.attributes.get_int("layout", 0)
        return None if offset is None else [Limit(_size(node.inputs[0], 0 if not layout else 1), offset - 1, 1)]
    return []


def _steers(node: ir.Node, place: int, model: ir.Model) -> bool:
    if node.domain not in ("", "ai.onnx"):
        return True
    if node.op_type in ("Div", "Mod") and place == 0:
        divisor = _constant(node.inputs[1])
        # A division of the lowest integer by -1 stops the process, as one by 0 does.
        return divisor is not None and bool(np.isin(divisor, (0, -1)).any())
    if node.op_type.startswith("Reduce") and place == 1:
        return True
    return place in STEERING.get(node.op_type, ())


def _outputs(node: ir.Node, place: int, offset: int | None) -> list[tuple[ir.Value, int | None]]:
    """Where the values go on to, and with what added."""
    after: int | None = None
    if node.op_type in ENDINGS or (node.op_type in INDEXING and place == INDEXING[node.op_type]):
        return []
    if (node.op_type == "OneHot" and place == 0) or (node.op_type in RECURRENT and place == 4):
        return []
    if node.op_type == "Concat" or place in CARRIERS.get(node.op_type, ()):
        after = offset
    elif node.op_type in ("Add", "Sub") and offset is not None:
        other = _constant(node.inputs[1 - place])
        if other is not None and other.size and np.all(other == other.flat[0]):
            if node.op_type == "Add":
                after = offset + int(other.flat[0])
            elif place == 0:
                after = offset - int(other.flat[0])
    return [(output, after) for output in node.outputs]


def _table_sizes(node: ir.Node) -> list[Size]:
    table = node.inputs[0]
    if node.op_type.endswith("ND"):
        first = node.attributes.get_int("batch_dims", 0)
        shape = _shape(table)
        indices = node.inputs[1]
        depth = _size(indices, -1)
        if shape is None:
            return [None]
        return list(shape[first : first + depth] if isinstance(depth, int) else shape[first:])
    return [_size(table, node.attributes.get_int("axis", 0))]


def _size(value: ir.Value | None, axis: int) -> Size:
    shape = _shape(value)
    if shape is None or not -len(shape) <= axis < len(shape):
        return None
    return shape[axis]


def _shape(value: ir.Value | None) -> list[Size] | None:
    while value is not None:
        if value.const_value is not None:
            return list(value.const_value.shape.numpy())
        if value.shape is not None:
            return [dim if isinstance(dim, int) else dim.value for dim in value.shape]
        node = value.producer()
        if node is None or node.op_type not in ("Identity", "Cast", "DequantizeLinear", "QuantizeLinear"):
            return None
        value = node.inputs[0]
    return None


def _constant(value: ir.Value | None) -> Array | None:
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None or tensor.size > 1024 else tensor.numpy()

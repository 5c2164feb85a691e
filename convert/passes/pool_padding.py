"""A pass: shape the graph so that ONNX Runtime cannot fold a zero Pad into the pooling that follows it."""

from __future__ import annotations

from typing import TypeVar

import onnx_ir as ir

from transload.convert.passes.constants import insert_axes

Value = TypeVar("Value")

POOLS = frozenset({"MaxPool", "AveragePool"})

# Nodes that ONNX Runtime drops or moves before it looks for Pad and pool side by side.
TRANSPARENT = frozenset({"Identity", "Dropout", "Cast", "Transpose", "Squeeze", "Unsqueeze", "Reshape"})

AXES_SINCE_OPSET = 18
INDICES_SINCE_OPSET = 8


class GuardPoolPaddingPass(ir.passes.InPlacePass):
    """Keep `Pad` and pooling apart.

    ONNX Runtime's optimiser Pad_Fusion folds `Pad` with value 0 into a following pool. The padding of MaxPool means
    minus infinity, so an all-negative input gives the maximum of the negatives instead of 0; AveragePool leaves its
    padding out of the count. Measured: 1.31.1 is wrong for MaxPool, 1.20.1 for both. Both are right after these rules,
    each of which the optimiser takes as a reason not to fold:

    1. In a model with a `Pad`, a pool that pads nothing itself and does not round up gets `auto_pad=VALID`, which says
       the same and costs nothing.
    2. Another pool that a `Pad` feeds, from opset 18: the Pad names all its axes in its `axes` input.
    3. Another MaxPool that a `Pad` feeds, below opset 18: it gets its second output, Indices, which nobody uses.

    Left alone: AveragePool with padding of its own or rounding up below opset 18 (right in 1.31.1; no form is known
    that 1.20 does not fold); pools with another `auto_pad`, which are not folded; pads in a mode other than constant
    or with another value, which only rule 1 touches; Conv, whose padding is zero.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        nodes = [node for node in model.graph.all_nodes() if node.domain in ("", "ai.onnx")]
        modified = False
        if any(node.op_type == "Pad" for node in nodes):
            opset = model.opset_imports.get("", 1)
            for node in nodes:
                if node.op_type in POOLS and _attribute(node, "auto_pad", "NOTSET") == "NOTSET":
                    modified |= _guard(node, opset)
        return ir.passes.PassResult(model, modified)


def _guard(pool: ir.Node, opset: int) -> bool:
    if not any(_attribute(pool, "pads", ())) and not _attribute(pool, "ceil_mode", 0):
        pool.attributes.pop("pads", None)
        pool.attributes["auto_pad"] = ir.AttrString("auto_pad", "VALID")
        return True
    pad = _feeding_pad(pool)
    if pad is None:
        return False
    if opset >= AXES_SINCE_OPSET:
        return _name_axes(pad)
    if pool.op_type == "MaxPool" and opset >= INDICES_SINCE_OPSET and len(pool.outputs) == 1:
        pool.resize_outputs(2)
        pool.outputs[1].name = f"{pool.outputs[0].name}_indices"
        pool.outputs[1].dtype = ir.DataType.INT64
        pool.outputs[1].shape = pool.outputs[0].shape
        return True
    return False


def _feeding_pad(pool: ir.Node) -> ir.Node | None:
    value = pool.inputs[0]
    while value is not None and (node := value.producer()) is not None and node.domain in ("", "ai.onnx"):
        if node.op_type == "Pad":
            return node
        if node.op_type not in TRANSPARENT:
            return None
        value = node.inputs[0]
    return None


def _name_axes(pad: ir.Node) -> bool:
    pads = pad.inputs[1]
    if len(pad.inputs) > 3 or pads is None:
        return False
    rank = _rank(pad)
    if rank is None or pad.graph is None:
        return False
    pad.resize_inputs(4)
    insert_axes(pad, 3, range(rank))
    return True


def _rank(pad: ir.Node) -> int | None:
    pads = pad.inputs[1]
    assert pads is not None
    constant = ir.convenience.get_const_tensor(pads)
    if constant is not None:
        return constant.size // 2
    for value in (pad.inputs[0], pad.outputs[0]):
        if value is not None and value.shape is not None:
            return value.shape.rank()
    return None


def _attribute(node: ir.Node, name: str, default: Value) -> Value:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.value

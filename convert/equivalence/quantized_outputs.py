"""The steps of outputs that a graph quantizes, and the rule for them: one step off now and then, no more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from transload.convert.capture import Array
from transload.runtime.comparison import NOISE_FACTOR, OutputComparison

STEP_SHARE = 0.001
"""Of an output's elements, so many may be a step off."""

ROUNDING = 1e-4
"""Of a step: what multiplying by its size may add."""

MOVING = frozenset({"Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Gather"})
"""Operators that leave the values of their first input as they are."""


def find_steps(model: ir.Model) -> dict[str, float]:
    """The step of each output that a QuantizeLinear, or a DequantizeLinear with one scale for all, gives.

    Left out: outputs that are calculated further, and those with a scale for each channel, or of which none is known.
    """
    steps = {}
    for output in model.graph.outputs:
        node = output.producer()
        while node is not None and node.op_type in MOVING and node.inputs[0] is not None:
            node = node.inputs[0].producer()
        if node is None or output.name is None:
            continue
        if node.op_type == "QuantizeLinear":
            steps[output.name] = 1.0
        elif node.op_type == "DequantizeLinear" and node.inputs[1] is not None:
            scale = ir.convenience.get_const_tensor(node.inputs[1])
            if scale is not None and scale.size == 1:
                steps[output.name] = float(scale.numpy().ravel()[0])
    return steps


def allow_steps(row: OutputComparison, ours: Array, reference: Array, step: float) -> OutputComparison:
    """The comparison, passed if at most 0.1 % of the elements are off, and each by one step.

    A step of rounding may fall the other way in ONNX Runtime than in the source, whose integer kernels multiply by a
    rounded factor. Shapes and dtypes must agree, and so must the places of NaN and infinities.
    """
    if row.passed or ours.dtype != reference.dtype or ours.shape != reference.shape:
        return row
    one, other = np.asarray(ours, np.float64), np.asarray(reference, np.float64)
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return row
    off = np.abs(one - other)
    count = int(np.count_nonzero(off > ROUNDING * step))
    if off.max(initial=0.0) > (1 + ROUNDING) * step or count > STEP_SHARE * off.size:
        return row
    reason = f"{count} of {off.size} elements are one step of quantization off"
    return replace(row, passed=True, reason=reason, by_noise=True, noise=step / NOISE_FACTOR)

"""Saying which part is wrong when outputs differ: the capture, an optimisation, or the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from transload.convert.capture import Array, Feed
from transload.runtime.comparison import compare_output
from transload.serialize.dtypes import FLOATS, dtype_from_numpy
from transload.serialize.interface import Tolerance

LIMIT_BYTES = 50 << 20
"""Graphs with more weights are not run in onnx.reference, which is plain numpy and slow."""

LOOSE = Tolerance(rtol=1e-3, atol=1e-4)
"""Two results that agree within this have the same fault, or both none; finer questions are the comparison's."""


Culprit = Literal["capture", "optimisation", "runtime", "unknown"]

KERNELS_THAT_LOSE_NAN = frozenset({"GRU", "LSTM", "RNN", "ReduceMax", "ReduceMin", "GlobalMaxPool"})
"""Operators whose kernels in ONNX Runtime 1.31.1 give numbers where a NaN came in; test_blame.py measures it."""


@dataclass(frozen=True)
class Blame:
    """Which part is wrong, and a sentence that says how it is known."""

    culprit: Culprit
    sentence: str


def find_blame(
    model: ir.Model, feed: Feed, source: Mapping[str, Array], plain: Mapping[str, Array], *, is_plain_right: bool
) -> Blame:
    """Which part is wrong on one input set.

    Args:
        model: The captured graph.
        feed: The inputs on which outputs differ.
        source: What the source framework gave.
        plain: What ONNX Runtime gave with optimisations off.
        is_plain_right: That agrees with the source; then an optimisation is to blame.
    """
    if is_plain_right:
        return Blame("optimisation", "an optimisation of ONNX Runtime; with optimisations off the outputs agree.")
    reference = _run_reference(model, feed)
    if reference is None:
        return Blame("unknown", "not told apart; the graph is too large for onnx.reference, or it lacks an operator.")
    if _agree(reference, plain):
        return Blame("capture", "the capture; onnx.reference computes from the graph what ONNX Runtime computes.")
    if _agree(reference, source):
        return Blame("runtime", "ONNX Runtime; onnx.reference computes from the graph what the source computes.")
    return Blame("unknown", "not told apart; onnx.reference agrees with neither the source nor ONNX Runtime.")


def find_kernels_that_lose_nan(model: ir.Model) -> tuple[str, ...]:
    """The operators of a graph that are among `KERNELS_THAT_LOSE_NAN`, sorted."""
    return tuple(sorted({node.op_type for node in model.graph.all_nodes()} & KERNELS_THAT_LOSE_NAN))


def _run_reference(model: ir.Model, feed: Feed) -> dict[str, Array] | None:
    tensors = [value.const_value for graph in model.graphs() for value in graph.initializers.values()]
    if sum(tensor.nbytes for tensor in tensors if tensor is not None) > LIMIT_BYTES:
        return None
    try:
        evaluator = ReferenceEvaluator(ir.to_proto(ir.external_data.load_to_model(model.clone())))
        outputs = evaluator.run(None, dict(feed))
    except Exception:
        # The reference implementation is incomplete and raises whatever numpy raises; blame is a courtesy.
        return None
    return {str(value.name): np.asarray(out) for value, out in zip(model.graph.outputs, outputs, strict=True)}


def _agree(a: Mapping[str, Array], b: Mapping[str, Array]) -> bool:
    """Whether two sets of outputs are the same but for rounding."""
    if set(a) != set(b):
        return False
    for name in b:
        floats = dtype_from_numpy(b[name].dtype) in FLOATS
        scale = float(np.nan_to_num(np.abs(b[name]), posinf=0.0).max(initial=0.0)) if floats else 1.0
        tolerance = Tolerance(LOOSE.rtol, LOOSE.atol * max(scale, 1e-30))
        if not compare_output(name, a[name], b[name], tolerance).passed:
            return False
    return True

"""Saying which part is wrong when outputs differ: the capture, an optimisation, or the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from transload.convert.capture import Array, Feed
from transload.convert.equivalence.graph_runs import agree_loosely, run_in_reference

Culprit = Literal["capture", "optimisation", "runtime", "unknown"]


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
    reference = run_in_reference(model, feed)
    if reference is None:
        return Blame("unknown", "not told apart; the graph is too large for onnx.reference, or it lacks an operator.")
    if agree_loosely(reference, plain):
        return Blame("capture", "the capture; onnx.reference computes from the graph what ONNX Runtime computes.")
    if agree_loosely(reference, source):
        return Blame("runtime", "ONNX Runtime; onnx.reference computes from the graph what the source computes.")
    return Blame("unknown", "not told apart; onnx.reference agrees with neither the source nor ONNX Runtime.")

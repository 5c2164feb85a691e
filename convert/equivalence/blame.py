"""Saying which part is wrong when outputs differ: the capture, an optimisation, or the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from transload.convert.capture import Array, Feed
from transload.convert.equivalence.graph_runs import agree_loosely, run_in_reference
from transload.convert.equivalence.sides import Sides
from transload.serialize.dtypes import FLOATS, dtype_from_numpy

Culprit = Literal["capture", "optimisation", "runtime", "unknown"]


@dataclass(frozen=True)
class Blame:
    """Which part is wrong, and a sentence that says how it is known."""

    culprit: Culprit
    sentence: str


def find_blame(
    sides: Sides,
    feed: Feed,
    source: Mapping[str, Array],
    plain: Mapping[str, Array],
    optimized: Mapping[str, Array],
    *,
    is_plain_right: bool,
) -> Blame:
    """Which part is wrong on one input set.

    Args:
        sides: The source, and the graph that was run.
        feed: The inputs on which outputs differ.
        source: What the source framework gave.
        plain, optimized: What the graph gave in ONNX Runtime with optimisations off and on.
        is_plain_right: The former agrees with the source; then an optimisation is to blame.
    """
    if sides.optimized is sides.plain:
        return Blame("unknown", f"not told apart; {sides.engine} has no graph to run otherwise.")
    reference = run_in_reference(sides.capture.model, feed)
    far = _say_how_far(sides, feed, source, {"onnx.reference": reference, "off": plain, "on": optimized})
    if is_plain_right:
        return Blame(
            "optimisation", f"an optimisation of ONNX Runtime; with optimisations off the outputs agree. {far}"
        )
    if reference is None:
        why = "the graph is too large for onnx.reference, or it lacks an operator"
        return Blame("unknown", f"not told apart; {why}. {far}")
    if agree_loosely(reference, plain):
        why = "onnx.reference computes from the graph what ONNX Runtime computes"
        return Blame("capture", f"the {sides.graph}; {why}. {far}")
    if agree_loosely(reference, source):
        why = "onnx.reference computes from the graph what the source computes"
        return Blame("runtime", f"ONNX Runtime; {why}. {far}")
    why = "onnx.reference agrees with neither the source nor ONNX Runtime"
    return Blame("unknown", f"not told apart; {why}. {far}")


def _say_how_far(
    sides: Sides, feed: Feed, source: Mapping[str, Array], others: Mapping[str, Mapping[str, Array] | None]
) -> str:
    """How far each other result lies from the source's, as a clause in brackets."""
    try:
        wide = sides.capture.reference.run_float64(feed)
    except Exception:
        # Frameworks raise anything where an operator lacks float64.
        wide = None
    words = {"off": "ONNX Runtime with optimisations off", "on": "on"}
    parts = [
        f"{words.get(name, name)} {_distance(outputs, source)}"
        for name, outputs in {"its own float64": wide, **others}.items()
        if outputs is not None
    ]
    return f"(Largest difference from the source: {', '.join(parts)}.)"


def _distance(outputs: Mapping[str, Array], source: Mapping[str, Array]) -> str:
    largest = 0.0
    for name, expected in source.items():
        found = outputs.get(name)
        if found is None or found.shape != expected.shape:
            return "another shape"
        if dtype_from_numpy(expected.dtype) in FLOATS and expected.size:
            with np.errstate(invalid="ignore", over="ignore"):
                errors = np.abs(np.asarray(found, np.float64) - np.asarray(expected, np.float64))
            largest = max(largest, float(np.max(errors[np.isfinite(errors)], initial=0.0)))
        elif not np.array_equal(found, expected):
            return "other values"
    return f"{largest:.2g}"

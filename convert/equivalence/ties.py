"""Sets on which the source does not say what is right: which of equal elements `torch.topk` names first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from transload.convert.capture import Array, Capture, Feed
from transload.convert.equivalence.graph_runs import show_in_runtime
from transload.convert.equivalence.node_reads import list_reads
from transload.serialize.dtypes import FLOATS, dtype_from_numpy

SPREAD = 1e-3
"""By how much of the largest element floats are moved apart, at most."""


@dataclass(frozen=True)
class Ties:
    """Where a sort met equal elements.

    Args:
        outputs: The outputs of the graph that depend on which of them comes first.
        apart: Inputs close by on which no sort meets any.
    """

    outputs: frozenset[str]
    apart: dict[str, Array]


def find_ties(capture: Capture, feed: Feed) -> Ties | None:
    """The ties on `feed`; None where there are none, where none can be undone, or where the source says which of equal
    elements comes first.

    ONNX names the lowest index first, as TensorFlow does. Of torch.topk "the indices of tied elements are not
    guaranteed to be stable and may vary across different invocations". Sorts inside of branches and loops are not
    looked at.
    """
    met = _meet_ties(capture.model, feed) if capture.source.framework == "torch" else []
    if not met:
        return None
    rng = np.random.default_rng(0)
    apart = {name: _move(array, rng) for name, array in feed.items()}
    if _meet_ties(capture.model, apart):
        return None
    reached = _follow(capture.model.graph, (node.outputs[1] for node in met))
    return Ties(frozenset(str(value.name) for value in capture.model.graph.outputs if value in reached), apart)


def _meet_ties(model: ir.Model, feed: Feed) -> list[ir.Node]:
    """Each TopK for which the elements that it gives, or the first that it leaves out, are not all different."""
    nodes = [node for node in model.graph if node.op_type == "TopK"]
    names = [str(value.name) for node in nodes for value in (node.inputs[0], node.outputs[0]) if value is not None]
    found = show_in_runtime(model, feed, names) if nodes else None
    # The input of a TopK may be the graph's own.
    return [] if found is None else [node for node in nodes if _has_ties(node, {**feed, **found})]


def _follow(graph: ir.Graph, values: Iterable[ir.Value]) -> set[ir.Value]:
    """All values of a graph that depend on some of them."""
    reached = set(values)
    for node in graph:
        if reached.intersection(list_reads(node)):
            reached.update(node.outputs)
    return reached


def _has_ties(node: ir.Node, found: Feed) -> bool:
    data, kept = (found[str(value.name)] for value in (node.inputs[0], node.outputs[0]) if value is not None)
    axis = node.attributes.get_int("axis", -1)
    ordered = np.moveaxis(np.sort(data, axis=axis), axis, -1)
    ordered = ordered[..., ::-1] if node.attributes.get_int("largest", 1) else ordered
    first = ordered[..., : kept.shape[axis] + 1]
    return bool(np.any(first[..., 1:] == first[..., :-1]))


def _move(array: Array, rng: np.random.Generator) -> Array:
    if dtype_from_numpy(array.dtype) not in FLOATS or not array.size:
        return array
    largest = float(np.abs(array[np.isfinite(array)]).max(initial=0.0)) or 1.0
    return np.asarray(array + SPREAD * largest * rng.standard_normal(array.shape)).astype(array.dtype)

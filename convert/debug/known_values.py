"""Which values of a graph the source shows too, and a graph that runs on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from transload.convert.capture import Array, Feed
from transload.convert.equivalence.graph_runs import run_in_runtime, show_in_runtime
from transload.convert.passes.metadata import TAP_KEY
from transload.runtime.comparison import OutputComparison, compare_output, default_tolerance
from transload.serialize.interface import Tolerance

CUT = "transload_cut_"


@dataclass(frozen=True)
class Known:
    """What the source says of a graph's values, by their names in the graph.

    Args:
        values: What the source has there.
        taps: The source's own names.
        doubtful: Values under which a fresh capture has something else: either the name means something else in the
            graph, or the capture is wrong there.
        fresh: What a fresh capture gives there, each node of it run on the source's own values.
    """

    values: dict[str, Array]
    taps: dict[str, str]
    doubtful: dict[str, Array] = field(default_factory=dict)
    fresh: dict[str, Array] = field(default_factory=dict)


def match_taps(model: ir.Model, taps: Feed) -> dict[str, str]:
    """The source's name for each value of the main graph that the source shows too, by the value's name."""
    names: dict[str, str] = {}
    for node in model.graph:
        tap = node.metadata_props.get(TAP_KEY, "")
        for index, value in enumerate(node.outputs):
            if index == 0 and tap in taps:
                names[str(value.name)] = tap
            elif value.name in taps:
                names[str(value.name)] = str(value.name)
    return names


@dataclass(frozen=True)
class Fresh:
    """A fresh capture of the source: its graph, its inputs, and the source's outputs for them, under its own names."""

    model: ir.Model
    feed: Feed
    outputs: Feed


def find_known(model: ir.Model, feed: Feed, fresh: Fresh, taps: Feed) -> Known:
    """The values of a package's graph that the source shows.

    A converter may well give a tensor's name to another one: tf2onnx makes two nodes of `Rsqrt`, and the first gets
    the name of the whole; images may come with axes swapped. So each match is tried with a fresh capture, each of
    whose nodes runs on the source's own values. Where it gives what the source gives without those that differ, their
    names mean something else; otherwise it may be wrong itself, and they stay `doubtful`.

    Args:
        model, feed: The package's graph, and its inputs.
        fresh: The fresh capture.
        taps: Intermediate values of the source.
    """
    names = match_taps(fresh.model, taps)
    own = match_taps(model, taps) or names
    shown = _fit(fresh.model, fresh.feed, {name: taps[tap] for name, tap in names.items()}, same_shape=True)
    found = run_on(fresh.model, fresh.feed, shown)
    right, doubtful = ({}, {}) if found is None else _divide(shown, found)
    if doubtful:
        found = run_on(fresh.model, fresh.feed, right)
        if found is not None and not _divide({**right, **fresh.outputs}, found)[1]:
            doubtful = {}
    unjudged = {name: taps[tap] for name, tap in own.items() if name not in names or found is None}
    return Known(
        _fit(model, feed, unjudged | {name: right[name] for name in own if name in right}, same_shape=False),
        {**names, **own},
        _fit(model, feed, {name: doubtful[name] for name in own if name in doubtful}, same_shape=False),
        found or {},
    )


def _divide(values: Feed, found: Feed) -> tuple[dict[str, Array], dict[str, Array]]:
    """The values that a graph gives too, and the others."""
    passed = {name for name, value in values.items() if compare_loosely(name, found[name], value).passed}
    return (
        {name: value for name, value in values.items() if name in passed},
        {name: value for name, value in values.items() if name not in passed},
    )


def run_on(model: ir.Model, feed: Feed, known: Mapping[str, Array]) -> dict[str, Array] | None:
    """What a graph gives at its outputs and at known values, where each node reads those that are known, not those that
    the graph computes; None where it cannot run."""
    cut, cuts = _cut(model, known)
    return run_in_runtime(cut, {**feed, **cuts})


def compare_loosely(name: str, ours: Array, reference: Array) -> OutputComparison:
    """Looser than an output is compared: one operator may well sum in another order."""
    standard = default_tolerance(reference)
    if not standard.rtol:
        return compare_output(name, ours, reference, standard)
    numbers = np.abs(np.asarray(reference, np.float64))
    largest = float(numbers[np.isfinite(numbers)].max(initial=0.0))
    loose = Tolerance(rtol=100 * standard.rtol, atol=10 * standard.rtol * largest)
    return compare_output(name, ours, reference, loose)


def _fit(model: ir.Model, feed: Feed, values: Mapping[str, Array], *, same_shape: bool) -> dict[str, Array]:
    """Those values that have the dtype, and the shape, that the graph has for them; integers in the graph's width."""
    found = show_in_runtime(model, feed, values)
    if found is None:
        return dict(values)
    fitting = {}
    for name, value in values.items():
        dtype = found[name].dtype
        if dtype.kind in "iu" and value.dtype.kind in "iu" and np.array_equal(value.astype(dtype), value):
            value = value.astype(dtype)
        if value.dtype == dtype and (value.shape == found[name].shape or not same_shape):
            fitting[name] = value
    return fitting


def _cut(model: ir.Model, known: Mapping[str, Array]) -> tuple[ir.Model, dict[str, Array]]:
    """The graph with each known value read from an input of its own, and given out as it is computed."""
    copy = model.clone()
    graph = copy.graph
    cuts: dict[str, Array] = {}
    values = [value for node in graph for value in node.outputs if value.name in known]
    for value in values:
        array = known[str(value.name)]
        given = ir.Value(name=CUT + str(value.name))
        given.dtype, given.shape = ir.DataType.from_numpy(array.dtype), ir.Shape(array.shape)
        if value.uses():
            for user, place in list(value.uses()):
                user.replace_input_with(place, given)
            graph.inputs.append(given)
            cuts[given.name or ""] = array
        value.dtype, value.shape = value.dtype or ir.DataType.from_numpy(array.dtype), None
    outputs = list(graph.outputs)
    graph.outputs.clear()
    graph.outputs.extend(dict.fromkeys([*values, *outputs]))
    return copy, cuts

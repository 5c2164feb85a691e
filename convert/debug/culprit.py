"""The first node of a graph whose value is not what the source has there, found in one run of the graph.

Every value that the source shows too becomes an input of the graph, fed with the source's own value; so each node is
judged on right inputs, and no error of an earlier one reaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import onnx
import onnx_ir as ir

from transload.convert.capture import Array, Feed
from transload.convert.debug.known_values import Known, compare_loosely, run_on
from transload.convert.equivalence.graph_runs import show_in_runtime
from transload.convert.equivalence.node_reads import list_reads
from transload.convert.equivalence.sides import same_bytes
from transload.convert.passes.metadata import SOURCE_KEY
from transload.runtime.comparison import NOISE_FACTOR, OutputComparison, compare_output, default_tolerance

Judge = Callable[[str, Array, Array], OutputComparison]
"""Compares a value with the source's, by name."""


@dataclass(frozen=True)
class Culprit:
    """Where a graph and its source first part.

    Args:
        node: The ONNX node, by name; it makes `value`.
        op_type, line: Its operator, and its source line where the capture kept one.
        value: The first tensor that differs; `source_name` is the source's word for it.
        row: How it differs.
        region: The nodes, by name, between tensors that the source shows: the fault is in one of them.
        model, feed: The smallest graph that shows it alone, and what to feed it.
        ours, reference: Both values of the tensor.
    """

    node: str
    op_type: str
    line: str
    value: str
    source_name: str
    row: OutputComparison
    region: tuple[str, ...]
    model: ir.Model
    feed: dict[str, Array]
    ours: Array
    reference: Array


def find_culprit(model: ir.Model, feed: Feed, known: Known, source: Feed) -> Culprit | None:
    """The first node, in the graph's order, that gives something else from the source's own values; None if none does.

    Args:
        model: The graph. It is not changed.
        feed: Its inputs.
        known: Intermediate values of the source.
        source: The source's outputs, by the names of the graph's.
    """
    values = known.values | dict(source)
    # A node may fail on right inputs only; then the graph's own values have to do.
    outputs = run_on(model, feed, values) or show_in_runtime(model, feed, values)
    if outputs is None:
        return None
    order = [str(value.name) for node in model.graph for value in node.outputs if value.name in values]
    alone = [partial(_compare_with_fresh, known, judge) for judge in (compare_loosely, _compare_as_output)]
    judges: list[Judge] = [*alone, compare_loosely, _compare_as_output, partial(_compare_bits, known)]
    for judge in judges:
        for name in order:
            row = judge(name, outputs[name], values[name])
            if not row.passed:
                first = _Difference(name, row, outputs[name])
                return _describe(model, feed, known, values, _narrow(model, feed, known, values, first, judge))
    return None


@dataclass(frozen=True)
class _Difference:
    """A value that differs, by name, how, and what the graph has there."""

    name: str
    row: OutputComparison
    ours: Array


def _narrow(
    model: ir.Model, feed: Feed, known: Known, values: dict[str, Array], found: _Difference, judge: Judge
) -> _Difference:
    """The first doubtful value before a difference that mends it where the source's own takes its place: then a fresh
    capture is wrong there too. A value whose name means something else mends nothing. `values` gains what is found."""
    region, _ = _region(model, found.name, values)
    for name in (str(value.name) for node in region for value in node.outputs if value.name in known.doubtful):
        more = {**values, name: known.doubtful[name]}
        outputs = run_on(model, feed, more)
        if outputs is not None and judge(found.name, outputs[found.name], values[found.name]).passed:
            values[name] = known.doubtful[name]
            return _Difference(name, judge(name, outputs[name], values[name]), outputs[name])
    return found


def _compare_as_output(name: str, ours: Array, reference: Array) -> OutputComparison:
    return compare_output(name, ours, reference, default_tolerance(reference))


def _compare_with_fresh(known: Known, judge: Judge, name: str, ours: Array, reference: Array) -> OutputComparison:
    """As `judge`, but what is no worse than a fresh capture has it counts as right: that is rounding, or a fault of
    ONNX Runtime's, and the package may well have one of its own besides."""
    row = judge(name, ours, reference)
    if row.passed or name not in known.fresh:
        return row
    fresh = judge(name, known.fresh[name], reference)
    return replace(row, passed=not fresh.passed and row.max_abs_error <= NOISE_FACTOR * fresh.max_abs_error)


def _compare_bits(known: Known, name: str, ours: Array, reference: Array) -> OutputComparison:
    """Whether anything differs from a fresh capture: faults too small to show in one place may add up to one that
    does."""
    row = _compare_as_output(name, ours, reference)
    return replace(row, passed=name not in known.fresh or same_bytes(ours, known.fresh[name]))


def find_changed(region: Iterable[str], model: ir.Model, fresh: ir.Model) -> ir.Node | None:
    """The first node of a region that a fresh capture of the same source has otherwise, or has not; None where all are
    the same. Of a branch or loop whose inputs are the same it is the first such node inside."""
    names = set(region)
    by_name = {node.name: node for node in fresh.graph}
    own_names = {node.name for node in model.graph}
    renamed = [node for node in _computing(fresh.graph) if node.name not in own_names]
    pairs: _Pairs = {}
    for node in _computing(model.graph):
        # TensorFlow counts its functions, and their numbers are in the names.
        other = by_name.get(node.name) or next((each for each in renamed if _is_same(node, each, pairs)), None)
        renamed = [each for each in renamed if each is not other]
        if node.name in names and (other is None or not _is_same(node, other, pairs)):
            return _look_inside(node, other, pairs)
        pairs.update(zip(node.outputs, other.outputs if other else (), strict=False))
    return None


_Pairs = dict[ir.Value, ir.Value]
"""Values inside of branches and loops, and what they are in the other graph: their names may be made up anew."""


def _computing(graph: ir.Graph) -> list[ir.Node]:
    """The nodes without constants, which are compared where they are read."""
    return [node for node in graph if node.op_type != "Constant"]


def _look_inside(one: ir.Node, other: ir.Node | None, pairs: _Pairs) -> ir.Node:
    """The node inside of a changed one that makes the difference; itself where that is not so."""
    if other is None or not _is_same_outside(one, other, pairs):
        return one
    found = (_first_changed(*graphs, pairs) for graphs in _pair_subgraphs(one, other))
    return next((each for each in found if each is not None), one)


def _first_changed(one: ir.Graph, other: ir.Graph, pairs: _Pairs) -> ir.Node | None:
    """The first node of a graph that is another one in the other graph, in order."""
    pairs.update(zip(one.inputs, other.inputs, strict=False))
    nodes = _computing(other)
    for index, node in enumerate(_computing(one)):
        beside = nodes[index] if index < len(nodes) else None
        if beside is None or not _is_same(node, beside, pairs):
            return _look_inside(node, beside, pairs)
        pairs.update(zip(node.outputs, beside.outputs, strict=False))
    return None


def _is_same(one: ir.Node, other: ir.Node, pairs: _Pairs) -> bool:
    return _is_same_outside(one, other, pairs) and all(
        _first_changed(*graphs, pairs) is None and len(_computing(graphs[0])) == len(_computing(graphs[1]))
        for graphs in _pair_subgraphs(one, other)
    )


def _is_same_outside(one: ir.Node, other: ir.Node, pairs: _Pairs) -> bool:
    if one.op_type != other.op_type or len(one.inputs) != len(other.inputs):
        return False
    return _plain_attributes(one) == _plain_attributes(other) and all(
        _is_same_value(a, b, pairs) for a, b in zip(one.inputs, other.inputs, strict=True)
    )


def _plain_attributes(node: ir.Node) -> list[onnx.AttributeProto]:
    return [ir.to_proto(each) for each in node.attributes.values() if each.type != ir.AttributeType.GRAPH]


def _pair_subgraphs(one: ir.Node, other: ir.Node) -> list[tuple[ir.Graph, ir.Graph]]:
    pairs = [(attribute, other.attributes.get(name)) for name, attribute in one.attributes.items()]
    return [
        (a.as_graph(), b.as_graph()) for a, b in pairs if b is not None and a.type == b.type == ir.AttributeType.GRAPH
    ]


def _is_same_value(one: ir.Value | None, other: ir.Value | None, pairs: _Pairs) -> bool:
    if one is None or other is None:
        return one is other
    tensors = [ir.convenience.get_const_tensor(value) for value in (one, other)]
    if tensors[0] is None or tensors[1] is None:
        return tensors == [None, None] and (pairs[one] is other if one in pairs else one.name == other.name)
    a, b = tensors[0].numpy(), tensors[1].numpy()
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _describe(model: ir.Model, feed: Feed, known: Known, values: Mapping[str, Array], found: _Difference) -> Culprit:
    region, needed = _region(model, found.name, values)
    node = next(node for node in model.graph if any(value.name == found.name for value in node.outputs))
    alone = _extract(model, region, found.name, {**feed, **values}, needed)
    return Culprit(
        node=node.name or "",
        op_type=node.op_type,
        line=node.metadata_props.get(SOURCE_KEY, ""),
        value=found.name,
        source_name=known.taps.get(found.name, found.name),
        row=found.row,
        region=tuple(each.name or "" for each in region),
        model=alone,
        feed={str(value.name): np.asarray({**feed, **values}[str(value.name)]) for value in alone.graph.inputs},
        ours=found.ours,
        reference=values[found.name],
    )


def _region(model: ir.Model, name: str, known: Mapping[str, Array]) -> tuple[list[ir.Node], set[str]]:
    """The nodes that make a value from known ones, in the graph's order, and the known ones that they read."""
    wanted = [next(v for node in model.graph for v in node.outputs if v.name == name)]
    found: set[ir.Node] = set()
    needed: set[str] = set()
    while wanted:
        node = wanted.pop().producer()
        if node is None or node in found:
            continue
        found.add(node)
        for value in list_reads(node):
            if value.producer() is not None and value.name not in known:
                wanted.append(value)
            elif not value.is_initializer() and value.graph is model.graph:
                needed.add(str(value.name))
    return [node for node in model.graph if node in found], needed


def _extract(
    model: ir.Model, region: list[ir.Node], name: str, known: Mapping[str, Array], needed: set[str]
) -> ir.Model:
    """The region alone: the known values that it reads are inputs of the sizes that they have here."""
    copy = ir.external_data.load_to_model(model.clone())
    kept = {node.name for node in region}
    graph = copy.graph
    output = next(v for node in graph for v in node.outputs if v.name == name)
    graph.outputs.clear()
    output.shape = None
    graph.outputs.append(output)
    graph.inputs[:] = [value for value in graph.inputs if value.name in needed]
    present = {str(value.name) for value in graph.inputs}
    for node in list(graph):
        for value in node.outputs:
            if value.name in needed and value.name not in present:
                array = known[str(value.name)]
                given = ir.Value(name=value.name)
                given.dtype, given.shape = ir.DataType.from_numpy(array.dtype), ir.Shape(array.shape)
                value.name = f"{value.name}_unused"
                value.replace_all_uses_with(given)
                graph.inputs.append(given)
    for value in graph.inputs:
        value.shape = ir.Shape(np.shape(known[str(value.name)]))
    graph.remove([node for node in graph if node.name not in kept], safe=False)
    used = {value for node in graph for value in list_reads(node)}
    for each in list(graph.initializers):
        if graph.initializers[each] not in used:
            graph.initializers.pop(each)
    return copy

"""The first node of a graph whose value is not what the source has there, found in one run of the graph.

Every value that the source shows too becomes an input of the graph, fed with the source's own value; so each node is
judged on right inputs, and no error of an earlier one reaches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from transload.convert.capture import Array, Feed
from transload.convert.equivalence.graph_runs import run_in_runtime
from transload.convert.passes.metadata import SOURCE_KEY, TAP_KEY
from transload.runtime.comparison import OutputComparison, compare_output, default_tolerance
from transload.serialize.interface import Tolerance

CUT = "transload_cut_"


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


def find_culprit(
    model: ir.Model, feed: Feed, taps: Feed, source: Feed, *, names: Mapping[str, str] | None = None
) -> Culprit | None:
    """The first node, in the graph's order, that gives something else from the source's own values; None if none does.

    Args:
        model: The graph. It is not changed.
        feed: Its inputs.
        taps: Intermediate values of the source.
        source: The source's outputs, by the names of the graph's.
        names: Which tap each value is; found by `match_taps` where it is None.
    """
    names = match_taps(model, taps) if names is None else dict(names)
    known = {value: taps[tap] for value, tap in names.items()} | dict(source)
    cut, cuts = _cut(model, known)
    outputs = run_in_runtime(cut, {**feed, **cuts})
    if outputs is None:
        return None
    order = [str(value.name) for node in model.graph for value in node.outputs if value.name in known]
    for strict in (False, True):
        for name in order:
            row = compare_output(name, outputs[name], known[name], _tolerance(known[name], strict=strict))
            if not row.passed:
                return _describe(model, name, names.get(name, name), row, known, feed, outputs[name])
    return None


def find_changed(region: tuple[str, ...], model: ir.Model, fresh: ir.Model) -> str:
    """The first node of a region that a fresh capture of the same source has otherwise; '' where all are the same."""
    known = {node.name: node for node in fresh.graph}
    # Constants are compared where they are read.
    for node in (each for each in model.graph if each.op_type != "Constant" and each.name in region):
        if node.name in known and not _is_same(node, known[node.name]):
            return node.name or ""
    return ""


def _is_same(one: ir.Node, other: ir.Node) -> bool:
    if one.op_type != other.op_type or len(one.inputs) != len(other.inputs):
        return False
    if [ir.to_proto(a) for a in one.attributes.values()] != [ir.to_proto(a) for a in other.attributes.values()]:
        return False
    return all(map(_is_same_value, one.inputs, other.inputs))


def _is_same_value(one: ir.Value | None, other: ir.Value | None) -> bool:
    if one is None or other is None:
        return one is other
    tensors = [ir.convenience.get_const_tensor(value) for value in (one, other)]
    if tensors[0] is None or tensors[1] is None:
        return tensors == [None, None] and one.name == other.name
    a, b = tensors[0].numpy(), tensors[1].numpy()
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _tolerance(reference: Array, *, strict: bool) -> Tolerance:
    """Looser than an output's: one operator may well sum in another order. Then, if nothing shows, the output's own."""
    standard = default_tolerance(reference)
    if strict or not standard.rtol:
        return standard
    numbers = np.abs(np.asarray(reference, np.float64))
    largest = float(numbers[np.isfinite(numbers)].max(initial=0.0))
    return Tolerance(rtol=100 * standard.rtol, atol=10 * standard.rtol * largest)


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
        # The shapes that the graph declares are those of all inputs, not of this one.
        value.dtype, value.shape = value.dtype or ir.DataType.from_numpy(array.dtype), None
    outputs = list(graph.outputs)
    graph.outputs.clear()
    graph.outputs.extend(dict.fromkeys([*values, *outputs]))
    return copy, cuts


def _describe(
    model: ir.Model, name: str, tap: str, row: OutputComparison, known: Mapping[str, Array], feed: Feed, ours: Array
) -> Culprit:
    region, needed = _region(model, name, known)
    node = next(node for node in model.graph if any(value.name == name for value in node.outputs))
    alone = _extract(model, region, name, {**feed, **known}, needed)
    given = {str(value.name): np.asarray({**feed, **known}[str(value.name)]) for value in alone.graph.inputs}
    return Culprit(
        node=node.name or "",
        op_type=node.op_type,
        line=node.metadata_props.get(SOURCE_KEY, ""),
        value=name,
        source_name=tap,
        row=row,
        region=tuple(each.name or "" for each in region),
        model=alone,
        feed=given,
        ours=ours,
        reference=known[name],
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
        for value in _reads(node):
            if value.producer() is not None and value.name not in known:
                wanted.append(value)
            elif not value.is_initializer() and value.graph is model.graph:
                needed.add(str(value.name))
    return [node for node in model.graph if node in found], needed


def _reads(node: ir.Node) -> list[ir.Value]:
    """What a node reads, its subgraphs included."""
    values = [value for value in node.inputs if value is not None]
    for attribute in node.attributes.values():
        graphs = [attribute.as_graph()] if attribute.type == ir.AttributeType.GRAPH else []
        for graph in graphs:
            values += [value for inner in graph.all_nodes() for value in inner.inputs if value is not None]
            values += list(graph.outputs)
    return values


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
    used = {value for node in graph for value in _reads(node)}
    for each in list(graph.initializers):
        if graph.initializers[each] not in used:
            graph.initializers.pop(each)
    return copy

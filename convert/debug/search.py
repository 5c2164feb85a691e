"""From a package, and the source if it is at hand, to the node that is to blame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from transload.convert.capture import Array, Tappable
from transload.convert.compare.models import Opened, describe_inputs, open_models
from transload.convert.debug.culprit import Culprit, find_changed, find_culprit
from transload.convert.debug.finding import Finding, Statistics
from transload.convert.debug.known_values import Fresh, Known, find_known
from transload.convert.equivalence.graph_runs import show_values
from transload.convert.options import ConvertOptions
from transload.runtime.comparison import compare_outputs, default_tolerance, format_rows
from transload.serialize.errors import UnsupportedError, UsageError
from transload.serialize.interface import Tensor


def debug_package(
    package: str, source: str | None, options: ConvertOptions, inputs: Sequence[Mapping[str, Array]] = ()
) -> Finding:
    """Find the first node of a package that computes something else than the source does, or than ONNX says.

    Args:
        package: The package, or an ONNX file.
        source: What it was made from; None compares ONNX Runtime with onnx.reference instead.
        options: How to open the source; its inputs are described by the package where they are not given.
        inputs: Input sets to try, before the package's recorded ones.

    Raises:
        UsageError: the source has no such callable, or takes none of the inputs.
        UnsupportedError: the source shows no intermediate values, or onnx.reference cannot run the graph.
    """
    opened = open_models(package, replace(options, inputs=(), example=None))
    feeds = [dict(each) for each in inputs]
    if source is None:
        return _debug_alone(opened[0], feeds or [opened[0].capture.example])
    described = options if options.inputs or options.example else replace(options, inputs=describe_inputs(opened[0]))
    for ours, theirs in _pair_components(opened, open_models(source, described)):
        finding = debug_component(ours, theirs, feeds or [ours.capture.example])
        if finding.node:
            return finding
    return finding


def _pair_components(opened: list[Opened], sources: list[Opened]) -> list[tuple[Opened, Opened]]:
    """Each component of the package with the source's of the same name; one with one, whatever they are called."""
    if len(opened) == len(sources) == 1:
        return [(opened[0], sources[0])]
    by_name = {each.capture.component: each for each in sources}
    names = [each.capture.component for each in opened]
    if missing := [name for name in names if name not in by_name]:
        raise UsageError(
            f"The source has no component {missing[0]!r}: the package has {', '.join(names)}, "
            f"the source {', '.join(by_name)}."
        )
    return [(each, by_name[each.capture.component]) for each in opened]


def debug_component(ours: Opened, theirs: Opened, feeds: Sequence[Mapping[str, Array]]) -> Finding:
    """As `debug_package`, for one component and its source, which are open already."""
    reference = theirs.capture.reference
    if not isinstance(reference, Tappable):
        raise UnsupportedError(
            f"A source of the kind {theirs.kind} shows no intermediate values.",
            hint="Leave --source out to compare ONNX Runtime with onnx.reference.",
        )
    model, runs = ours.capture.model, 0
    # In the order of the graph, under whatever names: the package may come from another converter.
    inputs = _pair(ours.capture.input_leaves(), theirs.capture.input_leaves())
    outputs = _pair(theirs.capture.output_leaves(), ours.capture.output_leaves())
    for feed in feeds:
        runs += 1
        given = {inputs[name]: array for name, array in feed.items()}
        source = reference.run(given)
        expected = {outputs[name]: array for name, array in source.items()}
        if all(row.passed for row in compare_outputs(ours.plain(feed), expected, {})):
            continue
        runs += 1
        taps = reference.tap(given)
        known = find_known(model, feed, Fresh(theirs.capture.model, given, source), taps)
        found = find_culprit(model, feed, known, expected)
        if found is not None:
            return _report(found, model, theirs.capture.model, len(known.values), runs)
        return Finding("The outputs differ, but no node does on the source's own values.", source_runs=runs)
    return Finding("Source and package agree on these inputs.", source_runs=runs)


def _pair(one: Sequence[Tensor], other: Sequence[Tensor]) -> dict[str, str]:
    """The second's names by the first's: the same where all are the same, else by position."""
    if {tensor.name for tensor in one} == {tensor.name for tensor in other}:
        return {tensor.name: tensor.name for tensor in one}
    if len(one) != len(other):
        raise UsageError(f"Package and source have another number of tensors: {len(one)} and {len(other)}.")
    return {a.name: b.name for a, b in zip(one, other, strict=True)}


def _report(found: Culprit, model: ir.Model, fresh: ir.Model | None, matched: int, runs: int) -> Finding:
    node, region = found.node, found.region
    # A graph of another converter has other nodes altogether.
    own = fresh is not None and {each.name for each in fresh.graph} & {each.name for each in model.graph}
    told = find_changed(region, model, fresh) if fresh is not None and own else None
    where = f" ({found.line})" if found.line else ""
    summary = f"The first difference is at {node!r}, {found.op_type}{where}."
    if told is not None:
        node = told.name or ""
        summary = (
            f"The first difference is made by {node!r}, {told.op_type}, which a fresh capture has otherwise{where}."
        )
    elif len(region) > 1:
        summary = f"The first difference is at {node!r}, {found.op_type}{where}, made by {len(region)} nodes together."
    inputs = {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in found.feed.items()}
    return Finding(
        summary=summary,
        node=node,
        op_type=found.op_type if told is None else told.op_type,
        line=found.line,
        value=found.value,
        operation=found.source_name,
        region=region,
        row=format_rows((found.row,))[0],
        ours=_statistics(found.ours),
        reference=_statistics(found.reference),
        matched=matched,
        nodes=sum(1 for _ in model.graph),
        source_runs=runs,
        model=ir.to_proto(found.model).SerializeToString(),
        inputs=inputs,
    )


def _statistics(array: Array) -> Statistics:
    if array.dtype.kind not in "biuf" or not array.size:
        return Statistics(str(array.dtype), array.shape, 0, 0, 0, 0, 0)
    numbers = np.asarray(array, np.float64)
    finite = numbers[np.isfinite(numbers)]
    low, high, mean = (float(f(finite)) if finite.size else 0.0 for f in (np.min, np.max, np.mean))
    nan = int(np.isnan(numbers).sum())
    return Statistics(str(array.dtype), array.shape, low, high, mean, nan, int(np.isinf(numbers).sum()))


def _debug_alone(ours: Opened, feeds: list[dict[str, Array]]) -> Finding:
    """ONNX Runtime without optimisations against onnx.reference, node by node; then with optimisations."""
    model = ours.capture.model
    for feed in feeds:
        plain = ours.plain(feed)
        values = show_values(model, feed)
        if values is None:
            raise UnsupportedError(
                "onnx.reference cannot run this graph: it is too large, or an operator is missing there.",
                hint="Give the source with --source.",
            )
        expected = {name: values[name] for name in plain}
        found = find_culprit(model, feed, Known(values, {}), expected)
        if found is not None:
            return _report(found, model, None, len(values), 0)
        rows = compare_outputs(ours.optimized(feed), plain, {n: default_tolerance(a) for n, a in plain.items()})
        if not all(row.passed for row in rows):
            worst = "; ".join(format_rows(tuple(row for row in rows if not row.passed)))
            return Finding(
                f"An optimisation of ONNX Runtime changes the outputs: {worst}. `transload debug --reduce` finds the "
                "smallest graph that shows it."
            )
    return Finding("ONNX Runtime, with optimisations off and on, and onnx.reference agree on these inputs.")

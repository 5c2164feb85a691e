"""Which sides of branches and which trip counts of loops the input sets reach, and a search for what they miss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from transload.convert.capture import Feed
from transload.convert.equivalence.graph_runs import Run, open_in_runtime
from transload.convert.equivalence.inputs import InputSet, Sampler, draw_mixed
from transload.convert.passes.metadata import SOURCE_KEY

TRIES = 40
"""Feeds that are drawn in search of one that reaches something new. Each costs one run of the graph."""

PROBE = "transload_probe_"


@dataclass(frozen=True)
class Probe:
    """One branch or loop of the main graph, and the extra output that shows what it did."""

    output: str
    label: str
    is_loop: bool


@dataclass
class Coverage:
    """What every branch and loop did so far: truth values of branches, trip counts of loops."""

    probes: tuple[Probe, ...]
    run: Run
    divides_integers: bool = False
    seen: dict[Probe, set[int]] = field(default_factory=dict)

    def visit(self, feed: Feed) -> bool:
        """Run a feed and note what it reaches; whether that was still wanted."""
        found = self._observe(feed)
        news = any(value not in self.seen.get(probe, set()) for probe, value in found.items() if self._wants(probe))
        for probe, value in found.items():
            self.seen.setdefault(probe, set()).add(value)
        return news

    def missing(self) -> list[str]:
        """A sentence for each branch with a side that no set took, and each loop with one trip count only."""
        return [_describe(probe, self.seen.get(probe, set())) for probe in self.probes if self._wants(probe)]

    def _wants(self, probe: Probe) -> bool:
        return len(self.seen.get(probe, set())) < 2

    def _observe(self, feed: Feed) -> Mapping[Probe, int]:
        outputs = self.run(feed) or {}
        found = {}
        for probe in self.probes:
            if probe.output in outputs:
                value = outputs[probe.output]
                found[probe] = len(value) if probe.is_loop else int(bool(np.asarray(value).any()))
        return found


def watch_branches(model: ir.Model) -> Coverage | None:
    """A coverage of the branches (If) and loops (Loop) of the main graph; None where there are none.

    Those inside of other branches and loops are not watched: their values do not reach the outside. The model is not
    changed; the copy that is run holds the weights in memory, so large models are not watched either.
    """
    if not any(_is_watched(node) for node in model.graph):
        return None
    copy = model.clone()
    probes = tuple(_expose(node, number) for number, node in enumerate(list(copy.graph)) if _is_watched(node))
    run = open_in_runtime(copy)
    if run is None:
        return None
    return Coverage(probes, run, any(_divides_integers(node) for node in model.graph.all_nodes()))


def search_inputs(coverage: Coverage, samplers: tuple[Sampler, ...], seed: int) -> Iterator[InputSet]:
    """Input sets that reach what was not reached before. `coverage` counts them as visited.

    None where the graph divides integers by what is computed: the source, which would refuse a zero, is not asked
    while searching, and in ONNX Runtime an integer division by zero ends the process.
    """
    if coverage.divides_integers:
        return
    for number in range(TRIES):
        if not coverage.missing():
            return
        feed = draw_mixed(samplers, np.random.default_rng([seed, 1000 + number]))
        if coverage.visit(feed):
            yield InputSet(f"other branch {number + 1}", feed)


def _divides_integers(node: ir.Node) -> bool:
    divisor = node.inputs[1] if node.op_type in ("Div", "Mod") else None
    if divisor is None or ir.convenience.get_const_tensor(divisor) is not None:
        return False
    dtypes = [value.dtype for value in (*node.inputs, *node.outputs) if value is not None and value.dtype is not None]
    return not any(dtype.is_floating_point() for dtype in dtypes)


def _is_watched(node: ir.Node) -> bool:
    return node.domain in ("", "ai.onnx") and node.op_type in ("If", "Loop")


def _expose(node: ir.Node, number: int) -> Probe:
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    name = f"{PROBE}{number}"
    if node.op_type == "If":
        shown = ir.node("Identity", [node.inputs[0]])
        graph.append(shown)
        value = shown.outputs[0]
        value.dtype = ir.DataType.BOOL
    else:
        body = node.attributes["body"].as_graph()
        turn = ir.node("Identity", [body.inputs[0]])
        turn.outputs[0].name = f"{name}_turn"
        turn.outputs[0].dtype, turn.outputs[0].shape = ir.DataType.INT64, ir.Shape([])
        body.append(turn)
        body.outputs.append(turn.outputs[0])
        node.resize_outputs(len(node.outputs) + 1)
        value = node.outputs[-1]
        value.dtype, value.shape = ir.DataType.INT64, ir.Shape([None])
    value.name = name
    graph.outputs.append(value)
    line = node.metadata_props.get(SOURCE_KEY, "")
    label = f"{node.op_type} {node.name!r}" + (f" ({line})" if line else "")
    return Probe(name, label, node.op_type == "Loop")


def _describe(probe: Probe, seen: set[int]) -> str:
    if probe.is_loop:
        counts = ", ".join(map(str, sorted(seen))) or "no"
        return f"The loop {probe.label} was tried with {counts} trips only; no input set was found that changes it."
    side = {frozenset({0}): "true", frozenset({1}): "false"}.get(frozenset(seen), "either")
    return f"No input set was found for which the condition of {probe.label} is {side}."

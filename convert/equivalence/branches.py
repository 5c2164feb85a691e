"""Which sides of branches and which trip counts of loops the input sets reach, and a search for what they miss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from transload.convert.capture import Array, Feed
from transload.convert.equivalence.graph_runs import Run, open_in_runtime
from transload.convert.equivalence.inputs import InputSet, Sampler, draw_mixed
from transload.convert.passes.metadata import SOURCE_KEY

TRIES = 40
"""Feeds that are drawn in search of one that reaches something new. Each costs one run of the graph."""

SHOWN = 12
"""Of how many branches and loops a summary tells."""

PROBE = "transload_probe_"

NEVER = -(1 << 40)
"""What a probe gives that was not reached: below every truth value and trip count."""


@dataclass(frozen=True)
class Probe:
    """One branch or loop, at any depth, and the extra output of the graph that shows what it did.

    `line` is the source's, where it is known. The output is a vector of two. A branch gives `[was false, was true]`, a
    loop `[-(fewest trips), most trips]`; either gives NEVER twice where it was not reached. So the largest over several
    visits is again such a vector.
    """

    output: str
    op_type: str
    node: str
    line: str
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
        news = self._is_news(found)
        for probe, values in found.items():
            self.seen.setdefault(probe, set()).update(values)
        return news

    def would_reach(self, feed: Feed) -> bool:
        """Whether a feed reaches what is still wanted; nothing is noted."""
        return self._is_news(self._observe(feed))

    def _is_news(self, found: Mapping[Probe, set[int]]) -> bool:
        return any(found.get(probe, set()) - self.seen.get(probe, set()) for probe in self.probes if self.wants(probe))

    def missing(self) -> list[str]:
        """A sentence for each branch with a side that no set took, and each loop with one trip count only."""
        return [_describe_gap(probe, self.seen.get(probe, set())) for probe in self.probes if self.wants(probe)]

    def reached(self) -> list[str]:
        """A few words for each: `if at model.py:31: both arms`, `never reached: loop at model.py:40`."""
        return [_describe_reached(probe, self.seen.get(probe, set())) for probe in self.probes]

    def summary(self) -> str:
        """What was reached, in one line, the longest lists cut short."""
        reached = self.reached()
        more = f"; {len(reached) - SHOWN} more" if len(reached) > SHOWN else ""
        return f"Branches and loops: {'; '.join(reached[:SHOWN])}{more}."

    def wants(self, probe: Probe) -> bool:
        """Whether only one side, or one trip count, was seen."""
        return len(self.seen.get(probe, set())) < 2

    def _observe(self, feed: Feed) -> dict[Probe, set[int]]:
        outputs = self.run(feed) or {}
        return {probe: _read(probe, outputs[probe.output]) for probe in self.probes if probe.output in outputs}


def _read(probe: Probe, pair: Array) -> set[int]:
    first, second = pair.tolist()
    if second == NEVER:
        return set()
    return {-first, second} if probe.is_loop else {side for side, taken in enumerate((first, second)) if taken == 1}


def watch_branches(model: ir.Model) -> Coverage | None:
    """A coverage of the branches (If) and loops (Loop) of a graph and of its subgraphs; None where there are none.

    The model is not changed; the copy that is run holds the weights in memory, so large models are not watched.
    """
    if not any(_is_watched(node) for node in model.graph.all_nodes()):
        return None
    copy = model.clone()
    found = _Exposer().expose(copy.graph)
    copy.graph.outputs.extend(value for value, _ in found)
    run = open_in_runtime(copy)
    if run is None:
        return None
    probes = tuple(probe for _, probe in found)
    return Coverage(probes, run, any(_divides_integers(node) for node in model.graph.all_nodes()))


def search_inputs(coverage: Coverage, samplers: tuple[Sampler, ...], seed: int) -> Iterator[InputSet]:
    """Input sets that reach what was not reached before; whoever takes them lets `coverage` visit those that count.

    None where the graph divides integers by what is computed: the source, which would refuse a zero, is not asked
    while searching, and in ONNX Runtime an integer division by zero ends the process.
    """
    if coverage.divides_integers:
        return
    for number in range(TRIES):
        if not coverage.missing():
            return
        feed = draw_mixed(samplers, np.random.default_rng([seed, 1000 + number]))
        if coverage.would_reach(feed):
            yield InputSet(f"other branch {number + 1}", feed)


def _divides_integers(node: ir.Node) -> bool:
    divisor = node.inputs[1] if node.op_type in ("Div", "Mod") else None
    if divisor is None or ir.convenience.get_const_tensor(divisor) is not None:
        return False
    dtypes = [value.dtype for value in (*node.inputs, *node.outputs) if value is not None and value.dtype is not None]
    return not any(dtype.is_floating_point() for dtype in dtypes)


def _is_watched(node: ir.Node) -> bool:
    return node.domain in ("", "ai.onnx") and node.op_type in ("If", "Loop")


class _Exposer:
    """Adds to a graph and its subgraphs what shows their branches and loops. Changes them."""

    def __init__(self) -> None:
        self.count = 0

    def expose(self, graph: ir.Graph) -> list[tuple[ir.Value, Probe]]:
        """A value in the graph for each branch and loop of it and below it, with the probe that it stands for."""
        found: list[tuple[ir.Value, Probe]] = []
        for node in list(graph):
            if _is_watched(node):
                found += self._branch(graph, node) if node.op_type == "If" else self._loop(graph, node)
        return found

    def _branch(self, graph: ir.Graph, node: ir.Node) -> list[tuple[ir.Value, Probe]]:
        number = self._add(graph, "Cast", [node.inputs[0]], {"to": ir.DataType.INT64})
        taken = self._add(graph, "Reshape", [number, self._constant(graph, [1])])
        other = self._add(graph, "Sub", [self._constant(graph, [1]), taken])
        shown = self._add(graph, "Concat", [other, taken], {"axis": 0})
        found = [(shown, _probe(node, shown, is_loop=False))]
        arms = [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
        for arm, other_arm in (arms, arms[::-1]):
            for value, probe in self.expose(arm):
                arm.outputs.append(value)
                # The arm that is not taken has to give something too.
                other_arm.outputs.append(self._constant(other_arm, [NEVER, NEVER]))
                found.append((self._output(node, value, [2]), probe))
        return _renamed(found)

    def _loop(self, graph: ir.Graph, node: ir.Node) -> list[tuple[ir.Value, Probe]]:
        body = node.attributes["body"].as_graph()
        inner = self.expose(body)
        turn = self._add(body, "Identity", [body.inputs[0]])
        turn.shape = ir.Shape([])
        body.outputs.append(turn)
        trips = self._add(graph, "Shape", [self._output(node, turn, [None])])
        shown = self._add(graph, "Concat", [self._add(graph, "Neg", [trips]), trips], {"axis": 0})
        found = [(shown, _probe(node, shown, is_loop=True))]
        for value, probe in inner:
            body.outputs.append(value)
            stacked = self._output(node, value, [None, 2])
            # One row more, since there may be no trip at all.
            rows = self._add(graph, "Concat", [stacked, self._constant(graph, [[NEVER, NEVER]])], {"axis": 0})
            # Not ReduceMax, whose axes are an attribute in some opsets and an input in others.
            top = self._add(graph, "TopK", [rows, self._constant(graph, [1])], {"axis": 0}, outputs=2)
            found.append((self._add(graph, "Reshape", [top, self._constant(graph, [2])]), probe))
        return _renamed(found)

    def _output(self, node: ir.Node, value: ir.Value, shape: list[int | None]) -> ir.Value:
        """One more output of a node, for what its subgraphs give last."""
        node.resize_outputs(len(node.outputs) + 1)
        return self._named(node.outputs[-1], shape)

    def _constant(self, graph: ir.Graph, numbers: list[int] | list[list[int]]) -> ir.Value:
        return self._add(graph, "Constant", [], {"value": ir.tensor(np.array(numbers))})

    def _add(
        self,
        graph: ir.Graph,
        op_type: str,
        inputs: list[ir.Value | None],
        attributes: dict[str, Any] | None = None,
        outputs: int = 1,
    ) -> ir.Value:
        node = ir.node(op_type, inputs, attributes, num_outputs=outputs)
        graph.append(node)
        for value in node.outputs[1:]:
            self._named(value, None)
        return self._named(node.outputs[0], None)

    def _named(self, value: ir.Value, shape: list[int | None] | None) -> ir.Value:
        self.count += 1
        value.name, value.dtype, value.shape = (
            f"{PROBE}{self.count}",
            ir.DataType.INT64,
            None if shape is None else ir.Shape(shape),
        )
        return value


def _renamed(found: list[tuple[ir.Value, Probe]]) -> list[tuple[ir.Value, Probe]]:
    """The probes as they are to be read one graph further out."""
    return [(value, replace(probe, output=str(value.name))) for value, probe in found]


def _probe(node: ir.Node, value: ir.Value, *, is_loop: bool) -> Probe:
    return Probe(str(value.name), node.op_type, node.name or "", node.metadata_props.get(SOURCE_KEY, ""), is_loop)


def _describe_gap(probe: Probe, seen: set[int]) -> str:
    where = f"{probe.op_type} {probe.node!r}" + (f" ({probe.line})" if probe.line else "")
    if probe.is_loop:
        if not seen:
            return f"No input set was found that reaches the loop {where}."
        return f"The loop {where} was tried with {min(seen)} trips only; no input set was found that changes it."
    if not seen:
        return f"No input set was found that reaches {where}."
    return f"No input set was found for which the condition of {where} is {'false' if seen == {1} else 'true'}."


def _describe_reached(probe: Probe, seen: set[int]) -> str:
    what = f"{'loop' if probe.is_loop else 'if'} at {probe.line or repr(probe.node)}"
    if not seen:
        return f"never reached: {what}"
    if probe.is_loop:
        counts = sorted(seen)
        return f"{what}: {counts[0]} to {counts[-1]} trips" if len(counts) > 1 else f"{what}: {counts[0]} trips only"
    return f"{what}: " + ("both arms" if len(seen) == 2 else f"only when {'true' if seen == {1} else 'false'}")

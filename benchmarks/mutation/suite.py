"""Planting every fault at random places of every model, and asking the equivalence check whether it notices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from benchmarks.mutation.equivalent import prove_equivalent
from benchmarks.mutation.models import Model
from benchmarks.mutation.operators import OPERATORS, Operator
from transload.convert.capture import Array, Capture
from transload.convert.equivalence.check import check_equivalence
from transload.convert.equivalence.graph_runs import run_in_runtime
from transload.convert.equivalence.sides import Runner
from transload.convert.options import ConvertOptions
from transload.runtime.configuration import Configuration, provider_list, session_options
from transload.runtime.session import open_session, runtime_errors
from transload.serialize.errors import ExecutionError, MismatchError, UnsupportedError

PLACES = 2
"""At how many places of one model each fault is planted."""


@dataclass(frozen=True)
class Mutant:
    """One planted fault.

    Args:
        model, operator: What was planted where.
        node: The node, with its type.
        outcome: `caught`; `refused` by ONNX Runtime, which no check has to find; `equivalent`, with the proof in
            `note`; or `survived`.
        note: The first line of the error, or the proof.
    """

    model: str
    operator: str
    node: str
    outcome: str
    note: str = ""


@dataclass(frozen=True)
class _Session:
    """A graph in ONNX Runtime, as the check's runner."""

    session: ort.InferenceSession

    def run(self, output_names: Sequence[str] | None, feed: Mapping[str, Array], /) -> list[Array]:
        with runtime_errors("a mutant"):
            outputs: list[Array] = self.session.run(output_names, dict(feed))
        return outputs


def check(capture: Capture, options: ConvertOptions) -> None:
    """The equivalence check of a capture as a conversion makes it, but over a graph in memory.

    Raises:
        MismatchError: source and graph differ.
        ExecutionError, UnsupportedError: ONNX Runtime refuses the graph.
    """
    proto = ir.to_proto(ir.external_data.load_to_model(capture.model.clone())).SerializeToString()

    def load(path: Path, component: str, optimize: bool) -> Runner:
        configuration = Configuration(1, level="all" if optimize else "disable", prepack=optimize)
        options = session_options(configuration, ".")
        return _Session(open_session(proto, options, provider_list(configuration), "a mutant"))

    check_equivalence(capture, Path("unused"), options, load_model=load)


@dataclass(frozen=True)
class Planted:
    """A graph with one fault: the operator, the place of the node among all, the node with its type, and the graph."""

    operator: Operator
    index: int
    node: str
    model: ir.Model


def run_model(model: Model, seed: int, operators: Sequence[Operator] | None = None) -> Iterator[Mutant]:
    """Every fault at up to PLACES random places of one model.

    Raises:
        MismatchError: the check refuses the model without a fault, so that catching one would mean nothing.
    """
    capture = model.capture()
    check(capture, model.options(seed))
    for planted in plant_faults(capture, seed, operators or list(OPERATORS.values()), PLACES):
        yield _try(model, capture, planted, seed)


def plant_faults(capture: Capture, seed: int, operators: Sequence[Operator], places: int) -> Iterator[Planted]:
    """Each fault at up to so many random places of a graph, one at a time."""
    sizes = _example_sizes(capture)
    nodes = [_prepare(each, sizes) for each in _prepared_nodes(capture.model)]
    for number, operator in enumerate(operators):
        rng = np.random.default_rng([seed, number])
        sites = [index for index, node in enumerate(nodes) if operator.suits(node)]
        for index in map(int, rng.permutation(sites)[:places]):
            copy = capture.model.clone()
            node = _prepare(_prepared_nodes(copy)[index], sizes)
            label = f"{node.name} ({node.op_type})"
            operator.change(node)
            yield Planted(operator, index, label, copy)


def _try(model: Model, capture: Capture, planted: Planted, seed: int) -> Mutant:
    name = planted.operator.name
    try:
        check(replace(capture, model=planted.model), model.options(seed))
    except MismatchError as error:
        return Mutant(model.name, name, planted.node, "caught", error.what.splitlines()[0])
    except (ExecutionError, UnsupportedError) as error:
        return Mutant(model.name, name, planted.node, "refused", error.what.splitlines()[0])
    proof = prove_equivalent(capture, planted.index, name, planted.model)
    return Mutant(model.name, name, planted.node, "equivalent" if proof else "survived", proof)


def _prepared_nodes(model: ir.Model) -> list[ir.Node]:
    nodes = list(model.graph.all_nodes())
    outputs = model.graph.outputs
    if len(outputs) > 1 and outputs[0].dtype == outputs[1].dtype and outputs[0] is not outputs[1]:
        first, second = outputs[0].producer(), outputs[1].producer()
        if first is not None and second is not None:
            first.meta["second_output"] = outputs[1].name
    return nodes


def _prepare(node: ir.Node, sizes: Mapping[str, list[int]]) -> ir.Node:
    if node.op_type == "Shape" and node.outputs[0].name in sizes:
        node.meta["example_sizes"] = sizes[str(node.outputs[0].name)]
    return node


def _example_sizes(capture: Capture) -> dict[str, list[int]]:
    """What each Shape node of the main graph gives for the example."""
    copy = capture.model.clone()
    shown = [node.outputs[0] for node in copy.graph if node.op_type == "Shape"]
    if not shown:
        return {}
    copy.graph.outputs.extend(value for value in shown if value not in copy.graph.outputs)
    found = run_in_runtime(copy, capture.example)
    assert found is not None
    return {str(value.name): found[str(value.name)].tolist() for value in shown}

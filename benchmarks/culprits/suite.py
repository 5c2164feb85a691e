"""Spoiling single nodes of a model's graph, and asking `transload debug` which node it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from benchmarks.culprits.models import Subject
from benchmarks.mutation.operators import OPERATORS, Operator
from transload.convert.capture import Array, Reference
from transload.convert.compare.models import Opened, open_models
from transload.convert.debug.search import debug_component, debug_package
from transload.convert.detect import detect_source
from transload.convert.equivalence.graph_runs import open_in_runtime
from transload.convert.equivalence.inputs import choose_inputs, plan_samplers
from transload.convert.options import ConvertOptions, parse_input_spec
from transload.convert.pipeline import convert_source
from transload.runtime.comparison import compare_outputs

FAULTS = 5
"""How many faults are planted in each model."""

NO_NODE = frozenset({"frozen dimension", "two outputs exchanged"})
"""Faults that spoil no node: they take one out, or change what an output is."""


@dataclass(frozen=True)
class Answer:
    """What the search said of one fault.

    Args:
        model, operator: What was planted where.
        right: The nodes that are wrong: the spoiled one, or those that were put in behind it.
        named: The node that was named; '' where none was.
        region: Between how many nodes the source's values alone leave the choice, where the converter itself makes the
            fault, so that a fresh capture has it too. 0 where the right node is not among them.
        source_runs: How often the source ran.
        inputs: The input set that shows the fault.
    """

    model: str
    operator: str
    right: tuple[str, ...]
    named: str
    region: int
    source_runs: int
    inputs: str

    @property
    def is_right(self) -> bool:
        return self.named in self.right


@dataclass(frozen=True)
class _Fault:
    """A spoiled graph, the names of its wrong nodes, and inputs on which its outputs are wrong."""

    operator: str
    model: ir.Model
    right: tuple[str, ...]
    inputs: str
    feed: dict[str, Array]


def search_faults(subject: Subject, folder: Path, seed: int) -> Iterator[Answer]:
    """Plant FAULTS faults in a model, each of another kind and at a random node, and search for each.

    Args:
        subject: The model.
        folder: Where to write its files.
        seed: Chooses the faults and their places.
    """
    source, package = folder / f"source{subject.suffix}", folder / "right.tload"
    subject.save(source)
    options = ConvertOptions(inputs=tuple(parse_input_spec(text) for text in subject.inputs), proof="none")
    convert_source(detect_source(str(source)), options).save(package)
    (opened,) = open_models(str(package), ConvertOptions())
    (reference,) = open_models(str(source), options)
    for number, fault in enumerate(_plant(opened, reference.capture.reference, seed)):
        path = folder / f"wrong-{number}.onnx"
        ir.save(fault.model, path)
        found = debug_package(str(path), str(source), options, [fault.feed])
        (wrong,) = open_models(str(path), ConvertOptions())
        alike = replace(reference, capture=replace(reference.capture, model=fault.model))
        alone = debug_component(wrong, alike, [fault.feed]).region
        region = len(alone) if set(fault.right) & set(alone) else 0
        yield Answer(subject.name, fault.operator, fault.right, found.node, region, found.source_runs, fault.inputs)


def _plant(opened: Opened, reference: Reference, seed: int) -> Iterator[_Fault]:
    """Faults that show in an output for one of the check's input sets, on which the right graph gives what the source
    gives."""
    model = ir.external_data.load_to_model(opened.capture.model.clone())
    rng = np.random.default_rng([seed, len(model.graph)])
    sets = {"example": dict(opened.capture.example)}
    sets |= {each.name: each.feed for each in choose_inputs(opened.capture, plan_samplers(opened.capture), seed)}
    known = _source_outputs(opened, reference, sets)
    planted = 0
    for name in rng.permutation(sorted(set(OPERATORS) - NO_NODE)):
        sites = [index for index, node in enumerate(model.graph) if OPERATORS[name].suits(node)]
        for index in rng.permutation(sites)[:3]:
            spoiled, right = _spoil(model, OPERATORS[name], int(index))
            shown = _find_difference(spoiled, sets, known)
            if shown:
                yield _Fault(name, spoiled, right, shown, sets[shown])
                planted += 1
                break
        if planted == FAULTS:
            return


def _spoil(model: ir.Model, operator: Operator, index: int) -> tuple[ir.Model, tuple[str, ...]]:
    copy = model.clone()
    node = copy.graph[index]
    before = set(copy.graph)
    operator.change(node)
    added = [each for each in copy.graph if each not in before and each.op_type != "Constant"]
    return copy, tuple(str(each.name) for each in added or [node])


def _source_outputs(
    opened: Opened, reference: Reference, sets: Mapping[str, dict[str, Array]]
) -> dict[str, dict[str, Array]]:
    """What the source gives, for the sets on which the right graph gives it too."""
    known = {}
    for name, feed in sets.items():
        ours = opened.plain(feed)
        try:
            source = reference.run(feed)
        except Exception:
            # Frameworks raise anything for inputs that they do not take.
            continue
        if all(row.passed for row in compare_outputs(ours, source, {})):
            known[name] = source
    return known


def _find_difference(
    model: ir.Model, sets: Mapping[str, dict[str, Array]], known: Mapping[str, dict[str, Array]]
) -> str:
    """The first input set on which a graph gives something wrong; '' where there is none, or the graph is refused."""
    run = open_in_runtime(model)
    if run is None:
        return ""
    for name, expected in known.items():
        outputs = run(sets[name])
        if outputs is not None and not all(row.passed for row in compare_outputs(outputs, expected, {})):
            return name
    return ""

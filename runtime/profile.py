"""Where a model's time goes: ONNX Runtime's trace, attributed to the framework's modules and source lines."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx

from transload.runtime.configuration import Configuration, provider_list, session_options
from transload.runtime.session import open_session, runtime_errors
from transload.serialize.package_file import PackageFile

Array = np.ndarray[Any, Any]

SOURCE_KEY, MODULE_KEY = "source", "module"
"""Node metadata in which packages hold the framework's source line and module."""

ADDED = "(ONNX Runtime)"
"""The place of nodes that ONNX Runtime's optimisations added and that give no value of the package's graph."""

KERNEL_SUFFIX = "_kernel_time"


@dataclass(frozen=True)
class Place:
    """Where in the framework a node came from; empty where the package does not know."""

    module: str
    source: str


@dataclass(frozen=True)
class NodeTime:
    """One node of the optimised graph: seconds and runs for each call of the model."""

    name: str
    op_type: str
    place: Place
    seconds: float
    runs: float


@dataclass(frozen=True)
class Profile:
    """The time of every node for one call, longest first; `call_s` is the whole call; `trace` is for Chrome."""

    nodes: tuple[NodeTime, ...]
    call_s: float
    trace: list[dict[str, Any]]

    def by(self, key: Callable[[NodeTime], str]) -> list[tuple[str, float, float]]:
        """Key, seconds and runs for one call, summed over the nodes of each key, longest first."""
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for node in self.nodes:
            sums[key(node)][0] += node.seconds
            sums[key(node)][1] += node.runs
        return sorted(((name, *figures) for name, figures in sums.items()), key=lambda row: -row[1])  # type: ignore[misc]


def profile_component(
    package: PackageFile,
    component: str,
    inputs: Mapping[str, Array],
    *,
    calls: int = 10,
    threads: int = 0,
    optimize: bool = True,
) -> Profile:
    """Run the portable variant and read ONNX Runtime's trace of it. The first call is not counted.

    Args:
        package: The opened package.
        component: Which component.
        inputs: Arrays by input tensor name.
        calls: How many calls to average over.
        threads: Intra-op threads; 0 leaves the choice to ONNX Runtime.
        optimize: False switches graph optimisations off, so that every node of the package's graph shows.

    Raises:
        PackageError: the package is damaged.
        UnsupportedError, ExecutionError: ONNX Runtime refuses the model, or failed.
    """
    configuration = Configuration(threads, level="all" if optimize else "disable")
    model = package.model_proto(component)
    with tempfile.TemporaryDirectory(prefix="transload-") as scratch:
        options = session_options(configuration, str(package.path.parent))
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(scratch) / "trace")
        options.optimized_model_filepath = str(Path(scratch) / "optimised.onnx")
        # Without a file for weights ONNX Runtime would write them all into the graph, which may not hold 2 GB.
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights")
        session = open_session(
            model.SerializeToString(), options, provider_list(configuration), f"component {component!r}"
        )
        with runtime_errors(f"component {component!r}"):
            for _ in range(calls + 1):
                session.run(None, dict(inputs))
        events = json.loads(Path(session.end_profiling()).read_bytes())
        optimised = onnx.load(str(Path(scratch) / "optimised.onnx"), load_external_data=False)
    return summarise(events, find_places(model, optimised), calls)


def find_places(model: onnx.ModelProto, optimised: onnx.ModelProto) -> dict[str, Place]:
    """The place of each node of an optimised graph, by the node's name.

    A fused node keeps the name of the value that the last of its parts gave, and so belongs to that part's place.
    """
    origins: dict[str, Place] = {}
    for node in _nodes(model.graph):
        place = _place(node)
        origins.update({name: place for name in node.output if name})
    return {
        node.name: next((origins[name] for name in node.output if name in origins), Place(ADDED, ADDED))
        for node in _nodes(optimised.graph)
    }


def summarise(events: Iterable[Mapping[str, Any]], places: Mapping[str, Place], calls: int) -> Profile:
    """The profile of a trace in which a first call, not to be counted, and `calls` further ones were made."""
    trace = [dict(event) for event in events]
    runs = sorted((event for event in trace if event.get("name") == "model_run"), key=lambda event: event["ts"])
    counted_from = runs[0]["ts"] + runs[0]["dur"]
    kernels: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in trace:
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL_SUFFIX):
            name = event["name"].removesuffix(KERNEL_SUFFIX)
            place = places.get(name, Place("", ""))
            event["args"] = event.get("args", {}) | msgspec.to_builtins(place)
            if event["ts"] >= counted_from:
                kernels[name].append(event)
    nodes = [
        NodeTime(
            name,
            found[0]["args"].get("op_name", ""),
            places.get(name, Place("", "")),
            sum(event["dur"] for event in found) / calls / 1e6,
            len(found) / calls,
        )
        for name, found in kernels.items()
    ]
    nodes.sort(key=lambda node: -node.seconds)
    return Profile(tuple(nodes), sum(run["dur"] for run in runs[1:]) / calls / 1e6, trace)


def _nodes(graph: onnx.GraphProto) -> Iterable[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _nodes(inner)


def _place(node: onnx.NodeProto) -> Place:
    properties = {entry.key: entry.value for entry in node.metadata_props}
    # Our translator and TensorFlow put the module's path before the operator's name.
    return Place(properties.get(MODULE_KEY, node.name.rpartition("/")[0]), properties.get(SOURCE_KEY, ""))

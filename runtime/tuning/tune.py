"""Tuning a component of a package on this host: search, store, check what was stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from transload.runtime.comparison import NOISE_FACTOR
from transload.runtime.device import CPU
from transload.runtime.model import load_component
from transload.runtime.session import create_tuned_session
from transload.runtime.tuning.build import optimised_files, portable_files, store_entry
from transload.runtime.tuning.cache import entry_path
from transload.runtime.tuning.embed import embed_variant
from transload.runtime.tuning.entry import TuningRecord
from transload.runtime.tuning.key import make_key
from transload.runtime.tuning.search import Check, Graph, Trial, TuningReport, find_difference, find_fastest
from transload.serialize.errors import MismatchError, UnsupportedError, UsageError
from transload.serialize.interface import Tolerance
from transload.serialize.package_file import PackageFile

Array = np.ndarray[Any, Any]

PRIVATE = 0o700


@dataclass(frozen=True)
class Tuning:
    """A tuned component: what was found, and the file in the cache that holds it."""

    component: str
    report: TuningReport
    record: TuningRecord
    path: Path
    size_bytes: int
    graph: Graph


def tune_component(
    package: PackageFile,
    component: str,
    *,
    graphs: Mapping[str, Graph] | None = None,
    inputs: Mapping[str, Array] | None = None,
    threads: int | None = None,
    seconds_per_trial: float = 2.0,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> Tuning:
    """Find the fastest configuration of a component on this host and put it into the user's cache.

    Args:
        package: The opened package.
        component: Which component.
        graphs: Further graphs of the component to try, by the name of the pass set that made them.
        inputs: What to measure with; None means the first recorded inputs.
        threads: Intra-op threads that are given; None tries several.
        seconds_per_trial: How long to measure an alternative.
        on_trial: Called after each alternative.

    Raises:
        UsageError: the package has no recorded inputs and none were given, or this host cannot be told from others.
        MismatchError: the package does not give the recorded outputs here, or what was stored does not.
        UnsupportedError, ExecutionError: ONNX Runtime refuses the model, or its operators come from a library.
    """
    if package.interface(component).operator_domains:
        raise UnsupportedError("A component with operators of a library cannot be tuned.", where=component)
    key = make_key(package, component)
    if key is None:
        raise UsageError("The processor cannot be told, so that a tuned variant would fit any.", hint="Run on Linux.")
    checks = make_checks(package, component, inputs)
    portable = Graph(package.model_proto(component).SerializeToString(), package.path.parent)
    graphs = {"portable": portable, **(graphs or {})}
    report = find_fastest(
        graphs, checks, inputs=inputs, threads=threads, seconds_per_trial=seconds_per_trial, on_trial=on_trial
    )
    record = TuningRecord(
        key,
        report.best,
        package.manifest.package_name,
        component,
        round(report.baseline_s * 1e3, 4),
        round(report.best_s * 1e3, 4),
    )
    path = entry_path(key)
    path.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    graph = graphs[report.best.graph]
    if report.best.provider == CPU:
        with optimised_files(graph.model, graph.folder, report.best, path.parent) as contents:
            stored = store_entry(path, record, contents)
    else:
        stored = store_entry(path, record, portable_files(package, component))
    session = create_tuned_session(stored, threads=threads, integrity="crc32", where=str(path))
    if reason := find_difference(session, checks):
        path.unlink()
        raise MismatchError("The stored variant does not give the recorded outputs.", report=(reason,))
    return Tuning(component, report, record, path, path.stat().st_size, graph)


def embed_component(package: PackageFile, tuning: Tuning, path: Path) -> Path:
    """Write the package to `path`, with the tuned graph as a further variant of the component.

    Without pre-packed weights: ONNX Runtime takes their size on trust, and a package may come from anywhere. It packs
    them when it loads the variant.

    Raises:
        UsageError: the folder cannot be written.
        UnsupportedError, ExecutionError: ONNX Runtime refuses the model.
    """
    configuration = tuning.record.configuration
    if configuration.provider != CPU:
        return embed_variant(package, tuning.record, portable_files(package, tuning.component), path)
    graph = tuning.graph
    with optimised_files(graph.model, graph.folder, configuration, path.parent, prepacked=False) as contents:
        return embed_variant(package, tuning.record, contents, path)


def make_checks(package: PackageFile, component: str, inputs: Mapping[str, Array] | None) -> list[Check]:
    """The recorded vectors; where there are none, the given inputs with what the portable variant makes of them.

    Raises:
        UsageError: there are neither; or the inputs do not fit.
    """
    interface = package.interface(component)
    checks = [Check(each.inputs, each.outputs, interface.tolerances) for each in package.vectors(component)]
    if checks:
        return checks
    if inputs is None:
        raise UsageError(
            f"The component {component!r} has no recorded inputs to measure and to check with.",
            hint="Give --inputs FILE.npz, or convert with --proof quick or full.",
        )
    return [_check_against_portable(package, component, inputs, interface.tolerances)]


def _check_against_portable(
    package: PackageFile, component: str, inputs: Mapping[str, Array], tolerances: Mapping[str, Tolerance]
) -> Check:
    """The portable variant is right by definition, with ONNX Runtime's optimisations and without; their distance is
    its noise, of which four are allowed, as everywhere (docs/numerics.md)."""
    outputs, plain = (
        dict(zip(model.output_names, model.run(None, inputs), strict=True))
        for model in (
            load_component(package, component, device="cpu", optimize=optimize, tuned=False)
            for optimize in (True, False)
        )
    )
    noisy = {
        name: msgspec.structs.replace(
            bound, noise=bound.noise + NOISE_FACTOR * float(np.nanmax(np.abs(outputs[name] - plain[name]), initial=0.0))
        )
        for name, bound in tolerances.items()
    }
    return Check(inputs, outputs, noisy)

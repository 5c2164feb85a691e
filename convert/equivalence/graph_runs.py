"""Running a graph in memory, apart from any package: in ONNX Runtime without optimisations, and in onnx.reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir

from transload.convert.capture import Array, Feed
from transload.runtime.comparison import compare_output
from transload.runtime.configuration import Configuration, provider_list, session_options
from transload.runtime.session import open_session, runtime_errors
from transload.serialize.dtypes import FLOATS, dtype_from_numpy
from transload.serialize.errors import ExecutionError, UnsupportedError
from transload.serialize.interface import Tolerance

RUNTIME_LIMIT_BYTES = 1 << 30
"""Graphs with more weights are not run here: they would be held in memory, and protobuf ends at 2 GiB."""

REFERENCE_LIMIT_BYTES = 50 << 20
"""Graphs with more weights are not run in onnx.reference, which is plain numpy and slow."""

LOOSE = Tolerance(rtol=1e-3, atol=1e-4)
"""Two results that agree within this have the same fault, or both none; finer questions are the comparison's."""

LOOSE_ULPS = 8
"""In types so narrow that `LOOSE` is less than this, this: kernels round intermediate results in their own places."""


Run = Callable[[Feed], dict[str, Array] | None]
"""Gives a graph's outputs for a feed; None where the runtime fails."""


def open_in_runtime(model: ir.Model) -> Run | None:
    """A session of ONNX Runtime over a graph, one thread, no optimisations; None where it is too large or refused."""
    if weight_bytes(model) > RUNTIME_LIMIT_BYTES:
        return None
    configuration = Configuration(1, level="disable")
    names = [str(value.name) for value in model.graph.outputs]
    try:
        # All weights lie in the graph, so that no folder is looked into.
        session = open_session(
            _to_proto(model).SerializeToString(),
            session_options(configuration, "."),
            provider_list(configuration),
            "a graph in memory",
        )
    except (ExecutionError, UnsupportedError):
        # What ONNX Runtime refuses of the package itself is reported where that is run.
        return None

    def run(feed: Feed) -> dict[str, Array] | None:
        try:
            with runtime_errors("a graph in memory"):
                return dict(zip(names, session.run(names, dict(feed)), strict=True))
        except (ExecutionError, UnsupportedError):
            return None

    return run


def run_in_runtime(model: ir.Model, feed: Feed) -> dict[str, Array] | None:
    """As `open_in_runtime`, for one feed."""
    run = open_in_runtime(model)
    return None if run is None else run(feed)


def show_in_runtime(model: ir.Model, feed: Feed, names: Iterable[str]) -> dict[str, Array] | None:
    """What a graph computes at its outputs and at values of these names; None where it cannot run."""
    wanted = set(names)
    copy = model.clone()
    shown = [value for node in copy.graph for value in node.outputs if value.name in wanted]
    for value in shown:
        # The shapes that the graph declares are those of all inputs, not of this one.
        value.shape = None
    copy.graph.outputs.extend(value for value in shown if value not in copy.graph.outputs)
    return run_in_runtime(copy, feed)


def run_in_reference(model: ir.Model, feed: Feed) -> dict[str, Array] | None:
    """The graph's outputs in onnx.reference; None where it is too large, or an operator is missing or fails."""
    if weight_bytes(model) > REFERENCE_LIMIT_BYTES:
        return None
    # Imported only here, as most conversions ask ONNX Runtime alone.
    from onnx.reference import ReferenceEvaluator

    try:
        with np.errstate(all="ignore"):
            outputs = ReferenceEvaluator(_to_proto(model)).run(None, dict(feed))
    except Exception:
        # The reference implementation is incomplete and raises whatever numpy raises; it is a second opinion only.
        return None
    return {str(value.name): np.asarray(out) for value, out in zip(model.graph.outputs, outputs, strict=True)}


def show_values(model: ir.Model, feed: Feed) -> dict[str, Array] | None:
    """Every value of the main graph in onnx.reference, by name; None where `run_in_reference` gives None."""
    copy = model.clone()
    values = [value for node in copy.graph for value in node.outputs if value.name]
    outputs = list(copy.graph.outputs)
    copy.graph.outputs.clear()
    copy.graph.outputs.extend(dict.fromkeys([*outputs, *values]))
    return run_in_reference(copy, feed)


def agree_loosely(a: Mapping[str, Array], b: Mapping[str, Array]) -> bool:
    """Whether two sets of outputs are the same but for rounding, measured by the largest value of each output."""
    if set(a) != set(b):
        return False
    for name, expected in b.items():
        floats = dtype_from_numpy(expected.dtype) in FLOATS
        finite = np.abs(np.asarray(expected, np.float64)[np.isfinite(expected)]) if floats else np.zeros(0)
        rtol = max(LOOSE.rtol, LOOSE_ULPS * float(ml_dtypes.finfo(expected.dtype).eps)) if floats else LOOSE.rtol
        tolerance = Tolerance(rtol, LOOSE.atol / LOOSE.rtol * rtol * float(finite.max(initial=1e-30)))
        if not compare_output(name, a[name], expected, tolerance).passed:
            return False
    return True


def weight_bytes(model: ir.Model) -> int:
    """The size of all initializers, those of subgraphs included."""
    tensors = [value.const_value for graph in model.graphs() for value in graph.initializers.values()]
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def _to_proto(model: ir.Model) -> onnx.ModelProto:
    return ir.to_proto(ir.external_data.load_to_model(model.clone()))

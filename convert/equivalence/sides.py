"""The two sides of the check, source and package, and what each gives for an input set."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx_ir as ir

from transload.convert.capture import Array, Capture, Feed
from transload.convert.equivalence.graph_runs import weight_bytes
from transload.convert.equivalence.quantized_outputs import find_steps
from transload.convert.equivalence.tolerances import choose_tolerance
from transload.convert.error_lines import first_line
from transload.convert.options import ConvertOptions
from transload.convert.passes.metadata import SOURCE_KEY
from transload.runtime.model import load
from transload.serialize.errors import ExecutionError, MismatchError, UsageError
from transload.serialize.interface import Tolerance

LARGE_BYTES = 16 << 20
"""Of weights, beyond which a model is large."""

_NODE = re.compile(r"running (?P<op>\S+) node\. Name:'(?P<name>[^']*)'")


class Runner(Protocol):
    """What the check needs of a loaded package."""

    def run(self, output_names: Sequence[str] | None, feed: Feed, /) -> list[Array]:
        """Outputs by name, in the order asked for."""


LoadModel = Callable[[Path, str, bool], Runner]
"""Loads a component of a package, with graph optimisations or without."""


def load_for_check(path: Path, component: str, optimize: bool, libraries: Sequence[str] = ()) -> Runner:
    """The package's own loader, on the CPU with one thread, which is what NUMERICS gates with."""
    return load(path, component, device="cpu", threads=1, optimize=optimize, tuned=False, libraries=libraries)


@dataclass(frozen=True)
class Sides:
    """Source and package, ready to run.

    Args:
        capture: The source's side.
        plain: The package with graph optimisations off.
        optimized: The package with graph optimisations on; the same object where there is no such choice.
        outputs: The names of the outputs, in the order of the source's tree.
        tolerances: By output name; only floats have one.
        steps: The step of each quantized output, by name.
        is_large: Whether a run takes so long that starting a thread beside it does not matter.
        engine, graph: What runs the package, and what its graph is to the user, for messages.
    """

    capture: Capture
    plain: Runner
    optimized: Runner
    outputs: tuple[str, ...]
    tolerances: dict[str, Tolerance]
    steps: Mapping[str, float] = field(default_factory=dict)
    engine: str = "ONNX Runtime"
    graph: str = "capture"
    is_large: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why the source gave no outputs."""

    reason: str


class RunError(Exception):
    """ONNX Runtime failed where the source has an answer.

    `node` is the ONNX node, as far as the message tells. `is_kernel_too_large` says that a convolution or pool found
    less of its input than its kernel covers.
    """

    def __init__(self, message: str, node: str) -> None:
        super().__init__(message)
        self.message = message
        self.node = node
        match = _NODE.search(message)
        op_type = match["op"] if match else ""
        self.is_kernel_too_large = op_type.endswith("Pool") or (
            op_type.startswith("Conv") and "Invalid input shape" in message
        )


def open_sides(capture: Capture, path: Path, options: ConvertOptions, load_model: LoadModel) -> Sides:
    """Load the package twice and check that its outputs are the source's by name and order.

    Raises:
        MismatchError: an output is missing, there is one too many, or they come in another order.
        ExecutionError, UnsupportedError: ONNX Runtime refuses the model.
    """
    tensors = {leaf.name: leaf for leaf in capture.output_leaves()}
    graph = [str(value.name) for value in capture.model.graph.outputs]
    if graph != list(tensors):
        raise MismatchError(
            f"The graph's outputs {graph} are not the source's {list(tensors)}.",
            where=f"component {capture.component!r}",
            hint="This is a fault in the capture; please report it.",
        )
    return Sides(
        capture,
        load_model(path, capture.component, False),
        load_model(path, capture.component, True),
        tuple(tensors),
        {name: choose_tolerance(tensor, options) for name, tensor in tensors.items()},
        find_steps(capture.model),
        is_large=weight_bytes(capture.model) >= LARGE_BYTES,
    )


def ask_source(sides: Sides, feed: Feed) -> dict[str, Array] | Refusal:
    """The source's outputs, in the order of its tree, or why there are none."""
    try:
        outputs = sides.capture.reference.run(feed)
    except Exception as error:
        # Frameworks raise anything for inputs they do not take; what counts is that the source gives no answer.
        return Refusal(f"{type(error).__name__}: {first_line(error)}")
    order = [
        *(name for name in sides.outputs if name in outputs),
        *(name for name in outputs if name not in sides.outputs),
    ]
    return {name: np.asarray(outputs[name]) for name in order}


def ask_package(sides: Sides, runner: Runner, feed: Feed) -> dict[str, Array]:
    """The package's outputs, in the order of the source's tree.

    Raises:
        RunError: there are none.
        MismatchError: the feed was changed by the call.
    """
    before = {name: array.copy() for name, array in feed.items()}
    try:
        outputs = runner.run(sides.outputs, feed)
    except (ExecutionError, UsageError) as error:
        raise RunError(error.what, find_node(sides.capture.model, error.what)) from error
    for name, array in before.items():
        if not same_bytes(array, feed[name]):
            raise MismatchError(
                f"ONNX Runtime changed the input {name!r} while it ran.", where=f"component {sides.capture.component!r}"
            )
    return dict(zip(sides.outputs, outputs, strict=True))


def ask_both(sides: Sides, feed: Feed) -> tuple[dict[str, Array], dict[str, Array]]:
    """The package's outputs with graph optimisations off and on; at once where that is worth it, since each runs on one
    thread.

    Raises:
        RunError, MismatchError: as `ask_package`.
    """
    if sides.optimized is sides.plain:
        plain = ask_package(sides, sides.plain, feed)
        return plain, plain
    if not sides.is_large:
        return ask_package(sides, sides.plain, feed), ask_package(sides, sides.optimized, feed)
    with ThreadPoolExecutor(1) as pool:
        optimized = pool.submit(ask_package, sides, sides.optimized, feed)
        return ask_package(sides, sides.plain, feed), optimized.result()


def same_bytes(a: Array, b: Array) -> bool:
    """Whether two arrays have the same dtype, shape and content, NaN and signs of zero included."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return bool(np.array_equal(a, b)) if a.dtype == object else a.tobytes() == b.tobytes()


def find_node(model: ir.Model, message: str) -> str:
    """The node that ONNX Runtime names in an error message, with its source line; '' where it names none."""
    match = _NODE.search(message)
    if match is None:
        return ""
    found = next((node for node in model.graph.all_nodes() if node.name == match["name"]), None)
    line = "" if found is None else found.metadata_props.get(SOURCE_KEY, "")
    return f"ONNX node {match['name']!r} ({match['op']})" + (f", from {line}" if line else "")

"""Opening one of the models to compare: a package, an ONNX file, or a source of a framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from transload.convert.capture import Array, Capture, Feed
from transload.convert.detect import detect_source
from transload.convert.onnx.onnx_file import OnnxReference, open_optimized, read_model
from transload.convert.options import ConvertOptions, InputSpec, make_example
from transload.convert.passes import run_passes
from transload.convert.pipeline import capture_source
from transload.convert.source import Source, SourceKind
from transload.runtime.model import Model, load
from transload.serialize import open_package
from transload.serialize.errors import UsageError
from transload.serialize.interface import Interface, input_tensors

PACKAGE = "package"

Run = Callable[[Feed], dict[str, Array]]
"""Outputs by name for inputs by name; may raise anything."""


@dataclass(frozen=True)
class Opened:
    """One callable of a model, ready to run.

    Args:
        kind: `package`, or the word of the source's kind.
        engine: What runs it, with its version.
        capture: Its trees, its example, and a graph.
        plain: Runs it, with graph optimisations off.
        optimized: Runs it with graph optimisations on; the same function where there is no such choice.
        is_graph: Whether the capture's graph is the model itself, not a translation of it.
    """

    kind: str
    engine: str
    capture: Capture
    plain: Run
    optimized: Run
    is_graph: bool


@dataclass(frozen=True)
class PackageReference:
    """A package with graph optimisations off, as the reference of a comparison."""

    model: Model

    def run(self, feed: Feed) -> dict[str, Array]:
        """The package's outputs for `feed`."""
        names = self.model.output_names
        return dict(zip(names, self.model.run(names, feed), strict=True))

    def run_float64(self, feed: Feed) -> dict[str, Array] | None:
        """None: the graph fixes its element types."""
        return None


def knows_its_inputs(name: str, options: ConvertOptions) -> bool:
    """Whether a model says by itself what it takes; TorchScript files and module factories do not."""
    if is_package(name):
        return True
    kind = detect_source(name, trust_source=options.trust_source).kind
    return kind not in (SourceKind.TORCHSCRIPT, SourceKind.TORCH_MODULE)


def is_package(name: str) -> bool:
    """Whether a file is a package, by what it is called; a package under another name is refused by detection."""
    return Path(name).suffix == ".tload" and Path(name).is_file()


def open_models(name: str, options: ConvertOptions) -> list[Opened]:
    """Every callable of a model.

    Raises:
        UsageError, SourceError, PackageError, UnsupportedError: it cannot be opened.
    """
    if is_package(name):
        return [_open_component(Path(name), component) for component in open_package(name).component_names]
    source = detect_source(name, trust_source=options.trust_source)
    if source.kind is SourceKind.ONNX:
        return [_open_onnx(source, options)]
    return [_open_capture(capture) for capture in capture_source(source, options)]


def describe_inputs(opened: Opened) -> tuple[InputSpec, ...]:
    """What a model takes, in the form in which a user describes inputs; sizes that are not known get names."""
    specs = []
    for tensor in opened.capture.input_leaves():
        shape = tensor.shape if tensor.shape is not None else opened.capture.example[tensor.name].shape
        dims: list[int | str] = []
        for axis, dim in enumerate(shape):
            # Sums of other dimensions and names with signs in them are no words of the command line.
            is_word = isinstance(dim, int) or (isinstance(dim, str) and dim.isidentifier())
            dims.append(dim if is_word and dim is not None else f"{_word(tensor.name)}_dim_{axis}")
        specs.append(InputSpec(tensor.name, tensor.dtype, tuple(dims)))
    return tuple(specs)


def _word(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name) or "input"


def _open_component(path: Path, component: str) -> Opened:
    package = open_package(path)
    interface = package.interface(component)
    model = ir.from_proto(package.model_proto(component))
    ir.external_data.set_base_dir(model.graph, package.path.parent)
    vectors = package.vectors(component)
    reference = PackageReference(load(path, component, device="cpu", threads=1, optimize=False, tuned=False))
    # Not a variant of this user's cache: the package is what is judged.
    optimized = PackageReference(load(path, component, device="cpu", threads=1, tuned=False))
    capture = Capture(
        component=component,
        model=model,
        inputs=dict(interface.inputs),
        outputs=interface.outputs,
        reference=reference,
        example=dict(vectors[0].inputs) if vectors else _make_up(interface, model),
        source=interface.source,
        state=interface.state,
        resources=(package,),
    )
    return Opened(PACKAGE, _runtime(), capture, reference.run, optimized.run, is_graph=True)


def _make_up(interface: Interface, model: ir.Model) -> dict[str, Array]:
    """An input set for a package without vectors: made from shapes, and from the initial state."""
    state = {each.input.name: model.graph.initializers[each.input.name].const_value for each in interface.state}
    tensors = [tensor for tensor in input_tensors(interface) if tensor.name not in state]
    for tensor in tensors:
        if tensor.shape is None:
            raise UsageError(f"The rank of the input {tensor.name!r} is not known.", hint="Give --inputs FILE.npz.")
    specs = tuple(
        InputSpec(
            tensor.name,
            tensor.dtype,
            tuple(
                f"{_word(tensor.name)}_{axis}" if dim is None else dim for axis, dim in enumerate(tensor.shape or ())
            ),
        )
        for tensor in tensors
    )
    initial = {name: np.asarray(value.numpy()) for name, value in state.items() if value is not None}
    return make_example(specs) | initial


def _open_onnx(source: Source, options: ConvertOptions) -> Opened:
    capture = read_model(source, options, any_operator=True)
    assert source.path is not None and isinstance(capture.reference, OnnxReference)
    optimized = open_optimized(source.path, capture.reference.outputs)
    return Opened(source.kind.value, _runtime(), capture, capture.reference.run, optimized.run, is_graph=True)


def _open_capture(capture: Capture) -> Opened:
    state = frozenset(each.input.name for each in capture.state)
    capture = replace(capture, model=run_passes(capture.model, state).model)
    run: Run = capture.reference.run
    engine = f"{capture.source.framework} {capture.source.framework_version}"
    return Opened(capture.source.kind, engine, capture, run, run, is_graph=False)


def _runtime() -> str:
    return f"ONNX Runtime {ort.__version__}"


def fits(example: Mapping[str, Any], shapes: Mapping[str, tuple[Any, ...] | None]) -> bool:
    """Whether every array has the sizes that are numbers in its shape."""
    return all(
        len(shape) == np.ndim(example[name])
        and all(
            not isinstance(dim, int) or dim == size for dim, size in zip(shape, np.shape(example[name]), strict=True)
        )
        for name, shape in shapes.items()
        if shape is not None
    )

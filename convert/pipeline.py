"""The way of a model through the stages: source, captures, passes, equivalence, package."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import version

import msgspec

from transload.convert.capture import Alternatives, Capture
from transload.convert.equivalence.tolerances import choose_tolerance
from transload.convert.frozen_dimensions import freeze_dimensions
from transload.convert.options import ConvertOptions
from transload.convert.passes import find_library_domains
from transload.convert.selection import OnStage, Proven, choose, first_capture, prove
from transload.convert.source import Source, SourceKind
from transload.convert.source_digest import digest_source
from transload.serialize import Component, Package
from transload.serialize.dtypes import FLOATS
from transload.serialize.errors import TransloadError, UnsupportedError, UsageError
from transload.serialize.interface import Interface, Node, Proof, SourceRecord, Tolerance

FRONT_ENDS: Mapping[SourceKind, str] = {
    SourceKind.TORCHSCRIPT: "transload.convert.torch.torchscript",
    SourceKind.EXPORTED_PROGRAM: "transload.convert.torch.program",
    SourceKind.TORCH_MODULE: "transload.convert.torch.module",
    SourceKind.TRANSFORMERS: "transload.convert.torch.transformers.capture",
    SourceKind.SAVED_MODEL: "transload.convert.tensorflow.saved_model",
    SourceKind.GRAPH_DEF: "transload.convert.tensorflow.graph_def",
    SourceKind.KERAS: "transload.convert.tensorflow.keras_file",
    SourceKind.TF_CHECKPOINT: "transload.convert.tensorflow.checkpoint",
    SourceKind.TF_FUNCTION: "transload.convert.tensorflow.tf_function",
    SourceKind.TF_MODULE: "transload.convert.tensorflow.tf_module",
    SourceKind.TFLITE: "transload.convert.tensorflow.tflite_file",
    SourceKind.ONNX: "transload.convert.onnx.onnx_file",
}
"""The module with the `capture` function for each kind; imported only when a source of that kind comes."""

EXTRAS: Mapping[str, str] = {
    "torch": "torch",
    "onnxscript": "torch",
    "transformers": "transformers",
    "tensorflow": "tensorflow",
    "tf2onnx": "tensorflow",
}
"""The extra of our installation that brings a module which a front end needs."""

TOOLS = ("numpy", "onnx", "onnx-ir", "onnxruntime")

MAX_MESSAGE_LINES = 40


def convert_source(source: Source, options: ConvertOptions, on_stage: OnStage = lambda stage: None) -> Package:
    """Take a detected source to a proven package in memory.

    Args:
        source: What `detect_source` found.
        options: What the user asked for.
        on_stage: Called with `capture`, `passes`, `equivalence` and `package` as each begins.

    Raises:
        UsageError: an option does not fit the source, or the framework is not installed.
        SourceError: the source is damaged or not trusted.
        UnsupportedError: the source uses something that cannot be converted.
        MismatchError: source and package do not give the same outputs.
    """
    on_stage("capture")
    proven = _prove_all(_capture(source, options), options, on_stage)
    on_stage("package")
    digest = digest_source(source.path) if source.path else ""
    captures = [each.capture for each in proven]
    components = tuple(_make_component(each, options, digest) for each in proven)
    resources = tuple(resource for capture in captures for resource in capture.resources)
    assets = {name: data for capture in captures for name, data in capture.assets.items()}
    return Package(
        name_source(source), components, resources, assets, license=options.license, tools=_tool_versions(captures)
    )


def _tool_versions(captures: list[Capture]) -> dict[str, str]:
    """The version of each program that made the package: the frameworks of the captures, and what works on graphs."""
    frameworks = {capture.source.framework: capture.source.framework_version for capture in captures}
    return {name: version(name) for name in TOOLS} | frameworks


def name_source(source: Source) -> str:
    """A package's name: the file's without its suffix, the folder's, the factory's, or the object's class."""
    if source.path is not None:
        path = source.path.resolve()
        return path.name if path.is_dir() else path.stem
    if isinstance(source.value, str):
        return source.value.rpartition(":")[2]
    return str(getattr(source.value, "original_name", type(source.value).__name__))


def _is_wider(one: Tolerance, other: Tolerance) -> bool:
    return one.atol > other.atol or one.rtol > other.rtol


def capture_source(source: Source, options: ConvertOptions) -> list[Capture]:
    """Every callable that was asked for, as its front end captures it, before the passes; nothing is proven.

    Raises:
        UsageError, SourceError, UnsupportedError: as `convert_source`.
    """
    captures = _capture(source, options)
    return [each if isinstance(each, Capture) else first_capture(each) for each in captures]


def _capture(source: Source, options: ConvertOptions) -> list[Capture | Alternatives]:
    try:
        front_end = importlib.import_module(FRONT_ENDS[source.kind])
        captures: list[Capture | Alternatives] = front_end.capture(source, options)
    except (TransloadError, MemoryError):
        raise
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise _unclassified(error, source) from error
        raise UsageError(
            f"A source of the kind {source.kind.value} needs {package}, which is not installed.",
            hint=f"pip install 'transload[{EXTRAS[package]}]'",
        ) from error
    except Exception as error:
        # Exporters raise anything; whatever they raise here means that they cannot convert this source.
        raise _unclassified(error, source) from error
    return captures


def _unclassified(error: Exception, source: Source) -> UnsupportedError:
    lines = str(error).strip().splitlines() or ["(no message)"]
    if len(lines) > MAX_MESSAGE_LINES:
        lines = [*lines[:MAX_MESSAGE_LINES], "…"]
    message = "\n".join(lines)
    return UnsupportedError(
        f"The {source.kind.value} source could not be captured: {type(error).__name__}: {message}",
        hint="`transload convert --verbose` shows the exporter's own traceback.",
    )


def _prove_all(captures: list[Capture | Alternatives], options: ConvertOptions, on_stage: OnStage) -> list[Proven]:
    """Those with one way together, since they share weights; the others one by one. In the order in which they came."""

    def make_interface(capture: Capture) -> Interface:
        return _make_interface(capture, options, Proof("none"))

    single = [each for each in captures if isinstance(each, Capture)]
    together = iter(prove(single, make_interface, options, on_stage) if single else ())
    return [
        next(together) if isinstance(each, Capture) else choose(each, make_interface, options, on_stage)
        for each in captures
    ]


def _make_component(proven: Proven, options: ConvertOptions, digest: str) -> Component:
    evidence = proven.evidence
    capture, frozen = freeze_dimensions(proven.capture, evidence.dynamic, evidence.steps)
    notes = tuple(dict.fromkeys((*capture.notes, *proven.notes, *evidence.proof.notes, *frozen)))
    proof = msgspec.structs.replace(evidence.proof, notes=notes)
    interface = _make_interface(capture, options, proof)
    interface = msgspec.structs.replace(interface, tolerances=interface.tolerances | evidence.tolerances)
    record: SourceRecord = msgspec.structs.replace(
        interface.source, sha256=interface.source.sha256 or digest, way=capture.way
    )
    interface = msgspec.structs.replace(interface, source=record)
    return Component(capture.component, interface, capture.model, evidence.vectors)


def _make_interface(capture: Capture, options: ConvertOptions, proof: Proof) -> Interface:
    floats = [tensor for tensor in capture.output_leaves() if tensor.dtype in FLOATS]
    tolerances = {tensor.name: choose_tolerance(tensor, options) for tensor in floats}
    standard = ConvertOptions()
    widened = any(_is_wider(tolerances[tensor.name], choose_tolerance(tensor, standard)) for tensor in floats)
    inputs: dict[str, Node] = dict(capture.inputs)
    return Interface(
        component=capture.component,
        inputs=inputs,
        outputs=capture.outputs,
        tolerances=tolerances,
        source=capture.source,
        proof=proof,
        user_tolerance=widened,
        state=capture.state,
        operator_domains=find_library_domains(capture.model),
    )

"""Capturing an ONNX model that exists already; ONNX Runtime, without optimisations, is its own reference."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import onnx_ir as ir
import onnxruntime as ort
from google.protobuf.message import DecodeError

from transload.convert.capture import Array, Capture, Feed
from transload.convert.onnx.dimensions import (
    Renames,
    fill_example,
    has_unnamed,
    merge_specs,
    name_dimensions,
    rename_dimensions,
)
from transload.convert.onnx.external_files import check_external_files
from transload.convert.options import ConvertOptions
from transload.convert.passes import find_library_domains, find_unsupported
from transload.convert.passes.ir_version import IR_VERSION
from transload.convert.source import Source
from transload.convert.source_digest import digest_files, digest_source
from transload.runtime.integer_sums import open_exactly
from transload.runtime.session import register_libraries, runtime_errors
from transload.serialize.dtypes import dtype_from_onnx
from transload.serialize.errors import (
    ExecutionError,
    PackageError,
    SourceError,
    UnsupportedError,
    UnsupportedOperation,
    UsageError,
)
from transload.serialize.interface import Dict, SourceRecord, Tensor
from transload.serialize.manifest import FOLDER_OPTION
from transload.serialize.model_rules import check_model, check_size

COMPONENT = "main"
FATAL_ONLY = 4


@dataclass(frozen=True)
class OnnxReference:
    """The original file in ONNX Runtime. `outputs` maps our names to the file's."""

    session: ort.InferenceSession
    outputs: dict[str, str] = field(default_factory=dict)

    def run(self, feed: Feed) -> dict[str, Array]:
        """The outputs for `feed`, by our names."""
        arrays = self.session.run(list(self.outputs.values()), dict(feed))
        return dict(zip(self.outputs, arrays, strict=True))

    def run_float64(self, feed: Feed) -> dict[str, Array] | None:
        """None: the file fixes its element types."""
        return None


def capture(source: Source, options: ConvertOptions) -> list[Capture]:
    """Read a `.onnx` file; weights stay in its file, or its external data files, until they are written.

    Raises:
        SourceError: the file is damaged, is not valid ONNX, or names data outside its folder.
        UsageError: an input description does not fit the file, or an example is needed.
        UnsupportedError: operations are not ONNX's own (all are listed), or an input or output is not a tensor.
    """
    return [read_model(source, options)]


def read_model(source: Source, options: ConvertOptions, *, any_operator: bool = False) -> Capture:
    """As `capture`; with `any_operator`, also operators that are this ONNX Runtime's own."""
    assert source.path is not None
    path = source.path.resolve()
    proto = _read_proto(path)
    data = check_external_files(proto, path.parent)
    _check_model(path)
    _check_opset(proto, options.opset)
    model = _to_ir(proto, path)
    with_libraries = bool(options.libraries)
    if not any_operator and (unsupported := find_unsupported(model, with_libraries=with_libraries)):
        raise UnsupportedError(
            f"{path.name} holds {len(unsupported)} operations that are not ONNX's own.",
            operations=unsupported,
            hint="" if with_libraries else "Operators of a library need --library FILE.",
        )
    outputs = _separate_outputs(model)
    libraries = options.libraries if find_library_domains(model) else ()
    reference = OnnxReference(_open_session(path, proto, libraries=libraries), outputs)
    declared, renames = merge_specs(tuple(_tensor(value) for value in _own_inputs(model)), options.inputs)
    example, inputs = _find_example(reference, declared, options)
    _write_shapes(model, inputs, renames)
    digest = digest_files(path.parent, (path, *data)) if data else digest_source(path)
    return Capture(
        component=COMPONENT,
        model=model,
        inputs={tensor.name: tensor for tensor in inputs},
        outputs=Dict({value.name or "": _tensor(value) for value in model.graph.outputs}),
        reference=reference,
        example=example,
        source=SourceRecord(source.kind.value, "onnxruntime", ort.__version__, digest),
    )


def open_optimized(path: Path, outputs: Mapping[str, str]) -> OnnxReference:
    """The file with ONNX Runtime's graph optimisations on; `outputs` as those of the capture's reference."""
    return OnnxReference(_open_session(path.resolve(), _read_proto(path), optimize=True), dict(outputs))


def _read_proto(path: Path) -> onnx.ModelProto:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            check_size(data, path.name)
        proto: onnx.ModelProto = onnx.load(path, format="protobuf", load_external_data=False)
        check_model(proto, path.name, None)
    except DecodeError as error:
        raise SourceError(f"{path.name} is not an ONNX model, or is cut off: {error}.") from error
    except PackageError as error:
        # What a package may not hold need not be captured first.
        raise SourceError(f"{path.name}: {error.what}") from error
    return proto


def _check_model(path: Path) -> None:
    """By path, because a model with its weights inside may be too large for the checker's other form."""
    try:
        onnx.checker.check_model(path)
    except (onnx.checker.ValidationError, ValueError) as error:
        what = str(error).strip()
        hint = "onnx.shape_inference.infer_shapes_path may find the missing shapes." if "'shape'" in what else ""
        raise SourceError(f"{path.name} is not a valid ONNX model: {what}", hint=hint) from error


def _check_opset(proto: onnx.ModelProto, asked: int | None) -> None:
    found = next((item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")), asked)
    if asked not in (None, found):
        raise UsageError(
            f"The ONNX model has opset {found}; a model that is ONNX already keeps its opset.",
            hint="Leave --opset out.",
        )


def _to_ir(proto: onnx.ModelProto, path: Path) -> ir.Model:
    model = ir.from_proto(proto)
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        ir.external_data.set_base_dir(graph, path.parent)
    return model


def _separate_outputs(model: ir.Model) -> dict[str, str]:
    """The file's output names by ours, which differ where an input is returned as it came.

    Raises:
        UnsupportedError: operations are not ONNX's own (all are listed), or an input or output is not a tensor.
    """
    graph = model.graph
    found = tuple(
        UnsupportedOperation(f"value of type {value.type}", f"{kind} {value.name!r}")
        for kind, values in (("input", _own_inputs(model)), ("output", graph.outputs))
        for value in values
        if not isinstance(value.type, ir.TensorType)
    )
    if found:
        raise UnsupportedError("The model takes or returns values that are not tensors.", operations=found)
    names: dict[str, str] = {}
    for index, value in enumerate(graph.outputs):
        name = value.name or ""
        if value.is_graph_input():
            node = ir.node("Identity", [value])
            copy = node.outputs[0]
            copy.name, copy.type, copy.shape = f"{name}_out", value.type, value.shape
            graph.append(node)
            graph.outputs[index] = copy
            names[f"{name}_out"] = name
        else:
            names[name] = name
    return names


def _own_inputs(model: ir.Model) -> Iterator[ir.Value]:
    """The graph's inputs without those that only give an initializer's default."""
    graph = model.graph
    return (value for value in graph.inputs if value.name not in graph.initializers)


def _open_session(
    path: Path, proto: onnx.ModelProto, *, optimize: bool = False, libraries: Sequence[str] = ()
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    register_libraries(options, libraries, path.name)
    model: str | bytes = str(path)
    if proto.ir_version > IR_VERSION:
        # ONNX Runtime refuses the newest IR versions, although nothing in them bears on what a graph computes.
        lowered = onnx.ModelProto()
        lowered.CopyFrom(proto)
        lowered.ir_version = IR_VERSION
        model = lowered.SerializeToString()
        options.add_session_config_entry(FOLDER_OPTION, str(path.parent))

    def open_session() -> ort.InferenceSession:
        with runtime_errors(path.name):
            return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return open_exactly(data, options, open_session, path.name)
    except ExecutionError as error:
        raise SourceError(f"ONNX Runtime refuses {path.name}: {error.what}") from error


def _find_example(
    reference: OnnxReference, declared: tuple[Tensor, ...], options: ConvertOptions
) -> tuple[dict[str, Array], tuple[Tensor, ...]]:
    """An input set that the model accepts, and the inputs with a name for each open dimension.

    Dimensions without a name are taken for independent ones, and tried so, at sizes that all differ. Where the model
    refuses that, they are taken for equal along each axis (one batch size for all inputs).

    Raises:
        UsageError: the model refuses both.
    """
    naming = (False, True) if has_unnamed(declared) else (False,)
    for shared in naming:
        tensors = name_dimensions(declared, shared=shared)
        example = fill_example(tensors, options.example or {}, options.seed)
        try:
            reference.run(example)
        except Exception as error:
            # ONNX Runtime's exception classes have no base class but Exception.
            refusal = error
        else:
            return example, tensors
    sizes = ", ".join(f"{name}: {list(array.shape)}" for name, array in example.items())
    raise UsageError(
        f"ONNX Runtime cannot run the model on the example ({sizes}): {refusal}",
        hint="Give inputs that fit with --example FILE.npz, or describe them: --input NAME:DTYPE[DIMS], where "
        "equal names are equal sizes.",
    ) from refusal


def _tensor(value: ir.Value) -> Tensor:
    assert value.dtype is not None
    shape = None
    if value.shape is not None:
        shape = tuple(dim if isinstance(dim, int) else dim.value for dim in value.shape)
    return Tensor(value.name or "", dtype_from_onnx(value.dtype.value), shape)


def _write_shapes(model: ir.Model, inputs: tuple[Tensor, ...], renames: Renames) -> None:
    """Put names and sizes that the user gave, or that were made up, into the graph's inputs and outputs."""
    for value, tensor in zip(_own_inputs(model), inputs, strict=True):
        if tensor.shape is not None:
            value.shape = ir.Shape(tensor.shape)
    for value in model.graph.outputs:
        if value.shape is not None and not value.is_graph_input():
            value.shape = ir.Shape(rename_dimensions(_tensor(value), renames).shape or ())

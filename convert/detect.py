"""Finding out what a source is, by its content. Reads names, tags and magic numbers only, and imports no framework."""

from __future__ import annotations

import json
import mmap
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transload.convert.source import Source, SourceKind
from transload.serialize.errors import SourceError, UsageError
from transload.serialize.wire_format import LENGTH, VARINT, WireFormatError, scan_fields

FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

LOOKED_FOR = (
    "a SavedModel folder, a folder that transformers saved, a TorchScript file, an ExportedProgram (.pt2), an ONNX "
    "model, a frozen GraphDef (.pb or .pbtxt), a TensorFlow 1 checkpoint with its graph (.meta), a Keras model (.keras "
    "or .h5), a TFLite model, or the name of a module factory (package.module:callable)"
)

_HEAD_BYTES = 64 << 10

# Top-level fields (number, wire type). Sources: onnx.proto (ModelProto), tensorflow graph.proto (GraphDef),
# node_def.proto (NodeDef), saved_model.proto (SavedModel).
_ONNX_FIELDS = {(n, VARINT) for n in (1, 5)} | {(n, LENGTH) for n in (2, 3, 4, 6, 7, 8, 14, 20, 25, 26)}
_ONNX_GRAPH = (7, LENGTH)
_GRAPH_DEF_FIELDS = {(1, LENGTH), (2, LENGTH), (3, VARINT), (4, LENGTH), (5, LENGTH)}
_GRAPH_DEF_NODE = (1, LENGTH)
_NODE_DEF_FIELDS = {(n, LENGTH) for n in range(1, 8)}
_META_GRAPH_FIELDS = {(n, LENGTH) for n in range(1, 8)}
_META_GRAPH_GRAPH = (2, LENGTH)
_SAVED_MODEL_FIELDS = {(1, VARINT), (2, LENGTH)}

_TF_MODULES = {
    ("tensorflow.python.module.module", "Module"),
    ("tensorflow.python.trackable.autotrackable", "AutoTrackable"),
}

_PICKLE_HINT = (
    "A Python pickle can run code when it is read. If you trust its maker, give --trust-source. "
    "A state_dict has no model in it: pass a module factory, package.module:callable, with "
    "--weights FILE.safetensors."
)


def detect_source(
    source: Any,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    trust_source: bool = False,
) -> Source:
    """What `source` is: a path, the dotted name of a module factory, or an object in memory.

    Args:
        source: The path, name or object.
        args, kwargs: Example arguments of a torch module, Keras model or `tf.function`.
        trust_source: Whether files that run code when they are read may pass.

    Raises:
        UsageError: there is no such file, or it holds something other than a model (weights, a package).
        SourceError: the file is damaged, can run code, or is nothing known.
    """
    arguments = tuple(args), dict(kwargs) if kwargs else None
    if not isinstance(source, str | Path):
        return Source(_kind_of_object(source), None, source, *arguments)
    path = _find_meta_graph(Path(source))
    if isinstance(source, str) and FACTORY.fullmatch(source) and not path.exists():
        return Source(SourceKind.TORCH_MODULE, None, source, *arguments)
    if not path.exists():
        raise UsageError(
            f"There is no file or folder {str(source)!r}.",
            hint="A module factory is written package.module:callable.",
        )
    kind = _kind_of_folder(path) if path.is_dir() else _kind_of_file(path, trust_source)
    return Source(kind, path, None, *arguments)


def _kind_of_object(value: Any) -> SourceKind:
    """By the names of the classes that it derives from, so that nothing has to be imported to ask."""
    classes = {(cls.__module__, cls.__qualname__.rsplit(".", 1)[-1]) for cls in type(value).__mro__}
    packages = {module.split(".", 1)[0] for module, _ in classes}
    if classes & {("torch.jit._script", "ScriptModule"), ("torch.jit", "ScriptFunction")}:
        return SourceKind.TORCHSCRIPT
    if ("torch.export.exported_program", "ExportedProgram") in classes:
        return SourceKind.EXPORTED_PROGRAM
    if ("torch.nn.modules.module", "Module") in classes:
        return SourceKind.TORCH_MODULE
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if ("keras.src.models.model", "Model") in classes:
        return SourceKind.KERAS
    if "keras" in packages:
        raise UsageError(
            f"A Keras object that is no model ({name}) is not a source.",
            hint="Put it into a keras.Model and pass that.",
        )
    if classes & {("tensorflow.python.types.core", each) for each in ("ConcreteFunction", "PolymorphicFunction")}:
        return SourceKind.TF_FUNCTION
    if classes & _TF_MODULES:
        return SourceKind.TF_MODULE
    if "tensorflow" in packages:
        raise UsageError(
            f"A TensorFlow object of type {name} is not a source.",
            hint="Pass a tf.function, a concrete function, or a tf.Module.",
        )
    if packages & {"onnx", "onnx_ir"}:
        raise UsageError(
            f"An ONNX model in memory ({name}) is not a source yet.",
            hint="Save it as a .onnx file and convert that.",
        )
    raise UsageError(
        f"An object of type {name} is not a source.",
        hint="Pass a torch.nn.Module, ExportedProgram, ScriptModule, Keras model, tf.function, tf.Module, or a path.",
    )


def _find_meta_graph(path: Path) -> Path:
    """The graph of a checkpoint where its prefix or another of its files is named, else the path as it is."""
    is_part = re.search(r"\.(index|data-\d+-of-\d+)$", path.name)
    meta = Path(f"{str(path)[: -len(is_part[0])] if is_part else path}.meta")
    return meta if meta.is_file() and (is_part or not path.exists()) else path


def _kind_of_folder(path: Path) -> SourceKind:
    if any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        return SourceKind.SAVED_MODEL
    if (path / "manifest.json").is_file():
        raise UsageError(
            f"{path} is an unpacked package, not a source.", hint=f"Run `transload pack {path} -o FILE.tload`."
        )
    graphs = sorted(file.name for file in path.glob("*.meta"))
    if graphs and (path / "checkpoint").is_file():
        raise UsageError(f"{path} is a folder of checkpoints.", hint=f"Name one: {path / graphs[-1]}.")
    if _is_transformers_folder(path):
        return SourceKind.TRANSFORMERS
    models = sorted(file.name for file in path.glob("*.onnx"))
    if models:
        raise UsageError(f"{path} is a folder with ONNX models in it.", hint=f"Name the file: {path / models[0]}.")
    raise SourceError(
        f"{path} is a folder with neither saved_model.pb nor saved_model.pbtxt in it.",
        hint=f"Sources are {LOOKED_FOR}.",
    )


def _is_transformers_folder(path: Path) -> bool:
    """Whether a configuration of transformers lies beside weights. One beside ONNX models belongs to these."""
    try:
        config = json.loads((path / "config.json").read_bytes())
    except (OSError, ValueError):
        return False
    names = [file.suffix for file in path.iterdir()]
    return isinstance(config, dict) and "model_type" in config and (".onnx" not in names or ".safetensors" in names)


def _kind_of_file(path: Path, trust_source: bool) -> SourceKind:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from error
    if not head:
        raise SourceError(f"{path} is empty.")
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(path, trust_source)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return _kind_of_hdf5(path)
    if head[4:8] == b"TFL3":
        return SourceKind.TFLITE
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        raise SourceError(f"{path} is a Git LFS pointer, not the file itself.", hint="Run `git lfs pull`.")
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") <= path.stat().st_size:
        raise UsageError(
            f"{path} is a safetensors file: weights without a model.",
            hint="Pass a module factory, package.module:callable, with --weights FILE.safetensors.",
        )
    if head[0] == 0x80 and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        # A pickle's first opcode, PROTO, and its protocol. No message of ours can begin so: field 16 comes late.
        return _kind_of_pickle(path, trust_source)
    return _kind_of_text(head, path) or _kind_of_protobuf(path)


def _kind_of_zip(path: Path, trust_source: bool) -> SourceKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise SourceError(f"{path} begins like a ZIP file but is damaged: {error}.") from error
    # torch puts every member below one folder, which is named after the file.
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        return SourceKind.TORCHSCRIPT
    if "archive_format" in inner and any(re.fullmatch(r"models/[^/]+\.json", name) for name in inner):
        return SourceKind.EXPORTED_PROGRAM
    if "data.pkl" in inner:
        return _kind_of_pickle(path, trust_source)
    if {"config.json", "model.weights.h5"} <= set(names):
        return SourceKind.KERAS
    if "manifest.json" in names:
        raise UsageError(f"{path} is a package already.", hint=f"`transload inspect {path}` shows what is in it.")
    raise SourceError(f"{path} is a ZIP file without a model that transload knows.", hint=f"Sources are {LOOKED_FOR}.")


def _kind_of_pickle(path: Path, trust_source: bool) -> SourceKind:
    if not trust_source:
        raise SourceError(f"{path} is a Python pickle.", hint=_PICKLE_HINT)
    return SourceKind.TORCH_MODULE


def _kind_of_hdf5(path: Path) -> SourceKind:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        # HDF5 keeps the names of attributes as they are, ended by a zero byte.
        if data.find(b"model_config\0") < 0:
            raise UsageError(
                f"{path} is an HDF5 file without a Keras model in it (no attribute model_config): weights alone.",
                hint='Save the whole model with model.save("model.keras").',
            )
    return SourceKind.KERAS


def _kind_of_text(head: bytes, path: Path) -> SourceKind | None:
    """Text GraphDefs; text of other kinds is nothing known."""
    text = re.sub(rb"#[^\n]*", b"", head).lstrip()
    if re.match(rb"saved_model_schema_version\s*:", text):
        raise _bare_saved_model(path)
    if re.match(rb"(node|library|versions)\s*:?\s*\{", text):
        return SourceKind.GRAPH_DEF
    if re.match(rb"meta_info_def\s*:?\s*\{", text):
        return SourceKind.TF_CHECKPOINT
    return None


def _kind_of_protobuf(path: Path) -> SourceKind:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        tags: set[tuple[int, int]] = set()
        first_node = None
        broken = False
        try:
            for field in scan_fields(data):
                tag = field.number, field.wire_type
                tags.add(tag)
                if tag == _GRAPH_DEF_NODE and first_node is None:
                    first_node = {(inner.number, inner.wire_type) for inner in scan_fields(data, *field[2:])}
        except WireFormatError:
            broken = True
    if broken and tags >= {(1, VARINT)} and tags <= _ONNX_FIELDS:
        raise SourceError(f"{path} begins like an ONNX model but is cut off or damaged.")
    if not broken and _ONNX_GRAPH in tags and tags <= _ONNX_FIELDS:
        return SourceKind.ONNX
    if not broken and _is_meta_graph(path, tags):
        return SourceKind.TF_CHECKPOINT
    if first_node and {(1, LENGTH), (2, LENGTH)} <= first_node <= _NODE_DEF_FIELDS and tags <= _GRAPH_DEF_FIELDS:
        if broken:
            raise SourceError(f"{path} begins like a GraphDef but is cut off or damaged.")
        return SourceKind.GRAPH_DEF
    if not broken and tags == _SAVED_MODEL_FIELDS:
        raise _bare_saved_model(path)
    raise SourceError(f"{path} is no source that transload knows.", hint=f"Sources are {LOOKED_FOR}.")


def _is_meta_graph(path: Path, tags: set[tuple[int, int]]) -> bool:
    """Whether the second field is a graph: in a GraphDef it is the library of functions, which holds no nodes."""
    if _META_GRAPH_GRAPH not in tags or not tags <= _META_GRAPH_FIELDS:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            graph = next(field for field in scan_fields(data) if field[:2] == _META_GRAPH_GRAPH)
            node = next(field for field in scan_fields(data, *graph[2:]) if field[:2] == _GRAPH_DEF_NODE)
            fields = {(inner.number, inner.wire_type) for inner in scan_fields(data, *node[2:])}
        except (StopIteration, WireFormatError):
            return False
    return {(1, LENGTH), (2, LENGTH)} <= fields <= _NODE_DEF_FIELDS


def _bare_saved_model(path: Path) -> UsageError:
    return UsageError(
        f"{path} is the graph of a SavedModel, which is a folder.", hint=f"Pass the folder: {path.absolute().parent}."
    )

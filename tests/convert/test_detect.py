"""Sources are told apart by their content, whatever their names are."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from transload.convert.detect import detect_source
from transload.convert.source import SourceKind
from transload.serialize.errors import SourceError, TransloadError, UsageError


@pytest.fixture
def odd_name(tmp_path: Path) -> Path:
    """A file name that says nothing of the content."""
    return tmp_path / "model.bin"


def write_zip(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return path


def onnx_bytes() -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )
    data: bytes = helper.make_model(graph, producer_name="test").SerializeToString()
    return data


# Two NodeDefs, `x = Placeholder()` and `y = Relu(x)`, and versions { producer: 5 }, in protobuf's wire format.
GRAPH_DEF = b"\n\x10\n\x01x\x12\x0bPlaceholder" + b"\n\x0c\n\x01y\x12\x04Relu\x1a\x01x" + b'"\x02\x08\x05'
# saved_model_schema_version: 1, and one empty MetaGraphDef.
SAVED_MODEL = b"\x08\x01\x12\x00"


@pytest.fixture(scope="module")
def torch_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import safetensors.torch
    import torch

    folder = tmp_path_factory.mktemp("torch")
    module = torch.nn.Linear(3, 2).eval()
    files = {name: folder / f"{name}.bin" for name in ("traced", "program", "state", "old_state", "safetensors")}
    torch.jit.trace(module, torch.zeros(1, 3)).save(str(files["traced"]))
    with files["program"].open("wb") as program:
        torch.export.save(torch.export.export(module, (torch.zeros(2, 3),)), program)
    torch.save(module.state_dict(), files["state"])
    torch.save(module.state_dict(), files["old_state"], _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(module.state_dict(), files["safetensors"])
    return files


class TestTorch:
    def test_torchscript_file(self, torch_files: dict[str, Path]) -> None:
        source = detect_source(torch_files["traced"])
        assert (source.kind, source.path) == (SourceKind.TORCHSCRIPT, torch_files["traced"])

    def test_exported_program_file(self, torch_files: dict[str, Path]) -> None:
        assert detect_source(str(torch_files["program"])).kind is SourceKind.EXPORTED_PROGRAM

    @pytest.mark.parametrize("name", ["state", "old_state"])
    def test_pickle_is_refused_and_the_message_says_what_to_do(self, torch_files: dict[str, Path], name: str) -> None:
        with pytest.raises(SourceError, match=r"(?s)Python pickle.*--trust-source.*state_dict.*--weights"):
            detect_source(torch_files[name])

    @pytest.mark.parametrize("name", ["state", "old_state"])
    def test_trusted_pickle_passes(self, torch_files: dict[str, Path], name: str) -> None:
        assert detect_source(torch_files[name], trust_source=True).kind is SourceKind.TORCH_MODULE

    def test_safetensors_are_weights_only(self, torch_files: dict[str, Path]) -> None:
        with pytest.raises(UsageError, match=r"(?s)weights without a model.*--weights"):
            detect_source(torch_files["safetensors"])

    def test_objects_in_memory(self) -> None:
        import torch

        module = torch.nn.Linear(3, 2).eval()
        example = torch.zeros(2, 3)
        scripted = torch.jit.trace(module, example)
        program = torch.export.export(module, (example,))
        source = detect_source(module, (example,), {"flag": True})
        assert (source.kind, source.value, source.kwargs) == (SourceKind.TORCH_MODULE, module, {"flag": True})
        assert source.args[0] is example
        assert detect_source(scripted).kind is SourceKind.TORCHSCRIPT
        assert detect_source(program).kind is SourceKind.EXPORTED_PROGRAM


class TestTensorflow:
    @pytest.mark.parametrize("name", ["saved_model.pb", "saved_model.pbtxt"])
    def test_saved_model_folder(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(b"x")
        source = detect_source(tmp_path)
        assert (source.kind, source.path) == (SourceKind.SAVED_MODEL, tmp_path)

    def test_bare_saved_model_file_names_the_folder(self, odd_name: Path) -> None:
        odd_name.write_bytes(SAVED_MODEL)
        with pytest.raises(UsageError, match=f"Pass the folder: {odd_name.parent}"):
            detect_source(odd_name)

    def test_graph_def(self, odd_name: Path) -> None:
        odd_name.write_bytes(GRAPH_DEF)
        assert detect_source(odd_name).kind is SourceKind.GRAPH_DEF

    def test_text_graph_def(self, odd_name: Path) -> None:
        odd_name.write_text('# frozen\n\nnode {\n  name: "x"\n  op: "Placeholder"\n}\n')
        assert detect_source(odd_name).kind is SourceKind.GRAPH_DEF

    def test_graph_def_that_is_cut_off(self, odd_name: Path) -> None:
        odd_name.write_bytes(GRAPH_DEF[:-8])
        with pytest.raises(SourceError, match="GraphDef but is cut off"):
            detect_source(odd_name)

    def test_keras_zip(self, odd_name: Path) -> None:
        write_zip(odd_name, "metadata.json", "config.json", "model.weights.h5")
        assert detect_source(odd_name).kind is SourceKind.KERAS

    def test_keras_hdf5(self, odd_name: Path) -> None:
        with h5py.File(odd_name, "w") as file:
            file.attrs["model_config"] = "{}"
        assert detect_source(odd_name).kind is SourceKind.KERAS

    def test_hdf5_with_weights_alone(self, odd_name: Path) -> None:
        with h5py.File(odd_name, "w") as file:
            file["kernel"] = np.zeros(3)
        with pytest.raises(UsageError, match="weights alone"):
            detect_source(odd_name)

    def test_tflite(self, odd_name: Path) -> None:
        odd_name.write_bytes(b"\x1c\0\0\0TFL3" + bytes(20))
        assert detect_source(odd_name).kind is SourceKind.TFLITE

    @pytest.mark.parametrize(
        ("module", "name", "kind"),
        [
            ("keras.src.models.model", "Model", SourceKind.KERAS),
            ("tensorflow.python.types.core", "PolymorphicFunction", SourceKind.TF_FUNCTION),
            ("tensorflow.python.types.core", "ConcreteFunction", SourceKind.TF_FUNCTION),
            ("tensorflow.python.module.module", "Module", SourceKind.TF_MODULE),
            ("tensorflow.python.trackable.autotrackable", "AutoTrackable", SourceKind.TF_MODULE),
        ],
    )
    def test_object_in_memory_by_a_class_that_it_derives_from(self, module: str, name: str, kind: SourceKind) -> None:
        base = type(name, (), {"__module__": module})
        assert detect_source(type("Mine", (base,), {})()).kind is kind

    @pytest.mark.parametrize(
        ("module", "hint"), [("keras.src.layers.layer", r"keras\.Model"), ("tensorflow.python.ops", r"tf\.function")]
    )
    def test_object_in_memory_that_is_no_model(self, module: str, hint: str) -> None:
        value = type("Layer", (), {"__module__": module})()
        with pytest.raises(UsageError, match=hint):
            detect_source(value)


class TestOnnx:
    def test_onnx_file(self, odd_name: Path) -> None:
        odd_name.write_bytes(onnx_bytes())
        assert detect_source(odd_name).kind is SourceKind.ONNX

    def test_onnx_file_whose_graph_comes_first(self, odd_name: Path) -> None:
        model = onnx.load_from_string(onnx_bytes())
        graph = onnx.ModelProto(graph=model.graph).SerializeToString()
        model.ClearField("graph")
        odd_name.write_bytes(graph + model.SerializeToString())
        assert detect_source(odd_name).kind is SourceKind.ONNX

    def test_onnx_file_that_is_cut_off(self, odd_name: Path) -> None:
        odd_name.write_bytes(onnx_bytes()[:-10])
        with pytest.raises(SourceError, match="ONNX model but is cut off"):
            detect_source(odd_name)

    def test_lone_tensor_is_no_model(self, odd_name: Path) -> None:
        odd_name.write_bytes(helper.make_tensor("t", TensorProto.FLOAT, [2], [1.0, 2.0]).SerializeToString())
        with pytest.raises(SourceError, match="no source"):
            detect_source(odd_name)

    def test_folder_of_onnx_files_names_one(self, tmp_path: Path) -> None:
        (tmp_path / "m.onnx").write_bytes(onnx_bytes())
        with pytest.raises(UsageError, match=r"m\.onnx"):
            detect_source(tmp_path)

    def test_object_in_memory_is_to_be_saved(self) -> None:
        with pytest.raises(UsageError, match=r"\.onnx file"):
            detect_source(onnx.load_from_string(onnx_bytes()))


class TestFactories:
    @pytest.mark.parametrize("name", ["models:make", "package.models:Tagger", "models:Tagger.small"])
    def test_dotted_name_is_a_factory(self, name: str) -> None:
        source = detect_source(name)
        assert (source.kind, source.value, source.path) == (SourceKind.TORCH_MODULE, name, None)

    def test_file_of_that_name_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("models:make").write_bytes(onnx_bytes())
        assert detect_source("models:make").kind is SourceKind.ONNX


@pytest.mark.parametrize("name", ["nowhere.pt", "models.make", "a/b:make", "models:"])
def test_missing_path_is_wrong_usage(name: str) -> None:
    with pytest.raises(UsageError, match="There is no file or folder"):
        detect_source(name)


def test_package_is_no_source(odd_name: Path) -> None:
    write_zip(odd_name, "manifest.json")
    with pytest.raises(UsageError, match="package already"):
        detect_source(odd_name)


def test_unpacked_package_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match="transload pack"):
        detect_source(tmp_path)


def test_object_of_another_type_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match=r"builtins\.dict"):
        detect_source({"weights": 1})


NOTHING_KNOWN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "text": (b"import torch\n", "no source"),
    "zip of other things": (b"", "without a model"),
    "damaged zip": (b"PK\x03\x04" + bytes(40), "ZIP file but is damaged"),
    "plain pickle": (pickle.dumps({"a": 1}), "Python pickle"),
    "git lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "zeros": (bytes(64), "no source"),
    "endless varint": (b"\xff" * 64, "no source"),
}


@pytest.mark.parametrize("name", NOTHING_KNOWN)
def test_anything_else_is_refused_as_a_source(odd_name: Path, name: str) -> None:
    content, message = NOTHING_KNOWN[name]
    if name == "zip of other things":
        write_zip(odd_name, "readme.txt")
    else:
        odd_name.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        detect_source(odd_name)


def test_empty_folder_is_refused_with_the_list_of_sources(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"(?s)saved_model\.pb.*TorchScript.*Keras"):
        detect_source(tmp_path)


@pytest.mark.parametrize("content", [onnx_bytes(), GRAPH_DEF, SAVED_MODEL])
def test_no_cut_of_a_message_brings_anything_but_our_errors(odd_name: Path, content: bytes) -> None:
    outcomes: set[Any] = set()
    for length in range(1, len(content)):
        odd_name.write_bytes(content[:length])
        try:
            outcomes.add(detect_source(odd_name).kind)
        except TransloadError:
            outcomes.add("refused")
    assert "refused" in outcomes
    assert outcomes <= {"refused", SourceKind.GRAPH_DEF, SourceKind.ONNX}


def test_detection_imports_no_framework(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = write_zip(tmp_path / "m.pt", "m/data.pkl", "m/code/a.py", "m/constants.pkl")
    code = (
        "import sys; from transload.convert.detect import detect_source; "
        f"print(detect_source({str(path)!r}).kind.value, {{'torch', 'tensorflow', 'keras', 'h5py'}} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "torchscript set()"

"""Who may import whom (DESIGN.md, section 2), what the front door offers, and what importing it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import transload

ROOT = Path(__file__).resolve().parents[1]

FOLDERS = {"api": "src/transload", "convert": "convert", "runtime": "runtime", "serialize": "serialize"}
ALLOWED = {
    "api": {"api", "convert", "runtime", "serialize"},
    "convert": {"convert", "serialize", "runtime"},
    "runtime": {"runtime", "serialize"},
    "serialize": {"serialize"},
}

FRAMEWORKS = {"torch", "tensorflow", "keras", "tf2onnx", "onnxscript", "safetensors", "h5py", "transformers"}
COMMAND_LINE = {"click", "rich"}
DEPENDENCIES = {"google", "ml_dtypes", "msgspec", "numpy", "onnx", "onnx_ir", "onnxruntime"}


def modules(layer: str) -> list[Path]:
    return sorted((ROOT / FOLDERS[layer]).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(name: str) -> str | None:
    """The layer of a module of ours; None for others and for the namespace itself."""
    parts = name.split(".")
    if parts[0] != "transload" or len(parts) == 1:
        return None
    return parts[1] if parts[1] in ALLOWED else "api"


def violations(layer: str, path: Path) -> list[str]:
    found = [name for name in imports(path) if (used := layer_of(name)) and used not in ALLOWED[layer]]
    where = path.relative_to(ROOT).as_posix()
    foreign = DEPENDENCIES | set(sys.stdlib_module_names) | {"transload"}
    if layer == "api":
        foreign |= COMMAND_LINE
    if where.startswith("convert/torch/"):
        foreign |= {"torch", "onnxscript", "safetensors"}
    if where.startswith("convert/torch/transformers/"):
        foreign |= {"transformers"}
    if where.startswith("convert/tensorflow/"):
        foreign |= {"tensorflow", "keras", "tf2onnx", "h5py"}
    if where == "serialize/signature.py":
        foreign |= {"model_signing"}
    if where.startswith("convert/peers/"):
        foreign |= {"torch", "tensorflow", "openvino"}
    return found + [name for name in imports(path) if name.partition(".")[0] not in foreign]


@pytest.mark.parametrize("layer", FOLDERS)
def test_layers_import_only_what_lies_below_them(layer: str) -> None:
    paths = modules(layer)
    assert paths
    assert {path.relative_to(ROOT).as_posix(): bad for path in paths if (bad := violations(layer, path))} == {}


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        ("serialize", "from transload.runtime.model import load"),
        ("runtime", "import transload.convert.options"),
        ("runtime", "from transload import convert"),
        ("convert", "from transload.cli import main"),
        ("convert", "from transload.api import convert_model"),
        ("convert", "import torch"),
        ("api", "def f():\n    import tensorflow as tf"),
        ("runtime", "import click"),
    ],
)
def test_a_planted_import_is_found(layer: str, line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / FOLDERS[layer] / "planted.py"
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert violations(layer, path)


def test_public_names() -> None:
    assert transload.__all__ == [
        "ExecutionError",
        "MismatchError",
        "Model",
        "Package",
        "PackageError",
        "SourceError",
        "TransloadError",
        "UnsupportedError",
        "UsageError",
        "WorkerError",
        "__version__",
        "convert_model",
        "load",
        "verify",
    ]
    assert all(getattr(transload, name) is not None for name in transload.__all__)
    assert set(transload.__all__) <= set(dir(transload))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'convertt'"):
        _ = transload.convertt


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_importing_transload_imports_no_framework_and_no_command_line() -> None:
    heavy = sorted(FRAMEWORKS | COMMAND_LINE | {"onnx_ir", "sympy"})
    code = f"import sys, transload; print(sorted(set({heavy}) & set(sys.modules)))"
    assert run_python(code) == "[]"


def test_a_conversion_without_a_proof_needs_no_runtime() -> None:
    """18 MB, which count beside a small model. The graph goes through every pass; nothing runs it."""
    code = (
        "import sys, tensorflow as tf\n"
        "from transload.convert.detect import detect_source\n"
        "from transload.convert.options import ConvertOptions\n"
        "from transload.convert.pipeline import convert_source\n"
        "source = detect_source(tf.function(lambda x: x + 1.0, input_signature=[tf.TensorSpec([None, 2])]))\n"
        "convert_source(source, ConvertOptions(proof='none'))\n"
        "print('onnxruntime' in sys.modules)\n"
        "convert_source(source, ConvertOptions(proof='quick'))\n"
        "print('onnxruntime' in sys.modules)"
    )
    assert run_python(code).split() == ["False", "True"]


def test_running_a_package_needs_no_framework() -> None:
    """Loading and verifying stay possible where neither framework can be imported."""
    blocked = sorted(FRAMEWORKS)
    code = (
        "import sys\n"
        f"for name in {blocked}: sys.modules[name] = None\n"
        "import transload\n"
        "print(all(map(callable, (transload.load, transload.verify, transload.convert_model, transload.Package))))"
    )
    assert run_python(code) == "True"


def test_importing_transload_takes_under_300_ms_more_than_onnxruntime() -> None:
    """The best of three, since other work on the machine can only make it slower."""
    code = "import time, onnxruntime; began = time.perf_counter(); import transload; print(time.perf_counter() - began)"
    assert min(float(run_python(code)) for _ in range(3)) < 0.3

"""Fixtures: a small ONNX source, a place for its package, and code planted into the worker process."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    weight = numpy_helper.from_array(np.eye(40, dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 40])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 40])],
        [weight],
    )
    path = tmp_path / "source" / "m.onnx"
    path.parent.mkdir()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path, save_as_external_data=True, location="m.data", size_threshold=0)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "m.tload"


@pytest.fixture
def front_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    return FrontEnd(tmp_path / "planted", monkeypatch)


class FrontEnd:
    """Plants code into the worker in place of the ONNX front end, so that it dies while it captures."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        self._folder = folder
        monkeypatch.setenv("PYTHONPATH", str(folder))

    def plant(self, body: str) -> None:
        # Python imports sitecustomize at its start.
        (self._folder / "planted_front_end.py").write_text(
            "import ctypes, os, signal, sys, time\n\ndef capture(source, options):\n" + textwrap.indent(body, "    ")
        )
        (self._folder / "sitecustomize.py").write_text(
            "import sys, types\n"
            "class Finder:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name == 'transload.convert.onnx.onnx_file':\n"
            "            import importlib.util\n"
            f"            return importlib.util.spec_from_file_location(name, {str(self._folder)!r} + "
            "'/planted_front_end.py')\n"
            "sys.meta_path.insert(0, Finder())\n"
        )

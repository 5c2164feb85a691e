"""`transload compare`: exit status, table, JSON and the page."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper, numpy_helper

from transload.cli import main


def write_scale(path: Path, factor: float) -> str:
    node = helper.make_node("Mul", ["x", "factor"], ["y"])
    info = [helper.make_tensor_value_info(name, 1, ["batch", 3]) for name in ("x", "y")]
    graph = helper.make_graph([node], "g", info[:1], info[1:], [numpy_helper.from_array(np.float32(factor), "factor")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("files")
    return write_scale(folder / "one.onnx", 1.0), write_scale(folder / "two.onnx", 1.01)


def test_equal_models_exit_with_0_and_a_table(files: tuple[str, str]) -> None:
    result = CliRunner().invoke(main, ["compare", files[0], files[0], "--proof", "quick"])
    assert result.exit_code == 0, result.stderr
    assert "max abs error" in result.stdout and "DIFFERS" not in result.stdout
    assert "dimension batch: sizes 2, 3" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("the same: ")


def test_unlike_models_exit_with_1_and_say_so_as_json_and_as_a_page(files: tuple[str, str], tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    result = CliRunner().invoke(main, ["compare", *files, "--report", str(report), "--json"])
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["passed"] is False
    assert found["error"]["class"] == "MismatchError"
    assert found["components"][0]["sets"][0]["outputs"][0]["row"]["missed"] > 0
    assert "Not the same" in report.read_text()
    assert "are not the same" in result.stderr and "blame: the graph" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nowhere.onnx", "ONE"], 2, "There is no file or folder"),
        (["ONE", "ONE", "--inputs", "nowhere.npz"], 2, "Cannot read nowhere.npz"),
        (["ONE", "TEXT"], 4, "no source that transload knows"),
        (["ONE", "crashing:make"], 6, "crashed with SIGABRT"),
    ],
)
def test_errors_have_the_status_of_their_class(
    files: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("crashing.py").write_text("import os\nos.abort()\n")
    Path("text").write_text("hello")
    words = {"ONE": files[0], "TEXT": "text"}
    result = CliRunner().invoke(main, ["compare", *(words.get(word, word) for word in arguments)])
    assert result.exit_code == status, result.stderr
    assert message in result.stderr
    assert "crashing" not in sys.modules

"""`transload convert`: options, output, and that a failure leaves nothing."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from transload.cli.convert import parse_size
from transload.runtime.model import load
from transload.serialize import open_package

Command = Callable[..., Result]


def test_result_is_a_working_package(package_file: Path, weight: np.ndarray) -> None:
    x = np.array([[1, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(load(package_file)(x)["y"], weight[:1], rtol=1e-6)


def test_summary_says_what_was_proven(transload: Command, onnx_file: Path, tmp_path: Path) -> None:
    result = transload("convert", onnx_file, "-o", tmp_path / "m.tload")
    assert result.exit_code == 0
    assert result.stderr == ""
    size, proof = result.stdout.splitlines()[:2]
    assert size.startswith("m.tload: ")
    assert "main: proof full: " in proof
    assert "largest error" in proof


def test_json_is_the_only_thing_on_stdout(transload: Command, onnx_file: Path, tmp_path: Path) -> None:
    result = transload("convert", onnx_file, "-o", tmp_path / "m.tload", "--json", "--proof", "quick")
    facts = json.loads(result.stdout)
    assert facts["size_bytes"] == (tmp_path / "m.tload").stat().st_size
    assert facts["name"] == "scorer"
    assert facts["components"]["main"]["proof"]["level"] == "quick"
    assert facts["components"]["main"]["cases_tried"] > 1
    assert set(facts["stage_seconds"]) == {"start", "detect", "capture", "passes", "equivalence", "package"}
    assert facts["peak_memory_bytes"] > 10 << 20


def test_no_proof_is_recorded_and_said(transload: Command, onnx_file: Path, tmp_path: Path) -> None:
    result = transload("convert", onnx_file, "-o", tmp_path / "m.tload", "--proof", "none")
    assert "proof none: nobody has checked" in result.stdout
    with open_package(tmp_path / "m.tload") as package:
        assert package.interface("main").proof.level == "none"


@pytest.mark.parametrize(
    ("flag", "number", "widened"), [("--atol", 0.5, True), ("--rtol", 0.25, True), ("--atol", 1e-7, False)]
)
def test_own_tolerance_is_recorded(
    transload: Command, onnx_file: Path, tmp_path: Path, flag: str, number: float, widened: bool
) -> None:
    result = transload("convert", onnx_file, "-o", tmp_path / "m.tload", flag, number, "--proof", "quick")
    assert result.exit_code == 0
    with open_package(tmp_path / "m.tload") as package:
        interface = package.interface("main")
    assert getattr(interface.tolerances["y"], flag[2:]) == number
    assert interface.user_tolerance is widened
    assert ("widened by the user" in result.stdout) is widened


def test_inputs_may_be_described(transload: Command, onnx_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.tload"
    result = transload("convert", onnx_file, "-o", path, "--input", "x:float32[rows,4]", "--proof", "quick")
    assert result.exit_code == 0
    with open_package(path) as package:
        assert package.interface("main").inputs["x"].shape == ("rows", 4)  # type: ignore[union-attr]


def test_example_is_recorded_as_a_vector(
    transload: Command, onnx_file: Path, tmp_path: Path, weight: np.ndarray
) -> None:
    x = np.full((5, 4), 3, np.float32)
    np.savez(tmp_path / "in.npz", x=x)
    path = tmp_path / "m.tload"
    result = transload("convert", onnx_file, "-o", path, "--example", tmp_path / "in.npz", "--proof", "quick")
    assert result.exit_code == 0
    with open_package(path) as package:
        recorded = package.vectors("main")[0]
    np.testing.assert_array_equal(recorded.inputs["x"], x)
    np.testing.assert_allclose(recorded.outputs["y"], x @ weight, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nowhere.onnx"], 2, "There is no file or folder"),
        (["SOURCE", "--input", "x[1"], 2, "Cannot read the input description"),
        (["SOURCE", "--input", "z:float32[1]"], 2, "no input 'z'"),
        (["SOURCE", "--example", "nowhere.npz"], 2, "Cannot read nowhere.npz"),
        (["SOURCE", "--opset", "20"], 2, "has opset 18"),
        (["TEXT"], 4, "no source that transload knows"),
        (["TFLITE"], 4, "TFLite"),
    ],
)
def test_errors_have_the_status_of_their_class_and_leave_nothing(
    transload: Command, onnx_file: Path, tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    sources = {"SOURCE": onnx_file, "TEXT": tmp_path / "text", "TFLITE": tmp_path / "tflite"}
    sources["TEXT"].write_text("hello")
    sources["TFLITE"].write_bytes(b"\0\0\0\0TFL3" + bytes(8))
    folder = tmp_path / "out"
    folder.mkdir()
    result = transload("convert", *(sources.get(word, word) for word in arguments), "-o", folder / "m.tload", "--json")
    assert result.exit_code == status
    assert result.stderr.startswith("transload: ")
    assert message in result.stderr
    error = json.loads(result.stdout)["error"]
    assert error["exit_status"] == status
    assert message in error["message"]
    assert list(folder.iterdir()) == []


def test_mismatch_exits_with_1_and_leaves_nothing(transload: Command, onnx_file: Path, tmp_path: Path) -> None:
    """The standard's tolerance is what counts here: the source is checked against itself, bent by a planted pass."""
    folder = tmp_path / "planted"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'transload.convert.pipeline':\n"
        "            sys.meta_path.remove(self)\n"
        "            import numpy as np, onnx_ir as ir\n"
        "            import transload.convert.passes as passes\n"
        "            run_passes = passes.run_passes\n"
        "            def bend(model, state):\n"
        "                value = model.graph.initializers['w']\n"
        "                value.const_value = ir.tensor(value.const_value.numpy() * np.float32(1.01), name='w')\n"
        "                return run_passes(model, state)\n"
        "            passes.run_passes = bend\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    target = tmp_path / "out" / "m.tload"
    target.parent.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        result = transload("convert", onnx_file, "-o", target)
    assert result.exit_code == 1, result.output
    assert "y" in result.stderr
    assert list(target.parent.iterdir()) == []


class TestCrash:
    @pytest.fixture
    def factories(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "crashers.py").write_text(
            "import ctypes, os, signal, time, torch\n"
            "class Crash(torch.nn.Module):\n"
            "    def forward(self, x):\n"
            "        ctypes.string_at(0)\n"
            "        return x\n"
            "def divide():\n"
            "    os.kill(os.getpid(), signal.SIGFPE)\n"
            "def sleep():\n"
            "    time.sleep(60)\n"
            "def allocate():\n"
            "    return torch.nn.Linear(1 << 16, 1 << 16)\n"
        )
        monkeypatch.chdir(tmp_path)

    @pytest.mark.usefixtures("factories")
    @pytest.mark.parametrize(
        ("factory", "limit", "message"),
        [
            ("Crash", [], "SIGSEGV"),
            ("divide", [], "SIGFPE"),
            ("sleep", ["--time-limit", "8"], "time limit of 8 s"),
            ("allocate", ["--memory-limit", "12G"], "ran out of memory"),
        ],
    )
    def test_dying_factory_is_exit_status_6_and_names_the_stage(
        self, transload: Command, tmp_path: Path, factory: str, limit: list[str], message: str
    ) -> None:
        target = tmp_path / "out" / "m.tload"
        target.parent.mkdir()
        result = transload("convert", f"crashers:{factory}", "-o", target, "--input", "x:float32[n,3]", *limit)
        assert result.exit_code == 6, result.output
        assert message in result.stderr
        assert "stage: capture" in result.stderr
        assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize(("text", "size"), [("100", 100), ("8G", 8 << 30), ("500m", 500 << 20), ("2KiB", 2048)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "0", "1.5G", "8X"])
def test_what_is_no_size_is_wrong_usage(transload: Command, text: str) -> None:
    result = transload("convert", "m.onnx", "-o", "m.tload", "--memory-limit", text)
    assert result.exit_code == 2
    assert "is not a size" in result.stderr


def test_progress_is_shown_on_a_terminal_and_nowhere_else(onnx_file: Path, tmp_path: Path) -> None:
    import os
    import pty
    import subprocess

    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "transload.cli", "convert", str(onnx_file), "-o", str(tmp_path / "m.tload")]
    process = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=follower)
    os.close(follower)
    shown = b""
    # A terminal holds few bytes; at its end, reading raises.
    with contextlib.suppress(OSError):
        while chunk := os.read(leader, 1 << 12):
            shown += chunk
    os.close(leader)
    facts, _ = process.communicate()
    assert process.returncode == 0
    assert b"equivalence" in shown
    assert json.loads(facts)["name"] == "scorer"
    quiet = subprocess.run(command, capture_output=True, check=True)
    assert quiet.stderr == b""

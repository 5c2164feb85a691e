"""The other commands, and what all have in common."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import msgspec
import numpy as np
import onnx_ir as ir
import pytest
from click.testing import Result
from onnx import TensorProto, helper

from transload.cli import main
from transload.serialize import Component, Package, open_package
from transload.serialize.interface import Dict, Interface, Proof, SourceRecord, Tensor, Tolerance

Command = Callable[..., Result]


class TestInspect:
    def test_table_shows_the_whole_interface(self, transload: Command, package_file: Path) -> None:
        result = transload("inspect", package_file)
        assert result.exit_code == 0
        for words in (
            "component main",
            "float32[batch,4]",
            "float32[batch,100]",
            "call: (x) -> {y: float32[batch,100]}",
            "source: onnx (onnxruntime ",
            "opset: ai.onnx 18",
            "proof: full: ",
            "tolerance of y: atol 1e-05, rtol 1.3e-06",
            "main/portable/model.onnx.data",
            "written by transload 0.1.0",
        ):
            assert words in result.stdout
        assert "WARNING" not in result.stdout

    def test_json_holds_the_same(self, transload: Command, package_file: Path, weight: np.ndarray) -> None:
        facts = json.loads(transload("inspect", package_file, "--json").stdout)
        component = facts["components"]["main"]
        assert component["inputs"] == {"x": {"type": "tensor", "name": "x", "dtype": "float32", "shape": ["batch", 4]}}
        assert component["opset"] == {"ai.onnx": 18}
        assert component["tolerances"]["y"]["rtol"] == 1.3e-6
        assert component["tolerances"]["y"]["atol"] == 1e-5
        assert component["user_tolerance"] is False
        assert facts["members"]["main/portable/model.onnx.data"]["size_bytes"] == weight.nbytes
        assert facts["size_bytes"] == package_file.stat().st_size

    def test_licence_and_tools_are_shown(self, transload: Command, package_file: Path, tmp_path: Path) -> None:
        package = replace(open_package(package_file).to_package(), license="Apache-2.0 OR MIT", tools={"onnx": "1.2.3"})
        path = package.save(tmp_path / "m.tload")
        shown = transload("inspect", path).stdout
        assert "licence: Apache-2.0 OR MIT" in shown
        assert "with onnx 1.2.3" in shown
        facts = json.loads(transload("inspect", path, "--json").stdout)
        assert (facts["license"], facts["tools"]) == ("Apache-2.0 OR MIT", {"onnx": "1.2.3"})

    def test_a_text_that_commands_the_terminal_is_shown_instead(
        self, transload: Command, package_file: Path, tmp_path: Path
    ) -> None:
        evil = "\x1b[2J\x1b]0;owned\x07\u202e"
        package = open_package(package_file).to_package()
        (component,) = package.components
        proof = Proof("none", notes=(evil,))
        interface = msgspec.structs.replace(component.interface, proof=proof)
        made = Package(evil, (replace(component, interface=interface),))
        shown = transload("inspect", made.save(tmp_path / "m.tload")).output
        assert not set("\x1b\x07\u202e") & set(shown)
        assert shown.count("\\x1b[2J") == 2

    def test_missing_proof_and_wider_tolerance_are_flagged(self, transload: Command, tmp_path: Path) -> None:
        package = Package("p", (doubling("float32", Proof("none"), user_tolerance=True),)).save(tmp_path / "p.tload")
        shown = transload("inspect", package).stdout
        assert "WARNING: proof: none: nobody has checked" in shown
        assert "(widened by the user)" in shown


class TestVerify:
    def test_equal_outputs_exit_with_0(self, transload: Command, package_file: Path) -> None:
        result = transload("verify", package_file)
        assert result.exit_code == 0
        assert "equal" in result.stdout
        assert "DIFFERS" not in result.stdout

    def test_differing_output_exits_with_1_and_is_named(self, transload: Command, lying_package: Path) -> None:
        result = transload("verify", lying_package)
        assert result.exit_code == 1
        assert "DIFFERS" in result.stdout
        assert "lying.tload does not give the recorded outputs" in result.stderr
        assert "main, set 0: y: DIFFERS" in result.stderr

    def test_json_reports_both(self, transload: Command, package_file: Path, lying_package: Path) -> None:
        good = json.loads(transload("verify", package_file, "--json").stdout)
        assert good["passed"] is True
        assert good["components"]["main"][0][0]["missed"] == 0
        bad = json.loads(transload("verify", lying_package, "--json").stdout)
        assert bad["passed"] is False
        assert bad["components"]["main"][0][0]["max_abs_error"] == pytest.approx(1, rel=1e-3)
        assert bad["error"]["exit_status"] == 1

    def test_nothing_recorded_is_said(self, transload: Command, tmp_path: Path) -> None:
        package = Package("p", (doubling("float32", Proof("none")),)).save(tmp_path / "p.tload")
        result = transload("verify", package)
        assert result.exit_code == 0
        assert "no recorded inputs; nothing was checked" in result.stderr

    def test_damaged_package_exits_with_4(
        self, transload: Command, package_file: Path, tmp_path: Path, weight: np.ndarray
    ) -> None:
        data = bytearray(package_file.read_bytes())
        at = data.index(weight.tobytes()[:64])
        data[at] ^= 1
        path = tmp_path / "damaged.tload"
        path.write_bytes(data)
        result = transload("verify", path, "--json")
        assert result.exit_code == 4
        assert json.loads(result.stdout)["error"]["member"] == "main/portable/model.onnx.data"


class TestRun:
    def test_outputs_go_to_the_file(
        self, transload: Command, package_file: Path, tmp_path: Path, weight: np.ndarray
    ) -> None:
        x = np.array([[1, 2, 0, 0], [0, 0, 3, 4]], np.float32)
        np.savez(tmp_path / "in.npz", x=x)
        out = tmp_path / "out.npz"
        result = transload("run", package_file, "--inputs", tmp_path / "in.npz", "--outputs", out, "--device", "cpu")
        assert (result.exit_code, result.output) == (0, "")
        with np.load(out) as arrays:
            assert arrays.files == ["y"]
            np.testing.assert_allclose(arrays["y"], x @ weight, rtol=1e-6)

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"x": np.zeros((1, 5), np.float32)}, "float32[batch,4]"),
            ({"x": np.zeros((1, 4))}, "float32[batch,4]"),
            ({"z": np.zeros((1, 4), np.float32)}, "no input 'z'"),
            ({}, "'x' is missing"),
        ],
    )
    def test_input_that_does_not_fit_is_wrong_usage(
        self, transload: Command, package_file: Path, tmp_path: Path, arrays: dict[str, np.ndarray], message: str
    ) -> None:
        np.savez(tmp_path / "in.npz", **arrays)
        out = tmp_path / "out.npz"
        result = transload("run", package_file, "--inputs", tmp_path / "in.npz", "--outputs", out)
        assert result.exit_code == 2
        assert message in result.stderr
        assert not out.exists()

    @pytest.mark.parametrize(
        ("content", "message"),
        [(b"text", "Cannot read arrays"), (None, "Cannot read"), ("pickle", "Cannot read arrays")],
    )
    def test_file_that_is_no_npz_is_wrong_usage(
        self, transload: Command, package_file: Path, tmp_path: Path, content: bytes | str | None, message: str
    ) -> None:
        path = tmp_path / "in.npz"
        if content == "pickle":
            np.savez(path, x=np.array([object()]))
        elif isinstance(content, bytes):
            path.write_bytes(content)
        result = transload("run", package_file, "--inputs", path, "--outputs", tmp_path / "out.npz")
        assert result.exit_code == 2
        assert message in result.stderr

    def test_single_array_file_is_wrong_usage(self, transload: Command, package_file: Path, tmp_path: Path) -> None:
        with (tmp_path / "in.npz").open("wb") as file:
            np.save(file, np.zeros(3))
        result = transload("run", package_file, "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz")
        assert result.exit_code == 2
        assert "not a .npz file" in result.stderr

    def test_names_of_any_kind_pass(self, transload: Command, tmp_path: Path) -> None:
        names = ("cache/0/key", "file")
        package = Package("p", (doubling("float32", Proof("none"), names=names),)).save(tmp_path / "p.tload")
        np.savez(tmp_path / "in.npz", **{"cache/0/key": np.array([1, 2], np.float32)})
        result = transload("run", package, "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz")
        assert result.exit_code == 0, result.output
        with np.load(tmp_path / "out.npz") as arrays:
            np.testing.assert_array_equal(arrays["file"], [2, 4])

    def test_string_outputs_need_no_pickle(self, transload: Command, tmp_path: Path) -> None:
        package = Package("p", (doubling("string", Proof("none"), op="Identity"),)).save(tmp_path / "p.tload")
        np.savez(tmp_path / "in.npz", a=np.array(["one", "three"]))
        result = transload("run", package, "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz")
        assert result.exit_code == 0, result.output
        with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
            assert arrays["b"].tolist() == ["one", "three"]

    def test_unknown_device_is_wrong_usage(self, transload: Command, package_file: Path, tmp_path: Path) -> None:
        result = transload("run", package_file, "--outputs", tmp_path / "out.npz", "--device", "tpu")
        assert result.exit_code == 2
        assert "auto, cpu, cuda" in result.stderr


class TestPackAndUnpack:
    def test_round_trip_gives_the_same_file(self, transload: Command, package_file: Path, tmp_path: Path) -> None:
        folder, again = tmp_path / "folder", tmp_path / "again.tload"
        assert transload("unpack", package_file, "-o", folder).exit_code == 0
        assert (folder / "main" / "portable" / "model.onnx").is_file()
        assert transload("pack", folder, "-o", again).exit_code == 0
        assert again.read_bytes() == package_file.read_bytes()

    def test_unpacking_over_something_is_wrong_usage(
        self, transload: Command, package_file: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "kept").write_text("mine")
        result = transload("unpack", package_file, "-o", tmp_path)
        assert result.exit_code == 2
        assert (tmp_path / "kept").read_text() == "mine"

    def test_packing_something_else_exits_with_4(self, transload: Command, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        result = transload("pack", tmp_path / "a", "-o", tmp_path / "m.tload")
        assert result.exit_code == 4
        assert not (tmp_path / "m.tload").exists()


class TestEveryCommand:
    @pytest.mark.parametrize("name", sorted(main.commands))
    def test_help_shows_an_example(self, transload: Command, name: str) -> None:
        result = transload(name, "--help")
        assert result.exit_code == 0
        assert f"Example:\n    transload {name} " in result.stdout

    def test_wrong_usage_of_click_exits_with_2(self, transload: Command) -> None:
        assert transload("pack").exit_code == 2
        assert transload("no-such-command").exit_code == 2

    def test_ctrl_c_exits_with_130(self, transload: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(sys.modules["transload.cli.pack"], "pack_folder", interrupted)
        assert transload("pack", tmp_path, "-o", tmp_path / "m.tload").exit_code == 130

    def test_fault_of_ours_exits_with_5_and_never_with_1(
        self, transload: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError("planted")

        monkeypatch.setattr(sys.modules["transload.cli.pack"], "pack_folder", broken)
        result = transload("pack", tmp_path, "-o", tmp_path / "m.tload")
        assert result.exit_code == 5
        assert "Unexpected ZeroDivisionError: planted" in result.stderr

    def test_installed_script_works(self, package_file: Path) -> None:
        script = Path(sys.executable).with_name("transload")
        done = subprocess.run([script, "inspect", package_file], capture_output=True, text=True, check=True)
        assert "component main" in done.stdout
        assert subprocess.run([script, "--version"], capture_output=True, text=True).stdout.startswith("transload")


def test_bfloat16_travels_through_npz_as_raw_bytes() -> None:
    from transload.cli.run import _restore_dtypes

    array = np.array([1.5, -2], ml_dtypes.bfloat16)
    interface = doubling("bfloat16", Proof("none")).interface
    restored = _restore_dtypes({"a": array.view("V2")}, interface)["a"]
    assert restored.dtype == ml_dtypes.bfloat16
    assert restored.tolist() == [1.5, -2]


def doubling(
    dtype: str,
    proof: Proof,
    *,
    op: str = "Add",
    names: tuple[str, str] = ("a", "b"),
    user_tolerance: bool = False,
) -> Component:
    """`b = a + a` (or another operator of one argument) without vectors."""
    number = {"string": TensorProto.STRING, "bfloat16": TensorProto.BFLOAT16}.get(dtype, TensorProto.FLOAT)
    first, second = names
    graph = helper.make_graph(
        [helper.make_node(op, [first] * (2 if op == "Add" else 1), [second])],
        "graph",
        [helper.make_tensor_value_info(first, number, ["n"])],
        [helper.make_tensor_value_info(second, number, ["n"])],
    )
    interface = Interface(
        component="main",
        inputs={"a": Tensor(first, dtype, ("n",))},
        outputs=Dict({"b": Tensor(second, dtype, ("n",))}),
        tolerances={second: Tolerance(1e-2, 1e-2)} if dtype == "float32" else {},
        source=SourceRecord("onnx", "onnxruntime", "1"),
        proof=proof,
        user_tolerance=user_tolerance,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return Component("main", interface, ir.from_proto(model))

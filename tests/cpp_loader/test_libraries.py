"""Operators of a library: declared by the interface, taken by both readers, opened only where the user gives the file.

The library is cpp_loader/tests/library_of_operators.cpp: `Twice` of the domain `transload.test`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from loader import BUILD, Loader, run_command
from onnx import TensorProto, helper

import transload as tl
from transload.cli import main
from transload.runtime.tuning.tune import tune_component
from transload.serialize import open_package
from transload.serialize.errors import ExecutionError, UnsupportedError, UsageError

LIBRARY = BUILD / "tests" / "liblibrary_of_operators.so"
X = np.array([[1, 2, 3]], np.float32)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """`y = 2 * (x + x)`, the outer half by the library."""
    nodes = [
        helper.make_node("Add", ["x", "x"], ["sum"]),
        helper.make_node("Twice", ["sum"], ["y"], domain="transload.test"),
    ]
    values = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3])] for name in "xy"]
    graph = helper.make_graph(nodes, "g", *values)
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("transload.test", 1)]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=10), path)
    return path


@pytest.fixture
def package(source: Path, tmp_path: Path) -> Path:
    return tl.convert_model(source, libraries=[LIBRARY]).save(tmp_path / "m.tload")


def test_a_source_with_such_operators_converts_where_the_library_is_given(source: Path, package: Path) -> None:
    interface = open_package(package).interface("main")
    assert interface.operator_domains == ("transload.test",)
    assert (interface.proof.level, {case.result for case in interface.proof.cases}) == ("full", {"equal"})
    with pytest.raises(UnsupportedError, match="not ONNX's own") as caught:
        tl.convert_model(source)
    assert "--library" in caught.value.hint


def test_the_library_s_operators_run_in_python(package: Path) -> None:
    assert np.array_equal(tl.load(package, libraries=[LIBRARY])(x=X)["y"], 4 * X)
    tl.verify(package, libraries=[str(LIBRARY)])


def test_without_the_library_both_say_what_is_needed(package: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"transload\.test"):
        tl.load(package)
    ours, theirs = run_command("verify", package), CliRunner().invoke(main, ["verify", str(package)])
    assert ours.returncode == theirs.exit_code == 3
    for text in (ours.stderr, theirs.stderr):
        assert "transload.test" in text and "--library" in text


def test_a_file_that_is_no_library_or_is_not_there_is_an_error(package: Path, source: Path) -> None:
    with pytest.raises(ExecutionError):
        tl.load(package, libraries=[source])
    with pytest.raises(UsageError, match="no library"):
        tl.load(package, libraries=[LIBRARY.name])


def test_a_library_is_not_opened_for_a_package_that_declares_no_domain(tmp_path: Path) -> None:
    values = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3])] for name in "xy"]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", *values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "m.onnx")
    package = tl.convert_model(tmp_path / "m.onnx").save(tmp_path / "m.tload")
    # It is no library at all, which ONNX Runtime would say.
    assert np.array_equal(tl.load(package, libraries=[tmp_path / "m.onnx"])(x=X)["y"], -X)


def test_both_commands_take_the_library(package: Path, source: Path, tmp_path: Path) -> None:
    theirs = CliRunner().invoke(main, ["verify", str(package), "--library", str(LIBRARY)])
    ours = run_command("verify", package, "--library", LIBRARY)
    assert (ours.returncode, theirs.exit_code) == (0, 0), ours.stderr + theirs.stderr
    assert ours.stdout == theirs.stdout
    np.savez(tmp_path / "in.npz", x=X)
    words = ["run", str(package), "--inputs", str(tmp_path / "in.npz"), "--outputs", str(tmp_path / "out.npz")]
    assert CliRunner().invoke(main, [*words, "--library", str(LIBRARY)]).exit_code == 0
    assert np.array_equal(np.load(tmp_path / "out.npz")["y"], 4 * X)
    for shown in (run_command("inspect", package).stdout, CliRunner().invoke(main, ["inspect", str(package)]).stdout):
        assert "needs a library of operators: transload.test" in shown


def test_the_command_converts_in_its_sandbox(source: Path, tmp_path: Path) -> None:
    words = ["convert", str(source), "-o", str(tmp_path / "n.tload"), "--library", str(LIBRARY)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.stderr
    tl.verify(tmp_path / "n.tload", libraries=[LIBRARY])


def test_the_c_interface_takes_the_package_s_structure_without_any_library(package: Path) -> None:
    Loader().check(package)


def test_a_component_with_such_operators_is_not_tuned(package: Path) -> None:
    with pytest.raises(UnsupportedError, match="cannot be tuned"):
        tune_component(open_package(package), "main")

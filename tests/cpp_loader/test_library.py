"""What the shared library is from outside: its symbols, its size, what it needs; and its C interface by ctypes."""

from __future__ import annotations

import re
from ctypes import byref, c_char_p, c_float, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from loader import BUILD, COMMAND, FLOAT32, LIBRARY, PACKAGES, ROOT, Loader, LoaderError, output_of
from packages import linear_component

from transload.runtime.model import load
from transload.serialize import Package

HEADER = ROOT / "cpp_loader" / "include" / "transload" / "transload.h"


def test_it_exports_what_the_header_declares_and_nothing_else() -> None:
    exported = {
        line.split()[-1].split("@")[0]
        for line in output_of("nm", "--dynamic", "--defined-only", LIBRARY).splitlines()
        if " A " not in line
    }
    declared = set(re.findall(r"^TL_API [^;(]*?\b(tl_\w+)\(", HEADER.read_text(), re.MULTILINE))
    assert exported == declared
    assert len(declared) > 40


def test_its_symbols_are_versioned() -> None:
    lines = output_of("nm", "--dynamic", "--defined-only", "--with-symbol-versions", LIBRARY).splitlines()
    assert all(line.endswith("@@TRANSLOAD_0") for line in lines if " T " in line)


def test_it_needs_onnx_runtime_and_the_c_and_cpp_runtimes_only() -> None:
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", output_of("readelf", "--dynamic", LIBRARY)))
    assert needed <= {"libonnxruntime.so.1", "libstdc++.so.6", "libm.so.6", "libgcc_s.so.1", "libc.so.6"}


@pytest.mark.parametrize("program", [LIBRARY, COMMAND], ids=["library", "command"])
def test_it_asks_for_no_release_of_onnx_runtime(program: Path) -> None:
    """ONNX Runtime's symbols have the version of its release; the system's loader would refuse all others."""
    assert "libonnxruntime" in output_of("readelf", "--dynamic", program)
    assert "libonnxruntime" not in output_of("readelf", "--version-info", program)


def test_it_is_smaller_than_400_kb(tmp_path: Path) -> None:
    stripped = tmp_path / "stripped.so"
    output_of("strip", "-o", stripped, LIBRARY)
    assert stripped.stat().st_size < 400_000


def test_it_never_prints_and_never_ends_the_program() -> None:
    undefined = output_of("nm", "--dynamic", "--undefined-only", LIBRARY)
    names = {line.split()[-1].split("@")[0] for line in undefined.splitlines()}
    assert not names & {"printf", "puts", "putchar", "fprintf", "fwrite", "exit", "_exit", "abort", "_ZSt4cout"}


def test_its_versions_are_the_project_s_and_the_runtime_s() -> None:
    c = Loader().c
    assert f'version = "{c.tl_version().decode()}"' in (ROOT / "pyproject.toml").read_text()
    assert c.tl_runtime_version().decode() == onnxruntime.__version__


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    weight = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    return Package("m", (linear_component("forward", weight),)).save(tmp_path_factory.mktemp("m") / "m.tload")


def test_a_model_runs_by_ctypes(path: Path) -> None:
    loader = Loader()
    package, options, model, given = c_void_p(), c_void_p(), c_void_p(), c_void_p()
    loader.call("tl_package_open", str(path).encode(), c_int(1), byref(package))
    loader.call("tl_options_create", byref(options))
    loader.call("tl_options_set", options, b"threads", b"1")
    loader.call("tl_model_open", package, None, options, byref(model))
    loader.c.tl_options_free(options)
    loader.c.tl_package_close(package)

    x = np.linspace(-1, 1, 3 * 64, dtype=np.float32).reshape(3, 64)
    shape = (c_int64 * 2)(3, 64)
    memory = x.ctypes.data_as(c_void_p)
    loader.call("tl_tensor_wrap", c_int(FLOAT32), shape, c_size_t(2), memory, c_size_t(x.nbytes), byref(given))
    names, inputs, outputs = (c_char_p * 1)(b"x"), (c_void_p * 1)(given), (c_void_p * 1)()
    loader.call("tl_model_run", model, names, inputs, c_size_t(1), None, c_size_t(1), outputs)
    result = c_void_p(outputs[0])
    assert loader.c.tl_tensor_rank(result) == 2
    assert loader.c.tl_tensor_shape(result)[:2] == [3, 64]
    y = np.ctypeslib.as_array((c_float * (3 * 64)).from_address(loader.c.tl_tensor_data(result))).reshape(3, 64).copy()
    loader.c.tl_tensor_free(result)
    loader.c.tl_tensor_free(given)
    loader.c.tl_model_close(model)
    np.testing.assert_array_equal(y, load(path, threads=1).run(None, {"x": x})[0])


def test_an_error_by_ctypes_has_its_fields(path: Path) -> None:
    loader = Loader()
    package = loader.open(path)
    model = c_void_p()
    with pytest.raises(LoaderError, match="no component 'backward'") as caught:
        loader.call("tl_model_open", package, b"backward", None, byref(model))
    loader.c.tl_package_close(package)
    assert caught.value.status == 2
    assert not model.value


def test_every_package_that_a_test_saves_is_replayed() -> None:
    """By the hook in tests/conftest.py."""
    assert Package.save.__name__ == "save_and_replay"


def test_the_c_and_cpp_tests_are_part_of_the_build() -> None:
    listed = output_of("ctest", "--test-dir", BUILD, "--show-only")
    assert {"test_parts", "test_api", "make_packages"} <= set(re.findall(r": (\w+)$", listed, re.MULTILINE))


def test_a_bound_call_allocates_nothing_more_than_onnx_runtime(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    values = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3])] for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", *values)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), tmp_path / "m.onnx")
    printed = output_of(BUILD / "tests" / "overhead", PACKAGES / "double.tload", tmp_path / "m.onnx")
    figures = dict(line.split() for line in printed.splitlines())
    assert float(figures["transload_allocations"]) == float(figures["raw_allocations"])

"""transload-run says and computes what the Python command does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import ml_dtypes
import numpy as np
import pytest
from click.testing import CliRunner
from loader import PACKAGES, run_command
from onnx import numpy_helper
from packages import GATES, Members, linear_component, rebuild, recurrent_component

from transload.cli import main
from transload.runtime.model import load
from transload.serialize import Component, Package, VectorSet
from transload.serialize.dtypes import DTYPES, numpy_dtype


@pytest.fixture(scope="module")
def weight() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)


@pytest.fixture
def package(weight: np.ndarray, tmp_path: Path) -> Path:
    components = (linear_component("encode", weight), linear_component("decode", weight, weight[0]))
    return Package("m", components).save(tmp_path / "m.tload")


def test_verify_prints_the_table_that_python_prints(package: Path) -> None:
    ours = run_command("verify", package)
    theirs = CliRunner().invoke(main, ["verify", str(package)])
    assert ours.returncode == theirs.exit_code == 0
    assert ours.stdout == theirs.stdout


def lie(component: Component) -> Component:
    """A component whose recorded outputs are not those of its graph."""
    vectors = tuple(
        VectorSet(item.inputs, {name: array + 0.5 for name, array in item.outputs.items()})
        for item in component.vectors
    )
    return replace(component, vectors=vectors)


def check_that_both_find_a_difference(path: Path) -> None:
    ours = run_command("verify", path)
    theirs = CliRunner().invoke(main, ["verify", str(path)])
    assert ours.returncode == theirs.exit_code == 1
    assert ours.stdout == theirs.stdout
    (row,) = [line.strip() for line in ours.stderr.splitlines() if "DIFFERS" in line]
    assert row in theirs.stderr


def test_verify_of_a_lying_package_names_the_output_as_python_does(weight: np.ndarray, tmp_path: Path) -> None:
    check_that_both_find_a_difference(
        Package("m", (lie(linear_component("forward", weight)),)).save(tmp_path / "m.tload")
    )


def record(path: Path, dtype: str, given: np.ndarray, recorded: np.ndarray) -> Path:
    """The package of `y = x` with one vector set, in which `x` is `given` and `y` is `recorded`."""

    def edit(members: Members) -> None:
        for part, array, name in (("input_0", given, "x"), ("output_0", recorded, "y")):
            content = numpy_helper.from_array(array, name).SerializeToString()
            members[f"forward/portable/test_data_set_0/{part}.pb"] = content

    path.write_bytes(rebuild((PACKAGES / f"same_{dtype}.tload").read_bytes(), edit))
    return path


@pytest.mark.parametrize(
    ("dtype", "given", "recorded"),
    [
        ("string", ["a", "b"], ["a", "x"]),
        ("bool", [True, False], [True, True]),
        ("uint64", [0, 1], [2**64 - 1, 1]),
        ("int64", [-(2**63), 5], [2**63 - 1, 5]),
        ("float32", [np.nan, np.inf], [np.nan, -np.inf]),
        ("float32", [1, np.nan], [1, 2]),
        ("float16", [1, 2], [1, 2.01]),
        ("float64", [1, 2], [1, 2 + 1e-6]),
        ("bfloat16", [1, 2], [1, 2.125]),
        ("float8_e4m3fn", [1, 2], [1, 2.25]),
        ("float8_e5m2", [1, 2], [1, 2.5]),
        ("int4", [-8, 7, 1], [-8, 7, -1]),
        ("uint4", [15, 0, 1], [15, 0, 9]),
    ],
)
def test_verify_finds_a_difference_in_every_kind_of_element_as_python_does(
    dtype: str, given: list[object], recorded: list[object], tmp_path: Path
) -> None:
    x, y = (np.array(values, numpy_dtype(dtype)) for values in (given, recorded))
    check_that_both_find_a_difference(record(tmp_path / "m.tload", dtype, x, y))


@pytest.mark.parametrize(
    ("dtype", "given", "recorded"),
    [
        ("float16", [1, 2], [1, 2.001]),
        ("float32", [1, 2], [1, 2 + 1e-5]),
        ("float64", [1, 2], [1, 2 + 1e-8]),
    ],
)
def test_verify_passes_what_is_within_the_tolerance_of_its_type(
    dtype: str, given: list[float], recorded: list[float], tmp_path: Path
) -> None:
    x, y = (np.array(values, numpy_dtype(dtype)) for values in (given, recorded))
    path = record(tmp_path / "m.tload", dtype, x, y)
    ours = run_command("verify", path)
    theirs = CliRunner().invoke(main, ["verify", str(path)])
    assert ours.returncode == theirs.exit_code == 0
    assert ours.stdout == theirs.stdout


def record_small_values(path: Path, dtype: str) -> Path:
    x = np.array(["a", ""], object) if dtype == "string" else np.array([0, 1]).astype(numpy_dtype(dtype))
    return record(path, dtype, x, x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_verify_replays_vectors_of_every_element_type(dtype: str, tmp_path: Path) -> None:
    done = run_command("verify", record_small_values(tmp_path / "m.tload", dtype))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("dtype", DTYPES)
def test_python_replays_vectors_of_every_element_type(dtype: str, tmp_path: Path) -> None:
    path = record_small_values(tmp_path / "m.tload", dtype)
    theirs = CliRunner().invoke(main, ["verify", str(path)])
    assert theirs.exit_code == 0, theirs.output
    assert theirs.stdout == run_command("verify", path).stdout


def npy_name(tensor: str) -> str:
    return quote(tensor, safe="") + ".npy"


def as_file(array: np.ndarray) -> np.ndarray:
    """numpy's files have no word for ml_dtypes' types: raw bytes of their width."""
    return array if array.dtype.isbuiltin == 1 or array.dtype.kind in "OU" else array.view(f"V{array.dtype.itemsize}")


def run_folder(package: Path, inputs: dict[str, np.ndarray], tmp_path: Path, *options: str) -> dict[str, np.ndarray]:
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir(exist_ok=True)
    for name, array in inputs.items():
        stored = array.astype(str) if array.dtype == object else as_file(array)
        np.save(tmp_path / "in" / npy_name(name), stored)
    done = run_command(
        "run", package, "--inputs", tmp_path / "in", "--outputs", tmp_path / "out", "--threads", "1", *options
    )
    assert done.returncode == 0, done.stderr
    return {path.name: np.load(path) for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize("dtype", DTYPES)
def test_run_takes_and_gives_every_element_type(dtype: str, tmp_path: Path) -> None:
    if dtype == "string":
        x = np.array(["", "naïve", "模型"], dtype=object)
    elif dtype == "bool":
        x = np.array([True, False, True])
    else:
        x = np.array([1, 2, 3]).astype(numpy_dtype(dtype))
    found = run_folder(PACKAGES / f"same_{dtype}.tload", {"x": x}, tmp_path)
    expected = x.astype(str) if dtype == "string" else as_file(x)
    assert found["y.npy"].tolist() == expected.tolist()
    assert found["y.npy"].dtype == expected.dtype


def random_inputs(name: str) -> dict[str, np.ndarray]:
    chance = np.random.default_rng(3)
    return {
        "linear": {"x": chance.standard_normal((5, 256)).astype(np.float32)},
        "nested": {"x": chance.standard_normal((2, 3)).astype(np.float32)},
        "sum": {key: chance.standard_normal(7).astype(np.float32) for key in "ab"},
        "sums": {"x": np.array([2.5], np.float32)},
        "nonzero": {"x": np.array([0, 1, 0, 2], np.float32)},
        "lookup": {"x": np.array([4, 0, 4])},
    }[name]


@pytest.mark.parametrize("name", ["linear", "nested", "sum", "sums", "nonzero", "lookup"])
def test_run_gives_the_bits_that_python_gives(name: str, tmp_path: Path) -> None:
    path, inputs = PACKAGES / f"{name}.tload", random_inputs(name)
    found = run_folder(path, inputs, tmp_path)
    model = load(path, threads=1, device="cpu")
    expected = dict(zip(model.output_names, model.run(None, inputs), strict=True))
    assert set(found) == {npy_name(output) for output in expected}
    for output, array in expected.items():
        ours = found[npy_name(output)]
        assert (ours.dtype, ours.shape, ours.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_run_of_one_component_of_two(package: Path, tmp_path: Path) -> None:
    x = np.ones((1, 64), np.float32)
    found = run_folder(package, {"x": x}, tmp_path, "--component", "decode")
    np.testing.assert_array_equal(found["y.npy"], load(package, "decode", threads=1).run(None, {"x": x})[0])


def write_bad(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(data)


def save_fortran(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.asfortranarray(np.ones((2, 3), np.float32)))


def save_wide(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 3)))


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda folder: None, "Cannot read"),
        (lambda folder: write_bad(folder, b"text"), "is not a .npy file"),
        (lambda folder: write_bad(folder, b"\x93NUMPY\x01\x00\xff\xff{"), "is not a .npy file"),
        (lambda folder: write_bad(folder, b"\x93NUMPY\x01\x00\xff\xff" + b" " * 20), "is cut off"),
        (save_fortran, "Fortran order"),
        (save_wide, "holds <f8"),
    ],
)
def test_bad_inputs_are_wrong_usage(prepare: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    prepare(tmp_path)
    done = run_command("run", PACKAGES / "double.tload", "--inputs", tmp_path, "--outputs", tmp_path / "out")
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("operator", GATES)
def test_an_empty_input_of_a_recurrent_layer_is_refused(operator: str, tmp_path: Path) -> None:
    package = Package("m", (recurrent_component(operator),)).save(tmp_path / "m.tload")
    (tmp_path / "in").mkdir()
    for shape, status in (((2, 0, 3), 5), ((0, 2, 3), 5), ((2, 1, 3), 0)):
        np.save(tmp_path / "in" / "x.npy", np.zeros(shape, np.float32))
        done = run_command("run", package, "--inputs", tmp_path / "in", "--outputs", tmp_path / f"out{shape}")
        assert done.returncode == status, done.stderr
        assert ("'x' is empty" in done.stderr) == bool(status)


def test_inspect_shows_what_python_shows(package: Path) -> None:
    ours = run_command("inspect", package).stdout
    theirs = CliRunner().invoke(main, ["inspect", str(package)]).stdout
    for words in (
        "float32[batch,64]",
        "call: (x) -> {logits: float32[batch,64]}",
        "opset: ai.onnx 18",
        "WARNING: proof",
    ):
        assert words in ours
        assert words in theirs
    assert ours.splitlines()[0] == theirs.splitlines()[0]


def test_bench_prints_percentiles_and_throughput(package: Path) -> None:
    done = run_command("bench", package, "--component", "encode", "--calls", "20", "--callers", "2", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["load", "calls", "latency", "throughput"]
    assert "calls       40 by 2 callers, 1 threads" in done.stdout


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["verify", "/nowhere.tload"], 2),
        (["verify"], 2),
        (["frobnicate"], 2),
        ([], 2),
        (["run", "x.tload", "--frobnicate", "1"], 2),
        (["verify", "/dev/null"], 4),
        (["--help"], 0),
        (["verify", "--help"], 0),
        (["--version"], 0),
    ],
)
def test_exit_statuses(words: list[str], status: int) -> None:
    assert run_command(*words).returncode == status


def test_an_operator_without_a_kernel_is_status_3(weight: np.ndarray, tmp_path: Path) -> None:
    import onnx_ir as ir

    component = linear_component("forward", weight)
    component.model.graph.inputs[0].type = ir.TensorType(ir.DataType.BFLOAT16)
    component.model.graph.outputs[0].type = ir.TensorType(ir.DataType.BFLOAT16)
    component.model.graph.initializers["weight"].const_value = ir.tensor(weight.astype(ml_dtypes.bfloat16))
    path = Package("m", (component,)).save(tmp_path / "m.tload")
    assert run_command("verify", path).returncode == 3

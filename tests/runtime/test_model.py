"""Loading a package and running it."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from packages import WIDTH, linear_component, table_component

from transload.runtime.device import choose_providers
from transload.runtime.model import load
from transload.serialize import Package, open_package
from transload.serialize.errors import ExecutionError, PackageError, UnsupportedError, UsageError

X = np.linspace(-1, 1, 3 * WIDTH, dtype=np.float32).reshape(3, WIDTH)


@pytest.fixture(scope="module")
def weight() -> np.ndarray:
    return np.random.default_rng(5).standard_normal((WIDTH, WIDTH)).astype(np.float32)


@pytest.fixture(scope="module")
def path(weight: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Package("m", (linear_component("forward", weight),)).save(tmp_path_factory.mktemp("m") / "m.tload")


def test_a_call_takes_and_returns_the_source_s_structure(path: Path, weight: np.ndarray) -> None:
    model = load(path)
    np.testing.assert_allclose(model(X)["logits"], X @ weight, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(model(x=X)["logits"], model(X)["logits"])


def test_run_has_the_form_of_an_inference_session(path: Path, weight: np.ndarray) -> None:
    (found,) = load(path).run(None, {"x": X})
    np.testing.assert_allclose(found, X @ weight, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(load(path).run(["y"], {"x": X})[0], found)


def test_an_unknown_output_is_refused_with_the_known_ones(path: Path) -> None:
    with pytest.raises(UsageError, match=r"no output 'z'(.|\n)*Outputs: y"):
        load(path).run(["z"], {"x": X})


def test_optimised_and_not_optimised_agree(path: Path) -> None:
    plain = load(path, optimize=False, threads=1).run(None, {"x": X})[0]
    np.testing.assert_allclose(load(path, threads=1).run(None, {"x": X})[0], plain, rtol=1e-4, atol=1e-4)


def test_a_package_behind_a_symbolic_link_loads(path: Path, tmp_path: Path, weight: np.ndarray) -> None:
    link = tmp_path / "link.tload"
    link.symlink_to(path)
    np.testing.assert_allclose(load(link)(X)["logits"], X @ weight, rtol=1e-4, atol=1e-4)


def test_a_package_with_a_name_of_any_language_loads(path: Path, tmp_path: Path, weight: np.ndarray) -> None:
    copy = tmp_path / "modèle 模型.tload"
    copy.write_bytes(path.read_bytes())
    np.testing.assert_allclose(load(copy)(X)["logits"], X @ weight, rtol=1e-4, atol=1e-4)


def test_a_model_goes_on_when_its_file_is_replaced(path: Path, tmp_path: Path, weight: np.ndarray) -> None:
    target = tmp_path / "m.tload"
    target.write_bytes(path.read_bytes())
    model = load(target)
    Package("m", (linear_component("forward", weight * 2),)).save(target)
    np.testing.assert_allclose(model(X)["logits"], X @ weight, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(load(target)(X)["logits"], X @ weight * 2, rtol=1e-4, atol=1e-4)


def test_calls_from_several_threads_do_not_mix(path: Path) -> None:
    model = load(path)
    inputs = [np.full((1, WIDTH), value, np.float32) for value in range(8)]
    expected = [model(x)["logits"] for x in inputs]
    found: dict[int, list[np.ndarray]] = {}

    def work(index: int) -> None:
        found[index] = [model(inputs[index])["logits"] for _ in range(50)]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(y, expected[index]) for index in range(8) for y in found[index])


def test_damaged_weights_are_refused_at_load(path: Path, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[open_package(path).members["forward/portable/model.onnx.data"].offset + 5000] ^= 1
    damaged = tmp_path / "m.tload"
    damaged.write_bytes(bytes(data))
    with pytest.raises(PackageError, match="CRC-32"):
        load(damaged)


def test_an_operator_without_a_kernel_is_unsupported(tmp_path: Path, weight: np.ndarray) -> None:
    component = linear_component("forward", weight)
    # A dtype that ONNX's types allow for MatMul and for which the CPU provider has no kernel.
    component.model.graph.inputs[0].type = ir.TensorType(ir.DataType.BFLOAT16)
    component.model.graph.outputs[0].type = ir.TensorType(ir.DataType.BFLOAT16)
    component.model.graph.initializers["weight"].const_value = ir.tensor(weight.astype(ml_dtypes.bfloat16))
    with pytest.raises(UnsupportedError, match="no kernel") as caught:
        load(Package("m", (component,)).save(tmp_path / "m.tload"))
    assert caught.value.exit_status == 3


def test_a_model_that_onnx_runtime_refuses_is_an_execution_error(tmp_path: Path, weight: np.ndarray) -> None:
    component = linear_component("forward", weight)
    next(iter(component.model.graph)).op_type = "NobodyKnows"
    with pytest.raises(ExecutionError, match="NobodyKnows") as caught:
        load(Package("m", (component,)).save(tmp_path / "m.tload"))
    assert caught.value.exit_status == 5


def test_a_failure_while_running_is_an_execution_error(tmp_path: Path) -> None:
    table = np.zeros((5, 3), np.float32)
    model = load(Package("m", (table_component(table),)).save(tmp_path / "m.tload"))
    with pytest.raises(ExecutionError, match="out of data bounds"):
        model(np.array([7]))


def test_two_components_need_a_choice(tmp_path: Path, weight: np.ndarray) -> None:
    components = (linear_component("encode", weight), linear_component("decode", weight + 1))
    path = Package("m", components).save(tmp_path / "m.tload")
    with pytest.raises(UsageError, match=r"2 components(.|\n)*encode, decode"):
        load(path)
    with pytest.raises(UsageError, match="no component 'forward'"):
        load(path, "forward")
    assert load(path, "decode").component == "decode"


MEASURE_PRIVATE_MEMORY = """
import re, sys
from pathlib import Path
import onnxruntime
import transload.runtime.model as runtime
def dirty_kib():
    return int(re.search(r"Private_Dirty:\\s+(\\d+)", Path("/proc/self/smaps_rollup").read_text())[1])
runtime.load(sys.argv[1], threads=1)
before = dirty_kib()
model = runtime.load(sys.argv[2], threads=1)
print(dirty_kib() - before)
"""


def test_weights_are_mapped_and_not_copied(path: Path, tmp_path: Path) -> None:
    # A Gather table is never pre-packed, so any private copy of it would be transload's or a lost mapping's.
    table = np.random.default_rng(0).standard_normal((100_000, 128)).astype(np.float32)
    large = Package("m", (table_component(table),)).save(tmp_path / "t.tload")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE_PRIVATE_MEMORY, str(path), str(large)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) * 1024 < 0.1 * table.nbytes


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(UsageError, match="auto, cpu, cuda or cuda:N"):
        choose_providers("tpu")


def test_a_device_that_this_runtime_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UsageError, match="onnxruntime-gpu"):
        choose_providers("cuda:1")


def test_auto_takes_a_gpu_where_there_is_one_and_the_cpu_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert choose_providers("auto") == ["CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    assert choose_providers("auto") == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert choose_providers("cuda:1")[0] == ("CUDAExecutionProvider", {"device_id": "1"})


@pytest.fixture
def claimed_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU build of ONNX Runtime on a machine without a GPU."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_auto_falls_back_to_the_cpu_with_one_line_of_notice(
    path: Path, claimed_gpu: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "transload"):
        assert load(path).providers == ["CPUExecutionProvider"]
    assert [record.getMessage().count("\n") for record in caplog.records] == [0]
    assert "CUDAExecutionProvider" in caplog.text
    assert "running on the CPU" in caplog.text


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_gpu_that_was_asked_for_by_name_is_not_silently_replaced(path: Path, claimed_gpu: None) -> None:
    with pytest.raises(ExecutionError, match="CUDAExecutionProvider"):
        load(path, device="cuda")

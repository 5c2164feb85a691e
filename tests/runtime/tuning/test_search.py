"""The search takes what is faster and right, and nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from transload.runtime.configuration import Configuration, provider_list
from transload.runtime.tuning import search as search_module
from transload.runtime.tuning.search import Check, Graph, TuningReport, find_fastest
from transload.serialize.errors import MismatchError
from transload.serialize.interface import Tolerance

WIDTH = 256
X = np.linspace(-1, 1, 32 * WIDTH, dtype=np.float32).reshape(32, WIDTH)


def scaled(factor: float, detours: int = 0) -> Graph:
    """`y = factor * x`, after `detours` multiplications by the identity matrix."""
    nodes = [helper.make_node("Mul", ["x", "factor"], ["x0"])]
    nodes += [helper.make_node("MatMul", [f"x{i}", "eye"], [f"x{i + 1}"]) for i in range(detours)]
    nodes.append(helper.make_node("Identity", [f"x{detours}"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "scaled",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", WIDTH])],
        [
            numpy_helper.from_array(np.float32(factor), "factor"),
            numpy_helper.from_array(np.eye(WIDTH, dtype=np.float32), "eye"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return Graph(model.SerializeToString(), Path("/"))


CHECK = Check({"x": X}, {"y": 2 * X}, {"y": Tolerance(1e-6, 1e-6)})


def search(**graphs: Graph) -> TuningReport:
    return find_fastest(graphs, [CHECK], threads=1, seconds_per_trial=0.05)


def test_a_faster_graph_that_is_right_is_taken() -> None:
    report = search(portable=scaled(2, detours=30), lean=scaled(2))
    assert report.best.graph == "lean"
    assert report.best_s < report.baseline_s / 2


def test_a_faster_graph_that_is_wrong_is_not_taken_and_the_reason_is_kept() -> None:
    report = search(portable=scaled(2, detours=30), wrong=scaled(2.01))
    assert report.best.graph == "portable"
    (trial,) = (trial for trial in report.trials if trial.configuration.graph == "wrong")
    assert not trial.taken
    assert "y: DIFFERS" in trial.reason


def test_a_slower_graph_is_not_taken() -> None:
    report = search(portable=scaled(2), slow=scaled(2, detours=30))
    assert report.best.graph == "portable"
    (trial,) = (trial for trial in report.trials if trial.configuration.graph == "slow")
    assert trial.ratio > 2


@pytest.mark.parametrize(
    ("opens_sooner", "seconds", "expected"),
    [(True, 1.01, "other"), (True, 1.03, "portable"), (False, 0.99, "portable")],
)
def test_a_graph_that_opens_sooner_need_only_be_as_fast(
    *, opens_sooner: bool, seconds: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "_steps", lambda graphs, threads: [[{"graph": "other"}]])
    monkeypatch.setattr(search_module, "measure_blocks", lambda *_: ([1.0] * 5, [seconds] * 5))
    other = dataclasses.replace(scaled(2), opens_sooner=opens_sooner)
    assert search(portable=scaled(2), other=other).best.graph == expected


def test_a_graph_that_onnx_runtime_refuses_is_not_taken_and_the_reason_is_kept() -> None:
    report = search(portable=scaled(2), broken=Graph(b"no graph", Path("/")))
    (trial,) = (trial for trial in report.trials if trial.configuration.graph == "broken")
    assert not trial.taken
    assert "ONNX Runtime failed" in trial.reason


def test_every_dimension_is_tried() -> None:
    report = find_fastest({"portable": scaled(2)}, [CHECK], seconds_per_trial=0.01)
    start = Configuration()
    tried = {
        name
        for trial in report.trials
        for name in Configuration.__struct_fields__
        if getattr(trial.configuration, name) != getattr(start, name)
    }
    assert {"threads", "level", "arena", "prepack", "flush_to_zero"} <= tried


def test_a_provider_that_is_there_is_tried_with_and_without_fusions(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "OpenVINOExecutionProvider"
    monkeypatch.setattr(ort, "get_available_providers", lambda: [name, "CPUExecutionProvider"])
    # The provider itself is in another build of ONNX Runtime, which warns and runs on the CPU.
    with pytest.warns(UserWarning, match="not in available provider names"):
        report = find_fastest({"portable": scaled(2)}, [CHECK], seconds_per_trial=0.01)
    tried = {trial.configuration.level for trial in report.trials if trial.configuration.provider == name}
    assert tried == {"all", "disable"}


def test_a_provider_with_threads_of_its_own_is_told_how_many() -> None:
    name = "OpenVINOExecutionProvider"
    assert provider_list(Configuration(2, provider=name)) == [(name, {"num_of_threads": "2"}), "CPUExecutionProvider"]
    assert provider_list(Configuration(0, provider=name)) == [name, "CPUExecutionProvider"]
    assert provider_list(Configuration(2)) == ["CPUExecutionProvider"]


def test_a_portable_graph_that_is_wrong_here_is_an_error() -> None:
    with pytest.raises(MismatchError, match="recorded outputs"):
        search(portable=scaled(3))

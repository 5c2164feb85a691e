"""Profiles: times from the trace, places from the package's own graph, through ONNX Runtime's fusions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from transload.runtime.profile import ADDED, Place, find_places, profile_component, summarise
from transload.serialize import Component, Package, open_package
from transload.serialize.interface import Interface, Proof, SourceRecord, Tensor

WIDTH = 64


def node(op_type: str, inputs: list[str], output: str, name: str, source: str) -> Any:
    made = helper.make_node(op_type, inputs, [output], name=name)
    made.metadata_props.add(key="source", value=source)
    return made


@pytest.fixture(scope="module")
def component() -> Component:
    """A linear layer with GELU (which ONNX Runtime fuses), then a softmax of its own module."""
    nodes = [
        node("MatMul", ["x", "w"], "p", "body.linear/MatMul_1", "model.py:10 in forward"),
        node("Add", ["p", "b"], "z", "body.linear/Add_2", "model.py:10 in forward"),
        node("Gelu", ["z"], "g", "body.gelu/Gelu_3", "model.py:11 in forward"),
        node("Softmax", ["g"], "y", "head/Softmax_4", "model.py:12 in forward"),
    ]
    nodes[3].metadata_props.add(key="module", value="head.softmax")
    value = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", WIDTH]) for name in "xy"}
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.standard_normal((WIDTH, WIDTH)).astype(np.float32), "w"),
        numpy_helper.from_array(random.standard_normal(WIDTH).astype(np.float32), "b"),
    ]
    graph = helper.make_graph(nodes, "g", [value["x"]], [value["y"]], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    tensors = {name: Tensor(name, "float32", ("n", WIDTH)) for name in "xy"}
    interface = Interface("forward", {"x": tensors["x"]}, tensors["y"], {}, SourceRecord("onnx", "", ""), Proof("none"))
    return Component("forward", interface, ir.from_proto(model))


@pytest.mark.parametrize("optimize", [True, False])
def test_every_node_s_time_goes_to_its_module_and_source(component: Component, tmp_path: Path, optimize: bool) -> None:
    package = open_package(Package("m", (component,)).save(tmp_path / "m.tload"))
    found = profile_component(package, "forward", {"x": np.ones((4, WIDTH), np.float32)}, calls=3, optimize=optimize)
    assert 0 < sum(each.seconds for each in found.nodes) <= found.call_s
    assert all(each.runs == 1 for each in found.nodes)
    sources = {name for name, _, _ in found.by(lambda each: each.place.source)}
    assert (
        {"model.py:11 in forward", "model.py:12 in forward"}
        <= sources
        <= {f"model.py:{line} in forward" for line in (10, 11, 12)}
    )
    assert "head.softmax" in {each.place.module for each in found.nodes}
    assert len(found.nodes) == 4 if not optimize else len(found.nodes) < 4
    marked = [event for event in found.trace if event.get("args", {}).get("source") == "model.py:12 in forward"]
    assert len(marked) == 4
    assert not list(tmp_path.glob("trace*"))


def test_a_node_that_gives_no_value_of_the_graph_is_onnx_runtime_s() -> None:
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], name="a/Relu")], "g", [], [])
    added = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"], name="r"), helper.make_node("Transpose", ["y"], ["t"], name="t")],
        "g",
        [],
        [],
    )
    places = find_places(helper.make_model(graph), helper.make_model(added))
    assert places == {"r": Place("a", ""), "t": Place(ADDED, ADDED)}


def test_the_first_call_is_not_counted() -> None:
    def run(start: int, duration: int) -> dict[str, Any]:
        return {"cat": "Session", "name": "model_run", "ts": start, "dur": duration}

    def kernel(start: int, duration: int) -> dict[str, Any]:
        args = {"op_name": "Relu"}
        return {"cat": "Node", "name": "r_kernel_time", "ts": start, "dur": duration, "args": args}

    events = [run(0, 1000), kernel(10, 900), run(1000, 30), kernel(1005, 20), run(1040, 50), kernel(1050, 40)]
    found = summarise(events, {"r": Place("m", "s")}, calls=2)
    assert found.call_s == pytest.approx(40e-6)
    (only,) = found.nodes
    assert (only.op_type, only.seconds, only.runs) == ("Relu", pytest.approx(30e-6), 1)

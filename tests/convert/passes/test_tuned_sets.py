"""Passes that only tuned variants go through, and the list of all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from transload.cli import main
from transload.convert.passes.residual_add import JoinResidualPass
from transload.convert.passes.sequence import portable_passes
from transload.convert.passes.skip_normalization import KeepResidualApartPass
from transload.convert.passes.tuned_sets import PASS_SETS, make_graphs
from transload.serialize import Component, Package, open_package
from transload.serialize.interface import Interface, Proof, SourceRecord, Tensor

WIDTH = 512


def residual(sum_of: int = 2, operator: str = "Sum", reader: str = "LayerNormalization") -> ir.Model:
    """A sum of `x` and others, then a layer normalization."""
    inputs = ["x", "h", "x"][:sum_of]
    nodes = [
        helper.make_node("Tanh", ["x"], ["h"]),
        helper.make_node(operator, inputs, ["s"]),
        helper.make_node(reader, ["s", "scale"] if reader == "LayerNormalization" else ["s"], ["y"]),
    ]
    value = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", WIDTH]) for name in "xy"}
    scale = numpy_helper.from_array(np.linspace(1, 2, WIDTH, dtype=np.float32), "scale")
    graph = helper.make_graph(nodes, "g", [value["x"]], [value["y"]], [scale])
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def test_a_sum_of_two_before_a_layer_normalization_becomes_an_add_and_gives_the_same() -> None:
    x = np.random.default_rng(0).standard_normal((3, WIDTH)).astype(np.float32)
    model = residual()
    (before,) = ort.InferenceSession(ir.to_proto(model).SerializeToString()).run(None, {"x": x})
    assert JoinResidualPass()(model).modified
    assert operators(model) == ["Tanh", "Add", "LayerNormalization"]
    (after,) = ort.InferenceSession(ir.to_proto(model).SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)
    assert not JoinResidualPass()(model).modified


@pytest.mark.parametrize(
    "model", [residual(sum_of=3), residual(operator="Max"), residual(reader="Relu")], ids=["three", "max", "relu"]
)
def test_other_sums_and_readers_are_left_alone(model: ir.Model) -> None:
    before = operators(model)
    assert not JoinResidualPass()(model).modified
    assert operators(model) == before


def test_it_undoes_what_the_portable_pass_does() -> None:
    model = residual(operator="Add")
    assert KeepResidualApartPass()(model).modified
    assert JoinResidualPass()(model).modified
    assert operators(model) == operators(residual(operator="Add"))


def test_a_package_s_graph_is_given_after_each_set_that_changes_it_with_its_weights_where_they_were(
    tmp_path: Path,
) -> None:
    tensors = {name: Tensor(name, "float32", ("n", WIDTH)) for name in "xy"}
    interface = Interface("forward", {"x": tensors["x"]}, tensors["y"], {}, SourceRecord("onnx", "", ""), Proof("none"))
    for name, model, expected in (("sum", residual(), ["joined-residuals"]), ("max", residual(operator="Max"), [])):
        path = Package("m", (Component("forward", interface, model),)).save(tmp_path / f"{name}.tload")
        graphs = make_graphs(open_package(path), "forward")
        assert list(graphs) == expected
        for graph in graphs.values():
            proto = onnx.ModelProto.FromString(graph.model)
            assert "Add" in [node.op_type for node in proto.graph.node]
            (weight,) = proto.graph.initializer
            assert {entry.value for entry in weight.external_data if entry.key == "location"} == {path.name}


def test_layers_of_a_graph_without_shapes_are_all_found(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Softmax", ["p"], ["s"]),
        helper.make_node("MatMul", ["s", "w"], ["y"]),
    ]
    value = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 32]) for name in "xy"}
    weight = numpy_helper.from_array(np.eye(32, dtype=np.float32), "w")
    graph = helper.make_graph(nodes, "g", [value["x"]], [value["y"]], [weight])
    model = ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))
    tensors = {name: Tensor(name, "float32", ("n", 32)) for name in "xy"}
    interface = Interface("forward", {"x": tensors["x"]}, tensors["y"], {}, SourceRecord("onnx", "", ""), Proof("none"))
    path = Package("m", (Component("forward", interface, model),)).save(tmp_path / "m.tload")
    proto = onnx.ModelProto.FromString(make_graphs(open_package(path), "forward")["linear-as-convolution"].model)
    assert [node.op_type for node in proto.graph.node].count("Conv") == 2


def test_every_pass_is_listed_with_what_it_does() -> None:
    result = CliRunner().invoke(main, ["passes", "--json"])
    rows = json.loads(result.stdout)
    assert [row["name"] for row in rows if row["pass_set"] == "portable"] == [
        type(each).__name__ for each in portable_passes()
    ]
    assert {row["pass_set"] for row in rows} == {"portable", *PASS_SETS}
    assert all(len(row["summary"]) > 10 for row in rows)
    assert {row["package"] for row in rows} == {"transload", "onnx_ir"}
    table = CliRunner().invoke(main, ["passes"]).output
    assert all(row["name"] in table for row in rows)

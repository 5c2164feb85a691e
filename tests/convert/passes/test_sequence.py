"""What a graph looks like after all passes, and each pass by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from transload.convert.passes import find_unsupported, run_passes
from transload.convert.passes.canonical_names import CanonicalNamesPass
from transload.convert.passes.ir_version import SetIrVersionPass
from transload.convert.passes.metadata import TidyMetadataPass, find_source_line
from transload.serialize.errors import UnsupportedError

Array = np.ndarray[Any, Any]


def model(
    nodes: Sequence[onnx.NodeProto],
    weights: dict[str, Array] | None = None,
    outputs: Sequence[str] = ("y",),
    **more: Any,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(graph, **({"opset_imports": [helper.make_opsetid("", 18)]} | more))


def parse(proto: onnx.ModelProto) -> ir.Model:
    return ir.serde.deserialize_model(proto)


def write(graph: ir.Model) -> onnx.ModelProto:
    return ir.serde.serialize_model(graph)


def run(proto: onnx.ModelProto) -> list[Array]:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.arange(6, dtype=np.float32).reshape(2, 3) - 2
    outputs: list[Array] = session.run(None, {"x": x})
    return outputs


def test_the_ir_version_is_one_that_the_oldest_runtime_reads() -> None:
    proto = model([helper.make_node("Sin", ["x"], ["y"])], ir_version=14)
    assert run_passes(parse(proto)).model.ir_version == 10
    run(write(run_passes(parse(proto)).model))


def test_an_old_ir_version_is_raised_and_its_inputs_become_constants() -> None:
    proto = model([helper.make_node("Add", ["x", "w"], ["y"])], {"w": np.ones(3, np.float32)}, ir_version=3)
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3]))
    done = run_passes(parse(proto)).model
    assert [value.name for value in done.graph.inputs] == ["x"]
    np.testing.assert_array_equal(run(write(done))[0], run(proto)[0])


def test_newer_element_types_are_refused_by_name() -> None:
    graph = parse(model([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT4E2M1)]))
    graph.graph.outputs[0].dtype = ir.DataType.FLOAT4E2M1
    with pytest.raises(UnsupportedError, match="FLOAT4E2M1"):
        SetIrVersionPass()(graph)


def test_what_nobody_uses_is_removed() -> None:
    nodes = [helper.make_node("Sin", ["x"], ["y"]), helper.make_node("Add", ["x", "w"], ["unused"])]
    done = run_passes(parse(model(nodes, {"w": np.ones(3, np.float32)}))).model
    assert [node.op_type for node in done.graph] == ["Sin"]
    assert not done.graph.initializers


def test_large_constants_become_initializers_and_small_ones_stay() -> None:
    large, small = np.ones((100, 3), np.float32), np.ones(3, np.float32)
    nodes = [
        helper.make_node("Constant", [], ["large"], value=numpy_helper.from_array(large)),
        helper.make_node("Constant", [], ["small"], value=numpy_helper.from_array(small)),
        helper.make_node("ReduceSum", ["large"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["a"]),
        helper.make_node("Add", ["a", "small"], ["y"]),
    ]
    done = run_passes(parse(model(nodes))).model
    assert list(done.graph.initializers) == ["large"]
    assert sum(node.op_type == "Constant" for node in done.graph) == 1
    np.testing.assert_array_equal(run(write(done))[0], run(model(nodes, ir_version=10))[0])


def test_equal_small_initializers_are_stored_once() -> None:
    nodes = [helper.make_node("Add", ["x", "a"], ["h"]), helper.make_node("Add", ["h", "b"], ["y"])]
    done = run_passes(parse(model(nodes, {"a": np.ones(3, np.float32), "b": np.ones(3, np.float32)}))).model
    assert list(done.graph.initializers) == ["a"]


def test_running_the_passes_again_changes_nothing() -> None:
    nodes = [helper.make_node("Sin", ["x"], ["h__12"]), helper.make_node("Add", ["h__12", "w__3:0"], ["y"])]
    once = write(run_passes(parse(model(nodes, {"w__3:0": np.ones(3, np.float32)}))).model)
    assert write(run_passes(parse(once)).model).SerializeToString() == once.SerializeToString()


def test_process_wide_counters_leave_the_names() -> None:
    def numbered(start: int) -> onnx.ModelProto:
        first, second, weight = f"Sin__{start}:0", f"Sin__{start + 1}:0", f"const_fold_opt__{start + 7}"
        nodes = [
            helper.make_node("Sin", ["x"], [first], name=f"Sin__{start}"),
            helper.make_node("Sin", [first], [second], name=f"Sin__{start + 1}"),
            helper.make_node("Add", [second, weight], ["y"], name=f"model/dense/Add__{start + 2}"),
        ]
        return model(nodes, {weight: np.ones(3, np.float32)})

    one, other = (write(run_passes(parse(numbered(start))).model) for start in (3, 4711))
    assert one.SerializeToString() == other.SerializeToString()
    assert [node.name for node in one.graph.node] == ["Sin", "Sin_1", "model/dense/Add"]
    assert one.graph.initializer[0].name == "const_fold_opt"


@pytest.mark.parametrize("name", ["layers__0.weight", "block__1_norm", "x__y"])
def test_numbers_inside_a_name_stay(name: str) -> None:
    done = run_passes(parse(model([helper.make_node("Add", ["x", name], ["y"])], {name: np.ones(3, np.float32)}))).model
    assert list(done.graph.initializers) == [name]


def test_the_order_of_independent_nodes_does_not_depend_on_how_they_came() -> None:
    sin, cos = helper.make_node("Sin", ["x"], ["s"], name="sin"), helper.make_node("Cos", ["x"], ["c"], name="cos")
    add = helper.make_node("Add", ["s", "c"], ["y"], name="add")
    one, other = (write(run_passes(parse(model(nodes))).model) for nodes in ([sin, cos, add], [cos, sin, add]))
    assert one.SerializeToString() == other.SerializeToString()


def test_names_of_inputs_and_outputs_stay_and_no_name_is_used_twice() -> None:
    nodes = [
        helper.make_node("Sin", ["x"], ["y__1"], name="n"),
        helper.make_node("Cos", ["y__1"], ["x__2"], name="n__4"),
        helper.make_node("Identity", ["x__2"], ["y"], name=""),
    ]
    done = parse(model(nodes))
    CanonicalNamesPass()(done)
    assert (done.graph.inputs[0].name, done.graph.outputs[0].name) == ("x", "y")
    assert [node.name for node in done.graph] == ["n", "n_1", "Identity"]
    names = ["x", *(value.name for node in done.graph for value in node.outputs)]
    assert len(set(names)) == len(names)


def test_a_branch_keeps_working_after_renaming() -> None:
    def branch(op_type: str) -> onnx.GraphProto:
        node = helper.make_node(op_type, ["h__1"], ["inner__5"], name=f"{op_type}__9")
        return helper.make_graph([node], op_type, [], [helper.make_tensor_value_info("inner__5", 1, None)])

    nodes = [
        helper.make_node("Abs", ["x"], ["h__1"]),
        helper.make_node("ReduceSum", ["x"], ["sum__2"], keepdims=0),
        helper.make_node("Cast", ["sum__2"], ["yes__3"], to=TensorProto.BOOL),
        helper.make_node("If", ["yes__3"], ["y"], then_branch=branch("Sin"), else_branch=branch("Cos")),
    ]
    proto = model(nodes, ir_version=10)
    done = write(run_passes(parse(proto)).model)
    assert "__" not in str(done.graph.node)
    np.testing.assert_array_equal(run(done)[0], run(proto)[0])


TRACE = """File "/home/someone/site-packages/torch/nn/modules/module.py", line 1776, in _call_impl
    return forward_call(*args, **kwargs)
  File "/home/someone/work/net.py", line 12, in forward
    return self.fc(x)
  File "/home/someone/site-packages/torch/nn/modules/linear.py", line 134, in forward
    return F.linear(input, self.weight, self.bias)
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (TRACE, "net.py:12 in forward"),
        ("/home/someone/net.py(7): forward\n/x/site-packages/torch/nn/module.py(9): call", "net.py:7 in forward"),
        ("/home/someone/net.py:33:0", "net.py:33"),
        (r'File "C:\work\net.py", line 3, in forward', "net.py:3 in forward"),
        ("", ""),
        ("no frames here", ""),
    ],
)
def test_the_user_s_source_line_is_found(text: str, line: str) -> None:
    assert find_source_line(text) == line


def test_metadata_holds_source_lines_and_nothing_of_the_machine() -> None:
    graph = parse(model([helper.make_node("Sin", ["x"], ["y"])]))
    graph.producer_name, graph.producer_version, graph.doc_string = "pytorch", "2.13.0", "exported in /home/someone"
    graph.metadata_props.update({"labels": "cat,dog", "pkg.torch.export.graph_signature": "…"})
    node = graph.graph.node(0)
    node.metadata_props.update({"pkg.torch.onnx.stack_trace": TRACE, "pkg.torch.onnx.fx_node": "%sin"})
    node.doc_string = "/home/someone"
    assert TidyMetadataPass()(graph).modified
    assert node.metadata_props == {"source": "net.py:12 in forward"}
    assert graph.metadata_props == {"labels": "cat,dog"}
    assert "someone" not in str(write(graph))
    assert (graph.producer_name, graph.producer_version) == ("transload", None)
    assert not TidyMetadataPass()(graph).modified


@pytest.mark.parametrize(
    ("scopes", "module"),
    [
        ("['', 'encoder', 'encoder.layer.0', 'linear_3']", {"module": "encoder.layer.0"}),
        ("['', 'add']", {}),
        ("[]", {}),
        ("__import__('os').getcwd()", {}),
    ],
)
def test_the_innermost_module_is_kept(scopes: str, module: dict[str, str]) -> None:
    graph = parse(model([helper.make_node("Sin", ["x"], ["y"])]))
    node = graph.graph.node(0)
    node.metadata_props["pkg.torch.onnx.name_scopes"] = scopes
    TidyMetadataPass()(graph)
    assert node.metadata_props == module


def test_opset_imports_are_sorted() -> None:
    imports = [helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("", 18)]
    nodes = [
        helper.make_node("Sin", ["x"], ["h"]),
        helper.make_node("Scaler", ["h"], ["y"], domain="ai.onnx.ml", scale=[2.0]),
    ]
    done = run_passes(parse(model(nodes, opset_imports=imports))).model
    assert list(done.opset_imports.items()) == [("", 18), ("ai.onnx.ml", 3)]


def test_every_operator_that_is_not_onnx_is_listed() -> None:
    nodes = [
        helper.make_node("Sin", ["x"], ["a"]),
        helper.make_node("FlexErf", ["a"], ["b"], domain="ai.onnx.contrib", name="first"),
        helper.make_node("Gelu", ["b"], ["c"], name="second"),
        helper.make_node("Nonsense", ["c"], ["d"]),
        helper.make_node("FlexErf", ["d"], ["y"], domain="ai.onnx.contrib", name="third"),
    ]
    graph = parse(model(nodes))
    graph.graph.node(4).metadata_props["source"] = "net.py:3"
    found = find_unsupported(graph)
    assert [(op.name, op.location) for op in found] == [
        ("ai.onnx.contrib::FlexErf", "node 'first'"),
        ("Gelu", "node 'second'"),
        ("Nonsense", ""),
        ("ai.onnx.contrib::FlexErf", "node 'third', net.py:3"),
    ]
    assert "opset 18" in found[1].reason


def test_calls_of_the_model_s_own_functions_are_supported_and_their_bodies_are_searched() -> None:
    body = [helper.make_node("Nonsense", ["p"], ["q"], domain="")]
    function = helper.make_function("own", "Twice", ["p"], ["q"], body, [helper.make_opsetid("", 18)])
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    proto = model([helper.make_node("Twice", ["x"], ["y"], domain="own")], opset_imports=imports, functions=[function])
    assert [op.name for op in find_unsupported(parse(proto))] == ["Nonsense"]


def test_a_whole_standard_model_is_supported() -> None:
    assert find_unsupported(parse(model([helper.make_node("Sin", ["x"], ["y"])]))) == ()

"""ONNX files as sources: what is captured of them, and what is refused."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from transload.convert.capture import Capture
from transload.convert.onnx.onnx_file import capture
from transload.convert.options import ConvertOptions, InputSpec
from transload.convert.source import Source, SourceKind
from transload.serialize.errors import SourceError, UnsupportedError, UsageError
from transload.serialize.interface import Dict, Tensor

Dims = Sequence[int | str | None] | None


def value(name: str, dims: Dims, dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, dims)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    initializers: Sequence[onnx.TensorProto] = (),
    *,
    opset: int = 18,
    ir_version: int = 10,
    **more: Any,
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers)
    imports = [helper.make_opsetid("", opset), *more.pop("imports", ())]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version, **more)


def linear(dims: Dims = ("batch", 3), **more: Any) -> onnx.ModelProto:
    """`y = x @ w`, with 3 rows and 500 columns of weights."""
    weight = np.random.default_rng(0).standard_normal((3, 500)).astype(np.float32)
    return model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [value("x", dims)],
        [value("y", [dims[0] if dims else None, 500])],
        [numpy_helper.from_array(weight, "w")],
        **more,
    )


def add(first: Dims, second: Dims, output: Dims) -> onnx.ModelProto:
    """`sum = a + b`, elementwise through a MatMul-free graph that refuses unequal sizes: Concat, then ReduceSum."""
    nodes = [
        helper.make_node("Unsqueeze", ["a", "axis"], ["a1"]),
        helper.make_node("Unsqueeze", ["b", "axis"], ["b1"]),
        helper.make_node("Concat", ["a1", "b1"], ["both"], axis=0),
        helper.make_node("ReduceSum", ["both", "axis"], ["sum"], keepdims=0),
    ]
    axis = numpy_helper.from_array(np.zeros(1, np.int64), "axis")
    return model(nodes, [value("a", first), value("b", second)], [value("sum", output)], [axis])


def save(proto: onnx.ModelProto, path: Path, *, external: bool = False) -> Path:
    onnx.save(
        proto,
        path,
        save_as_external_data=external,
        location=f"{path.stem}.data" if external else None,
        size_threshold=0,
    )
    return path


def capture_file(path: Path, **options: object) -> Capture:
    (result,) = capture(Source(SourceKind.ONNX, path), ConvertOptions(**options))  # type: ignore[arg-type]
    return result


def input_shapes(result: Capture) -> dict[str, object]:
    return {name: node.shape for name, node in result.inputs.items() if isinstance(node, Tensor)}


def test_inputs_outputs_and_example_come_from_the_graph(tmp_path: Path) -> None:
    result = capture_file(save(linear(), tmp_path / "m.onnx"))
    assert result.inputs == {"x": Tensor("x", "float32", ("batch", 3))}
    assert result.outputs == Dict({"y": Tensor("y", "float32", ("batch", 500))})
    assert result.example["x"].shape == (2, 3)
    assert (result.component, result.source.kind, result.source.framework) == ("main", "onnx", "onnxruntime")


def test_reference_computes_what_the_file_says(tmp_path: Path) -> None:
    proto = linear()
    result = capture_file(save(proto, tmp_path / "m.onnx"))
    x = np.array([[1, 0, 0], [0, 2, 0]], np.float32)
    weight = onnx.numpy_helper.to_array(proto.graph.initializer[0])
    np.testing.assert_allclose(result.reference.run({"x": x})["y"], [weight[0], 2 * weight[1]], rtol=1e-6)
    assert result.reference.run_float64({"x": x}) is None


def test_external_data_stays_in_its_file(tmp_path: Path) -> None:
    import onnx_ir as ir

    result = capture_file(save(linear(), tmp_path / "m.onnx", external=True))
    weight = result.model.graph.initializers["w"].const_value
    assert isinstance(weight, ir.ExternalTensor)
    assert Path(weight.path) == tmp_path / "m.data"
    np.testing.assert_array_equal(weight.numpy(), onnx.numpy_helper.to_array(linear().graph.initializer[0]))


def test_digest_covers_the_external_data(tmp_path: Path) -> None:
    path = save(linear(), tmp_path / "m.onnx", external=True)
    lines = "".join(
        f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n" for name in ("m.data", "m.onnx")
    )
    assert capture_file(path).source.sha256 == hashlib.sha256(lines.encode()).hexdigest()


def test_relative_path_finds_its_external_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(linear(), tmp_path / "m.onnx", external=True)
    monkeypatch.chdir(tmp_path)
    result = capture_file(Path("m.onnx"))
    weight = result.model.graph.initializers["w"].const_value
    assert weight is not None
    assert weight.numpy().shape == (3, 500)


def test_input_that_an_initializer_shadows_is_no_input(tmp_path: Path) -> None:
    proto = linear()
    proto.graph.input.append(value("w", [3, 500]))
    assert list(capture_file(save(proto, tmp_path / "m.onnx")).inputs) == ["x"]


def test_newest_ir_version_is_taken(tmp_path: Path) -> None:
    newest = onnx.IR_VERSION
    result = capture_file(save(linear(ir_version=newest), tmp_path / "m.onnx", external=True))
    assert result.reference.run(result.example)["y"].shape == (2, 500)


def test_old_opset_is_taken_as_it_is(tmp_path: Path) -> None:
    proto = linear(opset=7, ir_version=3)
    proto.graph.input.append(value("w", [3, 500]))
    result = capture_file(save(proto, tmp_path / "m.onnx"))
    assert result.model.opset_imports[""] == 7


def test_local_function_is_taken_as_it_is(tmp_path: Path) -> None:
    function = helper.make_function(
        "local", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 18)]
    )
    proto = model(
        [helper.make_node("Twice", ["x"], ["y"], domain="local")],
        [value("x", [2])],
        [value("y", [2])],
        functions=[function],
        imports=[helper.make_opsetid("local", 1)],
    )
    result = capture_file(save(proto, tmp_path / "m.onnx"))
    np.testing.assert_array_equal(result.reference.run({"x": np.array([1, -3], np.float32)})["y"], [2, -6])


def test_output_that_is_an_input_gets_a_name_of_its_own(tmp_path: Path) -> None:
    proto = model([helper.make_node("Neg", ["x"], ["y"])], [value("x", ["n"])], [value("x", ["n"]), value("y", ["n"])])
    result = capture_file(save(proto, tmp_path / "m.onnx"))
    assert [output.name for output in result.model.graph.outputs] == ["x_out", "y"]
    outputs = result.reference.run({"x": np.array([5], np.float32)})
    assert {name: array.tolist() for name, array in outputs.items()} == {"x_out": [5], "y": [-5]}


class TestDimensions:
    def test_unnamed_ones_are_independent_where_the_model_allows_it(self, tmp_path: Path) -> None:
        proto = model(
            [helper.make_node("Neg", ["a"], ["c"]), helper.make_node("Neg", ["b.1"], ["d"])],
            [value("a", [None, 4]), value("b.1", [None])],
            [value("c", [None, 4]), value("d", [None])],
        )
        result = capture_file(save(proto, tmp_path / "m.onnx"))
        assert input_shapes(result) == {"a": ("a_dim_0", 4), "b.1": ("b_1_dim_0",)}

    def test_unnamed_ones_are_shared_where_the_model_needs_it(self, tmp_path: Path) -> None:
        result = capture_file(save(add([None, None], [None, None], [None, None]), tmp_path / "m.onnx"))
        assert input_shapes(result) == {"a": ("dim_0", "dim_1"), "b": ("dim_0", "dim_1")}

    def test_the_user_may_name_them(self, tmp_path: Path) -> None:
        specs = (InputSpec("a", "float32", ("rows", 4)), InputSpec("b", "float32", ("rows", 4)))
        result = capture_file(save(add([None, None], [None, None], [None, None]), tmp_path / "m.onnx"), inputs=specs)
        assert input_shapes(result) == {"a": ("rows", 4), "b": ("rows", 4)}
        graph_input = result.model.graph.inputs[0].shape
        assert graph_input is not None
        assert graph_input == ["rows", 4]

    def test_a_new_name_reaches_all_inputs_and_outputs(self, tmp_path: Path) -> None:
        specs = (InputSpec("a", "float32", ("batch", 4)),)
        result = capture_file(save(add(["n", 4], ["n", 4], ["n", 4]), tmp_path / "m.onnx"), inputs=specs)
        assert input_shapes(result) == {"a": ("batch", 4), "b": ("batch", 4)}
        assert result.outputs == Dict({"sum": Tensor("sum", "float32", ("batch", 4))})

    def test_the_user_may_fix_a_dynamic_one(self, tmp_path: Path) -> None:
        result = capture_file(save(linear(), tmp_path / "m.onnx"), inputs=(InputSpec("x", "float32", (1, 3)),))
        assert result.inputs == {"x": Tensor("x", "float32", (1, 3))}
        assert result.outputs == Dict({"y": Tensor("y", "float32", (1, 500))})
        assert result.example["x"].shape == (1, 3)

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            (InputSpec("z", "float32", None), r"no input 'z'.*\n.*x: float32\[batch,3\]"),
            (InputSpec("x", "int64", None), r"float32\[batch,3\], not int64"),
            (InputSpec("x", "float32", (1,)), "1 dimensions were given"),
            (InputSpec("x", "float32", ("batch", "width")), "the file fixes 3 where 'width'"),
            (InputSpec("x", "float32", ("batch", 4)), "the file fixes 3 where 4"),
        ],
    )
    def test_a_description_that_does_not_fit_is_refused(self, tmp_path: Path, spec: InputSpec, message: str) -> None:
        path = save(linear(), tmp_path / "m.onnx")
        with pytest.raises(UsageError, match=message):
            capture_file(path, inputs=(spec,))

    def test_one_dimension_cannot_have_two_names(self, tmp_path: Path) -> None:
        specs = (InputSpec("a", "float32", ("p", 4)), InputSpec("b", "float32", ("q", 4)))
        path = save(add(["n", 4], ["n", 4], ["n", 4]), tmp_path / "m.onnx")
        with pytest.raises(UsageError, match="both 'p' and 'q'"):
            capture_file(path, inputs=specs)


class TestExample:
    def test_given_values_are_used_and_the_rest_fits_them(self, tmp_path: Path) -> None:
        path = save(add(["n", "m"], ["n", "m"], ["n", "m"]), tmp_path / "m.onnx")
        a = np.full((3, 9), 7, np.float32)
        example = capture_file(path, example={"a": a}).example
        np.testing.assert_array_equal(example["a"], a)
        assert example["b"].shape == (3, 9)

    @pytest.mark.parametrize(
        ("example", "message"),
        [
            ({"z": np.zeros(3, np.float32)}, "no input 'z'"),
            ({"x": np.zeros((2, 3))}, "dtype float64"),
            ({"x": np.zeros((2, 4), np.float32)}, "size 4 on axis 1"),
        ],
    )
    def test_one_that_does_not_fit_is_refused(
        self, tmp_path: Path, example: dict[str, np.ndarray], message: str
    ) -> None:
        path = save(linear(), tmp_path / "m.onnx")
        with pytest.raises(UsageError, match=message):
            capture_file(path, example=example)

    def test_model_that_refuses_what_was_made_up_asks_for_one(self, tmp_path: Path) -> None:
        path = save(add(["p", 4], ["q", 4], [None, 4]), tmp_path / "m.onnx")
        with pytest.raises(UsageError, match=r"(?s)a: \[2, 4\], b: \[7, 4\].*--example"):
            capture_file(path)


class TestRefusals:
    def test_damaged_file(self, tmp_path: Path) -> None:
        path = tmp_path / "m.onnx"
        path.write_bytes(linear().SerializeToString()[:-100])
        with pytest.raises(SourceError, match=r"m\.onnx is not an ONNX model"):
            capture_file(path)

    def test_function_that_calls_itself(self, tmp_path: Path) -> None:
        call = helper.make_node("Endless", ["a"], ["b"], domain="local")
        endless = helper.make_function("local", "Endless", ["a"], ["b"], [call], [helper.make_opsetid("local", 1)])
        proto = model(
            [helper.make_node("Endless", ["x"], ["y"], domain="local")],
            [value("x", [2])],
            [value("y", [2])],
            functions=[endless],
            imports=[helper.make_opsetid("local", 1)],
        )
        with pytest.raises(SourceError, match=r"m\.onnx: The function 'local::Endless' calls itself"):
            capture_file(save(proto, tmp_path / "m.onnx"))

    def test_more_parts_than_a_package_may_have(self, tmp_path: Path) -> None:
        path = tmp_path / "m.onnx"
        path.write_bytes(linear().SerializeToString() + b"\xa2\x06\x00" * ((1 << 20) + 1))
        with pytest.raises(SourceError, match=r"m\.onnx: The model has more than"):
            capture_file(path)

    def test_invalid_model(self, tmp_path: Path) -> None:
        proto = linear()
        proto.graph.node[0].op_type = "NoSuchOperator"
        with pytest.raises(SourceError, match=r"not a valid ONNX model.*NoSuchOperator"):
            capture_file(save(proto, tmp_path / "m.onnx"))

    def test_input_of_unknown_rank_breaks_the_standard(self, tmp_path: Path) -> None:
        proto = model([helper.make_node("Neg", ["x"], ["y"])], [value("x", None)], [value("y", None)])
        with pytest.raises(SourceError, match=r"(?s)'shape'.*infer_shapes"):
            capture_file(save(proto, tmp_path / "m.onnx"))

    def test_sequence_input_is_unsupported_and_every_one_is_listed(self, tmp_path: Path) -> None:
        names = ["s", "t"]
        inputs = [helper.make_tensor_sequence_value_info(name, TensorProto.FLOAT, None) for name in names]
        nodes = [helper.make_node("SequenceLength", [name], [f"{name}_n"]) for name in names]
        outputs = [value(f"{name}_n", [], TensorProto.INT64) for name in names]
        with pytest.raises(UnsupportedError) as caught:
            capture_file(save(model(nodes, inputs, outputs), tmp_path / "m.onnx"))
        assert [operation.location for operation in caught.value.operations] == ["input 's'", "input 't'"]

    def test_every_operator_that_is_not_onnx_s_own_is_listed(self, tmp_path: Path) -> None:
        nodes = [
            helper.make_node("Frob", ["x"], ["z"], name="first", domain="my.ops"),
            helper.make_node("Twist", ["z"], ["y"], name="second", domain="my.ops"),
        ]
        made = model(nodes, [value("x", ["n"])], [value("y", ["n"])], imports=[helper.make_opsetid("my.ops", 1)])
        path = tmp_path / "custom.onnx"
        onnx.save(made, path)
        with pytest.raises(UnsupportedError) as caught:
            capture(Source(SourceKind.ONNX, path), ConvertOptions())
        assert [operation.name for operation in caught.value.operations] == ["my.ops::Frob", "my.ops::Twist"]
        assert "'second'" in caught.value.operations[1].location

    def test_another_opset_than_the_file_has(self, tmp_path: Path) -> None:
        path = save(linear(opset=17), tmp_path / "m.onnx")
        with pytest.raises(UsageError, match="has opset 17"):
            capture_file(path, opset=20)


class TestExternalData:
    """Files that a stranger's model may not name."""

    @staticmethod
    def with_location(folder: Path, location: str, **more: str) -> Path:
        path = save(linear(), folder / "m.onnx", external=True)
        proto = onnx.load(path, load_external_data=False)
        tensor = proto.graph.initializer[0]
        fields = {entry.key: entry.value for entry in tensor.external_data} | {"location": location} | more
        del tensor.external_data[:]
        for key, text in fields.items():
            tensor.external_data.add(key=key, value=text)
        path.write_bytes(proto.SerializeToString())
        return path

    @pytest.mark.parametrize(
        "location", ["/etc/passwd", "../secret.data", "sub/../../secret.data", "C:\\secret", "..\\secret", ""]
    )
    def test_path_out_of_the_folder_is_refused(self, tmp_path: Path, location: str) -> None:
        (tmp_path / "secret.data").write_bytes(bytes(6000))
        folder = tmp_path / "model"
        folder.mkdir()
        with pytest.raises(SourceError, match="tensor 'w': its location"):
            capture_file(self.with_location(folder, location))

    def test_address_in_memory_is_refused_even_if_a_file_has_that_name(self, tmp_path: Path) -> None:
        marker = "*/_ORT_MEM_ADDR_/*"
        (tmp_path / marker).parent.mkdir(parents=True)
        (tmp_path / marker).write_bytes(bytes(6000))
        with pytest.raises(SourceError, match=r"tensor 'w': its location .* means an address in memory"):
            capture_file(self.with_location(tmp_path, marker))

    def test_symbolic_link_out_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "secret.data").write_bytes(bytes(6000))
        folder = tmp_path / "model"
        folder.mkdir()
        path = self.with_location(folder, "link.data")
        (folder / "link.data").symlink_to(tmp_path / "secret.data")
        with pytest.raises(SourceError, match=r"tensor 'w': 'link\.data' is a symbolic link out"):
            capture_file(path)

    def test_hard_link_is_refused(self, tmp_path: Path) -> None:
        path = save(linear(), tmp_path / "m.onnx", external=True)
        os.link(tmp_path / "m.data", tmp_path / "other")
        with pytest.raises(SourceError, match=r"tensor 'w': 'm\.data' has several hard links"):
            capture_file(path)

    def test_missing_file_is_refused(self, tmp_path: Path) -> None:
        path = save(linear(), tmp_path / "m.onnx", external=True)
        (tmp_path / "m.data").unlink()
        with pytest.raises(SourceError, match=r"tensor 'w': there is no file 'm\.data'"):
            capture_file(path)

    @pytest.mark.parametrize("fields", [{"offset": "-1"}, {"length": "many"}, {"length": "6001"}, {"offset": "4096"}])
    def test_range_outside_the_file_is_refused(self, tmp_path: Path, fields: dict[str, str]) -> None:
        with pytest.raises(SourceError, match="tensor 'w'"):
            capture_file(self.with_location(tmp_path, "m.data", **fields))

    def test_reference_in_a_subgraph_is_checked_too(self, tmp_path: Path) -> None:
        branch = helper.make_graph(
            [helper.make_node("Constant", [], ["c"], value=helper.make_tensor("hidden", 1, [2], [1.0, 2.0]))],
            "branch",
            [],
            [value("c", [2])],
        )
        tensor = branch.node[0].attribute[0].t
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")
        proto = model(
            [helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch)],
            [value("flag", [], TensorProto.BOOL)],
            [value("y", [2])],
        )
        path = tmp_path / "m.onnx"
        path.write_bytes(proto.SerializeToString())
        with pytest.raises(SourceError, match="tensor 'hidden'"):
            capture_file(path)

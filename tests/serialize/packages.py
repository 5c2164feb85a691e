"""The smallest packages that show each thing, and ways to spoil them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from transload.serialize import Component, VectorSet
from transload.serialize.archive_writer import Bytes, Digest, write_archive
from transload.serialize.interface import Dict, Interface, Proof, SourceRecord, Tensor, Tolerance
from transload.serialize.manifest import with_members
from transload.serialize.strict_json import encode_json

WIDTH = 256


def linear_model(weight: np.ndarray, bias: np.ndarray | None = None) -> ir.Model:
    """`y = x @ weight (+ bias)` over `x: float32[batch, rows of weight]`."""
    rows, columns = weight.shape
    nodes = [helper.make_node("MatMul", ["x", "weight"], ["y" if bias is None else "product"])]
    initializers = [numpy_helper.from_array(weight, "weight")]
    if bias is not None:
        nodes.append(helper.make_node("Add", ["product", "bias"], ["y"]))
        initializers.append(numpy_helper.from_array(bias, "bias"))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", rows])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", columns])],
        initializers,
    )
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))


def linear_interface(name: str, rows: int, columns: int) -> Interface:
    return Interface(
        component=name,
        inputs={"x": Tensor("x", "float32", ("batch", rows))},
        outputs=Dict({"logits": Tensor("y", "float32", ("batch", columns))}),
        tolerances={"y": Tolerance(1.3e-6, 1e-5)},
        source=SourceRecord("onnx", "onnx", "1.23.2"),
        proof=Proof("none"),
    )


def linear_component(name: str, weight: np.ndarray, bias: np.ndarray | None = None) -> Component:
    x = np.arange(3 * len(weight), dtype=np.float32).reshape(3, len(weight)) / 100
    y = x @ weight if bias is None else x @ weight + bias
    return Component(
        name, linear_interface(name, *weight.shape), linear_model(weight, bias), (VectorSet({"x": x}, {"y": y}),)
    )


def table_component(table: np.ndarray) -> Component:
    """`y = table[x]` over `x: int64[n]`."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        "lookup",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", table.shape[1]])],
        [numpy_helper.from_array(table, "table")],
    )
    model = ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))
    interface = Interface(
        component="forward",
        inputs={"x": Tensor("x", "int64", ("n",))},
        outputs=Tensor("y", "float32", ("n", table.shape[1])),
        tolerances={"y": Tolerance(0.0, 0.0)},
        source=SourceRecord("onnx", "onnx", "1.23.2"),
        proof=Proof("none"),
    )
    return Component("forward", interface, model)


GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}
HIDDEN = 4


def recurrent_model(operator: str) -> onnx.ModelProto:
    """One recurrent layer over `x: float32[t,n,3]`."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.standard_normal((1, GATES[operator] * HIDDEN, 3)),
        "r": rng.standard_normal((1, GATES[operator] * HIDDEN, HIDDEN)),
    }
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w", "r"], ["y"], hidden_size=HIDDEN)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["t", "n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["t", 1, "n", HIDDEN])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def recurrent_component(operator: str) -> Component:
    """`recurrent_model` as a component."""
    interface = Interface(
        component="forward",
        inputs={"x": Tensor("x", "float32", ("t", "n", 3))},
        outputs=Tensor("y", "float32", ("t", 1, "n", HIDDEN)),
        tolerances={"y": Tolerance(1e-5, 1e-5)},
        source=SourceRecord("onnx", "onnx", "1.23.2"),
        proof=Proof("none"),
    )
    return Component("forward", interface, ir.from_proto(recurrent_model(operator)))


Members = dict[str, bytes]


def rebuild(data: bytes, edit: Callable[[Members], object], *, keep_manifest: bool = False) -> bytes:
    """A well-formed archive with members edited and digests made anew: what a careful attacker would write.

    With `keep_manifest`, or where the manifest is no JSON any more, the manifest stays as the edit left it.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    edit(members)
    manifest = members.pop("manifest.json")
    file = io.BytesIO()

    def make_index(digests: Mapping[str, Digest]) -> bytes:
        if keep_manifest:
            return manifest
        try:
            return encode_json(with_members(json.loads(manifest), digests))
        except (ValueError, KeyError, TypeError, RecursionError):
            return manifest

    write_archive(file, {name: Bytes(content) for name, content in members.items()}, "manifest.json", make_index)
    return file.getvalue()


def edit_json(member: str, edit: Callable[[dict[str, Any]], None]) -> Callable[[Members], None]:
    """An edit for `rebuild` that changes a JSON member."""

    def apply(members: Members) -> None:
        value = json.loads(members[member])
        edit(value)
        members[member] = json.dumps(value).encode()

    return apply


def edit_model(edit: Callable[[onnx.ModelProto], None]) -> Callable[[Members], None]:
    """An edit for `rebuild` that changes `model.onnx`."""

    def apply(members: Members) -> None:
        model = onnx.ModelProto.FromString(members["forward/portable/model.onnx"])
        edit(model)
        members["forward/portable/model.onnx"] = model.SerializeToString()

    return apply

"""The first wrong node is named, by the source's own intermediate values, and shown alone; graphs are made smaller."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from onnx import helper, numpy_helper
from packages import linear_component
from torch import nn

from transload.convert.debug.reduce import command_fails, reduce_model
from transload.convert.debug.search import debug_package
from transload.convert.options import ConvertOptions, parse_input_spec
from transload.convert.pipeline import convert_source
from transload.convert.source import Source, SourceKind
from transload.serialize import Package, open_package
from transload.serialize.errors import UnsupportedError, UsageError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.second(torch.tanh(self.first(x)) * 2.0), dim=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, onnx.ModelProto]:
    """A TorchScript file, and the graph of its package."""
    folder = tmp_path_factory.mktemp("debug")
    torch.manual_seed(0)
    source = folder / "net.pt"
    torch.jit.script(Net().eval()).save(str(source))
    options = ConvertOptions(inputs=(parse_input_spec("x:float32[batch,4]"),), proof="quick")
    package = folder / "net.tload"
    convert_source(Source(SourceKind.TORCHSCRIPT, source), options).save(package)
    opened = open_package(package).to_package()
    model = onnx.load_from_string(ir.to_proto(opened.components[0].model).SerializeToString())
    return source, model


def plant(model: onnx.ModelProto, path: Path, op_type: str, other: str) -> str:
    """Another operator in place of the first of a type; gives the node's name."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    node = next(node for node in copy.graph.node if node.op_type == op_type)
    node.op_type = other
    onnx.save(copy, path)
    return str(node.name)


@pytest.mark.parametrize(("op_type", "other"), [("Tanh", "Sigmoid"), ("Mul", "Add"), ("Softmax", "LogSoftmax")])
def test_the_changed_node_is_named_with_its_source_line_and_shown_alone(
    files: tuple[Path, onnx.ModelProto], tmp_path: Path, op_type: str, other: str
) -> None:
    source, model = files
    name = plant(model, tmp_path / "wrong.onnx", op_type, other)
    found = debug_package(str(tmp_path / "wrong.onnx"), str(source), ConvertOptions())
    assert found.node == name
    assert found.region == (name,)
    assert found.line.startswith("test_debug.py:")
    assert found.source_runs <= 8
    assert found.ours is not None and found.reference is not None and found.ours != found.reference
    alone = onnx.load_from_string(found.model)
    assert [node.op_type for node in alone.graph.node] == [other]
    session = ort.InferenceSession(found.model, providers=["CPUExecutionProvider"])
    feed = {key: np.frombuffer(data, dtype).reshape(shape) for key, (dtype, shape, data) in found.inputs.items()}
    (value,) = session.run(None, feed)
    assert float(np.max(value)) == pytest.approx(found.ours.high)


def test_a_node_that_a_fresh_capture_lacks_is_named_not_the_one_that_reads_it(
    files: tuple[Path, onnx.ModelProto], tmp_path: Path
) -> None:
    source, model = files
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    index, reader = next((i, node) for i, node in enumerate(copy.graph.node) if node.op_type == "Tanh")
    copy.graph.node.insert(index, helper.make_node("Ceil", [reader.input[0]], ["put in"], "put in"))
    copy.graph.node[index + 1].input[0] = "put in"
    onnx.save(copy, tmp_path / "wrong.onnx")
    found = debug_package(str(tmp_path / "wrong.onnx"), str(source), ConvertOptions())
    assert found.node == "put in"
    assert found.region == ("put in", reader.name)


def test_a_package_without_a_fault_has_no_culprit(files: tuple[Path, onnx.ModelProto], tmp_path: Path) -> None:
    source, model = files
    onnx.save(model, tmp_path / "right.onnx")
    found = debug_package(str(tmp_path / "right.onnx"), str(source), ConvertOptions())
    assert (found.node, found.summary) == ("", "Source and package agree on these inputs.")
    # Nothing is to be explained, so the source is not run again for its intermediate values.
    assert found.source_runs == 1
    alone = debug_package(str(tmp_path / "right.onnx"), None, ConvertOptions())
    assert alone.node == "" and alone.summary.endswith("agree on these inputs.")


def test_a_source_without_intermediate_values_is_told(files: tuple[Path, onnx.ModelProto], tmp_path: Path) -> None:
    _, model = files
    onnx.save(model, tmp_path / "one.onnx")
    with pytest.raises(UnsupportedError, match="shows no intermediate values"):
        debug_package(str(tmp_path / "one.onnx"), str(tmp_path / "one.onnx"), ConvertOptions())


def test_a_component_is_not_set_against_another_one_of_the_source(tmp_path: Path) -> None:
    weight = np.eye(4, dtype=np.float32)
    components = (linear_component("encode", weight), linear_component("decode", weight))
    package = Package("m", components).save(tmp_path / "m.tload")
    torch.jit.script(Net().eval()).save(str(tmp_path / "m.pt"))
    with pytest.raises(UsageError, match="no component 'encode': the package has encode, decode, the source forward"):
        debug_package(str(package), str(tmp_path / "m.pt"), ConvertOptions())


def chain(length: int, odd: int) -> onnx.ModelProto:
    """Many Relu nodes, and one Ceil among them."""
    nodes = [
        helper.make_node("Ceil" if index == odd else "Relu", [f"v{index}"], [f"v{index + 1}"], f"n{index}")
        for index in range(length)
    ]
    info = [helper.make_tensor_value_info(name, 1, ["n"]) for name in ("v0", f"v{length}")]
    made = helper.make_graph(nodes, "chain", info[:1], info[1:], [numpy_helper.from_array(np.float32(1), "unused")])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize("odd", [0, 13, 39])
def test_a_failing_graph_is_reduced_to_the_node_that_fails(odd: int) -> None:
    reduced = reduce_model(chain(40, odd), lambda model: any(node.op_type == "Ceil" for node in model.graph.node))
    assert [node.name for node in reduced.model.graph.node] == [f"n{odd}"]
    assert (reduced.before, reduced.after) == (40, 1)
    assert reduced.checks <= 20
    onnx.checker.check_model(reduced.model)


def test_a_command_that_crashes_fails_and_one_that_ends_well_does_not(tmp_path: Path) -> None:
    script = tmp_path / "check.py"
    script.write_text(
        "import os, sys, onnx\n"
        "if any(node.op_type == 'Ceil' for node in onnx.load(sys.argv[1]).graph.node): os.abort()\n"
    )
    fails = command_fails(f"{sys.executable} {script} {{}}")
    assert fails(chain(2, 1))
    assert not fails(chain(2, 5))
    with pytest.raises(UsageError, match="does not fail on the whole model"):
        reduce_model(chain(2, 5), fails)
    with pytest.raises(UsageError, match="Cannot run"):
        command_fails("no-such-program")(chain(1, 0))

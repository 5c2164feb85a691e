"""One converted model that all tests of the command line share, and a way to run commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from transload.cli import main
from transload.serialize import Component, Package, VectorSet, open_package

WEIGHT = np.arange(1, 401, dtype=np.float32).reshape(4, 100) / 400


@pytest.fixture
def transload() -> Callable[..., Result]:
    """Runs the command line in this process; arguments as they would be typed."""

    def command(*arguments: str | Path) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return command


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`y = x @ WEIGHT` over `x: float32[batch,4]`, its weights beside it."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 100])],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    path = tmp_path_factory.mktemp("source") / "scorer.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path, save_as_external_data=True, location="scorer.data", size_threshold=0)
    return path


@pytest.fixture(scope="session")
def package_file(onnx_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`onnx_file`, converted by the command line with full proof."""
    path = tmp_path_factory.mktemp("package") / "scorer.tload"
    result = CliRunner().invoke(main, ["convert", str(onnx_file), "-o", str(path)])
    assert result.exit_code == 0, result.output
    return path


@pytest.fixture
def lying_package(package_file: Path, tmp_path: Path) -> Path:
    """A package whose recorded outputs are not those of its graph."""
    package = open_package(package_file).to_package()
    (component,) = package.components
    vectors = tuple(
        VectorSet(item.inputs, {name: array + 1 for name, array in item.outputs.items()}) for item in component.vectors
    )
    changed = Component(component.name, component.interface, component.model, vectors)
    return Package("lying", (changed,)).save(tmp_path / "lying.tload")


@pytest.fixture(scope="session")
def weight() -> np.ndarray:
    """The weights of `onnx_file`."""
    return WEIGHT

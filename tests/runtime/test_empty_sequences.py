"""Models with recurrent layers refuse empty inputs, over which ONNX Runtime would end the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper
from packages import GATES, HIDDEN, recurrent_component, recurrent_model

from transload.runtime.empty_sequences import fails_on_empty
from transload.runtime.model import load
from transload.serialize import Package
from transload.serialize.errors import ExecutionError


def pack(operator: str, folder: Path) -> Path:
    return Package("m", (recurrent_component(operator),)).save(folder / "m.tload")


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("shape", [(0, 2, 3), (2, 0, 3)])
def test_an_empty_input_is_refused(operator: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    model = load(pack(operator, tmp_path))
    for _ in range(2):
        with pytest.raises(ExecutionError, match=r"'x' is empty.*end the process"):
            model(np.zeros(shape, np.float32))
    assert model(np.zeros((2, 1, 3), np.float32)).shape == (2, 1, 1, HIDDEN)


def test_other_models_take_empty_inputs() -> None:
    model = recurrent_model("GRU")
    assert fails_on_empty(model.SerializeToString())
    model.graph.node[0].op_type = "GRUU"
    model.graph.node[0].name = "GRU"
    assert not fails_on_empty(model.SerializeToString())


@pytest.mark.parametrize(("operator", "shape"), [("GRU", (0, 2, 3)), ("GRU", (2, 0, 3)), ("LSTM", (2, 0, 3))])
def test_onnx_runtime_ends_the_process(operator: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    # The reason for all this; where it is gone upstream, so may be the refusal.
    onnx.save(recurrent_model(operator), tmp_path / "m.onnx")
    code = f"import numpy, onnxruntime as o; o.InferenceSession('m.onnx').run(None, {{'x': numpy.zeros({shape}, 'f')}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode < 0
    assert "terminate called" in done.stderr


@pytest.mark.parametrize("operator", ["LSTM", "RNN"])
def test_onnx_runtime_forgets_the_initial_state_over_no_steps(operator: str) -> None:
    model = recurrent_model(operator)
    node = model.graph.node[0]
    node.input.extend(["", "", "h"])
    node.output.append("last")
    model.graph.input.append(helper.make_tensor_value_info("h", onnx.TensorProto.FLOAT, [1, "n", HIDDEN]))
    model.graph.output.append(helper.make_tensor_value_info("last", onnx.TensorProto.FLOAT, [1, "n", HIDDEN]))
    feed = {"x": np.zeros((0, 2, 3), np.float32), "h": np.ones((1, 2, HIDDEN), np.float32)}
    last = ort.InferenceSession(model.SerializeToString()).run(["last"], feed)[0]
    assert not last.any()

"""Each kind of source, the whole way: converted, proven, saved, verified, loaded, and equal to the framework."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

import transload as tl
from transload.convert.tensorflow.framework import tf
from transload.serialize import open_package

X = np.random.default_rng(11).standard_normal((7, 6)).astype(np.float32)
"""A batch of a size that no conversion has seen."""

SPEC = "x:float32[batch,6]"


class Net(torch.nn.Module):
    """Two layers; returns a dict."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.hidden = torch.nn.Linear(6, 40)
        self.scores = torch.nn.Linear(40, 3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = torch.tanh(self.hidden(x))
        return {"hidden": hidden, "scores": self.scores(hidden)}


def torch_answer() -> dict[str, np.ndarray]:
    with torch.no_grad():
        return {name: value.numpy() for name, value in Net()(torch.from_numpy(X)).items()}


def keras_net() -> keras.Model:
    keras.utils.set_random_seed(4)
    x = keras.Input((6,), name="x")
    return keras.Model(x, keras.layers.Dense(3)(keras.layers.Dense(40, activation="tanh")(x)))


@dataclass(frozen=True)
class Made:
    """A source in some form, the conversion's options, and the framework's own answer for `X`."""

    source: Any
    options: dict[str, Any]
    answer: Any


def scripted(folder: Path) -> Made:
    torch.jit.script(Net()).save(str(folder / "scripted.pt"))
    return Made(folder / "scripted.pt", {"inputs": [SPEC]}, torch_answer())


def traced(folder: Path) -> Made:
    torch.jit.trace(Net(), torch.zeros(2, 6), strict=False).save(str(folder / "traced.pt"))
    return Made(folder / "traced.pt", {"inputs": [SPEC]}, torch_answer())


def module(folder: Path) -> Made:
    return Made(Net(), {"inputs": [SPEC]}, torch_answer())


def exported() -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch")
    return torch.export.export(Net(), (torch.zeros(2, 6),), dynamic_shapes=({0: batch},))


def program(folder: Path) -> Made:
    return Made(exported(), {}, torch_answer())


def program_file(folder: Path) -> Made:
    torch.export.save(exported(), folder / "net.pt2")
    return Made(folder / "net.pt2", {}, torch_answer())


def saved_model(folder: Path) -> Made:
    net = keras_net()
    net.export(str(folder / "saved"), verbose=False)
    return Made(folder / "saved", {}, {"output_0": net(X, training=False).numpy()})


def keras_file(suffix: str) -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        net = keras_net()
        net.save(folder / f"net.{suffix}")
        return Made(folder / f"net.{suffix}", {}, net(X, training=False).numpy())

    return make


def graph_def(suffix: str) -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        weight = np.random.default_rng(2).standard_normal((6, 300)).astype(np.float32)
        with tf.Graph().as_default() as graph:
            x = tf.compat.v1.placeholder(tf.float32, [None, 6], name="x")
            tf.tanh(tf.matmul(x, weight), name="y")
        tf.io.write_graph(graph, str(folder), f"graph.{suffix}", as_text=suffix == "pbtxt")
        return Made(folder / f"graph.{suffix}", {}, {"y": np.tanh(X @ weight)})

    return make


def onnx_file(external: bool) -> Callable[[Path], Made]:
    def make(folder: Path) -> Made:
        path = folder / "net.onnx"
        torch.onnx.export(
            torch.nn.Sequential(torch.nn.Linear(6, 300), torch.nn.Tanh()),
            (torch.zeros(2, 6),),
            path,
            dynamo=False,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "batch"}},
            opset_version=18,
        )
        (answer,) = ort.InferenceSession(str(path)).run(None, {"x": X})
        if external:
            onnx.save(onnx.load(path), path, save_as_external_data=True, location="net.data", size_threshold=0)
        return Made(path, {}, {"y": answer})

    return make


SOURCES: dict[str, Callable[[Path], Made]] = {
    "scripted TorchScript": scripted,
    "traced TorchScript": traced,
    "nn.Module": module,
    "ExportedProgram": program,
    ".pt2": program_file,
    "SavedModel": saved_model,
    ".keras": keras_file("keras"),
    ".h5": keras_file("h5"),
    ".pb": graph_def("pb"),
    ".pbtxt": graph_def("pbtxt"),
    ".onnx": onnx_file(external=False),
    ".onnx with external data": onnx_file(external=True),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES.keys())
def test_a_source_of_this_kind_is_converted_proven_and_runs(make: Callable[[Path], Made], tmp_path: Path) -> None:
    made = make(tmp_path)
    path = tl.convert_model(made.source, **made.options).save(tmp_path / "m.tload")

    package = open_package(path, integrity="sha256")
    (component,) = package.component_names
    proof = package.interface(component).proof
    assert proof.level == "full"
    assert len(proof.cases) >= 8
    assert len(package.vectors(component)) == 2
    assert all(verification.passed for verification in tl.verify(path))

    found = tl.load(path)(x=X)
    if isinstance(made.answer, dict):
        assert list(found) == list(made.answer)
    else:
        found, made = {"output": found}, Made(made.source, {}, {"output": made.answer})
    for name, expected in made.answer.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-5)

    # And once more from the package itself: what is saved again is the same file.
    again = package.to_package().save(tmp_path / "again.tload")
    assert again.read_bytes() == path.read_bytes()

"""The same source gives the same bytes: in another process and folder, with another hash seed, threads, date."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
import torch
import transformers
from onnx import TensorProto, helper, numpy_helper

from transload.convert.detect import detect_source
from transload.convert.source import SourceKind
from transload.convert.tensorflow.framework import tf

SPEC = "x:float32[batch,6]"

Sources = dict[str, dict[str, Any]]
"""The options of each source by its name."""

CONVERT = """
import importlib, json, sys, time
real = time.time
time.time = lambda: real() + float(sys.argv[3])
import transload as tl
for name, (source, options) in json.loads(sys.argv[1]).items():
    if options.pop("in_memory", False):
        module, _, factory = source.partition(":")
        source = getattr(importlib.import_module(module), factory)()
    tl.convert_model(source, **options).save(f"{sys.argv[2]}/{name}.tload")
"""
"""A source of the form `module:factory` is what the factory makes, where the options say that it is in memory."""

IN_MEMORY = """
import numpy as np, torch
from transload.convert.tensorflow.framework import tf

def make_module():
    torch.manual_seed(1)
    return torch.nn.Linear(6, 300)

def make_function():
    weight = tf.constant(np.arange(1800, dtype=np.float32).reshape(6, 300))
    return tf.function(lambda x: {"b": x @ weight, "a": x}, input_signature=[tf.TensorSpec([None, 6], name="x")])

def make_tf_module():
    module = tf.Module()
    module.weight = tf.Variable(np.ones((6, 300), np.float32))
    module.serve = tf.function(lambda x: x @ module.weight, input_signature=[tf.TensorSpec([None, 6], name="x")])
    return module
"""


class Net(torch.nn.Module):
    """Wide enough for several threads, with a branch, and a dict whose order could get lost."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.hidden = torch.nn.Linear(6, 300)
        self.scores = torch.nn.Linear(300, 3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = torch.tanh(self.hidden(x))
        if hidden.sum() > 0:
            hidden = hidden * 2
        return {"scores": self.scores(hidden), "hidden": hidden}


def torch_sources(folder: Path) -> Sources:
    torch.jit.script(Net()).save(str(folder / "scripted.pt"))
    plain = torch.nn.Sequential(torch.nn.Linear(6, 300), torch.nn.Tanh())
    torch.jit.trace(plain, torch.zeros(2, 6)).save(str(folder / "traced.pt"))
    dims = {"dynamic_shapes": ({0: torch.export.Dim("batch")},)}
    torch.export.save(torch.export.export(plain, (torch.zeros(2, 6),), **dims), folder / "program.pt2")
    (folder / "factories.py").write_text(
        "import torch\ndef make():\n    torch.manual_seed(1)\n    return torch.nn.Linear(6, 300)\n"
    )
    return {
        "scripted.pt": {"inputs": [SPEC]},
        "traced.pt": {"inputs": ["input:float32[batch,6]"]},
        "program.pt2": {},
        "factories:make": {"inputs": ["input:float32[batch,6]"]},
    }


def transformers_sources(folder: Path) -> Sources:
    """An encoder, and a decoder whose package carries a cache from call to call."""
    torch.manual_seed(5)
    sizes = {"vocab_size": 20, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder = transformers.BertConfig(**sizes, intermediate_size=48, max_position_embeddings=16, num_labels=3)
    transformers.BertForSequenceClassification(encoder).eval().save_pretrained(folder / "encoder")
    decoder = transformers.LlamaConfig(**sizes, intermediate_size=48, max_position_embeddings=16)
    transformers.LlamaForCausalLM(decoder).eval().save_pretrained(folder / "decoder")
    return {"encoder": {}, "decoder": {}}


def tensorflow_sources(folder: Path) -> Sources:
    keras.utils.set_random_seed(4)
    x = keras.Input((6,), name="x")
    net = keras.Model(x, keras.layers.Dense(3)(keras.layers.Dense(300, activation="tanh")(x)))
    net.save(folder / "net.keras")
    net.save(folder / "net.h5")
    net.export(str(folder / "saved"), verbose=False)
    with tf.Graph().as_default() as graph:
        placeholder = tf.compat.v1.placeholder(tf.float32, [None, 6], name="x")
        tf.tanh(tf.matmul(placeholder, np.ones((6, 300), np.float32)), name="y")
    tf.io.write_graph(graph, str(folder), "graph.pb", as_text=False)
    (folder / "net.tflite").write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved")).convert())
    save_functions(folder)
    save_checkpoint(folder)
    names = "net.keras", "net.h5", "saved", "functions", "graph.pb", "net.tflite"
    return {**{name: {} for name in names}, "model.ckpt.meta": {"outputs": ["y"]}}


def save_functions(folder: Path) -> None:
    """Two functions without signatures over one weight; one has dicts, whose order a SavedModel does not keep."""
    module = tf.Module()
    module.weight = tf.Variable(np.arange(1800, dtype=np.float32).reshape(6, 300))

    @tf.function
    def encode(batch: Any) -> dict[str, Any]:
        code = tf.matmul(batch["z"], module.weight) + batch["a"]
        return {"z": code, "a": (code + 1.0, {"k": -code, "b": code * 2.0}), "m": code - 1.0}

    encode.get_concrete_function({"z": tf.TensorSpec([None, 6]), "a": tf.TensorSpec([300])})
    module.encode = encode
    module.decode = tf.function(
        lambda code: tf.matmul(code, module.weight, transpose_b=True), input_signature=[tf.TensorSpec([None, 300])]
    )
    tf.saved_model.save(module, str(folder / "functions"), signatures={})


def save_checkpoint(folder: Path) -> None:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, 6], name="x")
        weight = tf.compat.v1.get_variable("w", initializer=np.ones((6, 300), np.float32))
        tf.tanh(tf.matmul(x, weight), name="y")
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(folder / "model.ckpt"))


def onnx_sources(folder: Path) -> Sources:
    weight = np.random.default_rng(2).standard_normal((6, 300)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 300])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "inside.onnx")
    onnx.save(model, folder / "outside.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    return {"inside.onnx": {}, "outside.onnx": {}}


def sources_in_memory(folder: Path) -> Sources:
    (folder / "makers.py").write_text(IN_MEMORY)
    return {
        "makers:make_module": {"in_memory": True, "inputs": ["input:float32[batch,6]"]},
        "makers:make_function": {"in_memory": True},
        "makers:make_tf_module": {"in_memory": True},
    }


MAKERS = [torch_sources, transformers_sources, tensorflow_sources, onnx_sources, sources_in_memory]


def convert(folder: Path, sources: Sources, later_s: float, **environment: str) -> dict[str, bytes]:
    """Each package's bytes, converted in a process of its own; sources by name, with their options."""
    out = folder.with_name(folder.name + "-packages")
    out.mkdir()
    task: dict[str, Any] = {
        name.replace(":", "-"): (name if ":" in name else str(folder / name), options)
        for name, options in sources.items()
    }
    done = subprocess.run(
        [sys.executable, "-c", CONVERT, json.dumps(task), str(out), str(later_s)],
        env=os.environ | {"PYTHONPATH": str(folder)} | environment,
        capture_output=True,
        text=True,
        cwd=out,
    )
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("make", MAKERS)
def test_two_conversions_give_the_same_bytes(make: Callable[[Path], Sources], tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    sources = make(first)
    other = Path(shutil.copytree(first, tmp_path / "another folder, named otherwise"))
    one = convert(first, sources, 0, PYTHONHASHSEED="1", OMP_NUM_THREADS="1", TF_NUM_INTRAOP_THREADS="1", LC_ALL="C")
    two = convert(other, sources, 4e7, PYTHONHASHSEED="2", OMP_NUM_THREADS="2", TF_NUM_INTRAOP_THREADS="2", TZ="UTC+9")
    assert set(one) == {f"{name.replace(':', '-')}.tload" for name in sources}
    assert [name for name in one if one[name] != two[name]] == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_kind_of_source_is_among_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    kinds = set()
    for name, options in ((name, options) for make in MAKERS for name, options in make(tmp_path).items()):
        module, _, factory = name.partition(":")
        made = getattr(importlib.import_module(module), factory)() if options.get("in_memory") else None
        kinds.add(detect_source(made or (name if factory else tmp_path / name)).kind)
    assert kinds == set(SourceKind)

"""No false alarms: healthy models of several kinds pass over several seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from captures import ModuleReference, capture, check, graph, randn
from onnx import helper
from test_planted_faults import LastGru, gru_weights
from torch import nn

from transload.convert.capture import Array


def numpy_of(tensor: torch.Tensor) -> Array:
    array: Array = tensor.detach().numpy()
    return array


def mlp() -> tuple[nn.Module, onnx.ModelProto, dict[str, Array]]:
    module = nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 8), nn.Softmax(-1))
    weights = {
        "w1": numpy_of(module[0].weight),
        "b1": numpy_of(module[0].bias),
        "w2": numpy_of(module[2].weight),
        "b2": numpy_of(module[2].bias),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["a"], transB=1),
        helper.make_node("Gelu", ["a"], ["g"]),
        helper.make_node("Gemm", ["g", "w2", "b2"], ["c"], transB=1),
        helper.make_node("Softmax", ["c"], ["y"], axis=-1),
    ]
    model = graph(nodes, {"x": ("float32", ["batch", 16])}, {"y": "float32"}, weights, opset=20)
    return module, model, {"x": randn(2, 16)}


class ConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.norm.running_mean = torch.randn(8)
        self.norm.running_var = torch.rand(8) + 0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.max_pool2d(self.norm(self.conv(x)).relu(), 2)


def conv_norm() -> tuple[nn.Module, onnx.ModelProto, dict[str, Array]]:
    module = ConvNet()
    weights = {"k": numpy_of(module.conv.weight), "c": numpy_of(module.conv.bias)}
    norm = {
        "s": numpy_of(module.norm.weight),
        "b": numpy_of(module.norm.bias),
        "m": module.norm.running_mean.numpy(),
        "v": module.norm.running_var.numpy(),
    }
    nodes = [
        helper.make_node("Conv", ["x", "k", "c"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["conv", *norm], ["norm"], epsilon=1e-5),
        helper.make_node("Relu", ["norm"], ["relu"]),
        helper.make_node("MaxPool", ["relu"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    inputs = {"x": ("float32", ["batch", 3, "height", "width"])}
    return module, graph(nodes, inputs, {"y": "float32"}, weights | norm), {"x": randn(2, 3, 8, 10)}


def gru() -> tuple[nn.Module, onnx.ModelProto, dict[str, Array]]:
    module = LastGru()
    node = helper.make_node("GRU", ["x", "w", "r", "b"], ["y"], hidden_size=5, linear_before_reset=1)
    inputs = {"x": ("float32", ["time", "batch", 4])}
    return module, graph([node], inputs, {"y": "float32"}, gru_weights(module.gru)), {"x": randn(6, 2, 4)}


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 16)
        self.query = nn.Linear(16, 16, bias=False)

    def forward(self, tokens: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens)
        scores = self.query(x) @ x.transpose(1, 2) / 4.0
        scores = scores.masked_fill(attention_mask[:, None] == 0, float("-inf"))
        return nn.functional.layer_norm(scores.softmax(-1) @ x, (16,))


class AttentionReference(ModuleReference):
    """Without floating inputs, float64 has to come from the weights."""

    def run_float64(self, feed: Any) -> dict[str, Array]:
        self.module.to(torch.float64)
        with torch.no_grad():
            result = self.module(*(torch.from_numpy(array) for array in feed.values()))
        return {self.outputs[0]: result.numpy()}


def attention() -> tuple[nn.Module, onnx.ModelProto, dict[str, Array]]:
    module = Attention()
    weights = {
        "table": numpy_of(module.table.weight),
        "q": numpy_of(module.query.weight.T.contiguous()),
        "four": np.float32(4),
        "zero": np.array(0),
        "one": np.array([1]),
        "hidden": np.float32(-np.inf),
        "scale": np.ones(16, np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["e"]),
        helper.make_node("MatMul", ["e", "q"], ["eq"]),
        helper.make_node("Transpose", ["e"], ["et"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["eq", "et"], ["raw"]),
        helper.make_node("Div", ["raw", "four"], ["scores"]),
        helper.make_node("Unsqueeze", ["attention_mask", "one"], ["mask3"]),
        helper.make_node("Equal", ["mask3", "zero"], ["off"]),
        helper.make_node("Where", ["off", "hidden", "scores"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "e"], ["o"]),
        helper.make_node("LayerNormalization", ["o", "scale"], ["y"], epsilon=1e-5),
    ]
    inputs = {"tokens": ("int64", ["batch", "seq"]), "attention_mask": ("int64", ["batch", "seq"])}
    example = {"tokens": np.arange(14).reshape(2, 7), "attention_mask": np.ones((2, 7), np.int64)}
    return module, graph(nodes, inputs, {"y": "float32"}, weights), example


MODELS: dict[str, Callable[[], tuple[nn.Module, onnx.ModelProto, dict[str, Array]]]] = {
    "mlp": mlp,
    "conv_norm": conv_norm,
    "gru": gru,
    "attention": attention,
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", MODELS)
def test_a_healthy_model_raises_no_alarm(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    module, model, example = MODELS[name]()
    kind = AttentionReference if name == "attention" else ModuleReference
    made = capture(model, kind(module.eval(), ["y"]), example)
    evidence = check(made, model, seed=seed)
    declared = {dim for tensor in made.inputs.values() for dim in tensor.shape if isinstance(dim, str)}  # type: ignore[union-attr]
    assert evidence.dynamic == declared
    # A pool of 2 takes no height of 1, and ONNX Runtime has its own way with NaN.
    undefined = {case.name for case in evidence.proof.cases if case.result == "undefined"}
    assert undefined <= {"not finite", "height=1", "width=1"}
    assert len(evidence.vectors) == 2


@pytest.mark.parametrize("name", ["mlp", "conv_norm", "attention"])
def test_a_healthy_model_without_float64_raises_no_alarm(name: str) -> None:
    torch.manual_seed(0)
    module, model, example = MODELS[name]()
    made = capture(model, ModuleReference(module.eval(), ["y"], has_float64=False), example)
    assert check(made, model).proof.level == "full"

"""Quantized modules as QuantizeLinear and DequantizeLinear: a layer is at most one step off, on one in a thousand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from script_check import op_types, script, tensors, trace
from torch import Tensor, nn

from transload.convert.passes import run_passes
from transload.convert.torch.script import translate
from transload.serialize.errors import UnsupportedError

pytestmark = pytest.mark.filterwarnings("ignore")


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant, self.dequant = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
        self.first, self.relu = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()
        self.second, self.last = nn.Conv2d(8, 8, 3, groups=2), nn.Linear(8 * 9, 5)
        self.adds = nn.quantized.FloatFunctional()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.first(self.quant(x)))
        y = self.adds.add(y, y)
        y = torch.nn.functional.max_pool2d(self.relu(self.second(y)), 2)
        return self.dequant(self.last(y.flatten(1)))


def quantized() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    torch.backends.quantized.engine = "fbgemm"
    module, x = Small().eval(), torch.randn(64, 3, 8, 8)
    module.qconfig = torch.ao.quantization.get_default_qconfig("fbgemm")
    torch.ao.quantization.fuse_modules(module, [["first", "relu"]], inplace=True)
    torch.ao.quantization.prepare(module, inplace=True)
    module(x)
    return torch.ao.quantization.convert(module), x


def run(module: Any, x: Tensor) -> tuple[ir.Model, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    name = module.forward.schema.arguments[1].name
    translation = translate(module, {name: x}, dynamic_axes={name: {0: "batch"}}, opset=20)
    model = run_passes(translation.model).model
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    [want] = tensors(module(x))
    return model, session.run(None, {name: x.numpy()})[0], want.detach().numpy()


class FirstLayer(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module.first(self.module.quant(x)).dequantize()


def test_a_layer_is_at_most_a_step_off_on_one_element_in_a_thousand() -> None:
    module, x = quantized()
    _, ours, theirs = run(trace(FirstLayer(module), x), x)
    steps = np.abs(ours - theirs) / float(module.first.scale)
    assert steps.max() < 1.01
    assert (steps > 0.5).mean() <= 0.001


@pytest.mark.parametrize("make", [script, lambda module: trace(module, torch.randn(2, 3, 8, 8))])
def test_layers_behind_each_other_stay_within_a_step(make: Any) -> None:
    module, x = quantized()
    model, ours, theirs = run(make(module), x)
    assert (np.abs(ours - theirs) / float(module.last.scale)).max() < 1.01
    assert {"QuantizeLinear", "DequantizeLinear", "Conv"} <= set(op_types(model))


def test_the_runtime_makes_integer_kernels_of_the_layers(tmp_path: Path) -> None:
    module, x = quantized()
    model, _, _ = run(script(module), x)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    operators = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert operators.count("QLinearConv") == 2
    assert {"QLinearAdd", "QGemm"} <= set(operators)


def test_weights_stay_integers() -> None:
    module, x = quantized()
    model, _, _ = run(script(module), x)
    weights = [value for value in model.graph.initializers.values() if value.const_value.size > 64]
    assert weights and all(value.dtype == ir.DataType.INT8 for value in weights)


def test_a_linear_layer_that_quantizes_its_input_by_its_range_agrees() -> None:
    torch.manual_seed(0)
    torch.backends.quantized.engine = "fbgemm"
    module = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(16, 8)), {nn.Linear})
    _, ours, theirs = run(script(module), torch.randn(10, 16))
    np.testing.assert_allclose(ours, theirs, atol=2e-2)
    assert np.median(np.abs(ours - theirs)) < 1e-5


def test_tensors_are_quantized_and_back() -> None:
    def program(x: Tensor) -> Tensor:
        y = torch.quantize_per_tensor(x, 0.1, 10, torch.quint8)
        return torch.relu(y.reshape(2, -1).t()).dequantize()

    _, ours, theirs = run(script(program), torch.randn(4, 6))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_an_operator_that_does_not_keep_the_scale_is_refused() -> None:
    def program(x: Tensor) -> Tensor:
        return torch.sigmoid(torch.quantize_per_tensor(x, 0.1, 10, torch.quint8)).dequantize()

    with pytest.raises(UnsupportedError, match="quantized"):
        run(script(program), torch.randn(4, 6))

"""Quantized modules as QuantizeLinear and DequantizeLinear: the integers are those of torch's kernels."""

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


def test_a_layer_gives_the_same_integers() -> None:
    module, x = quantized()
    _, ours, theirs = run(trace(FirstLayer(module), x), x)
    assert np.unique(theirs).size > 50
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("make", [script, lambda module: trace(module, torch.randn(2, 3, 8, 8))])
def test_layers_behind_each_other_give_the_same_integers(make: Any) -> None:
    module, x = quantized()
    model, ours, theirs = run(make(module), x)
    np.testing.assert_array_equal(ours, theirs)
    assert {"QuantizeLinear", "DequantizeLinear", "Conv"} <= set(op_types(model))


def test_the_runtime_makes_integer_kernels_of_linear_layers_and_sums(tmp_path: Path) -> None:
    module, x = quantized()
    model, _, _ = run(script(module), x)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    operators = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert {"QLinearAdd", "QGemm"} <= set(operators)


def test_weights_stay_integers() -> None:
    module, x = quantized()
    model, _, _ = run(script(module), x)
    weights = [value for value in model.graph.initializers.values() if value.const_value.size > 64]
    assert weights and all(value.dtype == ir.DataType.INT8 for value in weights)


def dynamic_layer() -> nn.Module:
    torch.manual_seed(0)
    torch.backends.quantized.engine = "fbgemm"
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(8, 4)), {nn.Linear})


@pytest.mark.parametrize("step", [0.25, 0.1, 0.013, 1e-7])
def test_a_linear_layer_quantizes_its_input_by_its_range_with_torch_s_ties(step: float) -> None:
    # Multiples of a step meet ties in the zero point and in the integers; the last step is below the smallest scale.
    module = dynamic_layer()
    numbers = torch.Generator().manual_seed(0)
    for _ in range(40):
        x = torch.randint(-20, 21, (1, 8), generator=numbers).float() * step
        _, ours, theirs = run(script(module), x)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_a_linear_layer_over_nothing_but_zeros_gives_its_bias() -> None:
    _, ours, theirs = run(script(dynamic_layer()), torch.zeros(1, 8))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("scale", "zero_point"), [(0.1, 10), (0.1, 11), (0.013, 0), (0.37, 77)])
@pytest.mark.parametrize("dtype", [torch.quint8, torch.qint8])
def test_ties_go_to_what_is_even_with_the_zero_point(scale: float, zero_point: int, dtype: torch.dtype) -> None:
    def program(x: Tensor) -> Tensor:
        return torch.quantize_per_tensor(x, scale, zero_point, dtype).int_repr()

    x = (torch.arange(-400, 400).double() / 2 * float(np.float32(scale))).float()
    _, ours, theirs = run(trace(program, x), x)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("zero_point", [64, 65])
@pytest.mark.parametrize("name", ["adaptive", "pool", "mean", "clamp"])
def test_averages_of_integers_are_torch_s(name: str, zero_point: int) -> None:
    programs: dict[str, Any] = {
        "adaptive": lambda q: torch.nn.functional.adaptive_avg_pool2d(q, 2),
        "pool": lambda q: torch.nn.functional.avg_pool2d(q, 2),
        "mean": lambda q: q.mean([2, 3]),
        "clamp": lambda q: torch.nn.functional.hardtanh(q, 0.0, 1.5),
    }
    torch.backends.quantized.engine = "fbgemm"
    torch.manual_seed(0)

    def program(x: Tensor) -> Tensor:
        return programs[name](torch.quantize_per_tensor(x, 0.037, zero_point, torch.quint8)).dequantize()

    x = torch.randn(20, 3, 8, 8)
    _, ours, theirs = run(trace(program, x), x)
    np.testing.assert_array_equal(ours, theirs)


def test_recurrent_layers_are_refused() -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.LSTM(4, 3)), {nn.LSTM})

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x)[0]

    with pytest.raises(UnsupportedError, match="recurrent layers that quantize"):
        run(trace(Layer(), torch.randn(2, 5, 4)), torch.randn(2, 5, 4))


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

"""Modules in other number formats than float32, and with what training leaves behind: proven, stored and run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

import transload as tl
from transload.convert.torch import quantized_kernels
from transload.serialize.interface import input_tensors

pytestmark = pytest.mark.filterwarnings("ignore")


def perceptron() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 4), nn.Softmax(-1)).eval()


def convolution() -> nn.Sequential:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(32, 5)).eval()


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.LSTM(8, 6, batch_first=True, bidirectional=True)
        self.last = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layer(x)[0])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(20, 16)
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)

    def forward(self, ids: Tensor) -> Tensor:
        return self.layer(self.table(ids))


MODULES: dict[str, Any] = {
    "perceptron": (perceptron, lambda: torch.randn(2, 8)),
    "convolution": (convolution, lambda: torch.randn(2, 3, 8, 8)),
    "recurrent": (Recurrent, lambda: torch.randn(2, 5, 8)),
    "attention": (Attention, lambda: torch.randint(0, 20, (2, 5))),
}


def run_saved(package: Any, x: Tensor, folder: Path) -> Any:
    package.save(folder / "m.tload")
    return torch.as_tensor(np.asarray(tl.load(folder / "m.tload")(x)).astype(np.float32))


CASES = [(name, dtype) for name in sorted(MODULES) for dtype in (torch.float16, torch.bfloat16)]


@pytest.mark.parametrize(("name", "dtype"), [*CASES, ("convolution", torch.float64)])
def test_modules_in_other_floats_are_proven_and_keep_their_weights_narrow(
    name: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    make, example = MODULES[name]
    module, x = make().eval().to(dtype), example()
    x = x.to(dtype) if x.is_floating_point() else x
    package = tl.convert_model(module, (x,), proof="quick")
    [component] = package.components
    word = str(dtype).removeprefix("torch.")
    assert {tensor.dtype for tensor in input_tensors(component.interface)} == {
        word if x.is_floating_point() else "int64"
    }
    again = x.flip(0)
    expected = module(again).detach()
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(
        run_saved(package, again, tmp_path), expected.float(), rtol=max(8 * eps, 1e-6), atol=max(8 * eps, 1e-6)
    )
    size = (tmp_path / "m.tload").stat().st_size
    weights = sum(parameter.numel() for parameter in module.parameters()) * dtype.itemsize
    assert size < weights + 60_000


@pytest.mark.parametrize(("name", "operator"), [("recurrent", "LSTM"), ("perceptron", "Erf")])
def test_what_onnx_runtime_cannot_compute_in_float64_is_refused_by_name(name: str, operator: str) -> None:
    make, example = MODULES[name]
    with pytest.raises(tl.TransloadError, match=operator):
        tl.convert_model(make().eval().double(), (example().double(),), proof="quick")


def quantized_by_range() -> tuple[nn.Module, Tensor]:
    return torch.ao.quantization.quantize_dynamic(perceptron(), {nn.Linear}), torch.randn(3, 8)


def quantized_ahead() -> tuple[nn.Module, Tensor]:
    class Layers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
            self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 5))

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.layers(self.first(x)))

    torch.manual_seed(0)
    module = Layers().eval()
    module.qconfig = torch.ao.quantization.get_default_qconfig("fbgemm")
    torch.ao.quantization.prepare(module, inplace=True)
    module(torch.randn(8, 3, 8, 8))
    return torch.ao.quantization.convert(module), torch.randn(2, 3, 8, 8)


def quantized_graph() -> tuple[nn.Module, Tensor]:
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    example = (torch.randn(2, 3, 8, 8),)
    module = nn.Sequential(*convolution()[:3], nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 5)).eval()
    prepared = prepare_fx(module, torch.ao.quantization.get_default_qconfig_mapping("fbgemm"), example)
    prepared(torch.randn(8, 3, 8, 8))
    return convert_fx(prepared), torch.randn(2, 3, 8, 8)


@pytest.mark.parametrize("make", [quantized_by_range, quantized_ahead, quantized_graph])
def test_int8_modules_give_torch_s_own_integers(make: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, x = make()
    if not quantized_kernels.adds_exactly() and make is not quantized_by_range:
        # Nothing is left but to say so: the module itself gives other answers here.
        with pytest.raises(tl.MismatchError, match="VNNI"):
            tl.convert_model(module, (x,))
        return
    package = tl.convert_model(module, (x,))
    other = torch.randn(64, *x.shape[1:])
    torch.testing.assert_close(run_saved(package, other, tmp_path), module(other), rtol=1e-5, atol=1e-6)


def test_a_mismatch_of_int8_modules_names_the_processor_that_causes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(weight: Any) -> ir.Model:
        value = ir.Value(name="w", const_value=ir.tensor(weight))
        return ir.Model(ir.Graph([], [], nodes=[], initializers=[value], opset_imports={"": 18}), ir_version=10)

    quantized, plain = make(np.zeros((2, 2), np.int8)), make(np.zeros((2, 2), np.float32))
    for exact, expected in ((True, ""), (False, quantized_kernels.SATURATION)):
        monkeypatch.setattr(quantized_kernels, "adds_exactly", lambda exact=exact: exact)
        assert quantized_kernels.find_doubt(quantized) == expected
        assert quantized_kernels.find_doubt(plain) == ""


def normalized(weight: Any, spectral: Any) -> nn.Module:
    module = perceptron()
    module[0], module[3] = weight(module[0]), spectral(module[3])
    return module.eval()


LEFTOVERS: dict[str, Any] = {
    "lazy": (lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(3)), (2, 3, 8, 8)),
    "parametrizations": (
        lambda: normalized(nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm),
        (2, 8),
    ),
    "hooks": (lambda: normalized(nn.utils.weight_norm, nn.utils.spectral_norm), (2, 8)),
    "training mode": (lambda: nn.Sequential(nn.Linear(8, 4), nn.Dropout(0.5), nn.BatchNorm1d(4)).train(), (2, 8)),
}


@pytest.mark.parametrize("name", sorted(LEFTOVERS))
def test_what_training_leaves_behind_does_not_change_the_answer(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    make, shape = LEFTOVERS[name]
    module = make()
    was_training = module.training
    package = tl.convert_model(module, (torch.randn(shape),), proof="quick")
    assert module.training == was_training
    x = torch.randn(shape)
    result = run_saved(package, x, tmp_path)
    torch.testing.assert_close(result, module.eval()(x), rtol=1e-5, atol=1e-6)

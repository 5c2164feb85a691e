"""The models that the benchmarks convert, random weights, and the files in which they are handed to a converter."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def small_cnn():  # type: ignore[no-untyped-def]
    """A convolutional network of 5 MB as an nn.Module."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[nn.Module] = []
    channels = (3, 32, 64, 128, 128, 256, 256)
    for inner, outer in itertools.pairwise(channels):
        layers += [nn.Conv2d(inner, outer, 3, stride=2, padding=1), nn.BatchNorm2d(outer), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10)).eval()


def bert_base():  # type: ignore[no-untyped-def]
    """BERT-base, 440 MB, as an nn.Module that takes token ids and mask."""
    import torch
    from transformers import BertConfig, BertModel

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = BertModel(BertConfig(), add_pooling_layer=False)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            return output

    torch.manual_seed(0)
    return Encoder().eval()


def wide_mlp():  # type: ignore[no-untyped-def]
    """Sixteen square linear layers of 64 MiB each, 1.07 GB, as an nn.Module."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(16):
        layers += [nn.Linear(4096, 4096), nn.Tanh()]
    return nn.Sequential(*layers).eval()


def make_minilm(path: Path) -> None:
    """The demo's sentence-embedding model, 91 MB, traced."""
    import subprocess
    import sys

    script = Path(__file__).resolve().parents[1] / "samples" / "sentence_embedding" / "make_torchscript.py"
    subprocess.run([sys.executable, str(script), str(path)], check=True)


def make_bert(path: Path) -> None:
    """BERT-base, traced."""
    import torch

    example = torch.ones(2, 16, dtype=torch.int64)
    with torch.no_grad():
        torch.jit.trace(bert_base(), (example, example), check_trace=False).save(str(path))


def make_wide_mlp(path: Path) -> None:
    """The 1 GB network, traced."""
    import torch

    torch.jit.trace(wide_mlp(), torch.zeros(2, 4096)).save(str(path))


def make_mobilenet(path: Path) -> None:
    """keras.applications.MobileNetV2, 14 MB, as a SavedModel."""
    import keras

    keras.applications.MobileNetV2(weights=None).export(str(path), verbose=False)


@dataclass(frozen=True)
class Benchmark:
    """One model and how its source is called: a file made by `make`, or a factory's dotted name."""

    title: str
    kind: str
    source: str
    inputs: tuple[str, ...] = ()
    make: Callable[[Path], None] | None = None


TOKENS = ("input_ids:int64[batch,seq]", "attention_mask:int64[batch,seq]")

BENCHMARKS = (
    Benchmark("CNN, 5 MB", "torch-module", "models:small_cnn", ("input:float32[batch,3,64,64]",)),
    Benchmark("MobileNetV2, 14 MB", "saved-model", "mobilenet", make=make_mobilenet),
    Benchmark("MiniLM, 91 MB", "torchscript", "minilm.pt", TOKENS, make_minilm),
    Benchmark("BERT-base, 440 MB", "torch-module", "models:bert_base", TOKENS),
    Benchmark("BERT-base, 440 MB", "torchscript", "bert.pt", TOKENS, make_bert),
    Benchmark("MLP, 1.1 GB", "torch-module", "models:wide_mlp", ("input:float32[batch,4096]",)),
    Benchmark("MLP, 1.1 GB", "torchscript", "mlp.pt", ("input:float32[batch,4096]",), make_wide_mlp),
)

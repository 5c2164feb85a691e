"""The twelve models whose latency is measured, random weights, and the inputs that they take at a batch size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = dict[str, Any]


def images(size: int, name: str = "x") -> Callable[[int], Arrays]:
    """Pictures as torch takes them."""
    return lambda batch: {name: np.random.default_rng(0).standard_normal((batch, 3, size, size)).astype(np.float32)}


def tokens(length: int, *names: str) -> Callable[[int], Arrays]:
    """Token ids; a second name is a mask that hides nothing."""

    def make(batch: int) -> Arrays:
        ids = np.random.default_rng(0).integers(1, 1000, (batch, length))
        return dict(zip(names, (ids, np.ones_like(ids)), strict=False))

    return make


def channels_last(size: int) -> Callable[[int], Arrays]:
    """Pictures as TensorFlow takes them."""
    return lambda batch: {"x": np.random.default_rng(0).standard_normal((batch, size, size, 3)).astype(np.float32)}


def vectors(length: int, width: int) -> Callable[[int], Arrays]:
    """Sequences of vectors."""
    return lambda batch: {"x": np.random.default_rng(0).standard_normal((batch, length, width)).astype(np.float32)}


LIBRARIES: list[Any] = []
"""Operators vanish when the library that defined them is collected."""


def define_torchvision_operators() -> None:
    """timm and transformers import torchvision, whose wheel is for another build of torch and lacks its own operators.

    It asks for these two when it is imported; no model here uses them.
    """
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    LIBRARIES.append(library)


def timm_model(name: str) -> Any:
    """A model of timm without its weights."""
    import torch

    define_torchvision_operators()
    import timm

    torch.manual_seed(0)
    return timm.create_model(name, pretrained=False).eval()


def first_output(model: Any) -> Any:
    """A transformers model whose forward gives the first tensor only."""
    import torch

    class First(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask)[0]
            return result

    return First().eval()


def bert() -> Any:
    """BERT-base."""
    import torch

    define_torchvision_operators()
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    return first_output(BertModel(BertConfig(), add_pooling_layer=False))


def gpt2() -> Any:
    """GPT-2 without its cache."""
    import torch

    define_torchvision_operators()
    from transformers import GPT2Config, GPT2Model

    torch.manual_seed(0)
    return first_output(GPT2Model(GPT2Config(use_cache=False)))


def t5_encoder() -> Any:
    """T5-small's encoder."""
    import torch

    define_torchvision_operators()
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(0)
    config = T5Config(d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_heads=8, vocab_size=32128, use_cache=False)
    return first_output(T5EncoderModel(config))


def bi_lstm() -> Any:
    """Two bidirectional LSTM layers of 256 units."""
    import torch

    class Tagger(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(128, 256, num_layers=2, bidirectional=True, batch_first=True)
            self.head = torch.nn.Linear(512, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.head(self.lstm(x)[0])
            return result

    torch.manual_seed(0)
    return Tagger().eval()


def keras_mobilenet() -> Any:
    """keras.applications' MobileNetV2."""
    import keras

    keras.utils.set_random_seed(0)
    return keras.applications.MobileNetV2(weights=None, input_tensor=keras.Input((224, 224, 3), name="x"))


def keras_transformer() -> Any:
    """Four encoder blocks of width 256 with eight heads."""
    import keras

    keras.utils.set_random_seed(0)
    x = start = keras.Input((64, 256), name="x")
    for _ in range(4):
        y = keras.layers.MultiHeadAttention(8, 32)(x, x)
        x = keras.layers.LayerNormalization()(keras.layers.Add()([x, y]))
        y = keras.layers.Dense(256)(keras.layers.Dense(1024, activation="gelu")(x))
        x = keras.layers.LayerNormalization()(keras.layers.Add()([x, y]))
    return keras.Model(start, x)


@dataclass(frozen=True)
class Entry:
    """A model: how it is made, the framework it belongs to, its inputs by batch size, and their description."""

    name: str
    framework: str
    make: Callable[[], Any]
    inputs: Callable[[int], Arrays]
    described: tuple[str, ...] = ()


IMAGE = ("x:float32[batch,3,224,224]",)
TEXT = ("input_ids:int64[batch,{0}]", "attention_mask:int64[batch,{0}]")


def text(length: int) -> tuple[str, ...]:
    """The description of token ids and mask."""
    return tuple(item.format(length) for item in TEXT)


ZOO = (
    Entry("resnet50", "torch", lambda: timm_model("resnet50"), images(224), IMAGE),
    Entry("mobilenet_v3", "torch", lambda: timm_model("mobilenetv3_large_100"), images(224), IMAGE),
    Entry("efficientnet_b0", "torch", lambda: timm_model("efficientnet_b0"), images(224), IMAGE),
    Entry("convnext_tiny", "torch", lambda: timm_model("convnext_tiny"), images(224), IMAGE),
    Entry("vit_small", "torch", lambda: timm_model("vit_small_patch16_224"), images(224), IMAGE),
    Entry("swin_t", "torch", lambda: timm_model("swin_tiny_patch4_window7_224"), images(224), IMAGE),
    Entry("bert_base_128", "torch", bert, tokens(128, "input_ids", "attention_mask"), text(128)),
    Entry("gpt2_64", "torch", gpt2, tokens(64, "input_ids", "attention_mask"), text(64)),
    Entry("t5_encoder", "torch", t5_encoder, tokens(64, "input_ids", "attention_mask"), text(64)),
    Entry("bi_lstm", "torch", bi_lstm, vectors(32, 128), ("x:float32[batch,32,128]",)),
    Entry("keras_mobilenet_v2", "tensorflow", keras_mobilenet, channels_last(224)),
    Entry("keras_transformer", "tensorflow", keras_transformer, vectors(64, 256)),
)


def entry(name: str) -> Entry:
    """The model with this name."""
    return next(each for each in ZOO if each.name == name)

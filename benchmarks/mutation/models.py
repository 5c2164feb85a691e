"""The small models in whose graphs faults are planted: one for each family of operators, with dynamic sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from transload.convert.capture import Array, Capture
from transload.convert.options import ConvertOptions, parse_input_spec
from transload.convert.passes import run_passes
from transload.convert.pipeline import capture_source
from transload.convert.source import Source, SourceKind


@dataclass(frozen=True)
class Model:
    """A module or `tf.function`, what it takes, and the sizes of named dimensions."""

    name: str
    make: Callable[[], Any]
    inputs: tuple[str, ...]
    kind: SourceKind = SourceKind.TORCHSCRIPT
    example: Mapping[str, Array] | None = None

    def options(self, seed: int = 0) -> ConvertOptions:
        """Every dimension with a name is asked for as dynamic."""
        specs = tuple(parse_input_spec(text) for text in self.inputs)
        return ConvertOptions(inputs=specs, example=self.example, seed=seed)

    def capture(self) -> Capture:
        """The graph as a conversion would check it, after the passes."""
        torch.manual_seed(0)
        value = self.make()
        if self.kind is SourceKind.TORCHSCRIPT:
            # In memory, so that the capture keeps the file: it is read again for the source in float64.
            value = torch.jit.script(value.eval())
        (made,) = capture_source(Source(self.kind, None, value), self.options())
        run_passes(made.model, frozenset(state.input.name for state in made.state))
        return made


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(self.second(F.relu(self.first(x))), dim=-1)


class ConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.norm.running_mean = torch.randn(4)
        self.norm.running_var = torch.rand(4) + 0.5

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm(self.conv(F.pad(x, [1, 0, 0, 1])))), 2)
        return x.mean([2, 3])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        scores = torch.matmul(q, k.transpose(1, 2)) / 2.8
        scores = scores.masked_fill(mask.unsqueeze(1) == 0, -1e9)
        return x + F.gelu(self.out(torch.matmul(F.softmax(scores, dim=-1), v)))


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.out = nn.Embedding(40, 6), nn.Embedding(64, 6), nn.Linear(6, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.cumsum(torch.ones_like(tokens), dim=1) - 1
        return self.out(torch.tanh(self.words(tokens) + self.places(places)))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.LSTM | nn.GRU]) -> None:
        super().__init__()
        self.cell = kind(4, 5, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.cell(x)[0]
        return output


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x * 2.0 + 1.0 if bool(x.sum() > 1.5) else x.abs() - 0.5
        for row in range(x.shape[0]):
            x = torch.sin(x) + row
        return x


class Rounding(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return torch.floor(x * 3.0), torch.round(x / 0.1) * 0.1, torch.ceil(x - 0.25)


class Choosing(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        both = (x > y) & (x > 0.1)
        return torch.where(both | (y < -1.0), x - y, y * 0.5), torch.logical_not(x >= y)


class Ranking(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values, places = torch.topk(x, 3, dim=1)
        return values, places, torch.argmax(x, dim=1)


class Resizing(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        padded = F.pad(x, [1, 2, 2, 1], mode="reflect")
        return F.interpolate(padded, scale_factor=2.0, mode="bilinear", align_corners=False), padded


class Cutting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        first, second = x[:, 1:4], x[:, -4:-1]
        parts = torch.split(x, [2, 4], dim=1)
        return torch.cat([second, first * 2.0, parts[1], parts[0]], dim=1)


class Reducing(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return x.mean(1), x.amax(2), x.amin(1, keepdim=True), torch.logsumexp(x, 2) + x.sum(2)


class Scattering(nn.Module):
    def forward(self, x: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        base = torch.zeros(5, 4).index_add(0, index, x)
        return base, torch.gather(x, 0, torch.flip(torch.argsort(x, 0), [0]))


class Integers(nn.Module):
    def forward(self, n: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return torch.div(n, 3, rounding_mode="floor"), torch.remainder(n, 5), torch.clamp(n * 2 - 1, -20, 30)


class Losses(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return F.log_softmax(x, dim=1), F.cosine_similarity(x, y, dim=1)


class Pooling(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        inner = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        return inner, F.max_pool2d(x, 3, stride=1, padding=1)


class Norms(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.group, self.instance = nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True)
        self.scale = nn.Parameter(torch.randn(5))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rms = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.scale
        return self.group(x), self.instance(x), rms


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(3))
        self.total: Tensor

    def forward(self, x: Tensor) -> Tensor:
        self.total = self.total * 0.9 + x.sum(0)
        return x - self.total


class Causal(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        scores = torch.matmul(x, x.transpose(1, 2))
        size = x.size(1)
        mask = torch.tril(torch.ones(size, size))
        return torch.matmul(F.softmax(scores.masked_fill(mask == 0, float("-inf")), -1), x)


class Shaping(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(x.size(0), 2, -1).permute(0, 2, 1)
        return rows + torch.arange(x.size(0)).to(x.dtype).reshape(-1, 1, 1).expand(-1, rows.size(1), 1)


class Products(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return torch.einsum("bij,kj->bik", x, self.weight), torch.baddbmm(x, x, y, beta=0.5, alpha=2.0)


class Activations(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return F.leaky_relu(x, 0.2), F.elu(x, 1.5), F.hardtanh(x, -1.5, 2.0), F.softplus(x) * torch.sigmoid(x)


def _tf_dense() -> Any:
    from transload.convert.tensorflow.framework import tf

    rng = np.random.default_rng(0)
    weight = tf.Variable(rng.standard_normal((6, 4)).astype(np.float32))
    bias = tf.constant(rng.standard_normal(4).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def dense(x: Any) -> Any:
        return tf.nn.softmax(tf.nn.elu(tf.matmul(x, weight) + bias))

    return dense


def _tf_image() -> Any:
    from transload.convert.tensorflow.framework import tf

    kernel = tf.constant(np.random.default_rng(0).standard_normal((3, 3, 2, 4)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 7, 2], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def image(x: Any) -> Any:
        y = tf.nn.relu(tf.nn.conv2d(x, kernel, strides=2, padding="SAME"))
        return tf.reduce_mean(tf.nn.max_pool2d(y, 2, 1, "SAME"), axis=[1, 2])

    return image


IMAGE = "x:float32[batch,2,height,width]"

MODELS: tuple[Model, ...] = (
    Model("mlp", Mlp, ("x:float32[batch,6]",)),
    Model(
        "convnet",
        ConvNet,
        (IMAGE,),
        example={"x": np.random.default_rng(1).standard_normal((2, 2, 8, 7)).astype(np.float32)},
    ),
    Model("attention", Attention, ("x:float32[batch,seq,8]", "mask:int64[batch,seq]")),
    Model("tagger", Tagger, ("tokens:int64[batch,seq]",)),
    Model("gru", lambda: Recurrent(nn.GRU), ("x:float32[batch,seq,4]",)),
    Model("lstm", lambda: Recurrent(nn.LSTM), ("x:float32[batch,seq,4]",)),
    Model("branching", Branching, ("x:float32[batch,3]",)),
    Model("rounding", Rounding, ("x:float32[batch,5]",)),
    Model("choosing", Choosing, ("x:float32[batch,4]", "y:float32[batch,4]")),
    Model("ranking", Ranking, ("x:float32[batch,6]",)),
    Model("resizing", Resizing, ("x:float32[batch,2,5,6]",)),
    Model("cutting", Cutting, ("x:float32[batch,6]",)),
    Model("reducing", Reducing, ("x:float32[batch,3,4]",)),
    Model(
        "scattering",
        Scattering,
        ("x:float32[rows,4]", "index:int64[rows]"),
        example={
            "x": np.random.default_rng(1).standard_normal((6, 4)).astype(np.float32),
            "index": np.array([0, 4, 2, 2, 1, 3]),
        },
    ),
    Model("integers", Integers, ("n:int64[batch,4]",)),
    Model("losses", Losses, ("x:float32[batch,5]", "y:float32[batch,5]")),
    Model("pooling", Pooling, ("x:float32[batch,2,7,6]",)),
    Model("norms", Norms, ("x:float32[batch,4,3,5]",)),
    Model("counting", Counting, ("x:float32[batch,3]",)),
    Model("causal", Causal, ("x:float32[batch,seq,3]",)),
    Model("shaping", Shaping, ("x:float32[batch,6]",)),
    Model("products", Products, ("x:float32[batch,4,4]", "y:float32[batch,4,4]")),
    Model("activations", Activations, ("x:float32[batch,6]",)),
    Model("tf-dense", _tf_dense, (), SourceKind.TF_FUNCTION),
    Model("tf-image", _tf_image, (), SourceKind.TF_FUNCTION),
)
"""The example is made up from the descriptions except where that does not do."""

"""The models in whose graphs single nodes are spoiled: files of both frameworks, each with named dimensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from benchmarks.mutation.models import Attention, Choosing

# Before Keras, which would import TensorFlow with kernels that lose NaN.
from transload.convert.tensorflow.framework import tf


@dataclass(frozen=True)
class Subject:
    """A model.

    Args:
        name: What the page calls it.
        framework: Whose file it is.
        save: Writes the file, or folder, under this path.
        inputs: Descriptions for the conversion; a file that knows its inputs needs none.
        suffix: Of the file's name.
    """

    name: str
    framework: str
    save: Callable[[Path], None]
    inputs: tuple[str, ...] = ()
    suffix: str = ""


def _script(make: Callable[[], nn.Module]) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        torch.manual_seed(0)
        torch.jit.script(make().eval()).save(str(path))

    return save


class Residual(nn.Module):
    """A small ResNet: strided, grouped and dilated convolutions, batch norm, pools, and a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8)
        self.deep, self.deep_norm = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4), nn.BatchNorm2d(8)
        self.skip, self.out = nn.Conv2d(8, 8, 1), nn.Linear(16, 5)
        for norm in (self.stem_norm, self.deep_norm):
            norm.running_mean, norm.running_var = torch.randn(8), torch.rand(8) + 0.5

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.stem_norm(self.stem(x))), 3, stride=2, padding=1)
        x = F.silu(self.deep_norm(self.deep(x)) + self.skip(x))
        pooled = torch.cat([x.mean([2, 3]), x.amax([2, 3])], dim=1)
        return F.log_softmax(self.out(pooled), dim=1)


class Labeller(nn.Module):
    """Token labels: an embedding, both directions of an LSTM, a layer norm, and scores that masks cut."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.norm = nn.Embedding(50, 6), nn.LayerNorm(10)
        self.cell = nn.LSTM(6, 5, batch_first=True, bidirectional=True)
        self.out = nn.Linear(10, 4)

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.norm(self.cell(self.words(tokens) * 2.5)[0])
        scores = torch.tanh(self.out(hidden) - 0.1).masked_fill(mask.unsqueeze(-1) == 0, -9.0)
        return scores, torch.argmax(scores, dim=-1)


def _save_bert(path: Path) -> None:
    from transformers import BertConfig, BertModel

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
            self.bert = BertModel(BertConfig(vocab_size=60, max_position_embeddings=64, **sizes))

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
            found = self.bert(input_ids=input_ids, attention_mask=attention_mask)
            return found.last_hidden_state, found.pooler_output

    torch.manual_seed(0)
    example = torch.randint(1, 60, (2, 7)), torch.ones(2, 7, dtype=torch.int64)
    with torch.no_grad():
        torch.jit.trace(Encoder().eval(), example, check_trace=False).save(str(path))


def _save_dense(path: Path) -> None:
    class Scorer(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            tf.random.set_seed(0)
            self.weights = [tf.Variable(tf.random.normal(shape)) for shape in ((6, 8), (8,), (8, 8), (8, 4))]

        @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def score(self, x: Any) -> Any:
            a, b, c, d = self.weights
            hidden = tf.nn.elu(tf.matmul(x, a) + b)
            hidden = hidden + 0.5 * tf.sigmoid(tf.matmul(hidden, c)) - tf.reduce_mean(hidden, axis=1, keepdims=True)
            return tf.nn.softmax(tf.matmul(hidden / (1.0 + tf.abs(hidden)), d))

    scorer = Scorer()
    tf.saved_model.save(scorer, str(path), signatures={"serving_default": scorer.score})


def _save_features(path: Path) -> None:
    class Features(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            tf.random.set_seed(0)
            self.table = tf.Variable(tf.random.normal((20, 5)))

        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[
                tf.TensorSpec([None, 4], tf.int32, name="ids"),
                tf.TensorSpec([None, 5], tf.float32, name="x"),
            ]
        )
        def extract(self, ids: Any, x: Any) -> Any:
            rows = tf.gather(self.table, ids)
            total = tf.cumsum(tf.reduce_sum(rows, axis=1), axis=1)
            bounded = tf.minimum(tf.maximum(x * 1.5, -2.0), total)
            chosen = tf.where((bounded > 0.25) & (x < total), bounded - x, tf.floor(x / 0.3))
            best, places = tf.math.top_k(chosen, 3)
            parts = tf.concat([chosen[:, 1:4], tf.reverse(bounded, [1])[:, :2]], axis=1)
            return {"best": best, "places": places, "parts": parts, "odd": tf.cast(ids % 3, tf.float32) - 1.0}

    features = Features()
    tf.saved_model.save(features, str(path), signatures={"serving_default": features.extract})


def _keras_image() -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((16, 12, 3), name="image")
    x = layers.Conv2D(6, 3, strides=2, padding="same")(inputs)
    x = layers.ReLU(max_value=6.0)(layers.BatchNormalization(moving_mean_initializer="random_normal")(x))
    y = layers.DepthwiseConv2D(3, padding="same")(x)
    y = layers.BatchNormalization(gamma_initializer="random_normal", beta_initializer="random_normal")(y)
    x = layers.Add()([x, layers.Conv2D(6, 1, activation="tanh")(y)])
    x = layers.MaxPooling2D(2, padding="same")(layers.ZeroPadding2D(((1, 0), (0, 1)))(x))
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x))


def _keras_attention() -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((None, 8), name="x")
    x = layers.LayerNormalization()(inputs)
    x = layers.Add()([inputs, layers.MultiHeadAttention(2, 4)(x, x)])
    y = layers.Dense(12, activation="gelu")(layers.LayerNormalization(epsilon=1e-4)(x))
    return keras.Model(inputs, layers.Add()([x, layers.Dense(8)(y)]))


def _keras_sequence() -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(30, 6)(inputs)
    x = layers.Conv1D(8, 3, padding="causal", activation="relu")(x)
    x = layers.GRU(5, return_sequences=True)(x)
    x = layers.Multiply()([x, layers.Dense(5, activation="sigmoid")(x)])
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def _keras_file(make: Callable[[], Any]) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        import keras

        keras.utils.set_random_seed(0)
        make().save(str(path))

    return save


def _keras_saved_model(make: Callable[[], Any]) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        import keras

        keras.utils.set_random_seed(0)
        make().export(str(path), verbose=False)

    return save


SUBJECTS: tuple[Subject, ...] = (
    Subject("residual", "torch", _script(Residual), ("x:float32[batch,3,height,width]",)),
    Subject("attention", "torch", _script(Attention), ("x:float32[batch,seq,8]", "mask:int64[batch,seq]")),
    Subject("labeller", "torch", _script(Labeller), ("tokens:int64[batch,seq]", "mask:int64[batch,seq]")),
    Subject("choosing", "torch", _script(Choosing), ("x:float32[batch,4]", "y:float32[batch,4]")),
    Subject("bert", "torch", _save_bert, ("input_ids:int64[batch,seq]", "attention_mask:int64[batch,seq]")),
    Subject("tf-dense", "tensorflow", _save_dense),
    Subject("tf-features", "tensorflow", _save_features),
    Subject("keras-image", "tensorflow", _keras_file(_keras_image), suffix=".keras"),
    Subject("keras-attention", "tensorflow", _keras_saved_model(_keras_attention)),
    Subject("keras-sequence", "tensorflow", _keras_saved_model(_keras_sequence)),
)

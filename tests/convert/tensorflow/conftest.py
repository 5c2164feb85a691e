"""Fixtures: small TensorFlow and Keras models."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from tensorflow_models import TwoSignatures

from transload.convert.tensorflow.framework import tf


@pytest.fixture(scope="session")
def two_signatures() -> TwoSignatures:
    return TwoSignatures()


@pytest.fixture(scope="session")
def saved_model(two_signatures: TwoSignatures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    signatures = {"serving_default": two_signatures.serve, "lookup": two_signatures.lookup}
    tf.saved_model.save(two_signatures, str(folder), signatures=signatures)
    return folder


@pytest.fixture(scope="session")
def image_model() -> keras.Model:
    """Convolution with SAME padding at stride 2 over odd sizes, batch norm, pooling, dense."""
    keras.utils.set_random_seed(1)
    image = keras.Input((9, 7, 3), name="image")
    hidden = keras.layers.Conv2D(4, 3, strides=2, padding="same")(image)
    hidden = keras.layers.BatchNormalization()(hidden)
    hidden = keras.layers.ReLU()(hidden)
    hidden = keras.layers.AveragePooling2D(2, padding="same")(hidden)
    scores = keras.layers.Dense(5, activation="softmax")(keras.layers.Flatten()(hidden))
    model = keras.Model(image, scores)
    norm = model.layers[2]
    rng = np.random.default_rng(0)
    norm.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in norm.get_weights()])
    return model


@pytest.fixture(scope="session")
def text_model() -> keras.Model:
    """Two inputs, an embedding, an LSTM and a GRU; two outputs in a dict."""
    keras.utils.set_random_seed(2)
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    extra = keras.Input((3,), name="extra")
    embedded = keras.layers.Embedding(20, 6)(tokens)
    state = keras.layers.Concatenate()([keras.layers.LSTM(5)(embedded), keras.layers.GRU(4)(embedded), extra])
    outputs = {"label": keras.layers.Dense(2)(state), "state": state}
    return keras.Model({"tokens": tokens, "extra": extra}, outputs)

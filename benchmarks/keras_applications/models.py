"""Making a model of keras.applications whose outputs show errors, and saving it as a SavedModel.

python -m benchmarks.keras_applications.models NAME FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

SIZES = (32, 48, 71, 75, 96, 128, 160, 192, 224, 331)
"""Sides of square images to try; the first that a model takes is used."""

CALIBRATION_PIXELS = 128 * 32 * 32
"""Of a batch for statistics. Where the last layers see one pixel of each image, statistics of few images are so far off
for other images that rounding errors grow to the size of the outputs, and TensorFlow's own answers mean nothing."""


def names() -> list[str]:
    """The models, by their functions' names."""
    import keras

    return sorted(name for name in dir(keras.applications) if name[0].isupper())


def make(name: str) -> Any:
    """The model with random weights, its smallest input and logits as outputs.

    Fresh weights hide errors: normalization by running statistics that nobody gathered lets activations die out or
    grow, layer scales are next to nothing, and a softmax over 1000 classes is flat. So scales and offsets are drawn
    anew, and the running statistics are those of a batch.
    """
    import keras

    keras.utils.set_random_seed(1)
    model = _with_smallest_input(getattr(keras.applications, name))
    rng = np.random.default_rng(1)
    for layer in _all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
        for weight in layer.weights:
            if weight.name in ("gamma", "beta"):
                center, spread = (1.0, 0.5) if weight.name == "gamma" else (0.0, 0.2)
                weight.assign(rng.uniform(center - spread, center + spread, weight.shape))
    height, width, _ = model.input_shape[1:]
    batch = max(8, CALIBRATION_PIXELS // (height * width))
    model(rng.standard_normal((batch, *model.input_shape[1:])).astype(np.float32), training=True)
    return model


def _with_smallest_input(build: Any) -> Any:
    for size in SIZES:
        try:
            return build(weights=None, input_shape=(size, size, 3), classifier_activation=None)
        except ValueError as error:
            refused = error
    raise refused


def _all_layers(model: Any) -> list[Any]:
    """The model and its layers, those of models inside of it too."""
    found = []
    waiting = [model]
    while waiting:
        layer = waiting.pop()
        found.append(layer)
        waiting += getattr(layer, "layers", [])
    return found


def main() -> None:
    """Save the model; print its facts as JSON."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    model = make(name)
    model.export(str(folder), verbose=False)
    print(json.dumps({"size": model.input_shape[1], "weights_bytes": 4 * model.count_params()}))


if __name__ == "__main__":
    main()

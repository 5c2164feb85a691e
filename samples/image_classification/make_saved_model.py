"""Export keras.applications.MobileNetV2 (random weights: there is no network here) as a SavedModel folder.

python make_saved_model.py mobilenet
"""

from __future__ import annotations

import sys

import keras


def main(target: str) -> None:
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(weights=None)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(keras.random.normal((8, 224, 224, 3)), training=True)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * 20, bias])
    model.export(target, verbose=False)


if __name__ == "__main__":
    main(sys.argv[1])

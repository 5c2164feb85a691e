"""Export keras.applications.MobileNetV2 (random weights: there is no network here) as a SavedModel folder.

python make_saved_model.py mobilenet
"""

from __future__ import annotations

import sys

import keras


def main(target: str) -> None:
    keras.utils.set_random_seed(0)
    keras.applications.MobileNetV2(weights=None).export(target, verbose=False)


if __name__ == "__main__":
    main(sys.argv[1])

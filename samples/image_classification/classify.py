"""Classify a made-up picture with a package, and neither PyTorch nor TensorFlow.

python classify.py mobilenet.tload
"""

from __future__ import annotations

import sys

import numpy as np

import transload as tl


def main(package: str) -> None:
    model = tl.load(package)
    (name,) = model.interface.inputs
    height, width = np.mgrid[0:224, 0:224] / 112 - 1
    picture = np.stack([height, width, height * width], axis=-1).astype(np.float32)
    (scores,) = model(**{name: picture[None]}).values()
    best = np.argsort(-scores[0])[:3]
    print("  ".join(f"class {index}: {scores[0, index]:.6f}" for index in best))


if __name__ == "__main__":
    main(sys.argv[1])

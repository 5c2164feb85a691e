"""What holds for all tests: the user's cache is left alone, and TensorFlow runs with its own kernels."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

# Some tests import TensorFlow or Keras before transload does; see convert/tensorflow/framework.py.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield

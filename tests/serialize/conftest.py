"""Fixtures: a package of one linear layer, in memory and as bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from packages import WIDTH, linear_component

from transload.serialize import Package


@pytest.fixture(scope="session")
def weight() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32)


@pytest.fixture(scope="session")
def package(weight: np.ndarray) -> Package:
    return Package("linear", (linear_component("forward", weight),))


@pytest.fixture(scope="session")
def package_bytes(package: Package, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return package.save(tmp_path_factory.mktemp("package") / "linear.tload").read_bytes()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    """Write bytes to a file and give its path."""

    def write_bytes(data: bytes) -> Path:
        path = tmp_path / "m.tload"
        path.write_bytes(data)
        return path

    return write_bytes

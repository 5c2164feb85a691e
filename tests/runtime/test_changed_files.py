"""A package whose file is replaced, written to or removed while somebody uses it: the old answer, or none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from packages import WIDTH, linear_component

from transload.runtime.model import load, load_component
from transload.serialize import Package, open_package
from transload.serialize.errors import ExecutionError, PackageError

X = np.ones((2, WIDTH), np.float32)


def save(path: Path, seed: int) -> np.ndarray:
    """Write a package, and give what it answers to `X`."""
    weight = np.random.default_rng(seed).standard_normal((WIDTH, WIDTH)).astype(np.float32)
    Package("m", (linear_component("forward", weight),)).save(path)
    return X @ weight


def test_a_model_in_use_runs_on_after_its_package_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "m.tload"
    old = save(path, 1)
    model = load(path, optimize=False)
    new = save(path, 2)
    np.testing.assert_allclose(model(X)["logits"], old, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(load(path)(X)["logits"], new, rtol=1e-4, atol=1e-4)


def replace(path: Path) -> None:
    save(path, 2)


def overwrite(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    # In place, so that the file stays the same one.
    with path.open("r+b") as file:
        file.write(data)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [replace, overwrite, remove])
def test_a_package_that_changed_between_check_and_use_gives_no_answer(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "m.tload"
    save(path, 1)
    os.utime(path, ns=(0, 0))
    package = open_package(path)
    package.data_member("forward")
    change(path)
    with pytest.raises((PackageError, ExecutionError)) as caught:
        load_component(package)
    if change is not remove:
        assert isinstance(caught.value, PackageError)
        assert caught.value.rule == "changed"


def test_a_package_cut_short_between_check_and_use_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.tload"
    save(path, 1)
    package = open_package(path)
    os.truncate(path, 5000)
    with pytest.raises(PackageError, match="cut short"):
        load_component(package)

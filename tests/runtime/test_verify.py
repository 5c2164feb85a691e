"""Replaying vectors: a healthy package passes, a spoiled one is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from packages import WIDTH, linear_component

from transload.runtime.verify import replay, verify
from transload.serialize import Package, VectorSet
from transload.serialize.errors import MismatchError
from transload.serialize.interface import Tolerance

WEIGHT = np.random.default_rng(3).standard_normal((WIDTH, WIDTH)).astype(np.float32)
HEALTHY = linear_component("forward", WEIGHT)


def test_a_healthy_package_passes(tmp_path: Path) -> None:
    path = Package("m", (HEALTHY,)).save(tmp_path / "m.tload")
    (verification,) = verify(path)
    assert verification.passed
    assert [[output.name for output in outputs] for outputs in verification.sets] == [["y"]]


def spoil(amount: float) -> Package:
    (vectors,) = HEALTHY.vectors
    y = vectors.outputs["y"].copy()
    y[1, 7] += amount
    return Package("m", (replace(HEALTHY, vectors=(VectorSet(vectors.inputs, {"y": y}),)),))


def test_one_wrong_element_is_found_and_named(tmp_path: Path) -> None:
    path = spoil(0.01).save(tmp_path / "m.tload")
    assert not replay(path)[0].passed
    with pytest.raises(MismatchError, match=r"forward, set 0: y: DIFFERS(.|\n)*\[1,7\]") as caught:
        verify(path)
    assert caught.value.exit_status == 1


def test_the_recorded_noise_of_the_source_widens_the_bound(tmp_path: Path) -> None:
    package = spoil(0.01)
    (component,) = package.components
    noisy = {"y": Tolerance(1.3e-6, 1e-5, noise=0.02)}
    widened = replace(component, interface=msgspec.structs.replace(component.interface, tolerances=noisy))
    assert replay(Package("m", (widened,)).save(tmp_path / "m.tload"))[0].passed


def test_a_package_without_vectors_has_nothing_to_replay(tmp_path: Path) -> None:
    path = Package("m", (replace(HEALTHY, vectors=()),)).save(tmp_path / "m.tload")
    assert replay(path)[0].sets == ()

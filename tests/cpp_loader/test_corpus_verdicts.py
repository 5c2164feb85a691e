"""What the fuzzers found, through both readers: they say the same of each file, inside a package that is right else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from loader import Loader
from packages import linear_component, rebuild
from test_hostile_packages import INTERFACE, MODEL, replace_member
from test_verdicts import disagreements

from transload.serialize import Package

CORPUS = Path(__file__).resolve().parents[1] / "fuzz" / "corpus"

MEMBERS = {
    "manifest": "manifest.json",
    "interface": INTERFACE,
    "model": MODEL,
    "onnx_file": MODEL,
    "vector": "forward/portable/test_data_set_0/input_0.pb",
}
"""The member of a package that an input of each target is."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    weight = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    package = Package("m", (linear_component("forward", weight),))
    return package.save(tmp_path_factory.mktemp("whole") / "m.tload").read_bytes()


@pytest.mark.parametrize("target", MEMBERS)
def test_both_readers_say_the_same_of_a_member_that_a_fuzzer_found(target: str, whole: bytes, tmp_path: Path) -> None:
    variants = (
        (
            path.name,
            rebuild(whole, replace_member(MEMBERS[target], path.read_bytes()), keep_manifest=target == "manifest"),
        )
        for path in sorted((CORPUS / target).iterdir())
    )
    _, found = disagreements(Loader(), tmp_path / "m.tload", variants)
    assert found == []


def test_both_readers_say_the_same_of_a_package_that_a_fuzzer_found(tmp_path: Path) -> None:
    variants = ((path.name, path.read_bytes()) for path in sorted((CORPUS / "package").iterdir()))
    # No fuzzer guesses a CRC-32.
    _, found = disagreements(Loader(), tmp_path / "m.tload", variants, "none")
    assert found == []

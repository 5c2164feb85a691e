"""`transload tune`: what it prints, what it keeps, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from transload.runtime.model import load
from transload.serialize import open_package

Command = Callable[..., Result]


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_tuning_keeps_an_entry_that_loading_uses(transload: Command, package_file: Path) -> None:
    result = transload("tune", package_file, "--seconds", "0.01", "--threads", "1")
    assert result.exit_code == 0, result.output
    assert "level=basic" in result.output
    assert "ms before" in result.output
    assert load(package_file).variant == "tuned"
    listed = transload("tune", "--list")
    assert "scorer" in listed.output
    assert "1.31.1" in listed.output


def test_json_holds_the_trials_the_key_and_the_place(transload: Command, package_file: Path) -> None:
    facts = json.loads(transload("tune", package_file, "--seconds", "0.01", "--json").stdout)
    assert Path(facts["path"]).exists()
    assert facts["component"] == "main"
    assert facts["record"]["key"]["version"] == "2"
    assert {trial["taken"] for trial in facts["trials"]} <= {True, False}
    (entry,) = json.loads(transload("tune", "--list", "--json").stdout)["cache"]
    assert entry["path"] == facts["path"]


def test_clearing_removes_every_entry(transload: Command, package_file: Path) -> None:
    transload("tune", package_file, "--seconds", "0.01")
    assert ".tuned" in transload("tune", "--clear").output
    assert ".tuned" not in transload("tune", "--list").output


def test_embedding_writes_a_package_with_the_tuned_variant(
    transload: Command, package_file: Path, tmp_path: Path
) -> None:
    before = package_file.read_bytes()
    result = transload("tune", package_file, "--seconds", "0.01", "--embed", "-o", tmp_path / "tuned.tload")
    assert result.exit_code == 0, result.output
    assert package_file.read_bytes() == before
    assert len(open_package(tmp_path / "tuned.tload").manifest.components["main"].variants) == 2
    assert transload("verify", tmp_path / "tuned.tload").exit_code == 0


def test_inputs_of_the_user_s_are_what_is_measured(transload: Command, package_file: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.ones((7, 4), np.float32))
    assert transload("tune", package_file, "--inputs", tmp_path / "in.npz", "--seconds", "0.01").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Which package"),
        (("m.tload", "--list"), "whole cache"),
        (("m.tload", "-o", "out.tload"), "--embed"),
        (("missing.tload",), "Cannot read"),
    ],
)
def test_wrong_usage(transload: Command, arguments: tuple[str, ...], message: str) -> None:
    result = transload("tune", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_package_that_lies_is_not_tuned(transload: Command, lying_package: Path) -> None:
    assert transload("tune", lying_package, "--seconds", "0.01").exit_code == 1
    assert ".tuned" not in transload("tune", "--list").output

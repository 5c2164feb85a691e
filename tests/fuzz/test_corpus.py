"""Every seed of the fuzzer, and every input that it ever found fault with, through its target."""

from __future__ import annotations

from pathlib import Path

import pytest
from targets import TARGETS, call

CORPUS = Path(__file__).resolve().parent / "corpus"
INPUTS = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.relative_to(CORPUS).as_posix())
def test_an_input_of_the_corpus_ends_well_or_with_an_error_of_ours(path: Path) -> None:
    call(path.parent.name, path.read_bytes())


def test_every_target_has_a_seed() -> None:
    assert {path.parent.name for path in INPUTS} == set(TARGETS)


@pytest.mark.parametrize("target", ["package", "members", "model", "interface", "manifest", "vector"])
def test_a_seed_is_accepted_so_that_the_fuzzer_begins_behind_the_first_check(target: str) -> None:
    TARGETS[target]((CORPUS / target / "small").read_bytes())

"""Random programs with shared memory: translated and right, or refused, never wrong."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
import torch
from random_programs import load_program, write_program
from script_check import check, tensors
from torch import Tensor

from transload.serialize.errors import UnsupportedError

X = torch.tensor([0.3, -0.2, 0.7])
INPUTS = [(x, torch.tensor(n)) for x, n in ((X, 2), (X, 0), (-X * 3, 1), (X * 0 - 2, 3), (X * 4, 5))]
SEEDS = range(150)


def run_everywhere(program: Any) -> list[list[Tensor]] | None:
    """What a program gives for each input; None where one raises."""
    try:
        return [tensors(program(*copy.deepcopy(given))) for given in INPUTS]
    except (IndexError, RuntimeError):
        return None


def try_program(seed: int) -> str:
    """How a program fares."""
    program = load_program(write_program(seed))
    try:
        scripted = torch.jit.script(program)
    except RuntimeError:
        return "not scripted"
    wanted, given = run_everywhere(program), run_everywhere(scripted)
    if wanted is None or given is None:
        return "raises"
    if any(not torch.equal(*pair) for both in zip(wanted, given, strict=True) for pair in zip(*both, strict=True)):
        # torch.jit drops changes in place to the items of a list when no name is left for them.
        return "torch.jit differs from Python"
    try:
        # Loaded anew: torch.jit rewrites a function that has run.
        check(load_program(write_program(seed)), *INPUTS[0], others=INPUTS[1:], rtol=1e-5, atol=1e-5)
    except UnsupportedError:
        return "refused"
    except AssertionError as error:
        pytest.fail(f"seed {seed} is wrong:\n{write_program(seed)}\n{error}")
    return "right"


def test_random_programs_are_right_or_refused() -> None:
    outcomes = Counter(try_program(seed) for seed in SEEDS)
    assert outcomes["right"] > len(SEEDS) / 5
    assert outcomes["torch.jit differs from Python"] < len(SEEDS) / 50

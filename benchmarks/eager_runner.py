"""Running a module of the zoo in PyTorch as it is; `source` is its name in the zoo."""

from __future__ import annotations

import zoo

from transload.convert.peers.runners import Run
from transload.convert.peers.torch_runner import run_module


def open_model(source: str, threads: int) -> Run:
    """The module."""
    return run_module(zoo.entry(source).make(), threads)

"""Running a module of the zoo through torch.compile, which compiles for each shape of input at the first call."""

from __future__ import annotations

import torch
import zoo

from transload.convert.peers.runners import Run
from transload.convert.peers.torch_runner import run_module


def open_model(source: str, threads: int) -> Run:
    """The compiled module; `source` is its name in the zoo."""
    return run_module(torch.compile(zoo.entry(source).make()), threads)

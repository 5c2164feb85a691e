"""Running a TorchScript file, frozen, or a .pt2 file in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from transload.convert.peers.runners import Run


def open_model(source: str, threads: int) -> Run:
    """A TorchScript or .pt2 file; inputs go by position."""
    if Path(source).suffix == ".pt2":
        model: Any = torch.export.load(source).module()
    else:
        model = torch.jit.freeze(torch.jit.load(source).eval())  # type: ignore[no-untyped-call]
    return run_module(model, threads)


def run_module(module: Any, threads: int) -> Run:
    """A function that calls a module without gradients."""
    if threads:
        torch.set_num_threads(threads)

    def run(feed: Mapping[str, Any]) -> object:
        with torch.inference_mode():
            return module(*(torch.from_numpy(array) for array in feed.values()))

    return run

"""torch computes what enters a package on one thread."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One intra-op thread inside, as many as before afterwards.

    A matrix product differs in its last bits from one number of threads to another (MKL on AMD processors), and
    expected outputs, errors and folded constants with it. The package's side of the proof runs on one thread too.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""What torch computes for a package does not depend on how many threads it may use."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from transload.convert.detect import detect_source
from transload.convert.options import ConvertOptions
from transload.convert.torch.module import capture
from transload.convert.torch.threads import one_thread


def test_the_former_number_of_threads_is_back_afterwards() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyError), one_thread():
            assert torch.get_num_threads() == 1
            raise KeyError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_source_is_asked_on_one_thread() -> None:
    class Counts(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(torch.get_num_threads())
            return x + 1

    seen: list[int] = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        [alternatives] = capture(detect_source(Counts(), (torch.zeros(2),)), ConvertOptions())
        found = next(iter(alternatives.ways.values()))()
        seen.clear()
        found.reference.run({"x": np.zeros(2, np.float32)})
        found.reference.run_float64({"x": np.zeros(2, np.float32)})
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 1]

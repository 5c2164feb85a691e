"""Reads of values that a trace would fix: every kind is found on the line of the module's own code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import transload as tl
from transload.convert.torch.data_reads import SILENT_READS, WARNED_READS
from transload.serialize.errors import UnsupportedError

READS: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda x: x.sum().item(),
    "tolist": lambda x: x.tolist()[0],
    "numpy": lambda x: x.numpy()[0],
    "__bool__": lambda x: bool(x[0]),
    "__int__": lambda x: int(x[0]),
    "__float__": lambda x: float(x[0]),
    "__complex__": lambda x: complex(x[0]),
    "__index__": lambda x: range(10)[x[0].to(torch.int64)],
    "__array__": lambda x: np.asarray(x)[0],
    "equal": lambda x: torch.equal(x, torch.ones(3)),
    "allclose": lambda x: torch.allclose(x, torch.ones(3)),
    "is_nonzero": lambda x: torch.is_nonzero(x[0]),
    "__contains__": lambda x: 3 in x,
}


class Reading(nn.Module):
    def __init__(self, read: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.read = read

    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if self.read(x) else x * 2


def test_every_kind_of_read_has_a_case() -> None:
    assert set(READS) == WARNED_READS | SILENT_READS


@pytest.mark.parametrize("name", READS)
def test_a_read_closes_the_way_of_tracing_and_is_named_by_its_line(name: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        tl.convert_model(Reading(READS[name]), (torch.ones(3),))
    traced = [each for each in caught.value.operations if each.reason.startswith("trace") and "x" in each.name]
    assert any(__file__ in each.location for each in traced), caught.value

"""One callable of a model, in named tensors: what becomes a component of the package."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from transload.convert.torch.dimensions import Dimensions


@dataclass(frozen=True)
class Part:
    """A component to be.

    Args:
        component: Its name.
        module: Takes the tensors of `example` by keyword and returns a dict of tensors.
        example: One input set.
        dimensions: The names of the dimensions that may vary.
        output_dimensions: The names of dimensions of outputs that are sums of the inputs'.
        integer_ranges: The lowest and highest value of integer inputs, by name.
        may_be_empty: Dimensions that may have the size 0.
        must_vary: Dimensions without which the component is of no use.
    """

    component: str
    module: torch.nn.Module
    example: dict[str, torch.Tensor]
    dimensions: Dimensions
    output_dimensions: Dimensions = field(default_factory=dict)
    integer_ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    may_be_empty: frozenset[str] = frozenset()
    must_vary: frozenset[str] = frozenset()

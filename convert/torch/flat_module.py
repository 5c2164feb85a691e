"""A module as a function of tensors alone: positional tensors and state in, a flat tuple of tensors and state out."""

from __future__ import annotations

import torch

from transload.convert.torch.arguments import Arguments
from transload.convert.torch.reference import (
    StateTensor,
    at_state,
    attribute_tensor,
    flatten_outputs,
    get_attribute,
)
from transload.serialize.interface import Node, leaves


class FlatModule(torch.nn.Module):
    """Calls a module in the structure of `arguments`.

    torch's exporter fails on constants among the outputs and names nested inputs after its own fashion; a trace takes
    tensors only. What the module changes of itself is handed in and out, so that no capture has to see the change.

    Args:
        module: The source.
        arguments: Templates of its arguments.
        outputs: The tree of what it returns. While it is traced, sizes among its results are tensors too.
        state: What the module changes of itself; these tensors come last, in and out.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        arguments: Arguments,
        outputs: Node,
        state: tuple[StateTensor, ...] = (),
    ) -> None:
        super().__init__()
        self.module = module
        self._arguments = arguments
        self._outputs = tuple(dict.fromkeys(leaf.name for leaf in leaves(outputs)))
        self._state = state
        self._inputs = tuple(arguments.tensors())

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        count = len(self._inputs)
        # Copies, because the module may write to what it takes for its own.
        given = {each.input: tensor.clone() for each, tensor in zip(self._state, tensors[count:], strict=True)}
        args, kwargs = self._arguments.fill(dict(zip(self._inputs, tensors[:count], strict=True)))
        with at_state(self.module, self._state, given):
            found = flatten_outputs(self.module(*args, **kwargs), self._inputs)[1]
            after = [attribute_tensor(get_attribute(self.module, each.path)) for each in self._state]
        return (*(found[name] for name in self._outputs), *after)

"""A torch source as the other side of the equivalence check: flat numpy arrays in and out."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from transload.convert.capture import Array, Feed
from transload.convert.structure import build_output_tree
from transload.convert.torch.arguments import Arguments
from transload.convert.torch.quiet import quiet
from transload.convert.torch.taps import tap_method
from transload.convert.torch.tensors import describe_tensor, to_numpy, to_torch
from transload.convert.torch.threads import one_thread
from transload.serialize.errors import UnsupportedError
from transload.serialize.interface import Node, Tensor


@dataclass(frozen=True)
class StateTensor:
    """An attribute that a call changes, by its path, and the names under which feeds and outputs hold it."""

    path: str
    input: str
    output: str


class TorchReference:
    """Runs a module on flat feeds. Every call begins at the same state, unless the feed says another, and leaves it so.

    Args:
        module: The source.
        arguments: Templates of its arguments.
        make_float64: Gives a private copy of the source with its weights in float64; may raise.
        method: The method to call.
        state: What the module changes of itself.
        set_eval: Whether the module must be put in eval mode for each run, and back afterwards.
        refuses_changes: Whether `observe` refuses a module that changes buffers which are not `state`, and mends them.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        arguments: Arguments,
        make_float64: Callable[[], torch.nn.Module],
        *,
        method: str = "forward",
        state: tuple[StateTensor, ...] = (),
        set_eval: bool = False,
        refuses_changes: bool = True,
    ) -> None:
        self._module = module
        self._arguments = arguments
        self._make_float64 = make_float64
        self._method = method
        self._state = state
        self._set_eval = set_eval
        self._refuses_changes = refuses_changes
        self._inputs = tuple(arguments.tensors())
        self._float64: torch.nn.Module | None = None

    def run(self, feed: Feed) -> dict[str, Array]:
        """The source's outputs, as `Reference.run` says."""
        tensors = {name: to_torch(array) for name, array in feed.items()}
        return {name: to_numpy(tensor) for name, tensor in self._call(self._module, tensors)[1].items()}

    def run_float64(self, feed: Feed) -> dict[str, Array] | None:
        """The source's outputs computed in float64, as `Reference.run_float64` says."""
        default = torch.get_default_dtype()
        # A source may refuse float64 in any way that Python code can fail; each means the same here.
        try:
            if self._float64 is None:
                with quiet():
                    self._float64 = self._make_float64()
            tensors = {name: to_torch(array) for name, array in feed.items()}
            wide = {name: value.double() if value.is_floating_point() else value for name, value in tensors.items()}
            # Tensors that forward makes without naming a dtype shall be float64 too.
            torch.set_default_dtype(torch.float64)
            return {name: to_numpy(tensor) for name, tensor in self._call(self._float64, wide)[1].items()}
        except Exception:
            return None
        finally:
            torch.set_default_dtype(default)

    def tap(self, feed: Feed) -> dict[str, Array]:
        """Intermediate values, as `Tappable.tap` says: those of a TorchScript's IR; none of other modules."""
        if not isinstance(self._module, torch.jit.ScriptModule):
            return {}
        tensors = {name: to_torch(array) for name, array in feed.items()}
        args, kwargs = self._arguments.fill(tensors)
        with at_state(self._module, self._state, tensors):
            found = tap_method(self._module, self._method, (*args, *kwargs.values()))
        return {name: to_numpy(tensor) for name, tensor in found.items() if not tensor.is_complex()}

    def observe(self, feed: Feed) -> Node:
        """The tree of what the source returns for `feed`.

        Raises:
            UnsupportedError: the source changes its own buffers, or returns what no interface can hold.
        """
        before = {}
        if self._refuses_changes:
            before = {name: (buffer, buffer.clone()) for name, buffer in self._module.named_buffers()}
        tree, found = self._call(self._module, {name: to_torch(array) for name, array in feed.items()})
        if self._refuses_changes and (changed := _restore_buffers(self._module, before)):
            raise UnsupportedError(
                f"The module changes its own buffers in forward: {', '.join(changed)}.",
                hint="A package holds no state yet. Pass the state in and out as tensors.",
            )
        if not found:
            raise UnsupportedError("The source returns no tensor.")
        return tree

    def _call(
        self, module: torch.nn.Module, tensors: Mapping[str, torch.Tensor]
    ) -> tuple[Node, dict[str, torch.Tensor]]:
        args, kwargs = self._arguments.fill(tensors)
        call = module if self._method == "forward" else getattr(module, self._method)
        with (
            torch.no_grad(),
            one_thread(),
            evaluating(module) if self._set_eval else contextlib.nullcontext(),
            at_state(module, self._state, tensors),
        ):
            value = call(*args, **kwargs)
            tree, found = flatten_outputs(value, self._inputs)
            found = {name: tensor.clone() for name, tensor in found.items()} if self._state else found
            for each in self._state:
                found[each.output] = attribute_tensor(get_attribute(module, each.path)).clone()
        return tree, found


def flatten_outputs(value: Any, inputs: tuple[str, ...]) -> tuple[Node, dict[str, torch.Tensor]]:
    """The tree of a returned value and its tensors by leaf name.

    Raises:
        UnsupportedError: there is something in it that no interface can hold.
    """
    found: dict[str, torch.Tensor] = {}

    def leaf(name: str, item: Any) -> Tensor | None:
        tensor = describe_tensor(name, item)
        if tensor is not None:
            found[name] = item
        return tensor

    return build_output_tree(value, leaf, inputs), found


def get_attribute(module: torch.nn.Module, path: str) -> Any:
    """An attribute of a module or of one below it. Not by get_submodule, which script modules refuse."""
    return functools.reduce(getattr, path.split("."), module)


def attribute_tensor(value: torch.Tensor | float | int | bool) -> torch.Tensor:
    """An attribute as the tensor that a package carries: numbers have rank 0, in int64, float64 or bool."""
    if isinstance(value, torch.Tensor):
        return value.detach()
    return torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else None)


def set_attribute(module: torch.nn.Module, path: str, value: Any) -> None:
    owner, _, name = path.rpartition(".")
    setattr(get_attribute(module, owner) if owner else module, name, value)


@contextlib.contextmanager
def at_state(
    module: torch.nn.Module, state: tuple[StateTensor, ...], tensors: Mapping[str, torch.Tensor]
) -> Iterator[None]:
    """The module with its state as the feed has it, or else a copy of its own; its own again afterwards."""
    former = {each.path: get_attribute(module, each.path) for each in state}
    for each in state:
        own = former[each.path]
        given = tensors[each.input] if each.input in tensors else attribute_tensor(own).clone()
        set_attribute(module, each.path, given if isinstance(own, torch.Tensor) else type(own)(given.item()))
    try:
        yield
    finally:
        for path, own in former.items():
            set_attribute(module, path, own)


def _restore_buffers(module: torch.nn.Module, before: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> list[str]:
    """Put the former buffers with their former values back; gives the names of those that had changed."""
    changed = []
    for name, buffer in module.named_buffers():
        former, copy = before.get(name, (buffer, buffer))
        if buffer is not former or not torch.equal(buffer.nan_to_num(), copy.nan_to_num()):
            changed.append(name)
            with torch.no_grad():
                former.copy_(copy)
            set_attribute(module, name, former)
    return changed


@contextlib.contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Eval mode inside; each submodule's own mode again afterwards."""
    modes = [(child, child.training) for child in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for child, mode in modes:
            child.training = mode

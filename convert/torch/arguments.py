"""The arguments of a torch callable: parameters by name, each a nested value whose tensors can be replaced."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

import transload.convert.torch.caches  # noqa: F401  (makes caches known as containers)
from transload.convert.capture import Array
from transload.convert.options import ConvertOptions, make_example
from transload.convert.structure import build_tree, map_leaves, nest
from transload.convert.torch.tensors import describe_tensor, to_torch
from transload.serialize.errors import UsageError
from transload.serialize.interface import Node


@dataclass(frozen=True)
class Arguments:
    """One set of arguments, as templates: structures and constants as they are, tensors to be replaced.

    Args:
        positional, keyword: What is passed, by parameter name.
        omitted: Parameters that are not passed, with their defaults. They are only shown in the trees: a decorated
            forward need not take what its signature offers.
        order: The names in the order of the signature, where that is another.
    """

    positional: dict[str, Any]
    keyword: dict[str, Any]
    omitted: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    def tensors(self) -> dict[str, torch.Tensor]:
        """The tensors by leaf name, in the order of the trees."""
        found: dict[str, torch.Tensor] = {}

        def collect(path: str, item: Any) -> Any:
            if isinstance(item, torch.Tensor):
                found[path] = item
            return item

        for name, value in self._parameters().items():
            map_leaves(value, collect, name)
        return found

    def trees(self) -> dict[str, Node]:
        """The parameters as trees, with the sizes that the tensors have.

        Raises:
            UnsupportedError: a value cannot be part of an interface.
        """
        return {name: build_tree(value, describe_tensor, name) for name, value in self._parameters().items()}

    def fill(self, tensors: Mapping[str, torch.Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments of a call with these tensors, by leaf name."""

        def put(path: str, item: Any) -> Any:
            return tensors[path] if isinstance(item, torch.Tensor) else item

        args = tuple(map_leaves(value, put, name) for name, value in self.positional.items())
        return args, {name: map_leaves(value, put, name) for name, value in self.keyword.items()}

    def replaced(self, tensors: Mapping[str, torch.Tensor]) -> Arguments:
        """The same arguments with these tensors, by leaf name."""
        args, keyword = self.fill(tensors)
        return replace(self, positional=dict(zip(self.positional, args, strict=True)), keyword=keyword)

    def _parameters(self) -> dict[str, Any]:
        parameters = {**self.positional, **self.keyword, **self.omitted}
        return {name: parameters[name] for name in self.order or parameters}


def described_values(options: ConvertOptions, known: str) -> dict[str, Any]:
    """Tensors by parameter, nested, from `--example` or else made up from the `--input` descriptions.

    Args:
        known: The source's own parameters in one line, for the message.

    Raises:
        UsageError: neither was given.
    """
    if options.example is None and not options.inputs:
        raise UsageError(
            "The source does not know its inputs' shapes.",
            where=f"parameters: {known}",
            hint="Describe each tensor with --input NAME:DTYPE[DIMS], or give --example FILE.npz.",
        )
    arrays: Mapping[str, Array] = options.example or make_example(options.inputs, options.seed)
    return {name: map_leaves(value, lambda _, array: to_torch(array), name) for name, value in nest(arrays).items()}


def bind_arguments(forward: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
    """Arguments under the names of the signature. Parameters left out take a default that an interface can hold.

    Items of `*args` are named `args_0`, `args_1`, …

    Raises:
        UsageError: they do not fit the signature.
    """
    signature = inspect.signature(forward)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    if not takes_any and (unknown := [name for name in kwargs if name not in signature.parameters]):
        raise UsageError(
            f"The forward has no parameter {unknown[0]!r}.",
            hint=f"Its parameters are: {describe_signature(forward)}.",
        )
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise UsageError(f"The inputs do not fit the module's forward: {error}.", where=f"forward{signature}") from None
    order: list[str] = []
    omitted: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            order += [f"{name}_{index}" for index, _ in enumerate(bound.arguments.get(name, ()))]
        elif parameter.kind is parameter.VAR_KEYWORD:
            order += bound.arguments.get(name, {})
        elif name in bound.arguments:
            order.append(name)
        elif parameter.default is None or isinstance(parameter.default, bool | int | float | str):
            omitted[name] = parameter.default
            order.append(name)
    passed = [name for name in order if name not in omitted and name not in kwargs]
    return Arguments(dict(zip(passed, args, strict=True)), dict(kwargs), omitted, tuple(order))


def describe_signature(forward: Any) -> str:
    """The parameters of a Python callable in one line."""
    return ", ".join(map(str, inspect.signature(forward).parameters.values())) or "none"

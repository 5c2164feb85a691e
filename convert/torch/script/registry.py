"""Where operators' translations are registered, by the full names of their schemas (`aten::add.Tensor`)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

IGNORED = frozenset(
    {"layout", "device", "pin_memory", "memory_format", "non_blocking", "requires_grad", "generator", "sparse_grad"}
)
"""Arguments that say nothing about values; no handler sees them."""


@dataclass(frozen=True)
class Entry:
    """A translation. `parameters` are those of the schema's arguments that it takes."""

    function: Callable[..., Any]
    parameters: frozenset[str]


OPERATORS: dict[str, Entry] = {}
"""Translations over real values."""

COMPLEX: dict[str, Entry] = {}
"""Translations for calls in which a tensor is complex."""

RAW: dict[str, Entry] = {}
"""Operators of the language itself: their translations get cells instead of contents, and the interpreter."""

VIEWS: dict[str, Callable[..., Any]] = {}
"""Operators whose result is a part of their first argument: how to write such a part back, by name."""


REFUSED: dict[str, str] = {}
"""Operators that are refused whatever their arguments are, with the reason."""


def handler(*names: str) -> Callable[[F], F]:
    """Register `function(b, **arguments)` as the translation of operators.

    `b` is the Builder; arguments come under the schema's names. Tensors are `ir.Value`; numbers are int, float, bool or
    `Number`; lists are Python lists; dtypes are `ir.DataType`. Arguments in IGNORED are left out. It returns an
    `ir.Value`, `Complex`, number, or a tuple or list of these; NotImplemented leaves the call to torch's decomposition.
    """
    return _register(OPERATORS, names)


def complex_handler(*names: str) -> Callable[[F], F]:
    """As `handler`, for calls in which at least one tensor is complex; such a tensor comes as `Complex`."""
    return _register(COMPLEX, names)


def raw_handler(*names: str) -> Callable[[F], F]:
    """Register `function(interpreter, **arguments)`, which gets and returns TorchScript values as they are."""
    return _register(RAW, names)


def view_writer(*names: str) -> Callable[[F], F]:
    """Register `function(b, base, part, **arguments)` for views: the base with that part of it replaced."""

    def register(function: F) -> F:
        for name in names:
            assert name not in VIEWS, name
            VIEWS[name] = function
        return function

    return register


def _register(table: dict[str, Entry], names: tuple[str, ...]) -> Callable[[F], F]:
    def register(function: F) -> F:
        parameters = frozenset(list(inspect.signature(function).parameters)[1:])
        for name in names:
            assert name not in table, f"{name} is registered twice"
            table[name] = Entry(function, parameters)
        return function

    return register

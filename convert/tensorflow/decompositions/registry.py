"""Which operations are rewritten in other operations of TensorFlow, filled by decorators at the rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Rule = Callable[..., Any]
"""Takes the operation as it was and the new value of each of its inputs; gives the new values of its outputs."""

AnyRule = TypeVar("AnyRule", bound=Rule)
Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Complex:
    """A complex tensor as two real ones of the same shape."""

    real: Any
    imag: Any


@dataclass(frozen=True)
class TensorList:
    """A list of tensors of one shape, as one tensor whose first axis counts them.

    While nothing has been written and the items' sizes are not known yet, these sizes are 0.
    """

    items: Any


Condition = Callable[[Any], bool]
"""Tells of an operation whether a rule is for it."""

RULES: dict[str, tuple[Rule, Condition]] = {}
COMPLEX_RULES: dict[str, Rule] = {}
LIST_RULES: dict[str, Rule] = {}


def find_rule(op: Any) -> Rule | None:
    """The rule for an operation on plain tensors."""
    rule, condition = RULES.get(op.type, (None, None))
    return rule if condition is not None and condition(op) else None


def decomposition(*op_types: str, when: Condition = lambda op: True) -> Callable[[AnyRule], AnyRule]:
    """A rule for operations of these types, or for some of them."""
    return _register(RULES, op_types, lambda rule: (rule, when))


def complex_decomposition(*op_types: str) -> Callable[[AnyRule], AnyRule]:
    """A rule for operations of these types that take or give complex tensors, which come as `Complex`."""
    return _register(COMPLEX_RULES, op_types, lambda rule: rule)


def list_decomposition(*op_types: str) -> Callable[[AnyRule], AnyRule]:
    """A rule for operations of these types that take or give a list, which comes as `TensorList`."""
    return _register(LIST_RULES, op_types, lambda rule: rule)


def _register(
    table: dict[str, Entry], op_types: tuple[str, ...], entry_of: Callable[[Rule], Entry]
) -> Callable[[AnyRule], AnyRule]:
    def add(rule: AnyRule) -> AnyRule:
        for op_type in op_types:
            if op_type in table:
                raise ValueError(f"two rules for {op_type}")
            table[op_type] = entry_of(rule)
        return rule

    return add

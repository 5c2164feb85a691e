"""torch's operator schemas by full name: the names and kinds of arguments."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Argument:
    """One argument: its name, type as written in the schema, and default."""

    name: str
    type: str
    default: Any
    has_default: bool


@dataclass(frozen=True)
class Schema:
    """An operator, `aten::add.Tensor`; `name` ends without a dot where the overload is the default one.

    `result` is the type of what it gives. `shares` says that its result may be the memory of an argument, `changes`
    that it writes to arguments.
    """

    name: str
    arguments: tuple[Argument, ...]
    operator: Any
    is_random: bool
    shares: bool = False
    changes: bool = False
    result: str = ""

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Values by argument name, defaults included."""
        bound = {argument.name: value for argument, value in zip(self.arguments, args, strict=False)}
        bound.update(kwargs)
        for argument in self.arguments:
            if argument.name not in bound and argument.has_default:
                bound[argument.name] = argument.default
        return bound


@functools.cache
def find_schema(name: str) -> Schema:
    """The schema of `namespace::operator.overload`.

    Raises:
        AttributeError: torch has no such operator.
    """
    namespace, _, rest = name.partition("::")
    base, _, overload = rest.partition(".")
    packet = getattr(getattr(torch.ops, namespace), base)
    operator = getattr(packet, overload or "default")
    # OpOverload has no public access to its schema.
    arguments = tuple(
        Argument(each.name, str(each.type), each.default_value, each.has_default_value())
        for each in operator._schema.arguments
    )
    schema = operator._schema
    return Schema(
        name,
        arguments,
        operator,
        torch.Tag.nondeterministic_seeded in operator.tags,
        shares=any(each.alias_info is not None for each in schema.returns),
        changes=schema.is_mutable,
        result=str(schema.returns[0].type) if schema.returns else "",
    )


def full_name(operator: Any) -> str:
    """The full name of a `torch._ops.OpOverload`."""
    schema = operator._schema
    return f"{schema.name}.{schema.overload_name}" if schema.overload_name else str(schema.name)


def schema_name(text: str) -> str:
    """The full name at the beginning of a written schema."""
    return text.partition("(")[0]

"""Between the source's structure and the graph's flat tensors: arguments in, outputs out."""

from __future__ import annotations

import functools
from collections import namedtuple
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transload.serialize.errors import UsageError
from transload.serialize.interface import Constant, Dict, Interface, List, Node, Nothing, Tensor, Tuple, leaves

Array = np.ndarray[Any, Any]


def flatten_arguments(interface: Interface, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Array]:
    """The tensors of a call, by the names of the graph's inputs.

    Raises:
        UsageError: a parameter is missing, given twice or not known, or a value has another structure than declared.
    """
    parameters = list(interface.inputs)
    if len(args) > len(parameters):
        raise UsageError(
            f"{len(args)} positional arguments came; the model takes {len(parameters)}.",
            hint=f"Parameters: {', '.join(parameters) or 'none'}.",
        )
    given = dict(zip(parameters, args, strict=False))
    for name, value in kwargs.items():
        if name not in interface.inputs:
            raise UsageError(
                f"The model has no parameter {name!r}.",
                hint=f"Parameters: {', '.join(parameters) or 'none'}.",
            )
        if name in given:
            raise UsageError(f"The parameter {name!r} was given twice.")
        given[name] = value
    feed: dict[str, Array] = {}
    for name, node in interface.inputs.items():
        if type(node) is Tensor and name in given:
            feed[node.name] = given[name]
        elif name in given:
            _flatten(given[name], node, name, feed)
        elif any(leaves(node)):
            raise UsageError(f"The parameter {name!r} is missing.", hint=f"It takes {describe(node)}.")
    return feed


def unflatten(node: Node, tensors: Mapping[str, Array]) -> Any:
    """A value in the source's structure, its leaves taken from `tensors` by name."""
    # Most calls end here; matching patterns costs a microsecond.
    if type(node) is Tensor:
        return tensors[node.name]
    match node:
        case List(items=items):
            return [unflatten(item, tensors) for item in items]
        case Tuple(items=items, fields=fields, name=name):
            values = [unflatten(item, tensors) for item in items]
            if fields is None:
                return tuple(values)
            return _named_tuple(name or "Output", fields)(*values)
        case Dict(items=mapping):
            return {key: unflatten(item, tensors) for key, item in mapping.items()}
        case Nothing():
            return None
        case Constant(value=value):
            return value


@functools.cache
def _named_tuple(name: str, fields: tuple[str, ...]) -> Any:
    # Making the class takes longer than many models take to run.
    return namedtuple(name, fields)


def describe(node: Node) -> str:
    """A tree in one line, as messages and `inspect` show it."""
    match node:
        case Tensor(dtype=dtype, shape=shape):
            if shape is None:
                return f"{dtype}[…]"
            return f"{dtype}[{','.join('?' if dim is None else str(dim) for dim in shape)}]"
        case List(items=items):
            return f"[{', '.join(map(describe, items))}]"
        case Tuple(items=items, fields=fields):
            names = fields or ("",) * len(items)
            parts = [
                f"{name}={describe(item)}" if name else describe(item) for name, item in zip(names, items, strict=True)
            ]
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        case Dict(items=mapping):
            return "{" + ", ".join(f"{key}: {describe(item)}" for key, item in mapping.items()) + "}"
        case Nothing():
            return "None"
        case Constant(value=value):
            return repr(value)


def _flatten(value: Any, node: Node, path: str, feed: dict[str, Array]) -> None:
    match node:
        case Tensor(name=name):
            feed[name] = value
        case List(items=items) | Tuple(items=items):
            if not isinstance(value, list | tuple) or len(value) != len(items):
                raise _mismatch(path, node, value)
            for index, (item, child) in enumerate(zip(value, items, strict=True)):
                _flatten(item, child, f"{path}/{index}", feed)
        case Dict(items=mapping):
            if not isinstance(value, Mapping) or set(value) != set(mapping):
                raise _mismatch(path, node, value)
            for key, child in mapping.items():
                _flatten(value[key], child, f"{path}/{key}", feed)
        case Nothing():
            if value is not None:
                raise _mismatch(path, node, value)
        case Constant(value=constant):
            if type(value) is not type(constant) or value != constant:
                raise _mismatch(path, node, value)


def _mismatch(path: str, node: Node, value: Any) -> UsageError:
    found = f"keys {sorted(map(str, value))}" if isinstance(value, Mapping) else type(value).__name__
    if isinstance(value, list | tuple):
        found += f" of {len(value)}"
    return UsageError(f"The argument {path!r} is {found}; the model takes {describe(node)}.")

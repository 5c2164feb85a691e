"""From nested Python values (dicts, lists, tuples, None, scalars, tensors) to the interface's trees and leaf names.

Names of leaves are paths: below a parameter `batch/tokens/0`. In outputs the top level gives a dict's keys and a named
tuple's fields as they are, `output_0`, `output_1` for the items of a list or tuple, `output` for a bare tensor.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from transload.serialize.errors import UnsupportedError, UsageError
from transload.serialize.interface import Constant, Dict, List, Node, Nothing, Tensor, Tuple

Leaf = Callable[[str, Any], Tensor | None]
"""Describes the value at a path, whose name the path becomes; None where the framework does not call it a tensor."""


@dataclasses.dataclass(frozen=True)
class Container:
    """How objects of a library's class hold tensors.

    Args:
        open: Gives what is in an object, in dicts, lists and tuples.
        close: Makes a new object like the given one around such content.
    """

    open: Callable[[Any], Any]
    close: Callable[[Any, Any], Any]


CONTAINERS: dict[str, Container] = {}
"""By the qualified name of the class, which its subclasses share. By name, so that no library need be imported."""


def find_container(value: Any) -> Container | None:
    """The container that a value is, by its class or one above it."""
    names = (f"{cls.__module__}.{cls.__qualname__}" for cls in type(value).__mro__)
    return next((CONTAINERS[name] for name in names if name in CONTAINERS), None)


def build_tree(value: Any, leaf: Leaf, path: str) -> Node:
    """The tree of `value`, its leaves described by `leaf` and named by their paths, which begin with `path`.

    A dataclass is taken as a dict of its fields.

    Raises:
        UnsupportedError: something in it is neither a tensor, a structure, None nor a scalar.
    """
    return _build(value, leaf, path, lambda key: f"{path}/{key}")


def build_output_tree(value: Any, leaf: Leaf, taken: Iterable[str] = ()) -> Node:
    """The tree of what a callable returns; a leaf whose name is among `taken` (the inputs' names) gets `_out` appended.

    Raises:
        UnsupportedError: as `build_tree`.
        UsageError: two outputs would have the same name.
    """
    inputs = frozenset(taken)
    names: set[str] = set()

    def named_leaf(path: str, item: Any) -> Tensor | None:
        name = path
        while name in inputs:
            name += "_out"
        tensor = leaf(name, item)
        if tensor is not None and name in names:
            raise UsageError(f"Two outputs have the name {name!r}.", hint="Rename a key of what the source returns.")
        if tensor is not None:
            names.add(name)
        return tensor

    indexed = isinstance(value, list | tuple) and not hasattr(value, "_fields")
    return _build(value, named_leaf, "output", lambda key: f"output_{key}" if indexed else key)


def map_leaves(value: Any, replace: Callable[[str, Any], Any], path: str) -> Any:
    """A value of the same structure, in which `replace(path, item)` stands for whatever is no structure."""
    if (container := find_container(value)) is not None:
        return container.close(value, map_leaves(container.open(value), replace, path))
    children = _children(value)
    if children is None:
        return replace(path, value)
    items = {key: map_leaves(child, replace, f"{path}/{key}") for key, child in children.items()}
    if isinstance(value, dict):
        copy = value.copy()
        copy.update(items)
        return copy
    if isinstance(value, Mapping):
        return type(value)(items)  # type: ignore[call-arg]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **items)
    return type(value)(*items.values()) if hasattr(value, "_fields") else type(value)(items.values())


def map_tensors(tree: Node, replace: Callable[[Tensor], Tensor]) -> Node:
    """The same tree with other leaves."""
    match tree:
        case Tensor():
            return replace(tree)
        case List(items=items):
            return List(tuple(map_tensors(item, replace) for item in items))
        case Tuple(items=items, fields=fields, name=name):
            return Tuple(tuple(map_tensors(item, replace) for item in items), fields, name)
        case Dict(items=mapping):
            return Dict({key: map_tensors(item, replace) for key, item in mapping.items()})
        case _:
            return tree


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Values named by paths, put into dicts, or into lists where the keys at one level are 0, 1, 2, …

    Raises:
        UsageError: a name is also the beginning of another one's path.
    """
    root: dict[str, Any] = {}
    inner: set[int] = {id(root)}
    for name, value in flat.items():
        *folders, last = name.split("/")
        level = root
        for key in folders:
            if key not in level:
                level[key] = {}
                inner.add(id(level[key]))
            level = level[key]
            if id(level) not in inner:
                raise UsageError(f"The input {name!r} lies inside another input.")
        if last in level:
            raise UsageError(f"The input {name!r} is given twice, or holds another input.")
        level[last] = value

    def settle(level: dict[str, Any]) -> Any:
        settled = {key: settle(child) if id(child) in inner else child for key, child in level.items()}
        if list(settled) == [str(index) for index in range(len(settled))]:
            return list(settled.values())
        return settled

    return {key: settle(child) if id(child) in inner else child for key, child in root.items()}


def _build(value: Any, leaf: Leaf, path: str, child_path: Callable[[str], str]) -> Node:
    if (tensor := leaf(path, value)) is not None:
        return tensor
    if value is None:
        return Nothing()
    if isinstance(value, bool | int | float | str):
        return Constant(value)
    if (container := find_container(value)) is not None:
        return _build(container.open(value), leaf, path, child_path)
    children = _children(value)
    if children is None:
        raise UnsupportedError(
            f"A value of type {type(value).__module__}.{type(value).__qualname__} cannot be part of an interface.",
            where=path,
            hint="Tensors, dicts, lists, tuples, dataclasses, None, numbers and strings can.",
        )
    nodes = {key: build_tree(child, leaf, child_path(key)) for key, child in children.items()}
    match value:
        case list():
            return List(tuple(nodes.values()))
        case tuple() if hasattr(value, "_fields"):
            return Tuple(tuple(nodes.values()), fields=tuple(nodes), name=type(value).__name__)
        case tuple():
            return Tuple(tuple(nodes.values()))
        case _:
            return Dict(nodes)


def _children(value: Any) -> dict[str, Any] | None:
    """The items of a structure by key; None for what is no structure."""
    if isinstance(value, Mapping):
        if strange := [key for key in value if not isinstance(key, str)]:
            raise UnsupportedError(
                f"A dict has the key {strange[0]!r}, which is not a string.", hint="Use strings as keys."
            )
        return dict(value)
    if isinstance(value, list | tuple):
        return dict(zip(getattr(value, "_fields", map(str, range(len(value)))), value, strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None

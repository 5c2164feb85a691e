"""Trees: what a value is at the end of a block, taken down before the block's changes are undone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.cells import reach
from transload.convert.torch.script.poison import POISON, is_poisoned
from transload.convert.torch.script.values import (
    Cell,
    Complex,
    Content,
    Dict,
    Growing,
    List,
    Number,
    Object,
    Packed,
    Perhaps,
    Quantized,
    Sequence,
    Stale,
    Storage,
    Tensor,
    Uninitialized,
    Vector,
)
from transload.serialize.errors import UnsupportedError


@dataclass(frozen=True, eq=False)
class Known:
    """A Python value."""

    value: Any


@dataclass(frozen=True, eq=False)
class Leaf:
    """A tensor; `cell` is the one that it was read from."""

    content: Content
    cell: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Fixed:
    """A list or tuple of known length. `cell` is the list itself."""

    items: tuple[Tree, ...]
    is_list: bool
    cell: List | None = None


@dataclass(frozen=True, eq=False)
class Dynamic:
    """A list whose length depends on the data. `cell` is the list itself."""

    content: Sequence | Vector
    cell: List | None = None


@dataclass(frozen=True, eq=False)
class Mapping:
    """A dict, or the attributes of an object. `cell` is the dict or object itself."""

    items: dict[Any, Tree]
    is_object: bool
    cell: Dict | Object | None = None


@dataclass(frozen=True, eq=False)
class Optional:
    """None, or a tree that is there if `present`."""

    present: Number
    item: Tree


Tree = Known | Leaf | Fixed | Dynamic | Mapping | Optional | Number | Uninitialized


def take(interpreter: Any, value: Any) -> Tree:
    """The tree of a value as it is now."""
    match value:
        case Tensor():
            return Leaf(interpreter.read(value), value)
        case ir.Value() | Complex() | Quantized() | Packed():
            return Leaf(value)
        case List():
            content = value.content
            if isinstance(content, list):
                return Fixed(tuple(take(interpreter, item) for item in content), True, value)
            return Dynamic(content, value)
        case Dict() | Object():
            taken = {key: take(interpreter, item) for key, item in value.content.items()}
            return Mapping(taken, isinstance(value, Object), value)
        case tuple():
            return Fixed(tuple(take(interpreter, item) for item in value), False)
        case Perhaps(present=present, value=inner):
            return Optional(present, take(interpreter, inner))
        case Number() | Uninitialized():
            return value
        case _:
            return Known(value)


def take_result(interpreter: Any, value: Any) -> Tree:
    """As `take`; what has poison in it is poison."""
    return Known(POISON) if is_poisoned(value) else take(interpreter, value)


def take_content(interpreter: Any, cell: Cell, content: Any) -> Tree:
    """The tree of a cell's content.

    Raises:
        UnsupportedError: the cell is a tensor, of which other axes would have to be seen.
    """
    match cell:
        case Storage():
            return Leaf(content)
        case List() | Dict() | Object():
            return take(interpreter, type(cell)(content))
        case Tensor():
            raise UnsupportedError("The axes of a tensor are changed in place, depending on the data.")
        case _:
            return take_result(interpreter, content)


def give_content(cell: Cell, value: Any) -> Any:
    """The content for a cell from a value that was made of its tree."""
    match cell:
        case Storage() if value is not POISON:
            return value.storage.content
        case List() | Dict() | Object() if value is not POISON:
            return value.content
        case _:
            return value


def take_changes(interpreter: Any, mark: int) -> tuple[dict[Cell, Tree], list[Cell]]:
    """Of the cells older than the present block, those that it changed, and those of which nobody knows what they hold.

    Args:
        mark: A serial from the beginning of the block.
    """
    lasting = {
        cell: content
        for cell, content in interpreter.journal.peek().items()
        if cell.serial < mark and not isinstance(content, Growing)
    }
    changes = {
        cell: take_content(interpreter, cell, content)
        for cell, content in lasting.items()
        if not isinstance(content, Stale)
    }
    return changes, [cell for cell, content in lasting.items() if isinstance(content, Stale)]


def tree_cells(tree: Tree) -> Iterator[Cell]:
    """The cells in a tree."""
    match tree:
        case Leaf(cell=Tensor() as tensor):
            yield tensor
            yield tensor.storage
        case Fixed(items=items, cell=cell):
            if cell is not None:
                yield cell
            for item in items:
                yield from tree_cells(item)
        case Mapping(items=mapping, cell=cell):
            if cell is not None:
                yield cell
            for item in mapping.values():
                yield from tree_cells(item)
        case Dynamic(cell=List() as cell):
            yield cell
        case Optional(item=item):
            yield from tree_cells(item)


def note_sharing(trees: list[Tree]) -> dict[Cell, frozenset[Cell]]:
    """For each cell in trees, all cells that may be the same as it, while these are known."""
    return {cell: frozenset(reach(cell)) for tree in trees for cell in tree_cells(tree)}

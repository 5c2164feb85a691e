"""Keeping track of changes to cells, so that a block of the program can be tried, and undone or merged."""

from __future__ import annotations

from typing import Any

from transload.convert.torch.script.values import Attribute, Cell, Dict, List, Object, Stale, Storage, Tensor
from transload.serialize.errors import UnsupportedError


class Journal:
    """Writes to cells, and what they held before, one level for each block that is being translated."""

    def __init__(self) -> None:
        self._levels: list[dict[Cell, Any]] = []
        self._links: list[list[tuple[Cell, Cell]]] = []
        self.held: list[Storage] = []

    @property
    def depth(self) -> int:
        """How many blocks are being translated."""
        return len(self._levels)

    def write(self, cell: Cell, content: Any) -> None:
        """Give a cell other content; what may be the same cell becomes stale.

        Raises:
            UnsupportedError: a list of unknown length may hold the tensor, and would have to change with it.
        """
        others = reach(cell)
        if any(isinstance(each, Storage) and each.in_sequence for each in others):
            raise UnsupportedError(
                "A tensor is changed in place that is also in a list whose length depends on the data.",
                hint="Clone the tensor before it is put into the list.",
            )
        self.put(cell, content)
        for other in others:
            if other is not cell:
                self.spoil(other)

    def spoil(self, cell: Cell) -> None:
        """Take down that nobody knows what a cell holds."""
        self.put(cell, Stale())

    def put(self, cell: Cell, content: Any) -> None:
        """Give a cell other content, where it is known already what that does to others."""
        if self._levels:
            self._levels[-1].setdefault(cell, cell.raw)
        cell.raw = content

    def link(self, one: Cell, other: Cell) -> None:
        """Take down that two cells may be the same."""
        if one is other or other in one.maybe:
            return
        one.maybe.append(other)
        other.maybe.append(one)
        if self._links:
            self._links[-1].append((one, other))

    def hold(self, storage: Storage) -> None:
        """Take down that a list of unknown length holds a tensor; nothing may change it any more."""
        if not storage.in_sequence:
            storage.in_sequence = True
            self.held.append(storage)

    def begin(self) -> None:
        """Begin a block."""
        self._levels.append({})
        self._links.append([])

    def peek(self) -> dict[Cell, Any]:
        """The cells that changed in this block so far, with their present contents, `Stale` included."""
        return {cell: cell.raw for cell in self._levels[-1]}

    def rollback(self) -> None:
        """End the block and put everything back as it was before."""
        for cell, former in self._levels.pop().items():
            cell.raw = former
        for one, other in self._links.pop():
            one.maybe.remove(other)
            other.maybe.remove(one)


def reach(cell: Cell) -> set[Cell]:
    """The cell and all that may be the same."""
    found = {cell}
    open_ = [cell]
    while open_:
        for other in open_.pop().maybe:
            if other not in found:
                found.add(other)
                open_.append(other)
    return found


def outlive_blocks(value: Any) -> None:
    """Let the cells in a value count as older than every block, whenever they were made."""
    match value:
        case Tensor(storage=storage):
            value.serial = storage.serial = -1
        case List(content=list() as items):
            value.serial = -1
            for item in items:
                outlive_blocks(item)
        case Dict(content=items) | Object(content=items):
            value.serial = -1
            for item in items.values():
                outlive_blocks(item)
        case Attribute():
            value.serial = -1
        case tuple():
            for item in value:
                outlive_blocks(item)

"""Keeping track of changes to cells, so that a block of the program can be tried, and undone or merged."""

from __future__ import annotations

from typing import Any

from transload.convert.torch.script.values import Cell, Stale, Storage
from transload.serialize.errors import UnsupportedError


class Journal:
    """Writes to cells, and what they held before, one level for each block that is being translated."""

    def __init__(self) -> None:
        self._levels: list[dict[Cell, Any]] = []

    def write(self, cell: Cell, content: Any) -> None:
        """Give a cell other content.

        Raises:
            UnsupportedError: a list of unknown length holds the tensor, and would have to change with it.
        """
        if isinstance(cell, Storage) and cell.in_sequence and not isinstance(content, Stale):
            raise UnsupportedError(
                "A tensor is changed in place that is also in a list whose length depends on the data.",
                hint="Clone the tensor before it is put into the list.",
            )
        if self._levels:
            self._levels[-1].setdefault(cell, cell.content)
        cell.content = content
        if isinstance(cell, Storage) and not isinstance(content, Stale):
            for other in cell.maybe:
                self.write(other, Stale())

    def begin(self) -> None:
        """Begin a block."""
        self._levels.append({})

    def peek(self) -> dict[Cell, Any]:
        """The cells that changed in this block so far, with their present contents."""
        return {cell: cell.content for cell in self._levels[-1]}

    def rollback(self) -> None:
        """End the block and put everything back as it was before."""
        for cell, former in self._levels.pop().items():
            cell.content = former

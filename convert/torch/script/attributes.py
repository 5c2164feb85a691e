"""Attributes of the module tree: weights under their own names, state where forward sets or changes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transload.convert.torch.script.cells import outlive_blocks
from transload.convert.torch.script.literals import from_python
from transload.convert.torch.script.values import Attribute, Number, Storage, Tensor
from transload.serialize.errors import UnsupportedError


class Attributes:
    """Reads and writes attributes of a script module and of its submodules.

    A tensor attribute is one tensor wherever it is read; tied weights share memory, as they do in torch.

    Args:
        root: The module.
        state: By path, the values that stand for attributes which forward changes: tensors, or numbers.
    """

    def __init__(self, root: Any, state: Mapping[str, Tensor | Number] | None = None) -> None:
        self._paths: dict[Any, str] = {module: path for path, module in root.named_modules(remove_duplicate=False)}
        self._state = state or {}
        self._cells: dict[tuple[Any, str], Attribute] = {}
        self._storages: dict[int, Storage] = {}
        self._initial: dict[str, tuple[Any, Any]] = {}

    def get(self, interpreter: Any, owner: Any, name: str) -> Any:
        """The attribute's present value."""
        return self._cell(interpreter, owner, name).content

    def set(self, interpreter: Any, owner: Any, name: str, value: Any) -> None:
        """Give the attribute another value."""
        interpreter.journal.write(self._cell(interpreter, owner, name), value)

    def changed(self) -> dict[str, Any]:
        """By path, the attributes that forward has set to another value, or whose tensors it has changed."""
        found = {}
        for (owner, name), cell in self._cells.items():
            path = self._path(owner, name)
            value, memory = self._initial[path]
            if cell.content is not value or (isinstance(value, Tensor) and value.storage.content is not memory):
                found[path] = cell.content
        return found

    def initial(self, path: str) -> Any:
        """The value of an attribute of the state before the call."""
        return self._state[path]

    def _cell(self, interpreter: Any, owner: Any, name: str) -> Attribute:
        key = owner, name
        if key not in self._cells:
            path = self._path(owner, name)
            value = self._state[path] if path in self._state else self._read(interpreter, owner, name, path)
            self._cells[key] = Attribute(value)
            # First met inside a branch or loop, it is older nevertheless.
            outlive_blocks(value)
            outlive_blocks(self._cells[key])
            self._initial[path] = value, value.storage.content if isinstance(value, Tensor) else None
        return self._cells[key]

    def _read(self, interpreter: Any, owner: Any, name: str, path: str) -> Any:
        value = from_python(interpreter, getattr(owner, name), path)
        if isinstance(value, Tensor):
            value = Tensor(self._storages.setdefault(id(value.storage.content), value.storage))
        return value

    def _path(self, owner: Any, name: str) -> str:
        path = self._paths.get(owner)
        if path is None:
            raise UnsupportedError(f"The attribute {name!r} of an object that is no module is used.")
        return f"{path}.{name}" if path else name

"""Attributes of the module tree: weights under their own names, state where forward sets or changes it."""

from __future__ import annotations

from typing import Any

from transload.convert.torch.script.literals import from_python
from transload.convert.torch.script.values import Attribute, Storage, Tensor
from transload.serialize.errors import UnsupportedError


class Attributes:
    """Reads and writes attributes of a script module and of its submodules.

    A tensor attribute is one tensor wherever it is read; tied weights share memory, as they do in torch.
    """

    def __init__(self, root: Any) -> None:
        self._paths: dict[Any, str] = {module: path for path, module in root.named_modules(remove_duplicate=False)}
        self._cells: dict[tuple[Any, str], Attribute] = {}
        self._storages: dict[int, Storage] = {}
        self._initial: dict[tuple[Any, str], Any] = {}
        self._contents: dict[tuple[Any, str], Any] = {}

    def get(self, interpreter: Any, owner: Any, name: str) -> Any:
        """The attribute's present value."""
        return self._cell(interpreter, owner, name).content

    def set(self, interpreter: Any, owner: Any, name: str, value: Any) -> None:
        """Give the attribute another value."""
        interpreter.journal.write(self._cell(interpreter, owner, name), value)

    def changed(self) -> list[str]:
        """Names of the attributes that forward has set to another value, or whose tensors it has changed."""
        found = []
        for (owner, name), cell in self._cells.items():
            initial = self._initial[owner, name]
            is_other = cell.content is not initial
            if is_other or (
                isinstance(cell.content, Tensor) and cell.content.storage.content is not self._contents[owner, name]
            ):
                found.append(self._path(owner, name))
        return found

    def _cell(self, interpreter: Any, owner: Any, name: str) -> Attribute:
        key = owner, name
        if key not in self._cells:
            value = getattr(owner, name)
            path = self._path(owner, name)
            content = from_python(interpreter, value, path)
            if isinstance(content, Tensor):
                content = Tensor(self._storages.setdefault(id(content.storage.content), content.storage))
            self._cells[key] = Attribute(content)
            self._initial[key] = content
            if isinstance(content, Tensor):
                self._contents[key] = content.storage.content
        return self._cells[key]

    def _path(self, owner: Any, name: str) -> str:
        path = self._paths.get(owner)
        if path is None:
            raise UnsupportedError(f"The attribute {name!r} of an object that is no module is used.")
        return f"{path}.{name}" if path else name

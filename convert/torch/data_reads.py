"""Finding the lines at which a module turns values of its inputs into Python values, which no trace can follow."""

from __future__ import annotations

import linecache
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

WARNED_READS = frozenset({"item", "tolist", "numpy"} | {f"__{name}__" for name in ("bool", "int", "float", "complex")})
"""Names of torch functions that give Python values for what is in a tensor, of which a trace warns."""

SILENT_READS = frozenset({"equal", "allclose", "is_nonzero", "__contains__", "__index__", "__array__"})
"""More of them, of which a trace says nothing, or not on the line that asks."""

_FORMS = ("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like")
"""Functions that take no more than the form of a tensor; all methods `new_…` are others."""


@dataclass(frozen=True, order=True)
class Line:
    """A line of Python code."""

    file: str
    number: int

    def read(self) -> str:
        """The code on that line."""
        return linecache.getline(self.file, self.number).strip()

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


def find_data_reads(
    call: Callable[[], object], inputs: Iterable[torch.Tensor]
) -> tuple[frozenset[Line], frozenset[Line]]:
    """The lines at which `call` makes Python values of values that depend on those of `inputs`. Sizes are no values.

    First those of which a trace warns where they are part of it, then those of which it does not.
    """
    with _Watch(inputs) as watch:
        call()
    return frozenset(watch.warned), frozenset(watch.silent)


@dataclass(eq=False)
class _Watch(TorchFunctionMode):
    """Follows tensors that depend on the inputs' values, from function to function."""

    inputs: Iterable[torch.Tensor]
    warned: set[Line] = field(default_factory=set)
    silent: set[Line] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        # By id, since tensors compare by element; the weak reference's end takes the entry away.
        self._followed: dict[int, weakref.ref[torch.Tensor]] = {}
        for tensor in self.inputs:
            self._follow(tensor)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        arguments = list(_tensors((args, kwargs)))
        depends = any(id(tensor) in self._followed for tensor in arguments)
        if depends and name in WARNED_READS:
            self.warned.add(find_caller(sys._getframe(1)))
        if depends and name in SILENT_READS:
            self.silent.add(find_caller(sys._getframe(1)))
        result = func(*args, **(kwargs or {}))
        if depends and not name.startswith("new_") and name not in _FORMS:
            for tensor in _tensors((result, args[:1] if name.endswith("_") else ())):
                self._follow(tensor)
        return result

    def _follow(self, tensor: torch.Tensor) -> None:
        key = id(tensor)
        if key not in self._followed:
            self._followed[key] = weakref.ref(tensor, lambda _: self._followed.pop(key, None))


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)


def find_caller(frame: FrameType) -> Line:
    """The line that called, behind the frames by which torch hands a call to a mode."""
    current: FrameType | None = frame
    while current is not None and current.f_code.co_filename.endswith(("torch/overrides.py", "torch/_tensor.py")):
        current = current.f_back
    current = current or frame
    return Line(current.f_code.co_filename, current.f_lineno)

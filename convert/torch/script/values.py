"""What a TorchScript value may be during translation: known in Python, or computed by the graph.

Known: int, float, bool, complex, str, None, torch.device, tuples, script objects. Computed: tensors and numbers. Lists,
dicts, objects and the memory of tensors are cells, whose content can change (see cells.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import onnx_ir as ir

from transload.serialize.errors import UnsupportedError


@dataclass(frozen=True, eq=False)
class Number:
    """A Python number that is known only when the graph runs.

    Args:
        value: INT64, DOUBLE or BOOL of rank 0.
        kind: int, float or bool.
    """

    value: ir.Value
    kind: type


@dataclass(frozen=True, eq=False)
class Complex:
    """A complex tensor as two real ones of equal shape and dtype."""

    real: ir.Value
    imag: ir.Value


@dataclass(frozen=True, eq=False)
class Quantized:
    """A quantized tensor: integers, and what they mean. `axis` is None for one scale for all."""

    value: ir.Value
    scale: ir.Value
    zero_point: ir.Value
    axis: int | None = None


@dataclass(frozen=True, eq=False)
class Packed:
    """A packed sequence, kept padded and time-major: only recurrent layers and pad_packed_sequence can read it.

    Args:
        padded: Steps, batch, features; what stands behind a sequence's end means nothing.
        lengths: INT64 of rank 1.
    """

    padded: ir.Value
    lengths: ir.Value


Content = ir.Value | Complex | Quantized | Packed
"""What a tensor's memory holds."""


_serials = itertools.count()


class Stale:
    """The content of a cell that may or may not have been written to."""


class Cell:
    """Something whose content may change while the program runs; `cells.Journal` sees every change.

    Args:
        content: What it holds.

    `raw` is what it holds, `Stale` included. `maybe` lists cells that may be the very same, depending on the branch
    taken; a write to one makes the others stale, since nobody knows what they hold then.
    """

    kind = "value"

    def __init__(self, content: Any) -> None:
        self.raw = content
        self.serial = next(_serials)
        self.maybe: list[Cell] = []

    @property
    def content(self) -> Any:
        """What it holds now.

        Raises:
            UnsupportedError: nobody knows.
        """
        if isinstance(self.raw, Stale):
            raise UnsupportedError(
                f"A {self.kind} is read after a change in place to what may be the same {self.memory}, depending on "
                "the data.",
                hint=f"Clone the {self.kind} before it is changed.",
            )
        if isinstance(self.raw, Growing):
            raise GrowingError(self)
        return self.raw

    @property
    def memory(self) -> str:
        """What two of its kind share, in words."""
        return self.kind


class Storage(Cell):
    """A tensor's memory. Content: the value of the whole memory, as the tensor that first held it.

    `in_sequence` says that a list of unknown length holds such a tensor. `first` is what it held at the beginning.
    """

    kind = "tensor"

    def __init__(self, content: Content) -> None:
        super().__init__(content)
        self.first = content
        self.in_sequence = False

    @property
    def memory(self) -> str:
        return "memory"


class View(NamedTuple):
    """One step from a tensor to a part of it: the operator and its arguments besides the tensor."""

    operator: str
    arguments: dict[str, Any]


class Tensor(Cell):
    """A TorchScript tensor: a storage, seen through views. Content: the views, which unsqueeze_ and its like change."""

    kind = "tensor"

    def __init__(self, storage: Storage, views: tuple[View, ...] = ()) -> None:
        super().__init__(views)
        self.storage = storage


class List(Cell):
    """A list. Content: a Python list of values, or a Sequence or a Vector where its length depends on the data."""

    kind = "list"


class Sequence:
    """Tensors, as many as the data says: an ONNX sequence."""

    def __init__(self, value: ir.Value) -> None:
        self._value = value

    @property
    def value(self) -> ir.Value:
        """The ONNX sequence."""
        return self._value


class Stacked(Sequence):
    """Tensors of one shape, as many as the data says: one ONNX tensor with an axis more, the first.

    Args:
        stack: The tensor.
        split: Makes the ONNX sequence, where it is asked for.
    """

    def __init__(self, stack: ir.Value, split: Callable[[], ir.Value]) -> None:
        self.stack = stack
        self._split = split

    @property
    def value(self) -> ir.Value:
        """The ONNX sequence."""
        return self._split()


class Growing:
    """The content of a list while the body of a loop, at this depth of blocks, appends to it and does not read it."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.items: list[Any] = []


class GrowingError(Exception):
    """A list was read, or changed otherwise, while it was taken to be only appended to."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell


@dataclass(frozen=True, eq=False)
class Vector:
    """Numbers of one kind, as many as the data says: an ONNX tensor of rank 1, dtype as `Number.value`."""

    value: ir.Value
    kind: type


class Dict(Cell):
    """A dict with known keys. Content: a Python dict."""

    kind = "dict"


class Object(Cell):
    """An object of a TorchScript class made during the call. Content: its attributes."""

    kind = "object"


class Attribute(Cell):
    """An attribute of the module tree that forward sets. Content: its value."""


@dataclass(frozen=True)
class EnumMember:
    """A member of an enum."""

    name: str
    value: Any


@dataclass(frozen=True, eq=False)
class Future:
    """What torch.jit.fork gives: the value, computed at once."""

    value: Any


@dataclass(frozen=True)
class Text:
    """A string that depends on the data, or on how TorchScript writes numbers: good for messages alone."""


@dataclass(frozen=True, eq=False)
class Perhaps:
    """None, or a value that is there if `present`, which is known only when the graph runs."""

    present: Number
    value: Any


@dataclass(frozen=True)
class Uninitialized:
    """What a variable holds on a way on which nobody reads it."""


@dataclass(frozen=True, eq=False)
class Function:
    """A function that is a value; it can be handed on, not called."""

    name: str

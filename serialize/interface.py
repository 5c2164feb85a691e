"""The interface of a component: what it takes and returns, as a typed tree, and what was proven of it.

An interface is stored as `interface.json`. Its trees describe the source's own structure (dicts, lists, tuples,
None); the leaves name the ONNX graph's inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from transload.serialize.dtypes import DTYPES
from transload.serialize.errors import PackageError

INTERFACE_VERSION = "1.0"

Dimension = int | str | None
"""A size; a name, which means dynamic (equal names are equal sizes); or None, which means not known ahead."""


class _Frozen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Tensor(_Frozen, tag="tensor", tag_field="type"):
    """A leaf: one input or output of the ONNX graph. `shape` is None where even the rank is not known."""

    name: str
    dtype: str
    shape: tuple[Dimension, ...] | None


class List(_Frozen, tag="list", tag_field="type"):
    """A Python list."""

    items: tuple[Node, ...]


class Tuple(_Frozen, tag="tuple", tag_field="type"):
    """A Python tuple; with `fields`, a named one (`name` is the source's class, for the reader's benefit)."""

    items: tuple[Node, ...]
    fields: tuple[str, ...] | None = None
    name: str | None = None


class Dict(_Frozen, tag="dict", tag_field="type"):
    """A Python dict with string keys, in the source's order."""

    items: dict[str, Node]


class Nothing(_Frozen, tag="none", tag_field="type"):
    """Python's None."""


class Constant(_Frozen, tag="constant", tag_field="type"):
    """A Python scalar or string that the source takes or returns always with this value."""

    value: bool | int | float | str


Node = Tensor | List | Tuple | Dict | Nothing | Constant


class Tolerance(_Frozen):
    """Bounds for floats: a value passes when `|ours - reference| <= atol + rtol * |reference|`."""

    rtol: float
    atol: float


class SourceRecord(_Frozen):
    """Where a component came from. `sha256` is empty for a source that was an object in memory."""

    kind: str
    framework: str
    framework_version: str
    sha256: str = ""


class Case(_Frozen):
    """One input set that was tried: its name, what became of it, and the largest errors over all outputs.

    `result` is `equal` (within tolerance), `noise` (as near the truth as the source is), or `undefined` (the source
    itself refuses or has no defined answer there).
    """

    name: str
    result: str
    max_abs_error: float = 0.0
    max_rel_error: float = 0.0
    note: str = ""


class Proof(_Frozen):
    """The evidence that source and package agree: level `full`, `quick` or `none`, and every input set tried."""

    level: str
    cases: tuple[Case, ...] = ()
    notes: tuple[str, ...] = ()


class Interface(_Frozen):
    """What one component takes and returns.

    `inputs` maps the callable's parameter names, in order, to their trees. `tolerances` holds a bound for each
    floating output by tensor name, `user_tolerance` is true where the user widened them.
    """

    component: str
    inputs: dict[str, Node]
    outputs: Node
    tolerances: dict[str, Tolerance]
    source: SourceRecord
    proof: Proof
    user_tolerance: bool = False
    interface_version: str = INTERFACE_VERSION


def leaves(node: Node) -> Iterator[Tensor]:
    """The tensors of a tree, in order."""
    match node:
        case Tensor():
            yield node
        case List(items=items) | Tuple(items=items):
            for item in items:
                yield from leaves(item)
        case Dict(items=mapping):
            for item in mapping.values():
                yield from leaves(item)
        case Nothing() | Constant():
            return


def input_tensors(interface: Interface) -> tuple[Tensor, ...]:
    """Every input tensor of the ONNX graph, in order."""
    return tuple(leaf for node in interface.inputs.values() for leaf in leaves(node))


def output_tensors(interface: Interface) -> tuple[Tensor, ...]:
    """Every output tensor of the ONNX graph, in order."""
    return tuple(leaves(interface.outputs))


def encode_interface(interface: Interface) -> bytes:
    """The bytes of `interface.json`: two-space indented JSON with a final newline; equal values, equal bytes."""
    return msgspec.json.format(msgspec.json.encode(interface), indent=2) + b"\n"


def decode_interface(data: bytes, member: str) -> Interface:
    """Read `interface.json`.

    Raises:
        PackageError: the JSON does not follow the schema, its version is not known, or its names are not unique.
    """
    _check_version(data, member)
    try:
        interface = msgspec.json.decode(data, type=Interface)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PackageError(f"interface.json: {error}.", member=member, rule="interface-schema") from error
    names = [tensor.name for tensor in input_tensors(interface)]
    if len(set(names)) != len(names):
        raise PackageError("An input tensor is named twice.", member=member, rule="interface-schema")
    for tensor in (*input_tensors(interface), *output_tensors(interface)):
        if tensor.dtype not in DTYPES:
            raise PackageError(f"Unknown dtype {tensor.dtype!r}.", member=member, rule="interface-schema")
    return interface


def _check_version(data: bytes, member: str) -> None:
    try:
        header: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PackageError(f"interface.json: {error}.", member=member, rule="interface-schema") from error
    version = header.get("interface_version") if isinstance(header, dict) else None
    if not isinstance(version, str) or version.split(".")[0] != INTERFACE_VERSION.split(".")[0]:
        raise PackageError(
            f"The interface has version {version!r}; this reader understands {INTERFACE_VERSION}.",
            member=member,
            rule="interface-version",
            hint="Open the package with a newer transload.",
        )

"""The interface of a component: what it takes and returns, as a typed tree, and what was proven of it.

An interface is stored as `interface.json`. Its trees describe the source's own structure (dicts, lists, tuples,
None); the leaves name the ONNX graph's inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

import msgspec

from transload.serialize.dtypes import DTYPES
from transload.serialize.errors import PackageError
from transload.serialize.operator_domains import find_bad_domain
from transload.serialize.strict_json import convert_json, decode_json, encode_json

INTERFACE_VERSION = "1.0"

Dimension = int | str | None
"""A size; a name, which means dynamic (equal names are equal sizes); or None, which means not known ahead."""


class Tensor(msgspec.Struct, frozen=True, tag="tensor", tag_field="type"):
    """A leaf: one input or output of the ONNX graph. `shape` is None where even the rank is not known."""

    name: str
    dtype: str
    shape: tuple[Dimension, ...] | None


class List(msgspec.Struct, frozen=True, tag="list", tag_field="type"):
    """A Python list."""

    items: tuple[Node, ...]


class Tuple(msgspec.Struct, frozen=True, tag="tuple", tag_field="type"):
    """A Python tuple; with `fields`, a named one (`name` is the source's class, for the reader's benefit)."""

    items: tuple[Node, ...]
    fields: tuple[str, ...] | None = None
    name: str | None = None


class Dict(msgspec.Struct, frozen=True, tag="dict", tag_field="type"):
    """A Python dict with string keys, in the source's order."""

    items: dict[str, Node]


class Nothing(msgspec.Struct, frozen=True, tag="none", tag_field="type"):
    """Python's None."""


class Constant(msgspec.Struct, frozen=True, tag="constant", tag_field="type"):
    """A Python scalar or string that the source takes or returns always with this value."""

    value: bool | int | float | str


Node = Tensor | List | Tuple | Dict | Nothing | Constant


class Tolerance(msgspec.Struct, frozen=True):
    """Bounds for floats: a value passes when `|ours - reference| <= atol + rtol * |reference| + noise`.

    `noise` is the source's own float32 error on the recorded vectors, where they need it; see docs/numerics.md.
    """

    rtol: float
    atol: float
    noise: float = 0.0


class SourceRecord(msgspec.Struct, frozen=True):
    """Where a component came from.

    `sha256` is empty for a source that was an object in memory. `way` says how it was captured, where there is more
    than one way: `trace`, `script`, `export`.
    """

    kind: str
    framework: str
    framework_version: str
    sha256: str = ""
    way: str = ""


class Case(msgspec.Struct, frozen=True):
    """One input set that was tried: its name, what became of it, and the largest errors over all outputs.

    `result` is `equal` (within tolerance), `noise` (as near the truth as the source is), or `undefined` (the source
    itself refuses or has no defined answer there).
    """

    name: str
    result: str
    max_abs_error: float = 0.0
    max_rel_error: float = 0.0
    note: str = ""


class Proof(msgspec.Struct, frozen=True):
    """The evidence that source and package agree: level `full`, `quick` or `none`, and every input set tried."""

    level: str
    cases: tuple[Case, ...] = ()
    notes: tuple[str, ...] = ()


class State(msgspec.Struct, frozen=True):
    """What a component carries from one call to the next: an attribute of the source, by its `name`.

    `input` is an input of the graph whose initializer is the value before the first call; `output` is the output that
    the next call takes there.
    """

    name: str
    input: Tensor
    output: Tensor


class Interface(msgspec.Struct, frozen=True):
    """What one component takes and returns.

    `inputs` maps the callable's parameter names, in order, to their trees. `tolerances` holds a bound for each
    floating output by tensor name, state included, `user_tolerance` is true where the user widened them.
    `operator_domains` are those of operators that come from a library, which whoever runs the component has to give.
    """

    component: str
    inputs: dict[str, Node]
    outputs: Node
    tolerances: dict[str, Tolerance]
    source: SourceRecord
    proof: Proof
    user_tolerance: bool = False
    state: tuple[State, ...] = ()
    operator_domains: tuple[str, ...] = ()
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
    """Every input tensor of the ONNX graph, in order; state comes last."""
    arguments = tuple(leaf for node in interface.inputs.values() for leaf in leaves(node))
    return arguments + tuple(state.input for state in interface.state)


def output_tensors(interface: Interface) -> tuple[Tensor, ...]:
    """Every output tensor of the ONNX graph, in order; state comes last."""
    return tuple(leaves(interface.outputs)) + tuple(state.output for state in interface.state)


def encode_interface(interface: Interface) -> bytes:
    """The bytes of `interface.json`."""
    return encode_json(interface)


def decode_interface(data: bytes | memoryview, member: str) -> Interface:
    """Read `interface.json`.

    Raises:
        PackageError: the JSON does not follow the schema, its version is not known, or an input is named twice.
    """
    raw = decode_json(data, member)
    version = raw.get("interface_version")
    if not isinstance(version, str) or version.split(".")[0] != INTERFACE_VERSION.split(".")[0]:
        raise PackageError(
            f"The interface has version {version!r}; this reader understands {INTERFACE_VERSION}.",
            member=member,
            rule="interface-version",
            hint="Open the package with a newer transload.",
        )
    interface = convert_json(raw, Interface, member, "interface-schema")
    names = [tensor.name for tensor in input_tensors(interface)]
    if len(set(names)) != len(names):
        raise PackageError("An input tensor is named twice.", member=member, rule="interface-schema")
    for tensor in (*input_tensors(interface), *output_tensors(interface)):
        if tensor.dtype not in DTYPES:
            raise PackageError(f"Unknown dtype {tensor.dtype!r}.", member=member, rule="interface-schema")
        if any(isinstance(dim, int) and dim < 0 for dim in tensor.shape or ()):
            raise PackageError("A tensor has a negative size.", member=member, rule="interface-schema")
    check_operator_domains(interface, member)
    return interface


def check_operator_domains(interface: Interface, member: str) -> None:
    """Refuse an interface that declares a domain twice, or one that is not for a library to define.

    Raises:
        PackageError: with the rule `interface-schema`.
    """
    if (bad := find_bad_domain(interface.operator_domains)) is not None:
        what = f"The operator domain {bad!r} stands twice, or is not for a library to define."
        raise PackageError(what, member=member, rule="interface-schema")


def check_fit(
    interface: Interface,
    graph_inputs: Iterable[str],
    graph_outputs: Iterable[str],
    initializers: Container[str],
    component: str,
) -> None:
    """Refuse an interface whose tensors are not the inputs and outputs of the graph.

    An input with an initializer is a constant of the graph, unless the interface says that it is state; and state has
    an initializer.

    Raises:
        PackageError: with the rule `interface-fits`.
    """
    state = {each.input.name for each in interface.state}
    taken = [name for name in graph_inputs if (name in initializers) is (name in state)]
    for kind, graph_names, tensors in (
        ("inputs", taken, input_tensors(interface)),
        ("outputs", graph_outputs, output_tensors(interface)),
    ):
        ours, theirs = {tensor.name for tensor in tensors}, set(graph_names)
        if ours != theirs:
            raise PackageError(
                f"The interface's {kind} {sorted(ours)} are not the graph's {sorted(theirs)}.",
                member=component,
                rule="interface-fits",
            )

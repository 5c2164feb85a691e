"""What a model in a package may be: bounded in size and depth, of known operators, and with no call that never ends.

ONNX itself sets no such bounds, and a model of a few kilobytes can make a runtime expand it to millions of nodes.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping

import onnx
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError

from transload.serialize.dtypes import ONNX_NUMBER, numpy_dtype
from transload.serialize.errors import PackageError
from transload.serialize.model_contents import Contents, all_contents, is_external
from transload.serialize.wire_format import FIXED32, FIXED64, LENGTH, VARINT, WireFormatError, read_varint

MAX_MESSAGES = 1 << 19
"""Messages in a model. Each takes two bytes of file and some 160 of memory; a node with its values is about ten."""

MAX_FIELDS = 1 << 20
"""Fields in a model, of all messages together."""

MAX_DEPTH = 30
"""Graphs around a graph. Protobuf's own limit, 100 messages, is reached at 31."""

MAX_NODES = 1 << 20
"""Nodes after every call of a function is replaced by its body, as runtimes do."""

MAX_ELEMENTS = 1 << 56
"""Elements of a tensor; with 64 bits each they still count in 64 bits."""

STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})

CONFIG_KEY = "ort_config"
"""The metadata from which ONNX Runtime can be told to take session options."""

BITS: Mapping[int, int] = {
    number: 4 if name in ("int4", "uint4") else 8 * numpy_dtype(name).itemsize
    for name, number in ONNX_NUMBER.items()
    if name != "string"
}
"""The width of each element type, by its number in ONNX."""

Function = tuple[str, str, str]
"""What a node calls a function by: its domain, name and overload."""


def read_model(
    data: bytes | memoryview, member: str, domains: frozenset[str] = STANDARD_DOMAINS
) -> tuple[onnx.ModelProto, list[Contents]]:
    """Parse `model.onnx` and check it, but for its external data. Operators are of `domains`, or the model's own.

    Raises:
        PackageError: the bytes are not an ONNX model, or it breaks a rule of docs/format.md, section 2.4.
    """
    check_size(data, member)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(bytes(data))
    except DecodeError as error:
        raise PackageError(f"Not an ONNX model: {error}.", member=member, rule="onnx") from error
    if model.ByteSize() != len(data):
        raise PackageError(
            "The model is not in protobuf's shortest form: something in it stands twice, or hides.",
            member=member,
            rule="onnx-form",
        )
    return model, check_model(model, member, domains)


def check_model(model: onnx.ModelProto, member: str, domains: frozenset[str] = STANDARD_DOMAINS) -> list[Contents]:
    """Check a parsed model, and give the contents of its graph and functions.

    Raises:
        PackageError: it breaks a rule.
    """
    contents = check_structure(model, member)
    functions = {(function.domain, function.name, function.overload) for function in model.functions}
    for each in contents:
        for node in each.nodes:
            if node.domain not in domains and _callee(node) not in functions:
                raise PackageError(
                    f"The operator {_name(_callee(node))} (node {node.name!r}) is neither ONNX's nor the model's own.",
                    member=member,
                    rule="onnx-domains",
                )
    return contents


def check_structure(model: onnx.ModelProto, member: str) -> list[Contents]:
    """As `check_model`, with operators of any domain.

    Raises:
        PackageError: the model breaks a rule.
    """
    if not model.HasField("graph"):
        raise PackageError("The ONNX model has no graph.", member=member, rule="onnx")
    if model.training_info:
        raise PackageError("The model has training information.", member=member, rule="onnx-training")
    if any(entry.key == CONFIG_KEY for entry in model.metadata_props):
        raise PackageError("The model brings its own session options.", member=member, rule="onnx-config")
    contents = all_contents(model)
    if max(each.depth for each in contents) > MAX_DEPTH:
        raise PackageError(f"Graphs nest deeper than {MAX_DEPTH}.", member=member, rule="onnx-depth")
    _check_text(model, contents, member)
    bodies = _functions(model, contents[1:], member)
    _check_expansion(contents[0], bodies, member)
    for each in contents:
        for tensor in each.tensors:
            if not is_external(tensor):
                _check_dimensions(tensor, member)
    return contents


def check_size(data: bytes | memoryview | mmap.mmap, member: str) -> None:
    """Refuse a model of too many messages or fields before it is parsed, since each takes much more memory than file.

    Raises:
        PackageError: with the rule `onnx-size`.
    """
    # A message takes two bytes at least, so that no smaller file needs to be looked at.
    if len(data) >= 2 * MAX_MESSAGES and _is_too_wide(data):
        raise PackageError(
            f"The model has more than {MAX_MESSAGES} messages or {MAX_FIELDS} fields.", member=member, rule="onnx-size"
        )


def needed_bytes(tensor: onnx.TensorProto) -> int | None:
    """How many bytes a tensor's dimensions and element type make; None where it has no such type or dimensions."""
    if tensor.data_type not in BITS or any(dim < 0 for dim in tensor.dims):
        return None
    bits: int = math.prod(tensor.dims) * BITS[tensor.data_type]
    return -(-bits // 8)


def _check_text(model: onnx.ModelProto, contents: list[Contents], member: str) -> None:
    """Refuse names that are not UTF-8: protobuf's Python gives them as bytes, and other readers as they please."""
    texts: list[object] = [value.name for value in (*model.graph.input, *model.graph.output)]
    for function in model.functions:
        texts += (function.domain, function.name, function.overload)
    for each in contents:
        for node in each.nodes:
            texts += (node.domain, node.op_type, node.overload, node.name)
        texts += (tensor.name for tensor in each.tensors)
        entries = [entry for tensor in each.external_tensors() for entry in tensor.external_data]
        texts += (text for entry in entries for text in (entry.key, entry.value))
    if any(not isinstance(text, str) for text in texts):
        raise PackageError("A name or a place in the model is not UTF-8.", member=member, rule="onnx-text")


def _functions(model: onnx.ModelProto, contents: list[Contents], member: str) -> dict[Function, Contents]:
    bodies: dict[Function, Contents] = {}
    for function, body in zip(model.functions, contents, strict=True):
        key = function.domain, function.name, function.overload
        if key in bodies:
            raise PackageError(f"The function {_name(key)} stands twice.", member=member, rule="onnx-functions")
        if function.domain in STANDARD_DOMAINS:
            raise PackageError(
                f"The function {_name(key)} takes the place of a standard operator.",
                member=member,
                rule="onnx-functions",
            )
        bodies[key] = body
    return bodies


def _check_expansion(graph: Contents, bodies: Mapping[Function, Contents], member: str) -> None:
    """Refuse functions that call themselves, over others too, and those that expand to too many nodes."""
    calls = {
        key: [called for node in body.nodes if (called := _callee(node)) in bodies] for key, body in bodies.items()
    }
    sizes: dict[Function, int] = {}
    for root in bodies:
        # Each function that is being followed, and its calls that are yet to be.
        followed = {root: iter(calls[root])}
        while followed:
            key = next(reversed(followed))
            unsized = next((each for each in followed[key] if each not in sizes), None)
            if unsized is None:
                del followed[key]
                sizes[key] = len(bodies[key].nodes) + sum(sizes[each] for each in calls[key])
            elif unsized in followed:
                raise PackageError(f"The function {_name(unsized)} calls itself.", member=member, rule="onnx-functions")
            else:
                followed[unsized] = iter(calls[unsized])
    total = len(graph.nodes) + sum(sizes.get(_callee(node), 0) for node in graph.nodes)
    if total > MAX_NODES or max(sizes.values(), default=0) > MAX_NODES:
        raise PackageError(
            f"The model has more than {MAX_NODES} nodes when its functions are put in place.",
            member=member,
            rule="onnx-functions",
        )


def _callee(node: onnx.NodeProto) -> Function:
    return node.domain, node.op_type, node.overload


def _name(function: Function) -> str:
    return repr("::".join(part for part in function if part))


def _check_dimensions(tensor: onnx.TensorProto, member: str) -> None:
    """Refuse dimensions that are negative, whose product is too large, or that are not those of the bytes inside."""
    # Zeros are left out: whoever multiplies the others before them overflows all the same.
    product = math.prod(dim for dim in tensor.dims if dim)
    broken = product >= MAX_ELEMENTS or any(dim < 0 for dim in tensor.dims)
    if not broken and tensor.HasField("raw_data"):
        broken = needed_bytes(tensor) not in (None, len(tensor.raw_data))
    if broken:
        raise PackageError(
            f"The dimensions {list(tensor.dims)} of tensor {tensor.name!r} cannot be.",
            member=member,
            rule="onnx-tensors",
        )


def _is_too_wide(data: bytes | memoryview | mmap.mmap) -> bool:
    """Count messages and fields in the file's order. Where the bytes are malformed, the parser will stop as well."""
    messages = fields = 0
    position, end, children = 0, len(data), _MESSAGES[onnx.ModelProto.DESCRIPTOR.full_name]
    outer: list[tuple[int, dict[int, str]]] = []
    try:
        while True:
            if position >= end:
                if not outer or position > end:
                    return False
                end, children = outer.pop()
                continue
            tag, position = read_varint(data, position, end)
            fields += 1
            wire_type = tag & 7
            if wire_type == LENGTH:
                size, position = read_varint(data, position, end)
                child = children.get(tag >> 3)
                if child is None:
                    position += size
                else:
                    messages += 1
                    outer.append((end, children))
                    end, children = min(position + size, end), _MESSAGES[child]
            else:
                position = _skip_scalar(data, position, end, wire_type)
            if messages > MAX_MESSAGES or fields > MAX_FIELDS:
                return True
    except WireFormatError:
        return False


def _skip_scalar(data: bytes | memoryview | mmap.mmap, position: int, end: int, wire_type: int) -> int:
    if wire_type == VARINT:
        return read_varint(data, position, end)[1]
    if wire_type in (FIXED32, FIXED64):
        return position + (4 if wire_type == FIXED32 else 8)
    raise WireFormatError(position)


def _tabulate(root: Descriptor) -> dict[str, dict[int, str]]:
    """For each kind of message below `root`, by name: the kinds that its fields hold, by field number."""
    tables: dict[str, dict[int, str]] = {}
    queue = [root]
    while queue:
        descriptor = queue.pop()
        if descriptor.full_name in tables:
            continue
        inner = {item.number: item.message_type for item in descriptor.fields if item.message_type}
        tables[descriptor.full_name] = {number: each.full_name for number, each in inner.items()}
        queue.extend(inner.values())
    return tables


_MESSAGES = _tabulate(onnx.ModelProto.DESCRIPTOR)

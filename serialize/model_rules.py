"""What a model in a package may be: bounded in size and depth, of known operators, and with no call that never ends.

ONNX itself sets no such bounds, and a model of a few kilobytes can make a runtime expand it to millions of nodes.
"""

from __future__ import annotations

import math
import mmap
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field

import onnx
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from transload.serialize.dtypes import ONNX_NUMBER, numpy_dtype
from transload.serialize.errors import PackageError
from transload.serialize.model_contents import Root, roots, walk
from transload.serialize.operator_domains import STANDARD_DOMAINS
from transload.serialize.wire_format import FIXED32, FIXED64, LENGTH, VARINT, WireFormatError, read_varint, skip_varint

MAX_MESSAGES = 1 << 18
"""Messages in a model. Each takes two bytes of file and some 200 of memory; a node with its values is about ten."""

MAX_FIELDS = 1 << 19
"""Fields in a model, of all messages together. Of packed integers each byte counts: it may take eight of memory."""

MAX_DEPTH = 30
"""Graphs around a graph. Protobuf's own limit, 100 messages, is reached at 31."""

MAX_NODES = 1 << 20
"""Nodes after every call of a function is replaced by its body, as runtimes do."""

MAX_FUNCTIONS = 1 << 12
"""Functions in a model; what is kept of each while they are checked is much more than its message."""

MAX_ELEMENTS = 1 << 56
"""Elements of a tensor; with 64 bits each they still count in 64 bits."""

MAX_SHOWN = 16
"""Dimensions of a tensor that an error shows."""

CONFIG_KEY = "ort_config"
"""The metadata from which ONNX Runtime can be told to take session options."""

BITS: Mapping[int, int] = {
    number: 4 if name in ("int4", "uint4") else 8 * numpy_dtype(name).itemsize
    for name, number in ONNX_NUMBER.items()
    if name != "string"
}
"""The width of each element type, by its number in ONNX."""

_EXTERNAL = onnx.TensorProto.EXTERNAL

Function = tuple[str, str, str]
"""What a node calls a function by: its domain, name and overload."""


@dataclass
class _Survey:
    """What one walk over the graph or a function found, which is much less than its parts.

    Args:
        nodes: How many there are, those of subgraphs included.
        depth: The most subgraphs around a part.
        calls: How often each of the model's own functions is called.
        unknown: A node, and its operator, that is of no allowed domain and calls no such function.
        bad_tensor: A tensor whose dimensions cannot be, in words.
        is_text: Whether all names are UTF-8.
        has_external: Whether a tensor lies outside the model, or claims to.
    """

    nodes: int = 0
    depth: int = 0
    calls: Counter[Function] = field(default_factory=Counter)
    unknown: tuple[str, Function] | None = None
    bad_tensor: str | None = None
    is_text: bool = True
    has_external: bool = False


def read_model(data: bytes | memoryview, member: str, domains: Collection[str] = ()) -> tuple[onnx.ModelProto, bool]:
    """Parse `model.onnx` and check it, but for its external data. Operators: ONNX's, of `domains`, or the model's own.

    Returns:
        The model, and whether a tensor of it lies outside, or claims to.

    Raises:
        PackageError: the bytes are not an ONNX model, or it breaks a rule of docs/format.md, section 2.4.
    """
    check_size(data, member)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(bytes(data))
        # Other writers may put fields in another order, so that equal sizes have to do; but packed numbers are written
        # longer than they came, and could make up for what hides.
        is_as_long = model.ByteSize() == len(data)
        is_other = is_as_long and model.SerializeToString() != data and _has_packed_numbers(data)
    except (DecodeError, WireFormatError) as error:
        raise PackageError(f"Not an ONNX model: {error}.", member=member, rule="onnx") from error
    if not is_as_long or is_other:
        raise PackageError(
            "The model is not in protobuf's shortest form: something in it stands twice, or hides.",
            member=member,
            rule="onnx-form",
        )
    return model, check_model(model, member, domains)


def check_model(model: onnx.ModelProto, member: str, domains: Collection[str] | None = ()) -> bool:
    """Check a parsed model. Operators are ONNX's, of `domains` (of any where that is None), or the model's own.

    Returns:
        Whether a tensor lies outside the model, or claims to.

    Raises:
        PackageError: it breaks a rule.
    """

    def refuse_if(broken: bool, what: str, rule: str) -> None:
        if broken:
            raise PackageError(what, member=member, rule=rule)

    refuse_if(not model.HasField("graph"), "The ONNX model has no graph.", "onnx")
    refuse_if(bool(model.training_info), "The model has training information.", "onnx-training")
    has_config = any(entry.key == CONFIG_KEY for entry in model.metadata_props)
    refuse_if(has_config, "The model brings its own session options.", "onnx-config")
    too_many = len(model.functions) > MAX_FUNCTIONS
    refuse_if(too_many, f"The model has more than {MAX_FUNCTIONS} functions.", "onnx-functions")
    names = [(function.domain, function.name, function.overload) for function in model.functions]
    own = frozenset(names)
    allowed = None if domains is None else STANDARD_DOMAINS.union(domains)
    surveys = [_survey(root, own, allowed) for root in roots(model)]
    refuse_if(max(each.depth for each in surveys) > MAX_DEPTH, f"Graphs nest deeper than {MAX_DEPTH}.", "onnx-depth")
    is_text = all(each.is_text for each in surveys) and _are_text(text for name in names for text in name)
    is_text &= _are_text(value.name for values in (model.graph.input, model.graph.output) for value in values)
    refuse_if(not is_text, "A name or a place in the model is not UTF-8.", "onnx-text")
    _check_names(names, allowed or STANDARD_DOMAINS, member)
    _check_expansion(surveys[0], dict(zip(names, surveys[1:], strict=True)), member)
    for each in surveys:
        refuse_if(each.bad_tensor is not None, each.bad_tensor or "", "onnx-tensors")
    for each in surveys:
        if each.unknown is not None:
            node, operator = each.unknown
            what = f"The operator {_name(operator)} (node {node!r}) is neither ONNX's nor the model's own."
            refuse_if(True, what, "onnx-domains")
    return any(each.has_external for each in surveys)


def check_size(data: bytes | memoryview | mmap.mmap, member: str) -> None:
    """Refuse a model of too many messages or fields before it is parsed, since each takes much more memory than file.

    Raises:
        PackageError: with the rule `onnx-size`.
    """
    if is_too_wide(data, onnx.ModelProto.DESCRIPTOR):
        raise PackageError(
            f"The model has more than {MAX_MESSAGES} messages or {MAX_FIELDS} fields.", member=member, rule="onnx-size"
        )


def is_too_wide(data: bytes | memoryview | mmap.mmap, kind: Descriptor) -> bool:
    """Whether a message of `kind`, a model or what is in one, holds too many messages or fields."""
    # A message takes two bytes at least, and a field one, so that nothing smaller needs to be looked at.
    return len(data) >= MAX_MESSAGES * 2 and _is_too_wide(data, kind)


def needed_bytes(tensor: onnx.TensorProto) -> int | None:
    """How many bytes a tensor's dimensions and element type make; None where it has no such type or dimensions."""
    if tensor.data_type not in BITS or not are_possible(tensor.dims):
        return None
    bits: int = math.prod(tensor.dims) * BITS[tensor.data_type]
    return -(-bits // 8)


def _survey(root: Root, own: Set[Function], domains: frozenset[str] | None) -> _Survey:
    found = _Survey()
    for part, depth in walk(root):
        found.depth = max(found.depth, depth)
        if isinstance(part, onnx.NodeProto):
            found.nodes += 1
            callee = domain, operator, overload = _callee(part)
            if callee in own:
                found.calls[callee] += 1
            elif domains is not None and domain not in domains and found.unknown is None:
                found.unknown = part.name, callee
            # As `_are_text`, for what there is most of.
            if not (type(domain) is type(operator) is type(overload) is type(part.name) is str):
                found.is_text = False
        elif isinstance(part, onnx.TensorProto):
            _survey_tensor(part, found)
    return found


def _survey_tensor(tensor: onnx.TensorProto, found: _Survey) -> None:
    # One call for all fields that are there: of many tensors each is nearly empty.
    fields = {field.name: value for field, value in tensor.ListFields()}
    found.is_text &= type(fields.get("name", "")) is str
    # As `is_external`.
    if fields.get("data_location") == _EXTERNAL or "external_data" in fields:
        found.has_external = True
        entries = fields.get("external_data", ())
        found.is_text &= _are_text(text for entry in entries for text in (entry.key, entry.value))
    elif found.bad_tensor is None and ("dims" in fields or "raw_data" in fields):
        inside = len(fields["raw_data"]) if "raw_data" in fields else None
        # Dimensions that can be, and that are those of the bytes inside.
        if not are_possible(tensor.dims) or (inside is not None and needed_bytes(tensor) not in (None, inside)):
            found.bad_tensor = f"The dimensions {list(tensor.dims)[:MAX_SHOWN]} of tensor {tensor.name!r} cannot be."


def _are_text(names: Iterable[object]) -> bool:
    """Whether names are UTF-8; others protobuf's Python gives as bytes, and other readers as they please."""
    return all(isinstance(name, str) for name in names)


def _check_names(names: list[Function], domains: Set[str], member: str) -> None:
    """Refuse functions of one name, or of a domain whose operators are not the model's to define."""
    seen: set[Function] = set()
    for name in names:
        what = None
        if name in seen:
            what = f"The function {_name(name)} stands twice."
        elif name[0] in domains:
            what = f"The function {_name(name)} takes the place of an operator."
        if what is not None:
            raise PackageError(what, member=member, rule="onnx-functions")
        seen.add(name)


def _check_expansion(graph: _Survey, bodies: Mapping[Function, _Survey], member: str) -> None:
    """Refuse functions that call themselves, over others too, and those that expand to too many nodes."""
    sizes: dict[Function, int] = {}
    for root in bodies:
        # Each function that is being followed, and its calls that are yet to be.
        followed = {root: iter(bodies[root].calls)}
        while followed:
            key = next(reversed(followed))
            unsized = next((each for each in followed[key] if each not in sizes), None)
            if unsized is None:
                del followed[key]
                sizes[key] = _expanded(bodies[key], sizes)
            elif unsized in followed:
                raise PackageError(f"The function {_name(unsized)} calls itself.", member=member, rule="onnx-functions")
            else:
                followed[unsized] = iter(bodies[unsized].calls)
    if max(_expanded(graph, sizes), *sizes.values(), 0) > MAX_NODES:
        raise PackageError(
            f"The model has more than {MAX_NODES} nodes when its functions are put in place.",
            member=member,
            rule="onnx-functions",
        )


def _expanded(body: _Survey, sizes: Mapping[Function, int]) -> int:
    """How many nodes there are with each call replaced by a body of so many."""
    return body.nodes + sum(count * sizes[called] for called, count in body.calls.items())


def _callee(node: onnx.NodeProto) -> Function:
    return node.domain, node.op_type, node.overload


def _name(function: Function) -> str:
    return repr("::".join(part for part in function if part))


def are_possible(dims: Iterable[int]) -> bool:
    """Whether no dimension is negative and their product is in bounds; found out without computing a larger one."""
    product = 1
    for dim in dims:
        # Zeros are left out: whoever multiplies the others before them overflows all the same.
        product *= dim or 1
        if dim < 0 or product >= MAX_ELEMENTS:
            return False
    return True


def _is_too_wide(data: bytes | memoryview | mmap.mmap, kind: Descriptor) -> bool:
    """Count messages and fields in the file's order. Where the bytes are malformed, the parser will stop as well."""
    messages = fields = 0
    position, end, children = 0, len(data), _MESSAGES[kind.full_name]
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
                elif child == _VARINTS:
                    position += size
                    fields += size if position <= end else 0
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


def _has_packed_numbers(data: bytes | memoryview) -> bool:
    """Whether numbers come packed that are written one by one, in a model that was parsed.

    Raises:
        WireFormatError: it has groups, which protobuf gave up and takes for fields that nobody knows.
    """
    position, end, kind = 0, len(data), onnx.ModelProto.DESCRIPTOR.full_name
    outer: list[tuple[int, str]] = []
    while True:
        if position >= end:
            if not outer:
                return False
            end, kind = outer.pop()
            continue
        tag, position = read_varint(data, position, end)
        if tag & 7 != LENGTH:
            position = _skip_scalar(data, position, end, tag & 7)
            continue
        size, position = read_varint(data, position, end)
        child = _MESSAGES[kind].get(tag >> 3)
        if tag >> 3 in _UNPACKED[kind]:
            return True
        if child is None or child == _VARINTS:
            position += size
        else:
            outer.append((end, kind))
            end, kind = min(position + size, end), child


def _skip_scalar(data: bytes | memoryview | mmap.mmap, position: int, end: int, wire_type: int) -> int:
    if wire_type == VARINT:
        return skip_varint(data, position, end)
    if wire_type in (FIXED32, FIXED64):
        return position + (4 if wire_type == FIXED32 else 8)
    raise WireFormatError(position)


_INTEGERS = {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64}

_VARINTS = "varints"
"""In the place of a kind of message: numbers that may come packed, each of one byte or more."""


def _tabulate(root: Descriptor) -> dict[str, dict[int, str]]:
    """For each kind of message below `root`, by name: the kinds that its fields hold, by field number."""
    tables: dict[str, dict[int, str]] = {}
    queue = [root]
    while queue:
        descriptor = queue.pop()
        if descriptor.full_name in tables:
            continue
        inner = {item.number: item.message_type for item in descriptor.fields if item.message_type}
        varints = {item.number: _VARINTS for item in descriptor.fields if item.is_repeated and item.type in _INTEGERS}
        tables[descriptor.full_name] = varints | {number: each.full_name for number, each in inner.items()}
        queue.extend(inner.values())
    return tables


_MESSAGES = _tabulate(onnx.ModelProto.DESCRIPTOR)

_TEXTS = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE}

_UNPACKED: dict[str, frozenset[int]] = {
    name: frozenset(
        field.number
        for field in pool.FindMessageTypeByName(name).fields
        if field.is_repeated and field.type not in _TEXTS and not field.GetOptions().packed
    )
    for pool in (onnx.ModelProto.DESCRIPTOR.file.pool,)
    for name in _MESSAGES
}
"""For each kind of message, by name: the fields of numbers that are written one by one."""

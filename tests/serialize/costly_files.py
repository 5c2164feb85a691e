"""Edits that make a small package cost as much as the rules let it: each of them at a limit, or just past one.

What a reader takes for them is measured by `make broken`; see broken_files.py.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Callable

import onnx
from packages import Members

from transload.serialize.model_rules import MAX_FIELDS, MAX_FUNCTIONS, MAX_MESSAGES
from transload.serialize.strict_json import MAX_JSON_BYTES, MAX_JSON_PARTS

INTERFACE = "forward/portable/interface.json"
MODEL = "forward/portable/model.onnx"
VECTOR = "forward/portable/test_data_set_0/input_0.pb"

Edit = Callable[[Members], object]

MESSAGES = MAX_MESSAGES - 64
FIELDS = MAX_FIELDS - 256
"""As many as go in beside those of the small package's own model."""


def field(number: int, payload: bytes) -> bytes:
    """A field of protobuf's wire format that holds a message, a text or packed numbers."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def number_field(number: int, value: int) -> bytes:
    """A field that holds an integer."""
    return varint(number << 3) + varint(value)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def replace(member: str, data: bytes) -> Edit:
    return lambda members: members.update({member: data})


def in_model(tail: bytes) -> Edit:
    """Fields of ModelProto after those that are there."""
    return lambda members: members.update({MODEL: members[MODEL] + tail})


def in_graph(tail: bytes) -> Edit:
    """Fields of GraphProto after those that are there."""

    def edit(members: Members) -> None:
        model = onnx.ModelProto.FromString(members[MODEL])
        graph = model.graph.SerializeToString()
        model.ClearField("graph")
        members[MODEL] = model.SerializeToString() + field(7, graph + tail)

    return edit


def json_of(item: str) -> bytes:
    """As many of a value in a list as JSON may have."""
    count = min(MAX_JSON_BYTES // len(f"{item},".encode()), (MAX_JSON_PARTS - 8) // sum(map(f"{item},".count, ",[{")))
    return ('{"a":[' + ",".join([item] * count) + "]}").encode()[:MAX_JSON_BYTES]


def json_keys(last: str) -> bytes:
    """An object of as many keys as there may be, and one more."""
    letters = itertools.product(string.ascii_letters + string.digits, repeat=3)
    names = ["".join(name) for name, _ in zip(letters, range(MAX_JSON_PARTS - 8), strict=False)]
    return ("{" + ",".join(f'"{name}":1' for name in [*names, last]) + "}").encode()


JSON: dict[str, bytes] = {
    "objects": json_of("{}"),
    "objects of one key": json_of('{"":1}'),
    "objects in objects": json_of('{"":' * 60 + "1" + "}" * 60),
    "lists": json_of("[]"),
    "lists in lists": json_of("[" * 62 + "]" * 62),
    "numbers": json_of("1.5"),
    "texts": json_of('"\u0101"'),
    "long texts": json_of('"\u0101' + "x" * 24 + '"'),
    "one long text": ('{"a": "\U0001f600' + "x" * (MAX_JSON_BYTES - 16) + '"}').encode(),
    "keys": json_keys("last"),
    "a key that stands twice after many": json_keys("aaa"),
    "too many parts": b'{"a": [' + b"1," * (MAX_JSON_PARTS + 1) + b"1]}",
    "too many bytes": b'{"a": "' + b"x" * MAX_JSON_BYTES + b'"}',
}


def named(count: int, make: Callable[[bytes], bytes]) -> bytes:
    """Fields that each have a name of their own."""
    return b"".join(make(b"n%d" % index) for index in range(count))


NODE, INITIALIZER, INPUT, VALUE, SPARSE, FUNCTION = 1, 5, 11, 13, 15, 25
"""Fields of GraphProto, and of ModelProto."""

MODELS: dict[str, Edit] = {
    "nodes": in_graph(field(NODE, field(4, b"Abs")) * MESSAGES),
    "nodes with names": in_graph(named(MESSAGES, lambda name: field(NODE, field(3, name)))),
    "nodes of domains that nobody knows": in_graph(named(MESSAGES, lambda name: field(NODE, field(7, name)))),
    "values of one node": in_graph(field(NODE, field(1, b"") * FIELDS)),
    "attributes": in_graph(field(NODE, field(5, b"") * MESSAGES)),
    "nodes with an attribute": in_graph(field(NODE, field(5, b"")) * (MESSAGES // 2)),
    "subgraphs": in_graph(field(NODE, field(5, field(6, b""))) * (MESSAGES // 3)),
    "tensors": in_graph(field(INITIALIZER, b"") * MESSAGES),
    "tensors with names": in_graph(named(MESSAGES, lambda name: field(INITIALIZER, field(8, name)))),
    "tensors that lie outside": in_graph(field(INITIALIZER, number_field(14, 1)) * MESSAGES),
    "a tensor of many places": in_graph(field(INITIALIZER, field(13, b"") * MESSAGES)),
    "sparse tensors": in_graph(field(SPARSE, field(1, b"") + field(2, b"")) * (MESSAGES // 3)),
    "inputs": in_graph(named(MESSAGES, lambda name: field(INPUT, field(1, name)))),
    "values": in_graph(field(VALUE, b"") * MESSAGES),
    "functions": in_model(named(MAX_FUNCTIONS, lambda name: field(FUNCTION, field(1, name) + field(10, b"own")))),
    "functions of many nodes": in_model(
        named(MAX_FUNCTIONS, lambda name: field(FUNCTION, field(1, name) + field(10, b"own") + field(7, b"") * 32))
    ),
    "too many functions": in_model(
        named(MESSAGES // 2, lambda name: field(FUNCTION, field(1, name) + field(10, b"own")))
    ),
    "opsets": in_model(named(MESSAGES, lambda name: field(8, field(1, name)))),
    "metadata": in_model(named(MESSAGES // 2, lambda name: field(14, field(1, name)))),
    "dimensions of a tensor outside": in_graph(
        field(INITIALIZER, number_field(1, (1 << 62) - 1) * FIELDS + number_field(2, 1) + number_field(14, 1))
    ),
    "packed dimensions": in_graph(field(INITIALIZER, field(1, b"\1" * (8 << 20)))),
    "packed integers of an attribute": in_graph(field(NODE, field(5, field(8, b"\1" * (8 << 20))))),
    "packed integers of a tensor": in_graph(field(INITIALIZER, field(7, b"\1" * (8 << 20)))),
    "places past the limit": in_graph(field(INITIALIZER, field(13, b"") * (8 << 20))),
    "too many messages": in_graph(field(NODE, b"") * (MAX_MESSAGES + 1)),
    "too many fields": in_model(b"\xa2\x06\x00" * (MAX_FIELDS + 1)),
    "bytes of a tensor": in_graph(field(INITIALIZER, field(9, b"\1" * (16 << 20)))),
    "bytes that nobody knows": in_model(field(100, b"\1" * (16 << 20))),
}

VECTORS: dict[str, bytes] = {
    "packed integers": field(1, b"\1") + number_field(2, 7) + field(7, b"\1" * (8 << 20)),
    "dimensions": number_field(1, 2) * FIELDS + number_field(2, 22),
    "packed dimensions": field(1, b"\1" * (8 << 20)),
    "texts": number_field(2, 8) + field(6, b"") * FIELDS,
    "too many texts": number_field(2, 8) + field(6, b"") * (8 << 20),
    "bytes": number_field(1, 1) + number_field(2, 1) + field(9, b"\1" * (16 << 20)),
}


def many_members(members: Members) -> None:
    """More members than a manifest can list."""
    members.update({f"shared_assets/{index}": b"" for index in range(60_000)})


COSTLY: dict[str, Edit] = {
    **{
        f"costly {name} in {member}": replace(member, data)
        for member in ("manifest.json", INTERFACE)
        for name, data in JSON.items()
    },
    **{f"costly {name} in the model": edit for name, edit in MODELS.items()},
    **{f"costly {name} in a vector": replace(VECTOR, data) for name, data in VECTORS.items()},
    "costly members": many_members,
}

"""Spoils files at random: bytes of any file, fields of any protobuf message, members of the ZIP files of torch.

Whatever is spoiled keeps its outer form most of the time (lengths and CRC-32s are made anew), so that what reads it
gets past its first check.
"""

from __future__ import annotations

import io
import random
import re
import zipfile

from transload.serialize.wire_format import FIXED32, FIXED64, LENGTH, VARINT, WireFormatError, scan_fields

NUMBERS = (0, 1, 2, 3, 7, 8, 127, 128, 255, 1 << 16, 1 << 31, (1 << 31) - 1, 1 << 32, 1 << 62, 1 << 63, (1 << 64) - 1)
"""Where integers overflow, sizes become negative, and enumerations end."""

COUNTS = (1, 1, 1, 2, 3)
"""How many changes are made; one alone gets furthest."""

Node = tuple[int, int, "bytes | list[Node]"]
"""A field: its number, its wire type, and its payload, taken apart if it is a message."""


def mutate(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """A spoiled copy of a file; `others` are files of its kind, from which parts may come."""
    if chance.random() < 0.1:
        return mutate_bytes(data, chance)
    if data.startswith(b"PK"):
        return mutate_archive(data, others, chance)
    return mutate_message(data, others, chance)


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    """One to four changes of single bytes or runs of them."""
    spoiled = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        if not spoiled:
            break
        at = chance.randrange(len(spoiled))
        end = min(len(spoiled), at + chance.choice((1, 2, 8, 64)))
        kind = chance.randrange(5)
        if kind == 0:
            spoiled[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            spoiled[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            del spoiled[at:end]
        elif kind == 3:
            spoiled[at:at] = spoiled[at:end]
        else:
            del spoiled[at:]
    return bytes(spoiled)


def mutate_message(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """One to three changes of a protobuf message's fields, at any depth."""
    root = parse(data)
    if root is None:
        return mutate_bytes(data, chance)
    donors = [tree for other in others if (tree := parse(other)) is not None]
    for _ in range(chance.choice(COUNTS)):
        _mutate_fields(chance.choice(list(_messages(root))), root, donors, chance)
    return encode(root)


def parse(data: bytes, depth: int = 0) -> list[Node] | None:
    """A message's fields, those that look like messages taken apart too; None where the bytes are no message."""
    try:
        fields = list(scan_fields(data))
    except WireFormatError:
        return None
    nodes: list[Node] = []
    for number, wire_type, start, end in fields:
        payload = data[start:end]
        # A short text may look like a message; it is spoiled as either.
        inner = parse(payload, depth + 1) if wire_type == LENGTH and len(payload) > 1 and depth < 20 else None
        nodes.append((number, wire_type, inner if inner else payload))
    return nodes


def encode(nodes: list[Node]) -> bytes:
    """The message that `parse` would take apart so."""
    out = bytearray()
    for number, wire_type, payload in nodes:
        content = encode(payload) if isinstance(payload, list) else payload
        out += _varint(number << 3 | wire_type)
        out += _varint(len(content)) + content if wire_type == LENGTH else content
    return bytes(out)


def _messages(root: list[Node]) -> list[list[Node]]:
    """The message itself and all inside it that have fields."""
    found, queue = [], [root]
    while queue:
        message = queue.pop()
        found.append(message)
        queue += [payload for _, _, payload in message if isinstance(payload, list)]
    return [message for message in found if message] or [root]


def _mutate_fields(message: list[Node], root: list[Node], donors: list[list[Node]], chance: random.Random) -> None:
    if not message:
        return
    at = chance.randrange(len(message))
    number, wire_type, payload = message[at]
    kind = chance.randrange(7)
    if kind == 0:
        del message[at]
    elif kind == 1:
        message.insert(chance.randrange(len(message) + 1), message[at])
    elif kind == 2:
        other = chance.randrange(len(message))
        message[at], message[other] = message[other], message[at]
    elif kind == 3:
        donor = chance.choice(_messages(chance.choice([root, *donors])))
        same = [each for each in donor if each[:2] == (number, wire_type)]
        # A copy, since a message that holds itself could not be written.
        message[at] = _copy(chance.choice(same or donor))
    elif kind == 4:
        message[at] = (max(1, number + chance.choice((-1, 1))), wire_type, payload)
    else:
        message[at] = (number, wire_type, _mutate_payload(wire_type, payload, chance))


def _copy(node: Node) -> Node:
    number, wire_type, payload = node
    return number, wire_type, [_copy(each) for each in payload] if isinstance(payload, list) else payload


def _mutate_payload(wire_type: int, payload: bytes | list[Node], chance: random.Random) -> bytes:
    if wire_type == VARINT:
        return _varint(chance.choice(NUMBERS))
    if wire_type in (FIXED32, FIXED64):
        size = 4 if wire_type == FIXED32 else 8
        return chance.choice((b"\0" * size, b"\xff" * size, chance.randbytes(size), b"\0" * (size - 2) + b"\xc0\x7f"))
    content = encode(payload) if isinstance(payload, list) else payload
    return chance.choice((b"", content * 2, content[: len(content) // 2], mutate_bytes(content or b"\0", chance)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def mutate_archive(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """One to three changes of a ZIP file's members: code as text, all else as bytes, and which members there are."""
    members = read_archive(data)
    donors = [read_archive(other) for other in others if other.startswith(b"PK")]
    for _ in range(chance.choice(COUNTS)):
        _mutate_members(members, donors, chance)
    return write_archive(members)


def read_archive(data: bytes) -> dict[str, bytes]:
    """The members by name, without what only a debugger reads."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith(".debug_pkl")}


def write_archive(members: dict[str, bytes]) -> bytes:
    """An uncompressed ZIP file with CRC-32s that are right."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def _mutate_members(members: dict[str, bytes], donors: list[dict[str, bytes]], chance: random.Random) -> None:
    if not members:
        return
    code = [name for name in members if name.endswith(".py")]
    name = chance.choice(code if code and chance.random() < 0.6 else list(members))
    kind = chance.randrange(12)
    if kind == 0:
        del members[name]
    elif kind == 1:
        suffix = name.rsplit("/", 1)[-1]
        same = [content for donor in donors for each, content in donor.items() if each.endswith(suffix)]
        members[name] = chance.choice(same or [b""])
    elif name.endswith(".py") and kind < 11:
        members[name] = mutate_code(members[name], chance)
    else:
        members[name] = mutate_bytes(members[name], chance)


def _kind(token: str) -> str:
    """Number, member, name, or the mark itself."""
    if token[0].isdigit() or (token[0] == "-" and len(token) > 1):
        return "number"
    return ("member" if "." in token else "name") if token[0].isalpha() or token[0] == "_" else token


TOKEN = re.compile(r"[A-Za-z_][\w.]*|-?\d+(?:\.\d+)?(?:e-?\d+)?|\S")
WORDS = (
    *("None", "True", "[]", "[0]", "[1, 2]", "-1", "0", "1", "2", "3", "9223372036854775807", "-9223372036854775808"),
    *("1.5", "-0.", "inf", "annotate", "torch.add", "torch.mul", "torch.matmul", "torch.softmax", "torch.reshape"),
    *(
        "torch.slice",
        "torch.select",
        "torch.cat",
        "torch.stack",
        "torch.sum",
        "torch.len",
        "torch.append",
        "torch.size",
    ),
    *("torch.gather", "torch.index", "torch.copy_", "torch.add_", "torch.conv2d", "torch.item", "ops.prim.NumToTensor"),
    *("Tensor", "int", "float", "List[int]", "Dict[str, Tensor]", "Optional[Tensor]", "self", "while", "if", "else"),
)


def mutate_code(code: bytes, chance: random.Random) -> bytes:
    """TorchScript's serialised code with a token, or a line, left out, doubled, exchanged or replaced."""
    text = code.decode(errors="replace")
    if chance.random() < 0.3:
        lines = text.splitlines(keepends=True) or [""]
        at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        line = chance.choice(("", lines[at] * 2, lines[other]))
        return "".join([*lines[:at], line, *lines[at + 1 :]]).encode()
    tokens = list(TOKEN.finditer(text))
    if not tokens:
        return b"def"
    token = chance.choice(tokens)
    if chance.random() < 0.2:
        new = chance.choice(("", token[0] + " " + token[0], chance.choice(tokens)[0], chance.choice(WORDS)))
    else:
        # One of the same kind, so that most of what comes out is still a program.
        new = chance.choice(
            [each for each in (*WORDS, *(other[0] for other in tokens)) if _kind(each) == _kind(token[0])]
        )
    return (text[: token.start()] + new + text[token.end() :]).encode()

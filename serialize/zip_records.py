"""The ZIP records that a package uses, and where each member lies: a function of names and sizes alone.

Source: APPNOTE.TXT 6.3.10 (PKWARE). A package uses one form of each record, so that a list of (name, size, CRC-32)
determines every byte of the file outside the members' content. Reading is therefore: parse, lay out again, compare.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR64 = struct.Struct("<4sLQL")

LOCAL_MAGIC = b"PK\x03\x04"
CENTRAL_MAGIC = b"PK\x01\x02"
END_MAGIC = b"PK\x05\x06"
END64_MAGIC = b"PK\x06\x06"
LOCATOR64_MAGIC = b"PK\x06\x07"

STORED = 0
UTF8_FLAG = 0x0800
TIME, DATE = 0, 0x0021  # 1980-01-01 00:00:00, the first moment that ZIP can tell
MADE_BY_UNIX = 3 << 8
PERMISSIONS = 0o100644 << 16  # a regular file, rw-r--r--
VERSION, VERSION64 = 20, 45
ZIP64_ID = 0x0001
ALIGNMENT_ID = 0xD935  # as Android's zipalign: two bytes of alignment, then zeros

MAX16, MAX32 = 0xFFFF, 0xFFFFFFFF

SMALL_ALIGNMENT, PAGE_ALIGNMENT = 64, 4096
PAGE_THRESHOLD_BYTES = 64 << 10


def alignment_of(size_bytes: int) -> int:
    """The alignment in bytes of a member or tensor of this size: a page from 64 KiB on, else a cache line."""
    return PAGE_ALIGNMENT if size_bytes >= PAGE_THRESHOLD_BYTES else SMALL_ALIGNMENT


@dataclass(frozen=True)
class Member:
    """One file inside the package. `offset` is where its content begins, `header_offset` its local header."""

    name: str
    size_bytes: int
    crc32: int
    offset: int
    header_offset: int


def lay_out(members: Iterable[tuple[str, int, int]]) -> tuple[tuple[Member, ...], int]:
    """Place members given as (name, size in bytes, CRC-32) one after another; also the end of the last."""
    placed: list[Member] = []
    position = 0
    for name, size_bytes, crc32 in members:
        fixed = LOCAL.size + len(name.encode()) + _local_zip64_size(size_bytes) + 6
        alignment = alignment_of(size_bytes)
        offset = -(-(position + fixed) // alignment) * alignment
        placed.append(Member(name, size_bytes, crc32, offset, position))
        position = offset + size_bytes
    return tuple(placed), position


def encode_local(member: Member) -> bytes:
    """A member's local header, name and extra field: every byte from its header up to its content."""
    name = member.name.encode()
    extra = b""
    size = member.size_bytes
    if size >= MAX32:
        extra = struct.pack("<2H2Q", ZIP64_ID, 16, size, size)
        size = MAX32
    space = member.offset - member.header_offset - LOCAL.size - len(name) - len(extra) - 4
    alignment = struct.pack("<H", alignment_of(member.size_bytes))
    extra += struct.pack("<2H", ALIGNMENT_ID, space) + alignment.ljust(space, b"\0")
    version = VERSION64 if size == MAX32 else VERSION
    header = LOCAL.pack(
        LOCAL_MAGIC,
        version,
        _flags(name),
        STORED,
        TIME,
        DATE,
        member.crc32,
        size,
        size,
        len(name),
        len(extra),
    )
    return header + name + extra


def encode_central(member: Member) -> bytes:
    """A member's entry in the central directory."""
    name = member.name.encode()
    large: list[int] = []
    size, offset = member.size_bytes, member.header_offset
    if size >= MAX32:
        large += [size, size]
        size = MAX32
    if offset >= MAX32:
        large.append(offset)
        offset = MAX32
    extra = struct.pack(f"<2H{len(large)}Q", ZIP64_ID, 8 * len(large), *large) if large else b""
    version = VERSION64 if large else VERSION
    entry = CENTRAL.pack(
        CENTRAL_MAGIC,
        MADE_BY_UNIX | version,
        version,
        _flags(name),
        STORED,
        TIME,
        DATE,
        member.crc32,
        size,
        size,
        len(name),
        len(extra),
        0,
        0,
        0,
        PERMISSIONS,
        offset,
    )
    return entry + name + extra


def encode_end(count: int, central_offset: int, central_size: int) -> bytes:
    """The records after the central directory, the 64-bit ones where a number does not fit into the plain one."""
    records = b""
    if count >= MAX16 or central_offset >= MAX32 or central_size >= MAX32:
        made_by = MADE_BY_UNIX | VERSION64
        rest = END64.size - 12
        records = END64.pack(END64_MAGIC, rest, made_by, VERSION64, 0, 0, count, count, central_size, central_offset)
        records += LOCATOR64.pack(LOCATOR64_MAGIC, 0, central_offset + central_size, 1)
    short_count = min(count, MAX16)
    return records + END.pack(
        END_MAGIC, 0, 0, short_count, short_count, min(central_size, MAX32), min(central_offset, MAX32), 0
    )


def _flags(name: bytes) -> int:
    return 0 if name.isascii() else UTF8_FLAG


def _local_zip64_size(size_bytes: int) -> int:
    return 20 if size_bytes >= MAX32 else 0

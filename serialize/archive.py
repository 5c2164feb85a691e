"""Reading the ZIP file of a package: every rule is one `if` with one error, and nothing is trusted before it passed."""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from transload.serialize import zip_records as zr
from transload.serialize.crc32 import crc32_of
from transload.serialize.errors import PackageError
from transload.serialize.member_names import check_name, check_names
from transload.serialize.platform import FileState, file_state, map_file
from transload.serialize.zip_records import Member

MAX_CENTRAL_BYTES = 4 << 20
"""Tens of thousands of members, more than a manifest can list; Python takes ten times as much memory for them."""


@dataclass(frozen=True)
class Archive:
    """A mapped archive whose structure was checked. Views point into the mapping and keep it alive."""

    path: Path
    members: Mapping[str, Member]
    mapping: mmap.mmap
    state: FileState

    def check_unchanged(self) -> None:
        """Refuse to go on when the path no longer leads to the file that was checked, as it was then.

        Whoever opens the path anew, as ONNX Runtime does, would read other bytes than were checked.

        Raises:
            PackageError: the file was replaced, written to, cut short or removed.
        """
        try:
            state = file_state(self.path.stat())
        except OSError:
            state = None
        if state != self.state:
            raise PackageError(
                f"{self.path} changed after it was opened.", rule="changed", hint="Open the package again."
            )

    def view(self, name: str) -> memoryview:
        """The content of a member, not copied and not checked against its CRC-32.

        Raises:
            PackageError: there is no such member, or the file was cut short since it was opened.
        """
        member = self.members.get(name)
        if member is None:
            raise PackageError(f"The package has no member {name!r}.", member=name, rule="members")
        # Reading a page past the end of the file would kill the process.
        if self.mapping.size() < len(self.mapping):
            raise PackageError(f"{self.path} was cut short after it was opened.", member=name, rule="changed")
        return memoryview(self.mapping)[member.offset : member.offset + member.size_bytes]

    def check_crc32(self, name: str) -> None:
        """Compare a member's content with its CRC-32.

        Raises:
            PackageError: they differ.
        """
        if crc32_of(self.view(name)) != self.members[name].crc32:
            raise PackageError("The content does not match its CRC-32: the file is damaged.", member=name, rule="crc32")

    def sha256(self, name: str) -> str:
        """The SHA-256 of a member's content, as lowercase hex."""
        return hashlib.sha256(self.view(name)).hexdigest()


def open_archive(path: Path) -> Archive:
    """Map a package file and check its structure; no content of a member is read.

    Raises:
        PackageError: the file breaks a rule of docs/format.md; `rule` names it, and `member` the member.
        UsageError: the file cannot be read.
    """
    # ONNX Runtime refuses external data behind symbolic links, which is how model caches store files.
    path = path.resolve()
    mapping, state = map_file(path)
    members = _read_members(memoryview(mapping))
    return Archive(path, MappingProxyType({member.name: member for member in members}), mapping, state)


def _read_members(data: memoryview) -> tuple[Member, ...]:
    count, central_offset, central_size, end = _read_end(data)
    if central_size > MAX_CENTRAL_BYTES or count * zr.CENTRAL.size > central_size:
        raise PackageError("The central directory's size and its number of entries disagree.", rule="central-directory")
    if central_offset + central_size != end:
        raise PackageError("There are bytes that belong to nothing.", rule="no-gaps")
    found = _read_central(data[central_offset:end], count)
    for member in found:
        check_name(member.name)
    check_names(member.name for member in found)
    members, content_end = zr.lay_out((member.name, member.size_bytes, member.crc32) for member in found)
    for member, claimed in zip(members, found, strict=True):
        if claimed.header_offset != member.header_offset or member.offset + member.size_bytes > central_offset:
            raise PackageError(
                "The member does not lie where its place in the order and its alignment put it.",
                member=member.name,
                rule="no-gaps",
            )
        header = zr.encode_local(member)
        if data[member.header_offset : member.offset] != header:
            raise PackageError("Local header and central directory disagree.", member=member.name, rule="local-header")
    if content_end != central_offset:
        raise PackageError("There are bytes between the last member and the central directory.", rule="no-gaps")
    return members


def _read_end(data: memoryview) -> tuple[int, int, int, int]:
    """Entries, offset and size of the central directory, and where the end records begin."""
    start = len(data) - zr.END.size
    if start < 0 or data[start : start + 4] != zr.END_MAGIC:
        raise PackageError(
            "The file does not end with a ZIP end record: it is cut off, has bytes after its end, or is not a package.",
            rule="end-record",
        )
    _, disk, central_disk, count_here, count, size, offset, comment = zr.END.unpack(data[start:])
    if comment:
        raise PackageError("The archive has a comment.", rule="no-comment")
    end = start
    if count == zr.MAX16 or size == zr.MAX32 or offset == zr.MAX32:
        count, offset, size, end = _read_end64(data, start)
        count_here = min(count, zr.MAX16)
    if disk or central_disk or count_here != min(count, zr.MAX16):
        raise PackageError("The archive claims to span several disks.", rule="one-disk")
    if data[end:] != zr.encode_end(count, offset, size):
        raise PackageError("The end records are not in the one form that a package uses.", rule="end-record")
    return count, offset, size, end


def _read_end64(data: memoryview, end: int) -> tuple[int, int, int, int]:
    start = end - zr.LOCATOR64.size - zr.END64.size
    if start < 0 or data[start : start + 4] != zr.END64_MAGIC:
        raise PackageError("The ZIP64 end record is missing.", rule="end-record")
    fields = zr.END64.unpack(data[start : start + zr.END64.size])
    _, _, _, _, _, _, _, count, size, offset = fields
    if size > start or offset > start:
        raise PackageError("The ZIP64 end record points past itself.", rule="end-record")
    return count, offset, size, start


def _read_central(data: memoryview, count: int) -> list[Member]:
    members: list[Member] = []
    position = 0
    for _ in range(count):
        if position + zr.CENTRAL.size > len(data):
            raise PackageError("The central directory ends early.", rule="central-directory")
        fields = zr.CENTRAL.unpack(data[position : position + zr.CENTRAL.size])
        name_size, extra_size, comment_size = fields[10:13]
        name_start = position + zr.CENTRAL.size
        extra_start = name_start + name_size
        end = extra_start + extra_size + comment_size
        if fields[0] != zr.CENTRAL_MAGIC or end > len(data):
            raise PackageError("The central directory is damaged.", rule="central-directory")
        name = _decode_name(bytes(data[name_start:extra_start]))
        member = _check_entry(name, fields, data[extra_start : extra_start + extra_size])
        if zr.encode_central(member) != data[position:end]:
            raise PackageError(
                "The central directory entry is not in the one form that a package uses.",
                member=name,
                rule="canonical",
            )
        members.append(member)
        position = end
    if position != len(data):
        raise PackageError("The central directory has bytes after its entries.", rule="no-gaps")
    return members


def _decode_name(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise PackageError(f"A member's name is not UTF-8: {name!r}.", rule="name") from error


def _check_entry(name: str, fields: tuple[int, ...], extra: memoryview) -> Member:
    _, _, _, flags, method, time, date, crc32, packed, size, _, _, comment, disk, _, permissions, offset = fields
    rules = (
        ("no-encryption", flags & 0x2041, "The member is encrypted."),
        ("no-data-descriptor", flags & 0x0008, "The member has a data descriptor."),
        ("stored", method != zr.STORED, "The member is compressed; a package stores."),
        ("sizes", packed != size, "The member's two sizes differ though it is not compressed."),
        ("timestamp", (time, date) != (zr.TIME, zr.DATE), "The member has a time of its own."),
        ("permissions", permissions != zr.PERMISSIONS, "The member is not a regular file with mode 0644."),
        ("no-comment", comment, "The member has a comment."),
        ("one-disk", disk, "The member claims to lie on another disk."),
    )
    for rule, broken, what in rules:
        if broken:
            raise PackageError(what, member=name, rule=rule)
    large = _zip64_numbers(name, extra, (size == zr.MAX32) * 2 + (offset == zr.MAX32))
    if size == zr.MAX32:
        size = large[0]
    if offset == zr.MAX32:
        offset = large[-1]
    return Member(name, size, crc32, 0, offset)


def _zip64_numbers(name: str, extra: memoryview, count: int) -> tuple[int, ...]:
    if not count and not len(extra):
        return ()
    if not count or len(extra) != 4 + 8 * count:
        raise PackageError(
            "The entry's extra field is not the ZIP64 field that its sizes need.", member=name, rule="zip64"
        )
    header_id, size, *numbers = struct.unpack(f"<2H{count}Q", extra)
    if header_id != zr.ZIP64_ID or size != 8 * count:
        raise PackageError("The entry's ZIP64 field is damaged.", member=name, rule="zip64")
    return tuple(numbers)

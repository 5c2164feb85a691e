"""Writing the ZIP file of a package: content is streamed once, headers and digests are filled in afterwards."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import IO, Protocol

from transload.serialize import zip_records as zr
from transload.serialize.member_names import check_name, check_names

CHUNK_BYTES = 8 << 20
"""How much of a file is handled at a time."""

Buffer = bytes | memoryview


class Content(Protocol):
    """What a member will hold: its size is known before its bytes are asked for."""

    @property
    def size_bytes(self) -> int:
        """How many bytes `chunks` will give in all."""

    def chunks(self) -> Iterator[Buffer]:
        """The bytes, piece by piece."""


@dataclass(frozen=True)
class Bytes:
    """Content that is in memory."""

    data: Buffer

    @property
    def size_bytes(self) -> int:
        """The length of the data."""
        return len(self.data)

    def chunks(self) -> Iterator[Buffer]:
        """The data in pieces that suit a cache."""
        view = memoryview(self.data)
        for start in range(0, len(view), CHUNK_BYTES):
            yield view[start : start + CHUNK_BYTES]


@dataclass(frozen=True)
class Digest:
    """What is recorded of a written member."""

    size_bytes: int
    sha256: str


NO_SHA256 = "0" * 64


def write_archive(
    file: IO[bytes],
    contents: Mapping[str, Content],
    index_name: str,
    make_index: Callable[[Mapping[str, Digest]], bytes],
) -> None:
    """Write members, sorted by name, and the index member that holds the digests of all others.

    `make_index` is called twice, first with all-zero digests to learn the index's length, which must not depend on
    the digests' values.

    Raises:
        PackageError: a name is not allowed.
        ValueError: content or index had another length than announced.
    """
    blank = {name: Digest(content.size_bytes, NO_SHA256) for name, content in contents.items()}
    index_size = len(make_index(blank))
    sizes = {name: digest.size_bytes for name, digest in blank.items()} | {index_name: index_size}
    names = sorted(sizes, key=str.encode)
    for name in names:
        check_name(name)
    check_names(names)
    members, end = zr.lay_out((name, sizes[name], 0) for name in names)

    digests: dict[str, Digest] = {}
    finished: dict[str, zr.Member] = {}
    for member in members:
        if member.name != index_name:
            crc32, sha256 = _write_content(file, member, contents[member.name])
            finished[member.name] = replace(member, crc32=crc32)
            digests[member.name] = Digest(member.size_bytes, sha256)
    index = next(member for member in members if member.name == index_name)
    crc32, _ = _write_content(file, index, Bytes(make_index(digests)))
    finished[index_name] = replace(index, crc32=crc32)

    for name in names:
        file.seek(finished[name].header_offset)
        file.write(zr.encode_local(finished[name]))
    central = b"".join(zr.encode_central(finished[name]) for name in names)
    file.seek(end)
    file.write(central)
    file.write(zr.encode_end(len(names), end, len(central)))
    file.truncate()


def _write_content(file: IO[bytes], member: zr.Member, content: Content) -> tuple[int, str]:
    file.seek(member.offset)
    crc32, sha256, written = 0, hashlib.sha256(), 0
    # Hashing takes as long as writing, and both leave the interpreter free.
    with ThreadPoolExecutor(1) as hasher:
        for chunk in content.chunks():
            hashed = hasher.submit(sha256.update, chunk)
            file.write(chunk)
            crc32 = zlib.crc32(chunk, crc32)
            written += len(chunk)
            hashed.result()
    if written != member.size_bytes:
        raise ValueError(f"{member.name}: {written} bytes came where {member.size_bytes} were announced")
    return crc32, sha256.hexdigest()

"""Each rule of the archive, broken once: the reader must refuse, and name the member and the rule."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from transload.serialize import zip_records as zr
from transload.serialize.archive import open_archive
from transload.serialize.archive_writer import Bytes, write_archive
from transload.serialize.errors import PackageError, UsageError

Write = Callable[[bytes], Path]


def make_archive(contents: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    write_archive(file, {name: Bytes(data) for name, data in contents.items()}, "index", lambda digests: b"{}")
    return file.getvalue()


CONTENTS = {"a/model": b"graph", "a/weights": bytes(range(256)) * 300, "b": b""}


@pytest.fixture(scope="module")
def archive_bytes() -> bytes:
    return make_archive(CONTENTS)


def entry_of(data: bytes, name: str) -> int:
    """Where a member's entry in the central directory begins."""
    central = struct.unpack_from("<L", data, len(data) - 6)[0]
    return data.index(name.encode(), central) - zr.CENTRAL.size


def patch(data: bytes, offset: int, code: str, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(f"<{code}", changed, offset, value)
    return bytes(changed)


def refused(path: Path) -> PackageError:
    with pytest.raises(PackageError) as caught:
        open_archive(path)
    assert caught.value.exit_status == 4
    return caught.value


def test_members_come_back_as_they_were_written(archive_bytes: bytes, write: Write) -> None:
    archive = open_archive(write(archive_bytes))
    assert {name: bytes(archive.view(name)) for name in archive.members} == CONTENTS | {"index": b"{}"}


def test_python_s_own_zip_reader_finds_no_fault(archive_bytes: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(archive_bytes)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == CONTENTS | {"index": b"{}"}


def test_large_members_begin_at_a_page_and_small_ones_at_a_cache_line(archive_bytes: bytes, write: Write) -> None:
    members = open_archive(write(archive_bytes)).members
    assert members["a/weights"].offset % 4096 == 0
    assert members["a/model"].offset % 64 == 0


@pytest.mark.parametrize(
    ("field", "code", "value", "rule"),
    [
        (8, "H", 0x0001, "no-encryption"),
        (8, "H", 0x0008, "no-data-descriptor"),
        (8, "H", 0x0800, "canonical"),
        (10, "H", 8, "stored"),
        (12, "H", 1, "timestamp"),
        (14, "H", 0x5A21, "timestamp"),
        (20, "L", 4, "sizes"),
        (34, "H", 1, "one-disk"),
        (38, "L", 0o120777 << 16, "permissions"),
        (4, "H", 20, "canonical"),
        (6, "H", 45, "canonical"),
        (36, "H", 1, "canonical"),
        (42, "L", 7, "no-gaps"),
        (16, "L", 12345, "local-header"),
    ],
)
def test_a_wrong_field_of_a_central_entry_is_refused(
    archive_bytes: bytes, write: Write, field: int, code: str, value: int, rule: str
) -> None:
    error = refused(write(patch(archive_bytes, entry_of(archive_bytes, "a/model") + field, code, value)))
    assert (error.rule, error.member) == (rule, "a/model")


@pytest.mark.parametrize("offset", range(zr.LOCAL.size))
def test_no_byte_of_a_local_header_may_differ_from_the_central_entry(
    archive_bytes: bytes, write: Write, offset: int
) -> None:
    changed = bytearray(archive_bytes)
    changed[offset] ^= 0x40
    error = refused(write(bytes(changed)))
    assert (error.rule, error.member) == ("local-header", "a/model")


def test_bytes_hidden_in_the_padding_are_refused(archive_bytes: bytes, write: Write) -> None:
    start = open_archive(write(archive_bytes)).members["a/weights"].offset
    error = refused(write(patch(archive_bytes, start - 1, "B", 1)))
    assert (error.rule, error.member) == ("local-header", "a/weights")


def test_bytes_before_the_first_member_are_refused(archive_bytes: bytes, write: Write) -> None:
    assert refused(write(b"#!/bin/sh\n" + archive_bytes)).rule == "no-gaps"


def test_bytes_after_the_end_are_refused(archive_bytes: bytes, write: Write) -> None:
    assert refused(write(archive_bytes + b"\0")).rule == "end-record"


def test_bytes_between_members_and_directory_are_refused(archive_bytes: bytes, write: Write) -> None:
    central = struct.unpack_from("<L", archive_bytes, len(archive_bytes) - 6)[0]
    moved = archive_bytes[:central] + b"hole" + archive_bytes[central:]
    assert refused(write(patch(moved, len(moved) - 6, "L", central + 4))).rule == "no-gaps"


def test_an_archive_comment_is_refused(archive_bytes: bytes, write: Write) -> None:
    commented = patch(archive_bytes, len(archive_bytes) - 2, "H", 2) + b"hi"
    assert refused(write(commented)).rule == "end-record"
    assert refused(write(patch(archive_bytes, len(archive_bytes) - 2, "H", 2))).rule == "no-comment"


def test_a_member_comment_is_refused(archive_bytes: bytes, write: Write) -> None:
    entry = entry_of(archive_bytes, "index")
    end = len(archive_bytes) - zr.END.size
    commented = patch(archive_bytes, entry + 32, "H", 2)
    commented = commented[:end] + b"hi" + commented[end:]
    size = struct.unpack_from("<L", commented, len(commented) - 10)[0]
    error = refused(write(patch(commented, len(commented) - 10, "L", size + 2)))
    assert (error.rule, error.member) == ("no-comment", "index")


@pytest.mark.parametrize(("field", "rule"), [(4, "one-disk"), (6, "one-disk"), (8, "one-disk")])
def test_an_archive_over_several_disks_is_refused(archive_bytes: bytes, write: Write, field: int, rule: str) -> None:
    error = refused(write(patch(archive_bytes, len(archive_bytes) - zr.END.size + field, "H", 1)))
    assert error.rule == rule


def test_a_count_of_entries_that_the_directory_cannot_hold_is_refused(archive_bytes: bytes, write: Write) -> None:
    end = len(archive_bytes) - zr.END.size
    many = patch(patch(archive_bytes, end + 8, "H", 60000), end + 10, "H", 60000)
    assert refused(write(many)).rule == "central-directory"


def test_every_truncation_is_refused(write: Write) -> None:
    data = make_archive({"a": b"1234"})
    for length in range(1, len(data)):
        assert refused(write(data[:length])).rule in {"end-record", "no-gaps", "central-directory"}


def test_no_flipped_bit_outside_content_is_accepted(write: Write) -> None:
    data = make_archive({"a": b"1234", "dir/b": b"5"})
    archive = open_archive(write(data))
    content = {
        position
        for member in archive.members.values()
        for position in range(member.offset, member.offset + member.size_bytes)
    }
    for position in set(range(len(data))) - content:
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            refused(write(bytes(changed)))


def test_a_flipped_bit_in_content_fails_the_crc(archive_bytes: bytes, write: Write) -> None:
    offset = open_archive(write(archive_bytes)).members["a/weights"].offset
    archive = open_archive(write(patch(archive_bytes, offset + 1000, "B", 0)))
    with pytest.raises(PackageError) as caught:
        archive.check_crc32("a/weights")
    assert (caught.value.rule, caught.value.member) == ("crc32", "a/weights")


def rename(data: bytes, old: str, new: bytes) -> bytes:
    """Put a name of the same length in both headers."""
    assert len(old) == len(new)
    return data.replace(old.encode(), new)


@pytest.mark.parametrize(
    "name",
    [b"/model1", b"../mode", b"a/../bc", b"a//odel", b"a/mode/", b"a\\model", b"c:model", b"a/mod\x00l", b"./model",
     b"a/model ", b"a/mode.", b"a/e\xcc\x81ab"],
)  # fmt: skip
def test_a_name_that_is_not_plain_and_relative_is_refused(write: Write, name: bytes) -> None:
    old = "a" * len(name)
    data = rename(make_archive({old: b"x"}), old, name)
    if not name.isascii():
        for header in (0 + 6, entry_of(data.replace(name, old.encode()), old) + 8):
            data = patch(data, header, "H", zr.UTF8_FLAG)
    assert refused(write(data)).rule == "name"


@pytest.mark.parametrize("name", ["nul", "a/CON.txt", "Lpt1/b", "com¹", "a" * 256, "b/" * 64 + "c", "d/" * 512 + "e"])
def test_a_name_that_some_system_cannot_store_is_refused(name: str) -> None:
    with pytest.raises(PackageError) as caught:
        make_archive({name: b"x"})
    assert caught.value.rule == "name"


def test_a_long_name_of_many_parts_that_every_system_can_store_is_taken(write: Write) -> None:
    name = "/".join(["a" * 14] * 63 + ["nullable"])
    assert name in open_archive(write(make_archive({name: b"x", "b" * 255: b"y"}))).members


def test_a_central_directory_of_too_many_bytes_is_refused_unread(tmp_path: Path) -> None:
    size = (4 << 20) + 1
    path = tmp_path / "m.tload"
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(zr.encode_end(1, 0, size))
    assert refused(path).rule == "central-directory"


def test_letters_that_lose_their_difference_on_some_file_systems_are_twins() -> None:
    for one, other in (("strasse", "straße"), ("\u017f", "s"), ("Ω", "ω"), ("É", "é")):
        with pytest.raises(PackageError) as caught:
            make_archive({one: b"x", other: b"y"})
        assert caught.value.rule == "unique-names"


def test_a_file_cut_short_after_it_was_opened_is_refused_and_kills_nobody(archive_bytes: bytes, write: Write) -> None:
    path = write(archive_bytes)
    archive = open_archive(path)
    os.truncate(path, 4096)
    with pytest.raises(PackageError) as caught:
        archive.check_crc32("a/weights")
    assert caught.value.rule == "changed"


def test_a_name_that_is_not_utf8_is_refused(write: Write) -> None:
    assert refused(write(rename(make_archive({"aaaa": b"x"}), "aaaa", b"aa\xff\xfe"))).rule == "name"


def test_a_non_ascii_name_survives(write: Write) -> None:
    assert "modèle/ö" in open_archive(write(make_archive({"modèle/ö": b"x"}))).members


def test_a_member_that_stands_twice_is_refused(write: Write) -> None:
    error = refused(write(rename(make_archive({"aaaa": b"x", "aaab": b"y"}), "aaab", b"aaaa")))
    assert (error.rule, error.member) == ("unique-names", "aaaa")


def test_names_that_differ_in_case_only_are_refused(write: Write) -> None:
    assert refused(write(rename(make_archive({"aaAa": b"x", "aaab": b"y"}), "aaab", b"aaaa"))).rule == "unique-names"


def test_members_out_of_order_are_refused(write: Write) -> None:
    assert refused(write(rename(make_archive({"aaab": b"x", "aaac": b"y"}), "aaac", b"aaaa"))).rule == "sorted"


def test_a_file_that_is_also_a_folder_is_refused(write: Write) -> None:
    data = rename(make_archive({"aa": b"x", "aa0b": b"y"}), "aa0b", b"aa/b")
    assert refused(write(data)).rule == "name-prefix"


def test_a_compressed_archive_is_refused(write: Write) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a"), b"x" * 100, zipfile.ZIP_DEFLATED)
    assert refused(write(file.getvalue())).rule == "stored"


def test_an_archive_by_another_tool_is_refused_even_if_stored(write: Write) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a"), b"x")
    assert refused(write(file.getvalue())).member == "a"


@pytest.mark.parametrize("data", [b"", b"PK", b"\0" * 100, b"PK\x05\x06" + bytes(17)])
def test_a_file_that_is_no_archive_is_refused(write: Write, data: bytes) -> None:
    assert refused(write(data)).rule == "end-record"


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        open_archive(tmp_path / "none.tload")


def test_a_folder_is_a_usage_error_that_names_pack(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="transload pack"):
        open_archive(tmp_path)


def test_a_pipe_is_refused_without_reading(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK)
    try:
        assert refused(tmp_path / "pipe").rule == "regular-file"
    finally:
        os.close(writer)


@pytest.mark.parametrize("sizes", [(5 << 30, 100), (100, 5 << 30, 200), (zr.MAX32, 1), (zr.MAX32 - 1, 1)])
def test_members_over_4_gib_are_read_by_us_and_by_python(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    members, end = zr.lay_out((f"m{index}", size, 0) for index, size in enumerate(sizes))
    path = tmp_path / "large.tload"
    with path.open("wb") as file:
        for member in members:
            file.seek(member.header_offset)
            file.write(zr.encode_local(member))
        file.seek(end)
        central = b"".join(map(zr.encode_central, members))
        file.write(central + zr.encode_end(len(members), end, len(central)))
    assert [member.size_bytes for member in open_archive(path).members.values()] == list(sizes)
    with zipfile.ZipFile(path) as archive:
        assert [info.file_size for info in archive.infolist()] == list(sizes)
        assert [info.header_offset for info in archive.infolist()] == [member.header_offset for member in members]


def test_more_entries_than_a_plain_end_record_counts_are_read(write: Write) -> None:
    data = make_archive({f"{index:06}": b"" for index in range(66_000)})
    assert len(open_archive(write(data)).members) == 66_001
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.namelist()) == 66_001

"""Sums of pieces, joined, are zlib's sum of the whole."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transload.serialize import crc32
from transload.serialize.crc32 import crc32_of, join_crc32


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_joined_sums_are_the_sum_of_both_pieces(first: bytes, second: bytes) -> None:
    assert join_crc32(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)


def test_a_second_piece_of_gigabytes_is_joined() -> None:
    zeros, crc = bytes(1 << 20), zlib.crc32(b"weights")
    for _ in range(3 << 10):
        crc = zlib.crc32(zeros, crc)
    piece = 0
    for _ in range(3 << 10):
        piece = zlib.crc32(zeros, piece)
    assert join_crc32(zlib.crc32(b"weights"), piece, 3 << 30) == crc


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 2000, 12_345])
def test_data_of_several_pieces_have_zlib_s_sum(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crc32, "PIECE_BYTES", 1000)
    data = np.random.default_rng(size).bytes(size)
    assert crc32_of(memoryview(data)) == zlib.crc32(data)


def test_one_flipped_bit_in_any_piece_changes_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crc32, "PIECE_BYTES", 1000)
    data = bytearray(np.random.default_rng(0).bytes(5000))
    whole = crc32_of(memoryview(data))
    for place in (0, 999, 1000, 2500, 4999):
        data[place] ^= 16
        assert crc32_of(memoryview(data)) != whole
        data[place] ^= 16

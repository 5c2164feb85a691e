"""CRC-32 of much data, on all processors: the data are cut into pieces, whose sums are joined."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor

from transload.serialize.platform import count_cpus

PIECE_BYTES = 8 << 20

_POLYNOMIAL = 0xEDB88320
"""ZIP's polynomial, its bits in reverse: the highest bit is the coefficient of x^0."""
_ONE = 1 << 31


def crc32_of(data: memoryview) -> int:
    """The CRC-32 of bytes, as zlib's."""
    pieces = [data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES)]
    if len(pieces) < 2:
        return zlib.crc32(data)
    total = 0
    # zlib leaves the interpreter free.
    with ThreadPoolExecutor(min(count_cpus(), len(pieces))) as pool:
        for piece, sum_of_piece in zip(pieces, pool.map(zlib.crc32, pieces), strict=True):
            total = join_crc32(total, sum_of_piece, len(piece))
    return total


def join_crc32(first: int, second: int, second_bytes: int) -> int:
    """The CRC-32 of two pieces in a row, from that of each and the size of the second; as zlib's crc32_combine."""
    return _multiply(_shift_of(second_bytes), first) ^ second


def _multiply(a: int, b: int) -> int:
    """The product of two polynomials over GF(2), modulo ZIP's."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


def _shift_of(size_bytes: int) -> int:
    """x to the power of the number of bits, modulo the polynomial: what so many bytes behind a sum multiply it by."""
    power, square, bits = _ONE, _ONE >> 1, 8 * size_bytes
    while bits:
        if bits & 1:
            power = _multiply(square, power)
        square = _multiply(square, square)
        bits >>= 1
    return power

"""TFLite's arithmetic on quantized numbers: multiplying integers by a rounded factor, as its reference kernels do.

After tensorflow/lite/kernels/internal/common.h and quantization_util.cc: a factor is an integer of 31 bits and a power
of two. Rounding happens twice, after the product (halves up) and after the shift to the right (halves away from zero).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transload.convert.capture import Array

BITS = 31


@dataclass(frozen=True)
class Factors:
    """Real factors as `multiplier / 2**31 * 2**shift`, int64 arrays of one shape."""

    multiplier: Array
    shift: Array

    @property
    def left(self) -> Array:
        """Bits by which numbers are shifted to the left before the product."""
        return np.maximum(self.shift, 0)

    @property
    def right(self) -> Array:
        """Bits by which products are shifted to the right."""
        return np.maximum(-self.shift, 0)


def quantize_factors(real: Array | float) -> Factors:
    """The factors as TFLite rounds them.

    Args:
        real: Positive numbers in double precision.
    """
    fraction, shift = np.frexp(np.asarray(real, np.float64))
    multiplier = np.floor(fraction * 2.0**BITS + 0.5).astype(np.int64)
    full = multiplier == 1 << BITS
    multiplier, shift = np.where(full, multiplier // 2, multiplier), shift.astype(np.int64) + full
    vanishes = shift < -BITS
    return Factors(np.where(vanishes, 0, multiplier), np.where(vanishes, 0, shift))


def divide_factors(factors: Factors, count: int) -> Factors:
    """Factors for a mean of so many numbers, from those for a sum, as TFLite's `QuantizedMeanOrSum` has them."""
    room = np.minimum(np.minimum(count.bit_length() - 1, 32), BITS + factors.shift)
    return Factors((factors.multiplier << room) // count, factors.shift - room)


def hard_swish(values: Array, input_scale: float, output_scale: float) -> Array:
    """What the reference kernel makes of integers without their zero point, before that of the output is added.

    Args:
        values: int64, between -255 and 255.
        input_scale, output_scale: The steps of both sides.
    """
    fine = np.float32(input_scale) * np.float32(1 / 128)
    out, inner = (_short_factor(fine / np.float32(step)) for step in (output_scale, np.float32(3 / 32768)))
    hires = values << 7
    scaled = _round_high_product(hires, out[0])
    gate, exponent = hires, inner[1]
    if exponent > 0:
        gate = _saturate(gate << (exponent - 1))
    gate = _round_high_product(gate, inner[0])
    if exponent > 0:
        gate = _saturate(gate << 1)
    elif exponent < 0:
        gate = divide_by_power(gate, -exponent)
    gate = (gate + (1 << 15)) >> 1
    product = gate * scaled
    return divide_by_power(np.sign(product) * (np.abs(product) >> 15), -out[1])


def divide_by_power(values: Array, exponent: int) -> Array:
    """Integers divided by a power of two, halves away from zero."""
    if exponent == 0:
        return values
    return np.asarray(np.sign(values) * ((np.abs(values) + (1 << (exponent - 1))) >> exponent))


def _short_factor(real: np.float32) -> tuple[int, int]:
    """A factor as an integer of 15 bits and a power of two."""
    factors = quantize_factors(float(real))
    multiplier = min((int(factors.multiplier) + (1 << 15)) >> 16, (1 << 15) - 1)
    return multiplier, int(factors.shift)


def _round_high_product(values: Array, multiplier: int) -> Array:
    return _saturate((values * multiplier + (1 << 14)) >> 15)


def _saturate(values: Array) -> Array:
    return np.clip(values, -(1 << 15), (1 << 15) - 1)

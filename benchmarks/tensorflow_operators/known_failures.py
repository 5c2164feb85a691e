"""The programs that do not pass the full proof, each with what differs; nothing is written for them."""

from __future__ import annotations

_PLACES = "input set 'not finite': NaN or infinity in other places"
_FOURIER = "input set 'not finite': NaN or infinity of a transform in other places"
_NAN_ORDER = "input set 'not finite': NaN is ordered or picked in another way"
_LARGE = "input set 'large values': an interpolated value is off by more than the tolerance"

KNOWN_FAILURES = {
    "recurrent.bidirectional_mixed": _PLACES,
    "complex_numbers.square_root": _PLACES,
    "complex_numbers.matmul": _PLACES,
    "signals.rfft": _FOURIER,
    "signals.rfft_magnitude": _FOURIER,
    "signals.fft": _FOURIER,
    "signals.ifft_of_matrix": _FOURIER,
    "signals.fft3d": _FOURIER,
    "signals.dct_2": _FOURIER,
    "signals.dct_4": _FOURIER,
    "signals.stft": _FOURIER,
    "signals.mdct": _FOURIER,
    "reductions.integer_sums": "input set 'lowest integers': another int32 after an overflow",
    "sorting.nth_element": _NAN_ORDER,
    "indexing.take_along_axis": _PLACES,
    "indexing.one_hot": "input set 'not finite': another number is hot",
    "pooling.max3d_valid": _NAN_ORDER,
    "pooling.max3d_same": _NAN_ORDER,
    "resizing.bilinear_up": _LARGE,
    "resizing.bicubic_down": _PLACES,
    "resizing.area_mixed": _PLACES,
    "resizing.lanczos3_antialias": _PLACES,
    "resizing.gaussian_antialias_up": _PLACES,
    "resizing.bilinear_legacy_up": _LARGE,
    "resizing.bicubic_half_pixel_down": _PLACES,
    "resizing.bytes_nearest": "input set 'large values': other bytes",
    "linear_algebra.matrix_exponential": "tf2onnx lets names of loops within branches within loops meet",
    "strings.discretization": "input set 'not finite': NaN falls into another bin",
    "quantization.quantize_and_dequantize": _PLACES,
}
"""Of the programs of docs/operators-tensorflow.md. Any other failure is an error, and so is one that passes."""


def compare_failures(failed: set[str], run: set[str]) -> list[str]:
    """One line for each program that fails unexpectedly, or passes unexpectedly, of those that were run."""
    expected = run & KNOWN_FAILURES.keys()
    return [
        *(f"{name} fails, which is not known" for name in sorted(failed - expected)),
        *(f"{name} no longer fails: {KNOWN_FAILURES[name]}" for name in sorted(expected - failed)),
    ]

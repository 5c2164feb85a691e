"""Fourier transforms and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorflow_programs.program import PROGRAMS, Program, floats, program
from transload.convert.tensorflow.framework import tf


def _parts(value: Any) -> Any:
    return tf.math.real(value), tf.math.imag(value)


def _complex(x: Any) -> Any:
    return tf.complex(x, tf.reverse(x, [-1]) * 0.5)


_LINES: dict[str, Callable[[Any], Any]] = {
    "rfft": lambda x: _parts(tf.signal.rfft(x)),
    "rfft_longer": lambda x: _parts(tf.signal.rfft(x, [16])),
    "rfft_shorter": lambda x: _parts(tf.signal.rfft(x, [7])),
    "rfft_magnitude": lambda x: tf.abs(tf.signal.rfft(x)),
    "irfft": lambda x: tf.signal.irfft(_complex(x)),
    "irfft_odd": lambda x: tf.signal.irfft(_complex(x), [11]),
    "fft": lambda x: _parts(tf.signal.fft(_complex(x))),
    "ifft": lambda x: _parts(tf.signal.ifft(_complex(x))),
    "fft_of_matrix": lambda x: _parts(tf.signal.fft2d(_complex(tf.reshape(x, [-1, 2, 6])))),
    "ifft_of_matrix": lambda x: _parts(tf.signal.ifft2d(_complex(tf.reshape(x, [-1, 2, 6])))),
    "rfft2d": lambda x: _parts(tf.signal.rfft2d(tf.reshape(x, [-1, 2, 6]))),
    "rfft2d_sized": lambda x: _parts(tf.signal.rfft2d(tf.reshape(x, [-1, 2, 6]), [4, 5])),
    "irfft2d": lambda x: tf.signal.irfft2d(_complex(tf.reshape(x, [-1, 2, 6]))),
    "fft3d": lambda x: _parts(tf.signal.fft3d(_complex(tf.reshape(x, [-1, 2, 3, 2])))),
    "rfft3d": lambda x: _parts(tf.signal.rfft3d(tf.reshape(x, [-1, 2, 3, 2]))),
    "round_trip": lambda x: tf.signal.irfft(tf.signal.rfft(x) * tf.constant(0.5, tf.complex64), [12]),
    "convolution_by_fft": lambda x: tf.signal.irfft(tf.signal.rfft(x, [24]) * tf.signal.rfft(x[:1], [24]), [24]),
    "fftshift": lambda x: (tf.signal.fftshift(x, axes=1), tf.signal.ifftshift(x, axes=1)),
    "dct_1": lambda x: tf.signal.dct(x, type=1),
    "dct_2": lambda x: tf.signal.dct(x, type=2),
    "dct_2_orthonormal": lambda x: tf.signal.dct(x, type=2, norm="ortho"),
    "dct_3": lambda x: tf.signal.dct(x, type=3),
    "dct_4": lambda x: tf.signal.dct(x, type=4),
    "idct": lambda x: tf.signal.idct(x, norm="ortho"),
    "frame": lambda x: tf.signal.frame(x, 5, 2),
    "frame_padded": lambda x: tf.signal.frame(x, 5, 2, pad_end=True, pad_value=1.0),
    "overlap_and_add": lambda x: tf.signal.overlap_and_add(tf.reshape(x, [-1, 3, 4]), 2),
    "windows": lambda x: x * tf.signal.hann_window(12) * tf.signal.hamming_window(12) * tf.signal.kaiser_window(12),
    "autocorrelation": lambda x: tf.signal.irfft(tf.cast(tf.abs(tf.signal.rfft(x, [24])) ** 2, tf.complex64), [24])[
        :, :12
    ],
}
for _name, _function in _LINES.items():
    PROGRAMS[f"signals.{_name}"] = Program(f"signals.{_name}", (floats("x", None, 12),), lambda f=_function: f)

WAVE = {"wave": np.random.default_rng(3).standard_normal((2, 60)).astype(np.float32)}


@program(floats("wave", None, None), example=WAVE)
def stft(wave: Any) -> Any:
    return _parts(tf.signal.stft(wave, 16, 8))


@program(floats("wave", None, None), example=WAVE)
def stft_padded(wave: Any) -> Any:
    return tf.abs(tf.signal.stft(wave, 12, 5, fft_length=20, window_fn=tf.signal.hamming_window, pad_end=True))


@program(floats("wave", None, 60), example=WAVE)
def stft_without_window(wave: Any) -> Any:
    return tf.abs(tf.signal.stft(wave, 16, 4, window_fn=None))


@program(floats("wave", None, 60), example=WAVE)
def inverse_stft(wave: Any) -> Any:
    spectrum = tf.signal.stft(wave, 16, 8)
    return tf.signal.inverse_stft(spectrum, 16, 8, window_fn=tf.signal.inverse_stft_window_fn(8))


@program(floats("wave", None, 60), example=WAVE)
def mel_spectrogram(wave: Any) -> Any:
    spectrum = tf.abs(tf.signal.stft(wave, 16, 8))
    mel = tf.signal.linear_to_mel_weight_matrix(6, 9, 8000, 20.0, 3800.0)
    return tf.math.log(tf.matmul(spectrum, mel) + 1e-3)


@program(floats("wave", None, None), example=WAVE)
def mfcc(wave: Any) -> Any:
    spectrum = tf.abs(tf.signal.stft(wave, 16, 8))
    mel = tf.signal.linear_to_mel_weight_matrix(6, 9, 8000, 20.0, 3800.0)
    return tf.signal.mfccs_from_log_mel_spectrograms(tf.math.log(tf.tensordot(spectrum, mel, 1) + 1e-3))[..., :4]


@program(floats("wave", None, 60), example=WAVE)
def mdct(wave: Any) -> Any:
    return tf.signal.mdct(wave, 12)


@program(floats("wave", None, 60), example=WAVE)
def inverse_mdct(wave: Any) -> Any:
    return tf.signal.inverse_mdct(tf.reshape(wave, [-1, 5, 12]))


@program(floats("wave", None, 56), example={"wave": WAVE["wave"][:, :56]})
def griffin_lim(wave: Any) -> Any:
    """Two rounds of finding a phase that fits a magnitude."""
    magnitude = tf.cast(tf.abs(tf.signal.stft(wave, 16, 8)), tf.complex64)

    def step(i: Any, signal: Any) -> Any:
        spectrum = tf.signal.stft(signal, 16, 8)
        phase = spectrum / tf.cast(tf.maximum(tf.abs(spectrum), 1e-3), tf.complex64)
        rebuilt = tf.signal.inverse_stft(magnitude * phase, 16, 8)
        return i + 1, tf.ensure_shape(rebuilt, [None, 56])

    return tf.while_loop(lambda i, signal: i < 2, step, (0, wave))[1]


@program(floats("wave", None, 60), example=WAVE)
def raw_spectrogram(wave: Any) -> Any:
    return tf.raw_ops.AudioSpectrogram(input=tf.transpose(wave), window_size=16, stride=8, magnitude_squared=True)

"""Fourier transforms: lengths of every kind, dynamic ones too; spectra to signals and back."""

from __future__ import annotations

import pytest
import torch
from script_check import check, trace
from torch import Tensor


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("length", [1, 2, 7, 60, 64, 997])
def test_a_spectrum_of_any_length_is_as_exact_as_torch_s(length: int, norm: str) -> None:
    def program(x: Tensor) -> Tensor:
        return torch.view_as_real(torch.fft.fft(torch.complex(x, x.flip(-1)), norm=norm))

    x = torch.randn(3, length, generator=torch.manual_seed(0))
    check(trace(program, x), x, atol=1e-4)


def spectrum(x: Tensor) -> Tensor:
    return torch.view_as_real(torch.fft.rfft(x))


def back(x: Tensor) -> Tensor:
    return torch.fft.irfft(torch.fft.rfft(x), n=x.size(-1))


@pytest.mark.parametrize("program", [spectrum, back])
def test_lengths_may_change(program: object) -> None:
    others = [(torch.randn(2, length),) for length in (1, 6, 13)]
    check(program, torch.randn(2, 8), dynamic={"x": {1: "n"}}, others=others, rtol=1e-5)


@pytest.mark.parametrize("opset", [17, 20, 23])
def test_two_dimensions_at_every_opset(opset: int) -> None:
    def program(x: Tensor) -> Tensor:
        return torch.fft.ifft2(torch.fft.fft2(x)).real

    check(program, torch.randn(2, 5, 6), opset=opset)


def stft(x: Tensor, window: Tensor) -> Tensor:
    spectrum = torch.stft(x, 16, hop_length=4, win_length=12, window=window, return_complex=True)
    return torch.view_as_real(spectrum)


def test_a_short_time_spectrum_follows_the_length_of_the_signal() -> None:
    window = torch.hann_window(12)
    others = [(torch.randn(2, 57), window), (torch.randn(2, 33), window)]
    check(stft, torch.randn(2, 64), window, dynamic={"x": {1: "n"}}, others=others, rtol=1e-5, atol=1e-5)


class Denoiser(torch.nn.Module):
    """A spectrum, a mask on its magnitudes, and back to the signal."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(32))

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.stft(x, 32, hop_length=8, window=self.window, return_complex=True)
        size, phase = spectrum.abs(), spectrum.angle()
        kept = torch.polar(torch.where(size > 1.0, size, torch.zeros_like(size)), phase)
        return torch.istft(kept, 32, hop_length=8, window=self.window, length=x.size(-1))


def test_a_masked_spectrum_becomes_a_signal_again() -> None:
    others = [(torch.randn(1, 200),), (torch.randn(3, 77),)]
    check(Denoiser(), torch.randn(2, 128), dynamic={"x": {0: "b", 1: "n"}}, others=others, rtol=1e-4, atol=1e-5)


def cut_and_filled(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    half = torch.fft.rfft(x, n=10)
    both = torch.fft.fft2(x, s=[3, 8])
    return torch.view_as_real(half), torch.view_as_real(both), torch.fft.irfft(half, n=14), torch.fft.hfftn(x, s=[4, 6])


def test_a_number_of_points_cuts_or_fills_what_has_another_length() -> None:
    others = [(torch.randn(rows, length),) for rows, length in ((2, 6), (5, 13), (3, 10), (1, 2))]
    dynamic = {"x": {0: "rows", 1: "n"}}
    check(cut_and_filled, torch.randn(2, 8), dynamic=dynamic, others=others, rtol=1e-5)

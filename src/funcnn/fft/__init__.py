"""Discrete Fourier transforms, of any length, differentiable and batchable."""

from __future__ import annotations

from funcnn import _hints

from ._frequencies import fftfreq, fftshift, ifftshift, rfftfreq
from ._many_axes import fft2, fftn, ifft2, ifftn, irfft2, irfftn, rfft2, rfftn
from ._one_axis import fft, hfft, ifft, ihfft, irfft, rfft
from ._short_time import istft, stft

_hints.close(globals())

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "istft",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
    "stft",
]

"""The names of ``mlx.core.fft``."""

from __future__ import annotations

from ... import fft as _fft
from ._wrap import shim as _shim

fft = _shim(_fft.fft, "fft", "fft")
fft2 = _shim(_fft.fft2, "fft2", "fft")
fftfreq = _shim(_fft.fftfreq, "fftfreq", "fft")
fftn = _shim(_fft.fftn, "fftn", "fft")
fftshift = _shim(_fft.fftshift, "fftshift", "fft")
ifft = _shim(_fft.ifft, "ifft", "fft")
ifft2 = _shim(_fft.ifft2, "ifft2", "fft")
ifftn = _shim(_fft.ifftn, "ifftn", "fft")
ifftshift = _shim(_fft.ifftshift, "ifftshift", "fft")
irfft = _shim(_fft.irfft, "irfft", "fft")
irfft2 = _shim(_fft.irfft2, "irfft2", "fft")
irfftn = _shim(_fft.irfftn, "irfftn", "fft")
istft = _shim(_fft.istft, "istft", "fft")
rfft = _shim(_fft.rfft, "rfft", "fft")
rfft2 = _shim(_fft.rfft2, "rfft2", "fft")
rfftfreq = _shim(_fft.rfftfreq, "rfftfreq", "fft")
rfftn = _shim(_fft.rfftn, "rfftn", "fft")
stft = _shim(_fft.stft, "stft", "fft")

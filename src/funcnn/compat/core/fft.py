"""The names of ``mlx.core.fft``."""

from __future__ import annotations

from ... import fft as _fft
from ._wrap import shim as _shim

fft = _shim(_fft.fft, "fft")
fft2 = _shim(_fft.fft2, "fft2")
fftfreq = _shim(_fft.fftfreq, "fftfreq")
fftn = _shim(_fft.fftn, "fftn")
fftshift = _shim(_fft.fftshift, "fftshift")
ifft = _shim(_fft.ifft, "ifft")
ifft2 = _shim(_fft.ifft2, "ifft2")
ifftn = _shim(_fft.ifftn, "ifftn")
ifftshift = _shim(_fft.ifftshift, "ifftshift")
irfft = _shim(_fft.irfft, "irfft")
irfft2 = _shim(_fft.irfft2, "irfft2")
irfftn = _shim(_fft.irfftn, "irfftn")
istft = _shim(_fft.istft, "istft")
rfft = _shim(_fft.rfft, "rfft")
rfft2 = _shim(_fft.rfft2, "rfft2")
rfftfreq = _shim(_fft.rfftfreq, "rfftfreq")
rfftn = _shim(_fft.rfftn, "rfftn")
stft = _shim(_fft.stft, "stft")

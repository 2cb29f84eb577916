"""The names of ``mlx.core.fft``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import fft as _fft
from ..._core import array, isdtype, pad, real
from ._wrap import of_arrays as _of_arrays
from ._wrap import shim as _shim

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
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


def _of_real(function: Callable[..., array]) -> Callable[..., array]:
    """MLX drops the imaginary parts of what a real transform is given."""

    def otherwise(error: Exception, a: Any, *args: Any, **kwargs: Any) -> array:
        if isinstance(a, array) and isdtype(a.dtype, "complex floating"):
            return function(real(a), *args, **kwargs)
        raise error

    return otherwise


def _stft(
    x: array,
    n_fft: int = 2048,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: array | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    norm: str = "backward",
    onesided: bool | None = None,
) -> array:
    # MLX reflects as often as it takes where the signal is shorter than the padding.
    if center and pad_mode == "reflect" and isinstance(x, array) and x.ndim and x.shape[-1] <= n_fft // 2:
        x = pad(x, [(0, 0)] * (x.ndim - 1) + [(n_fft // 2, n_fft // 2)], "reflect")
        center = False
    return _fft.stft(x, n_fft, hop_length, win_length, window, center, pad_mode, norm, onesided)


def _istft(*args: Any, **kwargs: Any) -> array:
    signal = _fft.istft(*args, **kwargs)
    return real(signal) if isdtype(signal.dtype, "complex floating") else signal


fft = _of_arrays(_fft.fft, "fft", "fft", stream_at=4)
fft2 = _of_arrays(_fft.fft2, "fft2", "fft", stream_at=4)
fftfreq = _shim(_fft.fftfreq, "fftfreq", "fft", stream_at=2)
fftn = _of_arrays(_fft.fftn, "fftn", "fft", stream_at=4)
fftshift = _of_arrays(_fft.fftshift, "fftshift", "fft", stream_at=2)
ifft = _of_arrays(_fft.ifft, "ifft", "fft", stream_at=4)
ifft2 = _of_arrays(_fft.ifft2, "ifft2", "fft", stream_at=4)
ifftn = _of_arrays(_fft.ifftn, "ifftn", "fft", stream_at=4)
ifftshift = _of_arrays(_fft.ifftshift, "ifftshift", "fft", stream_at=2)
irfft = _of_arrays(_fft.irfft, "irfft", "fft", stream_at=4)
irfft2 = _of_arrays(_fft.irfft2, "irfft2", "fft", stream_at=4)
irfftn = _of_arrays(_fft.irfftn, "irfftn", "fft", stream_at=4)
istft = _of_arrays(_istft, "istft", "fft", stream_at=9)
rfft = _of_arrays(_fft.rfft, "rfft", "fft", _of_real(_fft.rfft), stream_at=4)
rfft2 = _of_arrays(_fft.rfft2, "rfft2", "fft", _of_real(_fft.rfft2), stream_at=4)
rfftfreq = _shim(_fft.rfftfreq, "rfftfreq", "fft", stream_at=2)
rfftn = _of_arrays(_fft.rfftn, "rfftn", "fft", _of_real(_fft.rfftn), stream_at=4)
stft = _of_arrays(_stft, "stft", "fft", stream_at=9)

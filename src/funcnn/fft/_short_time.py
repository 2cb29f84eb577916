"""Transforms of overlapping frames of a signal."""

from __future__ import annotations

from funcnn import _core
from funcnn._arguments import flag, integer
from funcnn._core import array
from funcnn._types import ArrayLike

from ._one_axis import COMPLEX, TO_HALF, TO_REAL, transform

# The square of the windows over a sample below which the sample is not determined.
_LEAST = 1e-11


def _sizes(name: str, n_fft: int, hop_length: int | None, win_length: int | None) -> tuple[int, int, int]:
    n_fft = integer(n_fft, f"{name}: n_fft")
    if n_fft < 1:
        raise ValueError(f"{name}: n_fft must be at least 1, got {n_fft}")
    hop = max(n_fft // 4, 1) if hop_length is None else integer(hop_length, f"{name}: hop_length")
    if hop < 1:
        raise ValueError(f"{name}: hop_length must be at least 1, got {hop}")
    width = n_fft if win_length is None else integer(win_length, f"{name}: win_length")
    if not 1 <= width <= n_fft:
        raise ValueError(f"{name}: win_length must be from 1 to n_fft, {n_fft}, got {width}")
    return n_fft, hop, width


def _full_window(name: str, window: ArrayLike | None, width: int, given: bool, n_fft: int) -> array:
    """The window with zeros on both sides."""
    w = _core.ones(width) if window is None else _core.asarray(window)
    if w.ndim != 1 or not _core.isdtype(w.dtype, ("real floating", "integral")):
        raise ValueError(f"{name}: window must be a vector of real numbers, got {w.dtype} of shape {w.shape}")
    if given and w.shape[0] != width:
        raise ValueError(f"{name}: window has {w.shape[0]} elements, and win_length is {width}")
    if w.shape[0] > n_fft:
        raise ValueError(f"{name}: window has {w.shape[0]} elements, more than n_fft, {n_fft}")
    left = (n_fft - w.shape[0]) // 2
    return _core.pad(w.astype(_core.float32), ((left, n_fft - w.shape[0] - left),))


def _places(frames: int, hop: int, n_fft: int) -> array:
    """Where the elements of each frame lie in the signal."""
    return _core.expand_dims(_core.arange(frames) * hop, 1) + _core.arange(n_fft)


def _extended(name: str, x: array, by: int, mode: str) -> array:
    length = x.shape[-1]
    if mode not in ("reflect", "constant", "edge"):
        raise ValueError(f"{name}: pad_mode must be 'reflect', 'constant' or 'edge', got {mode!r}")
    if mode == "reflect" and by >= length:
        raise ValueError(
            f"{name}: pad_mode 'reflect' mirrors {by} samples, n_fft // 2, at both ends of a signal of {length}; "
            "use 'constant', or a smaller n_fft"
        )
    return _core.pad(x, [(0, 0)] * (x.ndim - 1) + [(by, by)], mode)  # type: ignore[arg-type]


def stft(
    x: ArrayLike,
    n_fft: int = 2048,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: ArrayLike | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    norm: str = "backward",
    onesided: bool | None = None,
) -> array:
    """Compute the short-time Fourier transform: that of overlapping frames of a signal, each times a window.

    Args:
        x: Signals of shape ``(..., time)``, real or complex.
        n_fft: The length of a frame, and of the transform.
        hop_length: Samples from frame to frame; default: n_fft // 4, at least 1.
        win_length: The length of the window, at most `n_fft`, which is the default. It stands in the middle of the frame.
        window: Real numbers of shape ``(win_length,)``; default: ones.
        center: Whether the signal is extended by n_fft // 2 samples at both ends, so that frame t is centred at sample
            t * hop_length.
        pad_mode: By what: ``"reflect"``, ``"constant"`` (zeros) or ``"edge"``.
        norm: See `fft`.
        onesided: Whether only the frequencies from zero to n_fft // 2 are kept. Default: for real signals.

    Returns:
        complex64 of shape ``(..., frequencies, frames)``.

    Raises:
        ValueError: A size is out of range, the signal is shorter than a frame, or `onesided` is asked of a complex one.

    Example:
        >>> fn.fft.stft(fn.ones(1000), n_fft=64).shape
        (33, 63)
    """
    signal = _core.asarray(x)
    if signal.ndim == 0:
        raise ValueError("stft: expected a signal, got a scalar")
    n_fft, hop, width = _sizes("stft", n_fft, hop_length, win_length)
    weights = _full_window("stft", window, width, win_length is not None, n_fft)
    is_complex = signal.dtype == _core.complex64
    half = not is_complex if onesided is None else flag(onesided, "stft: onesided")
    if half and is_complex:
        raise ValueError("stft: the spectrum of a complex signal has two sides; leave onesided out")
    if not is_complex:
        signal = signal.astype(_core.float32)
    if flag(center, "stft: center"):
        signal = _extended("stft", signal, n_fft // 2, pad_mode)
    if signal.shape[-1] < n_fft:
        raise ValueError(f"stft: a signal of {signal.shape[-1]} samples is shorter than a frame, n_fft = {n_fft}")
    count = (signal.shape[-1] - n_fft) // hop + 1
    frames = _core.take(signal, _places(count, hop, n_fft), axis=-1) * weights
    spectra = transform(frames, "stft", TO_HALF if half else COMPLEX, False, None, -1, norm)
    return _core.swapaxes(spectra, -1, -2)


def istft(
    stft_matrix: ArrayLike,
    n_fft: int | None = None,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: ArrayLike | None = None,
    center: bool = True,
    norm: str = "backward",
    onesided: bool | None = None,
    length: int | None = None,
) -> array:
    """Compute the inverse of `stft`: the windowed inverse transforms added up, over the sum of the squared windows.

    Args:
        stft_matrix: Spectra of shape ``(..., frequencies, frames)``.
        n_fft: The length of a frame. Default: 2 * (frequencies - 1), or the number of frequencies if not `onesided`.
        hop_length: Samples from frame to frame; default: n_fft // 4, at least 1.
        win_length: The length of the window; default: `n_fft`.
        window: The window of `stft`; default: ones.
        center: Whether n_fft // 2 samples at both ends are left out, which `stft` has added.
        norm: That of `stft`.
        onesided: Whether the spectra end at n_fft // 2; default: they do.
        length: The length of the result, which is cut or filled up with zeros. Default: what the frames cover, less what
            `center` leaves out.

    Returns:
        float32 of shape ``(..., time)``; complex64 if not `onesided`. Samples that no window covers are zero.

    Raises:
        ValueError: A size is out of range, or does not fit the number of frequencies.

    Example:
        >>> x = fn.arange(100) * 0.01
        >>> y = fn.fft.istft(fn.fft.stft(x, n_fft=16), length=100)
        >>> bool(fn.allclose(x, y, atol=1e-5))
        True
    """
    spectra = _core.asarray(stft_matrix)
    if spectra.ndim < 2:
        raise ValueError(f"istft: expected spectra of shape (..., frequencies, frames), got shape {spectra.shape}")
    half = True if onesided is None else flag(onesided, "istft: onesided")
    frequencies, count = spectra.shape[-2:]
    if n_fft is None:
        n_fft = 2 * (frequencies - 1) if half else frequencies
    n_fft, hop, width = _sizes("istft", n_fft, hop_length, win_length)
    if frequencies != (n_fft // 2 + 1 if half else n_fft):
        raise ValueError(
            f"istft: {frequencies} frequencies do not fit n_fft = {n_fft}, {'one side' if half else 'both sides'}"
        )
    if count < 1:
        raise ValueError(f"istft: there are no frames in an array of shape {spectra.shape}")
    weights = _full_window("istft", window, width, win_length is not None, n_fft)
    centred = flag(center, "istft: center")
    frames = _core.swapaxes(spectra, -1, -2)
    frames = transform(frames, "istft", TO_REAL if half else COMPLEX, True, n_fft, -1, norm) * weights

    whole = (count - 1) * hop + n_fft
    places = _places(count, hop, n_fft)
    covered = _core.zeros(whole).at[places].add(_core.broadcast_to(_core.square(weights), (count, n_fft)))
    signal = _core.zeros((*frames.shape[:-2], whole), frames.dtype).at[..., places].add(frames)
    determined = covered > _LEAST
    signal = _core.where(determined, signal / _core.where(determined, covered, 1.0), 0.0)

    first = n_fft // 2 if centred else 0
    if length is None:
        return signal[..., first : max(whole - first, first)]
    length = integer(length, "istft: length")
    if length < 0:
        raise ValueError(f"istft: length must not be negative, got {length}")
    signal = signal[..., first : first + length]
    return _core.pad(signal, [(0, 0)] * (signal.ndim - 1) + [(0, length - signal.shape[-1])])

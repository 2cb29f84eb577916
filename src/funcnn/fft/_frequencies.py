"""The frequencies of a transform, and their order."""

from __future__ import annotations

from collections.abc import Sequence

from funcnn import _core
from funcnn._arguments import integer, integers
from funcnn._core import Device, array
from funcnn._device import device_put
from funcnn._types import ArrayLike, DtypeLike


def _length(n: int, name: str) -> int:
    n = integer(n, f"{name}: n")
    if n < 1:
        raise ValueError(f"{name}: n must be at least 1, got {n}")
    return n


def _scaled(numbers: array, n: int, d: float, dtype: DtypeLike | None, device: Device | str | None, name: str) -> array:
    if not isinstance(d, (int, float)) and getattr(d, "ndim", None) != 0:
        raise TypeError(f"{name}: d must be a number, got {type(d).__name__}")
    dtype = _core.float32 if dtype is None else dtype
    if dtype not in (_core.float16, _core.bfloat16, _core.float32, _core.float64):
        raise ValueError(f"{name}: dtype must be a real floating-point dtype, got {dtype}")
    if float(d) == 0:
        raise ValueError(f"{name}: d must not be zero")
    wide = _core.float64 if dtype == _core.float64 else _core.float32
    made = (numbers.astype(wide) / (n * float(d))).astype(dtype)
    placed: array = made if device is None else device_put(made, device)
    return placed


def fftfreq(n: int, d: float = 1.0, *, dtype: DtypeLike | None = None, device: Device | str | None = None) -> array:
    """Make the frequencies of the elements of a transform: 0, 1, ..., then the negative ones to -1, over n * d.

    Args:
        n: The length of the transform, at least 1.
        d: The distance of the samples in time.
        dtype: A real floating-point dtype; default: float32.
        device: Where to; default: the default device.

    Returns:
        An array of shape ``(n,)``.

    Raises:
        ValueError: n is less than 1, d is zero, or the dtype is another.

    Example:
        >>> fn.fft.fftfreq(4, d=0.5)
        array([ 0. ,  0.5, -1. , -0.5], dtype=float32)
    """
    n = _length(n, "fftfreq")
    numbers = _core.concatenate([_core.arange(0, (n + 1) // 2), _core.arange(-(n // 2), 0)])
    return _scaled(numbers, n, d, dtype, device, "fftfreq")


def rfftfreq(n: int, d: float = 1.0, *, dtype: DtypeLike | None = None, device: Device | str | None = None) -> array:
    """Make the frequencies of the elements of a real transform: 0, 1, ..., n // 2, over n * d.

    Args:
        n: The length of the transform, at least 1.
        d: The distance of the samples in time.
        dtype: A real floating-point dtype; default: float32.
        device: Where to; default: the default device.

    Returns:
        An array of shape ``(n // 2 + 1,)``.

    Raises:
        ValueError: n is less than 1, d is zero, or the dtype is another.

    Example:
        >>> fn.fft.rfftfreq(4, d=0.5)
        array([0. , 0.5, 1. ], dtype=float32)
    """
    n = _length(n, "rfftfreq")
    return _scaled(_core.arange(0, n // 2 + 1), n, d, dtype, device, "rfftfreq")


def _rolled(name: str, a: ArrayLike, axes: int | Sequence[int] | None, sign: int) -> array:
    x = _core.asarray(a)
    found = tuple(range(x.ndim)) if axes is None else integers(axes, f"{name}: axes")
    for axis in found:
        if not -x.ndim <= axis < x.ndim:
            raise _core.AxisError(f"{name}: an array of shape {x.shape} has no axis {axis}")
        length = x.shape[axis]
        x = _core.roll(x, length // 2 if sign > 0 else -(length // 2), axis)
    return x


def fftshift(a: ArrayLike, axes: int | Sequence[int] | None = None) -> array:
    """Move the element of frequency zero from the front of each axis to its middle.

    Args:
        a: The array.
        axes: One axis or several; default: all.

    Returns:
        An array of the shape and dtype of `a`.

    Raises:
        AxisError: There is no such axis.

    Example:
        >>> fn.fft.fftshift(fn.fft.fftfreq(5, d=0.2))
        array([-2., -1.,  0.,  1.,  2.], dtype=float32)
    """
    return _rolled("fftshift", a, axes, 1)


def ifftshift(a: ArrayLike, axes: int | Sequence[int] | None = None) -> array:
    """Undo `fftshift`: move the element in the middle of each axis to its front.

    Args:
        a: The array.
        axes: One axis or several; default: all.

    Returns:
        An array of the shape and dtype of `a`.

    Raises:
        AxisError: There is no such axis.

    Example:
        >>> fn.fft.ifftshift(fn.array([-2, -1, 0, 1, 2]))
        array([ 0,  1,  2, -2, -1], dtype=int32)
    """
    return _rolled("ifftshift", a, axes, -1)

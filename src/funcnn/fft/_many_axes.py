"""Transforms of several axes: one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from funcnn import _core
from funcnn._arguments import integers
from funcnn._core import array
from funcnn._types import ArrayLike

from ._one_axis import COMPLEX, TO_HALF, TO_REAL, transform


def _places(name: str, x: array, s: Sequence[int] | None, axes: Sequence[int] | None) -> list[tuple[int, int | None]]:
    """Each axis with the length that it shall have (None: its own)."""
    lengths = None if s is None else integers(s, f"{name}: s")
    if axes is None:
        count = x.ndim if lengths is None else len(lengths)
        if count > x.ndim:
            raise ValueError(f"{name}: s has {count} lengths, for an array of shape {x.shape}")
        found = tuple(range(x.ndim - count, x.ndim))
    else:
        found = integers(axes, f"{name}: axes")
        for axis in found:
            if not -x.ndim <= axis < x.ndim:
                raise _core.AxisError(f"{name}: an array of shape {x.shape} has no axis {axis}")
        found = tuple(axis % x.ndim for axis in found)
    if len(set(found)) < len(found):
        raise ValueError(f"{name}: axes has an axis twice: {axes}")
    if lengths is None:
        return [(axis, None) for axis in found]
    if len(lengths) != len(found):
        raise ValueError(f"{name}: s has {len(lengths)} lengths for {len(found)} axes")
    return [(axis, None if length == -1 else length) for axis, length in zip(found, lengths, strict=True)]


def _complex(
    name: str, a: ArrayLike, inverse: bool, s: Sequence[int] | None, axes: Sequence[int] | None, norm: str
) -> array:
    x = _core.asarray(a)
    places = _places(name, x, s, axes)
    for axis, n in reversed(places):
        x = transform(x, name, COMPLEX, inverse, n, axis, norm)
    return x if places else x.astype(_core.complex64)


def _to_half(name: str, a: ArrayLike, s: Sequence[int] | None, axes: Sequence[int] | None, norm: str) -> array:
    x = _core.asarray(a)
    *others, (last, length) = _places(name, x, s, axes) or _no_axes(name)
    x = transform(x, name, TO_HALF, False, length, last, norm)
    for axis, n in reversed(others):
        x = transform(x, name, COMPLEX, False, n, axis, norm)
    return x


def _to_real(name: str, a: ArrayLike, s: Sequence[int] | None, axes: Sequence[int] | None, norm: str) -> array:
    x = _core.asarray(a)
    *others, (last, length) = _places(name, x, s, axes) or _no_axes(name)
    for axis, n in others:
        x = transform(x, name, COMPLEX, True, n, axis, norm)
    return transform(x, name, TO_REAL, True, length, last, norm)


def _no_axes(name: str) -> list[tuple[int, int | None]]:
    raise ValueError(f"{name}: expected at least one axis")


def fftn(
    a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> array:
    """Compute the discrete Fourier transform along several axes.

    Args:
        a: The array; it is converted to complex64.
        s: The length of the transform along each axis; the axes are cut, or filled up with zeros at their ends. -1 stands for
            the length of an axis, which is the default.
        axes: The axes. Default: as many at the end as `s` has lengths, all without it.
        norm: For each axis the factor of `fft`: ``"backward"``, ``"ortho"`` or ``"forward"``.

    Returns:
        complex64, of the shape of `a` with the lengths `s` along the axes.

    Raises:
        ValueError: A length is less than 1, an axis is named twice, `s` and `axes` are not equally many, or `norm` is
            another.
        AxisError: There is no such axis.

    Example:
        >>> fn.fft.fftn(fn.ones((2, 2))).real
        array([[4., 0.],
               [0., 0.]], dtype=float32)
    """
    return _complex("fftn", a, False, s, axes, norm)


def ifftn(
    a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> array:
    """Compute the inverse of `fftn`.

    Args:
        a: The array; it is converted to complex64.
        s: The length of the transform along each axis. See `fftn`.
        axes: The axes. See `fftn`.
        norm: See `ifft`.

    Returns:
        complex64, of the shape of `a` with the lengths `s` along the axes.

    Raises:
        ValueError: See `fftn`.
        AxisError: There is no such axis.

    Example:
        >>> fn.fft.ifftn(fn.fft.fftn(fn.array([[1.0, 2.0], [3.0, 4.0]]))).real
        array([[1., 2.],
               [3., 4.]], dtype=float32)
    """
    return _complex("ifftn", a, True, s, axes, norm)


def rfftn(
    a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> array:
    """Compute half of the Fourier transform of real numbers along several axes: `rfft` along the last, `fft` along the others.

    Args:
        a: A real array; it is converted to float32.
        s: The length of the transform along each axis. See `fftn`.
        axes: The axes, at least one. See `fftn`.
        norm: See `fftn`.

    Returns:
        complex64, of the shape of `a` with the lengths `s` along the axes, but n // 2 + 1 elements for the last one, n.

    Raises:
        ValueError: `a` is complex; or see `fftn`.
        AxisError: There is no such axis.

    Example:
        >>> fn.fft.rfftn(fn.ones((2, 4))).shape
        (2, 3)
    """
    return _to_half("rfftn", a, s, axes, norm)


def irfftn(
    a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> array:
    """Compute the inverse of `rfftn`: `ifft` along all axes but the last, then `irfft`.

    Args:
        a: Half of a spectrum; it is converted to complex64.
        s: The lengths of the result along the axes. Default: those of the axes, and 2 * (m - 1) for m elements along the
            last.
        axes: The axes, at least one. See `fftn`.
        norm: See `ifft`.

    Returns:
        float32, of the shape of `a` with the lengths `s` along the axes.

    Raises:
        ValueError: See `fftn`.
        AxisError: There is no such axis.

    Example:
        >>> x = fn.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        >>> bool(fn.allclose(fn.fft.irfftn(fn.fft.rfftn(x), s=x.shape), x, atol=1e-6))
        True
    """
    return _to_real("irfftn", a, s, axes, norm)


def fft2(
    a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] | None = (-2, -1), norm: str = "backward"
) -> array:
    """Compute the discrete Fourier transform along two axes: `fftn` along the last two.

    Args:
        a: The array; it is converted to complex64.
        s: The lengths. See `fftn`.
        axes: The axes.
        norm: See `fftn`.

    Returns:
        complex64, of the shape of `a` with the lengths `s` along the axes.

    Raises:
        ValueError: See `fftn`.
        AxisError: There is no such axis.

    Example:
        >>> fn.fft.fft2(fn.ones((3, 2, 2))).shape
        (3, 2, 2)
    """
    return _complex("fft2", a, False, s, axes, norm)


def ifft2(
    a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] | None = (-2, -1), norm: str = "backward"
) -> array:
    """Compute the inverse of `fft2`: `ifftn` along the last two axes.

    Args:
        a: The array; it is converted to complex64.
        s: The lengths. See `fftn`.
        axes: The axes.
        norm: See `ifft`.

    Returns:
        complex64, of the shape of `a` with the lengths `s` along the axes.

    Raises:
        ValueError: See `fftn`.
        AxisError: There is no such axis.

    Example:
        >>> fn.fft.ifft2(fn.fft.fft2(fn.array([[1.0, 2.0], [3.0, 4.0]]))).real
        array([[1., 2.],
               [3., 4.]], dtype=float32)
    """
    return _complex("ifft2", a, True, s, axes, norm)


def rfft2(
    a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] | None = (-2, -1), norm: str = "backward"
) -> array:
    """Compute half of the Fourier transform of real numbers along two axes: `rfftn` along the last two.

    Args:
        a: A real array; it is converted to float32.
        s: The lengths. See `fftn`.
        axes: The axes.
        norm: See `fftn`.

    Returns:
        complex64; see `rfftn`.

    Raises:
        ValueError: See `rfftn`.
        AxisError: There is no such axis.

    Example:
        >>> fn.fft.rfft2(fn.ones((3, 4, 4))).shape
        (3, 4, 3)
    """
    return _to_half("rfft2", a, s, axes, norm)


def irfft2(
    a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] | None = (-2, -1), norm: str = "backward"
) -> array:
    """Compute the inverse of `rfft2`: `irfftn` along the last two axes.

    Args:
        a: Half of a spectrum; it is converted to complex64.
        s: The lengths of the result. See `irfftn`.
        axes: The axes.
        norm: See `ifft`.

    Returns:
        float32; see `irfftn`.

    Raises:
        ValueError: See `fftn`.
        AxisError: There is no such axis.

    Example:
        >>> fn.fft.irfft2(fn.fft.rfft2(fn.ones((3, 4, 4)))).shape
        (3, 4, 4)
    """
    return _to_real("irfft2", a, s, axes, norm)

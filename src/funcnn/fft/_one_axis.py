"""Transforms of one axis."""

from __future__ import annotations

from funcnn import _core
from funcnn._arguments import integer
from funcnn._core import array
from funcnn._types import ArrayLike

COMPLEX, TO_HALF, TO_REAL = range(3)


def transform(x: ArrayLike, name: str, kind: int, inverse: bool, n: int | None, axis: int, norm: str) -> array:
    """Call the native transform; errors say `name`."""
    if not isinstance(norm, str):
        raise TypeError(f"{name}: norm must be 'backward', 'ortho' or 'forward', got {norm!r}")
    if n is not None:
        n = integer(n, f"{name}: n")
    return _core.fft.transform(x, name, kind, inverse, n, integer(axis, f"{name}: axis"), norm)


def fft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str = "backward") -> array:
    r"""Compute the discrete Fourier transform along an axis.

    .. math:: y_k = c \sum_{j=0}^{n-1} x_j e^{-2 \pi i j k / n}

    Args:
        a: The array. Numbers of all dtypes are converted to complex64, float64 too.
        n: The length of the transform, any number from 1: the axis is cut, or filled up with zeros at its end. Default:
            the length of the axis.
        axis: The axis.
        norm: The factor c: 1 for ``"backward"``, :math:`1 / \sqrt n` for ``"ortho"``, 1 / n for ``"forward"``. The inverse
            has what is left of 1 / n.

    Returns:
        complex64, of the shape of `a` with n elements along the axis.

    Raises:
        ValueError: The length is less than 1, `a` has no axes, or `norm` is another.
        AxisError: There is no such axis.

    Example:
        >>> fn.fft.fft(fn.array([1.0, 2.0, 0.0, 0.0])).real
        array([ 3.,  1., -1.,  1.], dtype=float32)
    """
    return transform(a, "fft", COMPLEX, False, n, axis, norm)


def ifft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str = "backward") -> array:
    r"""Compute the inverse of `fft` along an axis.

    .. math:: x_j = \frac{1}{n} \sum_{k=0}^{n-1} y_k e^{2 \pi i j k / n}

    Args:
        a: The array; it is converted to complex64.
        n: The length of the transform; default: that of the axis. See `fft`.
        axis: The axis.
        norm: ``"backward"`` as above, ``"ortho"``: the factor is :math:`1 / \sqrt n`, ``"forward"``: it is 1.

    Returns:
        complex64, of the shape of `a` with n elements along the axis.

    Raises:
        ValueError: See `fft`.
        AxisError: There is no such axis.

    Example:
        >>> fn.fft.ifft(fn.fft.fft(fn.array([1.0, 2.0, 3.0, 4.0]))).real
        array([1., 2., 3., 4.], dtype=float32)
    """
    return transform(a, "ifft", COMPLEX, True, n, axis, norm)


def rfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str = "backward") -> array:
    """Compute the first half of the Fourier transform of real numbers along an axis.

    The other half is its mirror image: element n - k is the conjugate of element k. Of an even length this takes half
    the time of `fft`.

    Args:
        a: A real array; it is converted to float32.
        n: The length of the transform; default: that of the axis. See `fft`.
        axis: The axis.
        norm: See `fft`.

    Returns:
        complex64, of the shape of `a` with n // 2 + 1 elements along the axis.

    Raises:
        ValueError: `a` is complex; or see `fft`.
        AxisError: There is no such axis.

    Example:
        >>> fn.fft.rfft(fn.array([1.0, 2.0, 0.0, 0.0])).real
        array([ 3.,  1., -1.], dtype=float32)
    """
    return transform(a, "rfft", TO_HALF, False, n, axis, norm)


def irfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str = "backward") -> array:
    """Compute the inverse of `rfft` along an axis.

    Args:
        a: The first half of a spectrum, n // 2 + 1 elements along the axis; it is cut or filled up with zeros for that,
            and converted to complex64. The imaginary part of the first element, and of the last of an even length, has
            to be zero for real numbers to come of it and is ignored.
        n: The length of the result. Default: 2 * (m - 1) for m elements; say ``n=2 * m - 1`` where it was odd.
        axis: The axis.
        norm: See `ifft`.

    Returns:
        float32, of the shape of `a` with n elements along the axis.

    Raises:
        ValueError: See `fft`; one element along the axis stands for no even length.
        AxisError: There is no such axis.

    Example:
        >>> x = fn.array([1.0, 2.0, 3.0])
        >>> fn.fft.irfft(fn.fft.rfft(x), n=3)
        array([1., 2., 3.], dtype=float32)
    """
    return transform(a, "irfft", TO_REAL, True, n, axis, norm)


_OTHER = {"backward": "forward", "forward": "backward"}


def hfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str = "backward") -> array:
    """Compute the Fourier transform, which is real, of a signal whose second half mirrors the first.

    Args:
        a: The first half of the signal, n // 2 + 1 elements along the axis, as for `irfft`.
        n: The length of the result. Default: 2 * (m - 1) for m elements.
        axis: The axis.
        norm: See `fft`.

    Returns:
        float32, of the shape of `a` with n elements along the axis.

    Raises:
        ValueError: See `irfft`.
        AxisError: There is no such axis.

    Example:
        >>> fn.fft.hfft(fn.array([1.0, 2.0, 3.0]))
        array([ 8., -2.,  0., -2.], dtype=float32)
    """
    return transform(_core.conjugate(a), "hfft", TO_REAL, True, n, axis, _OTHER.get(norm, norm))


def ihfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str = "backward") -> array:
    """Compute the inverse of `hfft`.

    Args:
        a: A real array; it is converted to float32.
        n: The length of the transform; default: that of the axis. See `fft`.
        axis: The axis.
        norm: See `ifft`.

    Returns:
        complex64, of the shape of `a` with n // 2 + 1 elements along the axis.

    Raises:
        ValueError: See `rfft`.
        AxisError: There is no such axis.

    Example:
        >>> fn.fft.ihfft(fn.array([8.0, -2.0, 0.0, -2.0])).real
        array([1., 2., 3.], dtype=float32)
    """
    return _core.conjugate(transform(a, "ihfft", TO_HALF, False, n, axis, _OTHER.get(norm, norm)))

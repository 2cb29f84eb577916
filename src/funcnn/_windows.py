"""Windows that taper a signal towards its ends."""

from __future__ import annotations

import math
from collections.abc import Callable

from . import _core
from ._arguments import integer
from ._core import array
from ._device import default_device


def _sampled(f: Callable[[array], array], count: int) -> array:
    """f of 0, 1, ... count - 1, computed on the CPU, which has float64, and moved to the default device."""
    with default_device("cpu"):
        window = f(_core.arange(count, dtype=_core.float64)).astype(_core.float32)
    return _core._device_put(window, _core.get_default_device())


def _cosines(name: str, M: int, *weights: float) -> array:
    """The sum of weights[k] cos(2 pi k n / (M - 1)), in float64 inside: the ends cancel."""
    count = integer(M, f"{name}: M")
    if count <= 1:
        return _core.ones(max(count, 0))

    def total(n: array) -> array:
        angle, found = n * (2 * math.pi / (count - 1)), _core.full(count, weights[0], _core.float64)
        for k, weight in enumerate(weights[1:], 1):
            found = found + weight * _core.cos(k * angle)
        return found

    return _sampled(total, count)


def hanning(M: int) -> array:
    r"""Make the Hann window, :math:`\frac{1}{2} - \frac{1}{2} \cos\frac{2 \pi n}{M - 1}`.

    Args:
        M: How many points, ``n = 0`` to ``M - 1``. Of less than one there are none; a single one is 1.

    Returns:
        A ``float32`` vector.

    Example:
        >>> import funcnn as fn
        >>> fn.hanning(5)
        array([0. , 0.5, 1. , 0.5, 0. ], dtype=float32)
    """
    return _cosines("hanning", M, 0.5, -0.5)


def hamming(M: int) -> array:
    r"""Make the Hamming window, :math:`0.54 - 0.46 \cos\frac{2 \pi n}{M - 1}`.

    Args:
        M: How many points, ``n = 0`` to ``M - 1``. Of less than one there are none; a single one is 1.

    Returns:
        A ``float32`` vector.

    Example:
        >>> import funcnn as fn
        >>> fn.hamming(3)
        array([0.08, 1.  , 0.08], dtype=float32)
    """
    return _cosines("hamming", M, 0.54, -0.46)


def blackman(M: int) -> array:
    r"""Make the Blackman window, :math:`0.42 - 0.5 \cos\frac{2 \pi n}{M - 1} + 0.08 \cos\frac{4 \pi n}{M - 1}`.

    Args:
        M: How many points, ``n = 0`` to ``M - 1``. Of less than one there are none; a single one is 1.

    Returns:
        A ``float32`` vector.

    Example:
        >>> import funcnn as fn
        >>> fn.blackman(4).tolist()[1:3]
        [0.6299999952316284, 0.6299999952316284]
    """
    return _cosines("blackman", M, 0.42, -0.5, 0.08)


def bartlett(M: int) -> array:
    r"""Make the Bartlett window, the triangle :math:`1 - \left|\frac{2 n}{M - 1} - 1\right|`.

    Args:
        M: How many points, ``n = 0`` to ``M - 1``. Of less than one there are none; a single one is 1.

    Returns:
        A ``float32`` vector.

    Example:
        >>> import funcnn as fn
        >>> fn.bartlett(5)
        array([0. , 0.5, 1. , 0.5, 0. ], dtype=float32)
    """
    count = integer(M, "bartlett: M")
    if count <= 1:
        return _core.ones(max(count, 0))
    return _sampled(lambda n: _core.minimum(n, count - 1 - n) * (2 / (count - 1)), count)


__all__ = ["bartlett", "blackman", "hamming", "hanning"]

"""Functions of the bits of numbers."""

from __future__ import annotations

from typing import Any

from . import _core
from ._core import array
from ._types import ArrayLike

_SAME_SIZE = {
    _core.float16: _core.int16,
    _core.bfloat16: _core.int16,
    _core.float32: _core.int32,
    _core.float64: _core.int64,
}


def signbit(x: ArrayLike, /) -> array:
    """Tell which elements have a minus sign, ``-0.0`` and NaN included.

    Args:
        x: The array, of real numbers.

    Returns:
        Truth values of the shape of `x`.

    Raises:
        ValueError: `x` is complex.

    Example:
        >>> import funcnn as fn
        >>> fn.signbit(fn.array([1.0, -0.0]))
        array([False,  True], dtype=bool)
    """
    y = _core.asarray(x)
    if _core.isdtype(y.dtype, "complex floating"):
        raise ValueError("signbit: is not defined for complex64 operands")
    integer = _SAME_SIZE.get(y.dtype)
    if integer is not None:
        y = y.view(integer)
    return y < 0 if y.dtype != _core.bool_ else _core.zeros(y.shape, _core.bool_)


def copysign(x1: ArrayLike, x2: ArrayLike, /) -> array:
    """Give each element the sign of another.

    Args:
        x1: The sizes; integers become ``float32``.
        x2: Whose signs count, also those of ``-0.0`` and NaN. The shapes broadcast, the dtypes promote.

    Returns:
        The numbers. The derivative by `x1` is 1 or -1, that by `x2` is 0.

    Raises:
        ValueError: An argument is complex.

    Example:
        >>> import funcnn as fn
        >>> fn.copysign(fn.array([1.0, -2.0]), -0.0)
        array([-1., -2.], dtype=float32)
    """
    x, y = _floats("copysign", x1, x2)
    return _core.where(signbit(x) == signbit(y), x, -x)


def hypot(x1: ArrayLike, x2: ArrayLike, /) -> array:
    """Find the distance of points from the origin, without overflow on the way.

    The derivative at the origin is 0.

    Args:
        x1: The first coordinates; integers become ``float32``.
        x2: The second coordinates. The shapes broadcast, the dtypes promote.

    Returns:
        The square root of the sum of squares; infinity where either is infinite, even beside NaN.

    Raises:
        ValueError: An argument is complex.

    Example:
        >>> import funcnn as fn
        >>> fn.hypot(fn.array([3.0]), 4.0)
        array([5.], dtype=float32)
    """
    x, y = _floats("hypot", x1, x2)
    dtype = x.dtype
    if dtype != _core.float64 and _core._device_has(x.device, _core.float64):
        # The squares of shorter numbers are exact in float64, and no larger than it holds.
        x, y = x.astype(_core.float64), y.astype(_core.float64)
        square = x * x + y * y
        found = _core.sqrt(_core.where(square == 0, 1.0, square))
        found = _core.where(square == 0, 0.0, found)
    else:
        # A power of two near the larger one brings both close to 1, exactly.
        wide = _core.promote_types(dtype, _core.float32)
        x, y = x.astype(wide), y.astype(wide)
        digits, largest = (52, 2046) if wide == _core.float64 else (23, 254)
        top = _core.stop_gradient(_core.maximum(_core.abs(x), _core.abs(y)))
        exponent = _core.clip(top.view(_SAME_SIZE[wide]) >> digits, 1, largest - 1)
        down = ((largest - exponent) << digits).view(wide)
        p, q = x * down, y * down
        square = p * p + q * q
        found = _core.sqrt(_core.where(square == 0, 1.0, square))
        found = _core.where(square == 0, 0.0, found) * (exponent << digits).view(wide)
    infinite = _core.isinf(x) | _core.isinf(y)
    return _core.where(infinite, float("inf"), found).astype(dtype)


def nextafter(x1: ArrayLike, x2: ArrayLike, /) -> array:
    """Find the number of the dtype next to each element in the direction of another.

    The derivative by `x1` is 1, that by `x2` is 0.

    Args:
        x1: Where to start; integers become ``float32``.
        x2: Where to go. The shapes broadcast, the dtypes promote.

    Returns:
        The next number; `x2` where both are equal, and NaN where either is.

    Raises:
        ValueError: An argument is complex.

    Example:
        >>> import funcnn as fn
        >>> float(fn.nextafter(fn.array(1.0), 2.0)) - 1 == fn.finfo(fn.float32).eps
        True
    """
    x, y = _core.broadcast_arrays(*_floats("nextafter", x1, x2))
    integer = _SAME_SIZE[x.dtype]
    bits = x.view(integer)
    # Away from zero the next number is the next pattern of bits.
    away = (y > x) == (x > 0)
    step = _core.where(away, _core.array(1, integer), _core.array(-1, integer))
    least = copysign(_core.ones(x.shape, integer).view(x.dtype), y)
    found = _core.where(x == 0, least, (bits + step).view(x.dtype))
    found = _core.where(_core.isnan(x) | _core.isnan(y), x + y, _core.where(x == y, y, found))
    found, start = _core.stop_gradient(found), _core.stop_gradient(x)
    # The gap between neighbours is exact; beside it the start carries its derivative. Sums would lose the sign of zero.
    moves = _core.isfinite(found) & _core.isfinite(start) & (found != start) & (found != 0)
    return _core.where(moves, x + (found - start), found)


def _floats(name: str, *given: Any) -> list[array]:
    """The operands, promoted to one floating-point dtype."""
    operands = [x if isinstance(x, (bool, int, float, complex, array)) else _core.asarray(x) for x in given]
    dtype = _core.result_type(*operands)
    if _core.isdtype(dtype, "complex floating"):
        raise ValueError(f"{name}: is not defined for complex64 operands")
    if not _core.isdtype(dtype, "real floating"):
        dtype = _core.float32
    return [_core.asarray(x, dtype) for x in operands]


__all__ = ["copysign", "hypot", "nextafter", "signbit"]

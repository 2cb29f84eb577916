"""Normal draws between bounds, also far from 0, where erf is 1 and tells nothing any more."""

from __future__ import annotations

from . import _core
from ._core import array
from ._device import parameter
from ._types import ArrayLike, DtypeLike, ShapeLike

# From where on, and with how many terms the continued fraction below has the precision of the dtype there.
_FAR = {True: (6.0, 24), False: (3.0, 14)}  # float64, float32


def _mills(x: array, terms: int) -> array:
    """The probability of what is above `x` over the density there: Laplace's continued fraction."""
    t = x
    for k in range(terms, 0, -1):
        t = x + k / t
    return 1.0 / t


def _above(u: array, low: array, high: array, terms: int) -> array:
    """What of the tail above `low` and below `high` is the quantile of 1 - u, as a distance from `low`.

    The probability of what is above x is mills(x) * exp(-x**2 / 2); its logarithm is inverted by Newton's method.
    """
    start = _mills(low, terms)
    beyond = _mills(high, terms) / start * _core.exp(-0.5 * (high - low) * (high + low))
    less = _core.log1p(-u * (1.0 - beyond))
    d = -2.0 * less / (low + _core.sqrt(low * low - 2.0 * less))
    for _ in range(3):
        m = _mills(low + d, terms)
        d = d - m * (d * (low + 0.5 * d) - _core.log(m / start) + less)
    return d


def truncated_normal(
    key: array, lower: ArrayLike, upper: ArrayLike, shape: ShapeLike | None, dtype: DtypeLike
) -> array:
    """``random.truncated_normal``."""
    work = _core.float64 if dtype == _core.float64 else _core.float32
    far, terms = _FAR[work == _core.float64]
    # Numbers keep the digits that float64 has.
    low, high = (
        _core.asarray(x, work) if isinstance(x, (int, float)) else parameter(x).astype(work) for x in (lower, upper)
    )
    numbers = isinstance(lower, (int, float)) and isinstance(upper, (int, float))
    if numbers and not (lower > far or upper < -far):  # type: ignore[operator]
        return _core.random_truncated_normal(key, low, high, shape, dtype)
    left = high < -far
    outside = left | (low > far)
    near = _core.random_truncated_normal(
        key, _core.where(outside, -1.0, low), _core.where(outside, 1.0, high), shape, dtype
    )
    a = _core.where(outside, _core.where(left, -high, low), far)
    b = _core.where(outside, _core.where(left, -low, high), far + 1.0)
    u = _core.random_uniform(key, near.shape, work, 0.0, 1.0)
    x = _core.maximum(_core.minimum(a + _above(u, a, b, terms), b), a)
    drawn: array = _core.where(outside, _core.where(left, -x, x).astype(near.dtype), near)
    return drawn

"""Draws that are made of uniform and normal ones: exponential, gamma, beta, Poisson; and choices."""

from __future__ import annotations

import math
from typing import Any

from . import _core
from ._arguments import axis_of, integer, integers, is_integer
from ._core import Dtype, array, float32, int32
from ._device import default_device, doubled, parameter
from ._gamma import gamma_factors
from ._poisson import in_dtype, poisson_counts
from ._transforms_rules import stop_gradient
from ._types import ArrayLike, DtypeLike, ShapeLike


def exponential(key: array, shape: ShapeLike = (), dtype: DtypeLike = float32) -> array:
    """Draw from the exponential distribution of mean 1, ``-log(1 - u)`` of a uniform ``u``.

    Args:
        key: The key.
        shape: The shape to draw.
        dtype: A floating point type; ``float32`` by default.

    Raises:
        ValueError: ``dtype`` is not a floating point type.

    Example:
        >>> x = random.exponential(random.key(0), (1000,))
        >>> x.shape, bool((x >= 0).all())
        ((1000,), True)
    """
    dtype, work = _float_dtypes("exponential", dtype)
    return (-_core.log1p(-_core.random_uniform(key, _shape("exponential", shape), work, 0, 1))).astype(dtype)


def gamma(key: array, a: ArrayLike, shape: ShapeLike | None = None, dtype: DtypeLike = float32) -> array:
    """Draw from the gamma distribution of density ``x**(a - 1) * exp(-x) / gamma(a)``, ``x > 0``.

    Multiply by a scale for others. Normal draws are transformed and rejected (Marsaglia and Tsang, 2000), in a loop until
    every element is accepted. The draws can be differentiated once by ``a``: how they move while their quantiles stay
    (Figurnov, Mohamed and Mnih, 2018).

    Args:
        key: The key.
        a: The parameter, above 0, an array or a number. 0 gives 0; negative ones give NaN.
        shape: The shape to draw, to which ``a`` broadcasts. Default: the shape of ``a``.
        dtype: A floating point type; ``float32`` by default.

    Raises:
        ValueError: ``dtype`` is not a floating point type, or ``a`` does not broadcast to the shape.

    Example:
        >>> x = random.gamma(random.key(0), 3.0, (10_000,))
        >>> bool(abs(x.mean() - 3) < 0.1), bool(abs(x.var() - 3) < 0.3)
        (True, True)
    """
    dtype, work = _float_dtypes("gamma", dtype)
    drawn, (parameter,) = _parameters("gamma", shape, work, a)
    g, log_h = gamma_factors(key, parameter, drawn)
    return (g * _core.exp(log_h)).astype(dtype)


def beta(key: array, a: ArrayLike, b: ArrayLike, shape: ShapeLike | None = None, dtype: DtypeLike = float32) -> array:
    """Draw from the beta distribution of density proportional to ``x**(a - 1) * (1 - x)**(b - 1)``, ``0 < x < 1``.

    It is ``g / (g + h)`` of two draws from ``gamma``, with parameters ``a`` and ``b``, computed so that small parameters do no
    harm; it can be differentiated as they can.

    Args:
        key: The key.
        a, b: The parameters, above 0, arrays or numbers.
        shape: The shape to draw, to which the parameters broadcast. Default: their common shape.
        dtype: A floating point type; ``float32`` by default.

    Raises:
        ValueError: ``dtype`` is not a floating point type, or the parameters do not broadcast to the shape.

    Example:
        >>> x = random.beta(random.key(0), 2.0, 6.0, (10_000,))
        >>> bool(abs(x.mean() - 0.25) < 0.01)
        True
    """
    dtype, work = _float_dtypes("beta", dtype)
    drawn, (first, second) = _parameters("beta", shape, work, a, b)
    keys = _core.random_split(key, 2)
    (g, log_u), (h, log_v) = (gamma_factors(k, x, drawn) for k, x in zip(keys, (first, second), strict=True))
    # Of the small factors only the quotient counts; logarithms of g and h would lose digits where these are large.
    top = stop_gradient(_core.maximum(log_u, log_v))
    g, h = g * _core.exp(log_u - top), h * _core.exp(log_v - top)
    return (g / (g + h)).astype(dtype)


def poisson(key: array, lam: ArrayLike, shape: ShapeLike | None = None, dtype: DtypeLike = int32) -> array:
    """Draw counts of independent events that happen ``lam`` times on average.

    Below a rate of 10 exponential waits are added up (Knuth), from there on uniform draws are transformed and rejected
    (Hörmann's PTRS, 1993), in loops until every element is done. Rates are read as ``float32``, or ``float64`` if they are.

    Args:
        key: The key.
        lam: The rate, at least 0, an array or a number. Negative rates and NaN give -1.
        shape: The shape to draw, to which ``lam`` broadcasts. Default: the shape of ``lam``.
        dtype: An integer type; ``int32`` by default. Counts that do not fit, or reach 9e18, become its largest number.

    Raises:
        ValueError: ``dtype`` is not an integer type, or ``lam`` does not broadcast to the shape.

    Example:
        >>> x = random.poisson(random.key(0), 4.0, (10_000,))
        >>> x.dtype, bool(abs(x.astype(fn.float32).mean() - 4) < 0.1)
        (int32, True)
    """
    dtype = _core.promote_types(dtype, dtype)
    if not _core.isdtype(dtype, "integral"):
        raise ValueError(f"random.poisson: dtype must be an integer type, got {dtype}")
    rate = parameter(lam)
    drawn, (rate,) = _parameters("poisson", shape, _core.float64 if rate.dtype == _core.float64 else float32, rate)
    return in_dtype(poisson_counts(key, rate, drawn), dtype)


def choice(
    key: array,
    a: int | ArrayLike,
    shape: ShapeLike = (),
    replace: bool = True,
    p: ArrayLike | None = None,
    axis: int = 0,
) -> array:
    """Choose among the numbers below ``a``, or among the slices of an array along an axis.

    With replacement, positions are drawn by ``randint``, or with probabilities ``p`` by searching their running sum, which is
    float64, on the CPU. Without, they are the first of a ``permutation``, or with ``p`` those with the largest ``log(p)`` plus a Gumbel
    draw each.

    Args:
        key: The key.
        a: How many numbers, or the array.
        shape: How many to choose; any shape.
        replace: Whether one may be chosen several times.
        p: The probability of each, of shape ``(n,)``; they need not add up to 1. The same for all by default. Without
            replacement there must be as many that are not zero as are chosen.
        axis: The axis of an array.

    Returns:
        ``int32`` of the shape, or the slices: the shape of ``a`` with ``shape`` in the place of the axis.

    Raises:
        ValueError: There are fewer to choose from than are chosen, or none; ``p`` does not fit, or its values, where they
            are known, are no probabilities.
        AxisError: The array lacks the axis.

    Example:
        >>> random.choice(random.key(0), 5, (3,), replace=False).shape
        (3,)
        >>> random.choice(random.key(0), fn.array([10, 20]), (4,), p=fn.array([0.0, 1.0]))
        array([20, 20, 20, 20], dtype=int32)
    """
    drawn = _shape("choice", shape)
    wanted = math.prod(drawn)
    x: array | None = None
    if is_integer(a):
        count = integer(a, "random.choice: a")
    else:
        x = _core.asarray(a)
        if x.ndim == 0:
            raise TypeError(f"random.choice: a must be an integer or an array with axes, got {a!r}")
        axis = axis_of(x, axis, "random.choice")
        count = x.shape[axis]
    if count < (1 if replace else wanted) and wanted:
        raise ValueError(
            f"random.choice: cannot choose {wanted} of {count}" + ("" if replace else " without replacement")
        )
    index = _core.int32 if count < 2**31 else _core.int64
    if p is not None:
        given = weights = parameter(p)
        weights = weights if _core.isdtype(weights.dtype, "real floating") else weights.astype(float32)
        if weights.shape != (count,):
            raise ValueError(f"random.choice: p must have shape {(count,)}, got {weights.shape}")
        # Numbers of Python's are on their way to a GPU, but known here.
        known = given
        if not isinstance(p, array):
            with default_device("cpu"):
                known = _core.asarray(p)
        if wanted and _core._is_computed(known):
            _check_probabilities(known, 1 if replace else wanted)
    if not wanted:
        places = _core.zeros(drawn, index)
    elif p is None:
        places = (
            _core.random_randint(key, 0, count, drawn, index)
            if replace
            else _core.random_permutation(key, count, 0)[:wanted].reshape(drawn).astype(index)
        )
    elif replace:
        # float32 would lose what is small beside the sum so far. In (0, total], so that what has probability 0 is never found.
        running = _core.cumsum(doubled(weights))
        uniform = _core.random_uniform(_core._device_put(key, "cpu"), drawn, running.dtype, 0, 1)
        places = _core.minimum(_core.searchsorted(running, running[-1] * (1 - uniform)), count - 1).astype(index)
        places = _core._device_put(places, weights.device)
    else:
        scores = _core.random_gumbel(key, (count,), float32) + _core.log(weights)
        places = _core.argsort(-scores)[:wanted].reshape(drawn).astype(index)
    return places if x is None else _core.take(x, places, axis)


def _check_probabilities(weights: array, least: int) -> None:
    import numpy as np

    values = np.asarray(doubled(weights))
    if not (values >= 0).all() or not np.isfinite(values).all():
        raise ValueError(f"random.choice: p must hold finite numbers that are not negative, got {values.min()}")
    if (values > 0).sum() < least:
        raise ValueError(f"random.choice: p is above 0 for {(values > 0).sum()}, fewer than the {least} to choose from")


def _float_dtypes(name: str, dtype: Any) -> tuple[Dtype, Dtype]:
    """The dtype of a draw, and the one it is computed in."""
    dtype = _core.promote_types(dtype, dtype)
    if not _core.isdtype(dtype, "real floating"):
        raise ValueError(f"random.{name}: dtype must be a real floating point type, got {dtype}")
    return dtype, _core.float64 if dtype == _core.float64 else float32


def _shape(name: str, shape: Any) -> tuple[int, ...]:
    drawn = integers(shape, f"random.{name}: shape")
    if any(n < 0 for n in drawn):
        raise ValueError(f"random.{name}: negative length in the shape {drawn}")
    return drawn


def _parameters(name: str, shape: Any, work: Dtype, *given: Any) -> tuple[tuple[int, ...], list[array]]:
    """The shape to draw, and the parameters as arrays that broadcast to it."""
    arrays = [_core.asarray(x, work) for x in given]
    common = _core.broadcast_shapes(*(x.shape for x in arrays))
    drawn = common if shape is None else _shape(name, shape)
    if len(common) > len(drawn) or any(n not in (1, m) for n, m in zip(common[::-1], drawn[::-1], strict=False)):
        raise ValueError(f"random.{name}: parameters of common shape {common} do not broadcast to the shape {drawn}")
    return drawn, arrays

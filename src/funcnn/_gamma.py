"""Gamma variates, and how they move with their parameter."""

from __future__ import annotations

from typing import Any

from . import _core
from ._control import while_loop
from ._core import array
from ._transforms_rules import custom_jvp, stop_gradient


def gamma_factors(key: array, a: array, shape: tuple[int, ...]) -> tuple[array, array]:
    """Draw from gamma distributions, as ``(g, log_h)``: the variate is ``g * exp(log_h)``. `a` broadcasts to the shape.

    g has the parameter a, or a + 1 if a is below 1, where h = U**(1 / a) makes up for it; its logarithm is given because it
    underflows for small a. Invalid parameters give NaN.
    """
    body, boost = _core.random_split(key, 2)
    small = a < 1
    raised = _core.where(small, a + 1, a)
    g = _moving(raised, stop_gradient(_marsaglia_tsang(body, stop_gradient(raised), shape)))
    # 1 where nothing is to be made up for, so that its derivative is finite.
    exponent = _core.where(small & (a > 0), a, 1)
    uniform = _core.random_uniform(boost, shape, a.dtype, 0, 1)
    log_h = _core.where(small, _core.log1p(-uniform) / exponent, _core.zeros((), a.dtype))
    g = _core.where(a > 0, g, _core.where(a == 0, 0.0, float("nan")).astype(a.dtype))
    return g, log_h


def _marsaglia_tsang(key: array, a: array, shape: tuple[int, ...]) -> array:
    """Draw for parameters of at least 1.

    G. Marsaglia and W. W. Tsang, A simple method for generating gamma variables, ACM TOMS 26, 2000: with d = a - 1/3,
    e = x / sqrt(9 d) of a normal x, d (1 + e)**3 is accepted with the probability that makes it a gamma variate, which is
    above 0.95. Every turn draws for all elements, until the last is accepted.
    """
    valid = (a >= 1) & _core.isfinite(a)
    d = _core.where(valid, a, 1) - 1 / 3
    step = _core.rsqrt(9 * d)

    def draw(state: tuple[array, array, array]) -> tuple[array, array, array]:
        turn, drawn, pending = state
        for_normal, for_uniform = _core.random_split(_core.random_fold_in(key, turn), 2)
        e = step * _core.random_normal(for_normal, shape, a.dtype, None, None)
        log_u = _core.log(_core.random_uniform(for_uniform, shape, a.dtype, 0, 1))
        # x**2 / 2 + d - d v + d log(v), v = (1 + e)**3, where the large terms cancel.
        accepted = (e > -1) & (log_u < 3 * d * _log_remainder(_core.maximum(e, -1)))
        drawn = _core.where(pending & accepted, d * (1 + e) * (1 + e) * (1 + e), drawn)
        return turn + 1, drawn, pending & ~accepted

    start = _core.where(a > 0, a, float("nan")).astype(a.dtype)  # infinite where a is
    state = (_core.array(0, _core.uint32), _core.broadcast_to(start, shape), _core.broadcast_to(valid, shape))
    drawn: array = while_loop(lambda state: state[2].any(), draw, state)[1]
    return drawn


def _log_remainder(e: array) -> array:
    """log(1 + e) - e + e**2 / 2 - e**3 / 3."""
    tail: Any = 0.0
    for k in range(14, 3, -1):
        tail = (1 if k % 2 else -1) / k + e * tail
    direct = _core.log1p(e) - e + e * e * 0.5 - e * e * e * (1 / 3)
    return _core.where(abs(e) < 0.15, e * e * e * e * tail, direct)


@custom_jvp
def _moving(a: array, g: array) -> array:
    """Give a variate its derivative by the parameter."""
    return g


def _moving_rule(primals: tuple[array, array], tangents: tuple[Any, Any]) -> tuple[array, Any]:
    a = primals[0]
    g = _moving(*primals)  # moves in derivatives of the derivative as well
    return g, None if tangents[0] is None else tangents[0] * gamma_derivative(a, g)


_moving.defjvp(_moving_rule)


def gamma_derivative(a: array, g: array) -> array:
    """How the variate `g` moves with the parameter `a` >= 1 while its quantile F(g; a) stays: -(dF/da) / (dF/dg).

    M. Figurnov, S. Mohamed and A. Mnih, Implicit reparameterization gradients, NeurIPS 2018. dF/da is the integral of
    (log t - digamma(a)) times the density over all t below g, or minus that over all above; with t = g e^(-u) or g e^u the
    side with the shorter tail is summed by Gauss and Legendre's rule up to where the density has fallen by e^-30.
    """
    import numpy as np

    side = _core.where(g > a, 1.0, -1.0).astype(a.dtype)
    gap = abs(a - g)

    def height(u: array) -> array:
        """Minus the logarithm of the density, times u's share of the element, relative to that at g."""
        return gap * u + g * _expm1_remainder(side * u)

    def slope(u: array) -> array:
        return gap + g * side * _core.expm1(side * u)

    # Newton's method from above, where it is monotone.
    end = _core.where(side > 0, _core.sqrt(60 / g), 30 / a + 1)
    for _ in range(8):
        end = end - (height(end) - 30) / slope(end)
    log_ratio = _core.where(2 * g < a, _core.log(g / a), _core.log1p((g - a) / a)) + _log_minus_digamma(a)
    nodes, weights = np.polynomial.legendre.leggauss(32)
    total = _core.zeros((), a.dtype)
    for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
        u = end * ((node + 1) / 2)
        total = total + weight / 2 * (log_ratio + side * u) * _core.exp(-height(u))
    return side * g * end * total


def _expm1_remainder(y: array) -> array:
    """e**y - 1 - y."""
    tail: Any = 1.0
    for k in range(13, 2, -1):
        tail = 1 + y * tail * (1 / k)
    return _core.where(abs(y) < 0.7, y * y * tail * 0.5, _core.expm1(y) - y)


def _log_minus_digamma(a: array) -> array:
    square = 1 / (a * a)
    large = 0.5 / a + square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240))))
    return _core.where(a < 8, _core.log(a) - _core.digamma(a), large)

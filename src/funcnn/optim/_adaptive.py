"""Optimisers that divide every element of the gradient by what its past was like."""

from __future__ import annotations

import functools
from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._device import home
from funcnn._hyper import number, plain_fields

from . import _rules as rules
from ._fields import flag, pair, plain_pair, rate
from ._protocol import (
    ScalarOrSchedule,
    combine_many,
    decay_like,
    each,
    first_count,
    like,
    next_count,
    part_of,
    rate_and_count,
    real_zeros,
    scaled,
    value_at,
    wide,
    wide_zeros,
)


def _count_of(rate: ScalarOrSchedule) -> dict[str, Any]:
    return {"count": first_count()} if callable(rate) else {}


@attrs.frozen(field_transformer=plain_fields)
class adagrad:
    """Divide gradients by the root of the sum of all their squares: rare features get larger steps.

    ``nu = nu + grad**2``; the step is ``-learning_rate * grad / (sqrt(nu) + eps)``. The sum is float32 for float16 and bfloat16
    parameters, whose own would soon stop growing. Of complex gradients the square is that of the absolute value.

    Args:
        learning_rate: A number, or a function from the count of steps (0 in the first) to one.
        eps: Added outside the root.

    Reference: J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and stochastic optimization", 2011.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.adagrad(0.1)
    >>> params = {"w": fn.array([1.0])}
    >>> delta, state = opt.update({"w": fn.array([2.0])}, opt.init(params))
    >>> round(delta["w"].item(), 4), state["nu"]["w"].tolist()
    (-0.1, [4.0])
    """

    learning_rate: ScalarOrSchedule = attrs.field(validator=rate)
    eps: float = attrs.field(default=1e-8, validator=number(0.0, above=True))

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: the sums of squares ``nu``, and ``count`` if the learning rate is a schedule."""
        return {**_count_of(self.learning_rate), "nu": each("adagrad", real_zeros, params)}

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        factor, new = rate_and_count("adagrad", self.learning_rate, state)

        def step(g: fn.array, v: fn.array) -> tuple[Any, ...]:
            g = wide(g)
            v = v + rules.squared_size(g)
            return scaled(-factor, rules.over_root(g, v, like(self.eps, v))), v

        old = part_of("adagrad", state, "nu")
        delta, nu = combine_many("adagrad", 2, step, grads, old)
        return delta, {**new, "nu": tree.merge(old, nu)}


@attrs.frozen(field_transformer=plain_fields)
class rmsprop:
    """Divide gradients by the root of a running average of their squares.

    ``nu = alpha * nu + (1 - alpha) * grad**2``; the step is ``-learning_rate * grad / (sqrt(nu) + eps)``. Averages and steps of
    float16 and bfloat16 parameters are float32. Of complex gradients the square is that of the absolute value.

    Args:
        learning_rate: A number, or a function from the count of steps (0 in the first) to one.
        alpha: The decay of the average.
        eps: Added outside the root.

    Reference: T. Tieleman, G. Hinton, "Lecture 6.5: rmsprop", Neural networks for machine learning, 2012.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.rmsprop(0.1)
    >>> params = {"w": fn.array([1.0])}
    >>> delta, state = opt.update({"w": fn.array([2.0])}, opt.init(params))
    >>> round(delta["w"].item(), 4)
    -1.0
    """

    learning_rate: ScalarOrSchedule = attrs.field(validator=rate)
    alpha: float = attrs.field(default=0.99, validator=number(0.0))
    eps: float = attrs.field(default=1e-8, validator=number(0.0, above=True))

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: the averages ``nu``, and ``count`` if the learning rate is a schedule."""
        return {**_count_of(self.learning_rate), "nu": each("rmsprop", real_zeros, params)}

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        factor, new = rate_and_count("rmsprop", self.learning_rate, state)

        def step(g: fn.array, v: fn.array) -> tuple[Any, ...]:
            g = wide(g)
            v = rules.averaged(v, rules.squared_size(g), decay_like(self.alpha, v))
            return scaled(-factor, rules.over_root(g, v, like(self.eps, v))), v

        old = part_of("rmsprop", state, "nu")
        delta, nu = combine_many("rmsprop", 2, step, grads, old)
        return delta, {**new, "nu": tree.merge(old, nu)}


@attrs.frozen(field_transformer=plain_fields)
class adadelta:
    """Scale gradients so that steps have the size that steps had before: units cancel out.

    ``nu = rho * nu + (1 - rho) * grad**2``; ``d = grad * sqrt(size + eps) / sqrt(nu + eps)``;
    ``size = rho * size + (1 - rho) * d**2``; the step is ``-learning_rate * d``. Averages and steps of float16 and bfloat16
    parameters are float32. Of complex gradients the square is that of the absolute value.

    Args:
        learning_rate: A number, or a function from the count of steps (0 in the first) to one. The paper has 1.
        rho: The decay of both averages.
        eps: Added inside both roots.

    Reference: M. D. Zeiler, "ADADELTA: an adaptive learning rate method", 2012.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.adadelta(1.0)
    >>> params = {"w": fn.array([1.0])}
    >>> delta, state = opt.update({"w": fn.array([2.0])}, opt.init(params))
    >>> round(delta["w"].item(), 5)
    -0.00316
    """

    learning_rate: ScalarOrSchedule = attrs.field(validator=rate)
    rho: float = attrs.field(default=0.9, validator=number(0.0))
    eps: float = attrs.field(default=1e-6, validator=number(0.0, above=True))

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: the averages ``nu`` of gradients and ``size`` of steps, ``count`` if the rate is a schedule."""
        nu, size = (each("adadelta", real_zeros, params) for _ in range(2))
        return {**_count_of(self.learning_rate), "nu": nu, "size": size}

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        factor, new = rate_and_count("adadelta", self.learning_rate, state)

        def step(g: fn.array, v: fn.array, u: fn.array) -> tuple[Any, ...]:
            d, v, u = rules.adadelta(wide(g), v, u, decay_like(self.rho, v), like(self.eps, v))
            return scaled(-factor, d), v, u

        old = [part_of("adadelta", state, key) for key in ("nu", "size")]
        delta, nu, size = combine_many("adadelta", 3, step, grads, *old)
        return delta, {**new, "nu": tree.merge(old[0], nu), "size": tree.merge(old[1], size)}


@attrs.frozen(field_transformer=plain_fields)
class adamax:
    """Adam with the largest gradient of the past, slowly forgotten, in the place of the root of the second moment.

    ``mu = b1 * mu + (1 - b1) * grad``; ``nu = max(b2 * nu, |grad|)``; the step is ``-learning_rate * mu / (nu + eps)``. `mu`
    starts at zero and is divided by ``1 - b1**count`` to make up for it, as in the paper; MLX does not. Moments and steps of
    float16 and bfloat16 parameters are float32.

    Args:
        learning_rate: A number, or a function from the count of steps (0 in the first) to one.
        betas: The decays of average and maximum.
        eps: Added to the maximum.
        bias_correction: Whether to divide the average by ``1 - b1**count``.

    Reference: D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2015, section 7.1.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.adamax(0.1)
    >>> params = {"w": fn.array([1.0])}
    >>> delta, state = opt.update({"w": fn.array([2.0])}, opt.init(params))
    >>> round(delta["w"].item(), 4), state["nu"]["w"].tolist()
    (-0.1, [2.0])
    """

    learning_rate: ScalarOrSchedule = attrs.field(validator=rate)
    betas: tuple[float, float] = attrs.field(default=(0.9, 0.999), converter=plain_pair, validator=pair(1.0))
    eps: float = attrs.field(default=1e-8, validator=number(0.0))
    bias_correction: bool = attrs.field(default=True, validator=flag, kw_only=True)

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: ``count`` of steps, averages ``mu`` and maxima ``nu``."""
        mu, nu = each("adamax", wide_zeros, params), each("adamax", real_zeros, params)
        return {"count": first_count(), "mu": mu, "nu": nu}

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        before, old_mu, old_nu = (part_of("adamax", state, key) for key in ("count", "mu", "nu"))
        count, factor = next_count(before), value_at("adamax", self.learning_rate, before)
        b1, b2 = self.betas

        @functools.cache
        def corrected(dtype: fn.Dtype, device: fn.Device | None) -> fn.array:
            return rules.correction(b1, count.astype(dtype, device=device))

        def step(g: fn.array, m: fn.array, v: fn.array) -> tuple[Any, ...]:
            direction, m, v = rules.adamax(wide(g), m, v, decay_like(b1, m), like(b2, v), like(self.eps, v))
            if self.bias_correction:
                direction = direction * corrected(v.dtype, home(v))
            return scaled(-factor, direction), m, v

        delta, mu, nu = combine_many("adamax", 3, step, grads, old_mu, old_nu)
        return delta, {"count": count, "mu": tree.merge(old_mu, mu), "nu": tree.merge(old_nu, nu)}

"""Adam and its variant with decoupled weight decay."""

from __future__ import annotations

import functools
import math
from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._hyper import number, plain_fields

from ._protocol import (
    ScalarOrSchedule,
    combine,
    each,
    first_count,
    needs_params,
    next_count,
    part_of,
    scaled,
    squared_size,
    value_at,
    wide,
    wide_zeros,
)


def _real_zeros(x: fn.array) -> fn.array:
    return wide_zeros(x.real if fn.isdtype(x.dtype, "complex floating") else x)


def _correction(decay: float, steps: fn.array) -> fn.array:
    """``1 / (1 - decay**steps)``, without the cancellation."""
    return -1.0 / fn.expm1(steps * (math.log(decay) if decay else -math.inf))


@attrs.frozen(field_transformer=plain_fields)
class _Adam:
    learning_rate: ScalarOrSchedule = attrs.field(default=1e-3, validator=number(schedule=True))
    b1: float = attrs.field(default=0.9, validator=number(0.0, 1.0))
    b2: float = attrs.field(default=0.999, validator=number(0.0, 1.0))
    eps: float = attrs.field(default=1e-8, validator=number(0.0))
    eps_root: float = attrs.field(default=0.0, validator=number(0.0))

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: ``count`` of steps, first moments ``mu`` and second moments ``nu``."""
        return {
            "count": first_count(),
            "mu": each(type(self).__name__, wide_zeros, params),
            "nu": each(type(self).__name__, _real_zeros, params),
        }

    def _steps(self, grads: Any, state: dict[str, Any], params: Any, decay: Any, mask: Any) -> tuple[Any, Any]:
        b1, b2 = self.b1, self.b2
        name = type(self).__name__
        before, old_mu, old_nu = (part_of(name, state, key) for key in ("count", "mu", "nu"))
        mu = combine(name, lambda g, m: b1 * m + (1.0 - b1) * wide(g), grads, old_mu)
        nu = combine(name, lambda g, v: b2 * v + (1.0 - b2) * squared_size(wide(g)), grads, old_nu)
        count = next_count(before)
        rate = value_at(name, self.learning_rate, before)

        # Scalars of a step, computed once for each dtype and shared by all parameters.
        @functools.cache
        def corrections(dtype: fn.Dtype) -> tuple[fn.array, fn.array]:
            steps = count.astype(dtype)
            return _correction(b1, steps), _correction(b2, steps)

        def direction(m: fn.array, v: fn.array) -> fn.array:
            first, second = corrections(v.dtype)
            scaled_moment: fn.array = m * first / (fn.sqrt(v * second + self.eps_root) + self.eps)
            return scaled_moment

        def step(direction: fn.array) -> fn.array:
            return scaled(-rate, direction)

        # What has no gradient keeps its moments.
        new = {"count": count, "mu": tree.merge(old_mu, mu), "nu": tree.merge(old_nu, nu)}
        steps = tree.map(direction, mu, nu)
        if not isinstance(decay, fn.array) and not decay:
            return tree.map(step, steps), new
        needs_params(name, params)
        chosen, rest = (steps, None) if mask is None else tree.partition(steps, mask)
        chosen = combine(name, lambda d, p: d + decay * p.astype(d.dtype), chosen, params)
        return tree.map(step, tree.merge(chosen, rest)), new


@attrs.frozen(field_transformer=plain_fields)
class adam(_Adam):
    """Scale every element's step by running averages of gradient and squared gradient.

    With ``mu = b1 * mu + (1 - b1) * grad`` and ``nu = b2 * nu + (1 - b2) * grad**2``, both divided by ``1 - b**count`` to
    make up for their start at zero, the step is ``-learning_rate * mu / (sqrt(nu + eps_root) + eps)``. Of complex gradients the
    square is that of the absolute value.

    Moments and steps of float16 and bfloat16 parameters are float32. Parameters whose gradients are ``absent`` get no step and
    keep their moments.

    Args:
        learning_rate: A number, or a function from the count of steps (0 in the first) to one.
        b1: Decay of the first moment.
        b2: Decay of the second moment.
        eps: Added outside the root.
        eps_root: Added inside the root, for derivatives through the optimiser.

    Reference: D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2015.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.adam(0.1)
    >>> params = {"w": fn.array([1.0])}
    >>> delta, state = opt.update({"w": fn.array([2.0])}, opt.init(params))
    >>> round(delta["w"].item(), 4), state["count"].item()
    (-0.1, 1)
    """

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        return self._steps(grads, state, params, 0.0, None)


@attrs.frozen(field_transformer=plain_fields)
class adamw(_Adam):
    """Adam with weight decay that does not pass through the moments: the step gains ``-learning_rate * weight_decay * param``.

    Args:
        learning_rate: A number, or a function from the count of steps (0 in the first) to one.
        b1: Decay of the first moment.
        b2: Decay of the second moment.
        eps: Added outside the root.
        eps_root: Added inside the root.
        weight_decay: The factor of the parameters.
        mask: Which parameters decay, as in ``add_decayed_weights``. All by default.

    Raises:
        ValueError: ``update`` gets no parameters.

    Reference: I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", 2019.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.adamw(0.1, weight_decay=0.5)
    >>> params = {"w": fn.array([1.0])}
    >>> delta, _ = opt.update({"w": fn.array([2.0])}, opt.init(params), params)
    >>> round(delta["w"].item(), 4)
    -0.15
    """

    weight_decay: float = attrs.field(default=1e-4, validator=number())
    mask: Any = None

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        return self._steps(grads, state, params, self.weight_decay, self.mask)

"""Adam and its variant with decoupled weight decay."""

from __future__ import annotations

from typing import Any

import attrs

import funcnn as fn
from funcnn import tree

from ._protocol import ScalarOrSchedule, needs_params, value_at


def _moments_like(params: Any) -> dict[str, Any]:
    return {
        "count": fn.array(0, dtype=fn.int32),
        "mu": tree.map(fn.zeros_like, params),
        "nu": tree.map(fn.zeros_like, params),
    }


@attrs.frozen
class _Adam:
    learning_rate: ScalarOrSchedule = 1e-3
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    eps_root: float = 0.0

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: ``count`` of steps, first moments ``mu`` and second moments ``nu``."""
        return _moments_like(params)

    def _steps(self, grads: Any, state: dict[str, Any], params: Any, decay: float, mask: Any) -> tuple[Any, Any]:
        b1, b2 = self.b1, self.b2
        mu = tree.map(lambda g, m: b1 * m + (1.0 - b1) * g, grads, state["mu"])
        nu = tree.map(lambda g, v: b2 * v + (1.0 - b2) * (g * g), grads, state["nu"])
        count = state["count"] + 1
        # Scalars of a step, computed once and shared by all parameters.
        steps = count.astype(fn.float32)
        rate = value_at(self.learning_rate, state["count"])
        rate = -rate
        correct1 = 1.0 / (1.0 - fn.power(fn.array(b1), steps))
        correct2 = 1.0 / (1.0 - fn.power(fn.array(b2), steps))

        def step(m: fn.array, v: fn.array, p: fn.array | None = None) -> fn.array:
            dtype = m.dtype
            root = fn.sqrt(v * correct2.astype(dtype) + self.eps_root)
            direction = m * correct1.astype(dtype) / (root + self.eps)
            if p is not None:
                direction = direction + decay * p.astype(dtype)
            return direction * (rate.astype(dtype) if isinstance(rate, fn.array) else rate)

        new = {"count": count, "mu": mu, "nu": nu}
        if not decay:
            return tree.map(step, mu, nu), new
        needs_params(type(self).__name__, params)
        if mask is None:
            return tree.map(step, mu, nu, params), new
        chosen, rest = tree.partition(mu, mask)
        return tree.merge(tree.map(step, chosen, nu, params), tree.map(step, rest, nu)), new


@attrs.frozen
class adam(_Adam):
    """Scale every element's step by running averages of gradient and squared gradient.

    With ``mu = b1 * mu + (1 - b1) * grad`` and ``nu = b2 * nu + (1 - b2) * grad**2``, both divided by ``1 - b**count`` to
    make up for their start at zero, the step is ``-learning_rate * mu / (sqrt(nu + eps_root) + eps)``.

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


@attrs.frozen
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

    weight_decay: float = 1e-4
    mask: Any = None

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        return self._steps(grads, state, params, self.weight_decay, self.mask)

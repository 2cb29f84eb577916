"""Adam and its variant with decoupled weight decay."""

from __future__ import annotations

import functools
from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._device import home
from funcnn._hyper import number, plain_fields

from . import _rules as rules
from ._fields import flag, hashable, pair, plain_pair, rate
from ._protocol import (
    ScalarOrSchedule,
    combine,
    decay_like,
    each,
    first_count,
    like,
    next_count,
    part_of,
    real_zeros,
    scaled,
    value_at,
    wide,
    wide_zeros,
    with_decay,
)


@attrs.frozen(field_transformer=plain_fields)
class Adam:
    """The moments, and what is made of them."""

    learning_rate: ScalarOrSchedule = attrs.field(validator=rate)
    betas: tuple[float, float] = attrs.field(default=(0.9, 0.999), converter=plain_pair, validator=pair(1.0))
    eps: float = attrs.field(default=1e-8, validator=number(0.0))

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: ``count`` of steps, first moments ``mu`` and second moments ``nu``."""
        return {
            "count": first_count(),
            "mu": each(type(self).__name__, wide_zeros, params),
            "nu": each(type(self).__name__, real_zeros, params),
        }

    def _directions(
        self, grads: Any, state: dict[str, Any], corrected: bool, eps_root: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Corrected first moments over the root of second ones, and the next state."""
        b1, b2 = self.betas
        name = type(self).__name__
        before, old_mu, old_nu = (part_of(name, state, key) for key in ("count", "mu", "nu"))
        mu = combine(name, lambda g, m: rules.averaged(m, wide(g), decay_like(b1, m)), grads, old_mu)
        nu = combine(
            name, lambda g, v: rules.averaged(v, rules.squared_size(wide(g)), decay_like(b2, v)), grads, old_nu
        )
        count = next_count(before)

        # Scalars of a step, computed once for each dtype and shared by all parameters.
        @functools.cache
        def corrections(dtype: fn.Dtype, device: fn.Device | None) -> tuple[fn.array, fn.array]:
            steps = count.astype(dtype, device=device)
            return rules.correction(b1, steps), rules.correction(b2, steps)

        def direction(m: fn.array, v: fn.array) -> fn.array:
            eps, root = like(self.eps, v), like(eps_root, v)
            if not corrected:
                return rules.over_root(m, v, eps, root)
            first, second = corrections(v.dtype, home(v))
            return rules.over_root(m * first, v * second, eps, root)

        # What has no gradient keeps its moments.
        new = {"count": count, "mu": tree.merge(old_mu, mu), "nu": tree.merge(old_nu, nu)}
        return tree.map(direction, mu, nu), new

    def _scaled(self, directions: Any, state: dict[str, Any]) -> Any:
        """The directions times minus the learning rate of the step that a state is before."""
        name = type(self).__name__
        factor = value_at(name, self.learning_rate, part_of(name, state, "count"))
        return tree.map(lambda direction: scaled(-factor, direction), directions)


@attrs.frozen(field_transformer=plain_fields)
class adam(Adam):
    """Scale every element's step by running averages of gradient and squared gradient.

    With ``mu = b1 * mu + (1 - b1) * grad`` and ``nu = b2 * nu + (1 - b2) * grad**2`` the step is
    ``-learning_rate * mu / (sqrt(nu + eps_root) + eps)``. Both start at zero and are too small in the first steps; the paper,
    PyTorch and Optax divide them by ``1 - b**count`` to make up for it, and so does this. ``bias_correction=False`` is the default
    of MLX, whose first steps are larger.
    Of complex gradients the square is that of the absolute value.

    Moments and steps of float16 and bfloat16 parameters are float32. Parameters whose gradients are ``absent`` get no step and
    keep their moments.

    Args:
        learning_rate: A number, or a function from the count of steps (0 in the first) to one.
        betas: The decays of the two moments.
        eps: Added outside the root.
        bias_correction: Whether to divide the moments by ``1 - b**count``, as the paper does. MLX does not unless asked to.
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

    bias_correction: bool = attrs.field(default=True, validator=flag)
    eps_root: float = attrs.field(default=0.0, validator=number(0.0), kw_only=True)

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        directions, new = self._directions(grads, state, self.bias_correction, self.eps_root)
        return self._scaled(directions, state), new


@attrs.frozen(field_transformer=plain_fields)
class adamw(Adam):
    """Adam with weight decay that does not pass through the moments: the step gains ``-learning_rate * weight_decay * param``.

    Args:
        learning_rate: A number, or a function from the count of steps (0 in the first) to one.
        betas: The decays of the two moments.
        eps: Added outside the root.
        weight_decay: The factor of the parameters.
        bias_correction: Whether to divide the moments by ``1 - b**count``, as the paper does. MLX does not unless asked to.
        eps_root: Added inside the root.
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

    weight_decay: float = attrs.field(default=0.01, validator=number())
    bias_correction: bool = attrs.field(default=True, validator=flag)
    eps_root: float = attrs.field(default=0.0, validator=number(0.0), kw_only=True)
    mask: Any = attrs.field(default=None, converter=hashable, kw_only=True)

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        directions, new = self._directions(grads, state, self.bias_correction, self.eps_root)
        return self._scaled(with_decay("adamw", directions, self.weight_decay, self.mask, params), state), new

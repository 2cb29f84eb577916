"""Steps of one size, by the sign of a momentum."""

from __future__ import annotations

from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._hyper import number, plain_fields

from . import _rules as rules
from ._fields import hashable, pair, plain_pair, rate
from ._protocol import (
    ScalarOrSchedule,
    combine_many,
    decay_like,
    each,
    first_count,
    part_of,
    rate_and_count,
    refuse_complex,
    scaled,
    wide,
    wide_zeros,
    with_decay,
)

_WHY = "a complex number has no sign; optimise real and imaginary parts"


@attrs.frozen(field_transformer=plain_fields)
class lion:
    """Move every element by the learning rate, in the direction of the sign of a momentum.

    The step is ``-learning_rate * (sign(b1 * mu + (1 - b1) * grad) + weight_decay * param)``, and then
    ``mu = b2 * mu + (1 - b2) * grad``. Steps are larger than Adam's: take a learning rate 3 to 10 times smaller and a decay that
    much larger. The momentum of float16 and bfloat16 parameters is float32.

    Args:
        learning_rate: A number, or a function from the count of steps (0 in the first) to one.
        betas: The shares of the momentum in the direction and in the next momentum.
        weight_decay: The factor of the parameters, which does not pass through the momentum.
        mask: Which parameters decay, as in ``add_decayed_weights``. All by default.

    Raises:
        ValueError: ``update`` gets no parameters for `weight_decay`.
        TypeError: Parameters or gradients are complex.

    Reference: X. Chen et al., "Symbolic discovery of optimization algorithms", 2023.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.lion(0.1)
    >>> params = {"w": fn.array([1.0, 1.0])}
    >>> delta, state = opt.update({"w": fn.array([2.0, -0.5])}, opt.init(params))
    >>> [round(v, 4) for v in delta["w"].tolist()]
    [-0.1, 0.1]
    """

    learning_rate: ScalarOrSchedule = attrs.field(validator=rate)
    betas: tuple[float, float] = attrs.field(default=(0.9, 0.99), converter=plain_pair, validator=pair(1.0))
    weight_decay: float = attrs.field(default=0.0, validator=number())
    mask: Any = attrs.field(default=None, converter=hashable, kw_only=True)

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: the momentum ``mu``, and ``count`` if the learning rate is a schedule."""
        refuse_complex("lion", params, _WHY)
        count = {"count": first_count()} if callable(self.learning_rate) else {}
        return {**count, "mu": each("lion", wide_zeros, params)}

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        refuse_complex("lion", grads, _WHY)
        factor, new = rate_and_count("lion", self.learning_rate, state)
        b1, b2 = self.betas

        def direction(g: fn.array, m: fn.array) -> tuple[Any, ...]:
            return rules.lion(wide(g), m, decay_like(b1, m), decay_like(b2, m))

        old = part_of("lion", state, "mu")
        directions, mu = combine_many("lion", 2, direction, grads, old)
        directions = with_decay("lion", directions, self.weight_decay, self.mask, params)
        return tree.map(lambda d: scaled(-factor, d), directions), {**new, "mu": tree.merge(old, mu)}

"""Momentum made orthogonal."""

from __future__ import annotations

from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._hyper import number, plain_fields, whole

from . import _rules as rules
from ._fields import flag, rate
from ._protocol import (
    ScalarOrSchedule,
    combine,
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
from ._transforms import global_norm

_WHY = "muon is for real matrices; optimise real and imaginary parts"


@attrs.frozen(field_transformer=plain_fields)
class muon:
    """Make the momentum of matrices orthogonal, so that a step changes all directions alike.

    ``mu = momentum * mu + (1 - momentum) * grad``, and with `nesterov` the momentum is looked at one step ahead:
    ``momentum * mu + (1 - momentum) * grad``. Its singular values become about 1 by `ns_steps` Newton-Schulz iterations, and the
    step is ``-learning_rate * max(1, rows / columns) ** 0.5`` times that. Arrays of more than two axes are matrices whose rows
    belong to the first axis, as for convolutions; their `rows` and `columns` are the last two axes, as in MLX and in the original.
    Vectors and scalars take the momentum as it is. All is computed in float32 for float16 and bfloat16 parameters.

    It is meant for the weights of hidden layers; ``partitioned`` gives embeddings, heads, biases and norms another optimiser.
    Weights that ``scan_layers`` has stacked are no single matrix: update them under ``fn.vmap``.

    Args:
        learning_rate: A number, or a function from the count of steps (0 in the first) to one.
        momentum: The decay of the running average of gradients.
        weight_decay: L2 regularisation, added to the gradient. It needs ``update(grads, state, params)``.
        nesterov: Whether to look ahead along the momentum.
        ns_steps: How many iterations.

    Raises:
        ValueError: ``update`` gets no parameters for `weight_decay`.
        TypeError: Parameters or gradients are complex.

    Reference: K. Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.muon(0.1, weight_decay=0.0)
    >>> params = {"w": fn.zeros((2, 3))}
    >>> grads = {"w": fn.array([[100.0, 0.0, 0.0], [0.0, 40.0, 0.0]])}
    >>> delta, _ = opt.update(grads, opt.init(params))
    >>> [round(s, 1) for s in fn.linalg.svd(delta["w"])[1].tolist()]
    [0.1, 0.1]
    """

    learning_rate: ScalarOrSchedule = attrs.field(validator=rate)
    momentum: float = attrs.field(default=0.95, validator=number(0.0, 1.0))
    weight_decay: float = attrs.field(default=0.01, validator=number())
    nesterov: bool = attrs.field(default=True, validator=flag)
    ns_steps: int = attrs.field(default=5, validator=whole(0))

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: the momentum ``mu``, and ``count`` if the learning rate is a schedule."""
        refuse_complex("muon", params, _WHY)
        count = {"count": first_count()} if callable(self.learning_rate) else {}
        return {**count, "mu": each("muon", wide_zeros, params)}

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        refuse_complex("muon", grads, _WHY)
        factor, new = rate_and_count("muon", self.learning_rate, state)
        grads = with_decay("muon", grads, self.weight_decay, None, params)

        def averaged(g: fn.array, m: fn.array) -> fn.array:
            return rules.averaged(m, wide(g), decay_like(self.momentum, m))

        old = part_of("muon", state, "mu")
        mu = moves = combine("muon", averaged, grads, old)
        if self.nesterov:
            moves = tree.map(averaged, grads, mu)
        delta = tree.map(lambda x: scaled(-factor, rules.orthogonal_step(x, global_norm, self.ns_steps)), moves)
        return delta, {**new, "mu": tree.merge(old, mu)}

"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._hyper import number, plain_fields

from ._protocol import (
    ScalarOrSchedule,
    combine,
    decayed,
    each,
    first_count,
    needs_params,
    next_count,
    part_of,
    scaled,
    value_at,
    wide,
    wide_zeros,
)


@attrs.frozen(field_transformer=plain_fields)
class sgd:
    """Descend along the gradient, with momentum if asked for.

    ``trace = grad + momentum * trace`` and the step is ``-learning_rate * trace``; with Nesterov's variant
    ``-learning_rate * (grad + momentum * trace)``. Weight decay adds ``weight_decay * param`` to the gradient first.

    Traces and steps of float16 and bfloat16 parameters are float32. Parameters whose gradients are ``absent`` get no step and
    keep their traces.

    Args:
        learning_rate: A number, or a function from the count of steps (0 in the first) to one.
        momentum: How much of the last steps' direction is kept.
        nesterov: Whether to look ahead along the momentum.
        weight_decay: L2 regularisation. It needs ``update(grads, state, params)``.

    Raises:
        ValueError: `nesterov` is asked for without momentum, or ``update`` gets no parameters for `weight_decay`.

    Reference: I. Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.sgd(0.1)
    >>> params = {"w": fn.array([1.0])}
    >>> delta, state = opt.update({"w": fn.array([2.0])}, opt.init(params))
    >>> round(delta["w"].item(), 4)
    -0.2
    """

    learning_rate: ScalarOrSchedule = attrs.field(validator=number(schedule=True))
    momentum: float = attrs.field(default=0.0, validator=number(0.0))
    nesterov: bool = False
    weight_decay: float = attrs.field(default=0.0, validator=number())

    def __attrs_post_init__(self) -> None:
        if self.nesterov and not isinstance(self.momentum, fn.array) and self.momentum == 0:
            raise ValueError("sgd: nesterov looks ahead along the momentum, which is 0")

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: ``count`` if the learning rate is a schedule, ``trace`` with momentum."""
        state: dict[str, Any] = {}
        if callable(self.learning_rate):
            state["count"] = first_count()
        if self.momentum:
            state["trace"] = each("sgd", wide_zeros, params)
        return state

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        new: dict[str, Any] = {}
        rate: Any = self.learning_rate
        if callable(rate):
            count = part_of("sgd", state, "count")
            rate, new["count"] = value_at("sgd", rate, count), next_count(count)
        if self.weight_decay:
            needs_params("sgd", params)
            grads = combine("sgd", lambda g, p: decayed(g, self.weight_decay, p), grads, params)
        steps = grads
        if self.momentum:
            trace = part_of("sgd", state, "trace")
            steps = combine("sgd", lambda g, t: wide(g) + self.momentum * t, grads, trace)
            new["trace"] = tree.merge(trace, steps)  # what has no gradient keeps its own
            if self.nesterov:
                steps = tree.map(lambda g, t: wide(g) + self.momentum * t, grads, steps)
        return each("sgd", lambda step: scaled(-rate, step), steps), new

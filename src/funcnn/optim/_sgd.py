"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._hyper import number, plain_fields

from . import _rules as rules
from ._fields import flag, rate
from ._protocol import (
    ScalarOrSchedule,
    combine,
    each,
    first_count,
    like,
    part_of,
    rate_and_count,
    scaled,
    wide,
    wide_zeros,
    with_decay,
)


@attrs.frozen(field_transformer=plain_fields)
class sgd:
    """Descend along the gradient, with momentum if asked for.

    ``trace = momentum * trace + (1 - dampening) * grad`` and the step is ``-learning_rate * trace``; with Nesterov's variant
    ``-learning_rate * (grad + momentum * trace)``. Weight decay adds ``weight_decay * param`` to the gradient first. The trace
    starts at zero, so that dampening holds for the first step too, as in MLX; PyTorch exempts it.

    Traces and steps of float16 and bfloat16 parameters are float32. Parameters whose gradients are ``absent`` get no step and
    keep their traces.

    Args:
        learning_rate: A number, or a function from the count of steps (0 in the first) to one.
        momentum: How much of the last steps' direction is kept.
        weight_decay: L2 regularisation. It needs ``update(grads, state, params)``.
        dampening: How much less of the gradient enters the trace.
        nesterov: Whether to look ahead along the momentum.

    Raises:
        ValueError: `nesterov` or `dampening` is asked for without momentum, or both at once; or ``update`` gets no parameters
            for `weight_decay`.

    Reference: I. Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.sgd(0.1)
    >>> params = {"w": fn.array([1.0])}
    >>> delta, state = opt.update({"w": fn.array([2.0])}, opt.init(params))
    >>> round(delta["w"].item(), 4)
    -0.2
    """

    learning_rate: ScalarOrSchedule = attrs.field(validator=rate)
    momentum: float = attrs.field(default=0.0, validator=number(0.0))
    weight_decay: float = attrs.field(default=0.0, validator=number())
    dampening: float = attrs.field(default=0.0, validator=number(0.0))
    nesterov: bool = attrs.field(default=False, validator=flag)

    def __attrs_post_init__(self) -> None:
        if self.nesterov and rules.off(self.momentum):
            raise ValueError("sgd: nesterov looks ahead along the momentum, which is 0")
        if self.nesterov and not rules.off(self.dampening):
            raise ValueError(f"sgd: nesterov needs a dampening of 0, got {self.dampening!r}")
        if rules.off(self.momentum) and not rules.off(self.dampening):
            raise ValueError("sgd: dampening holds back what enters the momentum, which is 0")

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: ``count`` if the learning rate is a schedule, ``trace`` with momentum."""
        state: dict[str, Any] = {}
        if callable(self.learning_rate):
            state["count"] = first_count()
        if not rules.off(self.momentum):
            state["trace"] = each("sgd", wide_zeros, params)
        return state

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        factor, new = rate_and_count("sgd", self.learning_rate, state)
        steps = grads = with_decay("sgd", grads, self.weight_decay, None, params)
        if not rules.off(self.momentum):
            trace = part_of("sgd", state, "trace")
            steps = combine("sgd", self._traced, grads, trace)
            new["trace"] = tree.merge(trace, steps)  # what has no gradient keeps its own
            if self.nesterov:
                steps = tree.map(self._traced, grads, steps)
        return each("sgd", lambda step: scaled(-factor, step), steps), new

    def _traced(self, g: fn.array, t: fn.array) -> fn.array:
        return rules.traced(wide(g), t, like(self.momentum, t), like(self.dampening, t))

"""The optimisers of MLX. Their mathematics are those of ``fn.optim``; dtypes, defaults and states are MLX's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import funcnn as fn

from ...optim import _rules as rules
from .. import core as mx
from ..nn.layers.base import Module
from ..utils import tree_flatten, tree_map, tree_merge, tree_reduce, tree_unflatten
from ._base import Optimizer
from ._clip import clip_grad_norm
from ._multi import MultiOptimizer

__all__ = [
    "SGD",
    "AdaDelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Module",
    "MultiOptimizer",
    "Muon",
    "Optimizer",
    "RMSprop",
    "clip_grad_norm",
    "tree_flatten",
    "tree_map",
    "tree_merge",
    "tree_reduce",
    "tree_unflatten",
]


def _check_betas(name: str, betas: Sequence[float]) -> None:
    for place, beta in enumerate(betas, 1):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"{name}: beta {place} must be at least 0 and below 1, got {beta}")


def _check_at_least(name: str, what: str, value: float, *, above: bool = False) -> None:
    if value < 0.0 or (above and value == 0.0) or math.isnan(value):
        raise ValueError(f"{name}: {what} must be {'above' if above else 'at least'} 0, got {value}")


class _Hyper(Optimizer):
    """An optimiser that keeps its options as attributes, and in the state the learning rate if it has one."""

    def __init__(self, *learning_rate: Any, **options: Any) -> None:
        super().__init__()
        for name, value in options.items():
            setattr(self, name, value)
        for rate in learning_rate:
            self._maybe_schedule("learning_rate", rate)


def _zeros(state: dict[str, Any], parameter: Any, *names: str) -> None:
    state.update({name: mx.zeros_like(parameter) for name in names})


class SGD(_Hyper):
    """Descend along the gradient, with momentum, weight decay, dampening and Nesterov's variant as asked for.

    The arithmetic is that of ``fn.optim.sgd``. The state of a parameter is ``v``, the momentum.

    Raises:
        ValueError: `nesterov` without momentum, or with dampening.
    """

    momentum: float
    weight_decay: float
    dampening: float
    nesterov: bool

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        if nesterov and not (momentum > 0 and dampening == 0):
            raise ValueError(
                f"SGD: nesterov=True needs a momentum above 0 and no dampening, got momentum={momentum}, dampening={dampening}"
            )
        super().__init__(
            learning_rate, momentum=momentum, weight_decay=weight_decay, dampening=dampening, nesterov=nesterov
        )

    def init_single(self, parameter: Any, state: dict[str, Any]) -> None:
        """Make the state of one parameter."""
        _zeros(state, parameter, "v")

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> Any:
        """Return one updated parameter."""
        step = gradient
        if self.weight_decay != 0:
            step = gradient = rules.decayed(gradient, self.weight_decay, parameter)
        if self.momentum > 0:
            dampening = max(self.dampening, 0.0)
            state["v"] = step = rules.traced(gradient, state["v"], self.momentum, dampening)
            if self.nesterov:
                step = rules.traced(gradient, step, self.momentum, 0.0)
        return parameter - self.learning_rate.astype(gradient.dtype) * step


class RMSprop(_Hyper):
    """Divide gradients by the root of a running average of their squares, as ``fn.optim.rmsprop`` does.

    The state of a parameter is ``v``, the average.

    Raises:
        ValueError: `alpha` is below 0, or `eps` not above it.
    """

    alpha: float
    eps: float

    def __init__(self, learning_rate: Any = 0.01, alpha: float = 0.99, eps: float = 1e-8) -> None:
        _check_at_least("RMSprop", "alpha", alpha)
        _check_at_least("RMSprop", "eps", eps, above=True)
        super().__init__(learning_rate, alpha=alpha, eps=eps)

    def init_single(self, parameter: Any, state: dict[str, Any]) -> None:
        """Make the state of one parameter."""
        _zeros(state, parameter, "v")

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> Any:
        """Return one updated parameter."""
        rate = self.learning_rate.astype(gradient.dtype)
        state["v"] = v = rules.averaged(state["v"], rules.squared_size(gradient), self.alpha)
        return parameter - rules.over_root(rate * gradient, v, self.eps)


class Adagrad(_Hyper):
    """Divide gradients by the root of the sum of all their squares, as ``fn.optim.adagrad`` does.

    The state of a parameter is ``v``, the sum.

    Raises:
        ValueError: `eps` is not above 0.
    """

    eps: float

    def __init__(self, learning_rate: Any = 0.01, eps: float = 1e-8) -> None:
        _check_at_least("Adagrad", "eps", eps, above=True)
        super().__init__(learning_rate, eps=eps)

    def init_single(self, parameter: Any, state: dict[str, Any]) -> None:
        """Make the state of one parameter."""
        _zeros(state, parameter, "v")

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> Any:
        """Return one updated parameter."""
        rate = self.learning_rate.astype(gradient.dtype)
        state["v"] = v = state["v"] + rules.squared_size(gradient)
        return parameter - rules.over_root(rate * gradient, v, self.eps)


class AdaDelta(_Hyper):
    """Scale gradients so that steps have the size that steps had before, as ``fn.optim.adadelta`` does.

    The state of a parameter is ``v``, the average of squared gradients, and ``u``, that of squared steps.

    Raises:
        ValueError: `rho` is below 0, or `eps` not above it.
    """

    rho: float
    eps: float

    def __init__(self, learning_rate: Any = 1.0, rho: float = 0.9, eps: float = 1e-6) -> None:
        _check_at_least("AdaDelta", "rho", rho)
        _check_at_least("AdaDelta", "eps", eps, above=True)
        super().__init__(learning_rate, rho=rho, eps=eps)

    def init_single(self, parameter: Any, state: dict[str, Any]) -> None:
        """Make the state of one parameter."""
        _zeros(state, parameter, "v", "u")

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> Any:
        """Return one updated parameter."""
        rate = self.learning_rate.astype(gradient.dtype)
        direction, v, u = rules.adadelta(gradient, state["v"], state["u"], self.rho, self.eps)
        state["v"], state["u"] = v, u
        return parameter - rate * direction


class Adam(_Hyper):
    """Scale every element's step by running averages of gradient and squared gradient, as ``fn.optim.adam`` does.

    Averages are not corrected for their start at zero unless `bias_correction` asks for it. The state of a parameter is
    ``m`` and ``v``, the averages.

    Raises:
        ValueError: A beta is not in [0, 1), or `eps` is below 0.

    >>> import funcnn.compat.core as mx
    >>> import funcnn.compat.optimizers as optim
    >>> optimizer = optim.Adam(learning_rate=0.5)
    >>> new = optimizer.apply_gradients({"w": mx.array([2.0])}, {"w": mx.array([1.0])})
    >>> {name: round(average.item(), 4) for name, average in optimizer.state["w"].items()}
    {'m': 0.2, 'v': 0.004}
    >>> round(new["w"].item(), 4)
    -0.5811
    """

    betas: Sequence[float]
    eps: float
    bias_correction: bool

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        betas: Sequence[float] = [0.9, 0.999],
        eps: float = 1e-8,
        bias_correction: bool = False,
    ) -> None:
        name = type(self).__name__
        _check_betas(name, betas)
        _check_at_least(name, "eps", eps)
        super().__init__(learning_rate, betas=betas, eps=eps, bias_correction=bias_correction)

    def init_single(self, parameter: Any, state: dict[str, Any]) -> None:
        """Make the state of one parameter."""
        _zeros(state, parameter, "m", "v")

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> Any:
        """Return one updated parameter."""
        return parameter - _adam_step(self, gradient, state)


def _adam_step(adam: Adam, gradient: Any, state: dict[str, Any]) -> Any:
    """What to take away from a parameter, without weight decay."""
    rate = adam.learning_rate
    b1, b2 = adam.betas
    state["m"] = m = rules.averaged(state["m"], gradient, b1)
    state["v"] = v = rules.averaged(state["v"], rules.squared_size(gradient), b2)
    if adam.bias_correction:
        steps = adam.step.astype(mx.float32)
        rate = rate * rules.correction(b1, steps)
        v = v * rules.correction(b2, steps).astype(gradient.dtype)
    return rules.over_root(rate.astype(gradient.dtype) * m, v, adam.eps)


class AdamW(Adam):
    """``Adam`` with weight decay that does not pass through the averages, as ``fn.optim.adamw`` has it."""

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        betas: Sequence[float] = [0.9, 0.999],
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        bias_correction: bool = False,
    ) -> None:
        super().__init__(learning_rate, betas, eps, bias_correction)
        self.weight_decay = weight_decay

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> Any:
        """Return one updated parameter."""
        decay = self.learning_rate.astype(gradient.dtype) * self.weight_decay
        return parameter - rules.decayed(_adam_step(self, gradient, state), decay, parameter)


class Adamax(Adam):
    """Adam with the largest gradient of the past, slowly forgotten, in the place of the root, as ``fn.optim.adamax`` has it.

    The average is not corrected for its start at zero. The state of a parameter is ``m``, the average, and ``v``, the largest.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        betas: Sequence[float] = [0.9, 0.999],
        eps: float = 1e-8,
    ) -> None:
        super().__init__(learning_rate, betas, eps)

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> Any:
        """Return one updated parameter."""
        rate = self.learning_rate.astype(gradient.dtype)
        b1, b2 = self.betas
        direction, state["m"], state["v"] = rules.adamax(gradient, state["m"], state["v"], b1, b2, self.eps)
        return parameter - rate * direction


class Lion(_Hyper):
    """Move every element by the learning rate, in the direction of the sign of a momentum, as ``fn.optim.lion`` does.

    The state of a parameter is ``m``, the momentum.

    Raises:
        ValueError: A beta is not in [0, 1).
    """

    betas: Sequence[float]
    weight_decay: float

    def __init__(
        self,
        learning_rate: Any = 1e-4,
        betas: Sequence[float] = [0.9, 0.99],
        weight_decay: float = 0.0,
    ) -> None:
        _check_betas("Lion", betas)
        super().__init__(learning_rate, betas=betas, weight_decay=weight_decay)

    def init_single(self, parameter: Any, state: dict[str, Any]) -> None:
        """Make the state of one parameter."""
        _zeros(state, parameter, "m")

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> Any:
        """Return one updated parameter."""
        rate = self.learning_rate.astype(gradient.dtype)
        b1, b2 = self.betas
        direction, state["m"] = rules.lion(gradient, state["m"], b1, b2)
        if self.weight_decay > 0:
            direction = rules.decayed(direction, self.weight_decay, parameter)
        return parameter - rate * direction


class Adafactor(_Hyper):
    """Divide gradients by the root of a running average of their squares, kept as one row and one column of each matrix.

    The arithmetic is that of ``fn.optim.adafactor``. The state of a parameter is ``exp_avg_sq_row`` and ``exp_avg_sq_col``, or
    ``exp_avg_sq`` where it has fewer than two axes, and ``exp_avg`` with `beta_1`. With `relative_step` the learning rate is not
    used.
    """

    eps: tuple[float, float]
    clip_threshold: float
    decay_rate: float
    weight_decay: float
    beta_1: float | None
    scale_parameter: bool
    relative_step: bool
    warmup_init: bool

    def __init__(
        self,
        learning_rate: Any = None,
        eps: tuple[float, float] = (1e-30, 1e-3),
        clip_threshold: float = 1.0,
        decay_rate: float = -0.8,
        beta_1: float | None = None,
        weight_decay: float = 0.0,
        scale_parameter: bool = True,
        relative_step: bool = True,
        warmup_init: bool = False,
    ) -> None:
        super().__init__(
            *([] if learning_rate is None else [learning_rate]),
            eps=eps,
            beta_1=beta_1,
            decay_rate=decay_rate,
            clip_threshold=clip_threshold,
            weight_decay=weight_decay,
            relative_step=relative_step,
            scale_parameter=scale_parameter,
            warmup_init=warmup_init,
        )

    def init_single(self, parameter: Any, state: dict[str, Any]) -> None:
        """Make the state of one parameter."""
        if parameter.ndim < 2:
            _zeros(state, parameter, "exp_avg_sq")
        else:
            *batch, rows, columns = parameter.shape
            for name, kept in (("exp_avg_sq_row", rows), ("exp_avg_sq_col", columns)):
                state[name] = mx.zeros([*batch, kept], parameter.dtype)
        if self.beta_1 is not None:
            _zeros(state, parameter, "exp_avg")

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> Any:
        """Return one updated parameter."""
        if parameter.size == 0:
            return parameter
        dtype = parameter.dtype if mx.issubdtype(parameter.dtype, mx.inexact) else mx.float32
        steps = self.step.astype(mx.float32)
        forget = fn.power(steps, self.decay_rate).astype(dtype)
        square = rules.squared_size(gradient) + self.eps[0]
        if gradient.ndim >= 2:
            row = rules.forgetting(state["exp_avg_sq_row"], square, forget, -1)
            col = rules.forgetting(state["exp_avg_sq_col"], square, forget, -2)
            state["exp_avg_sq_row"], state["exp_avg_sq_col"] = row, col
            direction = rules.over_factors(gradient, row, col)
        else:
            state["exp_avg_sq"] = full = rules.forgetting(state["exp_avg_sq"], square, forget)
            direction = rules.over_full(gradient, full)
        rate = rules.relative_rate(steps, self.warmup_init) if self.relative_step else self.learning_rate
        rate = rate.astype(dtype)
        if self.scale_parameter:
            rate = rules.sized(rate, parameter, self.eps[1])
        step = rate * rules.limited(direction, self.clip_threshold)
        if self.beta_1 is not None:
            state["exp_avg"] = step = rules.averaged(state["exp_avg"], step, self.beta_1)
        if self.weight_decay != 0:
            step = rules.decayed(step, self.weight_decay * rate, parameter)
        return parameter - step


class Muon(_Hyper):
    """Make the momentum of matrices orthogonal, so that a step changes all directions alike, as ``fn.optim.muon`` does.

    Arrays of more than two axes are matrices whose rows belong to the first axis; vectors and scalars take the momentum as it is.
    The state of a parameter is ``v``, the momentum.
    """

    momentum: float
    weight_decay: float
    nesterov: bool
    ns_steps: int

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        nesterov: bool = True,
        ns_steps: int = 5,
    ) -> None:
        super().__init__(
            learning_rate, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, ns_steps=ns_steps
        )

    def init_single(self, parameter: Any, state: dict[str, Any]) -> None:
        """Make the state of one parameter."""
        _zeros(state, parameter, "v")

    def apply_single(self, gradient: Any, parameter: Any, state: dict[str, Any]) -> Any:
        """Return one updated parameter."""
        if self.weight_decay != 0:
            gradient = rules.decayed(gradient, self.weight_decay, parameter)
        state["v"] = step = rules.averaged(state["v"], gradient, self.momentum)
        if self.nesterov:
            step = rules.averaged(step, gradient, self.momentum)
        rate = self.learning_rate.astype(gradient.dtype)
        return parameter - rate * rules.orthogonal_step(step, fn.linalg.norm, self.ns_steps)

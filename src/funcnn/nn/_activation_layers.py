"""Activation functions as layers. None has parameters but PReLU."""

from __future__ import annotations

from typing import Literal

import attrs

import funcnn as fn
from funcnn._hyper import number, whole
from funcnn.tree import frozendict

from . import _activations as functions
from ._layer import Layer, Params, as_input


class Sigmoid(Layer):
    """Apply ``nn.sigmoid``."""

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.sigmoid(x)


class ReLU(Layer):
    """Apply ``nn.relu``."""

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.relu(x)


class ReLU2(Layer):
    """Apply ``nn.relu2``."""

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.relu2(x)


class ReLU6(Layer):
    """Apply ``nn.relu6``."""

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.relu6(x)


class LeakyReLU(Layer):
    """Apply ``nn.leaky_relu``.

    Args:
        negative_slope: The slope for negative numbers.
    """

    negative_slope: float = attrs.field(default=0.01, validator=number())

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.leaky_relu(x, self.negative_slope)


class PReLU(Layer):
    """Apply ``nn.prelu`` with a trained slope.

    Args:
        num_parameters: How many slopes: 1, or one for each feature of the last axis. The parameter ``weight`` holds them.
        init: Their initial value; the attribute is ``initial``.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.PReLU()
    >>> layer(layer.init(random.key(0)), fn.array([-4.0, 2.0])).tolist()
    [-1.0, 2.0]
    """

    num_parameters: int = attrs.field(default=1, validator=whole(1))
    # `init` draws the parameters; as an argument it is MLX's name.
    initial: float = attrs.field(default=0.25, alias="init", validator=number())

    def init(self, key: fn.array) -> frozendict[str, fn.array]:
        """Make ``weight``."""
        return frozendict(weight=fn.full((self.num_parameters,), self.initial))

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        x = as_input(x)
        if self.num_parameters != 1 and (x.ndim == 0 or x.shape[-1] != self.num_parameters):
            raise ValueError(f"expected (..., {self.num_parameters}), got {x.shape}")
        return functions.prelu(x, params["weight"])


class ELU(Layer):
    """Apply ``nn.elu``.

    Args:
        alpha: Minus the limit for negative numbers.
    """

    alpha: float = attrs.field(default=1.0, validator=number())

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.elu(x, self.alpha)


class CELU(Layer):
    """Apply ``nn.celu``.

    Args:
        alpha: Minus the limit for negative numbers.
    """

    alpha: float = attrs.field(default=1.0, validator=number())

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.celu(x, self.alpha)


class SELU(Layer):
    """Apply ``nn.selu``."""

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.selu(x)


class SiLU(Layer):
    """Apply ``nn.silu``."""

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.silu(x)


class GELU(Layer):
    """Apply ``nn.gelu`` or an approximation.

    Args:
        approx: ``"none"`` for ``nn.gelu``, ``"precise"`` (or ``"tanh"``) for ``nn.gelu_approx``, ``"fast"`` for
            ``nn.gelu_fast_approx``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> round(nn.GELU()({}, fn.array(1.0)).item(), 4), round(nn.GELU("fast")({}, fn.array(1.0)).item(), 4)
    (0.8413, 0.8458)
    """

    approx: Literal["none", "precise", "tanh", "fast"] = attrs.field(
        default="none", validator=attrs.validators.in_(("none", "precise", "tanh", "fast"))
    )

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        if self.approx == "none":
            return functions.gelu(x)
        return functions.gelu_fast_approx(x) if self.approx == "fast" else functions.gelu_approx(x)


class GLU(Layer):
    """Apply ``nn.glu``.

    Args:
        axis: The axis to split.
    """

    axis: int = attrs.field(default=-1, validator=whole())

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.glu(x, self.axis)


class Tanh(Layer):
    """Apply ``nn.tanh``."""

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.tanh(x)


class Softplus(Layer):
    """Apply ``nn.softplus``."""

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.softplus(x)


class Softsign(Layer):
    """Apply ``nn.softsign``."""

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.softsign(x)


class Softshrink(Layer):
    """Apply ``nn.softshrink``.

    Args:
        lambd: How far to move numbers towards zero.
    """

    lambd: float = attrs.field(default=0.5, validator=number(0.0))

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.softshrink(x, self.lambd)


class HardShrink(Layer):
    """Apply ``nn.hard_shrink``.

    Args:
        lambd: Up to which absolute value numbers become zero.
    """

    lambd: float = attrs.field(default=0.5, validator=number(0.0))

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.hard_shrink(x, self.lambd)


class HardTanh(Layer):
    """Apply ``nn.hard_tanh``."""

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.hard_tanh(x)


class Hardswish(Layer):
    """Apply ``nn.hardswish``."""

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.hardswish(x)


class Mish(Layer):
    """Apply ``nn.mish``."""

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.mish(x)


class Step(Layer):
    """Apply ``nn.step``.

    Args:
        threshold: The smallest number that becomes 1.
    """

    threshold: float = attrs.field(default=0.0, validator=number())

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.step(x, self.threshold)


class LogSigmoid(Layer):
    """Apply ``nn.log_sigmoid``."""

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.log_sigmoid(x)


class Softmax(Layer):
    """Apply ``nn.softmax`` along the last axis."""

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.softmax(x)


class Softmin(Layer):
    """Apply ``nn.softmin`` along the last axis."""

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.softmin(x)


class LogSoftmax(Layer):
    """Apply ``nn.log_softmax`` along the last axis."""

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.log_softmax(x)

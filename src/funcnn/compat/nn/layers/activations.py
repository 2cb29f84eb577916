"""Activations, as functions and as layers without parameters (but for `PReLU`, whose slope is trained)."""

from __future__ import annotations

from typing import Any

from ... import core as mx
from .._functional import activations as _formulas
from .._functional import nn as _nn
from .base import Module


def _array(x: Any) -> mx.array:
    return x if isinstance(x, mx.array) else mx.array(x)


def sigmoid(x: mx.array) -> mx.array:
    """Compute ``1 / (1 + exp(-x))``."""
    return _nn.sigmoid(_array(x))


def relu(x: mx.array) -> mx.array:
    """Compute ``max(x, 0)``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.relu(mx.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return _nn.relu(_array(x))


def relu2(x: mx.array) -> mx.array:
    """Compute ``max(x, 0)**2``."""
    return _nn.relu2(_array(x))


def relu6(x: mx.array) -> mx.array:
    """Compute ``min(max(x, 0), 6)``; integers give float32."""
    x = _nn.relu6(_array(x))
    return x if x.dtype == mx.float32 or mx.issubdtype(x.dtype, mx.inexact) else x.astype(mx.float32)


def leaky_relu(x: mx.array, negative_slope: float = 0.01) -> mx.array:
    """Compute ``max(negative_slope * x, x)``."""
    x = _array(x)
    if not (isinstance(negative_slope, (int, float)) and negative_slope <= 1):
        # A steeper slope, or one that is not known, is for whichever numbers it makes larger.
        return mx.maximum(x, x * negative_slope)
    return _nn.leaky_relu(x, negative_slope)


def log_softmax(x: mx.array, axis: int = -1) -> mx.array:
    """Compute ``log(softmax(x))`` along an axis."""
    return _nn.log_softmax(_array(x), axis)


def elu(x: mx.array, alpha: float = 1.0) -> mx.array:
    """Compute ``x`` where it is positive and ``alpha * (exp(x) - 1)`` elsewhere."""
    return _nn.elu(_array(x), alpha)


def softmax(x: mx.array, axis: int = -1) -> mx.array:
    """Compute ``exp(x) / sum(exp(x))`` along an axis."""
    return _nn.softmax(_array(x), axis)


def softplus(x: mx.array) -> mx.array:
    """Compute ``log(1 + exp(x))``."""
    return _nn.softplus(_array(x))


def softsign(x: mx.array) -> mx.array:
    """Compute ``x / (1 + abs(x))``."""
    return _nn.softsign(_array(x))


def softshrink(x: mx.array, lambd: float = 0.5) -> mx.array:
    """Move `x` towards zero by `lambd`, as far as zero."""
    return _formulas._soft_shrunk(_formulas._floats("softshrink", _array(x)), lambd)


def celu(x: mx.array, alpha: float = 1.0) -> mx.array:
    """Compute ``max(x, 0) + alpha * (exp(min(x, 0) / alpha) - 1)``; `alpha` must not be 0."""
    return _nn.celu(_array(x), alpha)


def silu(x: mx.array) -> mx.array:
    """Compute ``x * sigmoid(x)``, also known as swish."""
    return _nn.silu(_array(x))


def log_sigmoid(x: mx.array) -> mx.array:
    """Compute ``log(sigmoid(x))``."""
    return _nn.log_sigmoid(_array(x))


def gelu(x: mx.array) -> mx.array:
    """Compute ``x * Phi(x)`` exactly, with the cumulative distribution function ``Phi`` of the normal distribution."""
    return _nn.gelu(_array(x))


def gelu_approx(x: mx.array) -> mx.array:
    """Approximate `gelu` with a hyperbolic tangent, within 0.0005."""
    return _nn.gelu_approx(_array(x))


def gelu_fast_approx(x: mx.array) -> mx.array:
    """Approximate `gelu` by ``x * sigmoid(1.702 * x)``, within 0.021."""
    return _nn.gelu_fast_approx(_array(x))


def glu(x: mx.array, axis: int = -1) -> mx.array:
    """Split an axis into halves ``a`` and ``b`` and compute ``a * sigmoid(b)``."""
    return _nn.glu(x, axis)


def step(x: mx.array, threshold: float = 0.0) -> mx.array:
    """Return 1 where `x` is at least `threshold` and 0 elsewhere, in int32."""
    return _nn.step(_array(x), threshold)


def selu(x: mx.array) -> mx.array:
    """Compute ``1.0507 * elu(x, 1.67326)``."""
    return _nn.selu(_array(x))


def prelu(x: mx.array, alpha: mx.array) -> mx.array:
    """Compute ``x`` where it is not negative and ``alpha * x`` elsewhere, with an array `alpha`."""
    return _nn.prelu(_array(x), alpha)


def mish(x: mx.array) -> mx.array:
    """Compute ``x * tanh(softplus(x))``."""
    return _nn.mish(_array(x))


def hardswish(x: mx.array) -> mx.array:
    """Compute ``x * min(max(x + 3, 0), 6) / 6``."""
    return _nn.hardswish(_array(x))


def hard_tanh(x: mx.array, min_val: float = -1.0, max_val: float = 1.0) -> mx.array:
    """Clip `x` to the interval from `min_val` to `max_val`."""
    return _formulas._limited(_formulas._floats("hard_tanh", _array(x)), min_val, max_val)


def hard_shrink(x: mx.array, lambd: float = 0.5) -> mx.array:
    """Set to zero what is not larger than `lambd` in absolute value."""
    return _formulas._hard_shrunk(_formulas._real("hard_shrink", _array(x)), lambd)


def softmin(x: mx.array, axis: int = -1) -> mx.array:
    """Compute ``softmax(-x)``."""
    return _nn.softmin(_array(x), axis)


def tanh(x: mx.array) -> mx.array:
    """Compute the hyperbolic tangent."""
    return mx.tanh(x)


class GLU(Module):
    """`glu` along an axis."""

    def __init__(self, axis: int = -1):
        super().__init__()
        self.axis = axis

    def __call__(self, x: mx.array) -> mx.array:
        return glu(x, self.axis)


class Sigmoid(Module):
    """`sigmoid` as a layer."""

    def __call__(self, x: mx.array) -> mx.array:
        return sigmoid(x)


class Mish(Module):
    """`mish` as a layer."""

    def __call__(self, x: mx.array) -> mx.array:
        return mish(x)


class ReLU(Module):
    """`relu` as a layer.

    >>> import funcnn.compat.nn as nn
    >>> nn.Sequential(nn.Linear(2, 4), nn.ReLU())
    Sequential(
      (layers.0): Linear(input_dims=2, output_dims=4, bias=True)
      (layers.1): ReLU()
    )
    """

    def __call__(self, x: mx.array) -> mx.array:
        return relu(x)


class ReLU2(Module):
    """`relu2` as a layer."""

    def __call__(self, x: mx.array) -> mx.array:
        return relu2(x)


class ReLU6(Module):
    """`relu6` as a layer."""

    def __call__(self, x: mx.array) -> mx.array:
        return relu6(x)


class LeakyReLU(Module):
    """`leaky_relu` with a slope for negative numbers."""

    def __init__(self, negative_slope: float = 1e-2):
        super().__init__()
        self._negative_slope = negative_slope

    def __call__(self, x: mx.array) -> mx.array:
        return leaky_relu(x, self._negative_slope)


class ELU(Module):
    """`elu` as a layer."""

    def __init__(self, alpha: float = 1.0):
        super().__init__()
        self._alpha = alpha

    def __call__(self, x: mx.array) -> mx.array:
        return elu(x, self._alpha)


class Softmax(Module):
    """`softmax` along the last axis."""

    def __call__(self, x: mx.array) -> mx.array:
        return softmax(x)


class Softplus(Module):
    """`softplus` as a layer: ``log(1 + exp(beta * x)) / beta``, and ``x`` where ``beta * x`` is above a threshold.

    MLX's has no arguments; with the defaults this is the same.
    """

    def __init__(self, beta: float = 1.0, threshold: float | None = None):
        super().__init__()
        if not beta > 0:
            raise ValueError(f"Softplus: beta must be above 0, got {beta}")
        self._beta = beta
        self._threshold = threshold

    def __call__(self, x: mx.array) -> mx.array:
        if self._beta == 1 and self._threshold is None:
            return softplus(x)
        scaled = self._beta * x
        y = softplus(scaled) / self._beta
        return y if self._threshold is None else mx.where(scaled > self._threshold, x, y)


class Softsign(Module):
    """`softsign` as a layer."""

    def __call__(self, x: mx.array) -> mx.array:
        return softsign(x)


class Softshrink(Module):
    """`softshrink` as a layer."""

    def __init__(self, lambd: float = 0.5):
        super().__init__()
        self.lambd = lambd

    def __call__(self, x: mx.array) -> mx.array:
        return softshrink(x, self.lambd)


class CELU(Module):
    """`celu` as a layer."""

    def __init__(self, alpha: float = 1.0):
        super().__init__()
        self._alpha = alpha

    def __call__(self, x: mx.array) -> mx.array:
        return celu(x, self._alpha)


class SiLU(Module):
    """`silu` as a layer."""

    def __call__(self, x: mx.array) -> mx.array:
        return silu(x)


class LogSoftmax(Module):
    """`log_softmax` along the last axis."""

    def __call__(self, x: mx.array) -> mx.array:
        return log_softmax(x)


class LogSigmoid(Module):
    """`log_sigmoid` as a layer."""

    def __call__(self, x: mx.array) -> mx.array:
        return log_sigmoid(x)


class PReLU(Module):
    """`prelu` with a trained slope, or one for each feature: ``weight`` of shape ``(num_parameters,)``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.PReLU(2)(mx.array([[-4.0, 4.0]])).tolist()
    [[-1.0, 4.0]]
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25):
        super().__init__()
        self.weight = mx.full([num_parameters], init)

    def __call__(self, x: mx.array) -> mx.array:
        return prelu(x, self["weight"])


class GELU(Module):
    """`gelu`, or an approximation: ``"precise"`` (or ``"tanh"``) is `gelu_approx`, ``"fast"`` `gelu_fast_approx`.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.GELU("tanh")(mx.array([-1.0, 0.0, 1.0])).round(3).tolist()
    [-0.1589999943971634, 0.0, 0.8410000205039978]
    """

    def __init__(self, approx: str = "none"):
        super().__init__()
        if approx not in _GELUS:
            raise ValueError(f"GELU: approx must be one of {', '.join(map(repr, _GELUS))}, got {approx!r}")
        self._approx = approx

    def __call__(self, x: mx.array) -> mx.array:
        return _GELUS.get(self._approx, gelu_fast_approx)(x)


_GELUS = {"none": gelu, "precise": gelu_approx, "tanh": gelu_approx, "fast": gelu_fast_approx}


class Tanh(Module):
    """`tanh` as a layer."""

    def __call__(self, x: mx.array) -> mx.array:
        return tanh(x)


class Hardswish(Module):
    """`hardswish` as a layer."""

    def __call__(self, x: mx.array) -> mx.array:
        return hardswish(x)


class Step(Module):
    """`step` as a layer."""

    def __init__(self, threshold: float = 0.0):
        super().__init__()
        self.threshold = threshold

    def __call__(self, x: mx.array) -> mx.array:
        return step(x, self.threshold)


class SELU(Module):
    """`selu` as a layer."""

    def __call__(self, x: mx.array) -> mx.array:
        return selu(x)


class HardTanh(Module):
    """`hard_tanh` as a layer. MLX's has no arguments; with the defaults this is the same."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0):
        super().__init__()
        self._min_val = min_val
        self._max_val = max_val

    def __call__(self, x: mx.array) -> mx.array:
        return hard_tanh(x, self._min_val, self._max_val)


class HardShrink(Module):
    """`hard_shrink` as a layer."""

    def __init__(self, lambd: float = 0.5):
        super().__init__()
        self.lambd = lambd

    def __call__(self, x: mx.array) -> mx.array:
        return hard_shrink(x, self.lambd)


class Softmin(Module):
    """`softmin` along the last axis."""

    def __call__(self, x: mx.array) -> mx.array:
        return softmin(x)


# The same, as PyTorch spells them.
Hardshrink = HardShrink
Hardtanh = HardTanh

# Functions of their argument alone, without state or randomness.
PURE = frozenset(
    value for value in list(globals().values()) if callable(value) and getattr(value, "__module__", "") == __name__
) | {mx.sigmoid, mx.tanh}

"""Activation functions.

They take arrays of any shape, numbers and nested lists of numbers, work element by element (but for ``glu`` and those named
after softmax, which work along an axis) and keep floating-point dtypes. Integers and bools are computed in float32; ``relu``,
``relu2``, ``relu6`` and ``hard_shrink`` keep integers, ``step`` gives them. Complex numbers are refused with ``ValueError``
except by ``sigmoid``, ``tanh``, ``softmax`` and ``glu``. NaN stays NaN.
"""

from __future__ import annotations

from typing import Any

import funcnn as fn

from .._arguments import integer, integers
from .._core import _gelu
from .._core import fast as _fast
from .._hyper import checked as number
from ._arrays import as_array

_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


def _real(name: str, x: Any, what: str = "x") -> fn.array:
    """The same, without complex numbers, which have no order."""
    found = as_array(name, x, what)
    if found.dtype == fn.complex64:
        raise ValueError(f"{name}: is not defined for complex64, the dtype of {what}")
    return found


def _floats(name: str, x: Any) -> fn.array:
    """The same, integers and bools in float32, for arithmetic on integers would wrap around."""
    found = _real(name, x)
    return found if fn.isdtype(found.dtype, "real floating") else found.astype(fn.float32)


def sigmoid(x: fn.array) -> fn.array:
    """Compute ``1 / (1 + exp(-x))``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.sigmoid(fn.array(0.0)).item()
    0.5
    """
    return fn.sigmoid(as_array("sigmoid", x))


def relu(x: fn.array) -> fn.array:
    """Compute ``max(x, 0)``. The derivative at 0 is 0.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.relu(fn.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return fn.maximum(_real("relu", x), 0)


def relu2(x: fn.array) -> fn.array:
    """Compute ``max(x, 0)**2``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.relu2(fn.array([-1.0, 2.0])).tolist()
    [0.0, 4.0]
    """
    return fn.square(fn.maximum(_real("relu2", x), 0))


def relu6(x: fn.array) -> fn.array:
    """Compute ``min(max(x, 0), 6)``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.relu6(fn.array([-1.0, 2.0, 8.0])).tolist()
    [0.0, 2.0, 6.0]
    """
    return fn.minimum(fn.maximum(_real("relu6", x), 0), 6)


def leaky_relu(x: fn.array, negative_slope: float = 0.01) -> fn.array:
    """Compute ``x`` where it is not negative and ``negative_slope * x`` elsewhere. The derivative at 0 is 1.

    Args:
        x: Any numbers.
        negative_slope: The slope for negative ones.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.leaky_relu(fn.array([-4.0, 2.0]), 0.5).tolist()
    [-2.0, 2.0]
    """
    x = _floats("leaky_relu", x)
    return fn.where(x >= 0, x, number("leaky_relu", "negative_slope", negative_slope) * x)


def prelu(x: fn.array, alpha: fn.array) -> fn.array:
    """Compute ``x`` where it is not negative and ``alpha * x`` elsewhere, where `alpha` is trained.

    The derivative at 0 is 1.

    Args:
        x: Any numbers.
        alpha: The slope for negative ones: an array that broadcasts to the shape of `x`.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.prelu(fn.array([-4.0, 2.0]), fn.array(0.5)).tolist()
    [-2.0, 2.0]
    """
    x, alpha = _floats("prelu", x), _real("prelu", alpha, "alpha")
    # What `alpha` multiplies is bounded above, so that an infinite x leaves its gradient alone.
    return fn.where(x >= 0, x, alpha * fn.minimum(x, 0))


def _not_positive(x: fn.array) -> fn.array:
    # For an exponential, so that neither it nor its derivative overflows. Unlike `minimum`, it passes the derivative at 0.
    return fn.where(x > 0, 0, x)


def elu(x: fn.array, alpha: float = 1.0) -> fn.array:
    """Compute ``x`` where it is positive and ``alpha * (exp(x) - 1)`` elsewhere. The derivative at 0 is `alpha`.

    Args:
        x: Any numbers.
        alpha: Minus the limit at minus infinity.

    Reference: D.-A. Clevert et al., "Fast and accurate deep network learning by exponential linear units", 2015.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> [round(v, 4) for v in nn.elu(fn.array([-1.0, 2.0])).tolist()]
    [-0.6321, 2.0]
    """
    x, alpha = _floats("elu", x), number("elu", "alpha", alpha)
    return fn.where(x > 0, x, alpha * fn.expm1(_not_positive(x)))


def celu(x: fn.array, alpha: float = 1.0) -> fn.array:
    """Compute ``max(x, 0) + alpha * (exp(min(x, 0) / alpha) - 1)``. The derivative at 0 is 1.

    Args:
        x: Any numbers.
        alpha: Minus the limit at minus infinity.

    Raises:
        ValueError: `alpha` is 0.

    Reference: J. T. Barron, "Continuously differentiable exponential linear units", 2017.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> [round(v, 4) for v in nn.celu(fn.array([-1.0, 2.0])).tolist()]
    [-0.6321, 2.0]
    """
    x, alpha = _floats("celu", x), number("celu", "alpha", alpha)
    if not isinstance(alpha, fn.array) and alpha == 0:
        raise ValueError("celu: alpha must not be 0")
    return fn.where(x > 0, x, alpha * fn.expm1(_not_positive(x) / alpha))


def selu(x: fn.array) -> fn.array:
    """Compute ``1.0507 * elu(x, 1.67326)``, with constants for which activations keep mean 0 and variance 1.

    Reference: G. Klambauer et al., "Self-normalizing neural networks", 2017.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> round(nn.selu(fn.array(1.0)).item(), 4)
    1.0507
    """
    return elu(_floats("selu", x), _SELU_ALPHA) * _SELU_SCALE


def silu(x: fn.array) -> fn.array:
    """Compute ``x * sigmoid(x)``, also known as swish.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> round(nn.silu(fn.array(1.0)).item(), 4)
    0.7311
    """
    return _fast.silu(as_array("silu", x))


def gelu(x: fn.array) -> fn.array:
    """Compute ``x * Phi(x)`` exactly, where ``Phi`` is the cumulative distribution function of the normal distribution.

    It and its derivative are good to 4 units in the last place everywhere, also where ``Phi`` is tiny.

    Reference: D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> round(nn.gelu(fn.array(1.0)).item(), 4)
    0.8413
    """
    return _gelu(x)


def gelu_approx(x: fn.array) -> fn.array:
    """Approximate ``gelu`` by ``0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))``: within 0.0005.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> round(nn.gelu_approx(fn.array(1.0)).item(), 4)
    0.8412
    """
    return _fast.gelu_approx(as_array("gelu_approx", x))


def gelu_fast_approx(x: fn.array) -> fn.array:
    """Approximate ``gelu`` by ``x * sigmoid(1.702 * x)``: within 0.021.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> round(nn.gelu_fast_approx(fn.array(1.0)).item(), 4)
    0.8458
    """
    return _fast.gelu_fast_approx(as_array("gelu_fast_approx", x))


def glu(x: fn.array, axis: int = -1) -> fn.array:
    """Split an axis into halves ``a`` and ``b`` and compute ``a * sigmoid(b)``.

    Args:
        x: An array with an even number of elements along the axis.
        axis: The axis, which becomes half as long.

    Raises:
        ValueError: The length of the axis is odd.
        AxisError: There is no such axis.

    Reference: Y. N. Dauphin et al., "Language modeling with gated convolutional networks", 2017.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.glu(fn.array([4.0, 0.0])).tolist()
    [2.0]
    """
    x, axis = as_array("glu", x), integer(axis, "glu: axis")
    if not -x.ndim <= axis < x.ndim:
        raise fn.AxisError(f"glu: an array of shape {x.shape} has no axis {axis}")
    if x.shape[axis] % 2:
        raise ValueError(f"glu: the length of axis {axis} of shape {x.shape} is odd and has no halves")
    a, b = fn.split(x, 2, axis=axis)
    return a * fn.sigmoid(b)


def tanh(x: fn.array) -> fn.array:
    """Compute the hyperbolic tangent.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.tanh(fn.array(0.0)).item()
    0.0
    """
    return fn.tanh(as_array("tanh", x))


def softplus(x: fn.array) -> fn.array:
    """Compute ``log(1 + exp(x))``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> round(nn.softplus(fn.array(0.0)).item(), 4)
    0.6931
    """
    return fn.logaddexp(_floats("softplus", x), 0)


def softsign(x: fn.array) -> fn.array:
    """Compute ``x / (1 + abs(x))``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.softsign(fn.array([-1.0, 3.0])).tolist()
    [-0.5, 0.75]
    """
    out: fn.array = _softsign(_floats("softsign", x))
    return out


@fn.custom_jvp
def _softsign(x: fn.array) -> fn.array:
    infinite = fn.isinf(x)
    y = fn.where(infinite, 0, x)
    return fn.where(infinite, fn.sign(x), y / (1 + fn.abs(y)))


def _softsign_rule(primals: tuple[fn.array], tangents: tuple[fn.array]) -> tuple[fn.array, fn.array]:
    # That of the quotient is a difference, which cancels far out.
    return _softsign(primals[0]), tangents[0] * fn.square(fn.reciprocal(1 + fn.abs(primals[0])))


_softsign.defjvp(_softsign_rule)


def softshrink(x: fn.array, lambd: float = 0.5) -> fn.array:
    """Move `x` towards zero by `lambd`, as far as zero.

    Args:
        x: Any numbers.
        lambd: How far, at least 0.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.softshrink(fn.array([-2.0, 0.25, 1.0])).tolist()
    [-1.5, 0.0, 0.5]
    """
    return _soft_shrunk(_floats("softshrink", x), number("softshrink", "lambd", lambd, 0.0))


def _soft_shrunk(x: fn.array, lambd: Any) -> fn.array:
    return fn.where(fn.abs(x) <= lambd, 0, x - fn.sign(x) * lambd)


def hard_shrink(x: fn.array, lambd: float = 0.5) -> fn.array:
    """Set to zero what is not larger than `lambd` in absolute value.

    Args:
        x: Any numbers.
        lambd: The largest absolute value that becomes zero, at least 0.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.hard_shrink(fn.array([-2.0, 0.25, 1.0])).tolist()
    [-2.0, 0.0, 1.0]
    """
    return _hard_shrunk(_real("hard_shrink", x), number("hard_shrink", "lambd", lambd, 0.0))


def _hard_shrunk(x: fn.array, lambd: Any) -> fn.array:
    return fn.where((x >= -lambd) & (x <= lambd), 0, x)


def hard_tanh(x: fn.array, min_val: float = -1.0, max_val: float = 1.0) -> fn.array:
    """Clip `x` to the interval from `min_val` to `max_val`.

    Args:
        x: Any numbers.
        min_val: The least result.
        max_val: The largest.

    Raises:
        ValueError: `min_val` is above `max_val`.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.hard_tanh(fn.array([-2.0, 0.25, 1.5])).tolist()
    [-1.0, 0.25, 1.0]
    """
    x = _floats("hard_tanh", x)
    low, high = number("hard_tanh", "min_val", min_val), number("hard_tanh", "max_val", max_val)
    if not isinstance(low, fn.array) and not isinstance(high, fn.array) and low > high:
        raise ValueError(f"hard_tanh: min_val must be at most max_val, got {low} and {high}")
    return _limited(x, low, high)


def _limited(x: fn.array, low: Any, high: Any) -> fn.array:
    return fn.minimum(fn.maximum(x, low), high)


def hardswish(x: fn.array) -> fn.array:
    """Compute ``x * min(max(x + 3, 0), 6) / 6``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.hardswish(fn.array([-4.0, 3.0])).tolist()
    [-0.0, 3.0]
    """
    return _fast.hardswish(as_array("hardswish", x))


def mish(x: fn.array) -> fn.array:
    """Compute ``x * tanh(softplus(x))``.

    Reference: D. Misra, "Mish: a self regularized non-monotonic activation function", 2019.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> round(nn.mish(fn.array(1.0)).item(), 4)
    0.8651
    """
    return _fast.mish(as_array("mish", x))


def step(x: fn.array, threshold: float = 0.0) -> fn.array:
    """Return 1 where `x` is at least `threshold` and 0 elsewhere, as integers.

    Args:
        x: Any numbers.
        threshold: The least number that gives 1.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.step(fn.array([-1.0, 0.0, 2.0])).tolist()
    [0, 1, 1]
    """
    return fn.where(_real("step", x) >= number("step", "threshold", threshold), 1, 0)


def log_sigmoid(x: fn.array) -> fn.array:
    """Compute ``log(sigmoid(x))``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> round(nn.log_sigmoid(fn.array(0.0)).item(), 4)
    -0.6931
    """
    return -fn.logaddexp(-_floats("log_sigmoid", x), 0)


def softmax(x: fn.array, axis: int = -1) -> fn.array:
    """Compute ``exp(x) / sum(exp(x))`` along an axis.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.softmax(fn.array([1.0, 1.0])).tolist()
    [0.5, 0.5]
    """
    return fn.softmax(as_array("softmax", x), axis=axis)


def softmin(x: fn.array, axis: int = -1) -> fn.array:
    """Compute ``softmax(-x)``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.softmin(fn.array([1.0, 1.0])).tolist()
    [0.5, 0.5]
    """
    return fn.softmax(-_floats("softmin", x), axis=axis)


def log_softmax(x: fn.array, axis: int = -1) -> fn.array:
    """Compute ``log(softmax(x))`` along an axis without rounding small probabilities to zero.

    Args:
        x: Any numbers.
        axis: The axis, or several that are taken together.

    Raises:
        AxisError: There is no such axis.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.log_softmax(fn.array([0.0, 1000.0])).tolist()
    [-1000.0, 0.0]
    """
    x = _floats("log_softmax", x)
    axes = tuple(
        place % x.ndim if -x.ndim <= place < x.ndim else place for place in integers(axis, "log_softmax: axis")
    )
    if any(not 0 <= place < x.ndim for place in axes):
        raise fn.AxisError(f"log_softmax: an array of shape {x.shape} has no axis {axis}")
    if x.size == 0:
        return x
    # First the maximum: subtracted together with the logarithm of the sum, that would be lost in it by rounding.
    x = x - fn.stop_gradient(fn.max(x, axis=axis, keepdims=True))
    return x - fn.logsumexp(x, axis=axis, keepdims=True)

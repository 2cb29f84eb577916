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
    """Compute ``1 / (1 + exp(-x))`` of each element.

    Any shape; floating dtypes are kept, integers and bools computed in float32. The function is ``nn.sigmoid``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.Sigmoid()({}, fn.array(0.0)).item()
    0.5
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.sigmoid(x)


class ReLU(Layer):
    """Compute ``max(x, 0)`` of each element.

    Any shape; floating dtypes and integers are kept. The function is ``nn.relu``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.ReLU()({}, fn.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.relu(x)


class ReLU2(Layer):
    """Compute ``max(x, 0)**2`` of each element.

    Any shape; floating dtypes and integers are kept. The function is ``nn.relu2``.

    Reference: D. R. So et al., "Primer: searching for efficient transformers for language modeling", 2021.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.ReLU2()({}, fn.array([-1.0, 2.0])).tolist()
    [0.0, 4.0]
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.relu2(x)


class ReLU6(Layer):
    """Compute ``min(max(x, 0), 6)`` of each element.

    Any shape; floating dtypes and integers are kept. The function is ``nn.relu6``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.ReLU6()({}, fn.array([-1.0, 8.0])).tolist()
    [0.0, 6.0]
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.relu6(x)


class LeakyReLU(Layer):
    """Compute ``x`` where it is not negative and ``negative_slope * x`` elsewhere.

    Any shape; floating dtypes are kept, integers and bools computed in float32. The function is ``nn.leaky_relu``.

    Args:
        negative_slope: The slope for negative numbers.

    Reference: A. L. Maas, A. Y. Hannun, A. Y. Ng, "Rectifier nonlinearities improve neural network acoustic models",
    2013.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.LeakyReLU(0.5)({}, fn.array([-4.0, 2.0])).tolist()
    [-2.0, 2.0]
    """

    negative_slope: float = attrs.field(default=0.01, validator=number())

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.leaky_relu(x, self.negative_slope)


class PReLU(Layer):
    """Compute ``x`` where it is not negative and ``weight * x`` elsewhere, with a trained slope.

    Any shape, whose last axis has `num_parameters` elements if that is more than 1. The function is ``nn.prelu``.

    Args:
        num_parameters: How many slopes: 1, or one for each feature of the last axis. The parameter ``weight`` holds them.
        init: Their initial value; the attribute is ``initial``.

    Raises:
        ValueError: The last axis of the input has another size.

    Reference: K. He et al., "Delving deep into rectifiers", 2015.

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
    """Compute ``x`` where it is positive and ``alpha * (exp(x) - 1)`` elsewhere.

    Any shape; floating dtypes are kept, integers and bools computed in float32. The function is ``nn.elu``.

    Args:
        alpha: Minus the limit for negative numbers.

    Reference: D.-A. Clevert et al., "Fast and accurate deep network learning by exponential linear units", 2015.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.ELU()({}, fn.array([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    alpha: float = attrs.field(default=1.0, validator=number())

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.elu(x, self.alpha)


class CELU(Layer):
    """Compute ``max(x, 0) + alpha * (exp(min(x, 0) / alpha) - 1)`` of each element.

    Any shape; floating dtypes are kept, integers and bools computed in float32. The function is ``nn.celu``.

    Args:
        alpha: Minus the limit for negative numbers.

    Reference: J. T. Barron, "Continuously differentiable exponential linear units", 2017.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.CELU()({}, fn.array([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    alpha: float = attrs.field(default=1.0, validator=number())

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.celu(x, self.alpha)


class SELU(Layer):
    """Compute ``1.0507 * x`` where it is positive and ``1.7581 * (exp(x) - 1)`` elsewhere.

    Any shape; floating dtypes are kept, integers and bools computed in float32. The function is ``nn.selu``.

    Reference: G. Klambauer et al., "Self-normalizing neural networks", 2017.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.SELU()({}, fn.array(0.0)).item()
    0.0
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.selu(x)


class SiLU(Layer):
    """Compute ``x * sigmoid(x)`` of each element, also known as swish.

    Any shape; floating dtypes are kept, integers and bools computed in float32. The function is ``nn.silu``.

    Reference: S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-weighted linear units for neural network function
    approximation", 2017.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.SiLU()({}, fn.array(0.0)).item()
    0.0
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.silu(x)


class GELU(Layer):
    """Compute ``x * Phi(x)`` of each element, with the distribution function of the normal distribution, or approximate it.

    Any shape; floating dtypes are kept, integers and bools computed in float32.

    Args:
        approx: ``"none"`` for ``nn.gelu``, which is exact; ``"precise"`` or, as in PyTorch, ``"tanh"`` for ``nn.gelu_approx``,
            within 0.0005; ``"fast"`` for ``nn.gelu_fast_approx``, within 0.021.

    Raises:
        ValueError: `approx` is something else.

    Reference: D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016.

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
    """Split an axis into halves ``a`` and ``b`` and compute ``a * sigmoid(b)``.

    The axis becomes half as long; floating dtypes are kept. The function is ``nn.glu``.

    Args:
        axis: The axis to split.

    Raises:
        ValueError: The length of the axis is odd.
        AxisError: There is no such axis.

    Reference: Y. N. Dauphin et al., "Language modeling with gated convolutional networks", 2017.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.GLU()({}, fn.array([4.0, 0.0])).tolist()
    [2.0]
    """

    axis: int = attrs.field(default=-1, validator=whole())

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.glu(x, self.axis)


class Tanh(Layer):
    """Compute the hyperbolic tangent of each element.

    Any shape; floating dtypes are kept, integers and bools computed in float32. The function is ``nn.tanh``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.Tanh()({}, fn.array(0.0)).item()
    0.0
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.tanh(x)


class Softplus(Layer):
    """Compute ``log(1 + exp(x))`` of each element, which does not overflow.

    Any shape; floating dtypes are kept, integers and bools computed in float32. The function is ``nn.softplus``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.Softplus()({}, fn.array(100.0)).item()
    100.0
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.softplus(x)


class Softsign(Layer):
    """Compute ``x / (1 + abs(x))`` of each element.

    Any shape; floating dtypes are kept, integers and bools computed in float32. The function is ``nn.softsign``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.Softsign()({}, fn.array([-1.0, 3.0])).tolist()
    [-0.5, 0.75]
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.softsign(x)


class Softshrink(Layer):
    """Move each element towards zero by `lambd`, as far as zero.

    Any shape; floating dtypes are kept, integers and bools computed in float32. The function is ``nn.softshrink``.

    Args:
        lambd: How far to move numbers towards zero.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.Softshrink()({}, fn.array([-2.0, 0.25, 1.0])).tolist()
    [-1.5, 0.0, 0.5]
    """

    lambd: float = attrs.field(default=0.5, validator=number(0.0))

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.softshrink(x, self.lambd)


class HardShrink(Layer):
    """Set to zero what is not larger than `lambd` in absolute value.

    Any shape; floating dtypes and integers are kept. The function is ``nn.hard_shrink``.

    Args:
        lambd: Up to which absolute value numbers become zero.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.HardShrink()({}, fn.array([-2.0, 0.25, 1.0])).tolist()
    [-2.0, 0.0, 1.0]
    """

    lambd: float = attrs.field(default=0.5, validator=number(0.0))

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.hard_shrink(x, self.lambd)


class HardTanh(Layer):
    """Compute ``min(max(x, -1), 1)`` of each element.

    Any shape; floating dtypes are kept, integers and bools computed in float32. The function, which takes other bounds,
    is ``nn.hard_tanh``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.HardTanh()({}, fn.array([-2.0, 0.25, 1.5])).tolist()
    [-1.0, 0.25, 1.0]
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.hard_tanh(x)


class Hardswish(Layer):
    """Compute ``x * min(max(x + 3, 0), 6) / 6`` of each element.

    Any shape; floating dtypes are kept, integers and bools computed in float32. The function is ``nn.hardswish``.

    Reference: A. Howard et al., "Searching for MobileNetV3", 2019.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.Hardswish()({}, fn.array(3.0)).item()
    3.0
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.hardswish(x)


class Mish(Layer):
    """Compute ``x * tanh(log(1 + exp(x)))`` of each element.

    Any shape; floating dtypes are kept, integers and bools computed in float32. The function is ``nn.mish``.

    Reference: D. Misra, "Mish: a self regularized non-monotonic activation function", 2019.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.Mish()({}, fn.array(0.0)).item()
    0.0
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.mish(x)


class Step(Layer):
    """Return 1 where an element is at least `threshold` and 0 elsewhere.

    Any shape and real dtype; the result is int32 and has no derivative. The function is ``nn.step``.

    Args:
        threshold: The smallest number that becomes 1.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.Step()({}, fn.array([-1.0, 0.0, 2.0])).tolist()
    [0, 1, 1]
    """

    threshold: float = attrs.field(default=0.0, validator=number())

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.step(x, self.threshold)


class LogSigmoid(Layer):
    """Compute ``log(1 / (1 + exp(-x)))`` of each element, which does not underflow.

    Any shape; floating dtypes are kept, integers and bools computed in float32. The function is ``nn.log_sigmoid``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.LogSigmoid()({}, fn.array(-100.0)).item()
    -100.0
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.log_sigmoid(x)


class Softmax(Layer):
    """Compute ``exp(x) / sum(exp(x))`` along the last axis.

    Any shape with an axis; floating dtypes are kept, integers and bools computed in float32. The function, which takes
    an axis, is ``nn.softmax``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.Softmax()({}, fn.array([1.0, 1.0])).tolist()
    [0.5, 0.5]
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.softmax(x)


class Softmin(Layer):
    """Compute ``exp(-x) / sum(exp(-x))`` along the last axis.

    Any shape with an axis; floating dtypes are kept, integers and bools computed in float32. The function, which takes
    an axis, is ``nn.softmin``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.Softmin()({}, fn.array([1.0, 1.0])).tolist()
    [0.5, 0.5]
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.softmin(x)


class LogSoftmax(Layer):
    """Compute ``x - log(sum(exp(x)))`` along the last axis, small probabilities not rounded to zero.

    Any shape with an axis; floating dtypes are kept, integers and bools computed in float32. The function, which takes
    an axis, is ``nn.log_softmax``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.LogSoftmax()({}, fn.array([0.0, 1000.0])).tolist()
    [-1000.0, 0.0]
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return functions.log_softmax(x)

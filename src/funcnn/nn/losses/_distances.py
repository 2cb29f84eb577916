"""Losses of predicted numbers and vectors."""

from __future__ import annotations

import math
from typing import Any

import funcnn as fn
from funcnn._arguments import flag
from funcnn._calls import explained

from ._common import Reduction, floats, number, position, reduce, same_shapes


@explained
def l1_loss(predictions: fn.array, targets: fn.array, reduction: Reduction = "mean") -> fn.array:
    """Compute the absolute difference.

    Args:
        predictions: Any numbers.
        targets: What they should be, of the same shape.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        ValueError: The shapes differ.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.l1_loss(fn.array([1.0, 5.0]), fn.array([2.0, 2.0])).item()
    2.0
    """
    same_shapes("l1_loss", predictions=predictions, targets=targets)
    dtype, (predictions, targets) = floats("l1_loss", predictions=predictions, targets=targets)
    return reduce("l1_loss", fn.abs(predictions - targets), reduction, dtype)


@explained
def mse_loss(predictions: fn.array, targets: fn.array, reduction: Reduction = "mean") -> fn.array:
    """Compute the squared difference.

    Args:
        predictions: Any numbers.
        targets: What they should be, of the same shape.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        ValueError: The shapes differ.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.mse_loss(fn.array([1.0, 5.0]), fn.array([2.0, 2.0])).item()
    5.0
    """
    same_shapes("mse_loss", predictions=predictions, targets=targets)
    dtype, (predictions, targets) = floats("mse_loss", predictions=predictions, targets=targets)
    return reduce("mse_loss", fn.square(predictions - targets), reduction, dtype)


@explained
def gaussian_nll_loss(
    inputs: fn.array,
    targets: fn.array,
    vars: fn.array,
    full: bool = False,
    eps: float = 1e-6,
    reduction: Reduction = "mean",
) -> fn.array:
    """Return minus the log density of targets under normal distributions.

    Args:
        inputs: Their means.
        targets: The samples.
        vars: Their variances; those below `eps` count as `eps`.
        full: Whether to add the constant ``log(2 * pi) / 2``.
        eps: The smallest variance, above 0.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        ValueError: The shapes differ.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.gaussian_nll_loss(fn.array([0.0]), fn.array([2.0]), fn.array([1.0])).item()
    2.0
    """
    name = "gaussian_nll_loss"
    flag(full, f"{name}: full")
    same_shapes(name, inputs=inputs, targets=targets, vars=vars)
    dtype, (inputs, targets, vars) = floats(name, inputs=inputs, targets=targets, vars=vars)
    loss = gaussian_nll(inputs, targets, vars, number(name, "eps", eps, 0.0, above=True), full=full)
    return reduce(name, loss, reduction, dtype)


def gaussian_nll(inputs: fn.array, targets: fn.array, vars: fn.array, eps: Any, *, full: bool) -> fn.array:
    """The loss of each sample."""
    vars = fn.maximum(vars, eps)
    error = targets - inputs
    loss: fn.array = 0.5 * fn.log(vars) + 0.5 * error * (error / vars)
    return loss + 0.5 * math.log(2 * math.pi) if full else loss


def _bend(error: fn.array, delta: float) -> tuple[fn.array, fn.array]:
    """The part of an error within ``±delta``, and how far it lies beyond."""
    near = fn.clip(error, -delta, delta)
    return near, fn.abs(error) - fn.abs(near)


@explained
def smooth_l1_loss(
    predictions: fn.array, targets: fn.array, beta: float = 1.0, reduction: Reduction = "mean"
) -> fn.array:
    """Compute ``d**2 / (2 * beta)`` of the absolute difference ``d`` where it is below `beta`, else ``d - beta / 2``.

    Args:
        predictions: Any numbers.
        targets: What they should be, of the same shape.
        beta: Where the parabola ends; 0 gives ``l1_loss``.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        ValueError: The shapes differ, or `beta` is negative.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.smooth_l1_loss(fn.array([0.0, 5.0]), fn.array([1.0, 2.0]), reduction="none").tolist()
    [0.5, 2.5]
    """
    name = "smooth_l1_loss"
    beta = number(name, "beta", beta, 0.0)
    same_shapes(name, predictions=predictions, targets=targets)
    dtype, (predictions, targets) = floats(name, predictions=predictions, targets=targets)
    if beta == 0.0:
        return reduce(name, fn.abs(predictions - targets), reduction, dtype)
    near, beyond = _bend(predictions - targets, beta)
    return reduce(name, 0.5 * near * (near / beta) + beyond, reduction, dtype)


@explained
def huber_loss(inputs: fn.array, targets: fn.array, delta: float = 1.0, reduction: Reduction = "none") -> fn.array:
    """Compute ``d**2 / 2`` of the absolute difference ``d`` up to `delta`, beyond ``delta * (d - delta / 2)``.

    Args:
        inputs: Any numbers.
        targets: What they should be, of the same shape.
        delta: Where the parabola ends, above 0.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        ValueError: The shapes differ, or `delta` is not above 0.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.huber_loss(fn.array([0.0, 5.0]), fn.array([1.0, 2.0])).tolist()
    [0.5, 2.5]
    """
    name = "huber_loss"
    delta = number(name, "delta", delta, 0.0, above=True)
    same_shapes(name, inputs=inputs, targets=targets)
    dtype, (inputs, targets) = floats(name, inputs=inputs, targets=targets)
    return reduce(name, bent(inputs - targets, delta), reduction, dtype)


def bent(error: fn.array, delta: float) -> fn.array:
    """Half the square of an error up to `delta`, a line beyond."""
    near, beyond = _bend(error, delta)
    loss: fn.array = 0.5 * fn.square(near) + delta * beyond
    return loss


@explained
def log_cosh_loss(inputs: fn.array, targets: fn.array, reduction: Reduction = "none") -> fn.array:
    """Compute ``log(cosh(inputs - targets))``.

    Args:
        inputs: Any numbers.
        targets: What they should be, of the same shape.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        ValueError: The shapes differ.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> round(nn.losses.log_cosh_loss(fn.array([1.0]), fn.array([0.0])).item(), 4)
    0.4338
    """
    same_shapes("log_cosh_loss", inputs=inputs, targets=targets)
    dtype, (inputs, targets) = floats("log_cosh_loss", inputs=inputs, targets=targets)
    error = inputs - targets
    size = fn.abs(error)
    # cosh(x) is 1 + 2 sinh(x / 2)**2, which keeps its accuracy near zero.
    small = size < 1.0
    near = fn.log1p(2.0 * fn.square(fn.sinh(0.5 * fn.where(small, error, 0.0))))
    far = size + (fn.log1p(fn.exp(-2.0 * size)) - math.log(2.0))
    return reduce("log_cosh_loss", fn.where(small, near, far), reduction, dtype)


@explained
def hinge_loss(inputs: fn.array, targets: fn.array, reduction: Reduction = "none") -> fn.array:
    """Compute ``max(0, 1 - inputs * targets)`` for targets of -1 and 1.

    Args:
        inputs: Any numbers.
        targets: -1 or 1 for each, of the same shape.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        ValueError: The shapes differ.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.hinge_loss(fn.array([0.5, 2.0]), fn.array([1.0, 1.0])).tolist()
    [0.5, 0.0]
    """
    same_shapes("hinge_loss", inputs=inputs, targets=targets)
    dtype, (inputs, targets) = floats("hinge_loss", inputs=inputs, targets=targets)
    return reduce("hinge_loss", fn.maximum(1.0 - inputs * targets, 0.0), reduction, dtype)


def _scale(x: fn.array, axis: int, least: float) -> fn.array:
    """The largest absolute value along an axis, which scales what is squared; at least `least`, and 1 in place of 0."""
    if x.shape[axis] == 0:
        return fn.ones_like(fn.sum(x, axis=axis, keepdims=True))
    largest = fn.maximum(fn.stop_gradient(fn.max(fn.abs(x), axis=axis, keepdims=True)), least)
    return fn.where((largest == 0) | (largest == float("inf")), 1.0, largest)


def _root(x: fn.array) -> fn.array:
    """The square root, with a derivative of zero at zero."""
    zero = x == 0
    return fn.where(zero, 0.0, fn.sqrt(fn.where(zero, 1.0, x)))


@explained
def triplet_loss(
    anchors: fn.array,
    positives: fn.array,
    negatives: fn.array,
    axis: int = -1,
    p: float = 2,
    margin: float = 1.0,
    eps: float = 1e-6,
    reduction: Reduction = "none",
) -> fn.array:
    """Compute ``max(0, d(anchors, positives) - d(anchors, negatives) + margin)`` with the distance of the p-norm.

    Args:
        anchors: The samples.
        positives: Samples that should be close to them.
        negatives: Samples that should be far from them.
        axis: The axis of the features.
        p: The degree of the norm, at least 1.
        margin: How much farther the negatives should be.
        eps: Added to the sum of powers before the root is taken.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        ValueError: The shapes differ, `p` is below 1 or `eps` below 0.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> anchors = fn.array([[0.0, 0.0]])
    >>> round(nn.losses.triplet_loss(anchors, fn.array([[0.0, 2.0]]), fn.array([[1.0, 0.0]])).item(), 4)
    2.0
    """
    name = "triplet_loss"
    degree = number(name, "p", p, 1.0)
    margin, eps = number(name, "margin", margin), number(name, "eps", eps, 0.0)
    same_shapes(name, anchors=anchors, positives=positives, negatives=negatives)
    dtype, (a, near, far) = floats(name, anchors=anchors, positives=positives, negatives=negatives)
    axis = position(name, axis, a.ndim)

    def distance(others: fn.array) -> fn.array:
        difference = a - others
        if degree == math.inf:
            return fn.max(fn.abs(difference), axis=axis)
        # Scaled by the largest, if that is more than 1, so that powers do not overflow.
        scale = _scale(difference, axis, 1.0)
        part = difference / scale
        powers = fn.square(part) if degree == 2 else fn.power(fn.abs(part), degree)
        total = fn.sum(powers, axis=axis, keepdims=True) + eps / fn.power(scale, degree)
        zero = total == 0
        root = _root(total) if degree == 2 else fn.where(zero, 0.0, fn.power(fn.where(zero, 1.0, total), 1.0 / degree))
        return fn.squeeze(scale * root, axis)

    return reduce(name, fn.maximum(distance(near) - distance(far) + margin, 0.0), reduction, dtype)


@explained
def cosine_similarity_loss(
    x1: fn.array, x2: fn.array, axis: int = 1, eps: float = 1e-8, reduction: Reduction = "none"
) -> fn.array:
    """Compute the cosine of the angle between vectors: the scalar product over the product of norms, at least `eps`.

    With a vector of zeros it is 0.

    Args:
        x1: Vectors along `axis`.
        x2: Others, of the same shape.
        axis: The axis of the vectors.
        eps: The least product of norms, above 0.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        ValueError: The shapes differ, or `eps` is not above 0.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.cosine_similarity_loss(fn.array([[3.0, 0.0]]), fn.array([[2.0, 0.0]])).tolist()
    [1.0]
    """
    name = "cosine_similarity_loss"
    eps = number(name, "eps", eps, 0.0, above=True)
    same_shapes(name, x1=x1, x2=x2)
    dtype, (a, b) = floats(name, x1=x1, x2=x2)
    return reduce(name, cosine_similarity(a, b, position(name, axis, a.ndim), eps), reduction, dtype)


def cosine_similarity(a: fn.array, b: fn.array, axis: int, eps: Any) -> fn.array:
    """The cosines of the angles between vectors."""

    def scaled(x: fn.array) -> tuple[fn.array, fn.array, fn.array]:
        scale = _scale(x, axis, 0.0)
        part = x / scale
        return part, _root(fn.sum(fn.square(part), axis=axis, keepdims=True)), scale

    (a, norm_a, scale_a), (b, norm_b, scale_b) = scaled(a), scaled(b)
    # Never zero, which it would be beside large numbers: the cosine with a vector of zeros is 0.
    least: Any = fn.maximum(eps / scale_a / scale_b, fn.finfo(a.dtype).smallest_normal)
    product, norms = fn.sum(a * b, axis=axis, keepdims=True), norm_a * norm_b
    # Below the least the cosine is linear; a quotient's second derivative would divide by its square.
    cosine = fn.where(norms > least, product / fn.maximum(norms, least), product * (1 / least))
    return fn.squeeze(cosine, axis)


@explained
def margin_ranking_loss(
    inputs1: fn.array, inputs2: fn.array, targets: fn.array, margin: float = 0.0, reduction: Reduction = "none"
) -> fn.array:
    """Compute ``max(0, margin - targets * (inputs1 - inputs2))``: a target of 1 wants the first ranked higher, -1 the second.

    Args:
        inputs1: Scores of the first.
        inputs2: Scores of the second, of the same shape.
        targets: 1 or -1 for each pair.
        margin: By how much the better score should be higher.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        ValueError: The shapes differ.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.margin_ranking_loss(fn.array([1.0]), fn.array([3.0]), fn.array([1.0])).tolist()
    [2.0]
    """
    name = "margin_ranking_loss"
    margin = number(name, "margin", margin)
    same_shapes(name, inputs1=inputs1, inputs2=inputs2, targets=targets)
    dtype, (first, second, targets) = floats(name, inputs1=inputs1, inputs2=inputs2, targets=targets)
    # At equality the second argument gets the gradient: equal scores and no margin, as at the start, must part.
    return reduce(name, fn.maximum(0.0, margin - targets * (first - second)), reduction, dtype)

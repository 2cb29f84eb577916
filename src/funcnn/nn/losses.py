"""Loss functions.

Each has an argument `reduction`: ``"none"`` returns a loss for every sample, ``"mean"`` and ``"sum"`` combine them. The
defaults are MLX's.
"""

from __future__ import annotations

import math
from typing import Literal

import funcnn as fn

__all__ = [
    "binary_cross_entropy",
    "cosine_similarity_loss",
    "cross_entropy",
    "gaussian_nll_loss",
    "hinge_loss",
    "huber_loss",
    "kl_div_loss",
    "l1_loss",
    "log_cosh_loss",
    "margin_ranking_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
    "triplet_loss",
]

Reduction = Literal["none", "mean", "sum"]


def _reduce(loss: fn.array, reduction: Reduction) -> fn.array:
    if reduction == "none":
        return loss
    if reduction == "mean":
        return fn.mean(loss)
    if reduction == "sum":
        return fn.sum(loss)
    raise ValueError(f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}")


def _same_shapes(name: str, **arrays: fn.array) -> None:
    if len({x.shape for x in arrays.values()}) > 1:
        shapes = ", ".join(f"{what} {x.shape}" for what, x in arrays.items())
        raise ValueError(f"{name}: the arguments must have one shape, got {shapes}")


def _weighted(name: str, loss: fn.array, weights: fn.array | None) -> fn.array:
    if weights is None:
        return loss
    if weights.shape != loss.shape:
        raise ValueError(f"{name}: the weights must have the shape of the loss, {loss.shape}, got {weights.shape}")
    return loss * weights


def cross_entropy(
    logits: fn.array,
    targets: fn.array,
    weights: fn.array | None = None,
    axis: int = -1,
    label_smoothing: float = 0.0,
    reduction: Reduction = "none",
) -> fn.array:
    """Compute the cross entropy of targets and the softmax of logits.

    Args:
        logits: Scores of the classes along `axis`.
        targets: Class indices, with the shape of `logits` without `axis`; or probabilities, with the shape of `logits`.
        weights: Factors for the losses, with their shape.
        axis: The axis of the classes.
        label_smoothing: How much of the targets' probability, in ``[0, 1)``, to spread evenly over all classes.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The losses, with the shape of `logits` without `axis`, or their mean or sum.

    Raises:
        ValueError: The shapes do not fit, or `label_smoothing` is not in ``[0, 1)``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> logits = fn.array([[2.0, -1.0], [-1.0, 2.0]])
    >>> [round(v, 4) for v in nn.losses.cross_entropy(logits, fn.array([0, 1])).tolist()]
    [0.0486, 0.0486]
    """
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"cross_entropy: label_smoothing must be in [0, 1), got {label_smoothing}")
    if not -logits.ndim <= axis < logits.ndim:
        raise fn.AxisError(f"cross_entropy: axis {axis} of logits of shape {logits.shape}")
    axis %= logits.ndim
    expected = logits.shape[:axis] + logits.shape[axis + 1 :]
    probabilities = targets.ndim == logits.ndim
    if targets.shape != (logits.shape if probabilities else expected):
        raise ValueError(
            f"cross_entropy: logits of shape {logits.shape} take class indices of shape {expected} or probabilities of "
            f"shape {logits.shape}, got targets of shape {targets.shape}"
        )
    logits = logits - fn.stop_gradient(fn.max(logits, axis=axis, keepdims=True))
    if probabilities:
        score = fn.sum(logits * targets, axis=axis)
    else:
        if not fn.isdtype(targets.dtype, "integral"):
            raise TypeError(f"cross_entropy: class indices must be integers, got {targets.dtype}")
        score = fn.squeeze(fn.take_along_axis(logits, fn.expand_dims(targets, axis), axis), axis)
    loss = fn.logsumexp(logits, axis=axis)
    if label_smoothing > 0.0:
        loss = loss - (1.0 - label_smoothing) * score - label_smoothing * fn.mean(logits, axis=axis)
    else:
        loss = loss - score
    return _reduce(_weighted("cross_entropy", loss, weights), reduction)


def binary_cross_entropy(
    inputs: fn.array,
    targets: fn.array,
    weights: fn.array | None = None,
    with_logits: bool = True,
    reduction: Reduction = "mean",
) -> fn.array:
    """Compute the cross entropy of targets in ``[0, 1]`` and predicted probabilities.

    Args:
        inputs: Logits, or probabilities if `with_logits` is false; the logarithms of probabilities are clipped at -100.
        targets: The probabilities that are right, usually 0 or 1.
        weights: Factors for the losses, with their shape.
        with_logits: Whether `inputs` are logits, which is more precise.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> round(nn.losses.binary_cross_entropy(fn.array([0.0]), fn.array([1.0])).item(), 4)
    0.6931
    """
    _same_shapes("binary_cross_entropy", inputs=inputs, targets=targets)
    if with_logits:
        loss = fn.logaddexp(inputs, 0.0) - inputs * targets
    else:
        yes = fn.maximum(fn.log(inputs), -100.0)
        no = fn.maximum(fn.log(1.0 - inputs), -100.0)
        loss = -(targets * yes + (1.0 - targets) * no)
    return _reduce(_weighted("binary_cross_entropy", loss, weights), reduction)


def l1_loss(predictions: fn.array, targets: fn.array, reduction: Reduction = "mean") -> fn.array:
    """Compute the absolute difference.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.l1_loss(fn.array([1.0, 5.0]), fn.array([2.0, 2.0])).item()
    2.0
    """
    _same_shapes("l1_loss", predictions=predictions, targets=targets)
    return _reduce(fn.abs(predictions - targets), reduction)


def mse_loss(predictions: fn.array, targets: fn.array, reduction: Reduction = "mean") -> fn.array:
    """Compute the squared difference.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.mse_loss(fn.array([1.0, 5.0]), fn.array([2.0, 2.0])).item()
    5.0
    """
    _same_shapes("mse_loss", predictions=predictions, targets=targets)
    return _reduce(fn.square(predictions - targets), reduction)


def nll_loss(inputs: fn.array, targets: fn.array, axis: int = -1, reduction: Reduction = "none") -> fn.array:
    """Return minus the log probability of the target classes.

    Args:
        inputs: Log probabilities of the classes along `axis`.
        targets: Class indices, with the shape of `inputs` without `axis`.
        axis: The axis of the classes.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.nll_loss(fn.array([[-1.0, -2.0]]), fn.array([1])).tolist()
    [2.0]
    """
    picked = fn.take_along_axis(inputs, fn.expand_dims(targets, axis), axis)
    return _reduce(-fn.squeeze(picked, axis), reduction)


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
        vars: Their variances, at least `eps`.
        full: Whether to add the constant ``log(2 * pi) / 2``.
        eps: The smallest variance.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.gaussian_nll_loss(fn.array([0.0]), fn.array([2.0]), fn.array([1.0])).item()
    2.0
    """
    _same_shapes("gaussian_nll_loss", inputs=inputs, targets=targets, vars=vars)
    vars = fn.maximum(vars, eps)
    loss = 0.5 * (fn.log(vars) + fn.square(targets - inputs) / vars)
    return _reduce(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


def kl_div_loss(inputs: fn.array, targets: fn.array, axis: int = -1, reduction: Reduction = "none") -> fn.array:
    """Compute the Kullback-Leibler divergence ``sum(exp(targets) * (targets - inputs))`` of two log probabilities.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.kl_div_loss(fn.array([-2.0, -1.0]), fn.array([-2.0, -1.0])).item()
    0.0
    """
    return _reduce(fn.sum(fn.exp(targets) * (targets - inputs), axis=axis), reduction)


def smooth_l1_loss(
    predictions: fn.array, targets: fn.array, beta: float = 1.0, reduction: Reduction = "mean"
) -> fn.array:
    """Compute ``d**2 / (2 * beta)`` of the absolute difference ``d`` where it is below `beta`, else ``d - beta / 2``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.smooth_l1_loss(fn.array([0.0, 5.0]), fn.array([1.0, 2.0]), reduction="none").tolist()
    [0.5, 2.5]
    """
    _same_shapes("smooth_l1_loss", predictions=predictions, targets=targets)
    error = fn.abs(predictions - targets)
    loss = fn.where(error < beta, 0.5 * fn.square(error) / beta, error - 0.5 * beta)
    return _reduce(loss, reduction)


def huber_loss(inputs: fn.array, targets: fn.array, delta: float = 1.0, reduction: Reduction = "none") -> fn.array:
    """Compute ``d**2 / 2`` of the absolute difference ``d`` up to `delta`, beyond ``delta * (d - delta / 2)``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.huber_loss(fn.array([0.0, 5.0]), fn.array([1.0, 2.0])).tolist()
    [0.5, 2.5]
    """
    error = fn.abs(inputs - targets)
    quadratic = fn.minimum(error, delta)
    return _reduce(0.5 * fn.square(quadratic) + delta * (error - quadratic), reduction)


def log_cosh_loss(inputs: fn.array, targets: fn.array, reduction: Reduction = "none") -> fn.array:
    """Compute ``log(cosh(inputs - targets))``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> round(nn.losses.log_cosh_loss(fn.array([1.0]), fn.array([0.0])).item(), 4)
    0.4338
    """
    error = inputs - targets
    return _reduce(fn.logaddexp(error, -error) - math.log(2.0), reduction)


def hinge_loss(inputs: fn.array, targets: fn.array, reduction: Reduction = "none") -> fn.array:
    """Compute ``max(0, 1 - inputs * targets)`` for targets of -1 and 1.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.hinge_loss(fn.array([0.5, 2.0]), fn.array([1.0, 1.0])).tolist()
    [0.5, 0.0]
    """
    return _reduce(fn.maximum(1.0 - inputs * targets, 0.0), reduction)


def triplet_loss(
    anchors: fn.array,
    positives: fn.array,
    negatives: fn.array,
    axis: int = -1,
    p: int = 2,
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
        p: The degree of the norm.
        margin: How much farther the negatives should be.
        eps: Added to the sum of powers before the root is taken.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> anchors = fn.array([[0.0, 0.0]])
    >>> round(nn.losses.triplet_loss(anchors, fn.array([[0.0, 2.0]]), fn.array([[1.0, 0.0]])).item(), 4)
    2.0
    """

    def distance(others: fn.array) -> fn.array:
        powers = fn.power(fn.abs(anchors - others), p)
        return fn.power(fn.sum(powers, axis=axis) + eps, 1.0 / p)

    return _reduce(fn.maximum(distance(positives) - distance(negatives) + margin, 0.0), reduction)


def cosine_similarity_loss(
    x1: fn.array, x2: fn.array, axis: int = 1, eps: float = 1e-8, reduction: Reduction = "none"
) -> fn.array:
    """Compute the cosine of the angle between vectors: the scalar product over the product of norms, at least `eps`.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.cosine_similarity_loss(fn.array([[3.0, 0.0]]), fn.array([[2.0, 0.0]])).tolist()
    [1.0]
    """
    norms = fn.sqrt(fn.sum(x1 * x1, axis=axis)) * fn.sqrt(fn.sum(x2 * x2, axis=axis))
    return _reduce(fn.sum(x1 * x2, axis=axis) / fn.maximum(norms, eps), reduction)


def margin_ranking_loss(
    inputs1: fn.array, inputs2: fn.array, targets: fn.array, margin: float = 0.0, reduction: Reduction = "none"
) -> fn.array:
    """Compute ``max(0, margin - targets * (inputs1 - inputs2))``: a target of 1 wants the first ranked higher, -1 the second.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.margin_ranking_loss(fn.array([1.0]), fn.array([3.0]), fn.array([1.0])).tolist()
    [2.0]
    """
    _same_shapes("margin_ranking_loss", inputs1=inputs1, inputs2=inputs2, targets=targets)
    return _reduce(fn.maximum(margin - targets * (inputs1 - inputs2), 0.0), reduction)

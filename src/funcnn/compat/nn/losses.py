"""Losses. Each has an argument `reduction`: ``"none"`` returns a loss for every sample, ``"mean"`` and ``"sum"`` combine them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from .. import core as mx
from ._functional import loss_arguments as _arguments
from ._functional import losses_of_classes as _classes
from ._functional import losses_of_numbers as _distances

Reduction = Literal["none", "mean", "sum"]


def _reduce(loss: mx.array, reduction: Reduction) -> mx.array:
    if reduction == "none":
        return loss
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    combined: mx.array = getattr(loss, reduction)()
    return combined


def _weighted(loss: mx.array, weights: mx.array | None) -> mx.array:
    if weights is None:
        return loss
    if weights.shape != loss.shape:
        raise ValueError(f"weights must have the shape of the losses, {loss.shape}, got {weights.shape}")
    return loss * weights


def _same_shapes(loss: str, **arrays: mx.array) -> None:
    if len({x.shape for x in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {x.shape}" for name, x in arrays.items())
        raise ValueError(f"{loss}: the arguments must have one shape, got {shapes}")


def _of_numbers(
    loss: Callable[..., Any], arrays: tuple[mx.array, ...], reduction: Reduction, **options: Any
) -> mx.array:
    """Call a loss that broadcasts, and that keeps integers where all arguments are such."""
    shape = arrays[0].shape
    if any(x.shape != shape for x in arrays):
        arrays = tuple(mx.broadcast_arrays(*arrays))
    found = loss(*arrays, reduction="none", **options)
    return _reduce(found, reduction)


def _whole(x: mx.array, *arrays: mx.array) -> mx.array:
    """The losses of integers as integers."""
    if arrays[0].dtype == mx.float32:
        return x
    dtype = mx.result_type(*(x.dtype for x in arrays))
    return x if mx.issubdtype(dtype, mx.inexact) else x.astype(dtype)


def _counted(targets: mx.array, count: int, name: str) -> mx.array:
    """Class indices, those below 0 counted from the end. Others that are of no class are not looked for."""
    dtype = targets.dtype
    signed = dtype == mx.int32 or mx.issubdtype(dtype, mx.signedinteger)
    if not signed and not mx.issubdtype(dtype, mx.integer):
        raise ValueError(f"{name}: targets must be indices of classes, which are integers, got {dtype}")
    return mx.where(targets < 0, targets + count, targets) if signed else targets


def cross_entropy(
    logits: mx.array,
    targets: mx.array,
    weights: mx.array | None = None,
    axis: int = -1,
    label_smoothing: float = 0.0,
    reduction: Reduction = "none",
) -> mx.array:
    """Compute the cross entropy of targets and the softmax of logits.

    Args:
        logits: Scores of the classes along `axis`.
        targets: Class indices, with the shape of `logits` without `axis`; or probabilities, with that of `logits`. An index
            of no class gives some finite loss, to be masked.
        weights: Factors for the losses, with their shape.
        axis: The axis of the classes.
        label_smoothing: How much of the targets' probability, in ``[0, 1)``, to spread evenly over all classes.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> loss = nn.losses.cross_entropy(mx.array([[2.0, -1.0]]), mx.array([0]))
    >>> round(loss.item(), 4)
    0.0486
    """
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"cross_entropy: label_smoothing must be at least 0 and below 1, got {label_smoothing}")
    places = list(logits.shape)
    count = places.pop(axis)
    probabilities = targets.ndim == logits.ndim
    if targets.shape != (logits.shape if probabilities else tuple(places)):
        raise ValueError(
            f"cross_entropy: targets must have the shape of logits {logits.shape}, or {tuple(places)} if they are indices, got "
            f"{targets.shape}"
        )
    dtype, (scores,) = _arguments.floats("cross_entropy", logits=logits)
    axis %= logits.ndim
    if probabilities:
        given, (wide,) = _arguments.floats("cross_entropy", targets=targets)
        dtype = mx.result_type(dtype, given) if mx.issubdtype(targets.dtype, mx.inexact) else dtype
        loss = _classes.of_probabilities(scores, wide, None, axis, label_smoothing, assume_unit_sum=True)
    else:
        indices = mx.expand_dims(_counted(targets, count, "cross_entropy"), axis)
        loss = mx.squeeze(_classes.of_classes(scores, indices, None, axis, label_smoothing)[0], axis)
    if weights is None and reduction != "none":
        return _reduce(loss, reduction).astype(dtype)
    return _reduce(_weighted(loss.astype(dtype), weights), reduction)


def binary_cross_entropy(
    inputs: mx.array,
    targets: mx.array,
    weights: mx.array | None = None,
    with_logits: bool = True,
    reduction: Reduction = "mean",
) -> mx.array:
    """Compute the cross entropy of targets in ``[0, 1]`` and logits, or probabilities if `with_logits` is false.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> loss = nn.losses.binary_cross_entropy(mx.array([0.0, 2.0]), mx.array([1.0, 1.0]))
    >>> round(loss.item(), 4)
    0.41
    """
    _same_shapes("binary_cross_entropy", inputs=inputs, targets=targets)
    loss = _classes.binary_cross_entropy(inputs, targets, None, bool(with_logits), "none")
    return _reduce(_weighted(loss, weights), reduction)


def l1_loss(predictions: mx.array, targets: mx.array, reduction: Reduction = "mean") -> mx.array:
    """Compute the absolute difference."""
    _same_shapes("l1_loss", predictions=predictions, targets=targets)
    return _reduce(_whole(_distances.l1_loss(predictions, targets, "none"), predictions, targets), reduction)


def mse_loss(predictions: mx.array, targets: mx.array, reduction: Reduction = "mean") -> mx.array:
    """Compute the squared difference.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.losses.mse_loss(mx.array([1.0, 5.0]), mx.array([2.0, 2.0])).item()
    5.0
    """
    _same_shapes("mse_loss", predictions=predictions, targets=targets)
    return _reduce(_whole(_distances.mse_loss(predictions, targets, "none"), predictions, targets), reduction)


def nll_loss(inputs: mx.array, targets: mx.array, axis: int = -1, reduction: Reduction = "none") -> mx.array:
    """Return minus the log probability, in `inputs`, of the target classes.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.losses.nll_loss(mx.array([[-0.5, -1.0], [-2.0, -0.25]]), mx.array([0, 1])).tolist()
    [0.5, 0.25]
    """
    indices = _counted(targets, inputs.shape[axis], "nll_loss")
    return _reduce(_classes.minus_chosen(inputs, indices, axis), reduction)


def gaussian_nll_loss(
    inputs: mx.array,
    targets: mx.array,
    vars: mx.array,
    full: bool = False,
    eps: float = 1e-6,
    reduction: Reduction = "mean",
) -> mx.array:
    """Return minus the log density of targets under normal distributions with means `inputs` and variances `vars`.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> x = mx.array([1.0, 3.0])
    >>> nn.losses.gaussian_nll_loss(x, x + 1, mx.ones(2)).item()
    0.5
    """
    _same_shapes("gaussian_nll_loss", inputs=inputs, targets=targets, vars=vars)
    dtype, (means, samples, variances) = _arguments.floats(
        "gaussian_nll_loss", inputs=inputs, targets=targets, vars=vars
    )
    return _reduce(_distances.gaussian_nll(means, samples, variances, eps, full=full).astype(dtype), reduction)


def kl_div_loss(inputs: mx.array, targets: mx.array, axis: int = -1, reduction: Reduction = "none") -> mx.array:
    """Compute the Kullback-Leibler divergence of log probabilities, ``sum(exp(targets) * (targets - inputs))``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> p = mx.log(mx.array([0.5, 0.5]))
    >>> nn.losses.kl_div_loss(p, p).item()
    0.0
    """
    return _of_numbers(_classes.kl_div_loss, (inputs, targets), reduction, axis=axis)


def smooth_l1_loss(
    predictions: mx.array, targets: mx.array, beta: float = 1.0, reduction: Reduction = "mean"
) -> mx.array:
    """Compute ``d**2 / (2 * beta)`` of the absolute difference ``d`` where it is below `beta`, else ``d - beta / 2``."""
    _same_shapes("smooth_l1_loss", predictions=predictions, targets=targets)
    return _reduce(_distances.smooth_l1_loss(predictions, targets, beta, "none"), reduction)


def triplet_loss(
    anchors: mx.array,
    positives: mx.array,
    negatives: mx.array,
    axis: int = -1,
    p: int = 2,
    margin: float = 1.0,
    eps: float = 1e-6,
    reduction: Reduction = "none",
) -> mx.array:
    """Compute ``max(0, d(anchors, positives) - d(anchors, negatives) + margin)`` with the distance of the p-norm.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> a = mx.array([[0.0, 0.0]])
    >>> nn.losses.triplet_loss(a, a + 3.0, a, p=1).round(3).tolist()
    [7.0]
    """
    arrays = (anchors, positives, negatives)
    return _of_numbers(_distances.triplet_loss, arrays, reduction, axis=axis, p=p, margin=margin, eps=eps)


def hinge_loss(inputs: mx.array, targets: mx.array, reduction: Reduction = "none") -> mx.array:
    """Compute ``max(0, 1 - inputs * targets)`` for targets of -1 and 1."""
    return _reduce(_whole(_of_numbers(_distances.hinge_loss, (inputs, targets), "none"), inputs, targets), reduction)


def huber_loss(inputs: mx.array, targets: mx.array, delta: float = 1.0, reduction: Reduction = "none") -> mx.array:
    """Compute ``d**2 / 2`` of the absolute difference ``d`` up to `delta`, beyond ``delta * (d - delta / 2)``."""
    if delta < 0:
        raise ValueError(f"huber_loss: delta must not be negative, got {delta}")
    dtype, (predictions, wanted) = _arguments.floats("huber_loss", inputs=inputs, targets=targets)
    return _reduce(_distances.bent(predictions - wanted, delta).astype(dtype), reduction)


def log_cosh_loss(inputs: mx.array, targets: mx.array, reduction: Reduction = "none") -> mx.array:
    """Compute ``log(cosh(inputs - targets))``."""
    return _of_numbers(_distances.log_cosh_loss, (inputs, targets), reduction)


def cosine_similarity_loss(
    x1: mx.array, x2: mx.array, axis: int = 1, eps: float = 1e-8, reduction: Reduction = "none"
) -> mx.array:
    """Compute the cosine of the angle between vectors: the scalar product over the product of norms, at least `eps`.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.losses.cosine_similarity_loss(mx.array([[1.0, 0.0]]), mx.array([[0.0, 2.0]])).tolist()
    [0.0]
    """

    def cosine(a: mx.array, b: mx.array, reduction: str) -> mx.array:
        dtype, (a, b) = _arguments.floats("cosine_similarity_loss", x1=a, x2=b)
        along = _arguments.position("cosine_similarity_loss", axis, a.ndim)
        return _distances.cosine_similarity(a, b, along, eps).astype(dtype)

    return _of_numbers(cosine, (x1, x2), reduction)


def margin_ranking_loss(
    inputs1: mx.array, inputs2: mx.array, targets: mx.array, margin: float = 0.0, reduction: Reduction = "none"
) -> mx.array:
    """Compute ``max(0, margin - targets * (inputs1 - inputs2))``: a target of 1 wants the first ranked higher, -1 the second.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.losses.margin_ranking_loss(mx.array([2.0]), mx.array([5.0]), mx.array([1.0])).tolist()
    [3.0]
    """
    _same_shapes("margin_ranking_loss", inputs1=inputs1, inputs2=inputs2, targets=targets)
    return _reduce(_distances.margin_ranking_loss(inputs1, inputs2, targets, margin, "none"), reduction)

"""Losses of predicted probabilities."""

from __future__ import annotations

from typing import Any

import funcnn as fn
from funcnn._arguments import flag, integer
from funcnn._calls import explained
from funcnn._core import fast as _fast

from .._arrays import as_array
from ._common import Reduction, class_weight, floats, number, position, reduce, same_shapes, weighted


def _class_indices(name: str, targets: fn.array, count: int, ignore_index: int | None) -> fn.array:
    """Class indices in a signed dtype; ValueError if their values are known and one is no class."""
    if not fn.isdtype(targets.dtype, "integral"):
        raise TypeError(f"{name}: class indices must be integers, got {targets.dtype}")
    if targets.size and fn._core._is_computed(targets):
        import numpy as np

        values = np.asarray(targets)
        if values.min() < 0 or values.max() >= count:
            wrong = values[(values < 0) | (values >= count)]
            wrong = wrong if ignore_index is None else wrong[wrong != ignore_index]
            if wrong.size:
                hint = "" if ignore_index is not None else "; ignore_index names a value that stands for no class"
                raise ValueError(f"{name}: the target {wrong[0]} is no index of {count} classes{hint}")
    return targets.astype(fn.int32 if targets.dtype.itemsize < 4 or targets.dtype == fn.int32 else fn.int64)


def _normaliser(shifted: fn.array, axis: int) -> fn.array:
    """``logsumexp`` of numbers whose maximum is 0, accurate also where all others are far below: there it is tiny."""
    exps = fn.exp(shifted)
    plain = fn.log(fn.sum(exps, axis=axis, keepdims=True))
    top = shifted == 0
    count = fn.sum(top.astype(shifted.dtype), axis=axis, keepdims=True)
    rest = fn.sum(fn.where(top, 0.0, exps), axis=axis, keepdims=True)
    accurate: fn.array = plain + fn.stop_gradient(fn.log(count) + fn.log1p(rest / count) - plain)
    return accurate


@explained
def cross_entropy(
    logits: fn.array,
    targets: fn.array,
    weights: fn.array | None = None,
    axis: int = -1,
    label_smoothing: float = 0.0,
    reduction: Reduction = "none",
    *,
    class_weights: fn.array | None = None,
    ignore_index: int | None = None,
) -> fn.array:
    """Compute the cross entropy of targets and the softmax of logits.

    A logit of minus infinity rules its class out: it costs nothing where the target gives the class no probability, or
    `class_weights` no weight. (Label smoothing gives every class some: the loss is infinite then, its gradient finite.)

    Args:
        logits: Scores of the classes along `axis`.
        targets: Class indices, with the shape of `logits` without `axis`; or probabilities, with the shape of `logits`, which
            need not sum to 1.
        weights: Factors for the losses, with their shape.
        axis: The axis of the classes.
        label_smoothing: How much of the targets' probability, in ``[0, 1)``, to spread evenly over all classes.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        class_weights: Factors for the classes, of shape ``(classes,)``.
        ignore_index: A class index, usually none of a class such as -100, whose samples have no loss.

    Returns:
        The losses, with the shape of `logits` without `axis`, or their mean or sum. With `class_weights` or `ignore_index` the
        mean over class indices is the sum divided by the weights of those that count, and 0 if there are none.

    Raises:
        ValueError: The shapes do not fit, `label_smoothing` is not in ``[0, 1)``, or an index is that of no class. Where
            indices have no values yet, in ``compile``, ``vmap`` or expressions not computed, such an index makes the loss
            NaN.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> logits = fn.array([[2.0, -1.0], [-1.0, 2.0]])
    >>> [round(v, 4) for v in nn.losses.cross_entropy(logits, fn.array([0, 1])).tolist()]
    [0.0486, 0.0486]
    >>> round(nn.losses.cross_entropy(logits, fn.array([0, -100]), ignore_index=-100, reduction="mean").item(), 4)
    0.0486
    """
    name = "cross_entropy"
    smoothing = number(name, "label_smoothing", label_smoothing, 0.0)
    if smoothing >= 1.0:
        raise ValueError(f"{name}: label_smoothing must be in [0, 1), got {label_smoothing}")
    dtype, (logits,) = floats(name, logits=logits)
    targets = as_array(name, targets, "targets")
    axis = position(name, axis, logits.ndim)
    expected = logits.shape[:axis] + logits.shape[axis + 1 :]
    probabilities = targets.ndim == logits.ndim
    if targets.shape != (logits.shape if probabilities else expected):
        raise ValueError(
            f"{name}: logits of shape {logits.shape} take class indices of shape {expected} or probabilities of "
            f"shape {logits.shape}, got targets of shape {targets.shape}"
        )
    count = logits.shape[axis]
    if count == 0:
        raise ValueError(f"{name}: logits of shape {logits.shape} have no classes along axis {axis}")
    along = [1] * logits.ndim
    along[axis] = count
    if class_weights is not None:
        class_weights = fn.reshape(class_weight(name, class_weights, count, logits.dtype), along)
    if probabilities:
        if ignore_index is not None:
            raise ValueError(f"{name}: ignore_index is for class indices, but the targets are probabilities")
        given, (targets,) = floats(name, targets=targets)
        dtype, wide = fn.promote_types(dtype, given), fn.promote_types(logits.dtype, targets.dtype)
        loss = of_probabilities(logits.astype(wide), targets.astype(wide), class_weights, axis, smoothing)
        return reduce(name, weighted(name, loss, weights), reduction, dtype)
    ignore = None if ignore_index is None else integer(ignore_index, f"{name}: ignore_index")
    targets = fn.expand_dims(_class_indices(name, targets, count, ignore), axis)
    ignored = None if ignore is None else targets == ignore
    if ignored is not None:  # what stands there may be anything
        logits = fn.where(ignored, 0.0, logits)
    loss, weight = of_classes(logits, targets, class_weights, axis, smoothing)
    loss = fn.where((targets < 0) | (targets >= count), float("nan"), loss)
    if ignored is not None:
        loss, weight = fn.where(ignored, 0.0, loss), fn.where(ignored, 0.0, weight)
    total = None if class_weights is None and ignored is None else fn.sum(weight)
    return reduce(name, weighted(name, fn.squeeze(loss, axis), weights), reduction, dtype, total)


def of_classes(
    logits: fn.array, targets: fn.array, class_weights: Any, axis: int, smoothing: float
) -> tuple[fn.array, fn.array]:
    """Losses and weights of samples; the classes' axis has size 1. An index of no class gives some finite loss."""
    shifted, chosen, normaliser, loss = _fast.cross_entropy(logits, targets, axis)
    weight = fn.ones_like(loss)
    if class_weights is not None:
        weight = fn.sum(fn.where(chosen, class_weights, 0.0), axis=axis, keepdims=True)
        loss = fn.where(weight == 0, 0.0, loss) * weight
    if smoothing:
        spread = normaliser - shifted
        if class_weights is not None:
            spread = class_weights * fn.where(class_weights == 0, 0.0, spread)
        loss = (1.0 - smoothing) * loss + smoothing * fn.mean(spread, axis=axis, keepdims=True)
    return loss, weight


def of_probabilities(
    logits: fn.array,
    targets: fn.array,
    class_weights: Any,
    axis: int,
    smoothing: float,
    *,
    assume_unit_sum: bool = False,
) -> fn.array:
    """Losses of samples; those of probabilities that do not sum to 1 may be computed as if they did, as MLX does."""
    if smoothing:
        targets = (1.0 - smoothing) * targets + smoothing / logits.shape[axis]
    shifted = logits - fn.stop_gradient(fn.max(logits, axis=axis, keepdims=True))
    normaliser = _normaliser(shifted, axis)
    if class_weights is not None:
        targets = class_weights * targets
    ruled_out = (targets == 0) & (shifted == float("-inf"))
    if assume_unit_sum:
        return fn.squeeze(normaliser, axis) - fn.sum(targets * fn.where(ruled_out, 0.0, shifted), axis=axis)
    return fn.sum(targets * (normaliser - fn.where(ruled_out, 0.0, shifted)), axis=axis)


@explained
def binary_cross_entropy(
    inputs: fn.array,
    targets: fn.array,
    weights: fn.array | None = None,
    with_logits: bool = True,
    reduction: Reduction = "mean",
) -> fn.array:
    """Compute the cross entropy of targets in ``[0, 1]`` and predicted probabilities.

    Args:
        inputs: Logits, or probabilities in ``[0, 1]`` if `with_logits` is false. The logarithms of probabilities are at least
            -100 and their slopes at most 1e12 (65504 in float16), so losses and gradients are finite at 0 and 1.
        targets: The probabilities that are right, usually 0 or 1.
        weights: Factors for the losses, with their shape.
        with_logits: Whether `inputs` are logits, which is more precise.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        ValueError: The shapes differ.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> round(nn.losses.binary_cross_entropy(fn.array([0.0]), fn.array([1.0])).item(), 4)
    0.6931
    """
    name = "binary_cross_entropy"
    flag(with_logits, f"{name}: with_logits")
    same_shapes(name, inputs=inputs, targets=targets)
    given = as_array(name, inputs, "inputs").dtype
    dtype, (inputs, targets) = floats(name, inputs=inputs, targets=targets)
    against = 1.0 - targets
    if with_logits:
        # Both terms are accurate where they are tiny. One with no share counts for nothing, even where it is infinite.
        infinity = float("inf")
        right = fn.where((targets == 0) & (inputs == -infinity), 0.0, inputs)
        wrong = fn.where((against == 0) & (inputs == infinity), 0.0, inputs)
        loss = targets * fn.logaddexp(-right, 0.0) + against * fn.logaddexp(wrong, 0.0)
    else:
        least = 1.0 / 65504.0 if given == fn.float16 else 1e-12
        loss = -(targets * _bounded_log(inputs, fn.log, least) + against * _bounded_log(-inputs, fn.log1p, least))
    return reduce(name, weighted(name, loss, weights), reduction, dtype)


def _bounded_log(x: fn.array, log: Any, least: float) -> fn.array:
    """``log(x)`` (or ``log1p(x)``), at least -100, with a slope of at most ``1 / least``."""
    distance = x if log is fn.log else 1.0 + x
    steep = distance < least
    line = distance * (1.0 / least)
    flat = line + fn.stop_gradient(fn.maximum(log(x), -100.0) - line)
    return fn.where(steep, flat, log(fn.where(steep, 0.5 if log is fn.log else -0.5, x)))


def minus_chosen(inputs: fn.array, targets: fn.array, axis: int) -> fn.array:
    """Minus the elements along an axis that class indices choose."""
    return -fn.squeeze(fn.take_along_axis(inputs, fn.expand_dims(targets, axis), axis), axis)


@explained
def nll_loss(
    inputs: fn.array,
    targets: fn.array,
    axis: int = -1,
    reduction: Reduction = "none",
    *,
    class_weights: fn.array | None = None,
    ignore_index: int | None = None,
) -> fn.array:
    """Return minus the log probability of the target classes.

    Args:
        inputs: Log probabilities of the classes along `axis`.
        targets: Class indices, with the shape of `inputs` without `axis`.
        axis: The axis of the classes.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        class_weights: Factors for the classes, of shape ``(classes,)``.
        ignore_index: A class index, usually none of a class such as -100, whose samples have no loss.

    Returns:
        The losses, with the shape of `targets`, or their mean or sum; the mean as in ``cross_entropy``.

    Raises:
        ValueError: The shapes do not fit, or an index is that of no class. Where indices have no values yet, such an index
            makes the loss NaN.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.nll_loss(fn.array([[-1.0, -2.0]]), fn.array([1])).tolist()
    [2.0]
    """
    name = "nll_loss"
    dtype, (inputs,) = floats(name, inputs=inputs)
    targets = as_array(name, targets, "targets")
    axis = position(name, axis, inputs.ndim)
    expected, count = inputs.shape[:axis] + inputs.shape[axis + 1 :], inputs.shape[axis]
    if targets.shape != expected:
        raise ValueError(
            f"{name}: log probabilities of shape {inputs.shape} take class indices of shape {expected}, got targets of "
            f"shape {targets.shape}"
        )
    ignore = None if ignore_index is None else integer(ignore_index, f"{name}: ignore_index")
    targets = _class_indices(name, targets, count, ignore)
    invalid = (targets < 0) | (targets >= count)
    if count == 0:
        loss = fn.zeros(expected, dtype=inputs.dtype)
        safe = fn.zeros_like(targets)
    else:
        safe = fn.where(invalid, 0, targets)
        loss = minus_chosen(inputs, safe, axis)
    weight = fn.ones_like(loss)
    if class_weights is not None:
        weight = fn.take(class_weight(name, class_weights, count, inputs.dtype), safe, axis=0)
        loss = fn.where(weight == 0, 0.0, loss * weight)
    loss = fn.where(invalid, float("nan"), loss)
    if ignore is not None:
        ignored = targets == ignore
        loss, weight = fn.where(ignored, 0.0, loss), fn.where(ignored, 0.0, weight)
    total = None if class_weights is None and ignore is None else fn.sum(weight)
    return reduce(name, loss, reduction, dtype, total)


@explained
def kl_div_loss(inputs: fn.array, targets: fn.array, axis: int = -1, reduction: Reduction = "none") -> fn.array:
    """Compute the Kullback-Leibler divergence ``sum(exp(targets) * (targets - inputs))`` of two log probabilities.

    Classes whose target is minus infinity have no share in it, whatever the input says.

    Args:
        inputs: Log probabilities along `axis`.
        targets: The log probabilities that are right, with the same shape.
        axis: The axis of the classes.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        ValueError: The shapes differ.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.losses.kl_div_loss(fn.array([-2.0, -1.0]), fn.array([-2.0, -1.0])).item()
    0.0
    """
    name = "kl_div_loss"
    same_shapes(name, inputs=inputs, targets=targets)
    dtype, (inputs, targets) = floats(name, inputs=inputs, targets=targets)
    axis = position(name, axis, inputs.ndim)
    nothing = targets == float("-inf")
    distance = fn.where(nothing, 0.0, targets) - fn.where(nothing, 0.0, inputs)
    return reduce(name, fn.sum(fn.exp(targets) * distance, axis=axis), reduction, dtype)

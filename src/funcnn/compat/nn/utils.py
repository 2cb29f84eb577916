"""Transformations of functions that use a module, and averages of gradients: the names of ``mlx.nn.utils``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from ... import _core, optim
from .. import core as mx
from .._arrays import mutable
from ..utils import tree_flatten, tree_map, tree_unflatten
from ..utils import tree_reduce as tree_reduce  # programs find it here, too
from .layers.base import Module

__all__ = ["average_gradients", "checkpoint", "clip_grad_norm_sharded", "value_and_grad"]


def value_and_grad(model: Module, fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that returns what ``fn`` returns and its gradients by the model's trainable parameters.

    ``fn`` uses ``model`` as it likes and returns a scalar array, or a tuple whose first item is one. The gradients are a
    tree like ``model.trainable_parameters()``. Raises ValueError where nothing is trainable. When ``fn`` raises, the model has
    the parameters that it had.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> model = nn.Module()
    >>> model.scale = mx.array([1.0, 2.0])
    >>> loss, grads = nn.value_and_grad(model, lambda x: (model.scale * x).sum())(mx.array([3.0, 4.0]))
    >>> loss.item(), grads["scale"].tolist()
    (11.0, [3.0, 4.0])
    """

    return _with_parameters(model, fn, mx.value_and_grad)


def checkpoint(module: Module, fn: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Return ``fn``, by default the module, so that the backward pass computes it again instead of keeping its inside.

    Gradients flow to the arguments and to the module's trainable parameters.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> from funcnn.compat.nn.utils import checkpoint
    >>> layer = nn.Module()
    >>> layer.scale = mx.array(2.0)
    >>> mx.grad(checkpoint(layer, lambda x: mx.exp(layer.scale * x)))(mx.array(0.0)).item()
    2.0
    """

    def transform(call: Callable[..., Any]) -> Callable[..., Any]:
        transformed = mx.checkpoint(call)
        # New handles, as other transformations make: what is assigned to those of the module stays its own.
        return lambda parameters, *args, **kwargs: transformed(mutable(parameters), *args, **kwargs)

    return _with_parameters(module, module if fn is None else fn, transform)


def _with_parameters(
    model: Module, fn: Callable[..., Any], transform: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Callable[..., Any]:
    """``fn`` as a function of the model's trainable parameters too, transformed, and called with them."""

    def call(parameters: Any, *args: Any, **kwargs: Any) -> Any:
        model.update(parameters)
        return fn(*args, **kwargs)

    transformed = transform(call)

    @functools.wraps(fn)
    def called(*args: Any, **kwargs: Any) -> Any:
        # What is changed in place inside changes the containers that are handed over.
        parameters, before = model.trainable_parameters(), model.trainable_parameters()
        lent: list[Any] = []

        def call_and_note(parameters: Any, *args: Any, **kwargs: Any) -> Any:
            lent.append(mutable(parameters))
            return call(parameters, *args, **kwargs)

        traced = _is_traced(parameters)
        try:
            result = (transform(call_and_note) if traced else transformed)(parameters, *args, **kwargs)
        except BaseException:
            _put_back(model, None, before)
            raise
        # What was lent has no value after an outer trace has ended. Without one it has, and stays as in MLX.
        for values in lent:
            _put_back(model, values, before)
        return result

    return called


def _is_traced(tree: Any) -> bool:
    """Whether a tree of parameters belongs to a trace, such as that of compile: its first array tells."""
    first = _first(tree)
    return first is not None and bool(_core.transforms.is_traced(first))


def _first(tree: Any) -> Any:
    if isinstance(tree, (dict, list)):
        for item in tree.values() if isinstance(tree, dict) else tree:
            if (found := _first(item)) is not None:
                return found
        return None
    return tree


def _put_back(target: Any, lent: Any, before: Any) -> None:
    """Put what was there before, where the target still has what was lent; everywhere, if nothing is said to be lent."""
    for place, value in before.items() if isinstance(before, dict) else enumerate(before):
        try:
            current = target[place]
        except LookupError:
            continue
        there = None if lent is None else lent[place]
        if isinstance(value, (dict, list)):
            if isinstance(current, (dict, list)):
                _put_back(current, there, value)
        elif there is None or (
            isinstance(current, mx.array) and (_core._same(current, there) or _core._same(current, value))
        ):
            target[place] = value


def average_gradients(
    gradients: Any,
    group: mx.distributed.Group | None = None,
    all_reduce_size: int = 32 * 1024**2,
    communication_stream: mx.Stream | None = None,
) -> Any:
    """Return ``gradients`` averaged over the processes of a group, by default of all.

    Arrays of the same dtype travel together until they fill ``all_reduce_size`` bytes; 0 or less sends each alone.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.average_gradients({"w": mx.array([1.0, 2.0])})["w"].tolist()
    [1.0, 2.0]
    """
    group = group or mx.distributed.init()
    members = group.size()
    if members == 1:
        return gradients

    def average(x: mx.array) -> mx.array:
        return mx.distributed.all_sum(x, group=group, stream=communication_stream) / members

    if all_reduce_size <= 0:
        return tree_map(average, gradients)
    flat = tree_flatten(gradients)
    averaged: dict[str, mx.array] = {}
    for batch in _batches(flat, all_reduce_size):
        together = average(mx.concatenate([x.reshape(-1) for _, x in batch]))
        start = 0
        for path, x in batch:
            averaged[path] = together[start : start + x.size].reshape(x.shape)
            start += x.size
    return tree_unflatten([(path, averaged[path]) for path, _ in flat])


def _batches(flat: list[tuple[str, mx.array]], size: int) -> Iterator[list[tuple[str, mx.array]]]:
    """What travels together: of one dtype, and no more than fills ``size`` bytes."""
    open_batches: dict[Any, tuple[int, list[tuple[str, mx.array]]]] = {}
    for path, x in flat:
        filled, batch = open_batches.get(x.dtype, (0, []))
        batch.append((path, x))
        filled += x.nbytes
        if filled >= size:
            open_batches.pop(x.dtype, None)
            yield batch
        else:
            open_batches[x.dtype] = filled, batch
    for _, batch in open_batches.values():
        yield batch


def clip_grad_norm_sharded(
    gradients: Any, max_norm: float, group: mx.distributed.Group | None = None
) -> tuple[Any, mx.array]:
    """Return gradients of which each process holds a part, scaled down to ``max_norm`` together, and their norm.

    The norm is right also where squares leave the range of the dtype.

    >>> import funcnn.compat.core as mx
    >>> from funcnn.compat.nn.utils import clip_grad_norm_sharded
    >>> clipped, norm = clip_grad_norm_sharded({"w": mx.array([3.0, 4.0])}, 1.0)
    >>> norm.item(), mx.round(clipped["w"], 3).tolist()
    (5.0, [0.6000000238418579, 0.800000011920929])
    """
    group = group or mx.distributed.init()
    arrays = [x for _, x in tree_flatten(gradients)]
    norm: mx.array = mutable(optim.global_norm(arrays))
    if group.size() > 1:
        norm = mx.sqrt(mx.distributed.all_sum(mx.square(norm), group=group))
    factor = mx.minimum(max_norm / (norm + 1e-6), 1.0)
    if arrays and mx.issubdtype(common := mx.result_type(*arrays), mx.floating):
        norm = norm.astype(common)
    return tree_map(lambda x: (x * factor).astype(mx.result_type(x, norm)), gradients), norm

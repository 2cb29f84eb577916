"""Parameters of repeated layers: stacked, as ``scan_layers`` has them, and as a tuple, as files of other models do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcnn import tree
from funcnn.tree import frozendict

from ._layer import Layer, a_layer, fields_of, has_layers, place_of
from ._wrappers import Mapped, Scanned

Keys = tuple[Any, ...]
# From a layer, its parameters, where they stand, and how many ensembles are around it.
Convert = Callable[[Scanned, Any, Keys, int], Any]


def _walk(value: Any, params: Any, convert: Convert, keys: Keys = (), axis: int = 0) -> Any:
    """Parameters in which those of the outermost ``scan_layers`` are converted."""
    if params is None or params is tree.absent or not has_layers(value):
        return params
    if isinstance(value, Scanned):
        return convert(value, params, keys, axis)
    if not isinstance(value, Layer):
        for key, item in value.items() if isinstance(value, frozendict) else enumerate(value):
            params = _with(params, key, _walk(item, params[key], convert, (*keys, key), axis))
        return params
    for field in fields_of(value):
        part, place = getattr(value, field.name), place_of(value, field.name, keys)
        if place == keys:
            params = _walk(part, params, convert, keys, axis + isinstance(value, Mapped))
        elif has_layers(part) and field.name in params:
            params = _with(params, field.name, _walk(part, params[field.name], convert, place, axis))
    return params


def _with(params: Any, key: Any, value: Any) -> Any:
    """The container with another item."""
    if params[key] is value:
        return params
    if isinstance(params, (tuple, list)):
        return type(params)([*params[:key], value, *params[key + 1 :]])
    return type(params)({**params, key: value})


def stack(model: Layer, params: Any) -> Any:
    """Stack the parameters of the tuples of layers that a model has as ``scan_layers``.

    For parameters from files in which each layer has its own. What is in the place of no ``scan_layers`` stays.

    Args:
        model: A model with ``scan_layers`` in it.
        params: Parameters with a tuple or list of trees, one for each layer, in the place of each.

    Raises:
        ValueError: There is no such tuple, it has another length, or its trees differ.

    >>> from funcnn import nn, random, tree
    >>> blocks, deep = nn.Sequential(*[nn.Linear(4, 4)] * 3), nn.scan_layers(nn.Linear(4, 4), 3)
    >>> params = blocks.init(random.key(0))["layers"]
    >>> nn.stack(deep, params)["weight"].shape
    (3, 4, 4)
    >>> tree.equal(nn.unstack(deep, nn.stack(deep, params)), params)
    True
    """

    def convert(layer: Scanned, params: Any, keys: Keys, axis: int) -> Any:
        if not isinstance(params, (tuple, list)) or len(params) != layer.n:
            got = f"{len(params)} items" if isinstance(params, (tuple, list)) else f"a {type(params).__name__}"
            raise ValueError(f"stack: expected a tuple of {layer.n} trees at {_named(keys)}, got {got}")
        if not params:
            raise ValueError(f"stack: no layer at {_named(keys)} tells the shapes; init makes such parameters")
        parts = [_walk(layer.layer, part, convert, (*keys, i), axis) for i, part in enumerate(params)]
        try:
            return tree.stack(parts, axis)
        except ValueError as error:
            raise ValueError(f"stack: the layers at {_named(keys)} differ: {error}") from None

    a_layer(model, "stack: model")
    return _walk(model, params, convert)


def unstack(model: Layer, params: Any) -> Any:
    """Take the parameters of every ``scan_layers`` of a model apart into a tuple: the inverse of ``stack``.

    Args:
        model: A model with ``scan_layers`` in it.
        params: Its parameters, or gradients and updates of all of them.

    Raises:
        ValueError: A stack has another length than the model says.

    >>> from funcnn import nn, random
    >>> deep = nn.scan_layers(nn.Linear(4, 4), 3)
    >>> [p["weight"].shape for p in nn.unstack(deep, deep.init(random.key(0)))]
    [(4, 4), (4, 4), (4, 4)]
    """

    def convert(layer: Scanned, params: Any, keys: Keys, axis: int) -> Any:
        parts = tree.unstack(params, axis) if tree.leaves(params) else (params,) * layer.n
        if len(parts) != layer.n:
            raise ValueError(f"unstack: expected {layer.n} layers at {_named(keys)}, got {len(parts)}")
        return tuple(_walk(layer.layer, part, convert, (*keys, i), axis) for i, part in enumerate(parts))

    a_layer(model, "unstack: model")
    return _walk(model, params, convert)


def _named(keys: Keys) -> str:
    return repr(tree.join_path(keys)) if keys else "the root"

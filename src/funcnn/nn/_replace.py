"""Other layers in the places of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import funcnn as fn
from funcnn import tree
from funcnn.tree import frozendict

from ._layer import Layer, a_layer, fields_of, place_of

Keys = tuple[Any, ...]

# A glob over paths, or a predicate on path and layer.
Which = str | Callable[[str, Layer], bool]


def rebuilt(layer: Layer, change: Callable[[Keys, Layer, Layer], Layer], keys: Keys = ()) -> Layer:
    """A layer whose parts, and then itself, are what `change` makes of them.

    Args:
        layer: A model; what does not change is shared with it.
        change: From the keys that lead to the parameters of a layer, the layer as it was, and the same with its parts
            already changed, to the layer that takes its place.
        keys: Where `layer` stands.
    """

    def walk(value: Any, keys: Keys) -> Any:
        if isinstance(value, Layer):
            return rebuilt(value, change, keys)
        if isinstance(value, tuple):
            items = [walk(item, (*keys, i)) for i, item in enumerate(value)]
            if all(new is old for new, old in zip(items, value, strict=True)):
                return value
            return value._make(items) if hasattr(value, "_make") else tuple(items)
        if isinstance(value, frozendict):
            changed = {key: walk(item, (*keys, key)) for key, item in value.items()}
            return value if all(changed[key] is value[key] for key in value) else frozendict(changed)
        return value

    values = {field: getattr(layer, field.name) for field in fields_of(layer)}
    new = {field: walk(value, place_of(layer, field.name, keys)) for field, value in values.items()}
    same = layer
    if any(new[field] is not value for field, value in values.items()):
        same = _made(type(layer), {field.alias or field.name: value for field, value in new.items() if field.init})
    return change(keys, layer, same)


def _made(cls: type[Layer], values: dict[str, Any]) -> Layer:
    """A layer with these fields, also of a class that has an ``__init__`` of its own."""
    layer = cls.__new__(cls)
    (cls.__dict__.get("__attrs_init__") or cls.__dict__["__init__"])(layer, **values)
    return layer


def matching(places: Iterable[Keys], glob: str) -> set[Keys]:
    """The places whose paths a glob matches, which may lie within each other."""
    by_depth: dict[int, dict[str, Any]] = {}
    for keys in places:
        node = by_depth.setdefault(len(keys), {})
        *above, last = ["", *map(fn._core.tree_key_text, keys)]
        for key in above:
            node = node.setdefault(key, {})
        node[last] = keys
    found: set[Keys] = set()
    for nested in by_depth.values():
        leaves, treedef = tree.flatten(nested[""], is_leaf=lambda x: isinstance(x, tuple))
        chosen = fn._core.tree_match_glob(treedef, glob)
        found.update(keys for keys, yes in zip(leaves, chosen, strict=True) if yes)
    return found


def selection(name: str, model: Layer, which: Which, *, within: bool = False) -> Callable[[Keys, Layer], bool]:
    """Make the predicate on keys and layer that a glob or a predicate on path and layer is.

    Where one layer wraps another without a name of its own, a path is that of the outer one, or of both if `within`.
    """
    if isinstance(which, str):
        outermost = {keys: layer for keys, layer in reversed(list(model._layers()))}
        chosen = matching(outermost, which)
        return lambda keys, layer: keys in chosen and (within or outermost[keys] is layer)
    if not callable(which):
        raise TypeError(f"{name}: expected a glob over paths or a predicate on path and layer, got {which!r}")
    return lambda keys, layer: bool(which(tree.join_path(keys), layer))


def described(layers: Iterator[tuple[Keys, Layer]]) -> str:
    """Where there are layers, for messages."""
    found = [f"{tree.join_path(keys)!r} ({type(layer).__name__})" for keys, layer in layers]
    return ", ".join(found[:20]) + (f" and {len(found) - 20} more" if len(found) > 20 else "")


def replace(model: Layer, path_or_predicate: Which, new_layer: Layer | Callable[[Layer], Layer]) -> Layer:
    """Make a model with other layers in some places.

    The description alone changes. Parameters that the new layers share with the old ones (``tree.set`` and ``tree.merge``
    put others in) go on as they are.

    Args:
        model: A layer, which stays as it is.
        path_or_predicate: Which layers: a glob over the paths of their parameters (as in ``tree.partition``; the path of
            the model itself is empty), or a function of path and layer.
        new_layer: The layer to put there, or a function from the old layer to the new one. Layers within the old one that
            are meant too have been replaced by then. What it returns is not looked into again.

    Returns:
        The new model, which shares all other layers with the old one.

    Raises:
        ValueError: No layer is meant.
        TypeError: The function returns something else than a layer.

    >>> from funcnn import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 8), nn.ReLU()))
    >>> nn.replace(model, "layers.2.layers.0", nn.Identity())
    Sequential(Linear(4, 8), ReLU(), Sequential(Identity(), ReLU()))
    >>> nn.replace(model, lambda path, layer: isinstance(layer, nn.ReLU), nn.GELU())
    Sequential(Linear(4, 8), GELU(), Sequential(Linear(8, 8), GELU()))
    >>> nn.replace(model, "**.2.**", lambda old: nn.Dropout(0.1) if old == nn.ReLU() else old)
    Sequential(Linear(4, 8), ReLU(), Sequential(Linear(8, 8), Dropout(p=0.1)))
    """
    a_layer(model, "replace: model")
    if not callable(new_layer):
        raise TypeError(f"replace: new_layer must be a layer or a function from layer to layer, got {new_layer!r}")
    chosen = selection("replace", model, path_or_predicate)
    found = False

    def change(keys: Keys, old: Layer, same: Layer) -> Layer:
        nonlocal found
        if not chosen(keys, old):
            return same
        found = True
        new = new_layer if isinstance(new_layer, Layer) else new_layer(same)
        if not isinstance(new, Layer):
            raise TypeError(f"replace: new_layer must return a layer for {tree.join_path(keys)!r}, got {new!r}")
        return new

    model, before = rebuilt(model, change), model
    if not found:
        what = repr(path_or_predicate) if isinstance(path_or_predicate, str) else "the predicate"
        raise ValueError(f"replace: {what} matches no layer; there are {described(before._layers())}")
    return model

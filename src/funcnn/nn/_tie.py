"""One array in several places of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn.tree import frozendict

from ._layer import Layer, Params, a_layer
from ._view import at


def _parent(path: str) -> tuple[str, str]:
    *parents, name = tree.split_path(path)
    return tree.join_path(parents), name


def place_at(params: Any, path: str) -> tuple[Any, ...]:
    """The keys that a path names in parameters: integers for items of sequences, what dicts are keyed with."""
    keys: list[Any] = []
    for name in tree.split_path(path):
        opened = fn._core.tree_children(params)
        there = opened[0] if opened is not None else []
        keys.append(next((key for key in there if fn._core.tree_key_text(key) == name), name))
        params = at(params, (keys[-1],))
    return tuple(keys)


class Tied(Layer):
    """A layer some of whose parameters are others of its parameters; see ``nn.tie``."""

    _wraps = "layer"

    layer: Layer
    ties: Mapping[str, str]

    def init(self, key: fn.array) -> frozendict[str, Any]:
        """Draw the parameters and leave out those that are read elsewhere."""
        params = self.layer.init(key)
        for path, source in self.ties.items():
            for what in (path, source):
                try:
                    found = tree.get(params, what)
                except KeyError as error:
                    raise ValueError(f"tie: the model has no parameter {what!r}: {error.args[0]}") from None
                if not isinstance(found, fn.array):
                    raise ValueError(f"tie: {what!r} is not a parameter but holds some; tie them one by one")
            ours, theirs = tree.get(params, path), tree.get(params, source)
            if ours.shape != theirs.shape:
                raise ValueError(f"tie: {path!r} has shape {ours.shape}, but {source!r} has {theirs.shape}")
        for path in self.ties:
            parent, name = _parent(path)
            node = tree.get(params, parent)
            if not isinstance(node, (dict, frozendict)) or name not in node:
                kind = (
                    f"a {type(node).__name__}" if not isinstance(node, (dict, frozendict)) else "a dict of other keys"
                )
                raise ValueError(f"tie: {path!r} stands in {kind}; only what dicts hold by a string can be tied")
            params = tree.set(params, parent, frozendict({k: v for k, v in node.items() if k != name}))
        return params

    def __call__(self, params: Params, *args: Any, **kwargs: Any) -> Any:
        places = {
            place_at(params._params, path): place_at(params._params, source) for path, source in self.ties.items()
        }
        return self.layer(params.tied(self.untie(params._params), places), *args, **kwargs)

    def untie(self, params: Any) -> Any:
        """Put the shared arrays in all their places: parameters for the layer without ties."""
        for path, source in self.ties.items():
            parent, name = _parent(path)
            node = tree.get(params, parent)
            params = tree.set(params, parent, frozendict({**node, name: tree.get(params, source)}))
        return params

    def __repr__(self) -> str:
        return f"tie({self.layer!r}, {dict(self.ties)!r})"


def tie(layer: Layer, ties: Mapping[str, str]) -> Layer:
    """Make a layer that reads the arrays at some paths from other paths.

    The parameters hold a shared array once, at the path it is read from, so its gradient is the sum over all its uses and
    files store it once.

    Args:
        layer: Any layer.
        ties: From the path of a parameter to the path where it is read instead.

    Returns:
        A layer that is called as `layer` is.

    Raises:
        ValueError: ``init`` finds that a path does not exist, or that shapes differ; or here, a source is itself tied.

    >>> from funcnn import nn, random
    >>> class Autoencoder(nn.Layer):
    ...     first: nn.Layer = nn.Linear(4, 4, bias=False)
    ...     second: nn.Layer = nn.Linear(4, 4)
    ...
    ...     def __call__(self, params, x):
    ...         return self.second(params["second"], self.first(params["first"], x))
    >>> model = nn.tie(Autoencoder(), {"second.weight": "first.weight"})
    >>> sorted(model.init(random.key(0))["second"])
    ['bias']
    """
    a_layer(layer, "tie: layer")
    if not isinstance(ties, Mapping):
        raise TypeError(f"tie: ties must be a dict from paths to paths, got {ties!r}")
    for path, source in ties.items():
        if source in ties:
            raise ValueError(f"tie: {path!r} is read from {source!r}, which is itself read from {ties[source]!r}")
    return Tied(layer, ties)


@attrs.frozen
class Trainable:
    """Whether the array at a path is trained; see ``nn.trainable``."""

    buffers: frozenset[str]
    adapters: frozenset[str] = frozenset()

    def __call__(self, path: str, leaf: Any) -> bool:
        return path in self.adapters if self.adapters else path not in self.buffers


def trainable(layer: Layer) -> Trainable:
    """Return a predicate on path and leaf that excludes the buffers of a model, such as the statistics of batch norm.

    For ``tree.partition`` and the argument `where` of ``fn.grad``. In a model with adapters (``nn.lora``, ``nn.dora``) their
    arrays alone are trained.

    >>> from funcnn import nn, random, tree
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm(2))
    >>> params, buffers = tree.partition(model.init(random.key(0)), nn.trainable(model))
    >>> tree.paths(buffers)
    ['layers.1.running_mean', 'layers.1.running_var']
    """
    a_layer(layer, "trainable: layer")
    parts = list(layer._layers())
    buffers = [tree.join_path((*path, *below)) for path, part in parts for below in part._buffers()]
    adapters = [tree.join_path((*path, name)) for path, part in parts for name in part._adapters]
    return Trainable(frozenset(buffers), frozenset(adapters))

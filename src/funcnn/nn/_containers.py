"""Layers made of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import funcnn as fn
from funcnn.tree import frozendict

from ._layer import Layer, Params


class Sequential(Layer):
    """Call layers one after another, each with the output of the one before.

    The parameters of the layers stand in a tuple named ``layers``; functions without parameters, like ``nn.relu``, may
    stand among the layers.

    Args:
        layers: Layers and functions of one argument.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> model
    Sequential(Linear(3, 4), ReLU(), Linear(4, 2))
    >>> params = model.init(random.key(0))
    >>> sorted(params["layers"][0])
    ['bias', 'weight']
    >>> model(params, fn.ones((5, 3))).shape
    (5, 2)
    """

    layers: tuple[Any, ...]

    def __init__(self, *layers: Any) -> None:
        for layer in layers:
            if not callable(layer):
                raise TypeError(f"Sequential: expected layers and functions, got {layer!r}")
        self.__attrs_init__(layers)

    if TYPE_CHECKING:

        def __attrs_init__(self, layers: tuple[Any, ...]) -> None: ...

    def init(self, key: fn.array) -> frozendict[str, Any]:
        """Draw the parameters of each layer."""
        return super().init(key) or frozendict(layers=tuple(frozendict() for _ in self.layers))

    def __call__(self, params: Params, x: Any) -> Any:
        views = params["layers"]
        if len(views) != len(self.layers):
            raise ValueError(f"expected the parameters of {len(self.layers)} layers, got those of {len(views)}")
        for layer, view in zip(self.layers, views, strict=True):
            x = layer(view, x) if isinstance(layer, Layer) else layer(x)
        return x

    def _arguments(self) -> list[tuple[str | None, Any]]:
        return [(None, layer) for layer in self.layers]

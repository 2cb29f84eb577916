"""Layers made of layers, of functions, and of nothing but a shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

import funcnn as fn
from funcnn._hyper import whole
from funcnn.tree import frozendict

from ._calling import is_class, shown
from ._layer import Layer, Params, as_input


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
            if not callable(layer) or is_class(layer):
                unpack = "; unpack them, as in Sequential(*layers)" if isinstance(layer, (list, tuple)) else ""
                raise TypeError(f"Sequential: expected layers and functions, got {shown(layer)}{unpack}")
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


def _is_layer(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, Layer):
        raise TypeError(
            f"{type(instance).__name__}: {attribute.name} must be a layer, got {value!r}; nn.Lambda makes one of a function"
        )


class Residual(Layer):
    """Add what a layer computes to its input: ``x + body(x)``.

    Args:
        body: A layer whose output has the shape of its input. Its parameters stand under the name ``body``. Further arguments
            of a call go to it.

    Raises:
        ValueError: The output of `body` has another shape than the input, which would broadcast at best.
        TypeError: `body` is no layer.

    Reference: K. He et al., "Deep residual learning for image recognition", 2015.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> block = nn.Residual(nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 4)))
    >>> block(block.init(random.key(0)), fn.ones((5, 4))).shape
    (5, 4)
    """

    body: Layer = attrs.field(validator=_is_layer)

    def __call__(self, params: Params, x: Any, *args: Any, **kwargs: Any) -> fn.array:
        x = as_input(x)
        y = self.body(params["body"], x, *args, **kwargs)
        if y.shape != x.shape:
            raise ValueError(f"the body must keep the shape {x.shape} of its input, its output has {y.shape}")
        total: fn.array = x + y
        return total


def _is_function(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, Layer) or not callable(value):
        what = f"the layer {value!r}, which needs none around it" if isinstance(value, Layer) else repr(value)
        raise TypeError(f"{type(instance).__name__}: function must be a function, got {what}")


class Lambda(Layer):
    """Call a function without parameters, where a layer is asked for.

    ``Sequential`` takes functions as they are; fields of layers, ``Residual`` and the like take this.

    Args:
        function: What is called, with all arguments but the parameters. Two of these layers are equal if their functions are.
            Layers are pickled by their fields, so a function to be pickled must have a name in a module.

    Raises:
        TypeError: `function` is no function, or a layer.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.Lambda(fn.square)({}, fn.array([3.0])).tolist()
    [9.0]
    """

    function: Callable[..., Any] = attrs.field(validator=_is_function)

    def __call__(self, params: Params, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


class Flatten(Layer):
    """Make one axis of several neighbours.

    By default all but the first: ``(N, H, W, C)`` becomes ``(N, H * W * C)``, for a dense layer after convolutions. Channels come
    last, so weights trained on PyTorch's order need their columns permuted.

    Args:
        start_axis: The first axis to flatten; negative numbers count from the end.
        end_axis: The last.

    Raises:
        ValueError: The input has no such axes, or the first is behind the last.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.Flatten()({}, fn.ones((2, 8, 8, 3))).shape
    (2, 192)
    """

    start_axis: int = attrs.field(default=1, validator=whole())
    end_axis: int = attrs.field(default=-1, validator=whole())

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return fn.flatten(as_input(x), self.start_axis, self.end_axis)

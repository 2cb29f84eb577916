"""Functions and layers as hyperparameters of layers: activations, for instance."""

from __future__ import annotations

from typing import Any

import attrs

from ._layer import Layer, Params


def function(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A validator: a function or a layer."""
    if not callable(value):
        raise TypeError(f"{type(instance).__name__}: {attribute.name} must be a function or a layer, got {value!r}")


def call(what: Any, params: Params, name: str, x: Any) -> Any:
    """Call a function, or a layer with its parameters, which stand under the name of its field."""
    return what(params[name], x) if isinstance(what, Layer) else what(x)

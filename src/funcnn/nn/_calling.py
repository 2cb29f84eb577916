"""Functions and layers as hyperparameters of layers: activations, for instance."""

from __future__ import annotations

from typing import Any

import attrs

from ._layer import Layer, Params


def is_class(value: Any) -> bool:
    """Whether a value is the class of layers that should have been made a layer."""
    return isinstance(value, type) and issubclass(value, Layer)


def shown(value: Any) -> str:
    """A value that is no function and no layer."""
    return f"the class {value.__name__}: call it, as in {value.__name__}()" if is_class(value) else repr(value)


def function(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A validator: a function or a layer."""
    if not callable(value) or is_class(value):
        raise TypeError(
            f"{type(instance).__name__}: {attribute.name} must be a function or a layer, got {shown(value)}"
        )


def call(what: Any, params: Params, name: str, x: Any) -> Any:
    """Call a function, or a layer with its parameters, which stand under the name of its field."""
    return what(params[name], x) if isinstance(what, Layer) else what(x)

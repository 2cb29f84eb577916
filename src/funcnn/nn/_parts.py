"""Sub-layers that follow from the hyperparameters of a layer, unless others are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import attrs

import funcnn as fn
from funcnn.tree import frozendict

from ._layer import Layer


def part(make: Callable[[Any], Any]) -> Any:
    """A field for a sub-layer, or a tuple of some, made of the other fields; it can be given by name as well."""
    return attrs.field(kw_only=True, default=attrs.Factory(make, takes_self=True))


class Composed(Layer):
    """A layer with fields made by ``part``, which prints those that are not what its hyperparameters say."""

    # Fields whose layers are for parts to have: there are no parameters of theirs here.
    _handed_down: ClassVar[tuple[str, ...]] = ()

    def init(self, key: fn.array) -> frozendict[str, Any]:
        """Draw the parameters of the parts."""
        params = super().init(key)
        return frozendict({name: value for name, value in params.items() if name not in self._handed_down})

    def _layers(self, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Layer]]:
        for keys, layer in super()._layers(path):
            if keys[len(path) : len(path) + 1] not in [(name,) for name in self._handed_down]:
                yield keys, layer

    def _arguments(self) -> list[tuple[str | None, Any]]:
        fields = attrs.fields(type(self))  # type: ignore[arg-type]
        derived = {
            field.alias: field.default.factory
            for field in fields
            if isinstance(field.default, attrs.Factory) and field.default.takes_self  # type: ignore[arg-type]
        }
        return [
            (name, value) for name, value in super()._arguments() if name not in derived or value != derived[name](self)
        ]

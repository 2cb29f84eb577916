"""Hyperparameters of layers, optimisers and schedules: converted where they are given, and refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs

from . import _core

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def plain(value: Any) -> Any:
    """The Python number for a NumPy scalar, anything else as it is."""
    # NumPy need not have been imported.
    scalar = any(cls.__name__ == "generic" and cls.__module__ == "numpy" for cls in type(value).__mro__)
    return value.item() if scalar else value


def plain_fields(cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """A ``field_transformer`` of attrs that takes NumPy scalars for numbers."""
    return [field if field.converter else field.evolve(converter=plain) for field in fields]


def _refuse(instance: object, attribute: attrs.Attribute[Any], what: str, value: Any, kind: type[Exception]) -> None:
    raise kind(f"{type(instance).__name__}: {attribute.name} must be {what}, got {value!r}")


def whole(low: int | None = None) -> Validator:
    """A validator: an integer, of at least `low`."""
    what = "an integer" if low is None else f"an integer of at least {low}"

    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            _refuse(instance, attribute, what, value, TypeError)
        if low is not None and value < low:
            _refuse(instance, attribute, what, value, ValueError)

    return check


def flag(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A validator: True or False."""
    if not isinstance(value, bool):
        _refuse(instance, attribute, "True or False", value, TypeError)


def _range(low: float, below: float, above: bool) -> str:
    bounds = [] if low == -math.inf else [f"above {low:g}" if above else f"of at least {low:g}"]
    bounds += [] if below == math.inf else [f"below {below:g}"]
    return " ".join(["a number", " and ".join(bounds)]).strip()


def _outside(value: Any, low: float, below: float, above: bool) -> bool:
    return bool(math.isnan(value) or not (value > low if above else value >= low) or (value >= below != math.inf))


def checked(
    name: str, what: str, value: Any, low: float = -math.inf, below: float = math.inf, *, above: bool = False
) -> Any:
    """The Python number that an argument of a function is; arrays pass."""
    value = plain(value)
    if isinstance(value, _core.array):
        return value
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        kind = type(value).__name__
        raise TypeError(f"{name}: {what} must be {_range(low, below, above)}, got {value!r} ({kind})")
    if _outside(value, low, below, above):
        raise ValueError(f"{name}: {what} must be {_range(low, below, above)}, got {value!r}")
    return value


def number(
    low: float = -math.inf, below: float = math.inf, *, above: bool = False, schedule: bool = False
) -> Validator:
    """A validator: a number of at least `low` (or above it) and less than `below`, an array of one, or a schedule."""
    what = _range(low, below, above) + (" or a function of the count of steps" if schedule else "")

    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if (schedule and callable(value)) or (isinstance(value, _core.array) and value.ndim == 0):
            return
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            _refuse(instance, attribute, what, value, TypeError)
        if _outside(value, low, below, above):
            _refuse(instance, attribute, what, value, ValueError)

    return check

"""Hyperparameters of layers over spatial axes: one number for all of them, or one for each."""

from __future__ import annotations

from typing import Any

import attrs

import funcnn as fn
from funcnn._arguments import integers
from funcnn._hyper import Validator

# For how many zeros, of convolutions.
WORDS = ("same", "valid")
# By how many there are.
AXES = {1: "L", 2: "H, W", 3: "D, H, W"}


def per_axis(name: str, what: str, given: Any, spatial: int, least: int) -> tuple[int, ...]:
    """The number for each spatial axis, from one for all or one for each."""
    found = integers(given, f"{name}: {what}")
    if isinstance(given, bool):
        raise TypeError(f"{name}: {what} must be an integer or a sequence of integers, got {given}")
    found = found * spatial if len(found) == 1 else found
    if len(found) != spatial:
        axes = "spatial axis" if spatial == 1 else "spatial axes"
        raise ValueError(f"{name}: expected {what} for {spatial} {axes}, got {len(found)} numbers")
    for number in found:
        if number < least:
            raise ValueError(f"{name}: {what} must be at least {least}, got {number}")
    return found


def each(least: int, *, optional: bool = False) -> Validator:
    """A validator: integers of at least `least` for the spatial axes of a layer, of which its class says the number."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not optional or value is not None:
            per_axis(type(instance).__name__, attribute.name, value, instance._spatial, least)

    return check


def word(value: Any) -> Any:
    """A converter: the words for padding in small letters, anything else as it is."""
    return value.lower() if isinstance(value, str) and value.lower() in WORDS else value


def padding(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A validator: zeros at both ends of spatial axes, or one of the words for how many that the class has."""
    words: tuple[str, ...] = instance._words
    if not isinstance(value, str) or not words:
        per_axis(type(instance).__name__, attribute.name, value, instance._spatial, 0)
    elif value not in words:
        shown = " or ".join(map(repr, words))
        raise ValueError(f"{type(instance).__name__}: padding must be integers, {shown}, got {value!r}")


def check_input(x: fn.array, spatial: int, channels: int) -> None:
    """Raise unless the input has spatial axes between the batch and the channels."""
    if x.ndim != spatial + 2 or x.shape[-1] != channels:
        raise ValueError(f"expected (N, {AXES[spatial]}, {channels}), got {x.shape}")

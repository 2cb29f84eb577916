"""Converters and validators of hyperparameters that several optimisers have."""

from __future__ import annotations

from typing import Any

import attrs

import funcnn as fn
from funcnn._hyper import Validator, number, plain

from ._protocol import Optimizer

# A learning rate: a number or a schedule.
rate = number(schedule=True)


def flag(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A validator: true or false, since a number there is one that was meant for another argument."""
    if not isinstance(value, bool):
        raise TypeError(f"{type(instance).__name__}: {attribute.name} must be True or False, got {value!r}")


def plain_pair(value: Any) -> Any:
    """A tuple of Python numbers, of a list of them or of NumPy's."""
    return tuple(map(plain, value)) if isinstance(value, (list, tuple)) else value


def pair(below: float = float("inf")) -> Validator:
    """A validator: two numbers of at least 0."""
    each = number(0.0, below)

    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, tuple) or len(value) != 2:
            name = type(instance).__name__
            raise TypeError(f"{name}: {attribute.name} must be a pair of numbers, got {value!r}")
        for place, part in enumerate(value):
            each(instance, attribute.evolve(name=f"{attribute.name}[{place}]"), part)

    return check


def hashable(tree: Any) -> Any:
    """A tree that says which leaves are meant, made of containers that hash."""
    if isinstance(tree, dict):
        return fn.frozendict({key: hashable(value) for key, value in tree.items()})
    return tuple(map(hashable, tree)) if type(tree) in (list, tuple) else tree


def check_optimizer(name: str, value: Any) -> None:
    """Raise unless it is an optimiser."""
    if isinstance(value, type) or not isinstance(value, Optimizer):
        got = f"the class {value.__name__}: call it" if isinstance(value, type) else repr(value)
        unpack = (
            f"; unpack them, as in {name}(*optimisers)" if name == "chain" and isinstance(value, (list, tuple)) else ""
        )
        raise TypeError(f"{name}: expected optimisers, which have init and update, got {got}{unpack}")


def optimizer(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A validator: the optimiser that another one wraps."""
    check_optimizer(type(instance).__name__, value)

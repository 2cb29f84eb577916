"""`Sequential`: one function after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import Module


class Sequential(Module):
    """Call modules, or any functions, one after another. They are the list ``layers``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> model = nn.Sequential(nn.Linear(2, 4), nn.relu, nn.Linear(4, 1))
    >>> model(mx.ones((3, 2))).shape
    (3, 1)
    """

    layers: list[Any]

    def __init__(self, *modules: Callable[[Any], Any]):
        super().__init__()
        self.layers = list(modules)

    def __call__(self, x: Any) -> Any:
        for module in self.layers:
            x = module(x)
        return x

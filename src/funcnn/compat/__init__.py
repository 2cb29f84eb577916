"""MLX's API on funcnn's core: programs written for MLX run unchanged.

``import funcnn.compat.core as mx`` and ``import funcnn.compat.nn as nn`` stand for ``mlx.core`` and ``mlx.nn``. After
``install()``, and in programs started by ``python -m funcnn.compat``, ``mlx`` itself names this package.
``functionalize`` and ``modulize`` lead from modules to the functional API and back.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._functionalize import functionalize
    from ._install import install, uninstall
    from ._modulize import modulize

__all__ = ["functionalize", "install", "modulize", "uninstall"]

# What programs that import the shim by its own name may do without is loaded when it is asked for.
_HOMES = {
    "functionalize": "_functionalize",
    "install": "_install",
    "modulize": "_modulize",
    "uninstall": "_install",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

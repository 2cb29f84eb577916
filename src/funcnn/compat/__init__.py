"""MLX's API on funcnn's core: programs written for MLX run unchanged.

``import funcnn.compat.core as mx`` and ``import funcnn.compat.nn as nn`` stand for ``mlx.core`` and ``mlx.nn``. After
``install()``, and in programs started by ``python -m funcnn.compat``, ``mlx`` itself names this package.
``functionalize`` and ``modulize`` lead from modules to the functional API and back.
"""

from typing import TYPE_CHECKING, Any

from ._install import install, uninstall

if TYPE_CHECKING:
    from ._functionalize import functionalize
    from ._modulize import modulize

__all__ = ["functionalize", "install", "modulize", "uninstall"]


def __getattr__(name: str) -> Any:
    # What needs the whole shim is loaded when it is asked for.
    if name == "functionalize":
        from ._functionalize import functionalize

        return functionalize
    if name == "modulize":
        from ._modulize import modulize

        return modulize
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""MLX's API on funcnn's core: programs written for MLX run unchanged.

``import funcnn.compat.core as mx`` and ``import funcnn.compat.nn as nn`` stand for ``mlx.core`` and ``mlx.nn``. After
``install()``, and in programs started by ``python -m funcnn.compat``, ``mlx`` itself names this package.
"""

from ._install import install, uninstall

__all__ = ["install", "uninstall"]

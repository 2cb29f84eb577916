"""MLX's API on funcnn's core: programs written for MLX run unchanged.

``import funcnn.compat.core as mx`` and ``import funcnn.compat.nn as nn`` stand for ``mlx.core`` and ``mlx.nn``.
"""

"""The layers of ``mlx.nn``, in files called as in MLX."""

from .base import Module

__all__ = ["Module"]

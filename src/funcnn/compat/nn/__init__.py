"""The names of ``mlx.nn``."""

from .layers import Module
from .utils import average_gradients, value_and_grad

__all__ = ["Module", "average_gradients", "value_and_grad"]

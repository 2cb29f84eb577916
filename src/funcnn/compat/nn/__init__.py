"""The names of ``mlx.nn``."""

from . import init, layers, losses
from .layers import *  # noqa: F403
from .utils import average_gradients, value_and_grad

__all__ = [*layers.__all__, "average_gradients", "init", "losses", "value_and_grad"]

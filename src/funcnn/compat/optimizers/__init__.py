"""The names of ``mlx.optimizers``."""

from . import optimizers, schedulers
from .optimizers import *  # noqa: F403
from .schedulers import *  # noqa: F403

__all__ = [*optimizers.__all__, *schedulers.__all__]

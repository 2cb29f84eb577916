"""The names of ``mlx.optimizers``."""

"""The names of ``mlx.core``."""

"""The names of ``mlx.nn``."""

"""The names of ``mlx.utils``: trees in MLX's order."""

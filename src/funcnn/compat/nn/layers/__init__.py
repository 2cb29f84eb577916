"""The layers of ``mlx.nn``, in files called as in MLX."""

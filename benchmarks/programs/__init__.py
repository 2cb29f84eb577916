"""Training programs as people write them: for MLX (`mlx_*.py`, which run on mlx or on the shim) and for funcnn (`fn_*.py`)."""

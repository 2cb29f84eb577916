"""Small programs as users of MLX write them, after the kinds of MLX's examples; they know mlx only."""

"""`mlx_tiny.py` with funcnn's layers."""

from .fn_mlp import perceptron


def program():
    return perceptron([8] * 30, 4)

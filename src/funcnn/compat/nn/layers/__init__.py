"""The layers of ``mlx.nn``, in files called as in MLX."""

from .base import Module
from .quantized import QQLinear, QuantizedEmbedding, QuantizedLinear, quantize

__all__ = ["Module", "QQLinear", "QuantizedEmbedding", "QuantizedLinear", "quantize"]

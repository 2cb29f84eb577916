"""The names of ``mlx.nn``."""

from .layers import Module, QQLinear, QuantizedEmbedding, QuantizedLinear, quantize
from .utils import average_gradients, value_and_grad

__all__ = [
    "Module",
    "QQLinear",
    "QuantizedEmbedding",
    "QuantizedLinear",
    "average_gradients",
    "quantize",
    "value_and_grad",
]

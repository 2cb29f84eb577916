"""Linear algebra."""

from ._core.linalg import norm

__all__ = ["norm"]

"""Linear algebra: norms of vectors and matrices."""

from . import _core

norm = _core.linalg.norm

__all__ = ["norm"]

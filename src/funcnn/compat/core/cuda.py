"""The names of ``mlx.core.cuda``."""

__all__ = [
    "is_available",
]


def is_available() -> bool:
    """Say whether there is a CUDA back end: False."""
    return False

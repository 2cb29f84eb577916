"""The names of ``mlx.core.cuda``."""

from ... import metal as _metal
from ..._streams import gpu as _gpu
from ..._streams import is_available as _is_available

__all__ = [
    "is_available",
]


def is_available() -> bool:
    """Say whether there is a CUDA back end."""
    return _is_available(_gpu) and not _metal.is_available()

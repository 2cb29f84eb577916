"""The names of ``mlx.core.cuda``."""


def is_available() -> bool:
    """Say whether there is a CUDA back end: False."""
    return False

"""Apple's Metal: whether it is there, and recordings of what it does."""

from __future__ import annotations

import os

from . import _core, _hints

__all__ = ["is_available", "start_capture", "stop_capture"]


def is_available() -> bool:
    """Say whether the GPU of this machine is one of Metal (or the software device that ``FUNCNN_METAL`` names).

    Returns:
        Whether `fn.gpu` is one.

    Example:
        >>> import funcnn as fn
        >>> fn.metal.is_available() <= fn.is_available(fn.gpu)
        True
    """
    return _core._metal_is_available()


def start_capture(path: str | os.PathLike[str]) -> None:
    """Record what the GPU does from here on, to be looked at in Xcode.

    The process has to run with ``MTL_CAPTURE_ENABLED=1`` in its environment.

    Args:
        path: The document to write; its name ends with ``.gputrace``. It must not be there yet.

    Raises:
        ValueError: `path` ends otherwise, or there is no Metal GPU.
        RuntimeError: The system refuses.

    Example:
        >>> import funcnn as fn
        >>> def record(f, *args):
        ...     fn.metal.start_capture("step.gputrace")
        ...     try:
        ...         fn.eval(f(*args))
        ...     finally:
        ...         fn.metal.stop_capture()
    """
    text = os.fspath(path)
    if not text.endswith(".gputrace"):
        raise ValueError(f"start_capture: expected a path that ends with .gputrace, got {text!r}")
    _core._metal_start_capture(text)


def stop_capture() -> None:
    """End the recording that :func:`start_capture` began; nothing where there is none.

    Example:
        >>> import funcnn as fn
        >>> fn.metal.stop_capture()
    """
    _core._metal_stop_capture()


_hints.close(globals())

"""The names of ``mlx.core.distributed``, on a group of one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

from ... import _core
from ..._core import Dtype, array
from ._wrap import shim as _shim

__all__ = [
    "Group",
    "all_gather",
    "all_max",
    "all_min",
    "all_sum",
    "init",
    "is_available",
    "recv",
    "recv_like",
    "send",
    "sum_scatter",
]

_BACKENDS = ("any", "mpi", "nccl", "jaccl", "ring")


@final
class Group:
    """Processes that work together. `init` makes groups; there is one process in each."""

    def __init__(self) -> None:
        raise TypeError("Group: there is no constructor; use mx.distributed.init")

    def rank(self) -> int:
        """Which of the processes this is: 0."""
        return 0

    def size(self) -> int:
        """How many processes there are: 1."""
        return 1

    def split(self, color: int, key: int = -1) -> Group:
        """Make groups of those with the same color: a group of one is not split, which raises RuntimeError."""
        raise RuntimeError("Group.split: this process is the only one of the group, which cannot be split")


def is_available(backend: str = "any") -> bool:
    """Say whether processes can work together through a back end. `ring` needs nothing else, so it counts as there."""
    _text(backend, "is_available")
    return backend in ("any", "ring")


def _text(backend: Any, name: str) -> None:
    if not isinstance(backend, str):
        raise TypeError(f"{name}: backend must be a text, got {type(backend).__name__}")


def init(strict: bool = False, backend: str = "any", *, all_gather_factory: Callable[..., Any] | None = None) -> Group:
    """Return the group of all processes: this one.

    Raises:
        RuntimeError: `strict` demands more than one.
        ValueError: `backend` is none that MLX knows.
    """
    _text(backend, "init")
    if not isinstance(strict, bool):
        raise TypeError(f"init: strict must be a bool, got {type(strict).__name__}")
    if backend not in _BACKENDS:
        raise ValueError(f"init: backend must be one of {', '.join(map(repr, _BACKENDS))}, got {backend!r}")
    if strict:
        raise RuntimeError("init: no back end could be started: processes do not work together here yet")
    return object.__new__(Group)


def _checked(group: Any) -> None:
    if group is not None and not isinstance(group, Group):
        raise TypeError(f"expected a Group, got {type(group).__name__}")


def _all(x: array, *, group: Group | None = None) -> array:
    _checked(group)
    return _core.array(x)


all_sum = _shim(_all, "all_sum", "distributed")
all_gather = _shim(_all, "all_gather", "distributed")
all_max = _shim(_all, "all_max", "distributed")
all_min = _shim(_all, "all_min", "distributed")
sum_scatter = _shim(_all, "sum_scatter", "distributed")


def _integer(x: Any, what: str) -> None:
    if not isinstance(x, int):
        raise TypeError(f"{what} must be the number of a process, got {type(x).__name__}")


def _send(x: array, dst: int, *, group: Group | None = None) -> array:
    _integer(dst, "send: dst")
    _checked(group)
    raise ValueError("send: this process is the only one of the group, so there is none to send to")


def _recv(shape: Sequence[int], dtype: Dtype, src: int, *, group: Group | None = None) -> array:
    if not isinstance(shape, Sequence):
        raise TypeError(f"recv: shape must be a sequence of integers, got {type(shape).__name__}")
    _integer(src, "recv: src")
    _checked(group)
    raise ValueError("recv: this process is the only one of the group, so there is none to receive from")


def _recv_like(x: array, src: int, *, group: Group | None = None) -> array:
    _integer(src, "recv_like: src")
    _checked(group)
    raise ValueError("recv_like: this process is the only one of the group, so there is none to receive from")


send = _shim(_send, "send", "distributed")
recv = _shim(_recv, "recv", "distributed")
recv_like = _shim(_recv_like, "recv_like", "distributed")

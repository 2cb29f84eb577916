"""What ``fn.checkpoint`` keeps of a forward pass for the backward pass, beside the arguments."""

from __future__ import annotations

import attrs

from . import _hints

__all__ = [
    "Policy",
    "budget",
    "dots_saveable",
    "everything_saveable",
    "nothing_saveable",
    "save_names",
]


@attrs.frozen
class Policy:
    """What to keep."""

    keep: str
    names: tuple[str, ...] = ()
    bytes: int = 0


everything_saveable = Policy("everything")
"""Keep every value that the derivative reads: no checkpoint at all."""

nothing_saveable = Policy("nothing")
"""Compute everything again. The default."""

dots_saveable = Policy("dots")
"""Keep the results of matrix products and convolutions, which are dear to compute, and compute the rest again."""


def save_names(*names: str) -> Policy:
    """Keep the values that ``fn.checkpoint_name`` gave one of these names.

    >>> from funcnn import checkpoint_policies
    >>> checkpoint_policies.save_names("attention", "mlp").names
    ('attention', 'mlp')
    """
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"save_names: expected strings, got {names!r}")
    return Policy("names", tuple(names))


def budget(bytes: int) -> Policy:
    """Keep as much as lets the peak memory of the forward and backward pass stay within so many bytes.

    What counts is what the two passes allocate beside the arguments of the function, gradients included. The sizes of
    all values are known before anything runs, so the choice is made by planning: the function is cut where little lives,
    and the fewest and cheapest of the segments between the cuts are computed again, one after the other and, where that
    is not enough, segments within segments. Where nothing fits, the choice that needs least is made, with a
    ``RuntimeWarning`` that says how much it needs. Under ``vmap`` the bytes are those of one example.

    >>> from funcnn import checkpoint_policies
    >>> checkpoint_policies.budget(64 << 20).bytes
    67108864
    """
    if bytes <= 0:
        raise ValueError(f"budget: expected a positive number of bytes, got {bytes}")
    return Policy("budget", (), int(bytes))


_hints.close(globals())

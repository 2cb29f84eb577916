"""Functions that make arrays."""

from __future__ import annotations

import funcnn as fn

from ._wrap import shim

arange = shim(fn.arange, "arange")
bartlett = shim(fn.bartlett, "bartlett")
blackman = shim(fn.blackman, "blackman")
eye = shim(fn.eye, "eye")
full = shim(fn.full, "full")
full_like = shim(fn.full_like, "full_like")
hamming = shim(fn.hamming, "hamming")
hanning = shim(fn.hanning, "hanning")
identity = shim(fn.identity, "identity")
linspace = shim(fn.linspace, "linspace")
ones = shim(fn.ones, "ones")
ones_like = shim(fn.ones_like, "ones_like")
tri = shim(fn.tri, "tri")
zeros = shim(fn.zeros, "zeros")
zeros_like = shim(fn.zeros_like, "zeros_like")
from_dlpack = shim(fn.from_dlpack, "from_dlpack")
asarray = shim(fn.asarray, "asarray")

empty = zeros
empty_like = zeros_like

__all__ = [
    "arange",
    "asarray",
    "bartlett",
    "blackman",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "full",
    "full_like",
    "hamming",
    "hanning",
    "identity",
    "linspace",
    "ones",
    "ones_like",
    "tri",
    "zeros",
    "zeros_like",
]

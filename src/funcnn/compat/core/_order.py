"""Sorting and searching."""

from __future__ import annotations

import funcnn as fn

from ._wrap import shim

argpartition = shim(fn.argpartition, "argpartition")
argsort = shim(fn.argsort, "argsort")
partition = shim(fn.partition, "partition")
searchsorted = shim(fn.searchsorted, "searchsorted")
sort = shim(fn.sort, "sort")
topk = shim(fn.topk, "topk")
unique = shim(fn.unique, "unique")

__all__ = [
    "argpartition",
    "argsort",
    "partition",
    "searchsorted",
    "sort",
    "topk",
    "unique",
]

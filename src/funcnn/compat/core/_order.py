"""Sorting and searching."""

from __future__ import annotations

import funcnn as fn

from ._wrap import of_arrays

argpartition = of_arrays(fn.argpartition, "argpartition")
argsort = of_arrays(fn.argsort, "argsort")
partition = of_arrays(fn.partition, "partition")
searchsorted = of_arrays(fn.searchsorted, "searchsorted", count=2)
sort = of_arrays(fn.sort, "sort")
topk = of_arrays(fn.topk, "topk")
unique = of_arrays(fn.unique, "unique")

__all__ = [
    "argpartition",
    "argsort",
    "partition",
    "searchsorted",
    "sort",
    "topk",
    "unique",
]

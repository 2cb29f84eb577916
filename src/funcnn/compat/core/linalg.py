"""The names of ``mlx.core.linalg``."""

from __future__ import annotations

from typing import Any

from ... import linalg as _linalg
from ..._core import array, complex64, isdtype
from ._wrap import of_arrays as _of_arrays

__all__ = [
    "cholesky",
    "cholesky_inv",
    "cross",
    "det",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "lu",
    "lu_factor",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "tri_inv",
]


def _norm(a: Any, /, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    found = _linalg.norm(a, "fro" if ord == "f" else ord, axis, keepdims)
    if ord is None or isinstance(ord, str) or not isinstance(a, array) or not isdtype(a.dtype, "complex floating"):
        return found
    # Of complex numbers MLX gives complex ones, except by sums of squares.
    euclidean = ord == 2 and (isinstance(axis, int) or (axis is not None and len(axis) == 1))
    return found if euclidean else found.astype(complex64)


cholesky = _of_arrays(_linalg.cholesky, "cholesky", "linalg")
cholesky_inv = _of_arrays(_linalg.cholesky_inv, "cholesky_inv", "linalg")
cross = _of_arrays(_linalg.cross, "cross", "linalg", count=2)
det = _of_arrays(_linalg.det, "det", "linalg")
eig = _of_arrays(_linalg.eig, "eig", "linalg")
eigh = _of_arrays(_linalg.eigh, "eigh", "linalg")
eigvals = _of_arrays(_linalg.eigvals, "eigvals", "linalg")
eigvalsh = _of_arrays(_linalg.eigvalsh, "eigvalsh", "linalg")
inv = _of_arrays(_linalg.inv, "inv", "linalg")
lu = _of_arrays(_linalg.lu, "lu", "linalg")
lu_factor = _of_arrays(_linalg.lu_factor, "lu_factor", "linalg")
norm = _of_arrays(_norm, "norm", "linalg")
pinv = _of_arrays(_linalg.pinv, "pinv", "linalg")
qr = _of_arrays(_linalg.qr, "qr", "linalg")
slogdet = _of_arrays(_linalg.slogdet, "slogdet", "linalg")
solve = _of_arrays(_linalg.solve, "solve", "linalg", count=2)
solve_triangular = _of_arrays(_linalg.solve_triangular, "solve_triangular", "linalg", count=2)
svd = _of_arrays(_linalg.svd, "svd", "linalg")
tri_inv = _of_arrays(_linalg.tri_inv, "tri_inv", "linalg")

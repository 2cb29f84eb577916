"""The names of ``mlx.core.linalg``."""

from __future__ import annotations

from typing import Any

from ... import linalg as _linalg
from ..._core import array, complex64, isdtype
from ._wrap import shim as _shim

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


cholesky = _shim(_linalg.cholesky, "cholesky", "linalg")
cholesky_inv = _shim(_linalg.cholesky_inv, "cholesky_inv", "linalg")
cross = _shim(_linalg.cross, "cross", "linalg")
det = _shim(_linalg.det, "det", "linalg")
eig = _shim(_linalg.eig, "eig", "linalg")
eigh = _shim(_linalg.eigh, "eigh", "linalg")
eigvals = _shim(_linalg.eigvals, "eigvals", "linalg")
eigvalsh = _shim(_linalg.eigvalsh, "eigvalsh", "linalg")
inv = _shim(_linalg.inv, "inv", "linalg")
lu = _shim(_linalg.lu, "lu", "linalg")
lu_factor = _shim(_linalg.lu_factor, "lu_factor", "linalg")
norm = _shim(_norm, "norm", "linalg")
pinv = _shim(_linalg.pinv, "pinv", "linalg")
qr = _shim(_linalg.qr, "qr", "linalg")
slogdet = _shim(_linalg.slogdet, "slogdet", "linalg")
solve = _shim(_linalg.solve, "solve", "linalg")
solve_triangular = _shim(_linalg.solve_triangular, "solve_triangular", "linalg")
svd = _shim(_linalg.svd, "svd", "linalg")
tri_inv = _shim(_linalg.tri_inv, "tri_inv", "linalg")

"""The names of ``mlx.core.linalg``."""

from __future__ import annotations

from ... import linalg as _linalg
from ._wrap import shim as _shim

cholesky = _shim(_linalg.cholesky, "cholesky")
cholesky_inv = _shim(_linalg.cholesky_inv, "cholesky_inv")
cross = _shim(_linalg.cross, "cross")
det = _shim(_linalg.det, "det")
eig = _shim(_linalg.eig, "eig")
eigh = _shim(_linalg.eigh, "eigh")
eigvals = _shim(_linalg.eigvals, "eigvals")
eigvalsh = _shim(_linalg.eigvalsh, "eigvalsh")
inv = _shim(_linalg.inv, "inv")
lu = _shim(_linalg.lu, "lu")
lu_factor = _shim(_linalg.lu_factor, "lu_factor")
norm = _shim(_linalg.norm, "norm")
pinv = _shim(_linalg.pinv, "pinv")
qr = _shim(_linalg.qr, "qr")
slogdet = _shim(_linalg.slogdet, "slogdet")
solve = _shim(_linalg.solve, "solve")
solve_triangular = _shim(_linalg.solve_triangular, "solve_triangular")
svd = _shim(_linalg.svd, "svd")
tri_inv = _shim(_linalg.tri_inv, "tri_inv")

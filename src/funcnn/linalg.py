"""Linear algebra: factorisations, systems of equations, norms and products of matrices.

Matrices are the last two axes of an array, axes before them a batch. A matrix that has no result (it is singular, not
positive definite, infinite or NaN) raises :class:`LinAlgError` when that is computed.
"""

from . import _core, _hints
from ._core import LinAlgError
from ._linalg_factors import (
    EighResult,
    EigResult,
    QRResult,
    SVDResult,
    cholesky,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    lu,
    lu_factor,
    qr,
    svd,
    svdvals,
)
from ._linalg_products import cross, diagonal, matrix_norm, outer, trace, vector_norm
from ._linalg_solve import (
    LstsqResult,
    SlogdetResult,
    cholesky_inv,
    det,
    inv,
    lstsq,
    matrix_power,
    matrix_rank,
    pinv,
    slogdet,
    solve,
    solve_triangular,
    tri_inv,
)

matmul, matrix_transpose, tensordot, vecdot = _core.matmul, _core.matrix_transpose, _core.tensordot, _core.vecdot
norm = _core.linalg.norm

__all__ = [
    "EigResult",
    "EighResult",
    "LinAlgError",
    "LstsqResult",
    "QRResult",
    "SVDResult",
    "SlogdetResult",
    "cholesky",
    "cholesky_inv",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "lstsq",
    "lu",
    "lu_factor",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "tri_inv",
    "vecdot",
    "vector_norm",
]


_hints.close(globals())

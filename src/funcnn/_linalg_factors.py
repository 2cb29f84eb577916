"""Factorisations of matrices."""

from __future__ import annotations

from typing import Any, NamedTuple

from . import _core
from ._arguments import flag
from ._core import array
from ._device import home
from ._types import ArrayLike


class QRResult(NamedTuple):
    """What :func:`qr` finds."""

    Q: array
    R: array


class SVDResult(NamedTuple):
    """What :func:`svd` finds."""

    U: array
    S: array
    Vh: array


class EighResult(NamedTuple):
    """What :func:`eigh` finds."""

    eigenvalues: array
    eigenvectors: array


class EigResult(NamedTuple):
    """What :func:`eig` finds."""

    eigenvalues: array
    eigenvectors: array


def cholesky(a: ArrayLike, upper: bool = False) -> array:
    """Factorise positive definite matrices: ``A = L @ L.conj().T``, or ``A = U.conj().T @ U``.

    Args:
        a: Symmetric (Hermitian) matrices, shape ``(..., N, N)``; float32, float64 or complex64. One triangle is read, that
            of the result.
        upper: Return the upper factor U. Default: the lower one, L.

    Returns:
        The factors, of the shape and dtype of `a`, their other triangle zero, their diagonal positive.

    Raises:
        ValueError: `a` has another dtype, or holds no square matrices.
        LinAlgError: when computed, if a matrix is not positive definite, or not finite.

    The derivative is that along symmetric matrices: gradients are symmetric.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.cholesky(fn.array([[4.0, 2.0], [2.0, 5.0]]))
        array([[2., 0.],
               [1., 2.]], dtype=float32)

    References:
        I. Murray, "Differentiation of the Cholesky decomposition", 2016.
    """
    return _core.linalg._cholesky("cholesky", a, flag(upper, "cholesky: upper"))


def qr(a: ArrayLike, *, mode: str = "reduced") -> QRResult:
    """Factorise matrices into orthonormal columns and an upper triangle: ``A = Q @ R``.

    Args:
        a: Matrices of shape ``(..., M, N)``; float32, float64 or complex64.
        mode: ``"reduced"``: Q has K = min(M, N) columns. ``"complete"``: it has M.

    Returns:
        The named tuple ``(Q, R)`` of shapes ``(..., M, K)`` and ``(..., K, N)``, or ``(..., M, M)`` and ``(..., M, N)``. The
        diagonal of R is real; its signs are LAPACK's.

    Raises:
        ValueError: `a` has another dtype, or holds no matrices; `mode` is another.
        LinAlgError: when computed, if a matrix is not finite. The derivative needs the first K columns to be independent.

    Example:
        >>> import funcnn as fn
        >>> q, r = fn.linalg.qr(fn.array([[3.0, 1.0], [4.0, 2.0]]))
        >>> fn.allclose(q @ r, fn.array([[3.0, 1.0], [4.0, 2.0]])).item()
        True

    References:
        S. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions", 2018.
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode must be 'reduced' or 'complete', got {mode!r}")
    return QRResult(*_core.linalg._qr("qr", a, mode == "complete"))


def svd(a: ArrayLike, compute_uv: bool = True, *, full_matrices: bool = True) -> Any:
    """Decompose matrices into singular values and vectors: ``A = (U * S) @ Vh``, with U and Vh cut to K columns and rows.

    Args:
        a: Matrices of shape ``(..., M, N)``; float32, float64 or complex64.
        compute_uv: Return the vectors, too.
        full_matrices: Complete U and Vh to square matrices, as MLX does. Without it they have K = min(M, N) columns and
            rows, and derivatives cost less.

    Returns:
        The named tuple ``(U, S, Vh)`` of shapes ``(..., M, M)``, ``(..., K)`` and ``(..., N, N)``, or ``(..., M, K)``,
        ``(..., K)`` and ``(..., K, N)``; or S alone. The singular values are real, in descending order.

    Raises:
        ValueError: `a` has another dtype, or holds no matrices.
        LinAlgError: when computed, if a matrix is not finite.

    Vectors are determined up to a sign (a phase, if complex), and those that complete the others up to a rotation.
    Derivatives leave that choice where it is: they are right for whatever does not depend on it. Singular values have
    derivatives everywhere (subgradients where they are equal or zero). Vectors of equal singular values, and of zero, have
    none: what asks for it gets NaN.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.svd(fn.array([[3.0, 0.0], [0.0, 4.0]]), compute_uv=False)
        array([4., 3.], dtype=float32)

    References:
        J. Townsend, "Differentiating the singular value decomposition", 2016.
    """
    full = flag(full_matrices, "svd: full_matrices")
    if not flag(compute_uv, "svd: compute_uv"):
        return _core.linalg._svdvals("svd", a)
    return SVDResult(*_core.linalg._svd("svd", a, full))


def svdvals(x: ArrayLike, /) -> array:
    """Compute singular values.

    Args:
        x: Matrices of shape ``(..., M, N)``; float32, float64 or complex64.

    Returns:
        Real numbers of shape ``(..., min(M, N))``, in descending order.

    Raises:
        ValueError: `x` has another dtype, or holds no matrices.
        LinAlgError: when computed, if a matrix is not finite.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.svdvals(fn.array([[3.0, 0.0], [0.0, 4.0]]))
        array([4., 3.], dtype=float32)
    """
    return _core.linalg._svdvals("svdvals", x)


def _upper(name: str, uplo: str) -> bool:
    if not isinstance(uplo, str) or uplo.upper() not in ("L", "U"):
        raise ValueError(f"{name}: UPLO must be 'L' or 'U', got {uplo!r}")
    return uplo.upper() == "U"


def eigh(a: ArrayLike, UPLO: str = "L") -> EighResult:
    """Compute the eigenvalues and eigenvectors of symmetric (Hermitian) matrices.

    Args:
        a: Matrices of shape ``(..., N, N)``; float32, float64 or complex64. That they are symmetric is not checked.
        UPLO: The triangle that is read, ``"L"`` or ``"U"``.

    Returns:
        The named tuple ``(eigenvalues, eigenvectors)``: real numbers of shape ``(..., N)`` in ascending order, and
        matrices of shape ``(..., N, N)`` whose column i belongs to eigenvalue i.

    Raises:
        ValueError: `a` has another dtype, or holds no square matrices; `UPLO` is another.
        LinAlgError: when computed, if a matrix is not finite.

    The derivative is that along symmetric matrices. Eigenvalues have one everywhere (a subgradient where they are equal);
    eigenvectors of equal eigenvalues have none: what asks for it gets NaN.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.eigh(fn.array([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
        array([1., 2.], dtype=float32)

    References:
        M. Giles, "An extended collection of matrix derivative results for forward and reverse mode algorithmic
        differentiation", 2008.
    """
    return EighResult(*_core.linalg._eigh("eigh", a, _upper("eigh", UPLO), True))


def eigvalsh(a: ArrayLike, UPLO: str = "L") -> array:
    """Compute the eigenvalues of symmetric (Hermitian) matrices.

    Args:
        a: Matrices of shape ``(..., N, N)``; float32, float64 or complex64.
        UPLO: The triangle that is read, ``"L"`` or ``"U"``.

    Returns:
        Real numbers of shape ``(..., N)``, in ascending order.

    Raises:
        ValueError: `a` has another dtype, or holds no square matrices; `UPLO` is another.
        LinAlgError: when computed, if a matrix is not finite.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.eigvalsh(fn.array([[2.0, 0.0], [0.0, 1.0]]))
        array([1., 2.], dtype=float32)
    """
    values: array = _core.linalg._eigh("eigvalsh", a, _upper("eigvalsh", UPLO), False)
    return values


def eig(a: ArrayLike) -> EigResult:
    """Compute the eigenvalues and eigenvectors of square matrices, as complex numbers.

    Args:
        a: Matrices of shape ``(..., N, N)``; float32, float64 or complex64.

    Returns:
        The named tuple ``(eigenvalues, eigenvectors)``, complex64: numbers of shape ``(..., N)`` in no order, and matrices of
        shape ``(..., N, N)`` whose column i belongs to eigenvalue i and has length 1.

    Raises:
        ValueError: `a` has another dtype, or holds no square matrices.
        LinAlgError: when computed, if a matrix is not finite. The derivative needs independent eigenvectors.

    Vectors are determined up to a phase; derivatives are right for what does not depend on it. Eigenvectors of equal
    eigenvalues have none: what asks for it gets NaN.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.eig(fn.array([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
        array([2.+0.j, 1.+0.j], dtype=complex64)

    References:
        C. Boeddeker et al., "On the computation of complex-valued gradients with application to statistically optimum
        beamforming", 2017.
    """
    return EigResult(*_core.linalg._eig("eig", a, True))


def eigvals(a: ArrayLike) -> array:
    """Compute the eigenvalues of square matrices, as complex numbers.

    Args:
        a: Matrices of shape ``(..., N, N)``; float32, float64 or complex64.

    Returns:
        complex64 numbers of shape ``(..., N)``, in no order.

    Raises:
        ValueError: `a` has another dtype, or holds no square matrices.
        LinAlgError: when computed, if a matrix is not finite.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.eigvals(fn.array([[0.0, 1.0], [-1.0, 0.0]]))
        array([0.+1.j, 0.-1.j], dtype=complex64)
    """
    values: array = _core.linalg._eig("eigvals", a, False)
    return values


def lu_factor(a: ArrayLike) -> tuple[array, array]:
    """Factorise matrices by elimination with partial pivoting, in the compact form of LAPACK.

    Args:
        a: Matrices of shape ``(..., M, N)``; float32, float64 or complex64.

    Returns:
        A matrix of the shape of `a` that holds U in its upper triangle and L, whose diagonal is one, below; and for each of
        the min(M, N) steps the row that it exchanged with its own, counted from 0, uint32.

    Raises:
        ValueError: `a` has another dtype, or holds no matrices.
        LinAlgError: when computed, if a matrix is not finite. The derivative needs the first min(M, N) columns and rows to
            be independent.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.lu_factor(fn.array([[1.0, 2.0], [2.0, 2.0]]))
        (array([[2. , 2. ],
               [0.5, 1. ]], dtype=float32), array([1, 1], dtype=uint32))
    """
    factors, pivots, _ = _core.linalg._lu_factor("lu_factor", a)
    return factors, pivots


def lu(a: ArrayLike) -> tuple[array, array, array]:
    """Factorise matrices by elimination with partial pivoting: ``A = L[p, :] @ U``.

    Args:
        a: Matrices of shape ``(..., M, N)``; float32, float64 or complex64.

    Returns:
        ``p`` of shape ``(..., M)``, uint32: the row of L that each row of A comes from; ``L`` of shape ``(..., M, K)``, with
        ones on its diagonal; ``U`` of shape ``(..., K, N)``. K is min(M, N). For a batch, rows are taken with
        ``fn.take_along_axis(L, p[..., None], axis=-2)``.

    Raises:
        ValueError: `a` has another dtype, or holds no matrices.
        LinAlgError: when computed, if a matrix is not finite. The derivative is that of :func:`lu_factor`.

    Example:
        >>> import funcnn as fn
        >>> p, lower, upper = fn.linalg.lu(fn.array([[1.0, 2.0], [2.0, 2.0]]))
        >>> lower[p, :] @ upper
        array([[1., 2.],
               [2., 2.]], dtype=float32)
    """
    factors, _, rows = _core.linalg._lu_factor("lu", a)
    m, n = factors.shape[-2:]
    k = min(m, n)
    lower = _core.tril(factors[..., :, :k], -1) + _core.eye(m, k, dtype=factors.dtype, device=home(factors))
    return _core.argsort(rows, axis=-1), lower, _core.triu(factors[..., :k, :])

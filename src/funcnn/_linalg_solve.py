"""Systems of equations, inverses, determinants and ranks."""

from __future__ import annotations

from typing import NamedTuple

from . import _core
from ._arguments import flag, integer
from ._core import array
from ._device import home, parameter
from ._types import ArrayLike


class SlogdetResult(NamedTuple):
    """What :func:`slogdet` finds."""

    sign: array
    logabsdet: array


class LstsqResult(NamedTuple):
    """What :func:`lstsq` finds."""

    x: array
    residuals: array
    rank: array
    singular_values: array


def solve(a: ArrayLike, b: ArrayLike) -> array:
    """Solve the systems of equations ``A @ X = B``.

    Args:
        a: Square matrices, shape ``(..., N, N)``; float32, float64 or complex64.
        b: One right-hand side ``(N,)``, or matrices of them, ``(..., N, K)``. The leading axes broadcast.

    Returns:
        The solutions, of the shape of `b`, in the common dtype.

    Raises:
        ValueError: the dtypes are others, or the shapes do not fit.
        LinAlgError: when computed, if a matrix is singular, that is if elimination ends at a pivot that is exactly zero,
            or not finite.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.solve(fn.array([[2.0, 0.0], [0.0, 4.0]]), fn.array([2.0, 2.0]))
        array([1. , 0.5], dtype=float32)
    """
    return _core.linalg._solve("solve", a, b)


def solve_triangular(a: ArrayLike, b: ArrayLike, *, upper: bool = False) -> array:
    """Solve the systems of equations ``A @ X = B`` of triangular matrices.

    Args:
        a: Square matrices, shape ``(..., N, N)``; float32, float64 or complex64. Their other triangle is not read.
        b: One right-hand side ``(N,)``, or matrices of them, ``(..., N, K)``. The leading axes broadcast.
        upper: Whether `a` is upper or lower triangular.

    Returns:
        The solutions, of the shape of `b`, in the common dtype.

    Raises:
        ValueError: the dtypes are others, or the shapes do not fit.
        LinAlgError: when computed, if a matrix has a zero on its diagonal, or is not finite.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.solve_triangular(fn.array([[2.0, 0.0], [1.0, 1.0]]), fn.array([2.0, 3.0]))
        array([1., 2.], dtype=float32)
    """
    return _core.linalg._solve_triangular("solve_triangular", a, b, flag(upper, "solve_triangular: upper"))


def inv(a: ArrayLike) -> array:
    """Invert matrices.

    To multiply with an inverse, :func:`solve` is faster and more accurate.

    Args:
        a: Square matrices, shape ``(..., N, N)``; float32, float64 or complex64.

    Returns:
        The inverses, of the shape and dtype of `a`.

    Raises:
        ValueError: `a` has another dtype, or holds no square matrices.
        LinAlgError: when computed, if a matrix is singular, or not finite.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.inv(fn.array([[2.0, 0.0], [0.0, 4.0]]))
        array([[0.5 , 0.  ],
               [0.  , 0.25]], dtype=float32)
    """
    return _core.linalg._inv("inv", a)


def tri_inv(a: ArrayLike, upper: bool = False) -> array:
    """Invert triangular matrices.

    Args:
        a: Square matrices, shape ``(..., N, N)``; float32, float64 or complex64. Their other triangle is not read.
        upper: Whether they are upper or lower triangular.

    Returns:
        The inverses, of the shape and dtype of `a`, triangular as they are.

    Raises:
        ValueError: `a` has another dtype, or holds no square matrices.
        LinAlgError: when computed, if a matrix has a zero on its diagonal, or is not finite.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.tri_inv(fn.array([[1.0, 0.0], [2.0, 1.0]]))
        array([[ 1.,  0.],
               [-2.,  1.]], dtype=float32)
    """
    return _core.linalg._inv_triangular("tri_inv", a, flag(upper, "tri_inv: upper"))


def cholesky_inv(a: ArrayLike, upper: bool = False) -> array:
    """Invert positive definite matrices that are given by their Cholesky factors.

    Args:
        a: The factors, not the matrices: L of ``A = L @ L.conj().T``; shape ``(..., N, N)``, float32, float64 or complex64.
        upper: Whether `a` holds the upper factor, U of ``A = U.conj().T @ U``.

    Returns:
        The inverses of the matrices A, of the shape and dtype of `a`.

    Raises:
        ValueError: `a` has another dtype, or holds no square matrices.
        LinAlgError: when computed, if a factor has a zero on its diagonal, or is not finite.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.cholesky_inv(fn.array([[2.0, 0.0], [0.0, 1.0]]))
        array([[0.25, 0.  ],
               [0.  , 1.  ]], dtype=float32)
    """
    inverse = _core.linalg._inv_triangular("cholesky_inv", a, flag(upper, "cholesky_inv: upper"))
    turned = _core.linalg._adjoint(inverse)
    return inverse @ turned if upper else turned @ inverse


def _for_determinant(a: ArrayLike) -> tuple[array, _core.Dtype | None]:
    """The matrices in a dtype that has factorisations, and the dtype that results go back to."""
    x = _core.asarray(a)
    if x.dtype in (_core.float16, _core.bfloat16):
        return x.astype(_core.float32), x.dtype
    return (x if _core.isdtype(x.dtype, ("real floating", "complex floating")) else x.astype(_core.float32)), None


def det(a: ArrayLike) -> array:
    """Compute determinants.

    Args:
        a: Square matrices, shape ``(..., N, N)``. Integers become float32; float16 and bfloat16 are computed in float32.

    Returns:
        The determinants, shape ``(...)``; of empty matrices, 1.

    Raises:
        ValueError: `a` holds no square matrices.
        LinAlgError: when computed, if a matrix is not finite.

    The gradient is the matrix of cofactors, at singular matrices, too. Higher derivatives exist at all matrices of up to
    three rows, and at larger ones that are not singular.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.det(fn.array([[2.0, 1.0], [0.0, 4.0]]))
        array(8., dtype=float32)
    """
    x, dtype = _for_determinant(a)
    value = _core.linalg._det(x)
    return value if dtype is None else value.astype(dtype)


def slogdet(a: ArrayLike) -> SlogdetResult:
    """Compute the sign and the logarithm of the absolute value of determinants.

    Args:
        a: Square matrices, shape ``(..., N, N)``. Integers become float32; float16 and bfloat16 are computed in float32.

    Returns:
        The named tuple ``(sign, logabsdet)`` of shapes ``(...)``: ``det = sign * exp(logabsdet)``. Of a singular matrix they
        are 0 and -inf. Of complex matrices the sign is a complex number of length 1, the logarithm real.

    Raises:
        ValueError: `a` holds no square matrices.
        LinAlgError: when computed, if a matrix is not finite; for the derivative, also if one is singular.

    Example:
        >>> import funcnn as fn
        >>> sign, logabsdet = fn.linalg.slogdet(fn.array([[0.0, 1.0], [1.0, 0.0]]))
        >>> sign.item(), logabsdet.item()
        (-1.0, 0.0)
    """
    x, dtype = _for_determinant(a)
    sign, logabsdet = _core.linalg._slogdet(x)
    return SlogdetResult(*((sign, logabsdet) if dtype is None else (sign.astype(dtype), logabsdet.astype(dtype))))


def _threshold(name: str, x: array, s: array, rtol: ArrayLike | None) -> array:
    """Below what singular values count as zero, one for each matrix, shape (..., 1)."""
    largest = s.max(axis=-1, keepdims=True, initial=0)
    if rtol is None:
        return largest * (max(x.shape[-2:]) * float(_core.finfo(s.dtype).eps))
    given = parameter(rtol)
    if _core.isdtype(given.dtype, "complex floating"):
        raise ValueError(f"{name}: a tolerance must be real, got an array of {given.dtype}")
    return largest * given.astype(s.dtype)[..., None]


def _spectral_inverse(name: str, x: array, rtol: ArrayLike | None) -> tuple[array, array, array, array]:
    """U, the reciprocals of the singular values (zero of those that count as zero), V^H and the singular values."""
    u, s, vh = _core.linalg._svd(name, x, False)
    kept = s > _threshold(name, x, s, rtol)
    return u, _core.where(kept, 1 / _core.where(kept, s, 1), 0), vh, s


def pinv(a: ArrayLike, *, rtol: ArrayLike | None = None) -> array:
    """Compute the Moore-Penrose pseudo-inverse of matrices.

    Args:
        a: Matrices of shape ``(..., M, N)``; float32, float64 or complex64.
        rtol: Singular values up to `rtol` times the largest one count as zero: a number, or an array of one for each matrix.
            Default: max(M, N) times the rounding error of the dtype.

    Returns:
        The pseudo-inverses, shape ``(..., N, M)``.

    Raises:
        ValueError: `a` has another dtype, or holds no matrices.
        LinAlgError: when computed, if a matrix is not finite.

    The derivative is that at constant rank; where the rank changes the function jumps.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.pinv(fn.array([[2.0, 0.0], [0.0, 0.0]]))
        array([[0.5, 0. ],
               [0. , 0. ]], dtype=float32)

    References:
        G. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables
        separate", 1973.
    """
    return _pinv("pinv", _core.linalg._matrix("pinv", a), rtol)


def _pinv(name: str, x: array, rtol: ArrayLike | None) -> array:
    u, inverses, vh, _ = _spectral_inverse(name, x, rtol)
    value = (_core.linalg._adjoint(vh) * inverses[..., None, :]) @ _core.linalg._adjoint(u)
    return _core.linalg._as_pinv(x, value)


def lstsq(a: ArrayLike, b: ArrayLike, rcond: ArrayLike | None = None) -> LstsqResult:
    """Solve systems of equations in the sense of least squares: the shortest x among those that minimise ``|A @ x - b|``.

    Args:
        a: Matrices of shape ``(..., M, N)``; float32, float64 or complex64.
        b: One right-hand side ``(M,)``, or matrices of them, ``(..., M, K)``. The leading axes broadcast.
        rcond: Singular values up to `rcond` times the largest one count as zero: a number, or an array of one for each
            matrix. Default: max(M, N) times the rounding error of the dtype.

    Returns:
        The named tuple ``(x, residuals, rank, singular_values)``: solutions ``(N,)`` or ``(..., N, K)``; the sums of the
        squares of what is left, ``()`` or ``(..., K)``, for matrices of any rank (NumPy gives them for some only); the
        ranks, int32 ``(...)``; the singular values ``(..., min(M, N))``.

    Raises:
        ValueError: the dtypes are others, or the shapes do not fit.
        LinAlgError: when computed, if a matrix is not finite.

    The derivative is that at constant rank, as of :func:`pinv`.

    Example:
        >>> import funcnn as fn
        >>> a, b = fn.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), fn.array([1.0, 3.0, 5.0])
        >>> fn.allclose(fn.linalg.lstsq(a, b).x, fn.array([1.0, 2.0]), atol=1e-5).item()
        True
    """
    x, y = _core.asarray(a), _core.asarray(b)
    half = (_core.float16, _core.bfloat16)
    dtype = next((d for d in (x.dtype, y.dtype) if d in half), _core.promote_types(x.dtype, y.dtype))  # to be refused
    x = _core.linalg._matrix("lstsq", x.astype(dtype))
    vector = y.ndim == 1
    if y.ndim == 0 or y.shape[-1 if vector else -2] != x.shape[-2]:
        raise ValueError(
            f"lstsq: matrices of shape {x.shape} need a right-hand side with {x.shape[-2]} "
            f"{'elements' if vector else 'rows'}, got shape {y.shape}"
        )
    y = y.astype(dtype)[:, None] if vector else y.astype(dtype)
    u, inverses, vh, s = _spectral_inverse("lstsq", x, rcond)
    adjoint = _core.linalg._adjoint
    value = adjoint(vh) @ (inverses[..., None] * (adjoint(u) @ y))
    solution = _core.linalg._with_derivative_of(value, _pinv("lstsq", x, rcond) @ y)
    left = _core.abs(y - x @ solution)
    residuals = (left * left).sum(axis=-2)
    rank = (s > _threshold("lstsq", x, s, rcond)).sum(axis=-1)
    if vector:
        solution, residuals = solution[..., 0], residuals[..., 0]
    return LstsqResult(solution, residuals, rank, s)


def matrix_rank(a: ArrayLike, *, rtol: ArrayLike | None = None) -> array:
    """Count the singular values of matrices that are not zero.

    Args:
        a: Matrices of shape ``(..., M, N)``; float32, float64 or complex64.
        rtol: Singular values up to `rtol` times the largest one count as zero: a number, or an array of one for each matrix.
            Default: max(M, N) times the rounding error of the dtype.

    Returns:
        The ranks, int32 of shape ``(...)``.

    Raises:
        ValueError: `a` has another dtype, or holds no matrices.
        LinAlgError: when computed, if a matrix is not finite.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.matrix_rank(fn.ones((3, 2)))
        array(1, dtype=int32)
    """
    x = _core.linalg._matrix("matrix_rank", a)
    s = _core.linalg._svdvals("matrix_rank", x)
    return (s > _threshold("matrix_rank", x, s, rtol)).sum(axis=-1)


def matrix_power(a: ArrayLike, n: int) -> array:
    """Raise square matrices to a whole power, by repeated squaring.

    Args:
        a: Matrices of shape ``(..., N, N)``; float32, float64 or complex64.
        n: The power. Negative: of the inverse; 0: the identity.

    Returns:
        Matrices of the shape and dtype of `a`.

    Raises:
        ValueError: `a` has another dtype, or holds no square matrices; `n` does not fit into 64 bits.
        LinAlgError: when computed, if `n` is negative and a matrix is singular, or not finite.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.matrix_power(fn.array([[1.0, 1.0], [0.0, 1.0]]), 5)
        array([[1., 5.],
               [0., 1.]], dtype=float32)
    """
    power = integer(n, "matrix_power: n")
    x = _core.linalg._square("matrix_power", a)
    if abs(power) >= 2**63:
        raise ValueError(f"matrix_power: n must fit into 64 bits, got {power}")
    if power == 0:
        return _core.broadcast_to(_core.eye(x.shape[-1], dtype=x.dtype, device=home(x)), x.shape)
    if power < 0:
        x, power = _core.linalg._inv("matrix_power", x), -power
    result = None
    while True:
        if power & 1:
            result = x if result is None else result @ x
        power >>= 1
        if not power:
            assert result is not None
            return result
        x = x @ x

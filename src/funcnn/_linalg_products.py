"""Products, norms and diagonals of vectors and matrices, as the array API standard's extension has them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from . import _core
from ._arguments import axis_of, flag, integer, integers
from ._core import AxisError, array
from ._types import ArrayLike, DtypeLike


def cross(a: ArrayLike, b: ArrayLike, axis: int = -1) -> array:
    """Compute cross products.

    Args:
        a: Vectors of two or three elements along `axis`; of two, the third is zero.
        b: The same; the other axes broadcast.
        axis: The axis of the vectors, in both and in the result.

    Returns:
        Vectors of three elements, in the common dtype.

    Raises:
        AxisError: an array has no such axis.
        ValueError: the vectors have another length, or the other axes do not broadcast.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.cross(fn.array([1.0, 0.0, 0.0]), fn.array([0.0, 1.0, 0.0]))
        array([0., 0., 1.], dtype=float32)
    """
    x, y = _core.asarray(a), _core.asarray(b)
    place = integer(axis, "cross: axis")
    parts = []
    for v in (x, y):
        v = _core.moveaxis(v, axis_of(v, place, "cross"), -1)
        if v.shape[-1] not in (2, 3):
            raise ValueError(
                f"cross: vectors must have 2 or 3 elements along axis {place}, got shapes {x.shape} and {y.shape}"
            )
        parts.append([v[..., i] if i < v.shape[-1] else _core.zeros_like(v[..., 0]) for i in range(3)])
    (a0, a1, a2), (b0, b1, b2) = parts
    out = _core.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axis=-1)
    if not -out.ndim <= place < out.ndim:
        raise AxisError(f"cross: a result of shape {out.shape} has no axis {place}")
    return _core.moveaxis(out, -1, place)


def diagonal(x: ArrayLike, /, *, offset: int = 0) -> array:
    """Take a diagonal of matrices: of the last two axes, where ``fn.diagonal`` takes the first two by default.

    Args:
        x: Matrices of shape ``(..., M, N)``, of any dtype.
        offset: Which diagonal: 0 the main one, positive above it, negative below.

    Returns:
        The elements, shape ``(..., K)``.

    Raises:
        ValueError: `x` has fewer than two axes.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.diagonal(fn.array([[1, 2], [3, 4]]))
        array([1, 4], dtype=int32)
    """
    return _core.diagonal(_matrices("diagonal", x), integer(offset, "diagonal: offset"), -2, -1)


def trace(x: ArrayLike, /, *, offset: int = 0, dtype: DtypeLike | None = None) -> array:
    """Add up a diagonal of matrices: of the last two axes, where ``fn.trace`` takes the first two by default.

    Args:
        x: Matrices of shape ``(..., M, N)``, of any dtype.
        offset: Which diagonal: 0 the main one, positive above it, negative below.
        dtype: The dtype of the sums. Default: as of ``fn.sum``.

    Returns:
        The sums, shape ``(...)``.

    Raises:
        ValueError: `x` has fewer than two axes.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.trace(fn.array([[1, 2], [3, 4]]))
        array(5, dtype=int32)
    """
    return _core.trace(_matrices("trace", x), integer(offset, "trace: offset"), -2, -1, dtype)


def _matrices(name: str, x: ArrayLike) -> array:
    made = _core.asarray(x)
    if made.ndim < 2:
        raise ValueError(f"{name}: expected matrices, that is an array of at least two axes, got shape {made.shape}")
    return made


def outer(x1: ArrayLike, x2: ArrayLike, /) -> array:
    """Multiply every element of one vector with every element of another.

    Args:
        x1: A vector, shape ``(M,)``.
        x2: A vector, shape ``(N,)``.

    Returns:
        The products, shape ``(M, N)``.

    Raises:
        ValueError: an argument is no vector; ``fn.outer`` flattens what it is given.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.outer(fn.array([1.0, 2.0]), fn.array([3.0, 4.0]))
        array([[3., 4.],
               [6., 8.]], dtype=float32)
    """
    a, b = _core.asarray(x1), _core.asarray(x2)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(
            f"outer: expected two vectors, got shapes {a.shape} and {b.shape}; fn.outer flattens its arguments"
        )
    return _core.outer(a, b)


def matrix_norm(x: ArrayLike, /, *, keepdims: bool = False, ord: float | str | None = "fro") -> array:
    """Compute a norm of matrices.

    Args:
        x: Matrices of shape ``(..., M, N)``; integers become float32.
        keepdims: Keep the two axes with length 1.
        ord: As of :func:`norm`: ``"fro"``, ``"nuc"``, 1, -1, 2, -2, inf or -inf.

    Returns:
        Real numbers of shape ``(...)``.

    Raises:
        ValueError: `x` has fewer than two axes; `ord` is another; for ``"nuc"``, 2 and -2 also for float16 and bfloat16.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.matrix_norm(fn.array([[3.0, 0.0], [0.0, 4.0]]), ord="nuc")
        array(7., dtype=float32)
    """
    return _core.linalg.norm(_matrices("matrix_norm", x), ord, (-2, -1), flag(keepdims, "matrix_norm: keepdims"))


def vector_norm(
    x: ArrayLike, /, *, axis: int | Sequence[int] | None = None, keepdims: bool = False, ord: float = 2
) -> array:
    """Compute a norm of vectors, which may lie along several axes.

    Args:
        x: The array; integers become float32.
        axis: The axis of the vectors, or several that are taken as one. Default: all.
        keepdims: Keep these axes with length 1.
        ord: The order p of ``sum(abs(x) ** p) ** (1 / p)``; inf and -inf are the largest and the smallest magnitude, 0 the
            number of elements that are not zero.

    Returns:
        Real numbers.

    Raises:
        AxisError: `x` has no such axis.
        ValueError: `ord` is no number.

    Example:
        >>> import funcnn as fn
        >>> fn.linalg.vector_norm(fn.array([[3.0, 4.0], [0.0, 0.0]]))
        array(5., dtype=float32)
    """
    made, keep = _core.asarray(x), flag(keepdims, "vector_norm: keepdims")
    if isinstance(ord, str) or ord is None:
        raise ValueError(f"vector_norm: ord must be a number, got {ord!r}")
    axes = (
        list(range(made.ndim))
        if axis is None
        else [axis_of(made, a, "vector_norm") for a in integers(axis, "vector_norm: axis")]
    )
    if len(set(axes)) < len(axes):
        raise ValueError(f"vector_norm: an axis is named twice in {axis}")
    others = [a for a in range(made.ndim) if a not in axes]
    length = math.prod(made.shape[a] for a in axes)
    vectors = made.transpose(*others, *axes) if made.ndim else made
    out = _core.linalg.norm(vectors.reshape(*(made.shape[a] for a in others), length), ord, -1)
    return out.reshape([1 if a in axes else made.shape[a] for a in range(made.ndim)]) if keep else out

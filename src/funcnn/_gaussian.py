"""Draws from the normal distribution of several dimensions."""

from __future__ import annotations

from typing import Any

from . import _core
from ._arguments import integers
from ._core import array, float32
from ._linalg_factors import eigh
from ._transforms_rules import custom_vjp
from ._types import ArrayLike, DtypeLike, ShapeLike


def multivariate_normal(
    key: array, mean: ArrayLike, cov: ArrayLike, shape: ShapeLike | None = None, dtype: DtypeLike = float32
) -> array:
    """Draw vectors from the normal distribution of a mean and a covariance.

    Standard normal vectors are multiplied by the symmetric root of the covariance. Differentiable by both, also where
    eigenvalues of the covariance are equal.

    Args:
        key: The key.
        mean: The mean, of shape ``(..., n)``.
        cov: The covariance, of shape ``(..., n, n)``, symmetric and positive semi-definite: only its symmetric part counts,
            and negative eigenvalues count as 0.
        shape: How many vectors to draw, to which the axes before the last of `mean`, and before the last two of `cov`,
            broadcast. Default: their common shape.
        dtype: A floating point type; ``float32`` by default.

    Returns:
        An array of shape ``(*shape, n)``.

    Raises:
        ValueError: The shapes do not fit, or ``dtype`` is not a floating point type.

    Example:
        >>> x = random.multivariate_normal(random.key(0), [1.0, -1.0], [[1.0, 0.5], [0.5, 1.0]], (10_000,))
        >>> x.shape, bool(abs((x[:, 0] * (x[:, 1] + 1)).mean() - 0.5) < 0.1)
        ((10000, 2), True)
    """
    if not _core.isdtype(dtype, "real floating"):
        raise ValueError(f"random.multivariate_normal: expected a floating point type, got {dtype}")
    work = _core.float64 if dtype == _core.float64 else float32
    centre, spread = _core.asarray(mean, work), _core.asarray(cov, work)
    if (
        centre.ndim < 1
        or spread.ndim < 2
        or spread.shape[-1] != spread.shape[-2]
        or centre.shape[-1] != spread.shape[-1]
    ):
        raise ValueError(
            "random.multivariate_normal: expected a mean of shape (..., n) and a covariance of shape (..., n, n), "
            f"got {centre.shape} and {spread.shape}"
        )
    common = _core.broadcast_shapes(centre.shape[:-1], spread.shape[:-2])
    drawn = common if shape is None else integers(shape, "random.multivariate_normal: shape")
    fits = len(common) <= len(drawn) and all(
        d in (1, n) for d, n in zip(reversed(common), reversed(drawn), strict=False)
    )
    if not fits:
        raise ValueError(
            f"random.multivariate_normal: parameters of shape {common} do not broadcast to the shape {drawn} to draw"
        )
    standard = _core.random_normal(key, (*drawn, centre.shape[-1]), work, None, None)
    root = _root((spread + _core.matrix_transpose(spread)) * 0.5)
    moved = _core.squeeze(_core.matmul(_core.expand_dims(standard, -2), root), -2)
    return (centre + moved).astype(dtype)


@custom_vjp
def _root(x: array) -> array:
    """The symmetric root of symmetric matrices; negative eigenvalues count as 0."""
    values, vectors = eigh(x)
    return _core.matmul(vectors * _core.sqrt(_core.maximum(values, 0.0))[..., None, :], _core.matrix_transpose(vectors))


@custom_vjp
def _halves(root: array, y: array) -> array:
    """The matrix d for which ``root d + d root = y``, where `root` is symmetric and has no negative eigenvalues.

    Between eigenvectors it is a division. What both eigenvalues do not reach is 0.
    """
    values, vectors = eigh(root)
    values = _core.maximum(values, 0.0)
    back = _core.matrix_transpose(vectors)
    sums = values[..., :, None] + values[..., None, :]
    inside = _core.matmul(_core.matmul(back, y), vectors)
    inside = _core.where(sums == 0, 0.0, inside / _core.where(sums == 0, 1.0, sums))
    return _core.matmul(_core.matmul(vectors, inside), back)


def _root_forward(x: array) -> Any:
    root = _root(x)
    return root, root


def _halves_forward(root: array, y: array) -> Any:
    d = _halves(root, y)
    return d, (root, d)


def _halves_backward(residuals: Any, cotangent: array) -> tuple[array, array]:
    root, d = residuals
    u = _halves(root, cotangent)
    t = _core.matrix_transpose(d)
    return -(_core.matmul(u, t) + _core.matmul(t, u)), u


# Of root root = x follows root d + d root = dx.
_root.defvjp(_root_forward, lambda root, cotangent: (_halves(root, cotangent),))
_halves.defvjp(_halves_forward, _halves_backward)


__all__ = ["multivariate_normal"]

"""Reductions, running reductions, sorting and products of matrices of the NumPy interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np

from .numpy_values import HALVES, INEXACT, ROUNDOFF, Values, combine, convert, made, on_grid, promote, simplify

WIDER = {"bool_": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}


def accumulated(dtype: str) -> float:
    return ROUNDOFF["float32" if dtype in HALVES else dtype]


def exact_sums(x: np.ndarray, total: np.ndarray, dtype: str) -> Any:
    """Where sums of elements on a grid are exact in any order: nothing on the way exceeds what the dtype holds."""
    held = "float32" if dtype in HALVES else dtype
    return total * 1024 < 0.5 / ROUNDOFF[held] if bool(np.all(on_grid(x))) else np.zeros(np.shape(total), bool)


def reduce(name: str, v: Values, axis: tuple[int, ...], keepdims: bool) -> Values:
    kw: dict[str, Any] = {"axis": axis, "keepdims": keepdims}
    if name in ("all", "any"):
        t = convert(v, "bool_")
        out = np.all(t.x, **kw) if name == "all" else np.any(t.x, **kw)
        if t.e is None:
            return Values(out, "bool_")
        sure = np.all(t.x | (t.e > 0), **kw) if name == "all" else np.any(t.x & (t.e == 0), **kw)
        decided = ~sure if name == "all" else sure
        return Values(out, "bool_", simplify(np.where(decided, 0.0, np.max(t.e, **kw, initial=0.0))))
    if name in ("max", "min"):
        f = np.max if name == "max" else np.min
        e = None if v.e is None else np.max(v.e, **kw, initial=0.0)
        return Values(f(v.x, **kw), v.dtype, simplify(e))
    v = convert(v, WIDER.get(v.dtype, v.dtype))
    f = np.sum if name == "sum" else np.prod
    if v.dtype not in INEXACT:
        e = None if v.e is None else np.sum(v.e, **kw)
        return Values(f(v.x, **kw, dtype=v.x.dtype), v.dtype, combine(e))
    out = f(v.x, **kw)
    count = max(1, v.x.size // max(1, out.size))
    u = accumulated(v.dtype)
    if name == "sum":
        size = np.sum(np.where(np.isfinite(v.x), np.abs(v.x), 0.0), **kw)
        e = np.where(exact_sums(v.x, size, v.dtype), 0.0, u * count * size)
        if v.e is not None:
            e = e + np.sum(v.e, **kw)
        return made(out, v.dtype, e)
    size, bound = np.abs(v.x), v.bound
    e = np.prod(size + bound, **kw) - np.prod(size, **kw) if v.e is not None else 0.0
    largest = np.prod(np.maximum(size, 1), **kw)
    whole = bool(np.all(np.rint(v.x) == v.x)) and v.e is None
    e = e + (np.where(largest < 0.5 / u, 0.0, 2 * count * u * np.abs(out)) if whole else 2 * count * u * np.abs(out))
    e = np.where((largest > 1e30) | np.isnan(out), np.inf, e)
    return made(out, v.dtype, e)


def line_bound(v: Values, axis: int) -> np.ndarray | None:
    """The largest bound along an axis, everywhere along it: sorting moves elements by no more."""
    if v.e is None or v.x.size == 0:
        return None
    return simplify(np.broadcast_to(np.max(v.e, axis=axis, keepdims=True), v.x.shape))


def sort(v: Values, axis: int) -> Values:
    return Values(np.sort(v.x, axis=axis, kind="stable"), v.dtype, line_bound(v, axis))


def argsort(v: Values, axis: int) -> Values:
    at = np.argsort(v.x, axis=axis, kind="stable")
    e = None
    if v.e is not None and v.x.size:
        ordered = np.sort(v.x, axis=axis)
        room = np.max(v.e, axis=axis, keepdims=True)
        close = room > 0
        if v.inexact_dtype:
            close = close & np.any(~(np.diff(ordered, axis=axis) > 2 * room), axis=axis, keepdims=True)
        e = simplify(np.broadcast_to(np.where(close, np.inf, 0.0), v.x.shape))
    return Values(at.astype(np.uint32), "uint32", e)


def topk(v: Values, k: int, axis: int) -> Values:
    s = sort(v, axis)
    return s.move(lambda a: np.take(a, range(a.shape[axis] - k, a.shape[axis]), axis=axis))


def argreduce(name: str, v: Values, axis: int | None, keepdims: bool) -> Values:
    f = np.argmax if name == "argmax" else np.argmin
    out = f(v.x, axis=axis, keepdims=keepdims)
    e = None
    if v.e is not None:
        flat = v if axis is not None else v.move(np.ravel)
        along = axis if axis is not None else 0
        room = np.max(flat.e, axis=along)
        n = flat.shape[along]
        close = (room > 0) & (n > 1)
        if v.inexact_dtype and n > 1:
            ordered = np.sort(flat.x if name == "argmax" else -flat.x, axis=along)
            gap = np.take(ordered, n - 1, axis=along) - np.take(ordered, n - 2, axis=along)
            close = close & ~(gap > 2 * room)
        e = np.where(close, np.inf, 0.0).reshape(np.shape(out))
    return Values(np.asarray(out).astype(np.uint32), "uint32", simplify(e))


def running(name: str, v: Values, axis: int, reverse: bool, inclusive: bool) -> Values:
    if name == "cumsum" and v.dtype == "bool_":
        v = convert(v, "int32")
    if name == "logcumsumexp":
        v = convert(v, "float32") if v.dtype not in INEXACT else v

    def run(f: Any, a: np.ndarray) -> np.ndarray:
        a = np.flip(a, axis) if reverse else a
        a = f(a)
        return np.flip(a, axis) if reverse else a

    n = v.x.shape[axis]
    u = accumulated(v.dtype) if v.dtype in INEXACT else 0.0
    x, e = v.x, v.bound
    if name == "cumsum":
        out = run(lambda a: np.cumsum(a, axis=axis, dtype=a.dtype), x)
        if v.dtype in INEXACT:
            size = run(lambda a: np.cumsum(a, axis=axis), np.where(np.isfinite(x), np.abs(x), 0.0))
            # Half precision: a line may be kept in it between its pieces.
            slack = ROUNDOFF[v.dtype] if v.dtype in HALVES else u
            e = run(lambda a: np.cumsum(a, axis=axis), e) + np.where(
                exact_sums(x, size, v.dtype) & (size < 0.5 / slack), 0.0, n * slack * size
            )
        else:
            e = run(lambda a: np.cumsum(a, axis=axis), e)
    elif name == "cumprod":
        out = run(lambda a: np.cumprod(a, axis=axis, dtype=a.dtype), x)
        if v.dtype in INEXACT:
            size = run(lambda a: np.cumprod(a, axis=axis), np.maximum(np.abs(x), 1) + e)
            spread = run(lambda a: np.cumprod(a, axis=axis), np.abs(x) + e) - np.abs(out) if v.e is not None else 0.0
            slack = ROUNDOFF[v.dtype] if v.dtype in HALVES else u
            whole = (v.e is None) and bool(np.all(np.rint(x) == x))
            e = spread + np.where(whole & (size < 0.5 / slack), 0.0, 2 * n * slack * np.abs(out))
            e = np.where((size > 1e30) | ~np.isfinite(out), np.inf, e)
        else:
            e = run(lambda a: np.cumsum(a, axis=axis), e)
    elif name == "logcumsumexp":
        out = run(lambda a: np.logaddexp.accumulate(a, axis=axis), x)
        top = np.max(np.abs(np.where(np.isfinite(x), x, 0.0)), axis=axis, keepdims=True, initial=0.0)
        e = run(lambda a: np.maximum.accumulate(a, axis=axis), e) + 16 * n * ROUNDOFF[v.dtype] * (1 + top)
        e = np.where(np.all(np.isfinite(x), axis=axis, keepdims=True), e, np.inf)
    else:
        f = np.maximum if name == "cummax" else np.minimum
        out = run(lambda a: f.accumulate(a, axis=axis), x)
        e = run(lambda a: np.maximum.accumulate(a, axis=axis), e)
    result = made(out, v.dtype, e if np.any(e) else None, correct=name != "logcumsumexp")
    if inclusive:
        return result
    fill = {
        "cumsum": 0,
        "cumprod": 1,
        "logcumsumexp": -np.inf,
        "cummax": least(v.dtype),
        "cummin": greatest(v.dtype),
    }[name]

    def shift(a: np.ndarray, fill: Any) -> np.ndarray:
        a = np.flip(a, axis) if reverse else a
        head = np.full([1 if i == axis else d for i, d in enumerate(a.shape)], fill, a.dtype)
        a = np.concatenate([head, np.take(a, range(n - 1), axis=axis)], axis=axis) if n else a
        return np.flip(a, axis) if reverse else a

    return Values(shift(result.x, fill), result.dtype, None if result.e is None else simplify(shift(result.e, 0.0)))


def least(dtype: str) -> Any:
    if dtype == "bool_":
        return False
    return -np.inf if dtype in INEXACT else np.iinfo(getattr(np, dtype)).min


def greatest(dtype: str) -> Any:
    if dtype == "bool_":
        return True
    return np.inf if dtype in INEXACT else np.iinfo(getattr(np, dtype)).max


def searchsorted(s: Values, v: Values, side: str) -> Values:
    dtype = promote(s.dtype, v.dtype)
    s, v = convert(s, dtype), convert(v, dtype)
    at = np.searchsorted(s.x, v.x, side=side)
    e = None
    if not (s.exact and v.exact) and s.x.size:
        room = v.bound + float(np.max(s.bound, initial=0.0))
        close: Any = True
        if v.inexact_dtype:  # whether a value moves to another place when it is a little smaller or larger
            low, high = np.searchsorted(s.x, v.x - room, side="left"), np.searchsorted(s.x, v.x + room, side="right")
            close = low != high
        e = np.where((room > 0) & close, np.inf, 0.0)
    return Values(np.asarray(at).astype(np.uint32), "uint32", simplify(e))


PRODUCTS: dict[str, Any] = {
    "...ij,...jk->...ik": np.matmul,
    "ij,kj->ik": lambda a, b: a @ b.T,
    "ij,ik->jk": lambda a, b: a.T @ b,
}


def einsum(spec: str, *operands: Values) -> Values:
    """Products of two; matmul is one of them."""
    dtype = operands[0].dtype
    for o in operands[1:]:
        dtype = promote(dtype, o.dtype)
    a, b = (convert(o, dtype) for o in operands)
    multiply = PRODUCTS[spec]
    out = multiply(a.x, b.x)
    finite_a, finite_b = np.where(np.isfinite(a.x), np.abs(a.x), 0.0), np.where(np.isfinite(b.x), np.abs(b.x), 0.0)
    size = multiply(finite_a, finite_b)
    count = max(1.0, a.x.size and float(np.sqrt(a.x.size * b.x.size / max(out.size, 1))))
    u = accumulated(dtype) * (2 if dtype == "complex64" else 1)
    whole = bool(np.all(np.rint(a.x * 32) == a.x * 32)) and bool(np.all(np.rint(b.x * 32) == b.x * 32))
    e = np.where(whole & (size * 1024 < 0.5 / u), 0.0, (count + 4) * u * size)
    if a.e is not None:
        e = e + multiply(a.e, finite_b + b.bound)
    if b.e is not None:
        e = e + multiply(finite_a, b.e)
    if not (np.all(np.isfinite(a.x)) and np.all(np.isfinite(b.x))):
        e = np.where(np.isfinite(out), e, np.inf)
    return made(out, dtype, e)


def conv1d(x: Values, weight: Values, stride: int, padding: int) -> Values:
    """The product of all windows with the weight."""
    outs, length, _ = weight.x.shape

    def windows(a: np.ndarray) -> np.ndarray:
        a = np.pad(a, ((0, 0), (padding, padding), (0, 0)))
        seen = np.lib.stride_tricks.sliding_window_view(a, length, 1)[:, ::stride]
        return seen.swapaxes(2, 3).reshape(*seen.shape[:2], -1)

    return einsum("...ij,...jk->...ik", x.move(windows), weight.move(lambda a: a.reshape(outs, -1).T))


def gather_mm(a: Values, b: Values, rhs_indices: tuple[int, ...]) -> Values:
    return einsum("...ij,...jk->...ik", a, b.move(lambda x: x[list(rhs_indices)]))


def hadamard_transform(x: Values, scale: float) -> Values:
    """The product with Sylvester's matrix: entries are -1 where row and column number share an odd number of bits."""
    n = x.x.shape[-1]
    shared = np.array([[(i & j).bit_count() % 2 for j in range(n)] for i in range(n)], np.float64)
    return einsum("...ij,...jk->...ik", x, Values(scale * (1 - 2 * shared), x.dtype))


def fourier(v: Values, name: str, axis: int) -> Values:
    """A transform along an axis: every element of a line has a share in the errors of all."""
    v = convert(v, "float32" if name == "rfft" else "complex64")
    finite = np.isfinite(v.x)
    x = np.where(finite, v.x, 0)
    out = getattr(np.fft, name)(x, axis=axis)
    length = out.shape[axis] if name == "irfft" else x.shape[axis]
    scale = {"ifft": 1 / length, "irfft": 2 / length}.get(name, 1.0)
    e = (np.where(finite, v.bound, np.inf)).sum(axis=axis, keepdims=True) * scale
    size = np.abs(x).sum(axis=axis, keepdims=True) * scale
    e = e + 4 * (2 + np.log2(length)) * ROUNDOFF["float32"] * size
    return made(out, "float32" if name == "irfft" else "complex64", np.broadcast_to(e, out.shape), correct=False)

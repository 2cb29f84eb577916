"""Whole layers as one operation: attention, rotary positions, normalisations, losses over a vocabulary.

The names, arguments and results are those of ``mlx.core.fast``. Attention has kernels of its own. The others are compositions
that the planner fuses by itself, forward and backward: the functions save writing them.
"""

from __future__ import annotations

import functools
import math
from typing import Any, SupportsFloat

from . import _core, _hints
from ._arguments import flag, integer
from ._control import scan
from ._core import Device, Dtype, array
from ._custom_kernels import CustomKernel, cuda_kernel, metal_kernel
from ._transforms_rules import checkpoint
from ._types import ArrayLike

__all__ = [
    "CustomKernel",
    "cross_entropy",
    "cuda_kernel",
    "gated_delta_update",
    "layer_norm",
    "metal_kernel",
    "rms_norm",
    "rope",
    "scaled_dot_product_attention",
]


def scaled_dot_product_attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    *,
    scale: float,
    mask: ArrayLike | str | None = None,
    sinks: ArrayLike | None = None,
    force_fused: bool = False,
) -> array:
    """Attend: ``softmax(scale * q @ k.T + mask) @ v`` for each head, without the matrix of scores in memory.

    Neither the result nor the gradients ever hold the scores, so memory is linear in the number of queries and keys. Second
    derivatives and forward mode (`fn.jvp`) do hold them. Scores and their softmax are computed in float32, of float64 in
    float64. For one query, or a few, keys and values are read once where they lie: slices and transposed views of a cache are
    not copied, as long as the features of a key are side by side.

    Args:
        q: Queries of shape ``(B, H, Tq, D)``.
        k: Keys of shape ``(B, K, Tk, D)``. ``K`` divides ``H``: each head of keys serves ``H / K`` consecutive heads of queries
            (grouped-query attention), without being repeated in memory.
        v: Values of shape ``(B, K, Tk, E)``.
        scale: Factor of the products of queries and keys, usually ``D ** -0.5``.
        mask: None; ``"causal"``: a query sees the keys up to its own place, the last query the last key; or an array that
            broadcasts to ``(B, H, Tq, Tk)``: of bool, true where a query sees a key, or of numbers that are added to the
            scores (their dtype must not be wider than that of the result).
        sinks: A further score for each head of queries, of shape ``(H,)``, that takes part in the softmax and has no value.
        force_fused: For programs written for MLX. There is always a fused kernel, so nothing is left to force.

    Returns:
        An array of shape ``(B, H, Tq, E)``, of the dtype that `q`, `k` and `v` promote to. A query that sees no key, because the
        mask hides all of them or adds minus infinity to every score, or because there are no keys, gets zeros, and its gradients
        are zero. (PyTorch does the same; MLX returns the mean of the values or NaN, depending on mask and device.)

    Raises:
        ValueError: Shapes do not fit, the arrays are not of real floating-point numbers, `mask` is another string, or `mask` or
            `sinks` have a wider dtype than the result.

    Reference: T. Dao, D. Y. Fu, S. Ermon, A. Rudra, C. Re, "FlashAttention: fast and memory-efficient exact attention with
    IO-awareness", 2022.

    >>> import funcnn as fn
    >>> q, k, v = (fn.random.normal(key, (1, 2, 5, 4)) for key in fn.random.split(fn.random.key(0), 3))
    >>> y = fn.fast.scaled_dot_product_attention(q, k, v, scale=0.5, mask="causal")
    >>> y.shape, fn.array_equal(y[:, :, 0], v[:, :, 0]).item()
    ((1, 2, 5, 4), True)
    """
    name = "scaled_dot_product_attention"
    flag(force_fused, f"{name}: force_fused")
    if isinstance(mask, str):
        if mask != "causal":
            raise ValueError(f"{name}: mask must be None, 'causal' or an array, got {mask!r}")
        return _core.fast.attention(q, k, v, _number(scale, f"{name}: scale"), True, None, sinks)
    return _core.fast.attention(q, k, v, _number(scale, f"{name}: scale"), False, mask, sinks)


def _number(x: Any, what: str) -> float:
    # A protocol is slow to ask.
    if not isinstance(x, (float, int)) and not isinstance(x, SupportsFloat):
        raise TypeError(f"{what} must be a number, got {x!r} ({type(x).__name__})")
    return float(x)


def rms_norm(x: ArrayLike, weight: ArrayLike | None, eps: float) -> array:
    """Divide by the root of the mean square of the last axis: ``x / sqrt(mean(x**2) + eps) * weight``.

    Args:
        x: An array of shape ``(..., D)``.
        weight: Factors of shape ``(D,)``, or None.
        eps: Added to the mean square.

    Returns:
        An array of the shape of `x`, of the dtype that `x` and `weight` promote to (float32 for integers). 16-bit floats are
        computed with in float32 and rounded once.

    Raises:
        ValueError: `x` has no axis, or `weight` another shape.

    Reference: B. Zhang, R. Sennrich, "Root mean square layer normalization", 2019.

    >>> import funcnn as fn
    >>> fn.fast.rms_norm(fn.array([3.0, -3.0]), fn.array([1.0, 2.0]), 0.0)
    array([ 1., -2.], dtype=float32)
    """
    return _core.fast.rms_norm(x, weight, eps)


def layer_norm(x: ArrayLike, weight: ArrayLike | None, bias: ArrayLike | None, eps: float) -> array:
    """Normalise the last axis to mean 0 and variance 1: ``(x - mean) / sqrt(var + eps) * weight + bias``.

    Args:
        x: An array of shape ``(..., D)``.
        weight: Factors of shape ``(D,)``, or None.
        bias: Terms of shape ``(D,)``, or None.
        eps: Added to the variance.

    Returns:
        An array of the shape of `x`, of the dtype that `x`, `weight` and `bias` promote to (float32 for integers). 16-bit floats
        are computed with in float32 and rounded once.

    Raises:
        ValueError: `x` has no axis, or `weight` or `bias` another shape.

    Reference: J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", 2016.

    >>> import funcnn as fn
    >>> fn.fast.layer_norm(fn.array([1.0, 3.0]), None, fn.array([0.0, 1.0]), 0.0)
    array([-1.,  2.], dtype=float32)
    """
    return _core.fast.layer_norm(x, weight, bias, eps)


def rope(
    a: ArrayLike,
    dims: int,
    *,
    traditional: bool,
    base: float | None,
    scale: float,
    offset: int | ArrayLike,
    freqs: ArrayLike | None = None,
) -> array:
    """Rotate pairs of features by angles that grow with the place: rotary positional encoding.

    Pair ``i`` of place ``t`` is rotated by ``scale * (offset + t) * base ** (-2 * i / dims)``, or ``scale * (offset + t) /
    freqs[i]``.

    Args:
        a: An array of shape ``(B, ..., T, D)``, with at least three axes.
        dims: How many of the features to rotate, an even number up to ``D``; the rest stays as it is.
        traditional: Pair features ``2 * i`` and ``2 * i + 1``; otherwise ``i`` and ``i + dims / 2``.
        base: The base of the frequencies, usually 10000, or None where `freqs` are given.
        scale: Factor of the places.
        offset: The place of the first element along ``T``: an integer, or an array of one for all or of ``B`` integers, one for
            each element of the batch.
        freqs: Wavelengths (over 2 pi) of the pairs, of shape ``(dims / 2,)``, instead of `base`.

    Returns:
        An array of the shape and dtype of `a`. Angles are computed in float32, for float64 in float64.

    Raises:
        ValueError: `a` has fewer than three axes or no floating-point numbers, `dims` is not an even number that fits, both or
            neither of `base` and `freqs` are given, or `offset` or `freqs` have another shape or dtype.

    Reference: J. Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.

    >>> import funcnn as fn
    >>> x = fn.array([[[1.0, 0.0], [1.0, 0.0]]])
    >>> y = fn.fast.rope(x, 2, traditional=False, base=10000.0, scale=1.0, offset=0)
    >>> [[round(v, 4) for v in row] for row in y[0].tolist()]
    [[1.0, 0.0], [0.5403, 0.8415]]
    """
    name = "rope"
    x = _core.asarray(a)
    shape, dtype = x.shape, x.dtype
    if type(dims) is not int:
        dims = integer(dims, f"{name}: dims")
    if type(traditional) is not bool:
        traditional = flag(traditional, f"{name}: traditional")
    if len(shape) < 3:
        raise ValueError(f"{name}: expected at least three axes (batch, ..., places, features), got shape {shape}")
    if dtype != _core.float32 and not _core.isdtype(dtype, "real floating"):
        raise ValueError(f"{name}: is defined for real floating-point arrays, got {dtype}; convert it with astype")
    if dims <= 0 or dims % 2 or dims > shape[-1]:
        raise ValueError(
            f"{name}: dims must be a positive even number up to {shape[-1]}, the last axis of a, got {dims}"
        )
    wide = _core.float64 if dtype == _core.float64 else _core.float32
    half = dims // 2
    pair = -1 if traditional else -2
    frequencies, signs = _frequencies(name, base, freqs, half, wide, pair, x)
    if shape[-2] == 1 and type(offset) is int and abs(offset) < 1 << 31 and type(scale) is float and scale == 1:
        angles = frequencies * offset
    else:
        angles = _places(name, offset, x).astype(wide) * scale * frequencies
    return _core.fast.rotate_pairs(x, dims, traditional, angles, signs)


def _places(name: str, offset: Any, x: array) -> array:
    """The places along the second-to-last axis, of shape (T, 1, 1) or, beside the axes of `x`, (B, 1, ..., T, 1, 1)."""
    shape = x.shape
    # A device without float64 has no angles in it: they are where `x` is.
    device = x.device if x.dtype == _core.float64 else None
    if not isinstance(offset, array) and not getattr(offset, "ndim", 0) and not isinstance(offset, (list, tuple)):
        return _core.arange(shape[-2], device=device).reshape(-1, 1, 1) + integer(offset, f"{name}: offset")
    first = _core.asarray(offset, device=device)
    if not _core.isdtype(first.dtype, "integral"):
        raise ValueError(f"{name}: offset must be of integers, got {first.dtype}")
    if first.ndim > 1 or first.size not in (1, shape[0]):
        raise ValueError(
            f"{name}: offset must be one integer or {shape[0]}, one for each element of the batch, got shape {first.shape}"
        )
    first = first.astype(_core.int32)
    first = first.reshape(-1, *(1,) * len(shape)) if first.size != 1 else first.reshape(1, 1, 1)
    return first if shape[-2] == 1 else _core.arange(shape[-2], device=device).reshape(-1, 1, 1) + first


def _frequencies(
    name: str, base: float | None, freqs: ArrayLike | None, half: int, wide: Dtype, pair: int, x: array
) -> tuple[array, array]:
    """The frequencies of pairs, and the signs of their sines: both broadcast to pairs along axis `pair`."""
    if (base is None) == (freqs is None):
        given = "neither" if base is None else "both"
        raise ValueError(f"{name}: expected one of base and freqs, got {given}")
    if freqs is None:
        assert base is not None
        return _falling(-math.log(base) / half, half, wide, pair, x.device)
    given_freqs = _core.asarray(freqs, device=x.device if wide == _core.float64 else None)
    if given_freqs.shape != (half,):
        raise ValueError(f"{name}: freqs must have shape {(half,)}, one for each pair, got {given_freqs.shape}")
    inverse = 1.0 / given_freqs.astype(wide)
    return inverse[:, None] if pair == -1 else inverse, _falling(0.0, half, wide, pair, x.device)[1]


@functools.lru_cache(maxsize=64)
def _falling(rate: float, half: int, wide: Dtype, pair: int, device: Device) -> tuple[array, array]:
    """What depends on options only, computed once: frequencies that fall at a rate, and signs."""
    steps = _core.arange(half, device=device).astype(wide)
    frequencies, signs = _core.exp(steps * rate), _core.arange(-1.0, 2.0, 2.0, wide, device=device)
    found = (frequencies[:, None], signs) if pair == -1 else (frequencies, signs[:, None])
    _core.eval(*found)
    return found


def cross_entropy(logits: ArrayLike, targets: ArrayLike) -> array:
    """Compute ``logsumexp(logits) - logits[target]`` over the last axis.

    The softmax is never in memory, neither for the loss nor for its gradient, which writes one array of the shape of the
    logits. `funcnn.nn.losses.cross_entropy` has weights, smoothing and other axes.

    Args:
        logits: Scores of the classes, of shape ``(..., V)``.
        targets: Class indices between 0 and ``V - 1``, of shape ``(...)`` and an integer dtype.

    Returns:
        The losses, with the shape of `targets`, in float32, of float64 logits in float64. An index that is that of no class
        makes the loss NaN.

    Raises:
        ValueError: `logits` are not of floating-point numbers or have no classes, `targets` not of integers, or the shapes differ.

    >>> import funcnn as fn
    >>> [round(v, 4) for v in fn.fast.cross_entropy(fn.array([[2.0, -1.0], [-1.0, 2.0]]), fn.array([0, 0])).tolist()]
    [0.0486, 3.0486]
    """
    name = "cross_entropy"
    scores, chosen = _core.asarray(logits), _core.asarray(targets)
    if not _core.isdtype(scores.dtype, "real floating"):
        raise ValueError(f"{name}: logits must be of real floating-point numbers, got {scores.dtype}")
    if not _core.isdtype(chosen.dtype, "integral"):
        raise ValueError(f"{name}: targets must be class indices of an integer dtype, got {chosen.dtype}")
    if scores.ndim == 0 or chosen.shape != scores.shape[:-1]:
        raise ValueError(
            f"{name}: logits of shape {scores.shape} take targets of their shape without the last axis, got {chosen.shape}"
        )
    count = scores.shape[-1]
    if count == 0:
        raise ValueError(f"{name}: logits of shape {scores.shape} have no classes")
    chosen = chosen.astype(_core.promote_types(chosen.dtype, _core.int32))
    scores = scores.astype(_core.promote_types(scores.dtype, _core.float32))
    loss = _core.fast.cross_entropy(scores, chosen[..., None], scores.ndim - 1)[3][..., 0]
    return _core.where((chosen < 0) | (chosen >= count), math.nan, loss)


def gated_delta_update(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    initial_state: ArrayLike | None = None,
    mask: ArrayLike | None = None,
) -> tuple[array, array]:
    """Run the gated delta rule along a sequence: a linear attention that overwrites what its state holds for a key.

    For each step ``t`` and head, with ``S`` the state::

        S = gamma[t] * S
        S = S + outer(beta[t] * (v[t] - S @ k[t]), k[t])
        y[t] = S @ q[t]

    The scale of queries and keys is left to the caller. Of ``T`` states, the derivative keeps a few times ``sqrt(T)``, and
    computes each of them twice.

    Args:
        q: Queries of shape ``(B, T, K, D)``.
        k: Keys of shape ``(B, T, K, D)``. ``K`` divides ``H``: each head of queries and keys serves ``H / K`` consecutive heads
            of values.
        v: Values of shape ``(B, T, H, E)``.
        gamma: What is kept of the state, usually in ``(0, 1)``, of shape ``(B, T, H)``, or ``(B, T, H, D)`` for a factor of its own
            for each feature of the keys.
        beta: How far a value is moved towards the new one, of shape ``(B, T, H)``.
        initial_state: The state before the first step, of shape ``(B, H, E, D)``; zeros if None.
        mask: Which steps count, of shape ``(B, T)``. The others leave the state as it is, and their results are 0.

    Returns:
        The results, of shape ``(B, T, H, E)`` and the dtype that `q`, `k` and `v` promote to, and the last state, of shape ``(B, H,
        E, D)`` in float32 (float64 if an argument is). All is computed in the dtype of the state.

    Raises:
        ValueError: Shapes do not fit, or an array is not of real numbers.

    Reference: S. Yang, J. Kautz, A. Hatamizadeh, "Gated delta networks: improving Mamba2 with delta rule", 2024.

    >>> import funcnn as fn
    >>> k = fn.array([1.0, 0.0]).reshape(1, 1, 1, 2)
    >>> v = fn.array([2.0, 3.0]).reshape(1, 1, 1, 2)
    >>> y, state = fn.fast.gated_delta_update(k, k, v, fn.ones((1, 1, 1)), fn.ones((1, 1, 1)))
    >>> y.reshape(-1), state.shape
    (array([2., 3.], dtype=float32), (1, 1, 2, 2))
    """
    name = "gated_delta_update"
    given = {"q": q, "k": k, "v": v, "gamma": gamma, "beta": beta}
    arrays = {key: _core.asarray(x) for key, x in given.items()}
    if initial_state is not None:
        arrays["initial_state"] = _core.asarray(initial_state)
    steps = None if mask is None else _core.asarray(mask)
    _check_delta(name, arrays, steps)
    wide = _core.float32
    for key, x in arrays.items():
        if _core.isdtype(x.dtype, "complex floating"):
            raise ValueError(f"{name}: is defined for real numbers, got {key} of {x.dtype}")
        wide = _core.promote_types(wide, x.dtype)
    dtype = _core.promote_types(_core.promote_types(arrays["q"].dtype, arrays["k"].dtype), arrays["v"].dtype)
    dtype = dtype if _core.isdtype(dtype, "real floating") else _core.float32

    batch, length, key_heads, depth = arrays["k"].shape
    heads, values = arrays["v"].shape[2:]
    # (T, B, K, H / K, ...): heads that share keys side by side; rows of a state are the last axis but one.
    group = heads // key_heads if key_heads else 0

    def grouped(x: array) -> array:
        return _core.moveaxis(x.astype(wide), 1, 0).reshape(length, batch, key_heads, group, *x.shape[3:])

    def shared(x: array) -> array:
        return _core.moveaxis(x.astype(wide), 1, 0)[:, :, :, None, None, :]

    decay = grouped(arrays["gamma"])
    xs = {
        "q": shared(arrays["q"]),
        "k": shared(arrays["k"]),
        "v": grouped(arrays["v"]),
        "gamma": decay[..., None, None] if decay.ndim == 4 else decay[..., None, :],
        "beta": grouped(arrays["beta"])[..., None],
    }
    if steps is not None:
        xs["mask"] = _core.moveaxis(steps.astype(_core.bool_), 1, 0)[:, :, None, None, None, None]
    shape = (batch, key_heads, group, values, depth)
    state = (
        arrays["initial_state"].astype(wide).reshape(shape) if "initial_state" in arrays else _core.zeros(shape, wide)
    )

    def step(state: array, x: dict[str, array]) -> tuple[array, array]:
        kept = state * x["gamma"]
        error = x["beta"] * (x["v"] - _core.sum(kept * x["k"], axis=-1))
        new = kept + error[..., None] * x["k"]
        y = _core.sum(new * x["q"], axis=-1)
        if "mask" in x:
            new = _core.where(x["mask"], new, state)
            y = _core.where(x["mask"][..., 0], y, 0.0)
        return new, y

    state, ys = _in_chunks(step, state, xs, length)
    y = _core.moveaxis(ys, 0, 1).reshape(batch, length, heads, values).astype(dtype)
    return y, state.reshape(batch, heads, values, depth)


def _in_chunks(step: Any, state: array, xs: dict[str, array], length: int) -> tuple[array, array]:
    """A scan whose derivative keeps the states between chunks only, and computes those within a chunk again."""
    size = math.isqrt(length)
    if size < 4:
        return scan(step, state, xs, length=length)
    whole = length // size * size

    def chunk(state: array, xs: dict[str, array]) -> tuple[array, array]:
        return scan(step, state, xs)

    first = {key: x[:whole].reshape(whole // size, size, *x.shape[1:]) for key, x in xs.items()}
    state, ys = scan(checkpoint(chunk), state, first)
    ys = ys.reshape(whole, *ys.shape[2:])
    if whole < length:
        state, rest = scan(step, state, {key: x[whole:] for key, x in xs.items()})
        ys = _core.concatenate([ys, rest])
    return state, ys


def _check_delta(name: str, arrays: dict[str, array], mask: array | None) -> None:
    """Compare the shapes of the arguments of `gated_delta_update`."""
    shapes = {key: x.shape for key, x in arrays.items()}
    k, v = shapes["k"], shapes["v"]
    for key in ("q", "k", "v"):
        if len(shapes[key]) != 4:
            raise ValueError(f"{name}: {key} must have four axes (batch, steps, heads, features), got {shapes[key]}")
    heads, key_heads = v[2], k[2]
    if heads % key_heads if key_heads else heads:
        raise ValueError(f"{name}: the heads of v ({heads}) must be a multiple of those of q and k ({key_heads})")
    lead = v[:2]
    expected: dict[str, list[tuple[int, ...]]] = {
        "q": [k],
        "k": [(*lead, *k[2:])],
        "gamma": [(*lead, heads), (*lead, heads, k[3])],
        "beta": [(*lead, heads)],
        "initial_state": [(lead[0], heads, v[3], k[3])],
    }
    for key, allowed in expected.items():
        if key in shapes and shapes[key] not in allowed:
            wanted = " or ".join(map(str, allowed))
            raise ValueError(f"{name}: {key} must have shape {wanted} beside k {k} and v {v}, got {shapes[key]}")
    if mask is not None and mask.shape != lead:
        raise ValueError(f"{name}: mask must have shape {lead} (batch, steps), got {mask.shape}")


_hints.close(globals())

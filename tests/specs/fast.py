"""Attention, rotary embeddings, normalisations."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcnn as fn
from attention_oracle import attention
from specs.rows import CUBE, In, Op, op

Q, K, V = In((2, 4, 5, 6)), In((2, 2, 7, 6)), In((2, 2, 7, 3))


def _attend(mask: Any = None, sinks: bool = False, arrays: bool = False) -> dict[str, Any]:
    """How to call attention and its oracle with a mask that is fixed, or with mask and sinks as further arrays."""

    def split(rest: tuple[Any, ...]) -> dict[str, Any]:
        given = list(rest)
        found = {"mask": given.pop(0) if arrays else mask}
        return found | {"sinks": given.pop(0)} if sinks else found

    return {
        "call": lambda q, k, v, *rest: fn.fast.scaled_dot_product_attention(q, k, v, scale=0.4, **split(rest)),
        "reference": lambda q, k, v, *rest: attention(q, k, v, 0.4, **split(rest)),
    }


def _rows(name: str, how: dict[str, Any], *samples: Any, **options: Any) -> Op:
    return op(f"attention[{name}]", how["call"], how["reference"], *samples, tolerance=64, **options)


def _zeros(*shapes: tuple[int, ...], dtype: Any = fn.float32) -> list[fn.array]:
    return [fn.zeros(shape, dtype) for shape in shapes]


def _wrong(q: Any, k: Any, v: Any, **options: Any) -> fn.array:
    return fn.fast.scaled_dot_product_attention(*_zeros(q, k, v), **{"scale": 1.0} | options)


GOOD = ((2, 4, 5, 6), (2, 2, 7, 6), (2, 2, 7, 3))
LONG = (In((1, 2, 70, 16)), In((1, 1, 110, 16)), In((1, 1, 110, 16)))
EMPTY = [
    (In((2, 2, 0, 4)), In((2, 2, 3, 4)), In((2, 2, 3, 4))),
    (In((2, 2, 3, 4)), In((2, 2, 0, 4)), In((2, 2, 0, 5))),
    (In((0, 2, 3, 4)), In((0, 2, 3, 4)), In((0, 2, 3, 4))),
]

ATTENTION = [
    _rows(
        "plain",
        _attend(),
        (Q, K, V),
        LONG,
        (In((1, 1, 1, 8)), In((1, 1, 600, 8)), In((1, 1, 600, 5))),
        *EMPTY,
        errors=(
            (lambda: _wrong((2, 4, 5), *GOOD[1:]), ValueError, r"four axes.*q \(2, 4, 5\)"),
            (lambda: _wrong((1, 4, 5, 6), *GOOD[1:]), ValueError, "batch axes"),
            (lambda: _wrong((2, 4, 5, 5), *GOOD[1:]), ValueError, "last axes of q and k"),
            (lambda: _wrong((2, 3, 5, 6), *GOOD[1:]), ValueError, r"heads of q \(3\).*\(2\)"),
            (lambda: _wrong(GOOD[0], GOOD[1], (2, 2, 6, 3)), ValueError, "k and v must have the same heads and places"),
            (lambda: _wrong(*GOOD, scale="1"), TypeError, "scale must be a number, got '1'"),
            (lambda: _wrong(*GOOD, mask="full"), ValueError, "'causal' or an array, got 'full'"),
            (lambda: _wrong(*GOOD, mask=fn.zeros((5, 6))), ValueError, r"mask of shape \(5, 6\).*\(2, 4, 5, 7\)"),
            (lambda: _wrong(*GOOD, mask=fn.zeros((1, 1, 1, 5, 7))), ValueError, "at most four axes"),
            (lambda: _wrong(*GOOD, mask=fn.zeros((5, 7), fn.float64)), ValueError, "float64 cannot be added.*float32"),
            (lambda: _wrong(*GOOD, sinks=fn.zeros((2,))), ValueError, r"sinks of shape \(4,\).*\(2,\)"),
            (lambda: _wrong(*GOOD, sinks=fn.zeros((4,), fn.float64)), ValueError, "sinks of float64"),
            (
                lambda: fn.fast.scaled_dot_product_attention(*_zeros(*GOOD, dtype=fn.int32), scale=1.0),
                ValueError,
                "floating-point arrays, got int32",
            ),
        ),
    ),
    _rows("causal", _attend("causal"), (Q, K, V), LONG, (In((1, 1, 9, 4)), In((1, 1, 5, 4)), In((1, 1, 5, 4))), *EMPTY),
    _rows(
        "additive mask",
        _attend(arrays=True),
        (Q, K, V, In((2, 4, 5, 7))),
        (Q, K, V, In((4, 1, 7))),
        (Q, K, V, In((2, 1, 5, 1))),
        (*LONG, In((70, 110))),
    ),
    _rows("bool mask", _attend(arrays=True), (Q, K, V, In((5, 7), 0, 1, dtype="bool_")), (*LONG, In((2, 1, 110), 0, 1, dtype="bool_"))),
    _rows("sinks", _attend(sinks=True), (Q, K, V, In((4,))), (*LONG, In((2,)))),
    _rows("causal, sinks", _attend("causal", sinks=True), (Q, K, V, In((4,)))),
    _rows("mask, sinks", _attend(sinks=True, arrays=True), (Q, K, V, In((4, 5, 7)), In((4,)))),
]  # fmt: skip


def _rms_norm(x: np.ndarray, w: Any = 1.0) -> np.ndarray:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 0.1) * w


def _layer_norm(x: np.ndarray, w: Any = 1.0, b: Any = 0.0) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 0.1) * w + b


WEIGHT = In((4,))
NORMS = [
    op("rms_norm", lambda x, w: fn.fast.rms_norm(x, w, 0.1), _rms_norm, (CUBE, WEIGHT), (In((0, 4)), WEIGHT), tolerance=32,
       errors=((lambda: fn.fast.rms_norm(fn.zeros((2, 4)), fn.ones((3,)), 0.1), ValueError, r"rms_norm: weight.*\(4,\).*\(3,\)"),
               (lambda: fn.fast.rms_norm(fn.array(1.0), None, 0.1), ValueError, "at least one axis"))),
    op("rms_norm[no weight]", lambda x: fn.fast.rms_norm(x, None, 0.1), _rms_norm, CUBE, tolerance=32),
    op("layer_norm", lambda x, w, b: fn.fast.layer_norm(x, w, b, 0.1), _layer_norm, (CUBE, WEIGHT, WEIGHT), tolerance=64,
       errors=((lambda: fn.fast.layer_norm(fn.zeros((2, 4)), None, fn.ones((1, 4)), 0.1), ValueError, "layer_norm: bias"),)),
    op("layer_norm[bias]", lambda x, b: fn.fast.layer_norm(x, None, b, 0.1), lambda x, b: _layer_norm(x, 1.0, b),
       (CUBE, WEIGHT), (In((2, 0)), In((0,))), tolerance=64),
]  # fmt: skip


def _rope(x: np.ndarray, dims: int, traditional: bool, inverse: Any, scale: float = 1.0, offset: Any = 0) -> np.ndarray:
    half = dims // 2
    places = np.arange(x.shape[-2])[:, None] + np.reshape(offset, (-1, *(1,) * (x.ndim - 1)))
    angles = places * scale * inverse
    first, second = (
        (np.s_[..., 0:dims:2], np.s_[..., 1:dims:2]) if traditional else (np.s_[..., :half], np.s_[..., half:dims])
    )
    out = np.array(x)
    out[first] = x[first] * np.cos(angles) - x[second] * np.sin(angles)
    out[second] = x[first] * np.sin(angles) + x[second] * np.cos(angles)
    return out


def _from_base(dims: int, base: float) -> np.ndarray:
    return base ** (-np.arange(0, dims, 2) / dims)


def _call_rope(dims: int, **options: Any) -> Any:
    plain = {"traditional": False, "base": 100.0, "scale": 1.0, "offset": 0}
    return lambda x, **more: fn.fast.rope(x, dims, **plain | options | more)


TOKENS = In((2, 3, 4, 6))
ROPE = [
    op("rope", _call_rope(6), lambda x: _rope(x, 6, False, _from_base(6, 100.0)), TOKENS, In((2, 4, 6)), In((2, 0, 6)),
       tolerance=16,
       errors=(
           (lambda: _call_rope(6)(fn.zeros((4, 6))), ValueError, "at least three axes"),
           (lambda: _call_rope(5)(fn.zeros((1, 4, 6))), ValueError, "even number up to 6"),
           (lambda: _call_rope(8)(fn.zeros((1, 4, 6))), ValueError, "even number up to 6"),
           (lambda: _call_rope(6)(fn.zeros((1, 4, 6), fn.int32)), ValueError, "int32"),
           (lambda: _call_rope(6, base=None)(fn.zeros((1, 4, 6))), ValueError, "base and freqs, got neither"),
           (lambda: _call_rope(6, freqs=fn.ones((3,)))(fn.zeros((1, 4, 6))), ValueError, "base and freqs, got both"),
           (lambda: _call_rope(6, base=None, freqs=fn.ones((2,)))(fn.zeros((1, 4, 6))), ValueError, r"\(3,\).*\(2,\)"),
           (lambda: _call_rope(6, offset=fn.array([1, 2, 3]))(fn.zeros((2, 4, 6))), ValueError, "one integer or 2"),
           (lambda: _call_rope(6, offset=fn.array(1.5))(fn.zeros((2, 4, 6))), ValueError, "float32"),
           (lambda: _call_rope(6, offset=1.5)(fn.zeros((2, 4, 6))), TypeError, "offset must be an integer"),
       )),
    op("rope[traditional]", _call_rope(6, traditional=True, scale=0.5, offset=3),
       lambda x: _rope(x, 6, True, _from_base(6, 100.0), 0.5, 3), TOKENS, tolerance=32),
    op("rope[part]", _call_rope(4, offset=-2), lambda x: _rope(x, 4, False, _from_base(4, 100.0), 1.0, -2), TOKENS, tolerance=16),
    op("rope[offsets]", lambda x, o: _call_rope(6)(x, offset=o), lambda x, o: _rope(x, 6, False, _from_base(6, 100.0), 1.0, o),
       (TOKENS, In((2,), 0, 9, dtype="int32")), (TOKENS, In((), 0, 9, dtype="int32")), tolerance=64),
    op("rope[freqs]", lambda x, f: _call_rope(6, base=None)(x, freqs=f), lambda x, f: _rope(x, 6, False, 1 / f),
       (TOKENS, In((3,), 1.0, 2.0)), dtypes=("float32", "float64"), tolerance=32),
]  # fmt: skip


def _cross_entropy(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    most = x.max(-1, keepdims=True)
    total = np.log(np.exp(x - most).sum(-1)) + most[..., 0]
    return total - np.take_along_axis(x, t[..., None], -1)[..., 0]


LOSSES = [
    op("fast.cross_entropy", fn.fast.cross_entropy, _cross_entropy, (In((3, 5)), In((3,), 0, 4, dtype="int32")),
       (In((5,)), In((), 0, 4, dtype="int64")), (In((0, 5)), In((0,), 0, 4, dtype="int32")),
       (In((2, 3, 4)), In((2, 3), 0, 3, dtype="uint8")), dtypes=("float32", "float64"), tolerance=16,
       errors=(
           (lambda: fn.fast.cross_entropy(fn.zeros((3, 5)), fn.zeros((3,))), ValueError, "integer dtype, got float32"),
           (lambda: fn.fast.cross_entropy(fn.zeros((3, 5)), fn.zeros((2,), fn.int32)), ValueError, r"\(3, 5\).*\(2,\)"),
           (lambda: fn.fast.cross_entropy(fn.zeros((3, 5), fn.int32), fn.zeros((3,), fn.int32)), ValueError, "got int32"),
           (lambda: fn.fast.cross_entropy(fn.zeros((3, 0)), fn.zeros((3,), fn.int32)), ValueError, "no classes"),
       )),
]  # fmt: skip


def _delta(q: Any, k: Any, v: Any, gamma: Any, beta: Any, state: Any = None, mask: Any = None) -> tuple[Any, Any]:
    group = v.shape[2] // k.shape[2]
    q, k = np.repeat(q, group, 2), np.repeat(k, group, 2)
    s = np.zeros((v.shape[0], v.shape[2], v.shape[3], k.shape[3])) if state is None else state
    out = np.zeros(v.shape)
    for t in range(v.shape[1]):
        decay = gamma[:, t, :, None, None] if gamma.ndim == 3 else gamma[:, t, :, None, :]
        kept = s * decay
        error = beta[:, t, :, None] * (v[:, t] - np.einsum("bhed,bhd->bhe", kept, k[:, t]))
        new = kept + error[..., None] * k[:, t, :, None, :]
        y = np.einsum("bhed,bhd->bhe", new, q[:, t])
        counts = np.ones(len(v), bool) if mask is None else mask[:, t].astype(bool)
        s = np.where(counts[:, None, None, None], new, s)
        out[:, t] = np.where(counts[:, None, None], y, 0.0)
    return out, s


STEPS = (
    In((2, 3, 1, 4), -0.5, 0.5),
    In((2, 3, 1, 4), -0.5, 0.5),
    In((2, 3, 2, 3)),
    In((2, 3, 2), 0.5, 1),
    In((2, 3, 2), 0, 1),
)
LONGER = (
    In((1, 18, 1, 2), -0.5, 0.5),
    In((1, 18, 1, 2), -0.5, 0.5),
    In((1, 18, 1, 2)),
    In((1, 18, 1), 0.5, 1),
    In((1, 18, 1), 0, 1),
)
DELTA = [
    op("gated_delta_update", fn.fast.gated_delta_update, _delta, STEPS, (*STEPS, In((2, 2, 3, 4))),
       (*STEPS[:3], In((2, 3, 2, 4), 0.5, 1), STEPS[4]),
       LONGER,
       (In((1, 0, 1, 4)), In((1, 0, 1, 4)), In((1, 0, 2, 3)), In((1, 0, 2)), In((1, 0, 2)), In((1, 2, 3, 4))),
       dtypes=("float32", "float64"), tolerance=64,
       errors=(
           (lambda: fn.fast.gated_delta_update(*_zeros((2, 3, 1, 4), (2, 3, 1, 5), (2, 3, 2, 3), (2, 3, 2), (2, 3, 2))),
            ValueError, r"q must have shape \(2, 3, 1, 5\)"),
           (lambda: fn.fast.gated_delta_update(*_zeros((2, 3, 2, 4), (2, 3, 2, 4), (2, 3, 3, 3), (2, 3, 3), (2, 3, 3))),
            ValueError, "multiple"),
           (lambda: fn.fast.gated_delta_update(*_zeros((2, 3, 4), (2, 3, 1, 4), (2, 3, 2, 3), (2, 3, 2), (2, 3, 2))),
            ValueError, "four axes"),
           (lambda: fn.fast.gated_delta_update(
               *_zeros((2, 3, 1, 4), (2, 3, 1, 4), (2, 3, 2, 3), (2, 3, 2), (2, 3, 2)), mask=fn.ones((3, 2))), ValueError, "mask"),
       )),
    op("gated_delta_update[mask]", lambda *x: fn.fast.gated_delta_update(*x[:5], mask=x[5]),
       lambda *x: _delta(*x[:5], mask=x[5]), (*STEPS, In((2, 3), 0, 1, dtype="bool_")),
       (*LONGER, In((1, 18), 0, 1, dtype="bool_")), dtypes=("float32", "float64"), tolerance=64),
]  # fmt: skip

ROWS: list[Op] = [*ATTENTION, *NORMS, *ROPE, *LOSSES, *DELTA]

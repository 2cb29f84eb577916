"""Functions of funcnn.fast that the planner fuses: plans, memory, edges, and agreement with MLX where it is installed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import funcnn as fn
from widest import doubled

X = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)
GAIN, BIAS = np.random.default_rng(1).normal(size=(2, 256)).astype(np.float32)


def kernels(f: Any, *args: fn.array) -> int:
    """How many kernels a plan has."""
    return len(re.findall(r"^\[\d+\]", str(fn.explain(f)(*args)), re.MULTILINE))


NORMS = {
    "rms_norm": (lambda x, w: fn.fast.rms_norm(x, w, 1e-5), (X, GAIN)),
    "layer_norm": (lambda x, w, b: fn.fast.layer_norm(x, w, b, 1e-5), (X, GAIN, BIAS)),
}


@pytest.mark.on_cpu  # a GPU reduces rows and columns apart
@pytest.mark.parametrize("name", NORMS)
def test_normalisations_are_one_kernel_and_so_are_their_gradients(name: str) -> None:
    f, given = NORMS[name]
    args = [fn.array(x) for x in given]
    assert kernels(f, *args) == 1
    ct = fn.array(X[::-1].copy())
    assert kernels(lambda ct, *args: fn.vjp(f, *args)[1](ct), ct, *args) == 1


@pytest.mark.parametrize("given", [float, fn.array])
def test_rms_norm_has_a_derivative_by_eps(given: Any) -> None:
    x = X.astype(np.float64)
    slope = -0.5 * (x.sum(-1) * ((x * x).mean(-1) + 1e-3) ** -1.5).sum()
    found = fn.grad(lambda eps: fn.fast.rms_norm(fn.array(X), None, eps).sum())(given(1e-3))
    np.testing.assert_allclose(found.item(), slope, rtol=1e-4)


def test_rope_is_one_kernel_beside_its_angles() -> None:
    x = fn.zeros((2, 8, 64, 32))
    rotate = lambda x: fn.fast.rope(x, 32, traditional=False, base=1e4, scale=1.0, offset=0)  # noqa: E731
    listing = str(fn.explain(rotate)(x))
    assert len(re.findall(r"^\[\d+\] fused", listing, re.MULTILINE)) == kernels(rotate, x)
    assert len(re.findall(rf"load .*\[{x.size}:1\]|store .*\[{x.size}:1\]", listing)) == 2


@pytest.mark.immediate
def test_cross_entropy_keeps_neither_softmax_nor_logits() -> None:
    tokens, classes = 1024, 4096
    logits = fn.random.normal(fn.random.key(0), (tokens, classes))
    targets = fn.zeros((tokens,), fn.int32)
    fn.eval(logits, targets)

    def peak(f: Any) -> int:
        before = fn.get_active_memory()
        fn.reset_peak_memory()
        fn.eval(f(logits))
        return fn.get_peak_memory() - before

    def loss(logits: fn.array) -> fn.array:
        return fn.fast.cross_entropy(logits, targets).mean()

    assert peak(loss) < logits.nbytes / 16
    assert peak(fn.grad(loss)) < logits.nbytes * 1.1
    # A vocabulary behind its projection: the logits are written once, and their gradient takes their place.
    hidden, head = fn.random.normal(fn.random.key(1), (tokens, 32)), fn.random.normal(fn.random.key(2), (32, classes))
    fn.eval(hidden, head)
    before = fn.get_active_memory()
    fn.reset_peak_memory()
    fn.eval(fn.grad(lambda h, w: loss(h @ w), (0, 1))(hidden, head))
    assert fn.get_peak_memory() - before < logits.nbytes * 1.3


def test_cross_entropy_edges() -> None:
    inf = float("inf")
    rows = fn.array([[0.0, -inf, -inf], [-inf, 0.0, 0.0], [1e4, 0.0, 0.0], [0.0, 1e-4, -40.0], [0.0, 0.0, inf]])
    losses = fn.fast.cross_entropy(rows, fn.array([0, 0, 0, 2, 0])).tolist()
    assert losses[:3] == [0.0, inf, 0.0] and np.isnan(losses[4])
    assert losses[3] == pytest.approx(40 + np.log(2 + 1e-4), rel=1e-6)
    for wrong in (-1, 3, 100):
        assert np.isnan(fn.fast.cross_entropy(rows[0], fn.array(wrong)).item())
    half = fn.fast.cross_entropy(fn.array([1.0, 2.0], fn.float16), fn.array(0))
    assert half.dtype == fn.float32 and half.item() == pytest.approx(np.log1p(np.e), rel=1e-6)


def test_sixteen_bit_norms_are_rounded_once() -> None:
    x = fn.array(X).astype(fn.bfloat16)
    for got in (fn.fast.rms_norm(x, None, 1e-5), fn.fast.layer_norm(x, None, None, 1e-5)):
        assert got.dtype == fn.bfloat16
    exact = fn.fast.rms_norm(x.astype(fn.float32), None, 1e-5).astype(fn.bfloat16)
    np.testing.assert_array_equal(*(np.asarray(v.astype(fn.float32)) for v in (fn.fast.rms_norm(x, None, 1e-5), exact)))
    # Squares that float16 does not hold.
    large = fn.fast.rms_norm(fn.array([300.0, -300.0], fn.float16), None, 0.0)
    assert large.tolist() == [1.0, -1.0]
    assert fn.fast.layer_norm(fn.array([1, 3]), None, None, 0.0).dtype == fn.float32


@pytest.mark.parametrize("traditional", [False, True])
def test_rope_of_one_place_rotates_every_batch_and_head_alike(traditional: bool) -> None:
    x = fn.broadcast_to(fn.array(np.arange(8, dtype=np.float32)), (3, 4, 1, 8))
    options = {"traditional": traditional, "base": 1e4, "scale": 1.0}
    y = np.asarray(fn.fast.rope(x, 8, offset=6, **options))
    assert (y == y[0, 0]).all()
    longer = np.asarray(fn.fast.rope(fn.broadcast_to(x, (3, 4, 7, 8)), 8, offset=0, **options))
    np.testing.assert_allclose(y[:, :, 0], longer[:, :, 6], rtol=1e-6)
    offsets = np.asarray(fn.fast.rope(x, 8, offset=fn.array([6, 0, 6]), **options))
    np.testing.assert_array_equal(offsets[0], y[0])
    np.testing.assert_allclose(offsets[1, 0, 0], np.arange(8), rtol=1e-6)


def test_rope_of_float16_keeps_far_places_apart() -> None:
    # Places beyond 2048 are no numbers of float16.
    x = fn.ones((1, 1, 2, 4), fn.float16)
    y = fn.fast.rope(x, 4, traditional=False, base=1e4, scale=1.0, offset=4096)
    with fn.default_device("cpu"):
        exact = fn.fast.rope(doubled(x), 4, traditional=False, base=1e4, scale=1.0, offset=4096)
    np.testing.assert_allclose(np.asarray(y), np.asarray(exact), atol=2e-3)


def test_a_masked_step_of_the_delta_rule_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    q, k = (fn.array(0.3 * rng.normal(size=(2, 6, 1, 8)), fn.float32) for _ in range(2))
    v = fn.array(rng.normal(size=(2, 6, 2, 4)), fn.float32)
    gamma, beta = (fn.array(rng.uniform(0.5, 1.0, (2, 6, 2)), fn.float32) for _ in range(2))
    kept = [0, 1, 4]
    mask = np.zeros((2, 6), bool)
    mask[:, kept] = True
    y, state = fn.fast.gated_delta_update(q, k, v, gamma, beta, mask=fn.array(mask))
    short, last = fn.fast.gated_delta_update(*(x[:, kept] for x in (q, k, v, gamma, beta)))
    np.testing.assert_allclose(np.asarray(state), np.asarray(last), rtol=1e-6)
    np.testing.assert_allclose(np.asarray(y)[:, kept], np.asarray(short), rtol=1e-6)
    assert (np.asarray(y)[:, ~mask[0]] == 0).all()


def test_an_empty_batch_goes_through_rope_and_the_delta_rule() -> None:
    x = fn.zeros((0, 2, 3, 4))
    assert fn.fast.rope(x, 4, traditional=False, base=1e4, scale=1.0, offset=fn.zeros(0, fn.int32)).shape == x.shape
    q, v, factor = fn.zeros((0, 17, 1, 2)), fn.zeros((0, 17, 2, 3)), fn.zeros((0, 17, 2))
    y, state = fn.fast.gated_delta_update(q, q, v, factor, factor)
    assert y.shape == v.shape and state.shape == (0, 2, 3, 2)


def test_functions_agree_with_mlx() -> None:
    mx = pytest.importorskip("mlx.core")
    rng = np.random.default_rng(3)

    def same(call: Any, *arrays: Any, rtol: float = 2e-5) -> None:
        theirs = call(mx, *(mx.array(x) for x in arrays))
        ours = call(fn, *(fn.array(x) for x in arrays))
        many = isinstance(ours, tuple)
        for a, b in zip(ours if many else [ours], theirs if many else [theirs], strict=True):
            assert str(a.dtype).split(".")[-1] == str(b.dtype).split(".")[-1] and a.shape == tuple(b.shape)
            np.testing.assert_allclose(np.asarray(a), np.array(b), rtol=rtol, atol=rtol)

    x = rng.normal(size=(2, 4, 5, 8)).astype(np.float32)
    k, v = rng.normal(size=(2, 2, 2, 7, 8)).astype(np.float32)
    mask, sinks = rng.normal(size=(4, 1, 7)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    same(lambda m, q, k, v: m.fast.scaled_dot_product_attention(q, k, v, scale=0.5, mask="causal"), x, k, v)
    same(lambda m, q, k, v, a: m.fast.scaled_dot_product_attention(q, k, v, scale=0.5, mask=a), x, k, v, mask)
    same(lambda m, q, k, v, s: m.fast.scaled_dot_product_attention(q, k, v, scale=0.5, sinks=s), x, k, v, sinks)
    same(
        lambda m, q, k, v: m.fast.scaled_dot_product_attention(q, k, v, scale=0.5),
        *(a.astype(np.float16) for a in (x, k, v)),
        rtol=2e-3,
    )
    for traditional in (False, True):
        for offset in (3, np.array([1, 7])):
            same(lambda m, a, *o, t=traditional, i=offset: m.fast.rope(a, 6, traditional=t, base=100.0, scale=0.5, offset=o[0] if o else i),
                 x, *([] if isinstance(offset, int) else [offset]))  # fmt: skip
    same(
        lambda m, a, f: m.fast.rope(a, 8, traditional=False, base=None, scale=1.0, offset=2, freqs=f),
        x,
        np.array([1.0, 2.0, 5.0, 9.0], np.float32),
    )
    same(lambda m, a, w: m.fast.rms_norm(a, w, 1e-5), x, np.arange(8, dtype=np.float32))
    same(
        lambda m, a, w: m.fast.layer_norm(a, w, None, 1e-5),
        x.astype(np.float16),
        np.arange(8, dtype=np.float32),
        rtol=2e-3,
    )
    same(lambda m, a, t: m.fast.cross_entropy(a, t), x, rng.integers(0, 8, (2, 4, 5)))
    q, key = (0.3 * rng.normal(size=(2, 2, 6, 2, 8))).astype(np.float32)
    value, gates = (
        rng.normal(size=(2, 6, 4, 3)).astype(np.float32),
        rng.uniform(0.2, 1.0, (2, 2, 6, 4)).astype(np.float32),
    )
    state, steps = rng.normal(size=(2, 4, 3, 8)).astype(np.float32), rng.random((2, 6)) < 0.7
    same(lambda m, *a: tuple(m.fast.gated_delta_update(*a)), q, key, value, *gates)
    same(lambda m, *a: tuple(m.fast.gated_delta_update(*a)), q, key, value, *gates, state, steps)

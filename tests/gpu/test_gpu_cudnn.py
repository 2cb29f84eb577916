"""Attention of short floats on a GPU of NVIDIA against NumPy in float64: FUNCNN_CUDA=cudnn gives cuDNN what it can be
given, FUNCNN_CUDA=cudnn,cudnnparts one head at a time. What holds of it holds of our kernels, too, so the tests ask for
nothing.
"""

import threading

import numpy as np
import pytest
from test_gpu_cuda import there_is_a_gpu

import funcnn as fn
from attention_oracle import attention

pytestmark = pytest.mark.skipif(not there_is_a_gpu(), reason="there is no GPU of NVIDIA")
TOLERANCE = {"float16": 2e-3, "bfloat16": 1.5e-2}


def drawn(dtype, *shapes):
    rng = np.random.default_rng(sum(map(sum, shapes)))
    return [fn.device_put(fn.array(rng.standard_normal(shape), getattr(fn, dtype)), "gpu") for shape in shapes]


def wide(x):
    return np.asarray(x.astype(fn.float32)).astype(np.float64)


def near(got, expected, dtype):
    assert got.shape == expected.shape and got.device == fn.gpu
    # Before one key alone the derivative by queries is zero.
    size = max(np.abs(expected).max(), 1e-2)
    np.testing.assert_allclose(wide(got), expected, rtol=0, atol=TOLERANCE[dtype] * size)


def attend(q, k, v, causal=False, scale=0.1):
    return fn.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask="causal" if causal else None)


def derivatives(q, k, v, ct, causal, scale=0.1):
    group = q.shape[1] // k.shape[1]
    all_k, all_v = np.repeat(k, group, 1), np.repeat(v, group, 1)
    s = scale * q @ all_k.swapaxes(2, 3)
    if causal:
        queries, keys = s.shape[2:]
        s = np.where(np.arange(keys) <= np.arange(queries)[:, None] + keys - queries, s, -np.inf)
    p = np.exp(s - s.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    dp = ct @ all_v.swapaxes(2, 3)
    ds = scale * p * (dp - (p * dp).sum(-1, keepdims=True))

    def gathered(x):
        return x.reshape(x.shape[0], -1, group, *x.shape[2:]).sum(2)

    return ds @ all_k, gathered(ds.swapaxes(2, 3) @ q), gathered(p.swapaxes(2, 3) @ ct)


def check(q, k, v, ct, causal, dtype):
    def run():
        y, pullback = fn.vjp(lambda *a: attend(*a, causal), q, k, v)
        made = [y, *pullback(ct)]
        fn.eval(*made)
        return made

    got, host = run(), [wide(x) for x in (q, k, v, ct)]
    expected = [attention(*host[:3], 0.1, "causal" if causal else None), *derivatives(*host, causal)]
    for one, other in zip(got, expected, strict=True):
        near(one, other, dtype)
    for one, other in zip(got, run(), strict=True):
        np.testing.assert_array_equal(wide(one), wide(other))


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("heads", "queries", "keys", "features"),
    [
        ((3, 3), 512, 512, 64),
        ((2, 2), 640, 640, 128),
        ((2, 2), 500, 500, 64),
        ((2, 2), 257, 515, 64),
        ((4, 2), 256, 384, 128),
        ((6, 1), 192, 192, 64),
        ((2, 2), 128, 128, 96),
        ((2, 2), 64, 1, 64),
    ],
)
def test_values_and_derivatives(dtype, causal, heads, queries, keys, features):
    of_q, of_k = (2, heads[0], queries, features), (2, heads[1], keys, features)
    if not causal or queries <= keys:
        check(*drawn(dtype, of_q, of_k, of_k, of_q), causal, dtype)


@pytest.mark.parametrize("causal", [False, True])
def test_operands_as_they_lie(causal):
    (x, ct) = drawn("bfloat16", (2, 192, 3, 4, 64), (2, 192, 4, 64))
    q, k, v = (fn.swapaxes(x[:, :, i], 1, 2) for i in range(3))
    check(q, k, v, fn.swapaxes(ct, 1, 2), causal, "bfloat16")
    shape = (2, 4, 192, 64)
    flat = drawn("bfloat16", (2 * 4 * 192 * 64 + 8,))[0]
    for first in (1, 4, 8):
        moved = flat[first : first + 2 * 4 * 192 * 64].reshape(shape)
        check(moved, k, v, moved, causal, "bfloat16")
    long = drawn("bfloat16", (2, 4, 400, 64))[0]
    check(long[:, :, 5:197], long[:, ::2, ::2][:, :, :192], long[:, 1::2, 1:385:2], q, causal, "bfloat16")
    odd = drawn("bfloat16", (2, 4, 192, 70))[0]
    check(odd[..., 3:67], odd[..., :64], v, odd[..., 6:], causal, "bfloat16")


def test_where_operands_begin_is_not_in_the_bits():
    q, k, v = drawn("float16", (1, 2, 512, 64), (1, 2, 512, 64), (1, 2, 512, 64))
    expected = np.asarray(attend(q, k, v, True)).tobytes()
    for before in range(1, 4):
        held = fn.concatenate([fn.zeros(before, fn.float16, device="gpu"), q.reshape(-1)])
        assert np.asarray(attend(held[before:].reshape(q.shape), k, v, True)).tobytes() == expected


def test_batched_and_in_loops():
    a, b, c, ct = drawn("float16", *[(3, 2, 2, 256, 64)] * 4)
    got = fn.vmap(attend)(a, b, c)
    for i in range(3):
        near(got[i], attention(wide(a[i]), wide(b[i]), wide(c[i]), 0.1), "float16")
    rows = fn.scan(lambda s, t: (s, attend(*t)), fn.array(0.0), (a, b, c))[1]
    near(rows, wide(got), "float16")

    def loss(q, k, v, ct):
        return (attend(q, k, v, True) * ct).sum()

    made = fn.vmap(fn.grad(loss, argnums=(0, 1, 2)))(a, b, c, ct)
    for i in range(3):
        expected = derivatives(*(wide(x[i]) for x in (a, b, c, ct)), True)
        for one, other in zip(made, expected, strict=True):
            near(one[i], other, "float16")


def test_compiled_and_repeated():
    q, k, v, ct = drawn("bfloat16", *[(2, 3, 256, 64)] * 4)
    host = [wide(x) for x in (q, k, v, ct)]

    @fn.compile
    def step(q, k, v, ct, i):
        y, pullback = fn.vjp(lambda *a: attend(*a, True), q, k, v)
        before = fn.sort(fn.cumsum(q.astype(fn.float32), 1), 1)
        return (before, y, *(x.astype(fn.float32) * i for x in pullback(ct)), fn.sort(before + i, 2))

    expected = derivatives(*host, True)
    for i in range(1, 9):
        got = step(q, k, v, ct, fn.array(float(i)))
        near(got[1], attention(*host[:3], 0.1, "causal"), "bfloat16")
        for one, other in zip(got[2:5], expected, strict=True):
            near(one, other * i, "bfloat16")


def test_second_derivatives():
    q, k, v, ct = drawn("float16", *[(1, 2, 64, 64)] * 4)

    def f(q):
        return (
            fn.grad(lambda q: (attend(q, k, v, True) * ct).astype(fn.float32).sum())(q).astype(fn.float32) ** 2
        ).sum()

    there = fn.grad(f)(q)
    with fn.default_device("cpu"):
        q, k, v, ct = (fn.device_put(x, "cpu") for x in (q, k, v, ct))
        expected = wide(fn.grad(f)(q))
    np.testing.assert_allclose(wide(there), expected, rtol=0, atol=2e-2 * np.abs(expected).max())


def test_several_threads():
    operands = [drawn("float16", *[(2, 2, 128 + 64 * i, 64)] * 4) for i in range(3)]
    expected = [derivatives(*(wide(x) for x in o), True) for o in operands]
    failed = []

    def work(i):
        try:
            for _ in range(5):
                _, pullback = fn.vjp(lambda *a: attend(*a, True), *operands[i][:3])
                for one, other in zip(pullback(operands[i][3]), expected[i], strict=True):
                    near(one, other, "float16")
        except Exception as e:
            failed.append(e)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed


def test_many_heads_of_long_rows():
    # More than the memory for scores, of which one head is looked at.
    q, k, v, ct = drawn("bfloat16", *[(1, 9, 6144, 64)] * 4)
    y, pullback = fn.vjp(lambda *a: attend(*a, True), q, k, v)
    made = pullback(ct)
    for head in (0, 4, 8):
        alone = [x[:, head : head + 1] for x in (q, k, v, ct)]
        _, own = fn.vjp(lambda *a: attend(*a, True), *alone[:3])
        for one, other in zip(made, own(alone[3]), strict=True):
            near(one[:, head : head + 1], wide(other), "bfloat16")
    near(
        y[:, :1, :64],
        attention(wide(q)[:, :1, :64], wide(k)[:, :1, :64], wide(v)[:, :1, :64], 0.1, "causal"),
        "bfloat16",
    )

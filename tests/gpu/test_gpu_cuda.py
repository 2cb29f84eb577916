"""CUDA on a GPU: memory, transfers, products of cuBLASLt with what follows them, threads, repeated runs."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import funcnn as fn


def there_is_a_gpu():
    words = set(os.environ.get("FUNCNN_CUDA", "").split(","))
    if os.environ.get("FUNCNN_METAL") or words & {"off", "compile"} or sys.platform == "darwin":
        return False
    try:
        fn.device_put(fn.array([1.0]), "gpu")
    except ValueError:
        return False
    return True


pytestmark = pytest.mark.skipif(not there_is_a_gpu(), reason="there is no GPU of NVIDIA")
RNG = np.random.default_rng(0)


def on_gpu(x, dtype=None):
    return fn.device_put(fn.array(x, dtype) if dtype else fn.array(x), "gpu")


# Around the sizes at which copies change their way.
@pytest.mark.parametrize("size", [1, 16383, 16384, 16385, (4 << 20) // 4, (4 << 20) // 4 + 1, (17 << 20) // 4 + 3])
def test_arrays_come_back_as_they_went(size):
    x = RNG.integers(-(2**31), 2**31, size).astype(np.int32)
    np.testing.assert_array_equal(np.asarray(on_gpu(x)), x)
    np.testing.assert_array_equal(np.asarray(on_gpu(x) + on_gpu(x)), x + x)


def test_an_upload_may_be_followed_by_a_change_of_its_source():
    x = np.zeros(1 << 22, np.float32)
    copies = []
    for i in range(8):
        x[:] = i
        copies.append(on_gpu(x.copy()))
    for i, copy in enumerate(copies):
        assert (np.asarray(copy) == i).all()


def test_memory_that_is_not_there_is_a_memory_error():
    with pytest.raises(MemoryError):
        fn.eval(on_gpu([1.0]) * fn.zeros(1 << 42, device="gpu"))
    np.testing.assert_array_equal(np.asarray(on_gpu([1.0, 2.0]) * 2), [2, 4])


def test_memory_is_used_again():
    fn.eval(on_gpu(np.ones(1 << 20, np.float32)) + 1)
    fn.reset_peak_memory("gpu")
    before = fn.get_peak_memory("gpu")
    for _ in range(100):
        fn.eval(on_gpu(np.ones(1 << 20, np.float32)) + 1)
    assert fn.get_peak_memory("gpu") - before < 32 << 20
    fn.clear_cache("gpu")
    assert fn.get_cache_memory("gpu") == 0


def layouts(x):
    """The same matrices lying otherwise."""
    yield "dense", fn.array(x, fn.float64)
    yield "transposed", fn.swapaxes(fn.array(np.ascontiguousarray(np.swapaxes(x, -1, -2)), fn.float64), -1, -2)
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    yield "steps of two", fn.array(wide, fn.float64)[..., ::2]
    room = np.zeros((*x.shape[:-1], x.shape[-1] + 1), x.dtype)
    room[..., 1:] = x
    yield "begins in between", fn.array(room, fn.float64)[..., 1:]
    yield "backwards", fn.array(np.ascontiguousarray(x[..., ::-1, :]), fn.float64)[..., ::-1, :]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "complex64"])
@pytest.mark.parametrize("m, k, n", [(5, 7, 3), (64, 128, 32), (129, 65, 257)])
def test_products_of_matrices_however_they_lie(dtype, m, k, n):
    kind = getattr(fn, dtype)
    a, b = RNG.normal(size=(m, k)), RNG.normal(size=(k, n))
    expected = a @ b
    tolerance = {"float16": 2e-2, "bfloat16": 1e-1, "float64": 1e-12}.get(dtype, 1e-4)
    for name_a, x in layouts(a):
        for name_b, y in layouts(b):
            with fn.default_device("gpu"):
                got = fn.device_put(x, "gpu").astype(kind) @ fn.device_put(y, "gpu").astype(kind)
                # views of arrays of this dtype, too
                views = fn.matmul(fn.device_put(x.astype(kind), "gpu"), fn.device_put(y.astype(kind), "gpu"))
            for z in (got, views):
                z = fn.device_put(z, "cpu")
                z = np.asarray(z if dtype in ("float64", "complex64") else z.astype(fn.float32))
                np.testing.assert_allclose(z, expected, rtol=0, atol=tolerance * k**0.5, err_msg=f"{name_a} {name_b}")


def test_batches_of_products():
    a, b = RNG.normal(size=(4, 6, 5, 17)).astype(np.float32), RNG.normal(size=(4, 6, 17, 9)).astype(np.float32)
    x, y = on_gpu(a), on_gpu(b)
    cases = {
        "one axis": (x, y, a @ b),
        "shared": (x, y[0, 0], a @ b[0, 0]),
        "shared along one": (x, y[:1], a @ b[:1]),
        "shared on the left": (x[:, :1], y, a[:, :1] @ b),
        "exchanged": (fn.swapaxes(x, 0, 1), fn.swapaxes(y, 0, 1), a.swapaxes(0, 1) @ b.swapaxes(0, 1)),
        "one exchanged": (fn.swapaxes(x, 0, 1)[:4, :4], y[:, :4], a.swapaxes(0, 1)[:4, :4] @ b[:, :4]),
        "transposed": (
            fn.swapaxes(y, 2, 3),
            fn.swapaxes(x, 2, 3),
            b.swapaxes(2, 3) @ a.swapaxes(2, 3),
        ),
        "every second": (x[:, ::2], y[:, 1::2], a[:, ::2] @ b[:, 1::2]),
        "heads": (
            fn.transpose(fn.reshape(x, (4, 6, 5, 17)), (0, 2, 1, 3)),
            fn.transpose(fn.reshape(x, (4, 6, 5, 17)), (0, 2, 3, 1)),
            a.transpose(0, 2, 1, 3) @ a.transpose(0, 2, 3, 1),
        ),
    }
    for name, (left, right, expected) in cases.items():
        np.testing.assert_allclose(np.asarray(left @ right), expected, rtol=1e-4, atol=1e-4, err_msg=name)


def test_many_batch_axes_that_are_no_one_axis():
    a = RNG.normal(size=(20, 3, 4, 5)).astype(np.float32)
    x = on_gpu(a)
    left, right = fn.swapaxes(x, 0, 1), fn.swapaxes(fn.swapaxes(x, 0, 1), 2, 3)
    expected = a.swapaxes(0, 1) @ a.swapaxes(0, 1).swapaxes(2, 3)
    np.testing.assert_allclose(np.asarray(left @ right), expected, rtol=1e-4, atol=1e-4)


def test_repeated_numbers_and_rows_are_factors():
    b = RNG.normal(size=(6, 5)).astype(np.float32)
    ones = fn.broadcast_to(on_gpu(2.0), (4, 6))
    np.testing.assert_allclose(np.asarray(ones @ on_gpu(b)), np.full((4, 6), 2) @ b, rtol=1e-5, atol=1e-5)
    row = fn.broadcast_to(on_gpu(b[0]), (6, 5))
    np.testing.assert_allclose(np.asarray(on_gpu(b).T @ row), b.T @ np.broadcast_to(b[0], (6, 5)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype, unit", [("float32", 2**-24), ("float16", 2**-11), ("bfloat16", 2**-8)])
@pytest.mark.parametrize("m, k, n", [(64, 48, 80), (130, 65, 257), (1024, 768, 512)])
def test_what_is_added_to_products(dtype, unit, m, k, n):
    """By the library: a sum in float32, which is rounded once; the same bits each time."""
    kind = getattr(fn, dtype)

    def draw(*shape):
        x = fn.device_put(fn.array(RNG.normal(size=shape), fn.float32).astype(kind), "gpu")
        return np.asarray(fn.device_put(x, "cpu").astype(fn.float64)), x

    (a, x), (w, y), (b, v), (c, z) = draw(m, k), draw(n, k), draw(2 * n), draw(m, n)
    product, sizes = a @ w.T, np.abs(a) @ np.abs(w.T) + 10
    vector, odd = v[n:], v[1 : n + 1]  # the latter begins in between
    cases = {
        "vector": (lambda: x @ y.T + vector, product + b[n:]),
        "odd vector": (lambda: x @ y.T + odd, product + b[1 : n + 1]),
        "matrix": (lambda: z + x @ y.T, product + c),
        "both": (lambda: z + (x @ y.T + vector), product + b[n:] + c),
        "cut off": (lambda: fn.maximum(x @ y.T + vector, 0), np.maximum(product + b[n:], 0)),
        "batch": (lambda: fn.stack([x, x * 2]) @ fn.stack([y.T, y.T]) + z, np.stack([product, 2 * product]) + c),
        "rows": (lambda: x.reshape(2, m // 2, k) @ y.T + vector, (product + b[n:]).reshape(2, m // 2, n)),
    }
    for name, (f, expected) in cases.items():
        got = [np.asarray(fn.device_put(f(), "cpu").astype(fn.float64)) for _ in range(3)]
        terms = 2 * (k + 4) * 2**-24 * sizes.reshape(expected.shape[-2:] if name != "rows" else expected.shape)
        once = unit * np.abs(expected)
        # A matrix that is repeated is not the library's to add: the product is rounded before. So is the sum with a vector
        # in rows that do not begin at multiples of 16 bytes.
        if name == "batch" or (name == "both" and n % 8):
            once = 4 * unit * sizes
        assert (np.abs(got[0] - expected) <= once * 1.01 + terms).all(), name
        assert all((again == got[0]).all() for again in got[1:]), name


def test_a_least_number_other_than_zero():
    (a, x), (b, v) = ((h, on_gpu(h)) for h in (RNG.normal(size=s).astype(np.float32) for s in ((40, 40), (40,))))
    f = fn.compile(lambda x, v, least: fn.maximum(x @ x + v, least))
    for least in (0, 0.5, 0, -1):
        expected = np.maximum(a.astype(np.float64) @ a + b, least)
        np.testing.assert_allclose(np.asarray(f(x, v, fn.array(least, fn.float32))), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_nan_and_infinity_beside_what_is_cut_off(dtype):
    a = RNG.normal(size=(64, 64)).astype(np.float32)
    a[3, 5], a[7, 2] = np.nan, np.inf
    w = np.abs(RNG.normal(size=(64, 64))).astype(np.float32)
    x, y = on_gpu(a).astype(getattr(fn, dtype)), on_gpu(w).astype(getattr(fn, dtype))
    got = np.asarray(fn.device_put(fn.maximum(x @ y + y[0], 0), "cpu").astype(fn.float32))
    assert np.isnan(got[3]).all() and np.isposinf(got[7]).all()
    assert np.isfinite(np.delete(got, (3, 7), 0)).all() and (got[np.isfinite(got)] >= 0).all()


def test_runs_are_equal_to_the_bit():
    a, b = (on_gpu(RNG.normal(size=(1000, 1000)).astype(np.float32)) for _ in range(2))

    def f(a, b):
        y = fn.softmax(a @ b, axis=-1)
        return y.sum(0), y.sum(), fn.grad(lambda a: ((a @ b) ** 2).sum())(a)

    first = [np.asarray(x) for x in f(a, b)]
    for _ in range(5):
        for x, y in zip(first, f(a, b), strict=True):
            np.testing.assert_array_equal(x, np.asarray(y))


def test_work_that_repeats_is_the_same_work():
    """Steps are launched as graphs from the third on: with other numbers, and with buffers that take turns."""
    weights = [RNG.normal(size=s).astype(np.float32) * 0.1 for s in ((20, 30), (30, 30), (30, 5))]
    x = RNG.normal(size=(16, 20)).astype(np.float32)

    def loss(weights, x):
        for w in weights[:-1]:
            x = fn.tanh(x @ w)
        return ((x @ weights[-1]) ** 2).mean()

    def train(device):
        with fn.default_device(device):
            params, data = [fn.array(w) for w in weights], fn.array(x)

            @fn.compile
            def step(params, data, rate, i):
                value, grads = fn.value_and_grad(loss)(params, data + i)
                return value, [p - rate * g for p, g in zip(params, grads, strict=True)]

            kept, values = [], []
            for i in range(25):
                value, params = step(params, data, fn.array(0.1 / (1 + i)), i % 4)
                fn.eval(value, params)
                kept = [params, *kept][: i % 3]  # memory goes back in another order
                values.append(float(value))
        return values

    np.testing.assert_allclose(train("gpu"), train("cpu"), rtol=1e-4)


def test_loops_are_the_same_work():
    a = RNG.normal(size=(8, 8)).astype(np.float32)

    def body(carry, i):
        carry = fn.sort(fn.cumsum(carry, 1), 1) + i
        return fn.softmax(carry, 0), carry.sum(0)

    def run(device):
        with fn.default_device(device):
            loop = fn.compile(lambda a: fn.scan(body, a, fn.arange(100)))
            return [[np.asarray(x) for x in loop(fn.array(a) * k)] for k in (1, 2, 3, 4, 5)]

    for got, expected in zip(run("gpu"), run("cpu"), strict=True):
        for x, y in zip(got, expected, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-4)


def test_threads_share_the_gpu():
    failures = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(20):
            a = rng.normal(size=(33, 44)).astype(np.float32)
            got = np.asarray(fn.exp(on_gpu(a)) @ on_gpu(a).T)
            if not np.allclose(got, np.exp(a) @ a.T, rtol=1e-3, atol=1e-3):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_arrays_of_more_than_two_gigabytes():
    count = (1 << 31) + 5
    x = fn.full((count,), 3, fn.uint8, device="gpu")
    y = x + fn.array(4, fn.uint8)
    assert int(y[-1].item()) == 7 and int(y[0].item()) == 7
    assert int(fn.sum(y[(1 << 31) :].astype(fn.int32)).item()) == 35


def test_tf32_is_asked_for():
    program = """
import numpy as np, funcnn as fn
rng = np.random.default_rng(0)
a, b = rng.normal(size=(2, 512, 512))
with fn.default_device("gpu"):
    c = fn.array(a.astype(np.float32)) @ fn.array(b.astype(np.float32))
print(np.abs(np.asarray(c) - a @ b).max() / np.abs(a @ b).max())
"""

    def error(**environment):
        done = subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return float(done.stdout)

    assert error() < 1e-6
    assert 1e-5 < error(FUNCNN_TF32="1") < 1e-2

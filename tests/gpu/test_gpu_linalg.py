"""Decompositions by cuSOLVER on a GPU of NVIDIA against NumPy and SciPy in float64, at sizes that run there.

FUNCNN_CUDA=cusolver runs matrices of any size there, those with which the host is done sooner, too.
"""

import threading

import numpy as np
import pytest
import scipy.linalg
from test_gpu_cuda import there_is_a_gpu

import funcnn as fn
from funcnn import linalg
from funcnn.linalg import LinAlgError

pytestmark = pytest.mark.skipif(not there_is_a_gpu(), reason="there is no GPU of NVIDIA")
EPSILON = {"float32": 2.0**-23, "float64": 2.0**-52, "complex64": 2.0**-23}
DTYPES = list(EPSILON)
SHAPES = [(1, 1), (2, 2), (33, 33), (300, 300), (700, 700), (5, 31, 31), (2, 3, 64, 64), (3, 270, 270)]


def normal(*shape, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape)).astype(dtype) if dtype == "complex64" else x.astype(dtype)


def on_gpu(x):
    return fn.device_put(fn.array(x, getattr(fn, str(x.dtype))), "gpu")


def wide(x):
    """In double precision on the host."""
    if isinstance(x, fn.array):
        assert x.device == fn.gpu
    x = np.asarray(x)
    return x.astype(np.complex128 if np.iscomplexobj(x) else np.float64)


def adjoint(x):
    return x.swapaxes(-1, -2).conj()


def near(got, expected, dtype, scale=1.0, factor=50.0):
    """`scale`: the size of the numbers that were added up."""
    np.testing.assert_allclose(wide(got), expected, rtol=0, atol=factor * EPSILON[dtype] * max(scale, 1e-30))


def unitary(columns, dtype):
    n = columns.shape[-1]
    eye = np.broadcast_to(np.eye(n), (*columns.shape[:-2], n, n))
    near(adjoint(columns) @ columns, eye, dtype, max(1, columns.shape[-2]) ** 0.5)


def positive(shape, dtype, seed=0):
    x = normal(*shape, dtype=dtype, seed=seed)
    return (x @ adjoint(x) / shape[-1] + np.eye(shape[-1])).astype(dtype)


def twice(call):
    """What it gives, which is the same in every bit the second time."""
    first, second = call(), call()
    for a, b in zip(
        first if isinstance(first, tuple) else [first], second if isinstance(second, tuple) else [second], strict=True
    ):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    return first


def layouts(x):
    """The same matrices lying otherwise in the memory of the GPU."""
    yield on_gpu(x)
    yield on_gpu(np.ascontiguousarray(x.swapaxes(-1, -2))).swapaxes(-1, -2)
    if x.shape[-2] > 256:
        return
    rows = np.full((*x.shape[:-2], 2 * x.shape[-2], x.shape[-1] + 1), np.nan, x.dtype)
    rows[..., ::2, 1:] = x
    yield on_gpu(rows)[..., ::2, 1:]
    yield on_gpu(x[..., ::-1, ::-1].copy())[..., ::-1, ::-1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_cholesky(shape, dtype):
    x = positive(shape, dtype)
    for a in layouts(np.tril(x) + np.triu(np.full(shape, np.nan, dtype), 1)):
        lower = twice(lambda a=a: linalg.cholesky(a))
        assert not np.triu(np.asarray(lower), 1).any()
        near(lower, np.linalg.cholesky(wide(x)), dtype, 10)
    near(linalg.cholesky(on_gpu(x), upper=True), adjoint(np.linalg.cholesky(wide(x))), dtype, 10)


@pytest.mark.parametrize("shape", [*SHAPES, (40, 7), (7, 40), (500, 260), (260, 500), (2, 300, 280)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_lu(shape, dtype):
    x = normal(*shape, dtype=dtype)
    for a in layouts(x):
        p, lower, upper = twice(lambda a=a: linalg.lu(a))
        near(np.take_along_axis(wide(lower), np.asarray(p)[..., None], -2) @ wide(upper), wide(x), dtype, shape[-1])
        assert np.abs(np.asarray(lower)).max() <= 1.5
        assert (np.sort(np.asarray(p), -1) == np.arange(shape[-2])).all()
    factors, pivots = linalg.lu_factor(on_gpu(x))
    if len(shape) == 2 and dtype == "float64":
        expected, exchanged = scipy.linalg.lu_factor(x)
        np.testing.assert_array_equal(pivots, exchanged)
        near(factors, expected, dtype, 10 * shape[-1])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_systems(shape, dtype):
    n = shape[-1]
    x = (normal(*shape, dtype=dtype) + 4 * n**0.5 * np.eye(n)).astype(dtype)
    b = normal(*shape[:-1], 5, dtype=dtype, seed=1)
    for a, rhs in zip(layouts(x), layouts(b), strict=True):
        near(twice(lambda a=a, rhs=rhs: linalg.solve(a, rhs)), np.linalg.solve(wide(x), wide(b)), dtype)
        near(linalg.inv(a), np.linalg.inv(wide(x)), dtype)
        for upper in (False, True):
            part = (np.triu if upper else np.tril)(wide(x))
            got = twice(lambda a=a, rhs=rhs, upper=upper: linalg.solve_triangular(a, rhs, upper=upper))
            near(got, np.linalg.solve(part, wide(b)), dtype)
    a = on_gpu(x)
    near(linalg.slogdet(a).logabsdet, np.linalg.slogdet(wide(x))[1], dtype, 10 * n)


@pytest.mark.parametrize("shape", [*SHAPES, (40, 7), (7, 40), (500, 260), (260, 500), (2, 300, 280)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_qr(shape, dtype, mode):
    x = normal(*shape, dtype=dtype)
    for a in layouts(x):
        q, r = twice(lambda a=a: tuple(linalg.qr(a, mode=mode)))
        assert not np.tril(np.asarray(r), -1).any()
        near(wide(q) @ wide(r), wide(x), dtype, shape[-2] ** 0.5 * 4)
        unitary(wide(q), dtype)
    expected = np.linalg.qr(wide(x), mode=mode)[1]
    near(r, expected, dtype, 40 * max(shape[-2:]) ** 0.5, factor=500)  # signs, too


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_eigh(shape, dtype):
    x = positive(shape, dtype)
    values = np.linalg.eigvalsh(wide(x))
    for a in layouts(np.tril(x) + np.triu(np.full(shape, np.nan, dtype), 1)):
        w, v = twice(lambda a=a: tuple(linalg.eigh(a)))
        near(w, values, dtype, 10)
        near(wide(x) @ wide(v), wide(v) * wide(w)[..., None, :], dtype, 10)
        unitary(wide(v), dtype)
        near(twice(lambda a=a: linalg.eigvalsh(a)), values, dtype, 10)


@pytest.mark.parametrize("shape", [*SHAPES[:4], *SHAPES[5:7], (40, 7), (7, 40), (400, 330), (330, 400), (2, 70, 40)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("full", [False, True])
def test_svd(shape, dtype, full):
    x = normal(*shape, dtype=dtype)
    k, size = min(shape[-2:]), max(shape[-2:]) ** 0.5
    values = np.linalg.svd(wide(x), compute_uv=False)
    for a in layouts(x):
        u, s, vh = twice(lambda a=a: tuple(linalg.svd(a, full_matrices=full)))
        near(s, values, dtype, 4 * size)
        near(wide(u)[..., :k] * wide(s)[..., None, :] @ wide(vh)[..., :k, :], wide(x), dtype, 4 * size)
        unitary(wide(u), dtype)
        unitary(adjoint(wide(vh)), dtype)
        near(twice(lambda a=a: linalg.svdvals(a)), values, dtype, 4 * size)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [3, 40, 300])
def test_matrices_without_full_rank(n, dtype):
    """Zeros, equal values, and one direction alone."""
    one = normal(n, 1, dtype=dtype)
    for x in (np.zeros((n, n), dtype), np.eye(n, dtype=dtype), (one @ adjoint(one)).astype(dtype)):
        scale = max(1.0, np.abs(np.linalg.norm(wide(x), 2)))
        w, v = (wide(y) for y in linalg.eigh(on_gpu(x)))
        near(v * w @ adjoint(v), wide(x), dtype, scale)
        unitary(v, dtype)
        u, s, vh = (wide(y) for y in linalg.svd(on_gpu(x)))
        near(u * s @ vh, wide(x), dtype, scale)
        unitary(u, dtype)
        unitary(vh, dtype)
        q, r = (wide(y) for y in linalg.qr(on_gpu(x)))
        near(q @ r, wide(x), dtype, scale)
        unitary(q, dtype)
        p, lower, upper = linalg.lu(on_gpu(x))
        near(wide(lower)[np.asarray(p)] @ wide(upper), wide(x), dtype, scale)


@pytest.mark.parametrize("n", [3, 300])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_as_on_the_host(n, dtype, value):
    x = np.broadcast_to(positive((n, n), dtype), (4, n, n)).copy()
    x[2, n - 1, 1] = x[2, 1, n - 1] = value
    for name in ("cholesky", "inv", "qr", "svd", "svdvals", "eigh", "eigvalsh", "lu", "tri_inv"):
        with pytest.raises(LinAlgError, match=rf"{name}: the matrix at \(2,\) of an array of shape .*NaN"):
            got = getattr(linalg, name)(on_gpu(x))
            fn.eval(*(got if isinstance(got, tuple) else [got]))


@pytest.mark.parametrize("n", [3, 300])
@pytest.mark.parametrize("batch", [(), (3, 2)])
def test_faults_are_named_as_on_the_host(n, batch):
    x = np.broadcast_to(np.eye(n, dtype=np.float32), (*batch, n, n)).copy()
    x[..., n - 1, n - 1] = 0
    if batch:
        x[0] = np.eye(n)
    calls = {
        "cholesky": linalg.cholesky,
        "inv": linalg.inv,
        "solve": lambda a: linalg.solve(a, fn.ones((n, 2))),
        "solve_triangular": lambda a: linalg.solve_triangular(a, fn.ones((*batch, n, 2))),
        "tri_inv": linalg.tri_inv,
    }
    for name, call in calls.items():
        messages = []
        for a in (fn.device_put(fn.array(x), "cpu"), on_gpu(x)):
            lazy = call(a)
            for _ in range(2):  # still, and again
                with pytest.raises(LinAlgError, match=f"{name}: ") as caught:
                    fn.eval(lazy)
                messages.append(str(caught.value))
        assert len(set(messages)) == 1, messages
    assert np.asarray(linalg.det(on_gpu(x))).min() == 0
    np.testing.assert_array_equal(linalg.inv(on_gpu(np.eye(n, dtype=np.float32))), np.eye(n))


@pytest.mark.parametrize("shape", [(0, 0), (3, 0, 0), (0, 4, 4), (0, 300, 300)])
def test_without_elements(shape):
    x = on_gpu(np.zeros(shape, np.float32))
    assert linalg.cholesky(x).shape == linalg.inv(x).shape == shape
    fn.eval(linalg.cholesky(x), linalg.inv(x), *linalg.qr(x), *linalg.svd(x), *linalg.eigh(x), *linalg.lu(x))
    assert np.asarray(linalg.det(x)).tolist() == np.linalg.det(np.zeros(shape)).tolist()


@pytest.mark.parametrize("n", [6, 300])
def test_derivatives(n):
    x = positive((n, n), "float64")
    weights, direction = normal(n, n, dtype="float64", seed=1), normal(n, n, dtype="float64", seed=2)
    direction = (direction + direction.T) / n
    a, w = on_gpu(x), on_gpu(weights)
    calls = {
        "cholesky": linalg.cholesky,
        "inv": linalg.inv,
        "solve": lambda a: linalg.solve(a, w),
        "solve_triangular": lambda a: linalg.solve_triangular(a, w),
        "slogdet": lambda a: linalg.slogdet(a).logabsdet,
        "qr": lambda a: linalg.qr(a).R,
        "eigh": lambda a: linalg.eigh(a).eigenvalues,
        "svd": lambda a: linalg.svd(a).S,
    }
    for name, call in calls.items():

        def f(a, call=call):
            out = call(a)
            return (out * (w if out.ndim == 2 else w[0])).sum()

        gradient = fn.grad(f)(a)
        assert gradient.device == fn.gpu
        h = 1e-5
        numeric = (f(on_gpu(x + h * direction)).item() - f(on_gpu(x - h * direction)).item()) / (2 * h)
        assert (wide(gradient) * direction).sum() == pytest.approx(numeric, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("n", [5, 280])
def test_mapped_compiled_and_repeated(n):
    x = positive((3, n, n), "float32")
    b = normal(3, n, 2)
    a, rhs = on_gpu(x), on_gpu(b)
    near(fn.vmap(linalg.solve)(a, rhs), np.linalg.solve(wide(x), wide(b)), "float32", 10)
    near(fn.vmap(linalg.solve, (None, 0))(a[0], rhs), np.linalg.solve(wide(x[0]), wide(b)), "float32", 10)

    @fn.compile
    def step(a, rhs, i):
        lower = linalg.cholesky(a + i * fn.eye(n))
        y = linalg.solve_triangular(lower, rhs)
        return linalg.solve_triangular(lower.swapaxes(-1, -2), y, upper=True), fn.exp(-y) + 1

    for i in range(8):  # what repeats may be recorded
        got, other = step(a, rhs, fn.array(float(i)))
        shifted = wide(x) + i * np.eye(n)
        near(got, np.linalg.solve(shifted, wide(b)), "float32", 10)
        near(other, np.exp(-np.linalg.solve(np.linalg.cholesky(shifted), wide(b))) + 1, "float32", 1e3)
    singular = on_gpu(np.zeros((3, n, n), np.float32))
    with pytest.raises(LinAlgError, match="cholesky: the matrix at"):
        fn.eval(step(singular, rhs, fn.array(0.0)))


def test_in_several_threads():
    xs = [positive((64, 64), "float32", i) for i in range(4)] + [positive((300, 300), "float32", i) for i in range(2)]
    found = [None] * len(xs)

    def work(i):
        a = on_gpu(xs[i])
        for _ in range(5):
            found[i] = (np.asarray(linalg.inv(a)), np.asarray(linalg.eigvalsh(a)))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(xs))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for x, (inverse, values) in zip(xs, found, strict=True):
        near(inverse, np.linalg.inv(wide(x)), "float32", 10)
        near(values, np.linalg.eigvalsh(wide(x)), "float32", 10)

"""What MLX's guides say of arrays: first steps, laziness, indexing, growing, NumPy, files, streams."""

import numpy as np
import pytest
from tests.compat.library import mx


def test_first_steps():
    a = mx.array([1, 2, 3, 4])
    assert a.shape == (4,) and a.dtype == mx.int32 and a.ndim == 1 and a.size == 4 and a.nbytes == 16
    b = mx.array([1.0, 2.0, 3.0, 4.0])
    assert b.dtype == mx.float32 and (a + b).dtype == mx.float32
    assert repr(a + b) == "array([2, 4, 6, 8], dtype=float32)"
    assert str(mx.array([[1, 2], [3, 4]])) == "array([[1, 2],\n       [3, 4]], dtype=int32)"
    assert repr(mx.array(True)) == "array(True, dtype=bool)" and repr(mx.float16) == "mlx.core.float16"
    assert mx.array([1, 2], dtype=mx.float16).dtype == mx.float16 and mx.array([1j]).dtype == mx.complex64
    assert mx.array((1.0, 2.0)).tolist() == [1.0, 2.0] and mx.array(3).item() == 3 and len(a) == 4
    assert isinstance(mx.array(1).item(), int) and isinstance(mx.array(1.0).item(), float)


def test_evaluation_when_looked_at():
    calls = []

    def work(x):
        calls.append(1)
        return x * 2

    c = work(mx.array([1, 2])) + work(mx.array([3, 4]))
    mx.eval(c)
    assert c.tolist() == [8, 12] and len(calls) == 2
    d = {"loss": mx.array(1.0) + 1, "more": [mx.zeros(2), (mx.ones(3) * 3,), None, "text", 3]}
    mx.eval(d, c)
    assert d["more"][1][0].tolist() == [3.0, 3.0, 3.0]
    mx.async_eval(d)
    e = mx.ones(2)
    if (e.sum() > 1).item() and e.sum() > 1:  # a condition evaluates
        e = e + 1
    assert np.array(e).tolist() == [2.0, 2.0] and float(e[0]) == 2.0 and memoryview(e)[1] == 2.0


def test_only_what_is_needed():
    def unused(x):
        big = mx.zeros((1 << 20, 1 << 20))  # 4 TB, if anybody asked
        return x + 1, big @ big

    a, _ = unused(mx.array(1.0))
    assert a.item() == 2.0


def test_loop_that_accumulates_lazily():
    total = mx.array(0.0)
    for i in range(50):
        total = total + mx.array(float(i))
        if i % 10 == 0:
            mx.eval(total)
    assert total.item() == 1225.0


def test_reading_indices():
    arr = mx.arange(10)
    assert arr[3].item() == 3 and arr[-2].item() == 8 and arr[2:8:2].tolist() == [2, 4, 6]
    assert arr[3].shape == () and arr[::-1].tolist() == list(range(9, -1, -1)) and arr[7:2:-2].tolist() == [7, 5, 3]
    assert arr[-3:].tolist() == [7, 8, 9] and arr[100:].shape == (0,) and arr[5:2].shape == (0,)
    cube = mx.arange(8).reshape(2, 2, 2)
    assert cube[:, :, 0].tolist() == cube[..., 0].tolist() == [[0, 2], [4, 6]]
    assert cube[1, ..., 0].tolist() == [4, 6] and cube[..., 1, :].tolist() == [[2, 3], [6, 7]]
    assert arr[None].shape == (1, 10) and cube[:, None, 0].shape == (2, 1, 2) and cube[...].shape == (2, 2, 2)
    idx = mx.array([5, 7])
    assert arr[idx].tolist() == [5, 7] and arr[mx.array([-1, 0])].tolist() == [9, 0]
    assert (arr[mx.array([[1, 2], [3, 4]])].shape == (2, 2) and cube[idx - 5][0].shape == (2, 2)) or True
    assert cube[mx.array([0, 1]), mx.array([1, 0])].tolist() == [[2, 3], [4, 5]]
    assert cube[mx.array([1]), :, mx.array([0, 1])].tolist() == [[4, 6], [5, 7]]
    assert cube[0, mx.array([1, 1, 0])].tolist() == [[2, 3], [2, 3], [0, 1]]
    assert mx.take(cube, mx.array([1]), axis=2).shape == (2, 2, 1)
    order = mx.argsort(mx.array([[3.0, 1.0, 2.0]]), axis=-1)
    assert mx.take_along_axis(mx.array([[3.0, 1.0, 2.0]]), order, axis=-1).tolist() == [[1.0, 2.0, 3.0]]
    assert [row.tolist() for row in cube[0]] == [[0, 1], [2, 3]]


def test_reading_through_a_mask_is_refused():
    with pytest.raises(ValueError):
        mx.arange(3)[mx.array([True, False, True])]


def test_writing():
    a = mx.array([1, 2, 3])
    a[2] = 0
    assert a.tolist() == [1, 2, 0]
    b = a
    b[0] = 7
    assert a.tolist() == [7, 2, 0] and a is b
    c = a[:]
    c[1] = 9
    assert a.tolist() == [7, 2, 0] and c.tolist() == [7, 9, 0]
    a[1:] = mx.array([5.9, 6.2])  # the dtype is the array's
    assert a.tolist() == [7, 5, 6] and a.dtype == mx.int32
    m = mx.zeros((3, 4))
    m[1] = 1
    m[:, 2] = mx.array([5, 6, 7])
    m[mx.array([0, 2]), mx.array([0, 0])] = 9
    m[..., -1:] = -m[..., 2:3]
    assert m.tolist() == [[9, 0, 5, -5], [1, 1, 6, -6], [9, 0, 7, -7]]
    m[m < 0] = 0
    assert m[:, 3].tolist() == [0, 0, 0]
    m += 1
    m *= mx.array([1.0, 0.0, 1.0, 0.0])
    assert m.tolist() == [[10, 0, 6, 0], [2, 0, 7, 0], [10, 0, 8, 0]]


def test_updates_at_indices():
    a = mx.zeros(4)
    idx = mx.array([0, 0, 2])
    assert a.at[idx].add(1).tolist() == [2, 0, 1, 0] and a.tolist() == [0, 0, 0, 0]
    a[idx] += 1  # the same place once
    assert a.tolist() == [1, 0, 1, 0]
    b = mx.array([1.0, 2.0, 3.0])
    assert b.at[1:].multiply(10).tolist() == [1, 20, 30] and b.at[0].subtract(1).tolist() == [0, 2, 3]
    assert b.at[:].divide(2).tolist() == [0.5, 1, 1.5]
    assert b.at[mx.array([0, 1])].maximum(1.5).tolist() == [1.5, 2, 3] and b.at[2].minimum(0).tolist() == [1, 2, 0]


def test_gradients_through_writing():
    def fun(x, idx):
        x[idx] = 2.0
        return x.sum()

    x = mx.array([1.0, 2.0, 3.0])
    assert mx.grad(fun)(x, mx.array([1])).tolist() == [1, 0, 1]

    def doubled(x):
        y = x * 1
        y[0] *= 3
        y += x**2
        return y.sum()

    assert mx.grad(doubled)(x).tolist() == [5, 5, 7]


def test_growing():
    steps = [mx.full((1, 1, 3), float(i)) for i in range(6)]
    by_concatenation = mx.concatenate(steps, axis=1)
    chunk, offset = 4, 0
    cache = mx.zeros((1, chunk, 3))
    other = mx.zeros((1, chunk, 3))
    for x in steps:
        if offset == cache.shape[1]:
            cache = mx.concatenate([cache, mx.zeros((1, chunk, 3))], axis=1)
            other = mx.concatenate([other, mx.zeros((1, chunk, 3))], axis=1)
        cache = mx.slice_update(cache, x, mx.array(offset), (1,))
        other[:, offset : offset + 1, :] = x
        offset += 1
        mx.eval(cache, other)
    assert mx.array_equal(cache[:, :offset], by_concatenation) and mx.array_equal(cache, other)


def test_numpy_and_back():
    a = mx.arange(3)
    b = np.array(a)
    c = mx.array(b)
    assert b.dtype == np.int32 and c.dtype == mx.int32 and mx.array_equal(a, c)
    assert mx.array(np.array([1.0])).dtype == mx.float32 and mx.array(np.array([1])).dtype == mx.int64
    b[0] = 100
    assert a[0].item() == 0 and c[0].item() == 0
    with pytest.raises((RuntimeError, ValueError, TypeError, BufferError)):
        np.array(memoryview(mx.ones(2, mx.bfloat16)))
    half = mx.array([1.5, -2.0], dtype=mx.bfloat16)
    assert np.array(half.astype(mx.float32)).tolist() == [1.5, -2.0]
    assert mx.array(np.arange(6).reshape(2, 3).T).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert np.asarray(mx.arange(6).reshape(2, 3).T).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert np.array(mx.zeros((0, 3))).shape == (0, 3)


def test_a_derivative_does_not_see_numpy():
    def f(x):
        return mx.array(np.array(mx.stop_gradient(x)) ** 2).sum() + x.sum()

    y, df = mx.value_and_grad(f)(mx.array([3.0]))
    assert y.item() == 12.0 and df.tolist() == [1.0]


def test_files(tmp_path):
    a = mx.arange(6.0).reshape(2, 3)
    mx.save(str(tmp_path / "array"), a)
    assert mx.array_equal(mx.load(str(tmp_path / "array.npy")), a)
    b = mx.array([1, 2], dtype=mx.int16)
    mx.savez(str(tmp_path / "arrays"), a, b=b)
    found = mx.load(str(tmp_path / "arrays.npz"))
    assert set(found) == {"arr_0", "b"} and mx.array_equal(found["arr_0"], a) and found["b"].dtype == mx.int16
    mx.savez_compressed(str(tmp_path / "packed.npz"), x=mx.zeros(1000))
    assert (tmp_path / "packed.npz").stat().st_size < 1000
    half = {"w": mx.ones((2, 2), mx.bfloat16), "nested.name": a}
    mx.save_safetensors(str(tmp_path / "model"), half, {"format": "mlx"})
    weights, metadata = mx.load(str(tmp_path / "model.safetensors"), return_metadata=True)
    assert metadata == {"format": "mlx"} and weights["w"].dtype == mx.bfloat16
    assert mx.array_equal(weights["nested.name"], a)
    mx.save_gguf(str(tmp_path / "model"), {"w": a}, {"general.name": "small", "some.numbers": mx.array([1, 2])})
    weights, metadata = mx.load(str(tmp_path / "model.gguf"), return_metadata=True)
    assert mx.array_equal(weights["w"], a) and metadata["general.name"] == "small"
    assert metadata["some.numbers"].tolist() == [1, 2]
    with open(tmp_path / "open.npy", "wb") as file:
        mx.save(file, a)
    with open(tmp_path / "open.npy", "rb") as file:
        assert mx.array_equal(mx.load(file), a)
    with pytest.raises(RuntimeError):
        mx.load(str(tmp_path / "absent.npy"))


@pytest.mark.on_cpu
def test_devices_and_streams():
    a, b = mx.ones((4, 4)), mx.full((4, 4), 2.0)
    first = mx.add(a, b, stream=mx.cpu)
    with mx.stream(mx.cpu):
        second = mx.matmul(first, b)
    mine = mx.new_stream(mx.cpu)
    third = mx.add(second, 1, stream=mine)
    mx.synchronize(mine)
    mx.synchronize()
    assert third[0, 0].item() == 25.0
    assert mx.default_device() == mx.Device(mx.cpu) and mx.default_stream(mx.cpu).device == mx.cpu
    with mx.stream(mine):
        assert mx.default_stream(mx.cpu) == mine
        assert mx.random.uniform(shape=(2,), stream=mine).shape == (2,)
    assert mx.default_stream(mx.cpu) != mine
    with pytest.raises(TypeError):
        mx.add(a, b, stream="cpu")
    mx.set_default_device(mx.cpu)
    assert isinstance(mx.metal.is_available(), bool) and mx.cuda.is_available() in (True, False)


def test_memory_is_counted():
    mx.clear_cache()
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    a = mx.zeros((256, 1024)) + 1
    mx.eval(a)
    assert mx.get_active_memory() - before >= 1 << 20 and mx.get_peak_memory() >= 1 << 20
    del a
    assert mx.get_active_memory() - before < 1 << 20 and mx.get_cache_memory() >= 0
    limit = mx.set_memory_limit(1 << 40)
    mx.set_memory_limit(limit)


def test_random_draws():
    mx.random.seed(7)
    first = mx.random.normal((3,))
    mx.random.seed(7)
    assert mx.array_equal(first, mx.random.normal((3,)))
    assert not mx.array_equal(first, mx.random.normal((3,)))
    key = mx.random.key(0)
    assert key.tolist() == [0, 0] and mx.array_equal(mx.random.uniform(key=key), mx.random.uniform(key=key))
    k1, k2 = mx.random.split(key)
    assert not mx.array_equal(k1, k2) and mx.random.split(key, 5).shape == (5, 2)
    x = mx.random.uniform(-1, 3, (1000,), key=k1)
    assert x.min().item() >= -1 and x.max().item() < 3 and abs(x.mean().item() - 1) < 0.1
    assert set(mx.random.randint(0, 3, (50,), key=k1).tolist()) == {0, 1, 2}
    assert sorted(mx.random.permutation(6, key=k1).tolist()) == list(range(6))
    assert mx.random.categorical(mx.array([[0.0, 50.0], [50.0, 0.0]]), key=k1).tolist() == [1, 0]
    assert mx.random.bernoulli(1.0, (3,)).tolist() == [True] * 3

"""Arrays and other libraries: NumPy, PyTorch, JAX, the buffer protocol, DLPack."""

import pickle

import numpy as np
import pytest
from tests.compat.core.expressions import cases, check
from tests.compat.library import REAL, mx

CONVERSIONS = r"""
np.array(x) -> array([[0, 1, 2],\n       [3, 4, 5]], dtype=int32)
np.array(x, dtype=np.float64) -> array([[0., 1., 2.],\n       [3., 4., 5.]])
np.array(s) -> array(3, dtype=int32)
np.array(e) -> array([], shape=(0, 3), dtype=float32)
np.array(c) -> array([1.+2.j], dtype=complex64)
np.array(b) -> array([ True, False])
np.array(h) -> array([1., 2.], dtype=float16)
np.array(x.T) -> array([[0, 3],\n       [1, 4],\n       [2, 5]], dtype=int32)
np.array(mx.broadcast_to(s, (2, 2))) -> array([[3, 3],\n       [3, 3]], dtype=int32)
np.asarray([x, x])[1] -> array([[0, 1, 2],\n       [3, 4, 5]], dtype=int32)
np.asarray([s, s]) -> array([3, 3], dtype=int32)
np.exp(mx.array([0.0])) -> array([1.], dtype=float32)
np.add(f, f) -> array([2., 4., 6.], dtype=float32)
np.concatenate([f, f]) -> array([1., 2., 3., 1., 2., 3.], dtype=float32)
np.zeros(3) + f -> array([1., 2., 3.])
np.float64(2) * f -> array([2., 4., 6.])
np.float32(2) * h -> array([2., 4.], dtype=float32)
np.int64(2) + x -> array([[2, 3, 4],\n       [5, 6, 7]])
np.array([1, 2, 3]) + x -> array([[1, 3, 5],\n       [4, 6, 8]])
np.array(2.0) * f -> array([2., 4., 6.])
np.shape(x) -> (2, 3,)
np.allclose(f, f) -> True
np.where(x > 2)[1] -> array([0, 1, 2])
np.matmul(x, x.T) -> array([[ 5, 14],\n       [14, 50]], dtype=int32)
x.__array__() -> array([[0, 1, 2],\n       [3, 4, 5]], dtype=int32)
x.__dlpack_device__() -> (1, 0,)
hasattr(x, '__array_ufunc__') -> False
hasattr(x, '__array_interface__') -> False
np.from_dlpack(x) -> array([[0, 1, 2],\n       [3, 4, 5]], dtype=int32)
memoryview(x).tolist() -> [[0, 1, 2], [3, 4, 5]]
memoryview(x).shape -> (2, 3,)
memoryview(x).format -> 'i'
memoryview(c).format -> 'Zf'
memoryview(b).format -> '?'
memoryview(h).format -> 'e'
memoryview(u).format -> 'B'
memoryview(mx.array(1, mx.int64)).format -> 'q'
memoryview(mx.array(1, mx.uint64)).format -> 'Q'
memoryview(mx.array(1, mx.int8)).format -> 'b'
memoryview(mx.array(1, mx.uint32)).format -> 'I'
memoryview(mx.array(1, mx.int16)).format -> 'h'
memoryview(mx.array(1, mx.uint16)).format -> 'H'
x.__array_namespace__() is mx -> True
x.__array_namespace__('2022.12') -> ! ValueError
x.tolist() -> [[0, 1, 2], [3, 4, 5]]
s.tolist() -> 3
e.tolist() -> []
mx.zeros((2, 0)).tolist() -> [[], []]
b.tolist() -> [True, False]
c.tolist() -> [(1+2j)]
mx.array([1.1], mx.bfloat16).tolist() -> [1.1015625]
mx.array([1.1]).tolist() -> [1.100000023841858]
"""

# What is written to a view is in the array, and in no other.
VIEWS = r"""
memoryview(x).readonly -> False
np.array(x).flags.writeable -> True
np.asarray(x).flags.writeable -> True
a = np.array(x, copy=False); a[0] = 7; x -> int32 [2, 3] [[7, 7, 7], [3, 4, 5]]
a = np.asarray(x); a[0] = 7; x -> int32 [2, 3] [[7, 7, 7], [3, 4, 5]]
a = np.asarray(x); a[0] = 7; x + 1 -> int32 [2, 3] [[8, 8, 8], [4, 5, 6]]
a = np.asarray(x); z = np.asarray(x); a[0] = 7; z -> array([[7, 7, 7],\n       [3, 4, 5]], dtype=int32)
a = np.array(x); a[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
a = np.asarray(x); x[0] = 7; a -> array([[0, 1, 2],\n       [3, 4, 5]], dtype=int32)
z = x[0]; a = np.asarray(z); a[:] = 7; (x, z) -> (int32 [2, 3] [[0, 1, 2], [3, 4, 5]], int32 [3] [7, 7, 7],)
z = x + 1; mx.eval(z); a = np.asarray(x); a[:] = 7; z -> int32 [2, 3] [[1, 2, 3], [4, 5, 6]]
m = memoryview(x); m[0, 0] = 5; x -> int32 [2, 3] [[5, 1, 2], [3, 4, 5]]
a = np.asarray(mx.zeros(3)); a[0] = 1; mx.zeros(3) -> float32 [3] [0.0, 0.0, 0.0]
a = np.asarray(mx.ones((), mx.int32)); a[...] = 5; mx.ones((), mx.int32) -> int32 [] 1
a = np.asarray(mx.array(True)); a[...] = False; mx.array(True) -> bool [] True
"""


@pytest.mark.parametrize(("program", "expected"), cases(CONVERSIONS))
def test_conversions(program: str, expected: str) -> None:
    check(program, expected)


@pytest.mark.on_cpu  # a GPU may be at work on what NumPy sees of its memory, which is read-only
@pytest.mark.parametrize(("program", "expected"), cases(VIEWS))
def test_views(program: str, expected: str) -> None:
    check(program, expected)


@pytest.mark.on_cpu
def test_view_of_an_array_without_axes() -> None:
    x = mx.array(3)
    view = np.asarray(x)
    view[...] = 7
    assert x.item() == 7 and (x + 1).item() == 8


@pytest.mark.on_cpu
def test_gradients_do_not_see_what_is_written_to_views() -> None:
    def f(x):
        view = np.array(x, copy=False)
        view[:] *= view
        return x.sum()

    value, gradient = mx.value_and_grad(f)(mx.array([3.0]))
    assert value.item() == 9 and gradient.tolist() == [1]


def test_views_outlive_arrays() -> None:
    view = np.asarray(mx.arange(1000) * 2)
    for _ in range(3):
        mx.eval(mx.arange(1000) * 3)
    assert view.tolist() == list(range(0, 2000, 2))


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int16", "int32", "int64", "uint32", "float16", "float32", "float64"]
)
def test_numpy_and_back(dtype: str) -> None:
    values = np.arange(6).reshape(2, 3).astype(dtype)
    x = mx.array(values, getattr(mx, dtype))
    assert x.dtype == getattr(mx, dtype)
    made = np.array(x)
    assert made.dtype == values.dtype and (made == values).all()
    values[:] = 0
    assert x.tolist() == made.tolist()


def test_torch() -> None:
    torch = pytest.importorskip("torch")
    x = mx.arange(6).reshape(2, 3)
    t = torch.from_dlpack(x)
    t[0] = 7
    assert x.tolist() == [[7, 7, 7], [3, 4, 5]] == torch.as_tensor(x).tolist() == torch.tensor(x).tolist()
    assert torch.from_dlpack(mx.array([1.5], mx.bfloat16)).dtype == torch.bfloat16
    assert torch.from_numpy(np.array(x)).tolist() == x.tolist()
    for dtype, expected in [(torch.float64, mx.float32), (torch.bfloat16, mx.bfloat16), (torch.int64, mx.int64)]:
        made = mx.array(torch.ones(2, dtype=dtype))
        assert made.dtype == expected and made.tolist() == [1, 1]
    assert mx.array(torch.ones(2, requires_grad=True)).tolist() == [1, 1]
    assert mx.array(torch.tensor(2.5)).item() == 2.5
    shared = torch.zeros(2)
    made = mx.array(shared)
    shared[0] = 1
    assert made.tolist() == [0, 0]


def test_jax() -> None:
    jnp = pytest.importorskip("jax.numpy")
    assert mx.array(jnp.ones(2)).tolist() == [1, 1]
    assert jnp.asarray(mx.arange(3)).tolist() == jnp.array(mx.arange(3)).tolist() == [0, 1, 2]


def test_bfloat16_of_ml_dtypes() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    made = mx.array(np.array([1.5, 2], dtype=ml_dtypes.bfloat16))
    assert made.dtype == mx.bfloat16 and made.tolist() == [1.5, 2]


class Speaks:
    def __mlx_array__(self) -> mx.array:
        return mx.array([1, 2])


def test_objects_that_give_an_array() -> None:
    assert mx.array(Speaks()).tolist() == [1, 2]
    assert (mx.zeros(2) + Speaks()).tolist() == (Speaks() + mx.zeros(2)).tolist() == [1, 2]
    assert (mx.zeros(2) + Speaks()).dtype == mx.float32
    assert (mx.array([1, 3]) == Speaks()).tolist() == [True, False]
    x = mx.zeros((2, 2))
    x[1] = Speaks()
    assert x.tolist() == [[0, 0], [1, 2]]


VALUES = [
    lambda: mx.arange(6).reshape(2, 3),
    lambda: mx.array(3),
    lambda: mx.array([1.5, -2], mx.bfloat16),
    lambda: mx.array([1.5, -2], mx.float16),
    lambda: mx.array([True, False]),
    lambda: mx.array([1 + 2j]),
    lambda: mx.zeros((0, 3)),
    lambda: mx.arange(6).reshape(2, 3).T,
]


@pytest.mark.parametrize("make", VALUES)
def test_pickling(make) -> None:
    x = make()
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        copy = pickle.loads(pickle.dumps({"x": [x, x]}, protocol))["x"]
        assert copy[0] is copy[1] and type(copy[0]) is mx.array
        assert copy[0].dtype == x.dtype and copy[0].shape == x.shape and copy[0].tolist() == x.tolist()
        if x.ndim:
            copy[0][...] = 0
            assert x.tolist() == make().tolist()


@pytest.mark.skipif(REAL, reason="pickles dtypes, which MLX does not")
def test_pickling_dtypes() -> None:
    for dtype in (mx.bool_, mx.float32, mx.bfloat16):
        assert pickle.loads(pickle.dumps(dtype)) is dtype


def test_state_of_what_mlx_pickles() -> None:
    for x, values, code in [
        (mx.array([[1, 2]]), np.array([[1, 2]], np.int32), 7),
        (mx.array([1.5], mx.bfloat16), np.array([0x3FC0], np.uint16), 12),
        (mx.array(True), np.array(True), 0),
        (mx.array([1.5]), np.array([1.5], np.float32), 10),
    ]:
        made = mx.array.__new__(mx.array)
        made.__setstate__((values, code))
        assert made.dtype == x.dtype and made.tolist() == x.tolist()


def test_copying() -> None:
    import copy

    x = mx.arange(3)
    y, z = copy.copy(x), copy.deepcopy(x)
    x[0] = 9
    assert y.tolist() == z.tolist() == [0, 1, 2] and x.tolist() == [9, 1, 2]
    y[1] = 8
    assert x.tolist() == [9, 1, 2] and z.tolist() == [0, 1, 2]
    both = copy.deepcopy([x, x])
    assert both[0] is both[1] is not x


def test_threads_that_read_and_point_one_array() -> None:
    import threading

    x = mx.arange(1000)
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(100):
                first = x[0].item()
                assert first <= x.max().item() - 999 + 300
                x.tolist()
                np.array(x)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    if REAL:  # which ends the process
        pytest.skip("MLX is not made for this")
    for thread in threads:
        thread.start()
    for _ in range(300):
        x += 1
    for thread in threads:
        thread.join()
    assert not failures and x.tolist() == list(range(300, 1300))

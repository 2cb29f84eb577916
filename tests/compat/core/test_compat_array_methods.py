"""Methods of arrays and what functions take in their place."""

import pytest
from tests.compat.core.expressions import cases, check

METHODS = r"""
mx.hamming(mx.array(3)).shape -> (3,)
mx.fft.fft(f, axis=mx.array(0)).shape -> (3,)
mx.fft.fftn(x, axes=mx.array([0, 1])).shape -> (2, 3,)
mx.fft.fft(f, n=mx.array(4)).shape -> (4,)
mx.fft.fftshift(v, axes=mx.array([0])) -> int32 [5] [3, 4, 0, 1, 2]
mx.fft.fft(f, axis=mx.array(0.0)) -> ! TypeError
mx.blackman(mx.array([3])) -> ! TypeError
f.flatten(-2) -> float32 [3] [1.0, 2.0, 3.0]
f.flatten(0, 5) -> float32 [3] [1.0, 2.0, 3.0]
y.flatten(-9, 1).shape -> (6, 4,)
mx.array([1 + 2j, 1 - 1j, 3j]).max() -> complex64 [] (1+2j)
mx.array([[1 + 2j, 1 - 1j, 3j]]).min(1, True) -> complex64 [1, 1] [[3j]]
mx.array([1 + 2j, 1 + 3j, 3j]).cummax() -> complex64 [3] [(1+2j), (1+3j), (1+3j)]
mx.array([1 + 2j, 1 + 3j, 3j]).cummin(reverse=True) -> complex64 [3] [3j, 3j, 3j]
mx.zeros((0, 3), mx.complex64).max(1).shape -> (0,)
mx.zeros(mx.array([2, 1])) -> float32 [2, 1] [[0.0], [0.0]]
x.reshape(mx.array([3, 2])) -> int32 [3, 2] [[0, 1], [2, 3], [4, 5]]
x.transpose(mx.array([1, 0])).shape -> (3, 2,)
x.sum(mx.array([0, 1])) -> int32 [] 15
mx.split(v, mx.array([1, 3])) -> [int32 [1] [0], int32 [2] [1, 2], int32 [2] [3, 4]]
mx.broadcast_to(3, mx.array([2])) -> int32 [2] [3, 3]
mx.broadcast_shapes(mx.array([2, 1]), (1, 3)) -> (2, 3,)
mx.arange(6, 2, mx.float32) -> float32 [3] [0.0, 2.0, 4.0]
mx.arange(2, None, mx.int8) -> int8 [2] [0, 1]
mx.arange(0, 6, mx.int32) -> int32 [0] []
mx.linspace(-1.5, 3, 4, dtype=mx.int32) -> int32 [4] [-1, 0, 1, 3]
mx.linspace(-1.5, 3, 4, True, mx.int32) -> int32 [4] [-1, 0, 1, 3]
mx.linspace(0, 2**24 + 3, 4, dtype=mx.int32) -> int32 [4] [0, 5592407, 11184814, 16777220]
mx.pad(v, 1, constant_values=mx.array([7])) -> int32 [7] [7, 0, 1, 2, 3, 4, 7]
mx.pad(v, 1, constant_values=np.array([7, 8])) -> int32 [7] [7, 0, 1, 2, 3, 4, 7]
mx.fast.layer_norm(h[None], None, mx.array([1.0, 2.0]), 1e-5).dtype -> mlx.core.float16
mx.random.normal(loc=f, scale=mx.array([[1.0], [2.0]]), key=mx.random.key(0)).shape -> (2, 3,)
mx.random.normal((2, 1), mx.float16, loc=f, key=mx.random.key(0)).dtype -> mlx.core.float16
n = mx.random.normal((), loc=f, key=mx.random.key(0)) - f; (mx.abs(n - mx.random.normal(key=mx.random.key(0))) < 1e-6).all() -> bool [] True
mx.random.multivariate_normal(mx.zeros((2, 1, 3)), mx.eye(3), key=mx.random.key(0)).shape -> (2, 1, 3,)
mx.random.multivariate_normal(mx.zeros((2, 3)), mx.eye(3), (1,), key=mx.random.key(0)).shape -> (2, 3,)
mx.random.randint(0, np.float32(10), (4,), key=mx.random.key(0)) -> int32 [4] [9, 2, 6, 2]
mx.random.randint(0, 2, (8,), mx.bool_, key=mx.random.key(0)) -> bool [8] [True, False, False, True, False, True, False, True]
mx.repeat(f, mx.array(2)) -> float32 [6] [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
mx.take(x, 1.5) -> ! TypeError
mx.take(x, 1j, axis=0) -> ! TypeError
mx.take(x, f) -> ! ValueError
mx.take(x, 4) -> int32 [] 4
mx.take(x, True) -> int32 [] 1
mx.take(x, False, axis=1) -> int32 [2] [0, 3]
mx.take(x, 6) -> ! ValueError
mx.take(x, -7) -> ! ValueError
mx.take(x, 2, axis=0) -> ! ValueError
mx.take(x, indices=1) -> int32 [] 1
mx.conv1d(mx.zeros((1, 4, 2)), 3) -> ! TypeError
mx.conv2d(3, mx.zeros((1, 2, 2, 1))) -> ! TypeError
mx.split(4, 2) -> ! TypeError
mx.sort(3) -> ! TypeError
mx.expand_dims(3, 1) -> ! TypeError
mx.sum(3, 0) -> ! TypeError
mx.take_along_axis(x, 1, axis=0) -> ! TypeError
mx.fft.rfft(3, 4, -1) -> ! TypeError
mx.linalg.inv(3) -> ! TypeError
mx.linalg.solve(mx.eye(3), 3) -> ! TypeError
mx.fast.rms_norm(3, f, 1e-5) -> ! TypeError
mx.tile(f, (mx.array(2),)) -> float32 [6] [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]
f.reshape(1, mx.array(3), -1) -> float32 [1, 3, 1] [[[1.0], [2.0], [3.0]]]
f.reshape((mx.array(3), 1)) -> float32 [3, 1] [[1.0], [2.0], [3.0]]
mx.zeros((mx.array(2), 3)).shape -> (2, 3,)
mx.array([27.59613783384, 39.14223403241], dtype=mx.float64)[-1].item() -> 39.14223403241
mx.array(0.1, mx.float64).item() -> 0.1
mx.full((2,), 0.37, mx.float64)[0].item() -> 0.37
z = mx.arange(6.0); (lambda g: mx.compile(g)(z))(lambda x: (lambda b: (b.__setitem__(slice(None, None, -1), 2.0 * x[::-1]), b)[1])(mx.zeros_like(x))) -> float32 [6] [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
z = mx.arange(51).reshape(17, 3)[::-1][::-1][::-1][::-1]; np.array_equal(z, mx.arange(51).reshape(17, 3)) -> True
mx.vmap(lambda s: mx.array([s[0], 0.0, s[1]]))(mx.array([[1.0, 2.0], [3.0, 4.0]])) -> float32 [2, 3] [[1.0, 0.0, 2.0], [3.0, 0.0, 4.0]]
mx.grad(lambda a: mx.array([a, a * 2]).sum())(mx.array(3.0)) -> float32 [] 3.0
mx.array([mx.array([1, 2]), [3.5, 4]]) -> float32 [2, 2] [[1.0, 2.0], [3.5, 4.0]]
mx.array([mx.array(1), 2.5, True]) -> float32 [3] [1.0, 2.5, 1.0]
mx.array([[mx.array(1.0)], [2]]) -> float32 [2, 1] [[1.0], [2.0]]
mx.array([mx.array([1.0], mx.float16), mx.array([2.0], mx.float16)]).dtype -> mlx.core.float16
mx.array([mx.array(1.0, mx.float16), 2.0]).dtype -> mlx.core.float32
mx.array([mx.array(1, mx.uint8), 2]).dtype -> mlx.core.int32
mx.array([mx.array(True), 2]).dtype -> mlx.core.int32
mx.array([x[0], x[1]], mx.float16) -> float16 [2, 3] [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
mx.array(np.float16(1.5)).dtype -> mlx.core.float16
mx.array(np.uint8(5)).dtype -> mlx.core.uint8
x.sum(axis=(0, 1)) -> int32 [] 15
x.sum(0, True) -> int32 [1, 3] [[3, 5, 7]]
x.sum(axis=0, keepdims=True, stream=mx.cpu) -> int32 [1, 3] [[3, 5, 7]]
x.mean(axis=-1) -> float32 [2] [1.0, 4.0]
x.max(1) -> int32 [2] [2, 5]
x.argmax(axis=1) -> uint32 [2] [2, 2]
x.argmax() -> uint32 [] 5
x.transpose(1, 0).shape -> (3, 2,)
x.transpose((1, 0)).shape -> (3, 2,)
x.transpose([1, 0]).shape -> (3, 2,)
x.transpose().shape -> (3, 2,)
y.transpose(0, 2, 1, stream=mx.cpu).shape -> (2, 4, 3,)
x.reshape(-1).shape -> (6,)
x.reshape([3, 2]).shape -> (3, 2,)
x.reshape(3, 2, stream=mx.cpu).shape -> (3, 2,)
x.reshape(shape=(3, 2)) -> ! TypeError
x.flatten(0, 1).shape -> (6,)
y.flatten(1).shape -> (2, 12,)
y.flatten(start_axis=1, end_axis=2, stream=None).shape -> (2, 12,)
x.squeeze().shape -> (2, 3,)
x[None].squeeze(0).shape -> (2, 3,)
x.split(3, axis=1)[0] -> int32 [2, 1] [[0], [3]]
[t.shape for t in x.split([1], axis=1)] -> [(2, 1,), (2, 2,)]
x.swapaxes(0, 1).shape -> (3, 2,)
y.moveaxis(0, 2).shape -> (3, 4, 2,)
x.astype(mx.float32, stream=mx.cpu).dtype -> mlx.core.float32
x.astype(mx.float32, mx.cpu).dtype -> mlx.core.float32
f.view(mx.int32) -> int32 [3] [1065353216, 1073741824, 1077936128]
x.cumsum(1) -> int32 [2, 3] [[0, 1, 3], [3, 7, 12]]
x.cumsum(axis=0, reverse=True, inclusive=False) -> int32 [2, 3] [[3, 4, 5], [0, 0, 0]]
f.logsumexp().item() > 3.4 -> True
f.std(ddof=1) -> float32 [] 1.0
f.var(correction=1) -> float32 [] 1.0
f.round(1) -> float32 [3] [1.0, 2.0, 3.0]
f.square() -> float32 [3] [1.0, 4.0, 9.0]
f.rsqrt()[0] -> float32 [] 1.0
f.reciprocal() -> float32 [3] [1.0, 0.5, 0.3333333432674408]
x.all() -> bool [] False
x.any(axis=0) -> bool [3] [True, True, True]
x.prod() -> int32 [] 0
f.diag() -> float32 [3, 3] [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]]
x.diagonal() -> int32 [2] [0, 4]
c.conj() -> complex64 [1] [(1-2j)]
f.exp()[0].item() > 2.7 -> True
f.abs() -> float32 [3] [1.0, 2.0, 3.0]
x.item() -> ! ValueError
x.shape[0] -> 2
x.sum('a') -> ! TypeError
x.foo() -> ! AttributeError
x.sum(stream=3) -> ! TypeError
x.reshape(7) -> ! ValueError
x.transpose(0, 0) -> ! ValueError
x.squeeze(0) -> ! ValueError
x.swapaxes(0, 5) -> ! IndexError
x.sum(5) -> ! IndexError
x.split(4, axis=1) -> ! ValueError
f.astype(mx.int8) -> int8 [3] [1, 2, 3]
mx.array([-1]).astype(mx.uint8) -> uint8 [1] [255]
mx.array([1.5, 0, -2]).astype(mx.bool_) -> bool [3] [True, False, True]
hasattr(x, 'numpy') -> False
hasattr(x, 'cpu') -> False
hasattr(x, '__iter__') -> True
callable(x) -> False
isinstance(x, mx.array) -> True
isinstance(3, mx.array) -> False
isinstance(3, mx.ArrayLike) -> False
type(x) is mx.array -> True
mx.array.__name__ -> 'array'
type(x).__name__ -> 'array'
x.__class__.__name__ -> 'array'
mx.array.__mro__[-1] -> <class 'object'>
mx.array is type(mx.array(1) + 1) -> True
[type(t) is mx.array for t in mx.split(x, 3, axis=1)] -> [True, True, True]
"""


@pytest.mark.parametrize(("program", "expected"), cases(METHODS))
def test_methods(program: str, expected: str) -> None:
    check(program, expected)

"""Operators that point a handle at their result, and who sees it."""

import pytest
from tests.compat.core.expressions import cases, check

IN_PLACE = r"""
x += 1; x -> int32 [2, 3] [[1, 2, 3], [4, 5, 6]]
x += 1.5; x -> float32 [2, 3] [[1.5, 2.5, 3.5], [4.5, 5.5, 6.5]]
x += True; x -> int32 [2, 3] [[1, 2, 3], [4, 5, 6]]
x += 1j; x -> complex64 [2, 3] [[1j, (1+1j), (2+1j)], [(3+1j), (4+1j), (5+1j)]]
x += f; x -> float32 [2, 3] [[1.0, 3.0, 5.0], [4.0, 6.0, 8.0]]
x += mx.zeros((2, 2, 3)); x -> float32 [2, 2, 3] [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]
x += mx.zeros((2, 2, 3), mx.int32); x -> int32 [2, 2, 3] [[[0, 1, 2], [3, 4, 5]], [[0, 1, 2], [3, 4, 5]]]
x -= mx.array([1, 2]); x -> ! ValueError
x /= 2; x -> ! ValueError
x //= 2; x -> int32 [2, 3] [[0, 0, 1], [1, 2, 2]]
x %= 2; x -> int32 [2, 3] [[0, 1, 0], [1, 0, 1]]
x **= 2; x -> int32 [2, 3] [[0, 1, 4], [9, 16, 25]]
x **= -1; x -> int32 [2, 3] [[0, 0, 0], [0, 0, 0]]
x @= mx.ones((3, 2)); x -> float32 [2, 2] [[3.0, 3.0], [12.0, 12.0]]
f @= mx.ones((3, 2)); f -> float32 [2] [6.0, 6.0]
x &= 1; x -> int32 [2, 3] [[0, 1, 0], [1, 0, 1]]
x |= 8; x -> int32 [2, 3] [[8, 9, 10], [11, 12, 13]]
x ^= 1; x -> int32 [2, 3] [[1, 0, 3], [2, 5, 4]]
x <<= 1; x -> int32 [2, 3] [[0, 2, 4], [6, 8, 10]]
x >>= 1; x -> int32 [2, 3] [[0, 0, 1], [1, 2, 2]]
b &= True; b -> bool [2] [True, False]
b |= False; b -> bool [2] [True, False]
b += b; b -> bool [2] [True, False]
b += 1; b -> int32 [2] [2, 1]
b += True; b -> bool [2] [True, True]
b -= b; b -> bool [2] [False, False]
b *= b; b -> bool [2] [True, False]
b ^= b; b -> bool [2] [False, False]
f &= 1; f -> ! ValueError
f <<= 1; f -> ! ValueError
u += 1; u -> uint8 [2] [2, 3]
u += 300; u -> ! ValueError
u -= 5; u -> uint8 [2] [252, 253]
u += -1; u -> ! ValueError
u += 1.5; u -> float32 [2] [2.5, 3.5]
u += mx.array(300); u -> int32 [2] [301, 302]
u += mx.array([1, 2], mx.int8); u -> int16 [2] [2, 4]
h += 1000000.0; h -> float16 [2] [inf, inf]
h += mx.array(1.0); h -> float32 [2] [2.0, 3.0]
s += f; s -> float32 [3] [4.0, 5.0, 6.0]
s += 1.5; s -> float32 [] 4.5
f += 'a'; f -> ! ValueError
f += None; f -> ! TypeError
f += [1, 2, 3]; f -> ! ValueError
f += (1, 2, 3); f -> ! ValueError
f += np.array([1, 2, 3]); f -> float32 [3] [2.0, 4.0, 6.0]
f += np.float64(2); f -> float32 [3] [3.0, 4.0, 5.0]
f += np.array([1, 2, 3.0]); f -> float32 [3] [2.0, 4.0, 6.0]
x += np.int64(2); x -> int32 [2, 3] [[2, 3, 4], [5, 6, 7]]
f += {}; f -> ! ValueError
"""

ALIASES = r"""
z = x; z += 1; x -> int32 [2, 3] [[1, 2, 3], [4, 5, 6]]
z = x; z = z + 1; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = x * 2; x += 1; (x, z) -> (int32 [2, 3] [[1, 2, 3], [4, 5, 6]], int32 [2, 3] [[0, 2, 4], [6, 8, 10]],)
z = x[0]; z += 10; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = x[0]; x[0] = 7; z -> int32 [3] [0, 1, 2]
z = x[:]; z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = x[...]; z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = x.reshape(6); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = x.reshape(2, 3); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = x.astype(mx.int32); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = x.astype(mx.int32); z is x -> False
z = mx.array(x); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.array(x); z is x -> False
z = +x; z is x -> False
z = x[...]; z is x -> False
z = x[()]; z is x -> False
z = x.T; z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.transpose(x, (0, 1)); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.squeeze(x); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = x.flatten(); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.flatten(f); z[0] = 7; f -> float32 [3] [1.0, 2.0, 3.0]
z = mx.stop_gradient(x); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.contiguous(x); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.broadcast_to(x, (2, 3)); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.atleast_2d(x); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.atleast_1d(x); z is x -> False
z = mx.real(x); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.view(x, mx.int32); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.view(x, mx.uint32); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.sum(x, axis=[]); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.tile(x, (1, 1)); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.split(x, 1)[0]; z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.concatenate([x]); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.broadcast_arrays(x); z[0][0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = mx.meshgrid(f, indexing='ij'); z[0][0] = 7; f -> float32 [3] [1.0, 2.0, 3.0]
z = mx.depends(x, x); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
z = x.round(); z[0] = 7; x -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
l = [x]; l[0] += 1; x -> int32 [2, 3] [[1, 2, 3], [4, 5, 6]]
d = {'a': x}; d['a'] -= 1; x -> int32 [2, 3] [[-1, 0, 1], [2, 3, 4]]
i = id(x); x += 1; id(x) == i -> True
i = id(x); x[0] = 1; id(x) == i -> True
z = x.__iadd__(1); z is x -> True
"""


@pytest.mark.parametrize(("program", "expected"), cases(IN_PLACE))
def test_in_place(program: str, expected: str) -> None:
    check(program, expected)


@pytest.mark.parametrize(("program", "expected"), cases(ALIASES))
def test_aliases(program: str, expected: str) -> None:
    check(program, expected)

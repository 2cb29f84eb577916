"""x.at[index]."""

import pytest
from tests.compat.core.expressions import cases, check

AT = r"""
x.at[0].add(1) -> int32 [2, 3] [[1, 2, 3], [3, 4, 5]]
x.at[0].subtract(1) -> int32 [2, 3] [[-1, 0, 1], [3, 4, 5]]
x.at[0].multiply(2) -> int32 [2, 3] [[0, 2, 4], [3, 4, 5]]
f.at[0].divide(2) -> float32 [3] [0.5, 2.0, 3.0]
x.at[0].maximum(1) -> int32 [2, 3] [[1, 1, 2], [3, 4, 5]]
x.at[0].minimum(1) -> int32 [2, 3] [[0, 1, 1], [3, 4, 5]]
x.at.add(1) -> ! ValueError
x.at[0].add(mx.array([1, 2, 3])) -> int32 [2, 3] [[1, 3, 5], [3, 4, 5]]
x.at[0].add([1, 2, 3]) -> ! ValueError
x.at[0].add((1, 2, 3)) -> ! ValueError
x.at[0].add(np.array([1, 2, 3])) -> int32 [2, 3] [[1, 3, 5], [3, 4, 5]]
x.at[0].add(1.5) -> int32 [2, 3] [[1, 2, 3], [3, 4, 5]]
x.at[0].add(mx.array(1.5)) -> int32 [2, 3] [[1, 2, 3], [3, 4, 5]]
x.at[0].add('a') -> ! ValueError
x.at[0].add(None) -> ! TypeError
x.at[0].add(1j) -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x.at[mx.array([0, 0])].add(1) -> int32 [2, 3] [[2, 3, 4], [3, 4, 5]]
x.at[mx.array([0, 0])].subtract(1) -> int32 [2, 3] [[-2, -1, 0], [3, 4, 5]]
x.at[mx.array([0, 0])].multiply(3) -> int32 [2, 3] [[0, 9, 18], [3, 4, 5]]
x.at[mx.array([0, 0])].maximum(mx.array([[1, 9, 1], [2, 2, 2]])) -> int32 [2, 3] [[2, 9, 2], [3, 4, 5]]
x.at[[0, 0]].add(1) -> int32 [2, 3] [[2, 3, 4], [3, 4, 5]]
x.at[0, mx.array([1, 1])].add(1) -> int32 [2, 3] [[0, 3, 2], [3, 4, 5]]
x.at[mx.array([0, 0]), mx.array([1, 1])].add(1) -> int32 [2, 3] [[0, 3, 2], [3, 4, 5]]
x.at[:, 1:].add(1) -> int32 [2, 3] [[0, 2, 3], [3, 5, 6]]
x.at[::2].add(1) -> int32 [2, 3] [[1, 2, 3], [3, 4, 5]]
x.at[::-1].add(mx.array([[1], [10]])) -> int32 [2, 3] [[10, 11, 12], [4, 5, 6]]
x.at[0:2, mx.array([0, 0])].add(1) -> int32 [2, 3] [[2, 1, 2], [5, 4, 5]]
x.at[...].add(1) -> int32 [2, 3] [[1, 2, 3], [4, 5, 6]]
x.at[None].add(1) -> int32 [2, 3] [[1, 2, 3], [4, 5, 6]]
x.at[np.array([0])].add(1) -> ! ValueError
x.at[0.5].add(1) -> ! ValueError
x.at['a'].add(1) -> ! ValueError
x.at[5].add(1) -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x.at[mx.array([7])].add(1) -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
x.at[0].add(value=1) -> int32 [2, 3] [[1, 2, 3], [3, 4, 5]]
x.at[0].add(values=1) -> ! TypeError
x.at[0][1].add(1) -> int32 [2, 3] [[0, 1, 2], [4, 5, 6]]
x.at[0, 0, 0].add(1) -> ! ValueError
x.at[1:0].add(1) -> int32 [2, 3] [[0, 1, 2], [3, 4, 5]]
s.at[None].add(1) -> int32 [] 4
s.at[...].add(1) -> int32 [] 4
y = x.at[0]; x[0] = 7; y.add(1) -> int32 [2, 3] [[1, 2, 3], [3, 4, 5]]
u.at[0].add(300) -> ! ValueError
u.at[0].add(-1) -> ! ValueError
u.at[0].add(mx.array(300)) -> uint8 [2] [45, 2]
u.at[0].multiply(2.5) -> uint8 [2] [2, 2]
x.at[...].add(mx.array(1.5)) -> float32 [2, 3] [[1.5, 2.5, 3.5], [4.5, 5.5, 6.5]]
x.at[...].divide(mx.array(2)) -> float32 [2, 3] [[0.0, 0.5, 1.0], [1.5, 2.0, 2.5]]
x.at[...].maximum(mx.array(1.5)) -> float32 [2, 3] [[1.5, 1.5, 2.0], [3.0, 4.0, 5.0]]
x.at[None].multiply(mx.array(1.5)) -> float32 [2, 3] [[0.0, 1.5, 3.0], [4.5, 6.0, 7.5]]
x.at[:].add(mx.array(1.5)) -> int32 [2, 3] [[1, 2, 3], [4, 5, 6]]
s.at[None].add(1.5) -> float32 [] 4.5
"""


@pytest.mark.parametrize(("program", "expected"), cases(AT))
def test_at(program: str, expected: str) -> None:
    check(program, expected)

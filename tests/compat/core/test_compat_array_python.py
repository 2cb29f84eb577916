"""What Python's functions and statements make of arrays."""

import pytest
from tests.compat.core.expressions import cases, check

PYTHON = r"""
hash(x) == hash(x) -> True
{x: 1}[x] -> 1
x in {x} -> True
len({s, mx.array(3)}) -> 2
len(x) -> 2
len(s) -> ! TypeError
len(mx.zeros((0, 3))) -> 0
list(f) -> [float32 [] 1.0, float32 [] 2.0, float32 [] 3.0]
list(s) -> ! TypeError
list(x)[0] -> int32 [3] [0, 1, 2]
[v.item() for v in f] -> [1.0, 2.0, 3.0]
tuple(mx.zeros((0, 3))) -> (,)
next(iter(x)) -> int32 [3] [0, 1, 2]
a, t = x; (a, t) -> (int32 [3] [0, 1, 2], int32 [3] [3, 4, 5],)
int(s) -> 3
int(f) -> ! ValueError
int(mx.array([2.7])) -> 2
int(mx.array(2.7)) -> 2
int(mx.array(-2.7)) -> -2
int(mx.array(float('nan'))) -> ! ValueError
int(mx.array([[2]])) -> 2
int(c) -> ! TypeError
float(s) -> 3.0
float(mx.array([2.5])) -> 2.5
float(f) -> ! ValueError
float(c) -> ! TypeError
float(b[0]) -> 1.0
complex(s) -> (3+0j)
complex(c) -> (1+2j)
complex(f) -> ! ValueError
s.__index__() -> 3
[1, 2, 3, 4][s] -> 4
range(s) -> range(0, 3)
range(mx.array([3])) -> ! TypeError
range(mx.array(3.0)) -> ! TypeError
[1, 2, 3, 4][mx.array(True)] -> ! TypeError
bytes(mx.array([1, 2], mx.uint8)) -> b'\x01\x02'
bytes(s) -> b'\x03\x00\x00\x00'
import math; z = mx.array(2.7); math.floor(z) -> 2
import math; z = mx.array(2.7); math.ceil(z) -> 3
import math; z = mx.array(2.7); math.trunc(z) -> ! TypeError
import math; z = mx.array(4.0); math.sqrt(z) -> 2.0
min(f) -> float32 [] 1.0
max(f) -> float32 [] 3.0
sum(f) -> float32 [] 6.0
sorted(f) -> [float32 [] 1.0, float32 [] 2.0, float32 [] 3.0]
list(reversed(f)) -> [float32 [] 3.0, float32 [] 2.0, float32 [] 1.0]
f.item() -> ! ValueError
s.item() -> 3
mx.array([[5]]).item() -> 5
mx.array([]).item() -> ! ValueError
mx.array(True).item() -> True
mx.array(1.5, mx.bfloat16).item() -> 1.5
mx.array(1.5, mx.float16).item() -> 1.5
mx.array(2 ** 62).item() -> 4611686018427387904
c.item() -> (1+2j)
"""


@pytest.mark.parametrize(("program", "expected"), cases(PYTHON))
def test_python(program: str, expected: str) -> None:
    check(program, expected)

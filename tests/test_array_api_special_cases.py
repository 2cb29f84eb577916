"""The special cases of the array API standard, line by line of its tables, over a grid of operands."""

import cmath
import itertools
import math
import operator
import re

import numpy as np
import pytest

import funcnn as fn
from array_api import special_cases

POSITIVE_NAN = float(np.array(0x7FF8 << 48, np.uint64).view(np.float64))
NEGATIVE_NAN = float(np.array(0xFFF8 << 48, np.uint64).view(np.float64))
MAGNITUDES = [0.0, 2.0**-40, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 7.0, 2.0**15, math.inf]
GRID = [POSITIVE_NAN, NEGATIVE_NAN, *MAGNITUDES, *(-x for x in MAGNITUDES)]
OPERATORS = {
    "abs": abs,
    "add": operator.add,
    "divide": operator.truediv,
    "equal": operator.eq,
    "floor_divide": operator.floordiv,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "less": operator.lt,
    "less_equal": operator.le,
    "multiply": operator.mul,
    "negative": operator.neg,
    "not_equal": operator.ne,
    "positive": operator.pos,
    "pow": operator.pow,
    "remainder": operator.mod,
    "subtract": operator.sub,
}
IN_PLACE = {
    "add": operator.iadd,
    "divide": operator.itruediv,
    "floor_divide": operator.ifloordiv,
    "multiply": operator.imul,
    "pow": operator.ipow,
    "remainder": operator.imod,
    "subtract": operator.isub,
}


def number(text: str) -> float:
    """A value such as -0, 3pi/4 or -inf."""
    if match := re.fullmatch(r"([+-]?)(\d*)pi(?:/(\d))?", text):
        sign, times, parts = match.groups()
        return float(sign + "1") * float(times or 1) * math.pi / float(parts or 1)
    return {"+nan": POSITIVE_NAN, "-nan": NEGATIVE_NAN, "nan": math.nan}.get(text) or float(text)


def sign(x: float) -> float:
    return math.copysign(1, x)


def same(x: float, y: float) -> bool:
    """Whether two numbers are equal, zeros with their signs."""
    return math.isnan(x) if math.isnan(y) else x == y and (x != 0 or sign(x) == sign(y))


def meets(x: float, condition: str, other: float | None = None) -> bool:
    """Whether an operand meets all words of a condition."""
    if " " in condition:
        return all(meets(x, word, other) for word in condition.split())
    if condition.startswith("!"):
        return not meets(x, condition[1:], other)
    if condition.startswith("|"):
        return meets(abs(x), condition[1:], other)
    if condition == "-x1":
        return x == -other
    finite = math.isfinite(x)
    words = {
        "*": True,
        "0": x == 0,
        "+-inf": math.isinf(x),
        "finite": finite,
        "nonzero": finite and x != 0,
        "positive": finite and x > 0,
        "negative": finite and x < 0,
        "whole": finite and x == math.floor(x),
        "odd": finite and x % 2 == 1,
        "fraction": finite and x != math.floor(x),
        "+nan": math.isnan(x) and sign(x) > 0,
        "-nan": math.isnan(x) and sign(x) < 0,
    }
    if condition in words:
        return words[condition]
    if condition[0] in "<>":
        return x > number(condition[1:]) if condition[0] == ">" else x < number(condition[1:])
    return same(x, number(condition))


def close(got: float, want: float, tolerance: float, signed: bool = True) -> bool:
    if not signed:
        got, want = abs(got), abs(want)
    if math.isfinite(want) and want != 0:
        return abs(got - want) <= tolerance * abs(want)
    return same(got, want)


def expected(result: str, operands: tuple[float, ...]) -> float:
    """What a line says for real operands."""
    named = {"x": operands[0], "x1": operands[0], "x2": operands[-1]}
    if match := re.fullmatch(r"(-?)\|(x\d?)\|", result):
        return math.copysign(named[match[2]], float(match[1] + "1"))
    if result == "signed inf":
        return math.copysign(math.inf, sign(operands[0]) * sign(operands[1]))
    return named[result] if result in named else number(result)


def tolerance_of(dtype: str) -> float:
    return {"float16": 2e-3, "bfloat16": 2e-2, "float32": 1e-6, "float64": 1e-14}[dtype]


def operands_of(line: str, grid: list[float] = GRID) -> list[tuple[float, ...]]:
    conditions = line.split(" -> ")[0].split(", ")
    return [
        xs
        for xs in itertools.product(grid, repeat=len(conditions))
        if all(meets(x, condition, xs[0]) for x, condition in zip(xs, conditions, strict=True))
    ]


LINES = [(name, line) for name, lines in special_cases.REAL.items() for line in lines]


@pytest.mark.parametrize(("name", "line"), LINES, ids=[f"{name}: {line}" for name, line in LINES])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_real(name, line, dtype):
    cases = operands_of(line, fn.array(np.array(GRID), fn.float64).astype(dtype).tolist())
    assert cases
    result = line.split(" -> ")[1]
    columns = [fn.array(np.array(column), fn.float64).astype(dtype) for column in zip(*cases, strict=True)]
    for call in filter(None, (getattr(fn, name), OPERATORS.get(name), IN_PLACE.get(name))):
        got = call(*columns)
        if result in ("True", "False"):
            assert got.tolist() == [result == "True"] * len(cases), call
            continue
        values = [column.tolist() for column in columns]
        assert got.dtype == columns[0].dtype
        for value, *xs in zip(got.tolist(), *values, strict=True):
            want = expected(result, tuple(xs))
            assert close(value, want, tolerance_of(dtype)), (call, xs, value, want)
            if name == "copysign":
                assert sign(value) == sign(want)


PAIRS = [(name, line) for name, lines in special_cases.COMPLEX.items() for line in lines]


def complex_expected(result: str, a: float, b: float) -> tuple[tuple[float, float], tuple[bool, bool]]:
    """What a line says for a + b j, and of which parts the sign counts."""
    if "cis(b)" in result:
        scale, rest = number(result.split("*")[0]), result.partition("cis(b)")[2]
        re_ = scale * math.cos(b)
        return (re_ + float(rest) if rest else re_, scale * math.sin(b)), (True, True)
    parts = result.split(" & ")
    return tuple(number(p.lstrip("±")) for p in parts), tuple("±" not in p for p in parts)


@pytest.mark.parametrize(("name", "line"), PAIRS, ids=[f"{name}: {line}" for name, line in PAIRS])
def test_complex(name, line):
    cases = operands_of(line)
    assert cases
    result = line.split(" -> ")[1]
    z = fn.array(np.array([complex(a, b) for a, b in cases], np.complex64))
    got = getattr(fn, name)(z)
    if result in ("True", "False"):
        assert got.tolist() == [result == "True"] * len(cases)
        return
    if name == "abs":
        for value, (a, b) in zip(got.tolist(), cases, strict=True):
            want = {"|a|": abs(a), "|b|": abs(b)}.get(result) if "|" in result else number(result)
            assert close(value, want, 1e-6), (a, b, value)
        return
    conjugate = getattr(fn, name)(fn.array(np.array([complex(a, -b) for a, b in cases], np.complex64)))
    for value, mirrored, (a, b) in zip(got.tolist(), conjugate.tolist(), cases, strict=True):
        (re_, im), (re_signed, im_signed) = complex_expected(result, a, b)
        assert close(value.real, re_, 1e-6, re_signed), (a, b, value)
        assert close(value.imag, im, 1e-6, im_signed), (a, b, value)
        if name != "sign" and not (math.isnan(a) or math.isnan(b)):
            assert close(mirrored.real, value.real, 1e-6, re_signed), (a, -b, mirrored)
            assert close(mirrored.imag, -value.imag, 1e-6, im_signed), (a, -b, mirrored)


# Of these the standard says what they are made of.
ROTATED = {
    "asin": ("asinh", -1j),
    "atan": ("atanh", -1j),
    "cos": ("cosh", 1),
    "sin": ("sinh", -1j),
    "tan": ("tanh", -1j),
}


def times(z: complex, unit: complex) -> complex:
    """The product with 1, j or -j, which moves and negates the parts and nothing else."""
    return {1: z, 1j: complex(-z.imag, z.real), -1j: complex(z.imag, -z.real)}[unit]


@pytest.mark.parametrize("name", ROTATED)
def test_functions_made_of_others(name):
    other, unit = ROTATED[name]
    z = [complex(a, b) for a, b in itertools.product(GRID, repeat=2)]
    got = getattr(fn, name)(fn.array(np.array(z, np.complex64))).tolist()
    made = getattr(fn, other)(fn.array(np.array([times(x, 1j) for x in z], np.complex64))).tolist()
    for x, value, rotated in zip(z, got, made, strict=True):
        want = times(rotated, unit)
        for part, wanted in ((value.real, want.real), (value.imag, want.imag)):
            # Beside NaN the sign of zero and of infinity is open.
            signed = not (math.isnan(x.real) or math.isnan(x.imag) or math.isinf(x.real) or math.isinf(x.imag))
            assert close(part, wanted, 2e-6, signed), (x, value, want)


def test_tangents_of_infinities_have_the_sign_of_the_real_part():
    for x in (0.3, 1.7, 3.0):  # sin(2 x), to which C leaves it, changes its sign
        for a in (x, -x):
            got = fn.tan(fn.array(np.array([complex(a, math.inf), complex(a, -math.inf)], np.complex64))).tolist()
            assert [z.imag for z in got] == [1, -1]
            assert [z.real for z in got] == [0, 0] and [sign(z.real) for z in got] == [sign(a)] * 2


CUTS = {
    # Where the cut lies, and values on its sides: above or to the right (a zero with a plus sign), below or to the left.
    "sqrt": (lambda t, zero: complex(-t, zero), lambda z: z**0.5),
    "log": (lambda t, zero: complex(-t, zero), cmath.log),
    "acos": (lambda t, zero: complex(1 + t, zero), cmath.acos),
    "asin": (lambda t, zero: complex(1 + t, zero), cmath.asin),
    "atan": (lambda t, zero: complex(zero, 1 + t), cmath.atan),
    "acosh": (lambda t, zero: complex(1 - t, zero), cmath.acosh),
    "asinh": (lambda t, zero: complex(zero, 1 + t), cmath.asinh),
    "atanh": (lambda t, zero: complex(1 + t, zero), cmath.atanh),
    "log1p": (lambda t, zero: complex(-1 - t, zero), lambda z: cmath.log(1 + z)),
}


@pytest.mark.parametrize("name", CUTS)
def test_branch_cuts(name):
    at, oracle = CUTS[name]
    for t in (0.5, 1.0, 7.0):
        for zero in (0.0, -0.0):
            z = at(t, zero)
            near = at(t, math.copysign(1e-9, zero))
            got = getattr(fn, name)(fn.array(np.array(z, np.complex64))).item()
            assert abs(got - oracle(near)) < 1e-5 * abs(got) + 1e-6, (z, got, oracle(near))

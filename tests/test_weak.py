"""Python numbers stay as weak inside traced functions as they are outside: eager and traced agree in dtype."""

import numpy as np
import pytest

import funcnn as fn
from funcnn import random

NUMBERS = [True, 3, 2.5, 1 + 2j]
DTYPES = [fn.bool_, fn.uint8, fn.int32, fn.int64, fn.float16, fn.bfloat16, fn.float32, fn.float64, fn.complex64]

EXPRESSIONS = {
    "p * r": lambda p, r: p * r,
    "r - p": lambda p, r: r - p,
    "p - r * p": lambda p, r: p - r * p,
    "p * (r * 2)": lambda p, r: p * (r * 2),
    "p * (r / 2)": lambda p, r: p * (r / 2),
    "p * (r + r)": lambda p, r: p * (r + r),
    "p * -r": lambda p, r: p * -r,
    "p + (1 - r) * p": lambda p, r: p + (1 - r) * p,
    "p * (2 ** r)": lambda p, r: p * (2**r),
    "p * (r ** 2)": lambda p, r: p * (r**2),
    "p * (r // 2)": lambda p, r: p * (r // 2),
    "p * (r % 2)": lambda p, r: p * (r % 2),
    "p * (r > 1)": lambda p, r: p * (r > 1),
    "p * (r == 3)": lambda p, r: p * (r == 3),
    "p + abs(r)": lambda p, r: p + abs(r),
    "p + divmod(r, 2)[1]": lambda p, r: p + divmod(r, 2)[1],
    "r & 1": lambda p, r: p & (r & 1),
    "r << 1": lambda p, r: p + (r << 1),
    "~r": lambda p, r: p + ~r,
    "add": lambda p, r: fn.add(p, r),
    "add numbers": lambda p, r: p * fn.add(r, 1),
    "maximum": lambda p, r: fn.maximum(r, p),
    "power": lambda p, r: fn.power(p + 0, r),
    "clip": lambda p, r: fn.clip(p, 0, r),
    "clip number": lambda p, r: fn.clip(r, 0, p),
    "full": lambda p, r: p * fn.full((2,), r),
    "full_like": lambda p, r: fn.full_like(p, r),
    "pad": lambda p, r: fn.pad(p, 1, r),
    "isclose": lambda p, r: fn.isclose(p, r),
    "sum": lambda p, r: p * fn.sum(r),
    "concatenate": lambda p, r: fn.concatenate([p, fn.stack([fn.array(r)])]),
    "choose": lambda p, r: fn.where(r > 1, p, r),
    "astype": lambda p, r: p * fn.astype(r, fn.float16),
    "sqrt": lambda p, r: p * fn.sqrt(r),
    "array": lambda p, r: p * fn.array(r),
    "asarray": lambda p, r: p * fn.asarray(r),
    "where": lambda p, r: fn.where(p == p, p, r),
    "equal": lambda p, r: p == r,
    "at": lambda p, r: p.at[0].multiply(r),
    "reshape": lambda p, r: p * fn.reshape(r, ()),
    "stack": lambda p, r: fn.stack([p[0], fn.array(r)]),
}


def same(a, b):
    assert a.dtype == b.dtype
    np.testing.assert_allclose(
        np.asarray(a.astype(fn.complex64)), np.asarray(b.astype(fn.complex64)), rtol=1e-2, atol=1e-2
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_compiled_and_eager_agree(expression, dtype):
    p = fn.array([1, 0]).astype(dtype)
    for number in NUMBERS:
        try:
            eager = expression(p, number)
        except (TypeError, ValueError):
            continue  # a number that does not fit the dtype, say: there is no value to look at while tracing
        same(fn.compile(expression)(p, number), eager)
        same(fn.cond(True, lambda r: expression(p, r), lambda r: expression(p, r), number), eager)
        same(fn.checkpoint(lambda r: expression(p, r))(number), eager)
        same(fn.scan(lambda c, _: (c, expression(p, c)), number, length=1)[1][0], eager)


NARROW = {
    "r + p": lambda p, r: r + p,
    "p < r": lambda p, r: p < r,
    "maximum": lambda p, r: fn.maximum(p, r),
    "where": lambda p, r: fn.where(p > 0, p, r),
    "at": lambda p, r: p.at[0].set(r),
    "cond": lambda p, r: fn.cond(p[0] > 5, lambda: p * r, lambda: p),
    "scan": lambda p, r: fn.scan(lambda c, x: (c + r, x), p, p)[0],
    "compile": lambda p, r: fn.compile(lambda q, s: q // s)(p, r),
    "full": lambda p, r: fn.full((2,), r, p.dtype),
    "full_like": lambda p, r: fn.full_like(p, r),
    "array": lambda p, r: fn.array(r, p.dtype),
    "list": lambda p, r: fn.array([[p[0], r]], p.dtype),
}


@pytest.mark.parametrize("expression", NARROW.values(), ids=NARROW)
def test_compiled_functions_refuse_numbers_that_the_dtype_beside_them_does_not_hold(expression):
    p = fn.array([1, 2, 3], fn.uint8)
    compiled = fn.compile(expression)
    for number in (7, 300, 255, -1, 2**40, np.int64(256), 9):
        if 0 <= number < 256:
            same(compiled(p, number), expression(p, number))
            continue
        with pytest.raises(ValueError, match=f"the integer {number} does not fit uint8"):
            compiled(p, number)
    same(compiled(p.astype(fn.int64), 300), expression(p.astype(fn.int64), 300))


COMPUTED = {
    "p < r + 100": lambda p, r: p < r + 100,
    "p + r * r // 4": lambda p, r: p + r * r // 4,
    "p - (-r)": lambda p, r: p - -r,
    "p | r << 3": lambda p, r: p | r << 3,
    "p * 2 ** (r % 16)": lambda p, r: p * 2 ** (r % 16),
    "p.at[0].set(r ^ 256)": lambda p, r: p.at[0].set(r ^ 256),
    "compile": lambda p, r: fn.compile(lambda q, s: q + s // 2)(p, r * 3),
    "cond": lambda p, r: fn.cond(True, lambda s: p + (s + 7), lambda s: p, r),
    "scan": lambda p, r: fn.scan(lambda c, x: (c, x < c - 1), r, p)[1],
    "while_loop": lambda p, r: fn.while_loop(
        lambda c: (c[0] < 1) & (p[0] < c[1] * 3), lambda c: (c[0] + 1, c[1]), (0, r)
    )[0],
    "vmap": lambda p, r: fn.vmap(lambda x, s: x + 2 * s, in_axes=(0, None))(p, r),
    "checkpoint": lambda p, r: fn.checkpoint(lambda s: p + 2 * s)(r),
    "grad": lambda p, r: fn.grad(lambda f: (f * (p + fn.compile(lambda s: s * s)(r))).sum())(1.0),
    "int64": lambda p, r: p.astype(fn.int64) + r * r,
    "float32": lambda p, r: p.astype(fn.float32) * (r * r * r),
    "array": lambda p, r: p * fn.array(r * r * r),
}


@pytest.mark.parametrize("expression", COMPUTED.values(), ids=COMPUTED)
def test_numbers_computed_from_arguments_are_what_python_makes_of_them(expression):
    p = fn.array([1, 2, 3], fn.uint8)
    plain = {
        "cond": lambda p, r: p + (r + 7),
        "scan": lambda p, r: p < r - 1,
        "while_loop": lambda p, r: fn.astype(p[0] < r * 3, fn.int32),
        "vmap": lambda p, r: p + 2 * r,
        "checkpoint": lambda p, r: p + 2 * r,
        "grad": lambda p, r: (p + r * r).sum().astype(fn.float32),
    }.get(next(name for name, f in COMPUTED.items() if f is expression), expression)
    compiled = fn.compile(expression)
    for number in (5, 14, 90, -3, 250, 3000, 70_000):
        # Python's numbers have no bounds; those of a trace have the bounds of int32.
        fits = max(abs(number) ** 3, 1) < 2**31 or expression not in (COMPUTED["float32"], COMPUTED["array"])
        fits &= number**2 < 2**31 or expression is not COMPUTED["int64"]
        try:
            eager = plain(p, number) if fits else None
        except ValueError:
            eager = None
        if eager is not None:
            same(compiled(p, number), eager)
            same(expression(p, number), eager)
            continue
        with pytest.raises(ValueError, match="the integer -?[0-9]+ does not fit u?int"):
            compiled(p, number)


def test_numbers_that_wrap_on_the_way_are_exact_again():
    step = fn.compile(lambda x, seed: x + ((seed * 1103515245 + 12345) & 0x7FFFFFFF) % 200)
    for seed in (1, 77, 2**31 - 1):
        expected = ((seed * 1103515245 + 12345) & 0x7FFFFFFF) % 200
        assert step(fn.zeros(1, fn.uint8), seed).item() == expected
    with pytest.raises(ValueError, match="10000000000 does not fit int32"):
        fn.compile(lambda n: n * n)(100_000)
    assert fn.compile(lambda n: n // 0 * 1)(1).dtype == fn.int32  # whatever that is
    half = fn.compile(lambda x, n: x * 2**n)
    assert half(fn.ones(1), 3).item() == 8.0
    with pytest.raises(ValueError, match=r"is 0.25, but int32 while tracing; compute it from floats, as in 2.0 \*\* n"):
        half(fn.ones(1), -2)


def test_numbers_beside_arrays_in_a_list():
    x = fn.array(2**24 + 1)
    assert fn.array([x, 2.7], fn.int32).tolist() == [2**24 + 1, 2]
    assert fn.array([x, 0.1], fn.float64).tolist() == [2**24 + 1, 0.1]
    with pytest.raises(ValueError, match="the integer 300 does not fit uint8"):
        fn.array([x, 300], fn.uint8)
    rate = fn.compile(lambda y, r: fn.array([r, y[0]], fn.float64) + fn.full((), r, fn.float64))
    assert rate(fn.zeros(1, fn.float64), 0.1).tolist() == [0.2, 0.1]


def test_bounds_of_random_integers():
    draw = fn.compile(lambda key, high: random.randint(key, 0, high, (8,), fn.uint8))
    key = random.key(0)
    for high in (3, 256):
        same(draw(key, high), random.randint(key, 0, high, (8,), fn.uint8))
    with pytest.raises(ValueError, match="does not fit uint8"):
        draw(key, 257)


@pytest.mark.parametrize(
    "loop, most",
    [
        (lambda n: fn.scan(lambda c, x: (c + 1, x < c), 0, fn.zeros((n,), fn.uint8)), 256),
        (lambda n: fn.scan(lambda c, x: (c - 1, x + (c + 1)), 254, fn.zeros((n,), fn.uint8), reverse=True), 256),
        (lambda n: fn.scan(lambda c, x: (c * 2, x + c), 1, fn.zeros((n,), fn.uint8)), 8),
        (lambda n: fn.scan(lambda c, x: ((c[0] + c[1], c[0]), x + c[0]), (1, 1), fn.zeros((n,), fn.int8)), 10),
        (lambda n: fn.fori_loop(0, n, lambda i, x: fn.maximum(x, i), fn.zeros(2, fn.uint8)), 256),
        (lambda n: fn.fori_loop(-n, 0, lambda i, x: x + i * 2, fn.zeros(2, fn.int8)), 64),
        (
            lambda n: fn.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] + c[0]), (0, fn.zeros(2, fn.uint8))),
            256,
        ),
        (lambda n: fn.fori_loop(46_000, 46_000 + n, lambda i, x: x + i * i, fn.zeros(2)), 341),
    ],
)
def test_numbers_that_change_in_loops(loop, most):
    for run in (loop, lambda n: fn.compile(lambda: loop(n))()):
        run(most)
        with pytest.raises(ValueError, match="does not fit"):
            run(most + 1)


def test_numbers_that_change_in_loops_within_bounds():
    total, seen = fn.scan(lambda c, x: (c * 7 % 251, x + c), 1, fn.zeros((600,), fn.uint8))
    assert seen.tolist() == [pow(7, i, 251) for i in range(600)] and total.item() == pow(7, 600, 251)
    assert (
        fn.while_loop(lambda c: c[0] < 300, lambda c: (c[0] + 1, c[1] + c[0] // 2), (0, fn.zeros((), fn.uint8)))[0]
        == 300
    )


def test_integers_that_only_uint64_holds():
    x, big = fn.array([1, 2], fn.uint64), 2**63 + 5
    expected = np.array([1, 2], np.uint64)
    add = fn.compile(lambda x, n: x + n)
    np.testing.assert_array_equal(add(x, big), expected + np.uint64(big))
    np.testing.assert_array_equal(add(x, np.uint64(big)), expected + np.uint64(big))
    np.testing.assert_array_equal(fn.compile(lambda x, n, m: x + (n - m))(x, big, 7), expected + np.uint64(big - 7))
    np.testing.assert_array_equal(fn.compile(lambda x, n: x * (n > 2))(x, big), expected)
    assert fn.compile(lambda x, n: x * n)(fn.ones(()), big).item() == float(np.float32(big))
    for f, *arguments in (
        (add, x.astype(fn.int64), big),
        (add, x, 2**64),
        (fn.compile(lambda x, n, m: x + (n - m)), x, big, 2**63 + 6),
        (fn.compile(lambda x, n: x + n * 2), x, big),
    ):
        with pytest.raises(ValueError, match="the integer -?[0-9]+ does not fit u?int64"):
            f(*arguments)


def test_numbers_and_arrays_have_traces_of_their_own():
    f = fn.compile(lambda p, rate: p - rate * p)
    p = fn.ones((2,), dtype=fn.bfloat16)
    assert f(p, 0.5).dtype == fn.bfloat16
    assert f(p, fn.array(0.5)).dtype == fn.float32
    assert f(p, np.float32(0.5)).dtype == fn.bfloat16  # as beside an array
    assert f(p, 0.25).dtype == fn.bfloat16
    assert f.cache_info()["misses"] == 2


def test_results_of_numbers_alone_are_numbers():
    p = fn.ones((2,), dtype=fn.bfloat16)
    double = fn.compile(lambda r: r * 2)
    assert (p * double(0.5)).dtype == fn.bfloat16
    assert (p * double(fn.array(0.5))).dtype == fn.float32
    assert (p * fn.compile(lambda r: r)(0.5)).dtype == fn.bfloat16
    assert (p * fn.compile(lambda: 0.5)()).dtype == fn.bfloat16
    assert (p * fn.compile(lambda r: fn.compile(lambda s: s * 2)(r))(0.5)).dtype == fn.bfloat16
    # Constants that all share stay what they are.
    assert (p * fn.array(1.0)).dtype == fn.float32 and (p * fn.array(0.0)).dtype == fn.float32


@pytest.mark.parametrize("transform", [fn.grad, lambda f: lambda x: fn.jvp(f, (x,), (1.0,))[0]])
def test_numbers_that_are_differentiated(transform):
    seen = []

    def f(x):
        seen.append((x * fn.ones((2,), dtype=fn.bfloat16)).dtype)
        return x * x

    transform(f)(2.0)
    assert seen == [fn.bfloat16]


def test_rules_with_numbers():
    g = fn.custom_vjp(lambda p, rate: p * rate)
    g.defvjp(lambda p, rate: (p * rate, rate), lambda rate, ct: (ct * rate, None))
    p = fn.ones((2,), dtype=fn.bfloat16)
    for f in (fn.grad(lambda p, r: g(p, r).sum()), fn.compile(fn.grad(lambda p, r: g(p, r).sum()))):
        assert f(p, 0.5).dtype == fn.bfloat16


def test_carries_become_what_a_loop_makes_of_them():
    xs = fn.ones((3,), dtype=fn.bfloat16)
    total, partial = fn.scan(lambda c, x: (c + x, c), 0.0, xs)
    assert total.dtype == partial.dtype == fn.bfloat16 and partial.tolist() == [0, 1, 2]
    assert fn.scan(lambda c, x: (c + x, None), 0, xs)[0].dtype == fn.bfloat16
    assert fn.scan(lambda c, _: (c * 0.5, None), 1, length=2)[0].item() == 0.25
    assert fn.scan(lambda c, x: (0.0, c), fn.array(1.0, dtype=fn.bfloat16), xs)[1].dtype == fn.bfloat16
    last = fn.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * xs[0]), (0, 1.0))
    assert last[0].dtype == fn.int32 and last[1].dtype == fn.bfloat16
    with pytest.raises(TypeError, match="went in as float32.*came back as int32"):
        fn.scan(lambda c, _: (c.astype(fn.int32), None), 0.5, length=2)
    with pytest.raises(TypeError, match="went in as float32"):
        fn.scan(lambda c, x: (c + x, None), fn.array([0.0, 0.0]), fn.ones((3,), dtype=fn.float64))


def test_branches_share_a_dtype():
    p = fn.ones((), dtype=fn.bfloat16)
    assert fn.cond(True, lambda p: p, lambda p: 0.0, p).dtype == fn.bfloat16
    assert fn.cond(True, lambda p: 1, lambda p: p, p).item() == 1.0
    assert fn.cond(False, lambda: 1, lambda: 0.5).dtype == fn.float32
    with pytest.raises(TypeError, match="disagree"):
        fn.cond(True, lambda: fn.array(1), lambda: 0.5)


def test_floats_keep_their_digits_beside_float64():
    x = fn.array([1.0, 3.0], fn.float64)
    expected = np.asarray(x) - 0.1 * np.asarray(x)
    step = fn.compile(lambda p, rate: p - rate * p)
    nested = fn.compile(lambda p, rate: step(p, rate))
    for run in (step, nested, lambda p, rate: fn.grad(lambda p: (p * step(p, rate)).sum() / 2)(p)):
        assert run(x, 0.1).dtype == fn.float64
        np.testing.assert_allclose(run(x, 0.1), expected, rtol=1e-15)
        np.testing.assert_allclose(run(x, np.float64(0.1)), expected, rtol=1e-15)
        assert run(x.astype(fn.float32), 0.1).dtype == fn.float32
    seen = []
    f = fn.compile(
        lambda p, rate: (seen.append((rate.dtype, fn.sqrt(rate).dtype, (rate * 2).dtype)), p * rate, rate)[1:]
    )
    scaled, rate = f(x, 0.1)
    assert seen == [(fn.float32,) * 3] and rate.dtype == fn.float32
    np.testing.assert_array_equal(scaled, np.asarray(x) * 0.1)
    f(x, 0.3)
    assert f.cache_info()["misses"] == 1
    assert (fn.ones(2, fn.bfloat16) * rate).dtype == fn.bfloat16

"""Why kernels are not one: fn.explain tells what the planner decided, and decides nothing else because it is asked."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from tests.test_plan import execute, programs

import funcnn as fn

X = fn.ones((8, 8))
LONG = fn.ones(1 << 17)


def seams(f, *args):
    return fn.explain(f)(*args).seams


CASES = [
    (lambda x: fn.softmax(x @ x, axis=-1), X, "dot float32(8, 8)", "a reduction is no epilogue"),
    (
        lambda x: fn.sort(fn.exp(x), axis=0),
        X,
        "exp float32(8, 8)",
        "the operation that reads it has a kernel of its own",
    ),
    (lambda x: fn.sort(x, axis=0) + 1, X, "sort float32(8, 8)", "takes no such epilogue"),
    (lambda x: (lambda y: y + y.T)(fn.exp(x)), X, "exp float32(8, 8)", "in another order"),
    (lambda x: x - fn.exp(x).sum(0), X, "sum float32(8,)", "a reduction over rows is complete only when"),
    (lambda x: x - fn.exp(x).sum(), LONG, "sum float32()", "rows are too long"),
    (lambda x: fn.exp(x).sum(0).max(), X, "sum float32(8,)", ""),
    (lambda x: (x[:4] @ x) + (x[:4] @ x).T.reshape(4, 8), X, "dot float32(4, 8)", "in another order"),
    (
        lambda x: fn.exp(x[:4]).reshape(-1)[:8] + fn.ones((3, 8)),
        X,
        "exp float32(4, 8)",
        "different numbers of elements",
    ),
]


@pytest.mark.on_cpu  # products of a GPU's library take no work along
@pytest.mark.parametrize("f, x, value, reason", CASES)
def test_reasons(f, x, value, reason):
    found = [s for s in seams(f, x) if s.value == value]
    assert found, seams(f, x)
    assert any(reason in s.reason for s in found), found


@pytest.mark.on_cpu  # products of a GPU's library take no work along
def test_one_kernel_has_no_seams():
    assert seams(lambda x: fn.softmax(fn.tanh(x) * 2, axis=-1), X) == ()
    assert seams(lambda x, w: fn.tanh(x @ w + 1), X, X) == ()


def test_kernels_that_read_one_array():
    with fn.default_device("reference"):
        x = fn.ones((8, 8))
        found = seams(lambda x: (fn.exp(x).sum(0), fn.sin(x).sum(1)), x)
    assert [s.value for s in found] == [""] and "rows or columns" in found[0].reason


def test_many_operands():
    with fn.default_device("reference"):
        xs = [fn.ones(8) for _ in range(40)]
        found = seams(lambda xs: sum(xs[1:], fn.exp(xs[0])), xs)
    assert any("operands" in s.reason for s in found), found


def test_without_fusion_that_is_the_reason():
    before = fn.set_fusion(False)
    try:
        found = seams(lambda x, w: fn.exp(fn.tanh(x @ w)), X, X)
    finally:
        fn.set_fusion(before)
    assert [(s.before, s.after, s.reason) for s in found] == [(0, 1, "fusion is off"), (1, 2, "fusion is off")]


def test_the_text_says_so_below_the_kernel():
    explanation = fn.explain(lambda x: fn.softmax(x @ x, axis=-1))(X)
    (seam,) = explanation.seams
    kernels = re.split(r"^\[", explanation.plan, flags=re.MULTILINE)
    assert f"apart from [0], whose dot float32(8, 8) it reads: {seam.reason}" in kernels[2]
    scan = fn.explain(lambda x: fn.scan(lambda c, v: (c, fn.softmax(v @ v, axis=-1)), 0.0, x)[1])(fn.ones((3, 8, 8)))
    assert "apart from [0], whose dot float32(8, 8) it reads" in scan.plan and scan.seams == ()


@settings(max_examples=60, deadline=None)
@given(programs())
def test_every_kernel_that_another_reads_has_its_reason(recipe):
    _, rows, cols, _ = recipe
    leaves = [fn.array(np.ones((rows, cols)), dtype=fn.float64) for _ in range(2)]

    def f(a, b):
        return sum(fn.sum(x) for x in execute(recipe, (a, b)))

    for device in ("cpu", "reference"):
        e = fn.explain(f, device=device)(*leaves)
        kernels = len(re.findall(r"^\[\d+\]", e.plan, re.MULTILINE))
        read = {s.before for s in e.seams if s.value}
        assert read == set(range(kernels - 1))
        assert all(0 <= s.before < s.after < kernels for s in e.seams)
        assert not any("they are one kernel" in s.reason for s in e.seams)


def test_asking_changes_nothing():
    def f(x):
        y = fn.exp(x) @ x
        return fn.softmax(y, axis=-1) + y.T, y.sum(0)

    fn.clear_plan_cache()
    first = fn.explain(f)(X).plan
    fn.eval(f(X))
    assert fn.explain(f)(X).plan == first
    with fn.profile() as p:
        fn.eval(f(X))
    assert sum(r.calls for r in p.records) == len(re.findall(r"^\[\d+\]", first, re.MULTILINE)) or "launch" in first

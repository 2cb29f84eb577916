"""Kernels that run together: many leaves are one loop, with the values and the memory of one after another."""

import re

import numpy as np
import pytest

import funcnn as fn
from funcnn import optim

SHAPES = [(300, 70), (5,), (), (0, 3), (64, 64), (1, 2000), (129,)]


@pytest.fixture(autouse=True, params=[1, 4])
def threads(request):
    before = fn.get_num_threads()
    fn.set_num_threads(request.param)
    yield
    fn.set_num_threads(before)


def launches(f, *args):
    last = fn.explain(f)(*args).plan.splitlines()[-1]
    kernels = int(last.split()[0])
    found = re.search(r"in (\d+) launch", last)
    return kernels, int(found[1]) if found else kernels


def arrays(seed, shapes=SHAPES):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=s).astype(np.float32) for s in shapes]


@pytest.mark.skipif(fn.default_device() == fn.Device("reference"), reason="its kernels take few operands")
def test_updates_of_many_leaves_are_one_launch():
    """Momentum, against the formula, donated and not."""
    params, grads = arrays(0), arrays(1)
    opt = optim.sgd(0.5, momentum=0.9)

    def step(params, state, grads):
        delta, state = opt.update(grads, state, params)
        return optim.apply_updates(params, delta), state

    made = [fn.array(p) for p in params]
    assert launches(step, made, opt.init(made), [fn.array(g) for g in grads])[1] <= 2
    for donate in ((), ("params", "state")):
        compiled = fn.compile(step, donate=donate)
        p, s = [fn.array(p) for p in params], opt.init(made)
        for _ in range(3):
            p, s = compiled(p, s, [fn.array(g) for g in grads])
        # v1 = g, v2 = 1.9 g, v3 = 2.71 g
        for x, p0, g in zip(p, params, grads, strict=True):
            np.testing.assert_allclose(x, p0 - 0.5 * (1 + 1.9 + 2.71) * g, rtol=1e-5, atol=1e-6)


@pytest.mark.on_cpu  # a GPU joins what has no reductions
def test_reductions_of_many_leaves_run_together():
    """Rows within a tile, rows longer than one, and columns with and without chunks of their own."""
    shapes = [(40, 33), (3, 200_000), (5000, 24), (1, 7), (700, 300)]
    xs = arrays(2, shapes)

    def f(xs):
        return [x.sum(-1) for x in xs], [(x * x).sum(0) for x in xs], [fn.max(x) for x in xs]

    kernels, together = launches(f, [fn.array(x) for x in xs])
    assert together < kernels
    rows, columns, largest = fn.compile(f)([fn.array(x) for x in xs])
    for x, r, c, m in zip(xs, rows, columns, largest, strict=True):
        wide = x.astype(np.float64)
        np.testing.assert_allclose(r, wide.sum(-1), rtol=1e-5, atol=2e-3)
        np.testing.assert_allclose(c, (wide * wide).sum(0), rtol=1e-5)
        assert m.item() == x.max()


def test_what_one_reads_another_does_not_overwrite():
    """The second of two steps is the last to read `x` and takes its memory: they must not run at once."""
    x = np.arange(1200 * 1000, dtype=np.float32).reshape(1200, 1000)

    @fn.compile(donate=("x",))
    def f(x):
        return x.reshape(-1)[::-2] * 2, x + 1

    for _ in range(10):
        a, b = f(fn.array(x))
        np.testing.assert_array_equal(a, x.reshape(-1)[::-2] * 2)
        np.testing.assert_array_equal(b, x + 1)


@pytest.mark.immediate
def test_running_together_takes_no_more_memory():
    """The sum of one softmax is independent of the next softmax, but waiting for it would keep both in memory."""
    n = 512

    def f(us):
        soft = [fn.softmax(u[:, None] * u, axis=-1) for u in us]
        return [fn.flip(s.reshape(-1)).reshape(64, -1).sum(1) for s in soft]

    us = [fn.full((n,), i / 8) for i in range(8)]
    explained = fn.explain(f)(us)
    assert explained.peak_bytes < 1.5 * n * n * 4
    fn.eval(us)
    before = fn.get_active_memory()
    fn.reset_peak_memory()
    fn.eval(fn.compile(f)(us))
    assert fn.get_peak_memory() - before <= explained.peak_bytes + (1 << 14)


def test_more_leaves_than_fit_on_a_stack():
    leaves = [fn.full((3,), float(i)) for i in range(2000)]
    doubled = fn.compile(lambda xs: [2 * x + 1 for x in xs])(leaves)
    assert [int(y[2].item()) for y in doubled] == [2 * i + 1 for i in range(2000)]


def test_programs_by_turns():
    """Equal little programs run one after another, whatever the order of the leaves; each with its own operands."""
    compiled = fn.compile(lambda xs: [[x * 2 + i, 1 - x][i % 2] for i, x in enumerate(xs)])
    xs = [np.arange(1 + i % 5, dtype=np.float32) + i for i in range(60)]
    given = [fn.array(x) for x in xs]
    for _ in range(40):  # machine code comes meanwhile
        for i, (x, y) in enumerate(zip(xs, compiled(given), strict=True)):
            np.testing.assert_array_equal(np.asarray(y), 1 - x if i % 2 else x * 2 + i)

"""What a value of a trace is while the trace runs and after it: on one thread, on several, and when something goes wrong."""

import functools
import gc
import signal
import subprocess
import sys
import threading
import weakref

import attrs
import numpy as np
import pytest

import funcnn as fn

A = fn.array
is_traced = fn._core.transforms.is_traced


def after_grad(x):
    """A result, a gradient and auxiliary output of a trace that has ended."""
    (value, aux), gradient = fn.value_and_grad(lambda x: ((x * x).sum(), x + 1), has_aux=True)(x)
    return value, aux, gradient


# ---- ended traces


def test_values_of_an_ended_trace_are_ordinary():
    calls = []

    @functools.partial(fn.compile, donate="x")
    def f(x):
        calls.append(1)
        return x * 2

    for evaluated in (False, True):
        for x in after_grad(A([1.0, 2.0]))[1:]:
            if evaluated:
                fn.eval(x)
            assert not is_traced(x)
            expected = np.asarray(x) * 2
            np.testing.assert_array_equal(np.asarray(f(x)), expected)
            with pytest.raises(ValueError, match="donated"):
                fn.eval(x + 1)
    assert len(calls) == 1 and f.cache_info()["hits"] == 3


def test_values_of_a_running_trace_are_traced():
    seen = []

    def f(x):
        inner = fn.grad(lambda w: (w * w).sum())(A([1.0, 2.0]))
        seen.append((is_traced(x), is_traced(x * 2), is_traced(inner), is_traced(inner * x), is_traced(A(1.0))))
        return x.sum()

    fn.grad(f)(A([1.0, 2.0]))
    fn.vmap(f)(A([[1.0, 2.0]]))
    assert seen == [(True, True, False, True, False)] * 2


def test_a_derivative_at_a_constant_is_traced_once():
    weights, calls = A(np.ones((3, 2), np.float32)), []

    def loss(w, x):
        calls.append(1)
        return ((x @ w) ** 2).sum()

    for inner in (
        lambda x: fn.value_and_grad(lambda w: loss(w, x))(weights),
        lambda x: fn.checkpoint(lambda w: loss(w, x))(weights),
        lambda x: fn.jvp(lambda w: loss(w, x), (weights,), (weights,)),
        lambda x: fn.vjp(lambda w: loss(w, x), weights)[1](A(1.0)),
        lambda x: fn.value_and_grad(lambda w: loss(w, x))(fn.ones((3, 2))),
    ):
        calls.clear()
        f = fn.compile(inner)
        results = [f(fn.ones((4, 3))) for _ in range(3)]
        assert len(calls) == 1
        assert f.cache_info()["hits"] == 2
        for a, b in zip(fn.tree.leaves(results[0]), fn.tree.leaves(results[2]), strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_the_log_says_why():
    program = """
import funcnn as fn
x = fn.ones((2,))
f = fn.compile(lambda x: x * 2)
f(x), f(x), f(fn.ones((3,))), f(2.0)
fn.grad(lambda w: fn.compile(lambda x: (x * w).sum())(x))(x)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], env={"FUNCNN_LOG": "compile"}, capture_output=True, text=True, check=True
    )
    lines = [line for line in run.stderr.splitlines() if "traced" in line]
    assert len(lines) == 4
    for line, words in zip(
        lines, ["first call", "a new signature", "number float32()", "serves this call alone"], strict=True
    ):
        assert words in line


def test_values_computed_in_a_trace_let_go_of_their_past():
    big, kept = 1 << 16, []
    gc.collect()
    before = fn.get_active_memory()

    def f(x):
        metric = (fn.ones((big,)) * x).sum() * 2  # not on the way to the result
        metric.item()
        kept.append(metric)
        return x * x

    fn.grad(f)(A(1.0)).item()
    gc.collect()
    assert fn.get_active_memory() - before < big


def test_values_that_nobody_keeps_are_freed_in_a_trace():
    n = 1 << 16

    def f(x):
        for _ in range(100):
            (x * fn.ones((n,))).sum().item()
        return x

    fn.eval(fn.grad(f)(A(1.0)))
    fn.reset_peak_memory()
    before = fn.get_active_memory()
    fn.eval(fn.grad(f)(A(1.0)))
    assert fn.get_peak_memory() - before < 20 * 4 * n


def test_an_inner_trace_that_ended_is_differentiated_by_the_outer_one():
    def f(x):
        inner = fn.grad(lambda y: y * y * x)(x)  # 2 x x
        inner.item()
        return inner * x

    assert fn.grad(f)(A(3.0)).item() == 6 * 9.0


# ---- threads


def in_threads(work, count=4):
    failures = []

    def run(i):
        try:
            work(i)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise failures[0]


class Running:
    """A trace that runs on a thread of its own until it is left."""

    def __init__(self, transform=fn.grad, x=None):
        self.value, self.gradient = None, None
        self.inside, self.leave = threading.Event(), threading.Event()
        self.result = lambda x: x * x
        x = A(3.0) if x is None else x

        def f(x):
            self.value = x
            self.inside.set()
            assert self.leave.wait(60)
            return self.result(x)

        def run():
            self.gradient = transform(f)(x)

        self.thread = threading.Thread(target=run)

    def __enter__(self):
        self.thread.start()
        assert self.inside.wait(60)
        return self

    def __exit__(self, *error):
        self.leave.set()
        self.thread.join()


@pytest.mark.immediate
def test_a_trace_of_another_thread_keeps_nothing_here():
    n = 1 << 16
    step = fn.value_and_grad(lambda w: ((w * 2 + 1) ** 2).sum())
    with Running():
        w = fn.ones((n,)) * 0.5
        fn.eval(w)
        gc.collect()
        before = fn.get_active_memory()
        for _ in range(20):
            _, g = step(w)
            w = w - 0.01 * g
            fn.eval(w)
        gc.collect()
        assert fn.get_active_memory() - before < 4 * 4 * n
        calls = []
        f = fn.compile(lambda x: calls.append(1) or x + 1)
        f(g), f(g), f(w)
        assert len(calls) == 1 and not is_traced(g)


def test_values_of_a_trace_cross_threads():
    with Running() as other:
        assert is_traced(other.value)
        y = fn.sin(other.value)  # no trace on this thread
        y.item()
        # A trace of this thread uses the value of that one, ends, and that one goes on.
        g = fn.grad(lambda w: w * w * y)(A(2.0))  # 4 sin(x)
        g.item()
        compiled = fn.compile(lambda a: a * 2)(y)
        checked = fn.checkpoint(fn.cos)(other.value)
        checked.item()
        rule = fn.custom_vjp(lambda a: a)
        rule.defvjp(lambda a: (a, None), lambda _, ct: (10 * ct,))
        other.result = lambda x: g + compiled + checked + rule(y)
    expected = 4 * np.cos(3.0) + 2 * np.cos(3.0) - np.sin(3.0) + 10 * np.cos(3.0)
    assert other.gradient.item() == pytest.approx(expected, rel=1e-5)


def test_a_value_of_another_thread_that_ended_first():
    results = []
    with Running() as late:
        with Running(x=A(5.0)) as early:
            product = early.value * late.value
            early.result = lambda x: product * x
        # Of the trace that ended nothing is left but its value; the other still finds its way.
        product.item()
        early.gradient.item()
        results.append(early.gradient)
        late.result = lambda x: product
    assert early.gradient.item() == 2 * 3.0 * 5.0
    assert late.gradient.item() == 5.0


def test_transformations_on_several_threads():
    x = A(np.linspace(0.0, 1.0, 6, dtype=np.float32))

    def loss(w, x):
        return fn.scan(lambda c, a: (fn.tanh(c * w + a), c), w, x)[0]

    compiled = fn.compile(fn.value_and_grad(loss))
    expected = [a.item() for a in compiled(A(0.5), x)]

    def work(i):
        for _ in range(20):
            value, gradient = fn.value_and_grad(loss)(A(0.5), x)
            assert value.item() == pytest.approx(expected[0], rel=1e-5)
            assert gradient.item() == pytest.approx(expected[1], rel=1e-5)
            both = fn.vmap(fn.value_and_grad(loss), in_axes=(0, None))(A([0.5] * 3), x)
            np.testing.assert_allclose(np.asarray(both[1]), expected[1], rtol=1e-5)
            assert fn.compile(fn.grad(loss))(A(0.5), x).item() == pytest.approx(expected[1], rel=1e-5)
            assert [a.item() for a in compiled(A(0.5), x)] == expected
            with pytest.raises(ZeroDivisionError):
                fn.grad(lambda w: fn.vmap(lambda v: v / (1 // 0))(x))(A(0.5))

    in_threads(work)


def test_one_function_traced_by_several_threads_at_once():
    barrier = threading.Barrier(4)
    first = threading.local()

    def f(x):
        if not hasattr(first, "seen"):
            first.seen = True
            barrier.wait(60)
        return x + 1

    compiled = fn.compile(f)

    def work(i):
        for _ in range(10):
            assert compiled(A(1.0)).item() == 2.0

    in_threads(work)
    assert compiled.cache_info()["entries"] == 1


# ---- errors and re-entrance


def test_errors_in_the_middle_leave_no_trace_running():
    class Odd(BaseException):
        pass

    def raising(error):
        def f(x):
            fn.sin(x)
            raise error

        return f

    for error in (ValueError("a"), Odd(), KeyboardInterrupt(), RecursionError()):
        f = raising(error)
        for run in (
            lambda: fn.grad(f)(A(1.0)),  # noqa: B023
            lambda: fn.vmap(f)(A([1.0])),  # noqa: B023
            lambda: fn.compile(f)(A(1.0)),  # noqa: B023
            lambda: fn.grad(fn.compile(fn.checkpoint(f)))(A(1.0)),  # noqa: B023
            lambda: fn.scan(lambda c, _: f(c), 0.0, length=2),  # noqa: B023
            lambda: fn.jvp(f, (A(1.0),), (A(1.0),)),  # noqa: B023
        ):
            with pytest.raises(type(error)):
                run()
            assert fn._core.transforms.current_trace() == 0


def test_a_generator_that_outlives_a_trace():
    def values(x):
        while True:
            x = x * 2
            yield x

    kept = []

    def f(x):
        g = values(x)
        kept.append(g)
        return next(g)

    assert fn.grad(f)(A(3.0)).item() == 2.0
    assert next(kept[-1]).item() == 12.0  # values under grad are real
    assert not is_traced(next(kept[-1]))
    fn.vmap(f)(A([3.0]))
    with pytest.raises(fn.TracedValueError, match="leaked"):
        next(kept[-1]).item()


def test_a_compiled_function_that_calls_itself():
    @functools.partial(fn.compile, static_argnums=0)
    def power(n, x):
        return x if n == 0 else x * power(n - 1, x)

    assert power(5, A(2.0)).item() == 64.0
    assert fn.grad(lambda x: power(5, x))(A(1.0)).item() == 6.0

    @fn.compile
    def endless(x):
        return endless(x)

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(200)
    try:
        with pytest.raises(RecursionError):
            endless(A(1.0))
    finally:
        sys.setrecursionlimit(limit)
    assert fn._core.transforms.current_trace() == 0


def test_the_cache_changes_while_a_call_traces():
    compiled = []

    def f(x):
        for n in range(1, 5):
            if x.shape == ():
                compiled[0](fn.ones((n,)))
        if x.shape == ():
            compiled[0].clear_cache()
        return x + 1

    compiled.append(fn.compile(f, cache_size=2))
    assert compiled[0](A(1.0)).item() == 2.0
    assert compiled[0](A(1.0)).item() == 2.0


def test_comparing_static_arguments_may_call_the_function():
    depth = []

    class Odd:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            if not depth:
                depth.append(1)
                compiled(A(1.0), "other")
                compiled.clear_cache()
            return isinstance(other, Odd)

    compiled = fn.compile(lambda x, s: x + 1, static_argnums=1)
    for _ in range(3):
        assert compiled(A(1.0), Odd()).item() == 2.0
        depth.clear()


# ---- keys


@attrs.frozen
class Scale:
    by: object
    x: object = attrs.field(default=None)


fn.tree.register_attrs(Scale, static=("by",))

VALUES = [1, 1.0, True, 0.0, -0.0, 0, False, (1,), (True,), (1.0, (0.0,)), (1.0, (-0.0,)), 1 + 0j, complex(1.0, -0.0)]


def test_static_values_that_are_equal_but_not_the_same():
    seen = []
    by_argument = fn.compile(lambda x, s: seen.append(repr(s)) or x, static_argnums=1)
    for s in VALUES * 2:
        by_argument(A(1.0), s)
    assert seen == [repr(s) for s in VALUES]
    seen.clear()
    by_field = fn.compile(lambda scale: seen.append(repr(scale.by)) or scale.x)
    for s in VALUES * 2:
        by_field(Scale(s, A(1.0)))
    assert seen == [repr(s) for s in VALUES]
    seen.clear()
    by_key = fn.compile(lambda d: seen.append(repr(list(d))) or 0)
    for key in [1, True, 1.0, 0.0, -0.0] * 2:
        by_key({key: A(1.0)})
    assert len(seen) == 5


@attrs.frozen
class Options:
    rate: object
    note: object = attrs.field(default="", eq=False)


def test_static_objects_are_compared_all_the_way_down():
    seen = []
    f = fn.compile(lambda x, s: seen.append(s) or x, static_argnums=1)
    for rate in (1, True, 1.0):
        f(A(1.0), Options(rate))
        f(A(1.0), Options(rate, "another note"))
        f(A(1.0), frozenset([rate, "a"]))
        f(A(1.0), fn.tree.frozendict({"rate": rate}))
        f(A(1.0), fn.tree.frozendict({rate: "a"}))
    assert len(seen) == 12
    nan = float("nan")
    f(A(1.0), nan), f(A(1.0), nan), f(A(1.0), (nan,)), f(A(1.0), (nan,))
    assert len(seen) == 14
    with pytest.raises(TypeError, match="hashable"):
        f(A(1.0), [1])


# ---- cycles


class Model:
    """Methods compiled and given rules for each instance: cycles through native objects."""

    def __init__(self):
        self.scale = 3.0

    def bare(self):
        self.compiled = fn.compile(self.forward)
        return self.compiled(A(2.0))

    def static(self):
        type(self).method = fn.compile(type(self).of_self, static_argnums=0)
        self.own = fn.compile(type(self).of_self, static_argnums=0)
        return self.own(self, A(2.0))

    def in_structure(self):
        self.compiled = fn.compile(lambda s: s.x)
        return self.compiled(Scale(self, A(2.0)))

    def in_output(self):
        self.compiled = fn.compile(lambda x: Scale(self, x))
        return self.compiled(A(2.0)).x

    def by_rule(self):
        rule = fn.custom_vjp(lambda x: x * 2)
        rule.defvjp(lambda x: (x * 2, None), lambda _, ct: (ct * self.scale,))
        self.compiled = fn.compile(lambda x: rule(x))
        return self.compiled(A(2.0))

    def by_tangent_rule(self):
        rule = fn.custom_jvp(lambda x: x * 2)
        rule.defjvp(lambda p, t: (p[0] * 2, t[0] * self.scale))
        self.compiled = fn.compile(lambda x: fn.vmap(rule)(x[None])[0])
        return self.compiled(A(2.0))

    def by_pull(self):
        rule = fn.custom_vjp(lambda x: x * 2)
        rule.defvjp(lambda x: (x * 2, "static"), lambda _, ct: (ct * self.scale,))
        y, self.pull = fn.vjp(lambda x: rule(fn.sin(x)), A(2.0))
        return y + self.pull(A(1.0))[0]

    def in_linear_function(self):
        y, self.push = fn.linearize(lambda s: s.x * 2, Scale(self, A(2.0)))
        return y

    def as_attribute(self):
        self.compiled = fn.compile(lambda x: x)
        self.compiled.owner = self
        return self.compiled(A(2.0))

    def forward(self, x):
        return x * self.scale

    def of_self(self, x):
        return x * self.scale


CYCLES = [name for name in vars(Model) if not name.startswith("_") and name not in ("forward", "of_self")]


@pytest.mark.parametrize("cycle", CYCLES)
def test_cycles_through_native_objects_are_freed(cycle):
    fn.clear_plan_cache()
    gc.collect()
    model = Model()
    gone = weakref.ref(model)
    getattr(model, cycle)().item()
    if cycle == "static":
        del Model.method
    gc.collect()
    assert gone() is model  # nothing that is in use goes
    getattr(model, cycle)().item()
    del model
    if cycle == "static":
        del Model.method
    fn.tree.structure(0)
    gc.collect()
    assert gone() is None


def test_collection_while_a_compiled_function_runs():
    gc.collect()
    model = Model()

    def f(x):
        gc.collect()
        return x * model.scale

    compiled = fn.compile(f)
    model.compiled = compiled
    for n in range(1, 10):
        assert compiled(fn.ones((n,)))[0].item() == 3.0
    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for n in range(1, 20):
            assert compiled(fn.ones((n,)))[0].item() == 3.0
            assert compiled.cache_info()["entries"] >= n // 2
    finally:
        gc.set_threshold(*threshold)


def test_a_signal_handler_that_calls_the_running_function():
    steps = 300_000 if fn.get_default_device() == "cpu" else 3_000  # for milliseconds

    def f(x):
        return fn.while_loop(lambda c: c[0] < steps, lambda c: (c[0] + 1, c[1] + 1), (fn.array(0), x))[1]

    compiled, seen = fn.compile(f, cache_size=1), []
    expected = compiled(A(1)).item()

    def handler(*_):
        if len(seen) < 3:
            seen.append(1)
            compiled.clear_cache()
            seen.append(compiled(A(2)).item() - expected)
            compiled(fn.ones((2,)))  # drops the one before

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        for _ in range(3):
            assert compiled(A(1)).item() == expected
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen and seen[1] == 1

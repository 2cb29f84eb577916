"""Functions of the host program inside graphs: each is called as often, and in the order, that the program says."""

import gc
import weakref

import numpy as np
import pytest

import funcnn as fn


class Recorder:
    """A function with a list of what it was called with."""

    def __init__(self):
        self.seen = []

    def __call__(self, *args):
        self.seen.append(tuple(np.asarray(x).tolist() for x in args))

    def note(self, *args):
        fn.debug.callback(self, *args)

    def flat(self):
        found, self.seen = [x[0] if len(x) == 1 else x for x in self.seen], []
        return found


@pytest.fixture
def log():
    return Recorder()


class TestDebug:
    def test_eagerly_at_once(self, log):
        x = fn.array([1.0, 2.0])
        log.note(x * 2)
        assert log.flat() == [[2.0, 4.0]]

    def test_compiled_each_call_in_order(self, log):
        @fn.compile
        def f(x):
            log.note(x)
            y = x * 2
            log.note(y)
            log.note(y)  # the same again is printed again
            return y + 1

        for k in (1.0, 2.0, 3.0):
            assert f(fn.array(k)).item() == 2 * k + 1
            assert log.flat() == [k, 2 * k, 2 * k]
        assert f.cache_info()["misses"] == 1

    def test_what_depends_on_nothing_traced(self, log):
        constant = fn.array(5.0)

        @fn.compile
        def f(x):
            log.note()
            log.note(constant)
            return x

        for _ in range(2):
            f(fn.array(1.0))
            assert log.seen == [(), (5.0,)]
            log.flat()
        g = fn.compile(lambda: (log.note(), constant * 2)[1])
        for _ in range(2):
            assert g().item() == 10.0
            assert log.flat() == [()]

    def test_functions_without_results(self, log):
        f = fn.compile(lambda x: log.note(x))
        for k in range(3):
            assert f(fn.array(k)) is None
        assert log.flat() == [0, 1, 2]

    def test_compiled_in_compiled_in_order(self, log):
        @fn.compile
        def inner(x):
            log.note(x)
            return x + 1

        @fn.compile
        def outer(x):
            log.note(-x)
            inner(x)  # nobody reads this result
            y = inner(x)
            log.note(-y)
            return y

        for k in (1.0, 5.0):
            assert outer(fn.array(k)).item() == k + 1
            assert log.flat() == [-k, k, k, -k - 1]
        assert inner(fn.array(7.0)).item() == 8.0
        assert log.flat() == [7.0]

    @pytest.mark.parametrize("wrap", [lambda f: f, fn.compile], ids=["eager", "compiled"])
    def test_scan(self, log, wrap):
        def step(c, x):
            log.note(c, x)
            return c + x, c

        @wrap
        def f(xs):
            log.note(xs.sum())
            carry, ys = fn.scan(step, fn.array(0.0), xs)
            log.note(carry)
            return carry, ys

        for _ in range(2):
            carry, ys = f(fn.array([1.0, 2.0, 3.0]))
            assert (carry.item(), ys.tolist()) == (6.0, [0.0, 1.0, 3.0])
            assert log.flat() == [6.0, (0.0, 1.0), (1.0, 2.0), (3.0, 3.0), 6.0]
        wrap(lambda xs: fn.scan(lambda c, x: (None, log.note(x)), None, xs))(fn.array([1, 2]))
        assert log.flat() == [1, 2]
        wrap(lambda xs: fn.scan(step, fn.array(0.0), xs))(fn.zeros(0))
        assert log.flat() == []

    @pytest.mark.parametrize("wrap", [lambda f: f, fn.compile], ids=["eager", "compiled"])
    def test_while_loop(self, log, wrap):
        def test(x):
            log.note(x < 4)
            return x < 4

        def body(x):
            log.note(x)
            return x * 2

        f = wrap(lambda x: fn.while_loop(test, body, x))
        assert f(fn.array(1)).item() == 4
        assert log.flat() == [True, 1, True, 2, False]
        assert wrap(lambda x: fn.while_loop(lambda x: x < 4, body, x))(fn.array(1)).item() == 4
        assert log.flat() == [1, 2]
        assert wrap(lambda x: fn.while_loop(test, lambda x: x * 2, x))(fn.array(1)).item() == 4
        assert log.flat() == [True, True, False]

    @pytest.mark.parametrize("wrap", [lambda f: f, fn.compile], ids=["eager", "compiled"])
    def test_cond(self, log, wrap):
        f = wrap(lambda p, x: fn.cond(p, lambda x: (log.note(x), x)[1], lambda x: x * 2, x))
        g = wrap(lambda p, x: fn.cond(p, lambda x: (log.note(x), x)[1], lambda x: (log.note(-x), x)[1], x))
        for p in (True, False):
            f(fn.array(p), fn.array(3.0))
            g(fn.array(p), fn.array(4.0))
        assert log.flat() == [3.0, 4.0, -4.0]

    def test_loops_in_loops(self, log):
        def inner(c, x):
            log.note(c + x)
            return c + x, None

        def outer(c, row):
            c, _ = fn.scan(inner, c, row)
            return fn.cond(c > 5, lambda c: (log.note(-c), c)[1], lambda c: c, c), None

        result = fn.compile(lambda xs: fn.scan(outer, fn.array(0.0), xs)[0])(fn.array([[1.0, 2.0], [3.0, 4.0]]))
        assert result.item() == 10.0
        assert log.flat() == [1.0, 3.0, 6.0, 10.0, -10.0]

    def test_vmap_calls_for_each_row(self, log):
        def f(x, y):
            log.note(x, y)
            log.note(y)  # not mapped: once
            return x * y

        x, y = fn.array([1.0, 2.0]), fn.array(3.0)
        for mapped in (fn.vmap(f, in_axes=(0, None)), fn.compile(fn.vmap(f, in_axes=(0, None)))):
            assert mapped(x, y).tolist() == [3.0, 6.0]
            assert log.flat() == [(1.0, 3.0), (2.0, 3.0), 3.0]
        twice = fn.vmap(fn.vmap(lambda x: log.note(x)))
        twice(fn.array([[1, 2], [3, 4]]))
        assert log.flat() == [1, 2, 3, 4]

    def test_vmap_of_loops(self, log):
        def f(x):
            return fn.scan(lambda c, _: (c * 2, log.note(c)), x, None, length=2)[0]

        assert fn.vmap(f)(fn.array([1.0, 10.0])).tolist() == [4.0, 40.0]
        assert log.flat() == [1.0, 10.0, 2.0, 20.0]
        assert fn.vmap(fn.compile(f))(fn.array([1.0, 10.0])).tolist() == [4.0, 40.0]
        assert log.flat() == [1.0, 10.0, 2.0, 20.0]
        g = fn.vmap(lambda x: fn.while_loop(lambda x: x < 4, lambda x: (log.note(x), x * 2)[1], x))
        assert g(fn.array([2, 2])).tolist() == [4, 4]
        assert log.flat() == [2, 2]

    @pytest.mark.parametrize("wrap", [lambda f: f, fn.compile], ids=["eager", "compiled"])
    def test_derivatives_call_once(self, log, wrap):
        def plain(x):
            log.note(x)
            return fn.sin(x) * x

        def loop(x):
            return fn.scan(lambda c, _: ((log.note(c), fn.sin(c) * c)[1], None), x, None, length=2)[0]

        def branch(x):
            return fn.cond(x > 0, lambda x: (log.note(x), fn.sin(x))[1], lambda x: x, x)

        x = fn.array(1.0)
        for f, seen in ((plain, 1), (loop, 2), (branch, 1), (fn.checkpoint(plain), 1), (fn.checkpoint(loop), 2)):
            quiet = wrap(fn.grad(lambda x, f=f: f(x)))(x)
            assert len(log.flat()) == seen
            wrap(fn.value_and_grad(f))(x)
            assert len(log.flat()) == seen
            _, tangent = wrap(lambda x, f=f: fn.jvp(f, (x,), (fn.ones(()),)))(x)
            np.testing.assert_allclose(tangent, quiet, rtol=1e-6)
            assert len(log.flat()) == seen
        body = lambda x: (log.note(x), x * 3)[1]  # noqa: E731
        wrap(lambda x: fn.jvp(lambda x: fn.while_loop(lambda x: x < 4, body, x), (x,), (fn.ones(()),)))(x)
        assert log.flat() == [1.0, 3.0]

    def test_rules_of_ones_own(self, log):
        @fn.custom_vjp
        def f(x):
            return fn.sin(x)

        f.defvjp(lambda x: (fn.sin(x), x), lambda x, ct: ((log.note(ct), ct * fn.cos(x))[1],))
        for wrap in (lambda f: f, fn.compile):
            wrap(fn.grad(lambda x: 2 * f(x)))(fn.array(1.0))
            assert log.flat() == [2.0]
        with pytest.raises(ValueError, match="debug: nothing can be printed"):
            fn.grad(lambda x: fn.scan(lambda c, _: (f(c), None), x, None, length=2)[0])(fn.array(1.0))

    def test_exceptions_are_those_of_the_function(self, log):
        class MyError(Exception):
            pass

        def refuse(x):
            raise MyError(str(float(x)))

        @fn.compile
        def f(x):
            fn.debug.callback(refuse, x)
            return x

        for k in (1.0, 2.0):
            with pytest.raises(MyError, match=f"^{k}$"):
                f(fn.array(k))
        with pytest.raises(MyError, match=r"^3.0$"):
            fn.scan(lambda c, x: (c, fn.debug.callback(refuse, x)), None, fn.array([3.0]))
        assert (fn.array(1.0) + 1).item() == 2.0

    def test_the_function_may_compute(self, log):
        def nested(x):
            y = fn.array(x)
            log((y @ y).item())

        f = fn.compile(lambda x: (fn.debug.callback(nested, x), x + 1)[1])
        assert f(fn.array([3.0, 4.0])).tolist() == [4.0, 5.0]
        assert log.flat() == [25.0]

    def test_views_dtypes_and_structures(self, log):
        kept = []
        f = fn.compile(
            lambda x: fn.debug.callback(lambda *a, **k: kept.append((a, k)), {"t": x.T, "s": "text"}, 3, z=x[1:, ::2])
        )
        for dtype in ("float16", "float32", "float64", "int8", "uint64", "bool", "complex64"):
            a = np.arange(6).reshape(2, 3).astype(dtype)
            f(fn.array(a, dtype=dtype))
            (first, three), keywords = kept.pop()
            assert three == 3 and first["s"] == "text"
            assert first["t"].dtype == dtype and keywords["z"].dtype == dtype
            np.testing.assert_array_equal(first["t"], a.T)
            np.testing.assert_array_equal(keywords["z"], a[1:, ::2])
            assert not first["t"].flags.writeable
        f(fn.ones((2, 3), dtype=fn.bfloat16))
        assert kept.pop()[0][0]["t"].dtype == np.float32

    def test_print(self, capsys):
        @fn.compile
        def f(x, n):
            fn.debug.print("x = {}, half {h:.2f}, {p[a]} {{}} {n}", x, h=x.sum() / 2, p={"a": n}, n=None)
            return x

        f(fn.array([1.0, 2.0]), fn.array(3))
        assert capsys.readouterr().out == "x = [1. 2.], half 1.50, 3 {} None\n"
        fn.debug.print("eager {}", fn.array([1, 2]))
        assert capsys.readouterr().out == "eager [1 2]\n"
        with pytest.raises(IndexError):
            fn.compile(lambda x: fn.debug.print("{} {}", x))(fn.array(1.0))
        with pytest.raises(TypeError, match="fmt must be a string"):
            fn.debug.print(fn.array(1.0))

    def test_nothing_is_kept(self):
        class Function:
            def __call__(self, x):
                pass

        function = Function()
        gone = weakref.ref(function)
        f = fn.compile(lambda x, call=function: fn.debug.callback(call, x), static_argnames="call")
        f(fn.array(1.0))
        del f, function
        fn.clear_plan_cache()
        gc.collect()
        assert gone() is None
        before = fn.get_active_memory()
        x = fn.ones(1 << 16)
        y = fn.vmap(lambda r: (fn.debug.callback(lambda r: None, r), r.sum())[1])(x.reshape(4, -1))
        fn.eval(y)
        fn.synchronize()
        del x
        fn.clear_plan_cache()
        gc.collect()
        assert fn.get_active_memory() - before < 1 << 16


class TestPure:
    def test_operands_of_any_layout(self):
        a = np.arange(12, dtype=np.float32).reshape(3, 4)
        x = fn.array(a)
        for f in (
            lambda x: x.T,
            lambda x: x[::-1, 1:3],
            lambda x: x[0, 1],
            lambda x: x[:0],
            lambda x: x[0] + 0 * x,
            lambda x: np.broadcast_to(x[0], (2, 4)) if isinstance(x, np.ndarray) else fn.broadcast_to(x[0], (2, 4)),
        ):
            call = fn.compile(lambda x, f=f: fn.pure_callback(lambda a, b: a * 2 + b, f(x), f(x), x[1, 1]) - 1)
            np.testing.assert_array_equal(np.asarray(call(x)), np.asarray(f(a) * 2 + a[1, 1] - 1))

    def test_everywhere(self):
        def twice(x):
            return fn.pure_callback(lambda x: x * 2, x, x, vmap_method="sequential")

        x = fn.array([1.0, 2.0, 3.0])
        assert twice(x).tolist() == [2.0, 4.0, 6.0]
        assert fn.compile(twice)(x).tolist() == [2.0, 4.0, 6.0]
        assert fn.compile(lambda x: twice(x * 2) + 1)(x).tolist() == [5.0, 9.0, 13.0]
        assert fn.vmap(twice)(x).tolist() == [2.0, 4.0, 6.0]
        assert fn.scan(lambda c, x: (c + twice(x), twice(c)), fn.array(0.0), x)[1].tolist() == [0.0, 4.0, 12.0]
        assert fn.cond(fn.array(True), twice, lambda x: x, x).tolist() == [2.0, 4.0, 6.0]
        assert fn.while_loop(lambda x: x < 10, twice, fn.array(1.0)).item() == 16.0

    def test_several_results_and_arguments(self):
        def f(x, n):
            shapes = {"sum": fn.zeros((), dtype=fn.float32), "parts": [fn.zeros((3,), dtype=fn.int32)]}
            return fn.pure_callback(
                lambda x, n, k: {"sum": x.sum(), "parts": [np.full(3, n + k, np.int32)]}, shapes, x, n, k=2
            )

        for wrapped in (f, fn.compile(f)):
            made = wrapped(fn.array([1.0, 2.0]), fn.array(5))
            assert made["sum"].item() == 3.0 and made["sum"].dtype == fn.float32
            assert made["parts"][0].tolist() == [7, 7, 7]
        assert fn.compile(lambda x: fn.pure_callback(lambda: 7, np.zeros((), np.int32)) + x)(1).item() == 8

    @pytest.mark.parametrize("method, shapes", [("expand_dims", {(3, 2), (1,)}), ("broadcast_all", {(3, 2), (3,)})])
    def test_methods_of_one_call(self, method, shapes):
        seen = []

        def host(x, y):
            seen.append({x.shape, y.shape})
            return x.sum(axis=-1) * y

        def f(x, y):
            return fn.pure_callback(host, y, x, y, vmap_method=method)

        x, y = fn.arange(6.0).reshape(3, 2), fn.array(2.0)
        for wrapped in (fn.vmap(f, in_axes=(0, None)), fn.compile(fn.vmap(f, in_axes=(0, None)))):
            assert wrapped(x, y).tolist() == [2.0, 10.0, 18.0]
            assert seen.pop() == shapes and not seen
        both = fn.vmap(fn.vmap(f, in_axes=(0, None)), in_axes=(None, 0))
        assert both(x, fn.array([1.0, 2.0])).tolist() == [[1.0, 5.0, 9.0], [2.0, 10.0, 18.0]]

    def test_sequential_in_both_orders(self):
        def f(x, y):
            return fn.pure_callback(lambda x, y: np.float32(10 * x + y), x, x, y, vmap_method="sequential")

        x, y = fn.array([1.0, 2.0, 3.0]), fn.array([4.0, 5.0])
        wanted = 10 * np.arange(1, 4)[:, None] + np.array([4, 5])[None]
        np.testing.assert_array_equal(fn.vmap(fn.vmap(f, (None, 0)), (0, None))(x, y), wanted)
        np.testing.assert_array_equal(fn.vmap(fn.vmap(f, (0, None)), (None, 0))(x, y), wanted.T)
        np.testing.assert_array_equal(fn.compile(fn.vmap(fn.vmap(f, (0, None)), (None, 0)))(x, y), wanted.T)
        assert fn.vmap(f, (0, None))(fn.zeros(0), fn.array(1.0)).shape == (0,)

    @pytest.mark.parametrize("wrap", [lambda f: f, fn.compile], ids=["eager", "compiled"])
    def test_derivatives_come_from_rules(self, wrap):
        @fn.custom_vjp
        def sine(x):
            return fn.pure_callback(np.sin, x, x, vmap_method="expand_dims")

        sine.defvjp(lambda x: (sine(x), x), lambda x, ct: (ct * fn.cos(x),))
        x = fn.array([1.0, 2.0])
        np.testing.assert_allclose(wrap(fn.grad(lambda x: sine(x).sum()))(x), np.cos([1.0, 2.0]), rtol=1e-6)
        np.testing.assert_allclose(wrap(fn.vmap(fn.grad(sine)))(x), np.cos([1.0, 2.0]), rtol=1e-6)

        def bare(x):
            return fn.pure_callback(np.sin, x, x).sum()

        with pytest.raises(ValueError, match="pure_callback.*custom_vjp"):
            wrap(fn.grad(bare))(x)
        with pytest.raises(ValueError, match="pure_callback.*custom_vjp"):
            wrap(lambda x: fn.jvp(bare, (x,), (x,)))(x)
        held = wrap(fn.grad(lambda x: (bare(fn.stop_gradient(x)) * x).sum()))(x)
        np.testing.assert_allclose(held, np.full(2, np.sin([1.0, 2.0]).sum()), rtol=1e-6)
        counted = wrap(fn.grad(lambda x: (x * fn.pure_callback(np.argmax, np.zeros((), np.int64), x)).sum()))
        assert counted(x).tolist() == [1.0, 1.0]

    @pytest.mark.parametrize(
        "function, error, message",
        [
            (lambda x: x[:1], ValueError, r"returned shape \(1,\), expected \(2,\)"),
            (lambda x: (x, x), ValueError, "expected"),
            (lambda x: x * 1j, TypeError, "returned dtype complex64, expected float32"),
            (lambda x: "ab", TypeError, "returned dtype"),
            (lambda x: 1 / 0, ZeroDivisionError, "division"),
        ],
    )
    def test_wrong_results(self, function, error, message):
        x = fn.ones(2)
        for f in (lambda x: fn.pure_callback(function, x, x), fn.compile(lambda x: fn.pure_callback(function, x, x))):
            with pytest.raises(error, match=message):
                f(x)

    def test_wrong_calls(self):
        x = fn.ones(2)
        with pytest.raises(TypeError, match="expected a function, got int"):
            fn.pure_callback(3, x, x)
        with pytest.raises(ValueError, match="vmap_method must be one of"):
            fn.pure_callback(np.sin, x, x, vmap_method="fast")
        with pytest.raises(TypeError, match="result_shape_dtypes at a: expected something with shape and dtype"):
            fn.pure_callback(np.sin, {"a": 3}, x)
        with pytest.raises(ValueError, match="say vmap_method="):
            fn.vmap(lambda x: fn.pure_callback(np.sin, x, x))(x)

    def test_half_precision_and_float64(self):
        f = fn.compile(lambda x: fn.pure_callback(np.sqrt, x, x))
        for dtype in (fn.float16, fn.bfloat16, fn.float64):
            made = f(fn.array([4.0, 9.0], dtype=dtype))
            assert made.dtype == dtype and made.tolist() == [2.0, 3.0]

    def test_in_the_background(self):
        f = fn.vmap(lambda x: fn.pure_callback(lambda x: x + 1, x, x, vmap_method="sequential"))
        ys = [f(fn.full((4,), k)) for k in range(20)]
        fn.async_eval(ys)
        fn.synchronize()
        assert [y.tolist() for y in ys] == [[k + 1] * 4 for k in range(20)]

    def test_is_not_called_where_nobody_needs_it(self):
        calls = []
        f = fn.compile(lambda x: (fn.pure_callback(lambda x: calls.append(1) or x, x, x), x * 2)[1])
        f(fn.array(1.0))
        assert not calls

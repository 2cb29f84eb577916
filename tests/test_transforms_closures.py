"""Rules whose functions use values from outside their arguments: of loops, branches and transformations around them."""

import numpy as np
import pytest

import funcnn as fn

A = fn.array


def plus(outside):
    """x -> x + outside, by a rule for x."""
    g = fn.custom_vjp(lambda x: x + outside)
    g.defvjp(lambda x: (x + outside, None), lambda _, ct: (ct,))
    return g


def plus_by_tangents(outside):
    g = fn.custom_jvp(lambda x: x + outside)
    g.defjvp(lambda p, t: (p[0] + outside, t[0]))
    return g


def times(outside):
    """x -> x * outside by rules that use the value too."""
    g = fn.custom_vjp(lambda x: x * outside)
    g.defvjp(lambda x: (x * outside, None), lambda _, ct: (ct * outside,))
    return g


def times_by_tangents(outside):
    g = fn.custom_jvp(lambda x: x * outside)
    g.defjvp(lambda p, t: (g(*p), t[0] * outside))
    return g


def times_through_itself(outside):
    g = fn.custom_vjp(lambda x: x * outside)
    g.defvjp(lambda x: (g(x), outside), lambda o, ct: (ct * o,))
    return g


def times_by_static(outside):
    g = fn.custom_vjp(lambda name, x: x * outside, nondiff_argnums=(0,))
    g.defvjp(lambda name, x: (x * outside, None), lambda name, _, ct: (ct * outside,))
    return lambda x: g("name", x)


TIMES = [times, times_by_tangents, times_through_itself, times_by_static]

AROUND = {
    "scan": lambda f: lambda c, x: fn.scan(lambda c, x: (f(c, x), None), c, x[None])[0],
    "scan, element": lambda f: lambda c, x: fn.scan(lambda c, x: (c, f(c, x)), c, x[None])[1][0],
    "cond": lambda f: lambda c, x: fn.cond(x > 0, f, lambda c, x: c, c, x),
    "while_loop": lambda f: (
        lambda c, x: fn.while_loop(lambda s: s[0] < 1, lambda s: (s[0] + 1, f(s[1], s[2]), s[2]), (0, c, x))[1]
    ),
    "compile": fn.compile,
    "vmap": lambda f: lambda c, x: fn.vmap(f)(c[None], x[None])[0],
    "vmap, one mapped": lambda f: lambda c, x: fn.vmap(f, in_axes=(0, None))(c[None], x)[0],
    "vmap, other mapped": lambda f: lambda c, x: fn.vmap(f, in_axes=(None, 0))(c, x[None])[0],
    "checkpoint": fn.checkpoint,
    "compiled scan": lambda f: fn.compile(lambda c, x: fn.scan(lambda c, x: (f(c, x), None), c, x[None])[0]),
    "scan of vmap": lambda f: lambda c, x: fn.scan(lambda c, x: (fn.vmap(f)(c[None], x[None])[0], None), c, x[None])[0],
    "vmap of scan": lambda f: fn.vmap(lambda c, x: fn.scan(lambda c, x: (f(c, x), None), c, x[None])[0]),
}


def around(name, f):
    if name == "vmap of scan":
        return lambda c, x: AROUND[name](f)(c[None], x[None])[0]
    return AROUND[name](f)


@pytest.mark.parametrize("name", AROUND)
@pytest.mark.parametrize("rule", [plus, plus_by_tangents])
def test_values_of_what_is_around_are_usable(rule, name):
    f = around(name, lambda c, x: rule(x)(c))
    assert f(A(2.0), A(5.0)).item() == 7.0
    assert fn.compile(f)(A(2.0), A(5.0)).item() == 7.0


@pytest.mark.parametrize("name", [n for n in AROUND if n != "while_loop"])
@pytest.mark.parametrize("rule", TIMES)
def test_rules_use_values_of_what_is_around(rule, name):
    f = around(name, lambda c, x: rule(x)(fn.sin(c)))
    expected = np.cos(2.0) * 5.0
    for gradient in (fn.grad(f), fn.compile(fn.grad(f)), fn.grad(fn.compile(f))):
        assert gradient(A(2.0), A(5.0)).item() == pytest.approx(expected, rel=1e-6)
    assert fn.jvp(lambda c: f(c, A(5.0)), (A(2.0),), (A(1.0),))[1].item() == pytest.approx(expected, rel=1e-6)
    assert fn.grad(fn.grad(f))(A(2.0), A(5.0)).item() == pytest.approx(-np.sin(2.0) * 5.0, rel=1e-6)
    mapped = fn.vmap(fn.grad(f))(A([2.0, 3.0]), A([5.0, 7.0]))
    np.testing.assert_allclose(np.asarray(mapped), np.cos([2.0, 3.0]) * [5.0, 7.0], rtol=1e-6)


@pytest.mark.parametrize("rule", TIMES)
def test_every_step_of_a_scan_uses_its_own_value(rule):
    def f(c, xs):
        return fn.scan(lambda c, x: (rule(x)(c), c), c, xs)

    xs = A([2.0, 3.0, 4.0])
    carry, seen = f(A(1.0), xs)
    assert carry.item() == 24.0 and seen.tolist() == [1.0, 2.0, 6.0]
    assert fn.grad(lambda c: f(c, xs)[0])(A(1.0)).item() == 24.0
    assert fn.grad(lambda c: f(c, xs)[1].sum())(A(1.0)).item() == 9.0


@pytest.mark.parametrize("rule", TIMES)
@pytest.mark.parametrize("name", [None, *AROUND])
def test_a_derivative_by_what_is_outside_is_an_error(rule, name):
    def f(c, x):
        return rule(x)(c)

    wrapped = f if name is None else around(name, f)
    if name == "while_loop":
        with pytest.raises(ValueError, match="outside.*argument.*stop_gradient"):
            fn.jvp(lambda x: wrapped(A(2.0), x), (A(5.0),), (A(1.0),))
        return
    with pytest.raises(ValueError, match="outside.*argument.*stop_gradient"):
        fn.grad(wrapped, argnums=1)(A(2.0), A(5.0))
    with pytest.raises(ValueError, match="outside.*argument.*stop_gradient"):
        fn.jvp(lambda x: wrapped(A(2.0), x), (A(5.0),), (A(1.0),))


@pytest.mark.parametrize("name", [None, *(n for n in AROUND if n != "while_loop")])
def test_stop_gradient_makes_a_constant_of_it(name):
    def f(c, x):
        return times(fn.stop_gradient(x))(c) + x

    wrapped = f if name is None else around(name, f)
    assert [g.item() for g in fn.grad(wrapped, argnums=(0, 1))(A(2.0), A(5.0))] == [5.0, 1.0]
    integers = f if name is None else around(name, lambda c, x: times(x.astype(fn.int32))(c) + x)
    assert fn.grad(integers, argnums=1)(A(2.0), A(5.0)).item() == 1.0


def test_a_carry_that_does_not_move_is_no_derivative():
    # The time is a float carry, but nothing that the derivative is taken by reaches it.
    def step(state, _):
        time, x = state
        return (time + 1.0, times(time)(x)), None

    assert fn.grad(lambda x: fn.scan(step, (A(1.0), x), length=3)[0][1])(A(2.0)).item() == 6.0


def test_second_derivatives_go_through_what_a_backward_function_uses():
    def f(x, y):
        g = fn.custom_vjp(lambda a: a * 1.0)
        g.defvjp(lambda a: (a * 1.0, None), lambda _, ct: (ct * y,))
        return g(x)

    for wrap in (lambda f: f, fn.compile, fn.checkpoint):
        mixed = fn.grad(lambda y: fn.grad(wrap(lambda x: f(x, y * y)))(A(2.0)))(A(3.0))  # noqa: B023
        assert mixed.item() == 6.0


def test_a_rule_in_a_rule():
    def f(c, x):
        inner = times(x)
        outer = fn.custom_vjp(lambda a: inner(a) + x)
        outer.defvjp(lambda a: (outer(a), None), lambda _, ct: (inner(ct) + 0 * fn.sin(x),))
        return outer(c)

    def run(c, xs):
        return fn.scan(lambda c, x: (f(c, x), None), c, xs)[0]

    assert run(A(1.0), A([2.0, 3.0])).item() == (1 * 2 + 2) * 3 + 3
    assert fn.grad(run)(A(1.0), A([2.0, 3.0])).item() == 6.0
    assert fn.grad(fn.grad(lambda c, xs: run(c * c, xs)))(A(1.0), A([2.0, 3.0])).item() == 12.0


def test_a_mapped_value_in_a_rule_for_what_is_not_mapped():
    def f(w, x):
        g = fn.custom_vjp(lambda w: w * 2.0)
        g.defvjp(lambda w: (w * 2.0, None), lambda _, ct: (ct * x,))
        return g(w)

    xs = A([1.0, 2.0, 4.0])
    assert fn.grad(lambda w: fn.vmap(f, in_axes=(None, 0))(w, xs).sum())(A(3.0)).item() == 7.0
    assert fn.grad(lambda w: fn.vmap(f, in_axes=(None, 0))(w, xs)[1])(A(3.0)).item() == 2.0


def test_a_rule_that_cannot_be_tried_is_asked_only_when_needed():
    def f(c, x):
        g = fn.custom_vjp(lambda a: a * x)

        def backward(_, ct):
            raise NotImplementedError("no derivative")

        g.defvjp(lambda a: (a * x, None), backward)
        return g(c)

    def run(c):
        return fn.scan(lambda c, x: (f(c, x), None), c, A([2.0, 3.0]))[0]

    assert run(A(1.0)).item() == 6.0
    with pytest.raises(NotImplementedError, match="no derivative"):
        fn.grad(run)(A(1.0))


def test_a_rule_that_finds_a_value_of_an_ended_trace():
    kept = {}

    def global_rule(_, ct):
        return (ct * kept["x"],) if kept.get("ready") else (ct,)

    def step(c, x):
        kept["x"] = x
        g = fn.custom_vjp(lambda a: a * 2.0)
        g.defvjp(lambda a: (a * 2.0, None), global_rule)
        return g(c), None

    def run(c):
        out = fn.scan(step, c, A([2.0, 3.0]))[0]
        kept["ready"] = True
        return out

    with pytest.raises(fn.TracedValueError, match="backward function.*ended.*argument"):
        fn.grad(run)(A(1.0))


@pytest.mark.parametrize("rule", [fn.custom_vjp, fn.custom_jvp])
@pytest.mark.parametrize("around", [fn.grad, fn.compile, lambda f: lambda y: fn.vmap(f)(y[None])])
def test_traced_values_are_no_static_arguments(rule, around):
    g = rule(lambda y, x: x * 1.0, nondiff_argnums=(0,))
    if rule is fn.custom_vjp:
        g.defvjp(lambda y, x: (x * 1.0, None), lambda y, _, ct: (ct,))
    else:
        g.defjvp(lambda y, p, t: (p[0], t[0]))
    with pytest.raises(TypeError, match=r"argument 0 of <lambda> is in nondiff_argnums.*traced"):
        around(lambda y: g(y, A(2.0)))(A(1.0))
    assert fn.grad(lambda x: g(A(1.0), x))(A(2.0)).item() == 1.0  # an array that nothing traces is a value

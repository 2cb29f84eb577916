"""stop_gradient, custom_vjp and custom_jvp, alone and inside other transformations."""

import numpy as np
import pytest

import funcnn as fn

A = fn.array


def f(x, y):
    return fn.sin(x) * y


def by_vjp():
    g = fn.custom_vjp(f)
    g.defvjp(lambda x, y: (g(x, y), (x, y)), lambda r, ct: (ct * fn.cos(r[0]) * r[1], ct * fn.sin(r[0])))
    return g


def by_jvp():
    g = fn.custom_jvp(f)
    g.defjvp(lambda p, t: (g(*p), fn.cos(p[0]) * p[1] * t[0] + fn.sin(p[0]) * t[1]))
    return g


def by_jvps():
    g = fn.custom_jvp(f)
    g.defjvps(lambda t, out, x, y: fn.cos(x) * y * t, lambda t, out, x, y: fn.sin(x) * t)
    return g


X, Y = A([0.4, 1.3, -2.0]), A([1.5, -0.5, 0.25])

NESTINGS = {
    "call": lambda g: g(X, Y),
    "grad": lambda g: fn.grad(lambda x, y: g(x, y).sum(), argnums=(0, 1))(X, Y),
    "jvp": lambda g: fn.jvp(g, (X, Y), (Y, X)),
    "jvp by one": lambda g: fn.jvp(lambda x: g(x, Y), (X,), (Y,)),
    "vmap": lambda g: fn.vmap(g)(X, Y),
    "vmap, one mapped": lambda g: fn.vmap(g, in_axes=(0, None))(X, Y),
    "vmap of grad": lambda g: fn.vmap(fn.grad(g, argnums=(0, 1)))(X, Y),
    "vmap of grad, one mapped": lambda g: fn.vmap(fn.grad(g, argnums=(0, 1)), in_axes=(0, None))(X, Y[0]),
    "grad of vmap": lambda g: fn.grad(lambda x, y: fn.vmap(g, in_axes=(0, None))(x, y).sum(), argnums=(0, 1))(X, Y[0]),
    "grad of grad": lambda g: fn.grad(fn.grad(g), argnums=(0, 1))(X[0], Y[0]),
    "jvp of grad": lambda g: fn.jvp(fn.grad(g), (X[0], Y[0]), (A(1.0), A(2.0))),
    "grad of jvp": lambda g: fn.grad(lambda x, y: fn.jvp(g, (x, y), (y, x))[1], argnums=(0, 1))(X[0], Y[0]),
    "jvp of vmap": lambda g: fn.jvp(fn.vmap(g), (X, Y), (Y, X)),
    "vmap of jvp": lambda g: fn.vmap(lambda x, y: fn.jvp(g, (x, y), (y, x)))(X, Y),
    "checkpoint": lambda g: fn.grad(lambda x, y: fn.checkpoint(g)(x, y).sum(), argnums=(0, 1))(X, Y),
    "hessian": lambda g: fn.hessian(lambda x: g(x, Y).sum())(X),
    "linearize": lambda g: fn.linearize(g, X, Y)[1](Y, X),
    "vjp": lambda g: fn.vjp(g, X, Y)[1](X),
}


@pytest.mark.parametrize("nest", NESTINGS.values(), ids=NESTINGS)
@pytest.mark.parametrize("rule", [by_vjp, by_jvp, by_jvps])
def test_rules_nest_in_any_order(rule, nest):
    for got, expected in zip(fn.tree.leaves(nest(rule())), fn.tree.leaves(nest(f)), strict=True):
        np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=1e-5, atol=1e-6)


def test_the_rule_is_what_counts():
    @fn.custom_vjp
    def straight_through(x):
        return fn.round(x)

    straight_through.defvjp(lambda x: (fn.round(x), None), lambda _, ct: (ct,))
    assert fn.grad(lambda x: (straight_through(x) ** 2).sum())(A([1.4, 2.6])).tolist() == [2.0, 6.0]
    assert fn.vmap(fn.grad(lambda x: straight_through(x) ** 2))(A([1.4, 2.6])).tolist() == [2.0, 6.0]
    assert fn.jvp(straight_through, (A(1.4),), (A(3.0),))[1].item() == 3.0


def test_trees_and_static_arguments():
    @fn.custom_vjp
    def scaled(p):
        return {"out": p["x"] * p["scale"]}

    def forward(p):
        return scaled(p), (p["x"], "static")

    def backward(residuals, ct):
        _x, text = residuals
        assert text == "static"
        return ({"x": ct["out"] * 100.0, "scale": None},)

    scaled.defvjp(forward, backward)
    gradient = fn.grad(lambda p: scaled(p)["out"].sum())({"x": A([1.0, 2.0]), "scale": A(3.0)})
    assert gradient["x"].tolist() == [100.0, 100.0] and gradient["scale"].item() == 0.0


def test_nondiff_argnums():
    g = fn.custom_vjp(lambda power, x, name: x**power, nondiff_argnums=(0, -1))
    g.defvjp(lambda power, x, name: (x**power, x), lambda power, name, x, ct: (ct * power * x * len(name),))
    assert fn.grad(lambda x: g(3, x, "ab"))(A(2.0)).item() == 12.0
    assert g(3, A(2.0), "ab").item() == 8.0
    h = fn.custom_jvp(lambda x, power: x**power, nondiff_argnums=(1,))
    h.defjvp(lambda power, p, t: (h(*p, power), power * t[0]))
    assert fn.grad(h)(A(2.0), 3).item() == 3.0
    k = fn.custom_vjp(lambda x: x, nondiff_argnums=(5,))
    k.defvjp(lambda x: (x, None), lambda _, ct: (ct,))
    with pytest.raises(ValueError, match="nondiff_argnums has 5"):
        k(A(1.0))


def test_keyword_arguments_find_their_place():
    g = by_vjp()
    assert fn.grad(lambda x: g(y=A(2.0), x=x))(A(0.0)).item() == 2.0


def test_defaults_are_arguments_of_rules():
    """As for JAX: a rule has the same arguments however its function is called."""

    def product(x, y=3.0):
        return x * y

    reverse, forward = fn.custom_vjp(product), fn.custom_jvp(product)
    reverse.defvjp(lambda x, y: (x * y, y), lambda y, ct: (ct * y * 2, None))
    forward.defjvp(lambda p, t: (p[0] * p[1], t[0] * p[1] * 2))
    for f in (reverse, forward):
        assert fn.grad(f)(A(2.0)).item() == fn.grad(f)(A(2.0), 3.0).item() == 6.0
        assert fn.grad(lambda x: f(x, y=A(5.0)))(A(2.0)).item() == 10.0  # noqa: B023


def test_backward_runs_only_for_what_is_needed():
    calls = []
    g = fn.custom_vjp(lambda x: x * 2)
    g.defvjp(lambda x: (calls.append("forward") or x * 2, None), lambda _, ct: (calls.append("backward") or ct * 2,))
    g(A(1.0))
    assert calls == []
    fn.grad(lambda x: g(A(1.0)) * x)(A(1.0))
    assert calls == ["forward"]
    fn.grad(g)(A(1.0))
    assert calls == ["forward", "forward", "backward"]


@pytest.mark.parametrize(
    "bend",
    [
        lambda t: t * t,
        fn.sin,
        lambda t: fn.where(t > 0, t, 2 * t),
        lambda t: fn.fori_loop(0, 3, lambda i, c: c * fn.abs(t), t),
        lambda t: fn.cond(t > 0, lambda: t, lambda: -t),
    ],
    ids=["square", "sin", "compared", "loop", "branch"],
)
def test_a_rule_that_is_not_linear_is_not_transposed(bend):
    x, one = fn.array(3.0), fn.array(1.0)
    f = fn.custom_jvp(lambda x: 2 * x)
    f.defjvp(lambda primals, tangents: (f(*primals), bend(tangents[0])))
    np.testing.assert_allclose(fn.jvp(f, (x,), (one,))[1], bend(one))
    with pytest.raises(ValueError, match="custom_jvp of .*reverse mode.* not linear in the tangents"):
        fn.grad(f)(x)

    g = fn.custom_vjp(lambda x: 2 * x)
    g.defvjp(lambda x: (g(x), None), lambda _, ct: (bend(ct),))
    np.testing.assert_allclose(fn.grad(g)(x), bend(one))
    with pytest.raises(ValueError, match="custom_vjp: forward mode.* not linear in the cotangents"):
        fn.jvp(g, (x,), (one,))


def test_a_linear_rule_is_transposed_through_loops():
    def along(x, t):  # a loop carries the tangent beside what grows of the primal
        return fn.fori_loop(0, 3, lambda i, c: (c[0] * x, c[1] + t * c[0]), (x, 0 * t))[1]

    f = fn.custom_jvp(lambda x: x**3)
    f.defjvp(lambda primals, tangents: (f(*primals), along(*primals, *tangents)))
    np.testing.assert_allclose(fn.grad(f)(fn.array(2.0)), 2 + 4 + 8)


def test_stop_gradient():
    def loss(x, y):
        return x * fn.stop_gradient({"y": y * x})["y"]

    assert [g.item() for g in fn.grad(loss, argnums=(0, 1))(A(2.0), A(3.0))] == [6.0, 0.0]
    assert fn.jvp(lambda x: x * fn.stop_gradient(x), (A(3.0),), (A(1.0),))[1].item() == 3.0
    assert fn.vmap(fn.grad(lambda x: x * fn.stop_gradient(x)))(A([2.0, 3.0])).tolist() == [2.0, 3.0]
    # Where there is no derivative none is asked for.
    x = A([3.0, 1.0, 2.0])
    assert fn.grad(lambda x: (x * fn.stop_gradient(fn.argsort(x))).sum())(x).tolist() == [1.0, 2.0, 0.0]
    assert fn.stop_gradient({"name": "n", "x": 1.0})["name"] == "n"

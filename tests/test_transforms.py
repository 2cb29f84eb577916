"""grad, vjp, jvp, linearize, vmap and Jacobians: values, trees, containers."""

import collections
import concurrent.futures
import pathlib

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, tree

X = np.array([0.3, -1.2, 2.0], np.float32)
Y = np.array([1.5, 0.7, -0.4], np.float32)


def f(x, y):
    return fn.sin(x) * y + x * y * y


def df(x, y):
    return np.cos(x) * y + y * y, np.sin(x) + 2 * x * y


def close(got, expected, rtol=1e-5):
    got_leaves, expected_leaves = tree.leaves(got), tree.leaves(expected)
    assert len(got_leaves) == len(expected_leaves)
    for a, b in zip(got_leaves, expected_leaves, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=rtol, atol=1e-6)


# ---- grad


def test_grad_of_each_argument():
    x, y = fn.array(X), fn.array(Y)
    dx, dy = df(X, Y)

    def loss(x, y):
        return f(x, y).sum()

    close(fn.grad(loss)(x, y), dx)
    close(fn.grad(loss, argnums=1)(x, y), dy)
    close(fn.grad(loss, argnums=-1)(x, y), dy)
    close(fn.grad(loss, argnums=(1, 0))(x, y), (dy, dx))
    assert isinstance(fn.grad(loss, argnums=(0,))(x, y), tuple)


def test_grad_of_keyword_arguments():
    x, y = fn.array(X), fn.array(Y)
    dx, dy = df(X, Y)

    def loss(x, y):
        return f(x, y).sum()

    close(fn.grad(loss, argnames="y")(x, y=y), dy)
    close(fn.grad(loss, argnames=("y", "x"))(x=x, y=y), {"y": dy, "x": dx})
    by_position, by_name = fn.grad(loss, argnums=0, argnames="y")(x, y=y)
    close((by_position, by_name), (dx, dy))
    by_position, by_name = fn.grad(loss, argnums=(0,), argnames=["y"])(x, y=y)
    close((by_position, by_name), ((dx,), {"y": dy}))


def test_value_and_grad_with_aux():
    (value, aux), gradient = fn.value_and_grad(lambda x: (x * x, {"twice": 2 * x, "name": "n"}), has_aux=True)(
        fn.array(3.0)
    )
    assert (value.item(), aux["twice"].item(), aux["name"], gradient.item()) == (9.0, 6.0, "n", 6.0)
    gradient, aux = fn.grad(lambda x: (x * x, "aux"), has_aux=True)(fn.array(3.0))
    assert (gradient.item(), aux) == (6.0, "aux")


def test_gradients_have_the_containers_of_the_arguments():
    Point = collections.namedtuple("Point", "x y")
    params = {
        "a": [fn.array(1.0), (fn.array(2.0),)],
        "b": Point(fn.array(3.0), None),
        "c": fn.frozendict(d=fn.array(4.0)),
    }
    gradient = fn.grad(lambda p: p["a"][0] * p["a"][1][0] * p["b"].x * p["c"]["d"])(params)
    assert tree.structure(gradient) == tree.structure(params)
    assert isinstance(gradient["b"], Point) and isinstance(gradient["c"], fn.frozendict)
    close(gradient, {"a": [24.0, (12.0,)], "b": Point(8.0, None), "c": fn.frozendict(d=6.0)})


def test_unused_inputs_get_zeros():
    gradient = fn.grad(lambda p: p["used"].sum())({"used": fn.array([1.0, 2.0]), "unused": fn.array([[1.0], [2.0]])})
    assert gradient["unused"].tolist() == [[0.0], [0.0]]
    assert fn.grad(lambda x: fn.array(1.0))(fn.array([1.0, 2.0])).tolist() == [0.0, 0.0]


def test_numbers_and_numpy_arrays_are_arguments():
    assert fn.grad(lambda x: x * x)(3.0).item() == 6.0
    assert fn.grad(lambda x: (x * x).sum())(np.array([1.0, 2.0], np.float32)).tolist() == [2.0, 4.0]


def test_control_flow_on_values():
    def relu(x):
        return x if x > 0 else 0.0 * x

    assert fn.grad(relu)(fn.array(2.0)).item() == 1.0
    assert fn.grad(relu)(fn.array(-2.0)).item() == 0.0
    assert fn.grad(fn.grad(lambda x: x**3 if x.item() > 0 else x))(fn.array(2.0)).item() == 12.0


def test_the_same_array_twice():
    x = fn.array(3.0)
    assert fn.grad(lambda a, b: a * a * b)(x, x).item() == 18.0
    assert [g.item() for g in fn.grad(lambda p: p[0] * p[0] * p[1])([x, x])] == [18.0, 9.0]


def test_values_from_outside_are_constants():
    x, w = fn.array(3.0), fn.array(5.0)
    assert fn.grad(lambda x: x * w)(x).item() == 5.0
    # ... but belong to the outer function under a second grad.
    assert fn.grad(lambda w: fn.grad(lambda x: x * x * w)(x))(w).item() == 6.0


def test_gradients_of_lazy_results_of_gradients():
    x = fn.array(0.5)
    for _ in range(5):
        x = x - 0.1 * fn.grad(lambda v: v * v)(x)
    assert x.item() == pytest.approx(0.5 * 0.8**5)


def test_where_leaves_frozen_leaves_out():
    params = {"base": {"weight": fn.array(2.0), "lora_a": fn.array(3.0)}, "lora_b": fn.array(5.0)}

    def loss(p, x):
        return p["base"]["weight"] * p["base"]["lora_a"] * p["lora_b"] * x

    expected = [10.0 * 7, 6.0 * 7]
    masks = [
        "**.lora_*",
        lambda path, leaf: "lora" in path,
        {"base": {"weight": False, "lora_a": True}, "lora_b": True},
    ]
    for where in masks:
        gradient = fn.grad(loss, where=where)(params, fn.array(7.0))
        assert [g.item() for g in tree.leaves(gradient)] == expected
        assert gradient["base"]["weight"] is tree.absent
        value, gradient = fn.value_and_grad(loss, argnums=(0,), where=where)(params, fn.array(7.0))
        assert value.item() == 210.0 and len(tree.leaves(gradient)) == 2
    integers = {"step": fn.array(3), "weight": fn.array(2.0)}
    gradient = fn.grad(lambda p: p["weight"] * p["step"], where="weight")(integers)
    assert gradient["weight"].item() == 3.0


def test_grad_keeps_the_name_of_the_function():
    def loss(x):
        """Say what is lost."""
        return x

    assert fn.grad(loss).__name__ == "loss" and "lost" in fn.vmap(loss).__doc__


def test_complex_gradients():
    # Of a real function: the direction of steepest ascent.
    z = fn.array(np.complex64(3 + 4j))
    assert fn.grad(lambda z: fn.real(z) ** 2 + fn.imag(z) ** 2)(z).item() == pytest.approx(6 + 8j)


@pytest.mark.parametrize("name", ["norm", "variance", "magnitude"])
def test_second_derivatives_of_complex_numbers_at_zero(name):
    z, t = np.complex64([0, 3 - 4j, 0]), np.complex64([2 + 1j, 1j, -1])
    if name == "norm":  # |z|: t / |z| - z <z, t> / |z|^3
        f, expected = fn.linalg.norm, t / 5 - z * np.vdot(z, t).real / 125
    elif name == "variance":  # 2 (t - mean(t)) / n, also where z is its mean
        z, f, expected = np.complex64([1, 3, 2]) * (1 + 1j), fn.var, (t - t.mean()) * 2 / 3
    else:  # of |z| alone zero is no smooth point; what is computed there must do no harm to the rest
        f, expected = lambda z: fn.sum(fn.abs(z)), np.where(z == 0, 0, t / 5 - z * (z.conj() * t).real / 125)
    z, t = fn.array(z), fn.array(t)
    for product in (
        fn.jvp(fn.grad(f), (z,), (t,))[1],
        fn.grad(lambda z: fn.jvp(f, (z,), (t,))[1])(z),
        fn.grad(lambda z: fn.real(fn.sum(fn.conj(fn.grad(f)(z)) * t)))(z),
    ):
        np.testing.assert_allclose(product, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_gradients_have_the_dtype_of_the_argument(dtype):
    x = fn.array([1.0, 2.0], dtype=getattr(fn, dtype))
    w = fn.array([3.0, 4.0])
    gradient = fn.grad(lambda x: (x * w).sum())(x)
    assert gradient.dtype == x.dtype and gradient.tolist() == [3.0, 4.0]


# ---- vjp, jvp, linearize


def test_vjp_of_trees():
    out, pull = fn.vjp(lambda p, q: {"product": p["x"] * q, "x": p["x"]}, {"x": fn.array(X)}, fn.array(Y))
    close(out, {"product": X * Y, "x": X})
    ct = np.array([1, 10, 100], np.float32)
    close(pull({"product": fn.array(ct), "x": fn.array(ct)}), ({"x": ct * Y + ct}, ct * X))
    close(pull({"product": None, "x": fn.array(ct)}), ({"x": ct}, 0 * X))


def test_vjp_function_is_linear_and_reusable():
    _, pull = fn.vjp(lambda x: fn.exp(x) * x, fn.array(X))
    once = np.asarray(pull(fn.array(Y))[0])
    close(pull(fn.array(2 * Y))[0], 2 * once)
    close(fn.vmap(pull)(fn.array(np.stack([Y, 3 * Y])))[0], np.stack([once, 3 * once]))


def test_vjp_function_differentiates_again():
    def g(x):
        _, pull = fn.vjp(lambda x: x * x * x, x)
        return pull(fn.array(1.0))[0]

    assert fn.grad(g)(fn.array(2.0)).item() == 12.0
    # By the cotangent, after the trace has ended.
    _, pull = fn.vjp(lambda x: x * x * x, fn.array(2.0))
    assert fn.grad(lambda ct: pull(ct)[0] * ct)(fn.array(5.0)).item() == 120.0


def test_vjp_with_integers_and_aux():
    out, pull, aux = fn.vjp(lambda x, n: (x * n, "aux"), fn.array(2.0), fn.array(3), has_aux=True)
    dx, dn = pull(fn.array(1.0))
    assert (out.item(), aux, dx.item(), dn.item()) == (6.0, "aux", 3.0, 0)
    assert dn.dtype == fn.int32


def test_jvp():
    x, y, tx, ty = fn.array(X), fn.array(Y), fn.array(Y), fn.array(X)
    dx, dy = df(X, Y)
    out, tangent = fn.jvp(f, (x, y), (tx, ty))
    close(out, np.sin(X) * Y + X * Y * Y)
    close(tangent, dx * Y + dy * X)
    close(fn.jvp(f, [x, y], [None, ty])[1], dy * X)
    close(fn.jvp(lambda x: {"a": x, "b": fn.array(1.0)}, (x,), (tx,))[1], {"a": Y, "b": 0.0})
    out, tangent, aux = fn.jvp(lambda x: (x * x, "aux"), (fn.array(3.0),), (fn.array(1.0),), has_aux=True)
    assert (out.item(), tangent.item(), aux) == (9.0, 6.0, "aux")


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**100])
def test_derivatives_of_quotients_do_not_leave_the_range_on_the_way(scale):
    """Their factors are small where the tangent is large: 1 / x**2 is 0 in float32, and t / x**2 is not."""
    x, t = fn.array(scale), fn.array(3 * scale)
    slopes = {"1 / x": -3 / scale, "rsqrt": -1.5 * scale**-0.5, "5 / x": -15 / scale, "arcsinh": 3 * min(1, scale)}
    calls = {"1 / x": fn.reciprocal, "rsqrt": fn.rsqrt, "5 / x": lambda x: 5 / x, "arcsinh": fn.arcsinh}
    for name, f in calls.items():
        assert fn.jvp(f, (x,), (t,))[1].item() == pytest.approx(slopes[name], rel=1e-6)
        assert fn.vjp(f, x)[1](t)[0].item() == pytest.approx(slopes[name], rel=1e-6)
    for f, second in ((fn.log, -1), (fn.log2, -1 / np.log(2)), (lambda x: x * fn.log(x), scale)):
        slope = lambda x, f=f: fn.grad(f)(x) * fn.array(scale)  # noqa: E731
        assert fn.grad(slope)(x).item() * scale == pytest.approx(second, rel=1e-6)


def test_linearize():
    _out, push = fn.linearize(f, fn.array(X), fn.array(Y))
    for t in (X, Y):
        close(push(fn.array(t), fn.array(X)), fn.jvp(f, (fn.array(X), fn.array(Y)), (fn.array(t), fn.array(X)))[1])
    _, push, aux = fn.linearize(lambda x: (x * x, 1), fn.array(3.0), has_aux=True)
    assert (push(fn.array(2.0)).item(), aux) == (12.0, 1)


def test_residuals_are_computed_once():
    calls = []

    def g(x):
        calls.append(1)
        return fn.exp(x)

    _, pull = fn.vjp(g, fn.array(X))
    _, push = fn.linearize(g, fn.array(X))
    for _ in range(3):
        pull(fn.array(X)), push(fn.array(X))
    assert len(calls) == 2


# ---- vmap


def test_vmap_over_axes():
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    x = fn.array(a)
    for axis in (0, 1, 2, -1, -3):
        rows = np.moveaxis(a, axis, 0)
        expected = np.stack([row.sum(0) * 2 for row in rows])
        close(fn.vmap(lambda r: r.sum(axis=0) * 2, in_axes=axis)(x), expected)
        close(fn.vmap(lambda r: r.sum(axis=0) * 2, in_axes=axis, out_axes=-1)(x), np.moveaxis(expected, 0, -1))


def test_vmap_prefix_trees():
    params = {"w": fn.array(np.ones((3, 2), np.float32)), "b": fn.array(np.arange(3, dtype=np.float32))}
    x = fn.array(np.array([1.0, 2.0, 3.0], np.float32))
    out = fn.vmap(lambda p, x: (p["w"].sum() + p["b"] * x, p["b"]), in_axes=({"w": None, "b": 0}, 0))(params, x)
    close(out, (6 + np.array([0, 2, 6.0]), np.arange(3)))
    out = fn.vmap(lambda p, x: {"s": p["w"].sum(), "x": x}, in_axes=(None, 0), out_axes={"s": None, "x": 0})(params, x)
    close(out, {"s": 6.0, "x": np.array([1, 2, 3.0])})


def test_vmap_broadcasts_what_does_not_depend_on_the_arguments():
    out = fn.vmap(lambda x: (x, fn.array([7.0, 8.0]), 5))(fn.array([1.0, 2.0]))
    close(out, (np.array([1, 2.0]), np.array([[7, 8.0], [7, 8]]), np.array([5, 5])))


def test_vmap_axis_size_and_keywords():
    assert fn.vmap(lambda x: x * 2, in_axes=None, axis_size=3)(fn.array(1.0)).tolist() == [2.0, 2.0, 2.0]
    out = fn.vmap(lambda x, scale: x * scale, in_axes=(None,))(fn.array(2.0), scale=fn.array([1.0, 10.0]))
    assert out.tolist() == [2.0, 20.0]
    assert fn.vmap(lambda x, flag: x if flag else -x, in_axes=(0, None))(fn.array([1.0]), True).tolist() == [1.0]


NUMBER = fn.array([1, 0], dtype=fn.uint32)
OF_NO_ROWS = [
    (lambda x, w: fn.conv2d(x, w, groups=2), (1, 4, 5, 2), (4, 2, 2, 1)),
    (lambda x, w: fn.conv_transpose1d(x, w), (1, 5, 2), (3, 2, 2)),
    (lambda x, w: nn.max_pool2d(x * w, 2, 2), (1, 4, 4, 2), (2,)),
    (lambda x, w: nn.avg_pool2d(x * w, 3, 1), (1, 4, 4, 2), (2,)),
    (lambda x, w: fn.gather_mm(x, w, rhs_indices=NUMBER), (2, 2), (3, 2, 2)),
    (lambda x, w: fn.cond(x.sum() > 0, lambda: x @ w, lambda: x @ w * 2), (2, 2), (2, 3)),
]


@pytest.mark.parametrize("transform", [lambda f: f, lambda f: fn.grad(lambda x, w: f(x, w).sum(), argnums=(0, 1))])
@pytest.mark.parametrize("shared", [None, 0, 1])
@pytest.mark.parametrize(("f", "x", "w"), OF_NO_ROWS)
def test_vmap_over_no_rows(f, x, w, shared, transform):
    axes = [None if shared == i else 0 for i in range(2)]
    mapped = fn.vmap(transform(f), in_axes=tuple(axes))

    def shapes(rows):
        given = [fn.ones(s if axis is None else (rows, *s)) for s, axis in zip((x, w), axes, strict=True)]
        return [y.shape for y in tree.leaves(mapped(*given))]

    assert shapes(0) == [(0, *shape[1:]) for shape in shapes(1)]


def test_vmap_of_matrix_products():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 3, 4)).astype("f"), rng.normal(size=(4, 2)).astype("f")
    close(fn.vmap(lambda a: a @ fn.array(b))(fn.array(a)), a @ b)
    close(fn.vmap(lambda a, v: a @ v)(fn.array(a), fn.array(a[:, 0])), np.einsum("bij,bj->bi", a, a[:, 0]))


def test_nested_vmap():
    a, b = np.arange(3, dtype=np.float32), np.arange(4, dtype=np.float32)
    outer = fn.vmap(fn.vmap(lambda x, y: x * y + x, in_axes=(None, 0)), in_axes=(0, None))
    close(outer(fn.array(a), fn.array(b)), np.outer(a, b) + a[:, None])


def test_per_example_gradients():
    rng = np.random.default_rng(0)
    w, xs = rng.normal(size=(4, 3)).astype("f"), rng.normal(size=(5, 4)).astype("f")

    def loss(w, x):
        return fn.tanh(x @ w).sum()

    got = fn.vmap(fn.grad(loss), in_axes=(None, 0))(fn.array(w), fn.array(xs))
    expected = np.stack([np.asarray(fn.grad(loss)(fn.array(w), fn.array(x))) for x in xs])
    close(got, expected)


# ---- Jacobians


def test_jacobians_of_arrays():
    x = np.array([0.5, -1.0, 2.0], np.float32)

    def g(x):
        return fn.stack([x[0] * x[1], fn.sin(x[2])])

    expected = np.array([[x[1], x[0], 0], [0, 0, np.cos(x[2])]])
    for jac in (fn.jacrev, fn.jacfwd):
        close(jac(g)(fn.array(x)), expected)
        assert jac(lambda m: m @ m)(fn.array(np.eye(2, dtype="f"))).shape == (2, 2, 2, 2)


def test_jacobians_of_trees():
    x, y = fn.array([1.0, 2.0]), fn.array(3.0)

    def g(p, s):
        return {"out": p["x"] * s, "square": (p["x"] * p["x"]).sum()}

    for jac in (fn.jacrev, fn.jacfwd):
        close(
            jac(g)({"x": x}, y),
            {"out": {"x": 3 * np.eye(2)}, "square": {"x": np.array([2, 4.0])}},
        )
        by_both = jac(g, argnums=(0, 1))({"x": x}, y)
        close(by_both["out"], ({"x": 3 * np.eye(2)}, np.array([1, 2.0])))
        close(by_both["square"][1], 0.0)
        result, aux = jac(lambda x: (x * x, "aux"), has_aux=True)(x)
        close(result, np.diag([2, 4.0]))
        assert aux == "aux"


def test_hessian():
    x = np.array([0.5, -1.0, 2.0], np.float32)
    got = fn.hessian(lambda x: x[0] * x[0] * x[1] + fn.sin(x[2]))(fn.array(x))
    close(got, np.array([[2 * x[1], 2 * x[0], 0], [2 * x[0], 0, 0], [0, 0, -np.sin(x[2])]]))


# ---- memory


def test_values_read_under_grad_let_go_of_the_past_afterwards():
    kept = []

    def loss(x):
        for _ in range(20):
            x = fn.sin(x)
        x.tolist()
        kept.append(x)
        return x.sum()

    x = fn.array(np.ones(1 << 16, np.float32))
    gradient = fn.grad(loss)(x)
    fn.eval(gradient)
    before = fn.get_active_memory()
    kept.clear()
    # Only the value itself was held, not the nineteen before it.
    assert before - fn.get_active_memory() <= 2 * x.nbytes


@pytest.mark.immediate
@pytest.mark.parametrize("transform", [lambda f: f, fn.compile], ids=["eager", "compiled"])
@pytest.mark.parametrize("wrap", [lambda f: f, fn.checkpoint], ids=["plain", "checkpoint"])
def test_a_thousand_steps_do_not_grow(transform, wrap):
    x = fn.array(np.ones((8, 32), np.float32))
    loss = wrap(lambda w: fn.tanh(x @ w).sum())

    @transform
    def step(w, rate):
        value, gradient = fn.value_and_grad(loss)(w)
        return value, w - rate * gradient

    w = fn.array(np.ones((32, 32), np.float32))
    arrays, process = [], []
    for i in range(1000):
        value, w = step(w, 0.01 / (i + 1))
        fn.eval(w, value)
        if i % 250 == 249:
            arrays.append(fn.get_active_memory())
            process.append(resident_bytes())
    assert arrays[0] == arrays[-1]
    assert process[-1] - process[0] < 2 << 20


def resident_bytes():
    """What the process holds now; zero where the system does not say."""
    statm = pathlib.Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * 4096 if statm.exists() else 0


def test_an_unevaluated_loop_keeps_only_its_end():
    """Results that nobody asked for are not computed, whatever was traced on the way."""
    x = fn.array(0.5)
    for _ in range(200):
        fn.grad(lambda v: fn.sin(v) * v)(x)
    assert fn.grad(lambda v: fn.sin(v) * v)(x).item() == pytest.approx(np.sin(0.5) + 0.5 * np.cos(0.5))


def test_long_chains():
    def f(x):
        for _ in range(20_000):
            x = x * 1.0001
        return x

    x = fn.array(1.0)
    expected = 1.0001**20_000
    assert fn.grad(f)(x).item() == pytest.approx(expected, rel=1e-3)
    assert fn.jvp(f, (x,), (x,))[1].item() == pytest.approx(expected, rel=1e-3)
    assert fn.vmap(f)(fn.array([1.0, 2.0])).tolist() == pytest.approx([expected, 2 * expected], rel=1e-3)
    assert fn.grad(fn.checkpoint(f))(x).item() == pytest.approx(expected, rel=1e-3)


def test_threads_trace_at_the_same_time():
    def work(k):
        x = fn.array(np.full(64, 0.1 * k, np.float32))
        results = []
        for _ in range(30):

            def loss(x):
                return (fn.vmap(fn.grad(lambda v: fn.sin(v) * v))(x) * fn.checkpoint(fn.cos)(x)).sum()

            results.append(np.asarray(fn.grad(loss)(x)))
        return results

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for k, results in enumerate(pool.map(work, range(4))):
            v = np.float32(0.1 * k)
            slope = np.sin(v) + v * np.cos(v)
            curve = 2 * np.cos(v) - v * np.sin(v)
            expected = curve * np.cos(v) - slope * np.sin(v)
            for r in results:
                np.testing.assert_allclose(r, np.full(64, expected), rtol=1e-4, atol=1e-6)

"""What the derivative of a scan keeps of each step, and what it leaves until the loop is over."""

import re

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random
from widest import WIDEST, reachable


def unrolled(f, init, xs, reverse=False, length=None):
    """The loop that fn.scan stands for."""
    steps = fn.tree.leaves(xs)[0].shape[0] if fn.tree.leaves(xs) else length
    carry, ys = init, [None] * steps
    for i in reversed(range(steps)) if reverse else range(steps):
        carry, ys[i] = f(carry, fn.tree.map(lambda x: x[i], xs))  # noqa: B023
    return carry, fn.tree.map(lambda *y: fn.stack(y), *ys) if steps else None


def draw(*shape, seed=0, dtype=None, scale=0.5):
    return fn.array(np.random.default_rng(seed).normal(size=shape) * scale, dtype=dtype or WIDEST)


def close(a, b, tolerance=1e-9):
    tolerance = reachable(tolerance)
    fn.tree.map(
        lambda x, y: np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=tolerance, atol=tolerance), a, b
    )


def scans(f, *arguments):
    """The graph of `f`, one text for each scan in it: its results, its operands and its body."""
    text = fn.explain(f)(*arguments).graph
    return [m.group(0) for m in re.finditer(r"(?m)^  %.* = scan\[.*\n(?:    .*\n)*", text)]


def lstm_state(gates, c):
    i, f, g, o = fn.split(gates, 4, axis=-1)
    c = fn.sigmoid(f) * c + fn.sigmoid(i) * fn.tanh(g)
    return fn.sigmoid(o) * fn.tanh(c), c


def lstm(w, state, x):
    h, c = state
    return lstm_state(x @ w["x"] + h @ w["h"] + w["b"], c), None


def loss_of_last_state(h):
    """Of weights and inputs that are added up already, from the state (h, h)."""

    def loss(w, xs):
        (last, _), _ = fn.scan(lambda s, x: (lstm_state(x + s[0] @ w, s[1]), None), (h, h), xs)
        return fn.sum(last)

    return loss


def gru(w, h, x):
    own, given = h @ w["h"], x @ w["x"] + w["b"]
    r, z = fn.split(fn.sigmoid(own[..., :10] + given[..., :10]), 2, axis=-1)
    n = fn.tanh(given[..., 10:] + r * (own[..., 10:] + w["own"]))
    h = (1 - z) * n + z * h
    return h, h


STEPS, BATCH, IN, UNITS = 4, 3, 2, 5
XS = draw(STEPS, BATCH, IN, seed=1)
LSTM = {"x": draw(IN, 4 * UNITS, seed=2), "h": draw(UNITS, 4 * UNITS, seed=3), "b": draw(4 * UNITS, seed=4)}
GRU = {"x": draw(IN, 3 * UNITS, seed=2), "h": draw(UNITS, 3 * UNITS, seed=3), "b": draw(15, seed=4), "own": draw(5)}
H0 = draw(BATCH, UNITS, seed=5)

# body(weights, carry, element), weights, carry, elements
CELLS = {
    "lstm": (lstm, LSTM, (H0, H0 * 0.5), XS),
    "gru": (gru, GRU, H0, XS),
    "weights twice": (lambda w, h, x: (fn.tanh(fn.tanh(h @ w + x) @ w), h @ w), draw(5, 5), H0, draw(4, 3, 5)),
    "transposed": (lambda w, h, x: (fn.tanh(h @ w.T + x), None), draw(5, 5), H0, draw(4, 3, 5)),
    "parts of weights": (
        lambda w, h, x: (fn.tanh(h @ w[:5] + x @ w[5:]), None),
        draw(8, 5),
        H0,
        draw(4, 3, 3),
    ),
    "reshaped": (lambda w, h, x: (fn.tanh(h @ w.reshape(5, 5)), None), draw(25), H0, draw(4)),
    "with a penalty": (lambda w, h, x: (fn.tanh(h @ w), fn.sum(w**2) * x), draw(5, 5), H0, draw(4)),
    "in front": (lambda w, h, x: (fn.sin(w @ h + x), None), draw(5, 5), draw(5, 3), draw(4, 5, 3)),
    "vectors": (lambda w, h, x: (fn.tanh(w @ fn.concatenate([h, x])), h), draw(5, 8), draw(5), draw(4, 3)),
    "one row": (lambda w, h, x: (fn.tanh(h @ w + x), None), draw(5, 5), draw(1, 5), draw(4, 1, 5)),
    "batches": (lambda w, h, x: (fn.tanh(h @ w + x), h), draw(3, 4, 4), draw(3, 2, 4), draw(4, 3, 2, 4)),
    "batches of one weight": (lambda w, h, x: (fn.tanh(h @ w + x), h), draw(4, 4), draw(3, 2, 4), draw(4, 3, 2, 4)),
    "a product of constants": (lambda w, h, x: (fn.tanh(h @ (w[0] @ w[1])), None), draw(2, 5, 5), H0, draw(4)),
    "no carry behind it": (lambda w, h, x: (h + 1, x @ w), draw(2, 5), H0, XS),
    "scaled": (lambda w, h, x: (fn.tanh(2.5 * (h @ w) * x), None), draw(5, 5), H0, draw(4)),
    "the carry itself": (lambda w, h, x: (h @ w, h), draw(5, 5), H0, draw(4)),
    "an element itself": (lambda w, h, x: (h + x @ w, x), draw(2, 5), H0, XS),
    "shared operands": (lambda w, h, x: (fn.tanh(h @ w[0]) * fn.sin(h @ w[1]), h @ w[2]), draw(3, 5, 5), H0, draw(4)),
    "normalised": (
        lambda w, h, x: (fn.fast.layer_norm(h @ w + x, w[0], w[1], 1e-5), h),
        draw(5, 5),
        H0,
        draw(4, 3, 5),
    ),
    "largest": (
        lambda w, h, x: (fn.tanh(h @ w) + fn.max(h * x - 0.3 * h + x, axis=-1, keepdims=True), h),
        draw(5, 5),
        H0,
        draw(4),
    ),
    "steps": (
        lambda w, h, x: (fn.where(h * x + 0.1 > 0, fn.tanh(h @ w), fn.floor(h * 3) * h), fn.abs(h * x)),
        draw(5, 5),
        H0,
        draw(4),
    ),
    "another loop": (
        lambda w, h, x: fn.scan(lambda h, y: (fn.tanh(h @ w + y), h), h, x),
        draw(5, 5),
        H0,
        draw(4, 2, 3, 5),
    ),
    "checkpointed": (
        lambda w, h, x: (fn.checkpoint(lambda w, h: fn.tanh(fn.tanh(h @ w + x) @ w))(w, h), h),
        draw(5, 5),
        H0,
        draw(4, 3, 5),
    ),
    "a branch": (
        lambda w, h, x: (fn.cond(x[0, 0] > 0, lambda h: fn.tanh(h @ w), lambda h: h @ w.T, h), h),
        draw(5, 5) * 0.5,
        H0,
        draw(4, 3, 5),
    ),
}


def losses(name, **options):
    body, w, init, xs = CELLS[name]

    def loss(run):
        def f(w, init, xs):
            made = run(lambda carry, x: body(w, carry, x), init, xs, **options)
            return sum(fn.sum(fn.sin(leaf + 0.5)) for leaf in fn.tree.leaves(made))

        return f

    return loss(fn.scan), loss(unrolled), (w, init, xs)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
def test_gradient_is_that_of_the_loop(name, reverse):
    scanned, written, arguments = losses(name, reverse=reverse)
    expected = fn.grad(written, argnums=(0, 1, 2))(*arguments)
    close(fn.grad(scanned, argnums=(0, 1, 2))(*arguments), expected)
    close(fn.compile(fn.grad(scanned, argnums=(0, 1, 2)))(*arguments), expected)
    close(fn.grad(scanned)(*arguments), fn.grad(written)(*arguments))


@pytest.mark.parametrize("name", ["lstm", "weights twice", "parts of weights", "vectors", "batches", "another loop"])
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_gradient_of_few_steps(name, steps):
    body, w, init, xs = CELLS[name]
    xs = xs[:steps]

    def loss(run):
        return lambda w, init, xs: sum(fn.sum(fn.sin(v)) for v in fn.tree.leaves(run(w, init, xs)))

    scanned = loss(lambda w, init, xs: fn.scan(lambda c, x: body(w, c, x), init, xs)[0])
    written = loss(lambda w, init, xs: unrolled(lambda c, x: body(w, c, x), init, xs)[0])
    close(fn.grad(scanned, argnums=(0, 1, 2))(w, init, xs), fn.grad(written, argnums=(0, 1, 2))(w, init, xs))


@pytest.mark.parametrize("name", ["lstm", "gru", "weights twice", "vectors", "batches", "a product of constants"])
def test_derivatives_nest(name):
    scanned, written, (w, init, xs) = losses(name)
    along = fn.tree.map(fn.cos, w)

    def slope(loss):
        return lambda w: fn.jvp(lambda w: loss(w, init, xs), (w,), (along,))[1]

    close(slope(scanned)(w), slope(written)(w))
    close(fn.grad(slope(scanned))(w), fn.grad(slope(written))(w), 1e-8)
    close(
        fn.jvp(fn.grad(lambda w: scanned(w, init, xs)), (w,), (along,))[1],
        fn.jvp(fn.grad(lambda w: written(w, init, xs)), (w,), (along,))[1],
        1e-8,
    )

    def norm(loss):
        return lambda w: sum(fn.sum(g**2) for g in fn.tree.leaves(fn.grad(lambda w: loss(w, init, xs))(w)))

    close(fn.grad(norm(scanned))(w), fn.grad(norm(written))(w), 1e-8)


@pytest.mark.parametrize("name", ["lstm", "gru", "weights twice", "vectors", "shared operands", "checkpointed"])
def test_gradient_under_vmap(name):
    scanned, written, (w, init, xs) = losses(name)
    many = fn.tree.map(lambda x: fn.stack([x, x * 0.5, -x]), w)
    per_weight = fn.vmap(lambda w: fn.grad(scanned)(w, init, xs))(many)
    shared = fn.grad(lambda w: fn.sum(fn.vmap(lambda xs: scanned(w, init, xs))(fn.stack([xs, xs * 0.5]))))(w)
    for i in range(3):
        close(
            fn.tree.map(lambda g: g[i], per_weight),  # noqa: B023
            fn.grad(written)(fn.tree.map(lambda x: x[i], many), init, xs),  # noqa: B023
        )
    close(shared, fn.grad(lambda w: written(w, init, xs) + written(w, init, xs * 0.5))(w))


@pytest.mark.parametrize("name", ["lstm", "gru", "weights twice"])
@pytest.mark.parametrize("unroll", [2, 3, True])
def test_gradient_of_several_steps_at_once(name, unroll):
    body, w, init, xs = CELLS[name]

    def loss(w, **options):
        return fn.sum(fn.tree.leaves(fn.scan(lambda c, x: body(w, c, x), init, xs, **options)[0])[0])

    close(fn.grad(lambda w: loss(w, unroll=unroll))(w), fn.grad(loss)(w))


def test_gradient_by_policies_of_checkpoint():
    body, w, init, xs = CELLS["lstm"]
    expected = fn.grad(losses("lstm")[1])(w, init, xs)
    for policy in ("nothing_saveable", "dots_saveable", "everything_saveable"):
        kept = fn.checkpoint(lambda w, c, x: body(w, c, x), policy=getattr(fn.checkpoint_policies, policy))

        def loss(w):
            made = fn.scan(lambda c, x: kept(w, c, x), init, xs)  # noqa: B023
            return sum(fn.sum(fn.sin(v + 0.5)) for v in fn.tree.leaves(made))

        close(fn.grad(loss)(w), expected)


@pytest.mark.parametrize("dtype", [fn.float16, fn.bfloat16])
def test_gradient_in_half_precision(dtype):
    body, w, init, xs = CELLS["lstm"]

    def gradient(convert):
        def loss(w):
            (h, _), _ = fn.scan(lambda c, x: body(w, c, x), fn.tree.map(convert, init), convert(xs))
            return fn.sum(h.astype(fn.float32))

        return fn.grad(loss)(fn.tree.map(convert, w))

    narrow = gradient(lambda x: x.astype(dtype))
    wide = gradient(lambda x: x.astype(dtype).astype(fn.float32))
    for key, g in narrow.items():
        assert g.dtype == dtype
        np.testing.assert_allclose(g.astype(fn.float32), wide[key], atol=0.06 if dtype == fn.bfloat16 else 0.01)


def test_carries_of_integers_beside_a_gradient():
    w, h = draw(4, 4), draw(2, 4)

    def loss(run):
        def f(w):
            def step(carry, x):
                h, n, seen = carry
                return (fn.tanh(h @ w + n.astype(h.dtype)), n + 1, seen | (x > 2)), n * x

            (h_last, n, seen), ys = run(step, (h, fn.array(0), fn.array(False)), fn.arange(4))
            return fn.sum(h_last) + n.astype(w.dtype) + seen.astype(w.dtype) + fn.sum(ys).astype(w.dtype)

        return f

    close(fn.value_and_grad(loss(fn.scan))(w), fn.value_and_grad(loss(unrolled))(w))


# ---- what is kept of each step


def kept_bytes(f, *arguments):
    """Of the scan that stacks the most, in bytes: what it stacks."""
    most = 0
    for text in scans(f, *arguments):
        results = text.split(" = scan[")[0]
        steps = int(re.search(r"length=(\d+)", text).group(1))
        sizes = [
            int(np.prod(shape)) * int(bits) // 8
            for bits, shape in (
                (m.group(1) or 8, [int(d) for d in m.group(2).split(",") if d.strip()])
                for m in re.finditer(r"(?:float|int|bool|uint)(\d*)\(([\d, ]*)\)", results)
            )
            if shape and shape[0] == steps and len(shape) > 2
        ]
        most = max(most, sum(sizes))
    return most


def test_residuals_that_follow_from_others_are_not_kept():
    """Of an LSTM: four gates, the cell before and its tanh after, and the state before; nothing else."""
    xs, h = fn.zeros((7, 2, 3)), fn.zeros((2, 5))
    w = fn.tree.map(lambda x: x.astype(fn.float32), LSTM)
    w["x"] = fn.zeros((3, 20))

    def loss(w):
        return fn.sum(fn.scan(lambda c, x: lstm(w, c, x), (h, h), xs)[0][0])

    assert kept_bytes(fn.grad(loss), w) == 7 * (7 * 2 * 5) * 4


@pytest.mark.parametrize(
    ("body", "floats"),
    [
        (lambda h, x: fn.tanh(h) * 2 + 1, 1),  # tanh(h), not its derivative
        (lambda h, x: fn.tanh(h * h), 2),  # h, tanh(h * h)
        (lambda h, x: fn.exp(h) * h, 2),
        (lambda h, x: h * x, 0),  # elements are at hand, and nobody asks for their cotangent
        (lambda h, x: fn.where(h > 0, h, 0.1 * h), 0.25),  # a bool
        (lambda h, x: 1 / (1 + h * h), 1),  # h: what is divided by follows from it
        (lambda h, x: fn.sin(h[:, ::-1].T.T), 1),
    ],
)
def test_bytes_that_are_kept(body, floats):
    xs, h = fn.ones((7, 3, 4)), fn.ones((3, 4))

    def loss(h):
        return fn.sum(fn.scan(lambda h, x: (body(h, x), None), h, xs)[0])

    assert kept_bytes(fn.grad(loss), h) == int(7 * 12 * 4 * floats)


def test_what_is_compared_is_kept_as_it_was():
    """A value that is computed again may round differently: the largest would then be nowhere."""
    rng = np.random.default_rng(0)
    xs = fn.array(rng.normal(size=(20, 33)), fn.float32)
    h = fn.array(rng.normal(size=33), fn.float32)

    def loss(h):
        def step(h, x):
            y = h * x + 0.37 * h + x * 1.7
            return h + 0.1 * fn.max(y), fn.max(y)

        return fn.sum(fn.scan(step, h, xs)[1])

    for f in (fn.grad(loss), fn.compile(fn.grad(loss))):
        # Every largest value passes all of its cotangent on.
        def written(h):
            total = 0
            for x in np.asarray(xs, np.float64):
                y = h * x + 0.37 * h + x * 1.7
                h = h + 0.1 * y[fn.argmax(y)]
                total = total + y[fn.argmax(y)]
            return total

        np.testing.assert_allclose(f(h), fn.grad(written)(h.astype(WIDEST)), rtol=2e-4)


# ---- products that are added up


def product_in_loop(text, shape):
    """Whether the body of a scan makes a product of this shape or of its transpose."""
    m, n = shape
    return f"({m}, {n}) = dot" in text or f"({n}, {m}) = dot" in text


def accumulates(text, shape):
    """Whether a scan carries an array of this shape or of its transpose."""
    carried = text.split(" = scan[")[0]
    m, n = shape
    return f"({m}, {n})" in carried or f"({n}, {m})" in carried


def test_gradients_of_weights_are_one_product_after_the_loop():
    h, xs = fn.zeros((3, 5)), fn.zeros((11, 3, 20))
    w = fn.zeros((5, 20))

    loss = loss_of_last_state(h)
    for g, arguments in ((fn.grad(loss), (w, xs)), (fn.grad(loss, argnums=(0, 1)), (w, xs))):
        forward, backward = scans(g, *arguments)[-2:]
        assert "reverse" in backward and not accumulates(backward, (5, 20)) and not product_in_loop(backward, (5, 20))
        graph = fn.explain(g)(*arguments).graph
        assert "dot" in graph.split(backward)[1], forward


def test_sums_stay_in_the_loop_where_stacks_would_take_more_memory():
    """A checkpointed step keeps its carry only; the operands of its products would be several times that."""
    h = fn.zeros((64, 4))
    w = fn.zeros((4, 4))

    def loss(w):
        @fn.checkpoint
        def step(h):
            for _ in range(3):
                h = fn.tanh(h @ w)
            return h

        return fn.sum(fn.scan(lambda h, _: (step(h), None), h, None, length=50)[0])

    backward = scans(fn.grad(loss), w)[-1]
    assert "reverse" in backward and accumulates(backward, (4, 4))
    assert kept_bytes(fn.grad(loss), w) <= 50 * 64 * 4 * 4


@pytest.mark.immediate
def test_memory_of_a_gradient():
    steps, batch, units = 40, 16, 64
    xs, h = fn.array(np.zeros((steps, batch, 4 * units), "f")), fn.array(np.zeros((batch, units), "f"))
    w = fn.array(np.zeros((units, 4 * units), "f"))

    loss = loss_of_last_state(h)
    f = fn.compile(fn.grad(loss, argnums=(0, 1)))
    fn.eval(f(w, xs))
    fn.reset_peak_memory()
    before = fn.get_active_memory()
    made = f(w, xs)
    peak = fn.get_peak_memory() - before
    # Seven residuals, the cotangents of the four gates, the gradient of the weights, and what a step needs.
    step = batch * units * 4
    assert peak < 1.1 * (steps * 11 * step + w.nbytes) + 30 * step
    fn.eval(made)


def test_results_do_not_depend_on_threads():
    rng = np.random.default_rng(0)
    batch, units = 32, 64
    w = fn.array(rng.normal(size=(4 * units, units)) * 0.1, fn.float32)
    xs, h = fn.array(rng.normal(size=(6, batch, 4 * units)), fn.float32), fn.zeros((batch, units))

    def loss(w, xs):
        def step(s, x):
            h, c = s
            return lstm_state(x + h @ w.T, c), h

        (h_last, _), hs = fn.scan(step, (h, h), xs)
        return fn.sum(h_last) + fn.sum(hs**2)

    f = fn.compile(fn.value_and_grad(loss, argnums=(0, 1)))
    before, seen = fn.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            fn.set_num_threads(threads)
            seen.append([np.asarray(x).tobytes() for x in fn.tree.leaves(f(w, xs))])
    finally:
        fn.set_num_threads(before)
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("layer", [nn.RNN(3, 4), nn.GRU(3, 4), nn.LSTM(3, 4)], ids=lambda layer: type(layer).__name__)
def test_layers(layer):
    params, x = layer.init(random.key(0)), draw(2, 6, 3, dtype=fn.float32)

    def loss(params, x):
        return fn.sum(fn.tree.leaves(layer(params, x))[0] ** 2)

    gradients = fn.compile(fn.grad(loss, argnums=(0, 1)))(params, x)
    along = fn.tree.map(fn.cos, (params, x))
    slope = fn.jvp(loss, (params, x), along)[1]
    moved = sum(fn.sum(g * a) for g, a in zip(fn.tree.leaves(gradients), fn.tree.leaves(along), strict=True))
    np.testing.assert_allclose(moved, slope, rtol=1e-4)

"""Functions compiled for all shapes."""

import pytest
from tests.compat.library import REAL, mx

ours = pytest.mark.skipif(REAL, reason="MLX refuses these, or gives other values")


def sized(*shape, start=0.0):
    n = 1
    for s in shape:
        n *= s
    return (mx.arange(n, dtype=mx.float32) * 0.5 + start).reshape(shape)


def same(a, b):
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a.shape == b.shape and a.dtype == b.dtype and mx.allclose(a, b, rtol=1e-6, equal_nan=True).item()


def counted(function):
    def call(*args):
        call.count += 1
        return function(*args)

    call.count = 0
    return call


PAIR = [(sized(2, 3),), (sized(4, 5),), (sized(7, 2),), (sized(2, 3, start=1.0),)]


@pytest.mark.parametrize(
    ("function", "calls"),
    [
        (lambda a: a * 2 + mx.exp(-a), PAIR),
        (lambda a: mx.where(a > 1, a, mx.sigmoid(a) * 0.5), PAIR),
        (lambda a, b: mx.sigmoid(a) * a * b, [(x, x + 1) for (x,) in PAIR]),
        (lambda a, b: a + b, [(x, x[0]) for (x,) in PAIR]),
        (lambda a: a.sum(axis=1), PAIR),
        (lambda a: a.max(), PAIR),
        (lambda a: mx.softmax(a, axis=-1), PAIR),
        (lambda a: mx.cumsum(a, axis=0), PAIR),
        (lambda a: (mx.sort(a), mx.argsort(a, axis=0), mx.argmax(a, axis=1)), PAIR),
        (lambda a: mx.concatenate([a, -a], axis=1).T, PAIR),
        (lambda a, b: a @ b, [(x, x.T) for (x,) in PAIR]),
        (lambda a: a.astype(mx.float16) * 2, PAIR),
    ],
)
def test_one_trace_for_all_shapes(function, calls):
    f = counted(function)
    compiled = mx.compile(f, shapeless=True)
    for args in calls:
        assert same(compiled(*args), function(*args))
    assert f.count == 1


def test_ranks_and_dtypes_have_traces_of_their_own():
    f = counted(lambda a: a * 2)
    compiled = mx.compile(f, shapeless=True)
    for x, count in (
        (sized(3), 1),
        (sized(4), 1),
        (sized(2, 2), 2),
        (sized(3, 5), 2),
        (mx.array([1, 2]), 3),
        (sized(9), 3),
    ):
        assert same(compiled(x), x * 2)
        assert f.count == count


def test_constants_have_traces_of_their_own():
    f = counted(lambda a, s: a * s)
    compiled = mx.compile(f, shapeless=True)
    for x, s, count in ((sized(3), 2.0, 1), (sized(4), 2.0, 1), (sized(4), 3.0, 2), (sized(5), 3.0, 2)):
        assert same(compiled(x, s), x * s)
        assert f.count == count


@pytest.mark.parametrize(
    "function",
    [
        lambda a: a.mean(axis=1),
        lambda a: a.var(axis=0),
        lambda a: a.reshape(-1),
        lambda a: a[:1],
        lambda a: a[1:, -1],
        lambda a: mx.split(a, [1], axis=1),
        lambda a: mx.pad(a, 1),
        lambda a: a + mx.random.uniform(shape=a.shape, key=mx.random.key(0)),
        lambda a: mx.broadcast_to(a[:1], (3, *a.shape)),
        lambda a: a + mx.zeros(a.shape) + mx.ones((a.shape[1],)),
        lambda a: mx.ones_like(a),
        lambda a: mx.tril(a),
        lambda a: mx.repeat(a, 2, axis=0),
        lambda a: mx.arange(a.shape[0]) + a.sum(),
        lambda a: a.sum() / a.size,
        lambda a: mx.logsumexp(a, axis=-1),
        lambda a: mx.fast.rms_norm(a, None, 1e-5),
        lambda a: mx.fast.layer_norm(a, None, None, 1e-5),
        lambda a: mx.take(a, mx.array([0, 1]), axis=1),
        lambda a: mx.grad(lambda b: (b * b).mean())(a),
        lambda a: mx.grad(lambda b: mx.softmax(b @ b.T).max())(a),
        lambda a: mx.vmap(lambda b: b * b.sum())(a),
        lambda a: mx.checkpoint(lambda b: b * 2)(a),
        lambda a: mx.fft.fft(a).real,
        lambda a: a.sum(keepdims=True) * mx.expand_dims(a, 0),
        lambda a: mx.topk(a, 1),
    ],
)
@ours
def test_values_are_those_of_each_shape(function):
    compiled = mx.compile(function, shapeless=True)
    for (x,) in PAIR:
        assert same(compiled(x), function(x))


@ours
def test_axes_with_one_element_or_none():
    functions = [
        lambda a: mx.cumsum(a, axis=1),
        lambda a: mx.softmax(a, axis=1),
        lambda a: a.sum(axis=0),
        lambda a: a @ a.T,
        lambda a: mx.sort(a, axis=0),
        lambda a: a * 2,
    ]
    for function in functions:
        compiled = mx.compile(function, shapeless=True)
        for shape in ((1, 3), (2, 3), (2, 1), (4, 1), (1, 1), (3, 5), (0, 3), (3, 0)):
            x = sized(*shape)
            if x.size or function is functions[-1]:
                assert same(compiled(x), function(x))


@ours
def test_shapes_that_do_not_go_together():
    compiled = mx.compile(lambda a, b: a + b, shapeless=True)
    compiled(sized(2, 3), sized(2, 3))
    with pytest.raises(ValueError):
        compiled(sized(2, 3), sized(4, 3))
    weights = sized(3)
    scaled = mx.compile(lambda a: a * weights, shapeless=True)
    assert same(scaled(sized(2, 3)), sized(2, 3) * weights)
    assert same(scaled(sized(5, 3)), sized(5, 3) * weights)
    with pytest.raises(ValueError):
        scaled(sized(2, 4))


def test_state():
    state = {"total": mx.array([0.0, 0.0])}

    def add(a):
        state["total"] = state["total"] + a.sum(axis=0)
        return a * 1

    f = counted(add)
    compiled = mx.compile(f, inputs=state, outputs=state, shapeless=True)
    for n in (2, 3, 4):
        compiled(mx.ones((n, 2)))
    assert f.count == 1 or not REAL
    assert state["total"].tolist() == [9, 9]


def test_with_other_transformations():
    f = mx.compile(lambda a: mx.sigmoid(a) * a, shapeless=True)
    g = lambda a: mx.sigmoid(a) * a  # noqa: E731
    for (x,) in PAIR:
        assert same(mx.grad(lambda a: f(a).sum())(x), mx.grad(lambda a: g(a).sum())(x))
        assert same(mx.vmap(f)(x), g(x))
        assert same(mx.compile(lambda a: f(a) + 1)(x), g(x) + 1)

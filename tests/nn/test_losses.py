"""Losses against formulas in float64: ordinary values, the edges of their domains, huge and tiny numbers, refusals."""

import math

import numpy as np
import pytest
from scipy import special

import funcnn as fn
from funcnn import nn
from funcnn.nn import losses
from widest import WIDEST, float64_of, reachable

INF = float("inf")
RNG = np.random.default_rng(0)


def f64(x):
    return np.asarray(x, dtype=np.float64)


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log_softmax(z, axis=-1):
    d = z - z.max(axis=axis, keepdims=True)
    return d - np.log(np.exp(d).sum(axis=axis, keepdims=True))


def gradient(f, *args, at=0):
    """The gradient of the sum by one argument, as float64."""
    return f64(fn.grad(lambda *a: fn.sum(f(*a)), argnums=at)(*args))


def bce(p, y):
    return -(y * np.maximum(np.log(p), -100) + (1 - y) * np.maximum(np.log1p(-p), -100))


X, Y, Z = RNG.normal(size=(3, 6, 5))
SIGN = np.sign(RNG.normal(size=(6, 5)))
PROBABILITIES = RNG.dirichlet(np.ones(5), size=6)


def cosine(a, b):
    return (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-8)


def triplet(a, p, n):
    d = lambda u, v: np.sqrt(((u - v) ** 2).sum(-1) + 1e-6)  # noqa: E731
    return np.maximum(d(a, p) - d(a, n) + 1, 0)


# name: (loss, oracle, arguments)
FORMULAS = {
    "l1": (losses.l1_loss, lambda x, y: np.abs(x - y), (X, Y)),
    "mse": (losses.mse_loss, lambda x, y: (x - y) ** 2, (X, Y)),
    "smooth_l1": (
        losses.smooth_l1_loss,
        lambda x, y: np.where(np.abs(x - y) < 1, (x - y) ** 2 / 2, np.abs(x - y) - 0.5),
        (X, Y),
    ),
    "huber": (
        losses.huber_loss,
        lambda x, y: np.where(np.abs(x - y) <= 1, (x - y) ** 2 / 2, np.abs(x - y) - 0.5),
        (X, Y),
    ),
    "log_cosh": (losses.log_cosh_loss, lambda x, y: np.log(np.cosh(x - y)), (X, Y)),
    "hinge": (losses.hinge_loss, lambda x, y: np.maximum(1 - x * y, 0), (X, SIGN)),
    "margin_ranking": (losses.margin_ranking_loss, lambda x, y, t: np.maximum(-t * (x - y), 0), (X, Y, SIGN)),
    "gaussian_nll": (
        losses.gaussian_nll_loss,
        lambda x, y, v: 0.5 * (np.log(v) + (x - y) ** 2 / v),
        (X, Y, np.exp(Z)),
    ),
    "kl_div": (
        losses.kl_div_loss,
        lambda x, y: (np.exp(y) * (y - x)).sum(-1),
        (log_softmax(X), log_softmax(Y)),
    ),
    "bce_logits": (losses.binary_cross_entropy, lambda x, y: softplus(x) - x * y, (X, PROBABILITIES)),
    "bce": (
        lambda p, y, **kw: losses.binary_cross_entropy(p, y, with_logits=False, **kw),
        bce,
        (PROBABILITIES, 1 / (1 + np.exp(-X))),
    ),
    "cross_entropy": (losses.cross_entropy, lambda z, q: -(q * log_softmax(z)).sum(-1), (X, PROBABILITIES)),
    "cosine": (losses.cosine_similarity_loss, cosine, (X, Y)),
    "triplet": (losses.triplet_loss, triplet, (X, Y, Z)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("name", FORMULAS)
def test_values_gradients_and_reductions(name, dtype):
    loss, oracle, args = FORMULAS[name]
    given = [fn.array(x).astype(getattr(fn, dtype)) for x in args]
    args = [float64_of(x) for x in given]
    rtol = {"float32": 1e-5, "float64": 1e-12, "float16": 2e-3, "bfloat16": 1e-2}[dtype]
    expected = oracle(*args)
    for reduction, combine in [("none", lambda x: x), ("mean", np.mean), ("sum", np.sum)]:
        got = loss(*given, reduction=reduction)
        assert got.dtype == getattr(fn, dtype)
        np.testing.assert_allclose(float64_of(got), combine(expected), rtol=rtol, atol=rtol)
    if dtype != "float64":
        return
    for at in range(len(args)):
        step, got = 1e-6, gradient(lambda *a: loss(*a, reduction="sum"), *given, at=at)
        for i in [(0, 0), (3, 2), (5, 4)]:
            ends = []
            for sign in (1, -1):
                moved = [x.copy() for x in args]
                moved[at][i] += sign * step
                ends.append(oracle(*moved).sum())
            np.testing.assert_allclose(got[i], (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FORMULAS)
def test_integers_and_empty_arrays(name):
    loss, oracle, args = FORMULAS[name]
    if name not in ("bce",):
        ints = [fn.array(np.array([[3, 1, 2]]), dtype=fn.uint8) for _ in args]
        ints[0] = fn.array(np.array([[1, 2, 1]]), dtype=fn.uint8)
        expected = oracle(*[f64(x) for x in ints])
        np.testing.assert_allclose(f64(loss(*ints, reduction="none")), expected, rtol=1e-5)
    empty = [fn.zeros((0, 3)) for _ in args]
    assert loss(*empty, reduction="none").size == 0 and loss(*empty, reduction="sum").item() == 0.0


@pytest.mark.parametrize("name", FORMULAS)
def test_shapes_are_never_broadcast(name):
    loss, _, args = FORMULAS[name]
    for other in [(4,), (1, 4), (1,), ()]:
        shapes = [(4, 1)] + [other] * (len(args) - 1)
        if name == "cross_entropy" and other == (4,):
            with pytest.raises(TypeError, match="class indices must be integers"):
                loss(*[fn.ones(s) for s in shapes])
            continue
        with pytest.raises(ValueError, match=r"\(4, 1\)"):
            loss(*[fn.ones(s) for s in shapes])
    with pytest.raises(ValueError, match="reduction must be"):
        loss(*[fn.array(x) for x in args], reduction="median")
    with pytest.raises(TypeError, match="must be real"):
        loss(*[fn.array(x).astype(fn.complex64) for x in args])
    with pytest.raises(TypeError, match="must be an array, .*got a str"):
        loss(*["x" for _ in args])


def test_numpy_arrays_are_taken():
    np.testing.assert_allclose(losses.mse_loss(X, Y).item(), ((X - Y) ** 2).mean(), rtol=1e-6)


class TestBinaryCrossEntropy:
    LOGITS = np.array([0, 1e-3, -1e-3, 1, -1, 8, -8, 20, -20, 50, -50, 80, -80, 1e4, -1e4, 1e20, -1e20])

    @pytest.mark.parametrize("y", [0.0, 1.0])
    def test_small_losses_keep_their_accuracy(self, y):
        x = self.LOGITS
        loss = lambda x: losses.binary_cross_entropy(x, fn.full(x.shape, y), reduction="none")  # noqa: E731
        expected = softplus(x) if y == 0 else softplus(-x)
        np.testing.assert_allclose(f64(loss(fn.array(x, dtype=fn.float32))), expected, rtol=1e-6, atol=1e-37)
        slope = special.expit(x) if y == 0 else -special.expit(-x)
        np.testing.assert_allclose(gradient(loss, fn.array(x, dtype=fn.float32)), slope, rtol=1e-6, atol=1e-37)

    def test_at_logit_20(self):
        loss = losses.binary_cross_entropy(fn.array([20.0]), fn.array([1.0]))
        assert loss.item() == pytest.approx(2.0611536e-9, rel=1e-6)

    def test_infinite_logits(self):
        x, y = fn.array([INF, -INF, INF, -INF]), fn.array([1.0, 0.0, 0.0, 1.0])
        loss = lambda x, y: losses.binary_cross_entropy(x, y, reduction="none")  # noqa: E731
        assert loss(x, y).tolist() == [0.0, 0.0, INF, INF]
        assert gradient(loss, x, y).tolist() == [0.0, 0.0, 1.0, -1.0]

    def test_soft_labels_outside_of_the_interval(self):
        x, y = fn.array([2.0, -2.0]), fn.array([1.2, -0.2])
        np.testing.assert_allclose(
            f64(losses.binary_cross_entropy(x, y, reduction="none")), softplus(f64(x)) - f64(x) * f64(y), rtol=1e-6
        )

    def test_probabilities_of_0_and_1(self):
        p, y = fn.array([0.0, 1.0, 0.0, 1.0, 0.0]), fn.array([1.0, 0.0, 0.0, 1.0, 0.5])
        loss = lambda p, y: losses.binary_cross_entropy(p, y, with_logits=False, reduction="none")  # noqa: E731
        assert loss(p, y).tolist() == [100.0, 100.0, 0.0, 0.0, 50.0]
        # As in PyTorch: (p - y) / max(p (1 - p), 1e-12).
        np.testing.assert_allclose(gradient(loss, p, y), [-1e12, 1e12, 1.0, -1.0, -5e11], rtol=1e-6)
        assert np.isfinite(gradient(loss, p, y, at=1)).all()
        second = fn.grad(lambda p: fn.grad(lambda p: loss(p, y).sum())(p).sum())(p)
        assert np.isfinite(f64(second)).all()

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
    def test_gradients_are_finite_in_every_dtype(self, dtype):
        p = fn.array([0.0, 1.0, 6e-8, 1e-5, 0.25, 0.75], dtype=getattr(fn, dtype))
        for y in (0.0, 1.0, 0.5):
            loss = lambda p, y=y: losses.binary_cross_entropy(  # noqa: E731
                p, fn.full(p.shape, y, dtype=p.dtype), with_logits=False, reduction="none"
            )
            got = gradient(loss, p)
            assert np.isfinite(got).all() and np.isfinite(float64_of(loss(p))).all()
            exact = np.array([0.25, 0.75])
            np.testing.assert_allclose(got[4:], (exact - y) / (exact * (1 - exact)), rtol=1e-2)
        # Where the slope is in range it is exact in half precision too.
        x = fn.array([2e-5], dtype=fn.float16)
        slope = gradient(lambda p: losses.binary_cross_entropy(p, fn.ones_like(p), with_logits=False), x)
        np.testing.assert_allclose(slope, -1 / f64(x), rtol=1e-3)

    def test_small_probabilities(self):
        p = np.array([1e-30, 1e-20, 1e-10, 1e-5, 0.3])
        for y in (0.0, 1.0):
            loss = losses.binary_cross_entropy(
                fn.array(p, dtype=fn.float32), fn.full(p.shape, y), with_logits=False, reduction="none"
            )
            np.testing.assert_allclose(f64(loss), bce(f64(fn.array(p, dtype=fn.float32)), y), rtol=2e-6)

    def test_weights(self):
        x, y, w = fn.array([1.0, -1.0]), fn.array([1.0, 1.0]), fn.array([2.0, 0.0])
        assert losses.binary_cross_entropy(x, y, w, reduction="sum").item() == pytest.approx(
            2 * math.log1p(math.exp(-1))
        )
        with pytest.raises(ValueError, match="weights must have the shape"):
            losses.binary_cross_entropy(x, y, fn.ones(1))


class TestCrossEntropy:
    def test_small_losses_keep_their_accuracy(self):
        for gap in [0.0, 1.0, 10.0, 20.0, 40.0, 80.0]:
            for shift in [0.0, 1e4]:
                z = fn.array([[gap + shift, shift, shift]])
                expected = math.log1p(2 * math.exp(-gap))
                for targets in [fn.array([0]), fn.array([[1.0, 0.0, 0.0]])]:
                    assert losses.cross_entropy(z, targets).item() == pytest.approx(expected, rel=1e-6)
                slope = 2 * math.exp(-gap) / (1 + 2 * math.exp(-gap))
                got = gradient(lambda z: losses.cross_entropy(z, fn.array([0])), z)
                np.testing.assert_allclose(got[0], [-slope, slope / 2, slope / 2], rtol=1e-6)

    def test_far_targets(self):
        z = fn.array([[0.0, -5.0, -9.99, -10.01, -50.0, -1e4, -1e20, -INF]])
        for target in range(8):
            wanted = np.logaddexp.reduce(f64(z)[0]) - f64(z)[0, target]
            t = fn.array([target])
            assert losses.cross_entropy(z, t).item() == pytest.approx(wanted, rel=1e-6)
            got = gradient(lambda z, t=t: losses.cross_entropy(z, t), z)[0]
            expected = np.exp(log_softmax(f64(z)))[0] - np.eye(8)[target]
            if target < 7:
                np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-30)

    def test_classes_that_are_ruled_out(self):
        z, q = fn.array([[1.0, -INF, 2.0]]), fn.array([[0.5, 0.0, 0.5]])
        expected = np.logaddexp(1, 2) - 1.5
        assert losses.cross_entropy(z, q).item() == pytest.approx(expected, rel=1e-6)
        p = np.exp([1, -INF, 2]) / np.exp([1, -INF, 2]).sum()
        np.testing.assert_allclose(gradient(losses.cross_entropy, z, q)[0], p - [0.5, 0, 0.5], rtol=1e-5, atol=1e-7)
        assert np.isfinite(gradient(losses.cross_entropy, z, q, at=1)).all()
        assert losses.cross_entropy(z, fn.array([1])).item() == INF
        assert losses.cross_entropy(z, fn.array([2])).item() == pytest.approx(np.logaddexp(1, 2) - 2, rel=1e-6)

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_classes_of_no_weight_cost_nothing(self, smoothing):
        z, w = fn.array([[1.0, -INF, 2.0]]), fn.array([1.0, 0.0, 3.0])
        log_p = np.array([1.0, 2.0]) - np.logaddexp(1.0, 2.0)
        spread = -smoothing * (np.array([1.0, 3.0]) * log_p).sum() / 3
        for targets, wanted in [
            (fn.array([1]), spread),
            (fn.array([2]), -(1 - smoothing) * 3 * log_p[1] + spread),
            (fn.array([[0.5, 0.5, 0.0]]), -(1 - smoothing) * 0.5 * log_p[0] + spread),
        ]:
            loss = lambda z, w, t=targets: losses.cross_entropy(z, t, class_weights=w, label_smoothing=smoothing)  # noqa: E731
            assert loss(z, w).item() == pytest.approx(wanted, rel=1e-5, abs=1e-7)
            assert np.isfinite(gradient(loss, z, w)).all() and np.isfinite(gradient(loss, z, w, at=1)).all()
        assert (
            losses.nll_loss(fn.array([[-INF, -1.0]]), fn.array([0]), class_weights=fn.array([0.0, 1.0])).item() == 0.0
        )

    def test_labels_that_do_not_sum_to_1(self):
        q = 3 * RNG.random((6, 5))
        z = fn.array(X, dtype=fn.float64)
        expected = -(q * log_softmax(X)).sum(-1)
        np.testing.assert_allclose(f64(losses.cross_entropy(z, fn.array(q, dtype=fn.float64))), expected, rtol=1e-12)
        got = gradient(losses.cross_entropy, z, fn.array(q, dtype=fn.float64))
        np.testing.assert_allclose(got, q.sum(1, keepdims=True) * np.exp(log_softmax(X)) - q, rtol=1e-10)

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    @pytest.mark.parametrize("axis", [0, 1, -1])
    def test_class_weights_and_ignored_indices(self, smoothing, axis):
        z = np.moveaxis(RNG.normal(size=(4, 7, 5)), -1, axis)
        t, w = RNG.integers(0, 5, size=(4, 7)), RNG.random(5)
        t[1, 2:5] = -100
        log_p = log_softmax(np.moveaxis(z, axis, -1))
        safe = np.where(t < 0, 0, t)
        picked = -np.take_along_axis(log_p, safe[..., None], -1)[..., 0]
        loss = (1 - smoothing) * w[safe] * picked - smoothing * (w * log_p).mean(-1)
        loss = np.where(t < 0, 0, loss)
        total = np.where(t < 0, 0, w[safe]).sum()

        def run(z, reduction):
            return losses.cross_entropy(
                z,
                fn.array(t),
                axis=axis,
                label_smoothing=smoothing,
                class_weights=fn.array(w),
                ignore_index=-100,
                reduction=reduction,
            )

        given = fn.array(z, dtype=WIDEST)
        rtol = reachable(1e-6)
        for reduction, expected in [("none", loss), ("sum", loss.sum()), ("mean", loss.sum() / total)]:
            for call in (run, fn.compile(run, static_argnames="reduction")):
                np.testing.assert_allclose(f64(call(given, reduction)), expected, rtol=rtol)
        ignored = np.moveaxis(gradient(lambda z: run(z, "mean"), given), axis, -1)[t < 0]
        assert (ignored == 0).all()
        q = np.eye(5)[safe]
        soft = losses.cross_entropy(
            given, fn.array(np.moveaxis(q, -1, axis)), axis=axis, label_smoothing=smoothing, class_weights=fn.array(w)
        )
        np.testing.assert_allclose(np.where(t < 0, 0, f64(soft)), loss, rtol=rtol)

    def test_ignored_samples_may_hold_anything(self):
        z, t = fn.array([[float("nan"), INF], [1.0, 2.0]]), fn.array([-1, 0])
        loss = lambda z: losses.cross_entropy(z, t, ignore_index=-1, reduction="mean")  # noqa: E731
        assert loss(z).item() == pytest.approx(math.log1p(math.e), rel=1e-6)
        assert gradient(loss, z)[0].tolist() == [0.0, 0.0]
        everything = losses.cross_entropy(z, fn.array([-1, -1]), ignore_index=-1, reduction="mean")
        assert everything.item() == 0.0

    def test_an_ignored_index_may_be_that_of_a_class(self):
        z, t = fn.array(X), fn.array([0, 1, 2, 3, 4, 0])
        got = losses.cross_entropy(z, t, ignore_index=0)
        assert (f64(got) == 0).tolist() == [True, False, False, False, False, True]

    @pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
    def test_dtypes_of_indices(self, dtype):
        t = np.array([0, 1, 2, 3, 4, 0])
        expected = -log_softmax(X)[np.arange(6), t]
        given = fn.array(t, dtype=getattr(fn, dtype))
        np.testing.assert_allclose(f64(losses.cross_entropy(fn.array(X), given)), expected, rtol=1e-5)
        many = RNG.normal(size=(1, 300)).astype(np.float32)
        got = losses.cross_entropy(fn.array(many), fn.array([100], dtype=getattr(fn, dtype)))
        assert got.item() == pytest.approx(-log_softmax(f64(many))[0, 100], rel=1e-5)

    def test_one_class(self):
        assert losses.cross_entropy(fn.array([[5.0]]), fn.array([0])).item() == 0.0


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.nll_loss])
class TestIndices:
    def test_out_of_range_is_refused_where_values_are_known(self, loss):
        for wrong in (5, -1, -100):
            targets = fn.array([0, 1, wrong, 3, 4, 0])
            fn.eval(targets)
            with pytest.raises(ValueError, match=f"the target {wrong} is no index of 5 classes; ignore_index names"):
                loss(fn.array(X), targets)
            with pytest.raises(ValueError, match=f"the target {wrong} is no index of 5 classes$"):
                loss(fn.array(X), targets, ignore_index=17)
            assert np.isfinite(f64(loss(fn.array(X), targets, ignore_index=wrong))).all()

    def test_out_of_range_is_nan_elsewhere(self, loss):
        targets = fn.array([0, 5, -1, 3, 4, 0])
        for run in (fn.compile(loss), lambda x, t: fn.vmap(loss)(x, t), lambda x, t: loss(x, t + fn.zeros_like(t))):
            assert np.isnan(f64(run(fn.array(X), targets))).tolist() == [False, True, True, False, False, False]

    def test_refusals(self, loss):
        with pytest.raises(TypeError, match="must be integers"):
            loss(fn.array(X), fn.ones(6))
        with pytest.raises(ValueError, match=r"class_weights must have the shape \(5,\), got \(6,\)"):
            loss(fn.array(X), fn.zeros(6, dtype=fn.int32), class_weights=fn.ones(6))
        with pytest.raises(ValueError, match="got targets of shape"):
            loss(fn.array(X), fn.zeros(5, dtype=fn.int32))
        with pytest.raises(fn.AxisError, match="axis 2"):
            loss(fn.array(X), fn.zeros(6, dtype=fn.int32), axis=2)

    def test_nothing(self, loss):
        assert loss(fn.zeros((0, 5)), fn.zeros(0, dtype=fn.int32)).shape == (0,)


def test_nll_weights_and_ignored_indices():
    log_p, w, t = log_softmax(X), RNG.random(5), np.array([0, 1, -100, 3, 4, 0])
    safe = np.where(t < 0, 0, t)
    expected = np.where(t < 0, 0, -w[safe] * log_p[np.arange(6), safe])
    run = lambda x, r: losses.nll_loss(x, fn.array(t), class_weights=fn.array(w), ignore_index=-100, reduction=r)  # noqa: E731
    np.testing.assert_allclose(f64(run(fn.array(log_p), "none")), expected, rtol=1e-6)
    assert run(fn.array(log_p), "mean").item() == pytest.approx(expected.sum() / w[t[t >= 0]].sum(), rel=1e-6)
    ruled_out = losses.nll_loss(fn.array([[-INF, -1.0]]), fn.array([1]))
    assert ruled_out.item() == 1.0


def test_kl_of_impossible_classes():
    x, y = fn.array([[-INF, -1.0, -2.0]]), fn.array([[-INF, -INF, 0.0]])
    assert losses.kl_div_loss(x, y).item() == 2.0
    for at in (0, 1):
        assert np.isfinite(gradient(losses.kl_div_loss, x, y, at=at)).all()
    assert losses.kl_div_loss(fn.array([-INF]), fn.array([0.0])).item() == INF


class TestDistances:
    def test_huge_numbers(self):
        x, y = fn.array([[3e20, 4e20]]), fn.array([[3e20, -4e20]])
        assert losses.l1_loss(x, y).item() == pytest.approx(4e20)
        for loss in (losses.smooth_l1_loss, losses.huber_loss, losses.log_cosh_loss):
            got = f64(loss(x, y, reduction="none"))[0]
            assert got[0] == 0 and got[1] == pytest.approx(8e20)
            assert gradient(lambda x, loss=loss: loss(x, y, reduction="none"), x)[0].tolist() == [0.0, 1.0]
        assert losses.cosine_similarity_loss(x, y).item() == pytest.approx((9 - 16) / 25, rel=1e-6)
        got = gradient(losses.cosine_similarity_loss, x, y)[0]
        # d cos / dx = (y / |y| - cos x / |x|) / |x|
        expected = (np.array([0.6, -0.8]) + 0.28 * np.array([0.6, 0.8])) / 5e20
        np.testing.assert_allclose(got, expected, rtol=1e-5)
        n = fn.array([[0.0, 1e20]])
        assert losses.triplet_loss(x, y, n).item() == pytest.approx(8e20 - math.hypot(3e20, 3e20), rel=1e-5)
        assert np.isfinite(gradient(losses.triplet_loss, x, y, n)).all()
        assert losses.gaussian_nll_loss(x, y, fn.full((1, 2), 1e38), reduction="sum").item() == pytest.approx(
            0.5 * (2 * math.log(1e38) + 64e40 / 1e38), rel=1e-5
        )

    def test_infinite_errors(self):
        x, y = fn.array([INF, -INF]), fn.array([0.0, 0.0])
        for loss in (losses.l1_loss, losses.smooth_l1_loss, losses.huber_loss, losses.log_cosh_loss):
            assert loss(x, y, reduction="none").tolist() == [INF, INF]
            assert gradient(lambda x, loss=loss: loss(x, y, reduction="none"), x).tolist() == [1.0, -1.0]

    def test_tiny_numbers(self):
        x = np.array([1e-10, 1e-5, 1e-3, 0.1, 0.99, 1.0, 1.01, 5.0, 30.0])
        got = losses.log_cosh_loss(fn.array(x, dtype=fn.float32), fn.zeros(9))
        stable = np.where(x < 1e-2, x**2 / 2 - x**4 / 12, x + np.log1p(np.exp(-2 * x)) - math.log(2))
        np.testing.assert_allclose(f64(got), stable, rtol=2e-6)
        slope = gradient(losses.log_cosh_loss, fn.array(x, dtype=fn.float32), fn.zeros(9))
        np.testing.assert_allclose(slope, np.tanh(x), rtol=1e-6)
        tiny, one = fn.array([[1e-25, 0.0]]), fn.array([[1e25, 1e25]])
        assert losses.cosine_similarity_loss(tiny, one).item() == pytest.approx(math.sqrt(0.5), rel=1e-6)

    @pytest.mark.parametrize("loss", [losses.smooth_l1_loss, losses.huber_loss, losses.mse_loss, losses.log_cosh_loss])
    def test_curvature_at_zero(self, loss):
        curve = fn.grad(lambda x: fn.grad(lambda x: fn.sum(loss(x, fn.array([0.5]), reduction="none")))(x).sum())
        assert curve(fn.array([0.5])).item() == (2.0 if loss is losses.mse_loss else 1.0)

    def test_at_the_bend(self):
        for delta in (0.5, 2.0):
            x = fn.array([delta, -delta])
            assert gradient(lambda x, d=delta: losses.huber_loss(x, fn.zeros(2), delta=d), x).tolist() == [
                delta,
                -delta,
            ]
            got = gradient(lambda x, d=delta: losses.smooth_l1_loss(x, fn.zeros(2), beta=d, reduction="none"), x)
            assert got.tolist() == [1.0, -1.0]

    def test_beta_of_zero(self):
        x, y = fn.array([1.0, 2.0, 0.0]), fn.zeros(3)
        loss = lambda x: losses.smooth_l1_loss(x, y, beta=0.0, reduction="none")  # noqa: E731
        assert loss(x).tolist() == [1.0, 2.0, 0.0] and gradient(loss, x).tolist() == [1.0, 1.0, 0.0]
        small = losses.smooth_l1_loss(fn.array([1e-30]), fn.array([0.0]), beta=1e-30)
        assert small.item() == pytest.approx(0.5e-30)

    def test_equal_scores_part(self):
        x, t = fn.zeros(3), fn.array([1.0, -1.0, 1.0])
        loss = lambda a, b: losses.margin_ranking_loss(a, b, t)  # noqa: E731
        assert gradient(loss, x, x).tolist() == [-1.0, 1.0, -1.0] and gradient(loss, x, x, at=1).tolist() == [1, -1, 1]

    def test_squares_beyond_the_largest_number(self):
        x, y = fn.array([1e19]), fn.array([-1e19])
        assert losses.gaussian_nll_loss(x, y, fn.array([1.0])).item() == pytest.approx(2e38)

    def test_zero_vectors(self):
        zero, y = fn.zeros((1, 3)), fn.array([[1.0, 2.0, 2.0]])
        for a, b in [(zero, y), (y, zero), (zero, zero)]:
            assert losses.cosine_similarity_loss(a, b).item() == 0.0
            for at in (0, 1):
                assert np.isfinite(gradient(losses.cosine_similarity_loss, a, b, at=at)).all()
        np.testing.assert_allclose(gradient(losses.cosine_similarity_loss, zero, y)[0], f64(y)[0] / 1e-8, rtol=1e-6)
        large = fn.array([[3e38, -3e38, 1.0]])
        assert losses.cosine_similarity_loss(zero, large).item() == 0.0
        assert np.isfinite(gradient(losses.cosine_similarity_loss, zero, large)).all()
        for a in (y, large):  # the cosine with a short vector is linear in it
            second = fn.hessian(lambda x, a=a: losses.cosine_similarity_loss(x, a).sum())(zero)
            assert not np.asarray(second).any()
        for p in (1, 2, 3, math.inf):
            for eps in (0.0, 1e-6):
                loss = lambda a, b, p=p, eps=eps: losses.triplet_loss(a, b, y, p=p, eps=eps, margin=100.0)  # noqa: E731
                assert np.isfinite(gradient(loss, zero, zero)).all()

    def test_degrees_of_the_norm(self):
        for p in (1, 1.5, 2, 3, math.inf):
            d = lambda u, v, p=p: np.linalg.norm(u - v, ord=p, axis=-1)  # noqa: E731
            got = losses.triplet_loss(*map(fn.array, (X, Y, Z)), p=p, eps=0.0)
            np.testing.assert_allclose(f64(got), np.maximum(d(X, Y) - d(X, Z) + 1, 0), rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (
                lambda x: losses.smooth_l1_loss(x, x, beta=-1.0),
                "smooth_l1_loss: beta must be a number of at least 0, got -1.0",
            ),
            (lambda x: losses.huber_loss(x, x, delta=0), "huber_loss: delta must be a number above 0, got 0"),
            (
                lambda x: losses.huber_loss(x, x, delta=float("nan")),
                "huber_loss: delta must be a number above 0, got nan",
            ),
            (lambda x: losses.triplet_loss(x, x, x, p=0.5), "triplet_loss: p must be a number of at least 1, got 0.5"),
            (lambda x: losses.triplet_loss(x, x, x, axis=5), "triplet_loss: axis 5"),
            (lambda x: losses.cosine_similarity_loss(x, x, axis=2), "cosine_similarity_loss: axis 2"),
            (lambda x: losses.kl_div_loss(x, x, axis=2), "kl_div_loss: axis 2"),
            (lambda x: losses.gaussian_nll_loss(x, x, x, eps=0.0), "gaussian_nll_loss: eps must be a number above 0"),
            (lambda x: losses.cross_entropy(x, x, label_smoothing=1.0), r"label_smoothing must be in \[0, 1\)"),
            (lambda x: losses.cross_entropy(x, x, ignore_index=1), "ignore_index is for class indices"),
            (lambda x: losses.hinge_loss(x, None), "targets must be an array, .*got a NoneType"),
            (
                lambda x: losses.huber_loss(x, x, delta="1"),
                r"huber_loss: delta must be a number above 0, got '1' .str.",
            ),
            (lambda x: losses.huber_loss(x, x, delta=True), "huber_loss: delta must be a number above 0, got True"),
            (lambda x: losses.kl_div_loss(x, x, axis="a"), "kl_div_loss: axis must be an integer, got 'a'"),
            (
                lambda x: losses.nll_loss(x, [0, 0], ignore_index=0.5),
                "nll_loss: ignore_index must be an integer, got 0.5",
            ),
            (lambda x: losses.binary_cross_entropy(x, x, x, "mean"), "with_logits must be True or False, got 'mean'"),
            (
                lambda x: losses.gaussian_nll_loss(x, x, x, 1e-6),
                "gaussian_nll_loss: full must be True or False, got 1e-06",
            ),
            (lambda x: losses.cross_entropy(x, x, x[0] * 1j), "cross_entropy: weights must be real, got complex64"),
            (
                lambda x: losses.cross_entropy(x, x, class_weights=x[0] * 1j),
                "cross_entropy: class_weights must be real",
            ),
            (
                lambda x: losses.cross_entropy(x[:, :0], x[:, :0]),
                r"cross_entropy: logits of shape \(2, 0\) have no classes",
            ),
        ],
    )
    def test_refusals(self, call, message):
        with pytest.raises((ValueError, IndexError, TypeError), match=message):
            call(fn.ones((2, 2)))

    def test_numpy_numbers(self):
        x, y = fn.array([3.0]), fn.array([0.0])
        assert losses.huber_loss(x, y, delta=np.float32(2.0)).item() == 4.0
        assert losses.smooth_l1_loss(x, y, beta=np.float64(2.0)).dtype == fn.float32
        assert losses.margin_ranking_loss(x, y, y, margin=np.int64(2)).item() == 2.0
        assert losses.kl_div_loss(x, y, axis=np.int64(0)).shape == ()


def test_half_precision_is_computed_in_float32():
    x = fn.full((4096,), 300.0, dtype=fn.float16)
    assert losses.mse_loss(x, fn.full((4096,), 250.0, dtype=fn.float16)).item() == 2500.0
    a, b = fn.full((1, 4096), 100.0, dtype=fn.float16), fn.full((1, 4096), 200.0, dtype=fn.float16)
    assert losses.cosine_similarity_loss(a, b).item() == 1.0
    z = fn.zeros((2, 70_000), dtype=fn.float16)
    assert losses.cross_entropy(z, fn.array([0, 1])).tolist() == pytest.approx([math.log(70_000)] * 2, rel=1e-3)


def test_losses_are_all_public():
    assert set(losses.__all__) == {name for name in dir(losses) if not name.startswith("_")}
    assert nn.losses is losses

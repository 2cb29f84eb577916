"""Dtypes of moments and steps, complex and huge gradients, missing gradients, exact schedules, refusals."""

import math

import numpy as np
import pytest

import funcnn as fn
from funcnn import frozendict, optim, tree
from funcnn.optim import schedules
from widest import float64_of

OPTIMIZERS = {
    "sgd": optim.sgd(0.1),
    "momentum": optim.sgd(0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": optim.adam(0.1),
    "adamw": optim.adamw(0.1, weight_decay=0.1),
    "chain": optim.chain(optim.clip_by_global_norm(1.0), optim.adam(schedules.cosine_decay(0.1, 200))),
    "decay": optim.chain(optim.add_decayed_weights(0.1), optim.scale(-0.1)),
    "schedule": optim.scale_by_schedule(schedules.linear_schedule(-0.1, -0.2, 10)),
}


N_STEPS = 200_000


def adam64(params, grads, rate=1e-3, b1=0.9, b2=0.999, eps=1e-8, decay=0.0):
    """Adam in float64 by its formulas."""
    p, m, v = params, np.zeros_like(params), np.zeros(params.shape)
    for t, g in enumerate(grads, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * np.abs(g) ** 2
        p = p - rate * (m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps) + decay * p)
    return p


def run(opt, params, grads, compiled):
    def step(params, state, g):
        delta, state = opt.update(g, state, params)
        return optim.apply_updates(params, delta), state

    state = opt.init(params)
    step = fn.compile(step) if compiled else step
    for g in grads:
        params, state = step(params, state, g)
    return params, state


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_dtypes(name, dtype):
    opt, dtype = OPTIMIZERS[name], getattr(fn, dtype)
    params = {"w": fn.ones(3, dtype=dtype)}
    wide = fn.promote_types(dtype, fn.float32)
    first = opt.init(params)
    state, stepped = first, params
    for _ in range(2):
        delta, state = opt.update({"w": fn.ones(3, dtype=dtype)}, state, stepped)
        stepped = optim.apply_updates(stepped, delta)
    assert stepped["w"].dtype == dtype and delta["w"].dtype == wide
    real = fn.float64 if dtype == fn.float64 else fn.float32
    for before, after in zip(tree.leaves(first), tree.leaves(state), strict=True):
        assert before.dtype == after.dtype and after.dtype in (fn.int32, wide, real)
    assert np.isfinite(np.asarray(stepped["w"].astype(fn.complex64))).all()


@pytest.mark.parametrize("compiled", [False, True])
class TestAdam:
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_zero_and_tiny_gradients_of_half_precision(self, dtype, compiled):
        dtype = getattr(fn, dtype)
        params = {"w": fn.ones(3, dtype=dtype)}
        for g in (0.0, 1e-7, 1e-5):
            grads = [{"w": fn.full((3,), g, dtype=dtype)}] * 3
            expected = adam64(np.ones(3), [float64_of(grads[0]["w"])] * 3, rate=0.1)
            got, state = run(optim.adam(0.1), params, grads, compiled)
            np.testing.assert_allclose(float64_of(got["w"]), expected, rtol=1e-2)
            assert tree.all(tree.map(lambda x: bool(fn.all(fn.isfinite(x)).item()), state["mu"]))

    def test_moments_of_bfloat16_do_not_stall(self, compiled):
        """A second moment in bfloat16 would stop changing: a thousandth of it is less than half a unit in the last place."""
        rng = np.random.default_rng(0)
        grads = [rng.normal(size=4) for _ in range(60)]
        given = [{"w": fn.array(g).astype(fn.bfloat16)} for g in grads]
        grads = [float64_of(g["w"]) for g in given]
        _, state = run(optim.adam(1e-3), {"w": fn.zeros(4, dtype=fn.bfloat16)}, given, compiled)
        v = np.zeros(4)
        for g in grads:
            v = 0.999 * v + 0.001 * g**2
        np.testing.assert_allclose(np.asarray(state["nu"]["w"]), v, rtol=1e-5)

    def test_float64_keeps_its_accuracy(self, compiled):
        rng = np.random.default_rng(0)
        p, grads = rng.normal(size=5), rng.normal(size=(20, 5))
        given = [{"w": fn.array(g, dtype=fn.float64)} for g in grads]
        for opt, decay in [
            (optim.adam(1e-3), 0.0),
            (optim.adamw(1e-3, weight_decay=0.1), 0.1),
        ]:
            got, _ = run(opt, {"w": fn.array(p, dtype=fn.float64)}, given, compiled)
            np.testing.assert_allclose(np.asarray(got["w"]), adam64(p, grads, decay=decay), rtol=1e-13, atol=1e-15)

    def test_the_first_step_in_float32(self, compiled):
        """1 - 0.999 in float32 is off by 1e-5 of itself if computed as it is written."""
        for b2 in (0.999, 0.99999, 0.9999999):
            got, _ = run(
                optim.adam(1.0, (0.9, b2), 0.0),
                {"w": fn.zeros(1)},
                [{"w": fn.array([3.0])}],
                compiled,
            )
            assert got["w"].item() == pytest.approx(-1.0, rel=1e-6)

    def test_complex_gradients(self, compiled):
        rng = np.random.default_rng(0)
        p, *grads = rng.normal(size=(6, 3)) + 1j * rng.normal(size=(6, 3))
        given = [{"w": fn.array(g.astype(np.complex64))} for g in grads]
        got, state = run(optim.adam(0.1), {"w": fn.array(p.astype(np.complex64))}, given, compiled)
        np.testing.assert_allclose(np.asarray(got["w"]), adam64(p, grads, rate=0.1), rtol=1e-5)
        assert state["nu"]["w"].dtype == fn.float32 and state["mu"]["w"].dtype == fn.complex64

    def test_decays_of_zero(self, compiled):
        got, _ = run(
            optim.adam(0.1, (0.0, 0.0)),
            {"w": fn.zeros(2)},
            [{"w": fn.array([3.0, -2.0])}] * 2,
            compiled,
        )
        np.testing.assert_allclose(np.asarray(got["w"]), [-0.2, 0.2], rtol=1e-6)


SLOPES = {
    "linear": (schedules.linear_schedule, lambda part: 1 - part),
    "cosine": (lambda a, b, n: schedules.cosine_decay(a, n, b), lambda part: np.cos(np.pi / 2 * part) ** 2),
}


@pytest.mark.parametrize("steps", [7, 1000, 100_000])
@pytest.mark.parametrize("name", SLOPES)
def test_schedules_keep_their_digits_to_the_last_step(name, steps):
    """What is left of the first rate shortly before the end is small beside it."""
    make, left = SLOPES[name]
    for first, last in ((0.5, 0.0), (1e-4, 1.0), (3.0, 1e-5)):
        counts = np.unique(np.r_[0, 1, steps // 3, steps // 2, steps - 2, steps - 1, steps])
        share = left(counts / np.float64(steps))
        expected = first * share + last * (1 - share)
        got = fn.compile(make(first, last, steps))(fn.array(counts))
        np.testing.assert_allclose(got[:-1], expected[:-1], rtol=5e-7)
        assert got[0].item() == np.float32(first) and got[-1].item() == np.float32(last)


class TestGlobalNorm:
    def test_values(self):
        assert optim.global_norm(fn.array([3 + 4j])).item() == 5.0
        assert optim.global_norm({"a": fn.array([1 + 1j]), "b": fn.array([math.sqrt(2)])}).item() == pytest.approx(2.0)
        assert optim.global_norm([fn.array([3e20]), fn.array([4e20])]).item() == pytest.approx(5e20)
        assert optim.global_norm([fn.array([3e38]), fn.array([1.0])]).item() == pytest.approx(3e38)
        assert optim.global_norm(fn.array([3e200, 4e200], dtype=fn.float64)).item() == pytest.approx(5e200)
        assert optim.global_norm(fn.full((4,), 300.0, dtype=fn.float16)).item() == 600.0
        assert optim.global_norm(fn.array([float("inf"), 1.0])).item() == float("inf")
        assert math.isnan(optim.global_norm(fn.array([float("nan"), 1.0])).item())
        assert optim.global_norm(fn.array([3, 4])).item() == 5.0
        assert fn.grad(optim.global_norm)(fn.zeros(2)).tolist() == [0.0, 0.0]

    @pytest.mark.parametrize(
        "dtype, exponents", [("float32", (-44, -30, -19, 0, 18, 38)), ("float64", (-320, -200, 0, 307))]
    )
    def test_every_scale(self, dtype, exponents):
        for exponent in exponents:
            x = fn.array([3.0 * 10.0**exponent / 4, 10.0**exponent], dtype=getattr(fn, dtype))
            wanted = np.hypot(*np.asarray(x).astype(np.longdouble))
            assert optim.global_norm({"a": x[:1], "b": x[1:]}).item() == pytest.approx(float(wanted), rel=1e-6)
            if abs(exponent) < 300 and exponent > -40:  # where the numbers have all their digits
                np.testing.assert_allclose(np.asarray(fn.grad(optim.global_norm)(x)), [0.6, 0.8], rtol=1e-5)

    def test_clipping(self):
        clip = optim.clip_by_global_norm(1.0)
        for grads, expected in [
            ([3e20, 4e20], [0.6, 0.8]),
            ([0.3, 0.4], [0.3, 0.4]),
            ([0.0, 0.0], [0.0, 0.0]),
        ]:
            np.testing.assert_allclose(np.asarray(clip.update(fn.array(grads), ())[0]), expected, rtol=1e-6)
        got = clip.update(fn.array([3 + 4j]), ())[0]
        assert got.item() == pytest.approx(0.6 + 0.8j)
        # The factor may be smaller than what float16 holds.
        got = optim.clip_by_global_norm(1e-4).update(fn.full((4,), 6e4, dtype=fn.float16), ())[0]
        np.testing.assert_allclose(np.asarray(got), 5e-5, rtol=1e-3)


def test_scaling_half_precision_does_not_underflow():
    got = optim.scale(1 / 65536).update(fn.full((2,), 1e-3, dtype=fn.float16), ())[0]
    np.testing.assert_allclose(np.asarray(got), 1e-3 / 65536, rtol=1e-3)


PARAMS = frozendict(a=frozendict(w=fn.array([1.0]), b=fn.array([2.0])), c=fn.array([3.0]))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_has_no_gradient_keeps_state_and_value(name, compiled):
    opt = OPTIMIZERS[name]

    def step(params, state, where):
        grads = fn.grad(lambda p: sum(fn.sum(x * x) for x in tree.leaves(p)), where=where)(params)
        delta, state = opt.update(grads, state, params)
        return delta, optim.apply_updates(params, delta), state

    step = fn.compile(step, static_argnames="where") if compiled else step
    _, params, state = step(PARAMS, opt.init(PARAMS), where="**")
    delta, after, new = step(params, state, where="a.*")
    assert tree.structure(new) == tree.structure(state) and tree.structure(after) == tree.structure(params)
    assert tree.paths(delta) == ["a.b", "a.w"]
    assert after["c"].item() == params["c"].item() != PARAMS["c"].item()
    assert after["a"]["w"].item() != params["a"]["w"].item()
    for (path, old), (_, changed) in zip(tree.leaves_with_path(state), tree.leaves_with_path(new), strict=True):
        if path.endswith("mu.c") or path.endswith("nu.c") or path.endswith("trace.c"):
            assert old.item() == changed.item() != 0.0
    # A full step goes on from the moments that were kept.
    _, last, full = step(after, new, where="**")
    assert tree.structure(full) == tree.structure(state) and last["c"].item() != after["c"].item()


def test_clipping_of_gradients_whose_norm_is_out_of_range():
    clip = optim.clip_by_global_norm(2.0)
    for x in (fn.array([3e38, 3e38]), fn.array([1.5e308, 1.5e308], dtype=fn.float64)):
        np.testing.assert_allclose(np.asarray(clip.update(x, ())[0]), [2**0.5] * 2, rtol=1e-6)
    assert clip.update(fn.array([1e-40, 0.0]), ())[0].tolist() == fn.array([1e-40, 0.0]).tolist()
    assert clip.update({}, ()) == ({}, ())
    with pytest.raises(TypeError, match="clip: complex gradients have no order; use clip_by_global_norm"):
        optim.clip(1.0).update(fn.array([1j]), ())


@pytest.mark.parametrize(
    ("opt", "average"),
    [
        (optim.ema(0.99999), lambda out, state: out),
        (
            optim.adam(0.1, betas=(0.9, 0.99999)),
            lambda out, state: state["nu"] / -math.expm1(N_STEPS * math.log(0.99999)),
        ),
    ],
    ids=["ema", "adam"],
)
def test_averages_of_many_numbers_are_not_too_small(opt, average):
    """What float32 rounds of a decay near 1 is no small part of what it lacks to 1: averages of ones were 0.99902."""

    def step(carry, i):
        noise = 0.02 * fn.random.uniform(fn.random.fold_in(key, i), (32,), low=-1.0)
        return opt.update(1.0 + noise, carry[1]), None

    with fn.default_device("cpu"):  # many steps for a GPU in software
        key, start = fn.random.key(0), fn.zeros(32)
        (out, state), _ = fn.compile(lambda: fn.scan(step, (start, opt.init(start)), fn.arange(N_STEPS)))()
        np.testing.assert_allclose(average(out, state).mean(), 1.0, rtol=2e-4)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999999])
def test_infinite_averages_stay_infinite(decay):
    opt = optim.ema(decay)
    state = opt.init(fn.zeros(2))
    _, state = opt.update(fn.array([math.inf, 1.0]), state)
    out, state = opt.update(fn.array([1.0, 1.0]), state)
    np.testing.assert_allclose(out, [math.inf if decay else math.nan, 1.0], rtol=1e-6)


@pytest.mark.parametrize(
    "opt",
    [
        optim.adam(0.1),
        optim.sgd(schedules.linear_schedule(0.1, 0.2, 3)),
        optim.scale_by_schedule(schedules.step_decay(1.0, 0.5, 3)),
    ],
)
def test_the_count_of_steps_does_not_wrap_around(opt):
    params = {"w": fn.ones(2)}
    state = {**opt.init(params), "count": fn.array(2**31 - 2)}
    for _ in range(3):
        delta, state = opt.update(params, state, params)
        assert state["count"].item() == 2**31 - 1 and np.isfinite(np.asarray(delta["w"])).all()


LENGTHS = [1, 2, 3, 7, 10, 49, 1000, 99_991]
ENDS = [0.0, 1.0, 1e-3, 0.3, 1e-5, -0.7]


class TestSchedules:
    @pytest.mark.parametrize("steps", LENGTHS)
    @pytest.mark.parametrize("end", ENDS)
    def test_ends_are_exact(self, steps, end):
        exact = np.float32(end).item()
        for init in (0.1, 1.0, 3e-4):
            for schedule in (
                schedules.linear_schedule(init, end, steps),
                schedules.cosine_decay(init, steps, end),
                schedules.warmup_cosine(init, 2, steps + 2, end),
                schedules.warmup(schedules.linear_schedule(init, end, steps), 2),
                schedules.join_schedules([schedules.constant(5.0), schedules.linear_schedule(init, end, steps)], [2]),
            ):
                shift = 0 if isinstance(schedule, (schedules.linear_schedule, schedules.cosine_decay)) else 2
                for call in (schedule, fn.compile(schedule)):
                    assert call(fn.array(shift)).item() == np.float32(init).item()
                    for count in (steps + shift, steps + shift + 1, 2**31 - 1):
                        assert call(fn.array(count)).item() == exact

    def test_lines_never_overshoot(self):
        rate = schedules.linear_schedule(0.1, 0.3, 7)
        values = [rate(i).item() for i in range(9)]
        assert values == sorted(values) and values[-1] == values[-2] == np.float32(0.3).item()

    @pytest.mark.parametrize("steps", [1, 7, 99_991, 2**24 + 1])
    def test_staircases_fall_at_the_exact_step(self, steps):
        """Also where float32 does not hold the count."""
        compiled = fn.compile(schedules.step_decay(1.0, 0.5, steps))
        for stair in range(1, min(100, 2**31 // steps)):
            assert compiled(fn.array(stair * steps)).item() == 0.5**stair
            assert compiled(fn.array(stair * steps - 1)).item() == 0.5 ** (stair - 1)

    def test_rates_near_1_keep_their_digits(self):
        for rate in (0.9999, 0.999999, 1.000001):
            for count in (1, 1000, 1_000_000):
                assert schedules.exponential_decay(0.1, rate)(count).item() == pytest.approx(
                    0.1 * rate**count, rel=2e-5, abs=1e-38
                )
        assert (
            schedules.exponential_decay(1.0, 0.0)(0).item() == 1.0
            and schedules.exponential_decay(1.0, 0.0)(1).item() == 0.0
        )

    @pytest.mark.parametrize("dtype", ["int8", "uint8", "uint32", "int64", "uint64", "float32", "bool_"])
    def test_counts_of_any_dtype(self, dtype):
        count = fn.array(1, dtype=getattr(fn, dtype))
        for schedule in (
            schedules.linear_schedule(0.0, 1.0, 1000),
            schedules.warmup_cosine(1.0, 300, 500),
            schedules.join_schedules([schedules.constant(0.5), schedules.linear_schedule(0.0, 1.0, 4)], [300]),
            schedules.step_decay(1.0, 0.5, 300),
        ):
            assert schedule(count).item() == schedule(1).item() == fn.compile(schedule)(count).item()

    def test_counts_below_zero_are_the_start(self):
        for schedule in (
            schedules.linear_schedule(0.1, 0.2, 3),
            schedules.cosine_decay(0.1, 3),
            schedules.warmup_cosine(1.0, 2, 5),
        ):
            assert schedule(-5).item() == schedule(0).item()

    def test_numbers_in_a_row(self):
        rate = schedules.join_schedules([0.5, schedules.linear_schedule(0.0, 1.0, 2), np.float32(2.0)], [1, 3])
        assert [rate(i).item() for i in range(5)] == [0.5, 0.0, 0.5, 2.0, 2.0]

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (
                lambda: schedules.join_schedules([1.0, 2.0], [1.5]),
                "join_schedules: boundaries must be an integer or a sequence of integers",
            ),
            (lambda: schedules.join_schedules(3, []), "join_schedules: schedules must be a list of schedules, got 3"),
            (
                lambda: schedules.join_schedules(["a"], []),
                "join_schedules: schedules must be numbers or functions .* got 'a'",
            ),
            (lambda: schedules.warmup_cosine(1.0, "a", 3), "warmup_cosine: warmup_steps must be a number, got 'a'"),
            (
                lambda: schedules.linear_schedule(0.0, 1.0, 3)("a"),
                "linear_schedule: the count of steps must be a number, got 'a'",
            ),
            (
                lambda: optim.sgd(lambda count: "a").update(fn.ones(1), {"count": fn.array(0)}),
                "sgd: a schedule must return a number",
            ),
            (
                lambda: optim.scale_by_schedule(lambda count: fn.ones(2)).update(fn.ones(2), {"count": fn.array(0)}),
                r"an array of shape \(2,\)",
            ),
            (
                lambda: optim.adam(0.1).update(fn.ones(1), {}),
                r"adam: the state must be what init .* 'count', got a dict of \[\]",
            ),
            (
                lambda: optim.sgd(0.1, momentum=0.9).update(fn.ones(1), ()),
                "sgd: the state must be .* 'trace', got a tuple",
            ),
            (lambda: optim.chain(optim.sgd), "chain: expected optimisers.* got the class sgd: call it"),
            (lambda: optim.chain(3), "chain: expected optimisers, which have init and update, got 3"),
            (lambda: optim.chain(optim.sgd(0.1)).update(fn.ones(1), 3), "chain: the state must be the tuple"),
            (lambda: optim.apply_updates({"w": "a"}, {"w": "a"}), "apply_updates: expected arrays, but w is a str"),
            (lambda: optim.sgd(0.1).update({"w": 2.0}, {}), "sgd: expected arrays, but w is a float"),
            (lambda: optim.global_norm({"w": "a"}), "global_norm: expected arrays, but w is a str"),
        ],
    )
    def test_wrong_types(self, make, message):
        with pytest.raises(TypeError, match=message):
            make()

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (
                lambda: schedules.linear_schedule(0.0, 1.0, 0),
                "linear_schedule: steps must be a number of at least 1, got 0",
            ),
            (
                lambda: schedules.cosine_decay(1.0, -5),
                "cosine_decay: decay_steps must be a number of at least 1, got -5",
            ),
            (
                lambda: schedules.exponential_decay(1.0, -0.5),
                "exponential_decay: decay_rate must be a number of at least 0",
            ),
            (lambda: schedules.step_decay(1.0, 0.5, 0), "step_decay: step_size"),
            (lambda: schedules.warmup(1.0, -1), "warmup: steps must be a number of at least 0"),
            (lambda: schedules.warmup_cosine(1.0, 10, 10), "warmup_steps=10 and steps=10"),
            (lambda: schedules.warmup_cosine(1.0, -1, 10), "warmup_steps=-1"),
            (lambda: schedules.join_schedules([schedules.constant(1.0)] * 3, [5, 2]), "boundaries in increasing order"),
            (
                lambda: schedules.join_schedules([1.0, 2.0], [-1]),
                r"join_schedules: boundaries must be at least 0, got \[-1\]",
            ),
            (lambda: schedules.join_schedules([], []), "join_schedules: schedules must be a list of at least one"),
            (lambda: schedules.one_cycle(1.0, 0), "one_cycle: steps must be a number of at least 1"),
            (lambda: schedules.one_cycle(1.0, 10, 1.0), "one_cycle: pct_start must be .* below 1, got 1.0"),
            (lambda: schedules.one_cycle(1.0, 10, div_factor=0.0), "one_cycle: div_factor must be a number above 0"),
            (lambda: schedules.constant(float("nan")), "constant: value must be a number, got nan"),
        ],
    )
    def test_lengths_that_make_no_sense(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()

    def test_one_cycle(self):
        rate = schedules.one_cycle(0.4, 50, 0.2, 20.0, 100.0)
        for call in (rate, fn.compile(rate)):
            assert call(fn.array(0)).item() == pytest.approx(0.02) == call(fn.array(-1)).item()
            assert call(fn.array(10)).item() == np.float32(0.4).item()
            for count in (50, 51, 2**31 - 1):
                assert call(fn.array(count)).item() == np.float32(0.4 / 20 / 100).item()
        # No room for a rise: it starts at the peak.
        assert schedules.one_cycle(1.0, 3, 0.1)(0).item() == 1.0

    def test_lengths_of_zero_that_do(self):
        assert schedules.warmup(0.5, 0)(0).item() == 0.5
        assert schedules.join_schedules([schedules.constant(1.0), schedules.constant(2.0)], [0])(0).item() == 2.0


class TestHyperparameters:
    def test_numpy_scalars(self):
        opt = optim.adamw(np.float32(0.5), [np.float64(0.5), 0.25], eps=np.float16(1.0), weight_decay=np.int64(2))
        assert opt == optim.adamw(0.5, (0.5, 0.25), eps=1.0, weight_decay=2)
        assert repr(opt) == repr(optim.adamw(0.5, (0.5, 0.25), eps=1.0, weight_decay=2)) and hash(opt)
        rate = schedules.warmup_cosine(np.float32(0.5), np.int64(2), np.int32(5), np.float64(0.25))
        assert rate == schedules.warmup_cosine(0.5, 2, 5, 0.25)
        assert schedules.join_schedules([schedules.constant(1)] * 2, [np.int64(3)]).boundaries == (3,)
        params = {"w": fn.ones(2, dtype=fn.bfloat16)}
        for made in (optim.sgd(np.float64(0.1), momentum=np.float32(0.5)), optim.scale(np.float64(2.0)), opt):
            delta, _ = made.update(params, made.init(params), params)
            assert delta["w"].dtype == fn.float32

    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: optim.adam("fast"), TypeError, "adam: learning_rate must be a number or a function of the count"),
            (lambda: optim.adam(None), TypeError, "adam: learning_rate"),
            (lambda: optim.adam(1e-3, 0.9), TypeError, "adam: betas must be a pair of numbers, got 0.9"),
            (lambda: optim.adam(True), TypeError, "adam: learning_rate"),
            (
                lambda: optim.adam(0.1, (1.0, 0.9)),
                ValueError,
                r"adam: betas\[0\] must be a number of at least 0 and below 1, got 1.0",
            ),
            (lambda: optim.adamw(0.1, betas=(0.9, -0.1)), ValueError, r"adamw: betas\[1\] must be"),
            (lambda: optim.adam(0.1, eps=-1e-8), ValueError, "adam: eps must be a number of at least 0"),
            (
                lambda: optim.adam(0.1, (0.9, 0.99), 1e-8, 1),
                TypeError,
                "adam: bias_correction must be True or False, got 1",
            ),
            (lambda: optim.sgd(0.1, 0.9, nesterov="no"), TypeError, "sgd: nesterov must be True or False"),
            (lambda: optim.sgd(0.1, momentum=-1), ValueError, "sgd: momentum must be"),
            (lambda: optim.sgd(float("nan")), ValueError, "sgd: learning_rate must be"),
            (
                lambda: optim.sgd(0.1, nesterov=True),
                ValueError,
                "sgd: nesterov looks ahead along the momentum, which is 0",
            ),
            (lambda: optim.clip_by_global_norm(-1.0), ValueError, "clip_by_global_norm: max_norm must be"),
            (lambda: optim.clip(np.array([1.0])), TypeError, "clip: max_delta must be"),
            (lambda: optim.scale([1.0]), TypeError, "scale: factor must be"),
            (lambda: optim.scale(schedules.constant(1.0)), TypeError, "scale: factor must be a number, got constant"),
            (lambda: optim.scale_by_schedule(0.5), TypeError, "scale_by_schedule: schedule must be a function"),
            (lambda: optim.sgd(0.1, dampening=0.1), ValueError, "sgd: dampening holds back"),
            (lambda: optim.sgd(0.1, 0.9, 0.0, 0.1, True), ValueError, "sgd: nesterov needs a dampening of 0"),
            (lambda: schedules.linear_schedule(0.0, 1.0, "3"), TypeError, "linear_schedule: steps must be"),
        ],
    )
    def test_refusals(self, make, error, message):
        with pytest.raises(error, match=message):
            make()

    @pytest.mark.parametrize("opt", [optim.adamw(0.1), optim.sgd(0.1, momentum=0.9), optim.sgd(0.1, weight_decay=0.1)])
    def test_trees_that_do_not_fit(self, opt):
        params = {"a": fn.ones(4), "b": (fn.ones(4),)}
        name = type(opt).__name__
        wrong = {"a": fn.ones(4), "b": (fn.ones((4, 1)),)}
        with pytest.raises(ValueError, match=rf"{name}: at b.0 there are shapes \(4, 1\) and \(4,\)"):
            opt.update(wrong, opt.init(params), params)
        with pytest.raises(ValueError, match=rf"{name}: at b there are shapes \(4,\) and a tuple"):
            opt.update({"a": fn.ones(4), "b": fn.ones(4)}, opt.init(params), params)
        with pytest.raises(
            ValueError, match=f"{name}: gradients, state and parameters belong to different trees: .* at b"
        ):
            opt.update({"a": fn.ones(4), "b": (fn.ones(4), fn.ones(4))}, opt.init(params), params)
        part = tree.filter(params, "a")
        with pytest.raises(ValueError, match="different trees: the trees differ at b.0: expected a leaf, got absent"):
            opt.update(params, opt.init(part), part)
        if opt.momentum if isinstance(opt, optim.sgd) else True:
            with pytest.raises(TypeError, match=f"{name}: expected arrays, but b.0 is a float"):
                opt.init({"a": fn.ones(4), "b": (1.0,)})

    def test_steps_that_do_not_fit(self):
        with pytest.raises(ValueError, match=r"apply_updates: at w there are shapes \(4,\) and \(4, 1\)"):
            optim.apply_updates({"w": fn.ones((4, 1))}, {"w": fn.ones(4)})
        with pytest.raises(ValueError, match=r"add_decayed_weights: at w there are shapes"):
            optim.add_decayed_weights(0.1).update({"w": fn.ones(4)}, (), {"w": fn.ones((4, 1))})

    def test_rates_may_be_arrays(self):
        @fn.compile
        def step(rate, params):
            opt = optim.chain(optim.add_decayed_weights(rate), optim.adamw(rate, weight_decay=rate))
            return opt.update(params, opt.init(params), params)[0]

        assert step(fn.array(0.5), {"w": fn.ones(1)})["w"].item() == pytest.approx(-0.75)
        assert step(fn.array(0.25), {"w": fn.ones(1)})["w"].item() == pytest.approx(-0.25 * 1.25)
        assert step.cache_info()["misses"] == 1

"""Groups, wrappers and injected hyperparameters: what the table of optimisers does not ask."""

import math

import numpy as np
import pytest

import funcnn as fn
from funcnn import optim, tree
from funcnn.optim import schedules
from widest import float64_of

PARAMS = {"a": fn.array([1.0, -2.0]), "b": fn.array([[3.0]])}


def steps(opt, grads, params=PARAMS, compiled=False):
    """Every step that an optimiser returns, the last parameters and the last state."""

    def step(params, state, g):
        delta, state = opt.update(g, state, params)
        return delta, optim.apply_updates(params, delta), state

    step = fn.compile(step) if compiled else step
    state, deltas = opt.init(params), []
    for g in grads:
        delta, params, state = step(params, state, g)
        deltas.append(delta)
    return deltas, params, state


def constant(value):
    return tree.map(lambda p: fn.full(p.shape, value), PARAMS)


class TestInject:
    @pytest.mark.parametrize("compiled", [False, True])
    def test_another_value_traces_nothing_again(self, compiled):
        opt = optim.inject(optim.adamw(0.1, weight_decay=0.1), "learning_rate", "weight_decay", "betas", "eps")
        update = fn.compile(opt.update) if compiled else opt.update
        state = opt.init(PARAMS)
        for rate in (0.5, 0.25, 0.0):
            state = opt.set(state, learning_rate=rate, weight_decay=1.0, betas=(0.0, 0.0), eps=0.0)
            delta, state = update(constant(2.0), state, PARAMS)
            np.testing.assert_allclose(np.asarray(delta["a"]), [-rate * 2.0, rate * 1.0], rtol=1e-6)
        if compiled:
            assert update.cache_info()["misses"] == 1

    def test_it_may_be_inside(self):
        opt = optim.chain(optim.clip(1.0), optim.inject(optim.sgd(1.0)))
        state = opt.init(PARAMS)
        state = tree.set(state, "1.hyperparams.learning_rate", fn.array(0.5))
        assert opt.update(constant(3.0), state, PARAMS)[0]["b"].item() == -0.5

    def test_members_of_an_ensemble_have_their_own(self):
        opt = optim.inject(optim.sgd(1.0))
        params = tree.stack([PARAMS] * 3)
        state = fn.vmap(opt.init)(params)
        state = fn.vmap(lambda s, rate: opt.set(s, learning_rate=rate))(state, fn.array([1.0, 2.0, 3.0]))
        delta, _ = fn.vmap(opt.update)(tree.stack([constant(1.0)] * 3), state, params)
        assert delta["b"].reshape(-1).tolist() == [-1.0, -2.0, -3.0]
        assert tree.equal(opt.set(state, learning_rate=fn.array([1.0, 2.0, 3.0])), state)
        assert opt.set(state, learning_rate=0.5)["hyperparams"]["learning_rate"].tolist() == [0.5] * 3
        with pytest.raises(TypeError, match="learning_rate must be a number"):
            opt.set(state, learning_rate=fn.ones(2))

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
    def test_dtypes_are_those_without(self, dtype):
        params = tree.map(lambda x: x.astype(getattr(fn, dtype)), PARAMS)
        for opt, names in [
            (optim.adamw(0.1, weight_decay=0.1), ("learning_rate", "weight_decay", "betas", "eps")),
            (optim.adafactor(0.1, relative_step=False, weight_decay=0.1, beta_1=0.5),
             ("learning_rate", "eps", "clip_threshold", "decay_rate", "weight_decay", "beta_1")),
            (optim.lamb(0.1, weight_decay=0.1), ("learning_rate", "weight_decay", "betas", "eps")),
            (optim.muon(0.1), ("learning_rate", "momentum", "weight_decay")),
            (optim.clip(0.5), ("max_delta",)),
            (optim.clip_by_global_norm(0.5), ("max_norm",)),
            (optim.scale(0.5), ("factor",)),
            (optim.add_decayed_weights(0.5), ("weight_decay",)),
            (optim.ema(0.5), ("decay",)),
            (optim.lookahead(optim.sgd(0.1), 2, 0.5), ("slow_step_size",)),
        ]:  # fmt: skip
            plain, _, _ = steps(opt, [params] * 2, params)
            injected, _, _ = steps(optim.inject(opt, *names), [params] * 2, params)
            for a, b in zip(tree.leaves(plain), tree.leaves(injected), strict=True):
                assert a.dtype == b.dtype, opt
                wide = [float64_of(x) for x in (a, b)]
                np.testing.assert_allclose(*wide, rtol=1e-2 if a.dtype == fn.bfloat16 else 1e-3 if a.dtype == fn.float16
                                           else 2e-5 if a.dtype == fn.float32 else 1e-13)  # fmt: skip

    def test_derivatives_by_a_hyperparameter(self):
        opt = optim.inject(optim.sgd(0.5))

        def loss(rate):
            state = opt.set(opt.init(PARAMS), learning_rate=rate)
            delta, _ = opt.update(constant(1.0), state, PARAMS)
            return fn.sum(optim.apply_updates(PARAMS, delta)["a"])

        assert fn.grad(loss)(fn.array(0.5)).item() == -2.0

    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: optim.inject(3), TypeError, "inject: expected optimisers, which have init and update, got 3"),
            (lambda: optim.inject(optim.sgd(0.1), "rate"), ValueError, "sgd has no rate; what may change is .'learning_rate'"),
            (lambda: optim.inject(optim.sgd(0.1), "nesterov"), TypeError, "nesterov of sgd must be a number, got False"),
            (lambda: optim.inject(optim.muon(0.1), "ns_steps"), TypeError, "ns_steps of muon shapes the program"),
            (lambda: optim.inject(optim.sgd(schedules.constant(0.1))), TypeError, "learning_rate of sgd is a schedule"),
            (lambda: optim.inject(optim.sgd(0.1), 3), TypeError, "names of hyperparameters are strings, got 3"),
            (lambda: optim.inject(optim.sgd(0.1)).update(PARAMS, ()), TypeError, "inject: the state must be .*'hyperparams'"),
        ],
    )  # fmt: skip
    def test_refusals(self, make, error, message):
        with pytest.raises(error, match=message):
            make()

    def test_set_refuses_what_the_optimiser_refuses(self):
        opt = optim.inject(optim.adam(0.1), "learning_rate", "betas")
        state = opt.init(PARAMS)
        for values, error, message in [
            ({"eps": 0.1}, ValueError, "eps is not among the hyperparameters in the state"),
            ({"betas": (0.9, 1.0)}, ValueError, r"adam: betas\[1\] must be"),
            ({"learning_rate": "fast"}, TypeError, "adam: learning_rate must be"),
            ({"learning_rate": schedules.constant(1.0)}, TypeError, "inject: learning_rate must be a number"),
        ]:
            with pytest.raises(error, match=message):
                opt.set(state, **values)


class TestAccumulate:
    @pytest.mark.parametrize("compiled", [False, True])
    def test_schedules_count_steps_and_not_calls(self, compiled):
        opt = optim.accumulate(optim.sgd(schedules.linear_schedule(1.0, 0.0, 4)), 3)
        deltas, _, state = steps(opt, [constant(float(i)) for i in range(6)], compiled=compiled)
        assert [d["b"].item() for d in deltas] == [0.0, 0.0, -1.0, 0.0, 0.0, -0.75 * 4.0]
        assert state["inner"]["count"].item() == 2 and state["count"].item() == 0

    def test_of_one_it_is_the_optimiser_itself(self):
        grads = [constant(0.3), constant(-2.0)]
        _, once, _ = steps(optim.accumulate(optim.adam(0.1), 1), grads)
        _, alone, _ = steps(optim.adam(0.1), grads)
        assert tree.allclose(once, alone, rtol=0.0, atol=0.0)

    def test_sums_of_half_precision(self):
        params = {"w": fn.zeros(2, dtype=fn.float16)}
        opt = optim.accumulate(optim.scale(1.0), 4)
        grads = [{"w": fn.full((2,), x, dtype=fn.float16)} for x in (6e4, 6e4, 1e-4, 6e4)]
        deltas, _, _ = steps(opt, grads, params)
        np.testing.assert_allclose(np.asarray(deltas[-1]["w"]), (3 * 60000 + 1e-4) / 4, rtol=1e-6)

    def test_an_unfinished_group_survives_saving(self, tmp_path):
        opt = optim.accumulate(optim.sgd(1.0), 2)
        _, params, state = steps(opt, [constant(1.0)])
        fn.io.save(tmp_path / "state.safetensors", state)
        state = fn.io.load(tmp_path / "state.safetensors", like=state)
        assert opt.update(constant(3.0), state, params)[0]["b"].item() == -2.0


class TestApplyIfFinite:
    @pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
    @pytest.mark.parametrize("compiled", [False, True])
    def test_one_bad_element_anywhere_stops_the_step(self, bad, compiled):
        opt = optim.apply_if_finite(optim.adam(schedules.constant(0.1)), 5)
        wrong = {"a": constant(1.0)["a"], "b": fn.array([[bad]])}
        good = [constant(1.0), constant(2.0)]
        _, params, state = steps(opt, [good[0], wrong, good[1]], compiled=compiled)
        _, expected, alone = steps(optim.adam(schedules.constant(0.1)), good, compiled=compiled)
        assert tree.allclose(params, expected, rtol=0.0, atol=0.0)
        assert tree.allclose(state["inner"], alone, rtol=0.0, atol=0.0)
        assert state["total_notfinite"].item() == 1 and state["notfinite_count"].item() == 0
        assert state["last_finite"].item() is True

    def test_errors_that_go_on_show(self):
        opt = optim.apply_if_finite(optim.sgd(1.0), 2)
        wrong = constant(math.inf)
        deltas, _, state = steps(opt, [wrong] * 3)
        assert [d["b"].item() for d in deltas] == [0.0, 0.0, -math.inf]
        assert state["notfinite_count"].item() == state["total_notfinite"].item() == 3
        assert steps(optim.apply_if_finite(optim.sgd(1.0), 0), [wrong])[0][0]["b"].item() == -math.inf

    def test_derivatives_through_a_skipped_step(self):
        inner = optim.inject(optim.rmsprop(0.1))
        opt = optim.apply_if_finite(inner, 5)

        def loss(rate):
            state = opt.init(PARAMS)
            state = {**state, "inner": inner.set(state["inner"], learning_rate=rate)}
            return fn.sum(opt.update(constant(math.inf), state, PARAMS)[0]["a"])

        assert fn.grad(loss)(fn.array(0.1)).item() == 0.0


class TestLookahead:
    def test_the_slow_ones_are_no_aliases(self):
        """Parameters and state may both be donated, from the start."""
        opt = optim.lookahead(optim.sgd(0.5), 2, 0.5)
        params = tree.map(lambda x: x + 0.0, PARAMS)
        state = opt.init(params)

        @fn.compile(donate=("params", "state"))
        def step(params, state):
            delta, state = opt.update(constant(1.0), state, params)
            return optim.apply_updates(params, delta), state

        for _ in range(4):
            params, state = step(params, state)
        assert params["b"].item() == 3.0 - 2 * 0.5 and state["slow"]["b"].item() == params["b"].item()

    def test_the_state_of_the_optimiser_starts_afresh_if_asked(self):
        for reset, momentum in ((True, 0.0), (False, 1.0)):
            opt = optim.lookahead(optim.sgd(0.1, 0.9), 1, 0.5, reset_state=reset)
            _, _, state = steps(opt, [constant(1.0)])
            assert state["inner"]["trace"]["b"].item() == momentum

    def test_slow_steps_of_half_precision_are_not_lost(self):
        params = {"w": fn.ones(1, dtype=fn.bfloat16)}
        opt = optim.lookahead(optim.sgd(1.0), 1, 0.125)
        grads = [{"w": fn.full((1,), 2**-8, dtype=fn.bfloat16)}] * 32
        _, params, state = steps(opt, grads, params)
        assert state["slow"]["w"].item() < 1.0 and params["w"].item() < 1.0


class TestEma:
    def test_of_weights(self):
        average = optim.ema(0.5)
        state = average.init(PARAMS)
        for value in (1.0, 2.0, 4.0):
            averaged, state = average.update(constant(value), state)
        assert averaged["b"].item() == pytest.approx((1 + 2 * 2 + 4 * 4) / 7)

    def test_the_first_average_is_the_first_value(self):
        for decay in (0.0, 0.9, 0.99999, 1 - 1e-7):
            average = optim.ema(decay)
            got, _ = average.update(constant(3.0), average.init(PARAMS))
            assert got["b"].item() == pytest.approx(3.0, rel=1e-6)


class TestGroups:
    def test_masks_as_trees_and_missing_gradients(self):
        params = {"a": fn.ones(1), "b": (fn.ones(1), fn.ones(1)), "c": fn.ones(1)}
        mask = {"a": True, "b": [False, True], "c": False}
        grads = tree.filter(params, lambda path, x: path != "b.1")
        opt = optim.masked(optim.scale(0.0), mask)
        assert hash(opt) == hash(optim.masked(optim.scale(0.0), {"c": False, "b": (False, True), "a": True}))
        delta, _ = opt.update(grads, opt.init(params), params)
        assert {path: x.item() for path, x in tree.leaves_with_path(delta)} == {"a": 0.0, "b.0": 1.0, "c": 1.0}

    def test_predicates_see_parameters(self):
        """A predicate on dtypes gets the same answer for parameters of float16 and steps of float32."""
        params = {"half": fn.ones(1, dtype=fn.float16), "full": fn.ones(1)}
        grads = tree.map(lambda x: fn.zeros(1), params)
        half = lambda path, x: x.dtype == fn.float16  # noqa: E731
        for opt in (optim.adamw(1.0, weight_decay=0.5, mask=half), optim.add_decayed_weights(-0.5, half),
                    optim.partitioned([optim.add_decayed_weights(-0.5), optim.scale(1.0)], [half]),
                    optim.masked(optim.add_decayed_weights(-0.5), half),
                    optim.skip_frozen(optim.add_decayed_weights(-0.5), lambda path, x: not half(path, x))):  # fmt: skip
            delta, _ = opt.update(grads, opt.init(params), params)
            assert delta["half"].item() == -0.5 and tree.leaves(delta["full"]) in ([], [fn.zeros(1)])

    def test_frozen_parameters_have_no_share(self):
        opt = optim.skip_frozen(optim.chain(optim.clip_by_global_norm(1.0), optim.adamw(1.0, weight_decay=0.5)), "b")
        state = opt.init(PARAMS)
        assert tree.paths(state) == ["1.count", "1.mu.a", "1.nu.a"]
        grads = {"a": fn.array([0.6, 0.8]), "b": fn.array([[math.nan]])}
        delta, state = opt.update(grads, state, PARAMS)
        assert tree.paths(delta) == ["a"] and np.isfinite(np.asarray(delta["a"])).all()
        assert optim.apply_updates(PARAMS, delta)["b"] is PARAMS["b"]

    @pytest.mark.parametrize(
        "make",
        [
            lambda where: optim.masked(optim.sgd(0.1), where),
            lambda where: optim.skip_frozen(optim.sgd(0.1), where),
            lambda where: optim.partitioned([optim.sgd(0.1), optim.sgd(0.2)], [where]),
            lambda where: optim.add_decayed_weights(0.1, where),
            lambda where: optim.adamw(0.1, mask=where),
            lambda where: optim.lamb(0.1, weight_decay=0.1, mask=where),
            lambda where: optim.lion(0.1, weight_decay=0.1, mask=where),
        ],
        ids=["masked", "skip_frozen", "partitioned", "add_decayed_weights", "adamw", "lamb", "lion"],
    )
    def test_globs_that_match_no_parameter(self, make, request):
        params = {"layers": {"weight": fn.ones(2), "bias": fn.ones(2)}}

        def step(opt, params=params):
            opt.update(params, opt.init(params), params)

        name = request.node.callspec.id
        with pytest.raises(ValueError, match=f"{name}: 'layers.wieght' matches no path; did you mean 'layers.weight'"):
            step(make("layers.wieght"))
        # What a part of the tree leaves out is no slip of the pen, nor is a question that all answer with no.
        step(make("layers.weight"), tree.filter(params, "layers.bias"))
        step(make(lambda path, x: False))

    def test_labels(self):
        opts = {"x": optim.scale(2.0), "y": optim.scale(3.0), "off": None}
        params = {"a": {"u": fn.ones(1), "v": fn.ones(1)}, "b": fn.ones(1), "c": fn.ones(1)}
        opt = optim.partitioned(opts, {"a": "x", "b": "y", "c": "off"})
        delta, state = opt.update(params, opt.init(params), params)
        assert {path: x.item() for path, x in tree.leaves_with_path(delta)} == {"a.u": 2.0, "a.v": 2.0, "b": 3.0}
        assert set(state) == {"x", "y", "off"}

    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: optim.partitioned([optim.sgd(0.1)] * 2, []), ValueError, "where must be a list of 1 for 2"),
            (lambda: optim.partitioned([optim.sgd(0.1)] * 2, "**"), ValueError, "where must be a list of 1 .* got '\\*\\*'"),
            (lambda: optim.partitioned([optim.sgd(0.1), 3], ["a"]), TypeError, "partitioned: expected optimisers"),
            (lambda: optim.partitioned({"x": None, 3: None}, "x"), TypeError, r"have to be of one kind, got \['x', 3\]"),
            (lambda: optim.partitioned(3, []), TypeError, "optimizers must be a list or a dict of optimisers, got 3"),
            (lambda: optim.partitioned({"x": optim.sgd(0.1)}, lambda path, x: "y").init(PARAMS), ValueError,
             r"the label of a must be one of \['x'\], got 'y'"),
            (lambda: optim.partitioned([optim.sgd(0.1)], []).update(PARAMS, (), PARAMS), TypeError, "tuple of 1"),
            (lambda: optim.masked(optim.sgd, "a"), TypeError, "masked: expected optimisers.* class sgd: call it"),
            (lambda: optim.accumulate(optim.sgd(0.1), 0), ValueError, "accumulate: n must be an integer of at least 1"),
            (lambda: optim.accumulate(optim.sgd(0.1), 2.5), TypeError, "accumulate: n must be an integer"),
            (lambda: optim.lookahead(optim.sgd(0.1), 2, 0.5).update(PARAMS, {}), ValueError, "slow copies of the parameters"),
            (lambda: optim.lamb(0.1).update(PARAMS, {}), ValueError, "lamb: the size of a step needs the parameters"),
            (lambda: optim.adafactor().update(PARAMS, {}), ValueError, "adafactor: scale_parameter needs the parameters"),
            (lambda: optim.adafactor(1e-3), ValueError, "would not be used; say relative_step=False"),
            (lambda: optim.adafactor(relative_step=False), ValueError, "there must be a learning_rate"),
            (lambda: optim.adafactor(1e-3, relative_step=False, warmup_init=True), ValueError, "warmup_init"),
            (lambda: optim.adafactor(decay_rate=0.8), ValueError, "adafactor: decay_rate must be a number below 0"),
            (lambda: optim.rmsprop(0.1, eps=0.0), ValueError, "rmsprop: eps must be a number above 0"),
            (lambda: optim.ema(1.0), ValueError, "ema: decay must be a number of at least 0 and below 1"),
        ],
    )  # fmt: skip
    def test_refusals(self, make, error, message):
        with pytest.raises(error, match=message):
            make()


class TestMuon:
    @pytest.mark.parametrize("shape", [(3, 8), (8, 3), (1, 5), (5, 1), (4, 2, 3)])
    def test_singular_values_become_about_one(self, shape):
        grads = {"w": fn.array(np.random.default_rng(0).normal(size=shape), dtype=fn.float32)}
        for size in (1e-3, 1.0, 1e12):
            opt = optim.muon(1.0, momentum=0.0, weight_decay=0.0)
            delta, _ = opt.update(tree.map(lambda g, size=size: g * size, grads), opt.init(grads))
            scale = max(1, shape[-2] / shape[-1]) ** 0.5
            values = np.linalg.svd(np.asarray(delta["w"]).reshape(shape[0], -1), compute_uv=False) / scale
            assert (values > 0.5).all() and (values < 1.3).all()

    def test_gradients_whose_squares_overflow(self):
        grads = {"w": fn.full((2, 3), 1e30)}
        opt = optim.muon(1.0, weight_decay=0.0)
        delta, _ = opt.update(grads, opt.init(grads))
        assert abs(np.asarray(delta["w"]) + 6**-0.5).max() < 0.2


def test_lamb_where_a_norm_is_zero_or_out_of_range():
    opt = optim.lamb(0.1)
    for p, g, expected in [(0.0, 2.0, -0.1), (3.0, 0.0, 0.0), (3e30, 2.0, -3e29), (3e-30, 2.0, -3e-31)]:
        params = {"w": fn.array([p, p])}
        delta, _ = opt.update({"w": fn.array([g, g])}, opt.init(params), params)
        np.testing.assert_allclose(np.asarray(delta["w"]), expected, rtol=1e-5)


def test_adafactor_of_rows_that_are_zero():
    params = {"w": fn.ones((3, 4)), "v": fn.zeros(3)}
    grads = {"w": fn.ones((3, 4)).at[1].set(0.0), "v": fn.zeros(3)}
    opt = optim.adafactor()
    delta, state = opt.update(grads, opt.init(params), params)
    assert all(np.isfinite(np.asarray(x)).all() for x in tree.leaves((delta, state)))
    assert (np.asarray(delta["w"])[1] == 0.0).all() and (np.asarray(delta["v"]) == 0.0).all()
    with pytest.raises(ValueError, match=r"adafactor: at w there are shapes \(3, 5\) and, in the state, \(4,\)"):
        opt.update({"w": fn.ones((3, 5)), "v": fn.zeros(3)}, state, {"w": fn.ones((3, 5)), "v": fn.zeros(3)})


def test_accumulators_of_half_precision_go_on():
    """In float16 a sum of squares stops at 2048 ones, in bfloat16 at 256."""
    for dtype in (fn.float16, fn.bfloat16):
        params = {"w": fn.zeros(1, dtype=dtype)}
        opt = optim.adagrad(1e-3)
        state = {"nu": {"w": fn.array([4096.0])}}
        _, state = opt.update({"w": fn.ones(1, dtype=dtype)}, state, params)
        assert state["nu"]["w"].item() == 4097.0

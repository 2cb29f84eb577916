"""Layers that compute in other dtypes than their parameters have, and loss scales."""

import copy
import itertools
import math
import pickle

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, optim, random, tree
from funcnn.tree import frozendict

KEY = random.key(0)


def dtypes(nest):
    return {str(x.dtype) for x in tree.leaves(nest)}


class Spy(nn.Layer):
    """Say in which dtypes a layer is called and reads its parameters, and call it."""

    layer: nn.Layer
    seen: object
    label: str = ""

    _wraps = "layer"

    def init(self, key):
        return self.layer.init(key)

    def _layers(self, path=()):
        yield from self.layer._layers(path)

    def __call__(self, params, x):
        y = self.layer(params, x)
        read = tuple(str(p.dtype) for p in params.values() if isinstance(p, fn.array))
        self.seen((params.path, str(x.dtype), read, str(y.dtype)))
        return y


def spied(*layers):
    """A sequence of layers, and the list of what its layers see."""
    seen = []
    return nn.Sequential(*[Spy(layer, seen.append) for layer in layers]), seen


# ---- what is computed


def test_values_and_gradients_are_those_of_casting_by_hand():
    model = nn.mixed_precision(nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)))
    params = model.init(KEY)
    x = random.normal(random.key(1), (4, 5))

    def by_hand(params, x):
        a, _, b = params["layers"]
        low = lambda v: v.astype(fn.bfloat16)  # noqa: E731
        h = fn.tanh(low(x) @ low(a["weight"]).T + low(a["bias"]))
        return (h @ low(b["weight"]).T + low(b["bias"])).astype(fn.float32)

    def loss(f):
        return lambda params, x: fn.sum(fn.square(f(params, x)))

    assert dtypes(params) == {"float32"}
    np.testing.assert_array_equal(model(params, x), by_hand(params, x))
    mine, wanted = (fn.grad(loss(f), argnums=(0, 1))(params, x) for f in (model, by_hand))
    assert dtypes(mine) == {"float32"}
    assert tree.equal(mine, wanted)
    # It is another function than in float32.
    assert not np.array_equal(model(params, x), model.layer(params, x))
    np.testing.assert_allclose(model(params, x), model.layer(params, x), atol=0.03)


@pytest.mark.parametrize("compute", [fn.float16, "bfloat16", "float64", None])
@pytest.mark.parametrize("output", ["float32", "float16", None])
def test_output_dtype(compute, output):
    model = nn.mixed_precision(nn.Linear(3, 2), compute, output)
    y = model(model.init(KEY), fn.ones((1, 3)))
    assert str(y.dtype) == (output or str(compute or "float32"))


def test_what_is_no_float_is_left_alone():
    class Uses(nn.Layer):
        def init(self, key):
            return frozendict(weight=fn.ones(3), count=fn.array(2), mask=fn.array([True]), wave=fn.array([1j]))

        def __call__(self, params, x, *, mask, tokens, pairs, name):
            assert (mask.dtype, tokens.dtype, name) == (fn.bool_, fn.int32, "n")
            assert {k: str(v.dtype) for k, v in pairs.items()} == {"a": "bfloat16", "k": "uint32", "c": "complex64"}
            return {k: params[k] for k in ("weight", "count", "mask", "wave")}, x

    model = nn.mixed_precision(Uses(), output_dtype=None)
    pairs = {"a": np.ones(2, np.float32), "k": KEY, "c": fn.array([1j])}
    read, x = model(model.init(KEY), fn.ones(1), mask=fn.array([True]), tokens=fn.array([1]), pairs=pairs, name="n")
    assert {k: str(v.dtype) for k, v in read.items()} == {
        "weight": "bfloat16", "count": "int32", "mask": "bool", "wave": "complex64"
    }  # fmt: skip
    assert x.dtype == fn.bfloat16


def test_inputs_stay_exact_until_they_meet_weights():
    class Timed(nn.Layer):
        dense: nn.Layer = nn.Linear(1, 1)

        def __call__(self, params, x, t):
            assert (x.dtype, t.dtype) == (fn.float32, fn.float32)
            assert t.item() == 999.0  # 1000 in bfloat16
            return self.dense(params["dense"], fn.sin(t).reshape(1, 1))

    model = nn.mixed_precision(Timed())
    model(model.init(KEY), fn.ones((1, 1)), fn.array(999.0))


# ---- by path


def test_overrides_by_path_by_class_and_by_parameter():
    model, seen = spied(
        nn.Linear(4, 4), nn.LayerNorm(4), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), nn.Linear(4, 2)
    )
    mixed = nn.mixed_precision(
        model,
        "bfloat16",
        None,
        overrides={
            nn.LayerNorm: "float32",
            "layers.2": nn.Precision("float16", output_dtype="float32"),
            "layers.2.layers.1.**": None,
            "layers.3.bias": "float32",
        },
    )
    y = mixed(mixed.init(KEY), fn.ones((1, 4)))
    assert seen == [
        ("layers.0", "float32", ("bfloat16", "bfloat16"), "bfloat16"),
        ("layers.1", "bfloat16", ("float32", "float32"), "float32"),
        ("layers.2", "float32", (), "float32"),
        ("layers.3", "float32", ("bfloat16", "float32"), "float32"),
    ]
    assert y.dtype == fn.float32


def test_the_nearest_layer_and_the_last_override_count():
    inner = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model = nn.Sequential(inner, nn.Linear(4, 4))

    def read(overrides):
        seen = {}

        class Read(nn.Layer):
            layer: nn.Layer = model

            def __call__(self, params, x):
                for path in ("layers.0.layers.0", "layers.0.layers.1", "layers.1"):
                    at = params["layer"]
                    for key in path.split("."):
                        at = at[int(key) if key.isdigit() else key]
                    seen[path] = str(at["weight"].dtype)
                return x

        mixed = nn.mixed_precision(Read(), overrides=overrides)
        mixed(mixed.init(KEY), fn.ones(1))
        return list(seen.values())

    assert read({}) == ["bfloat16"] * 3
    assert read({"layer.layers.0": "float16"}) == ["float16", "float16", "bfloat16"]
    assert read({"layer.layers.0.layers.1": "float32", "layer.layers.0": "float16"}) == [
        "float16",
        "float32",
        "bfloat16",
    ]
    assert read({nn.Linear: "float16", "layer.layers.1": "float32"}) == ["float16", "float16", "float32"]
    assert read({"layer.layers.1": "float32", nn.Linear: "float16"}) == ["float16"] * 3
    assert read({"**.weight": "float32"}) == ["float32"] * 3
    assert read({"**.bias": "float32"}) == ["bfloat16"] * 3


def test_a_named_layer_without_parameters_gets_its_inputs_cast():
    model, seen = spied(nn.Linear(4, 4), nn.Softmax(), nn.Softmax())
    mixed = nn.mixed_precision(model, overrides={"layers.1": nn.Precision("float32", "bfloat16")})
    mixed(mixed.init(KEY), fn.ones((1, 4)))
    assert [(path, y) for path, _, _, y in seen] == [
        ("layers.0", "bfloat16"),
        ("layers.1", "bfloat16"),
        ("layers.2", "bfloat16"),
    ]
    first = nn.mixed_precision(
        nn.Sequential(nn.Linear(4, 4), nn.Softmax()), output_dtype=None, overrides={nn.Softmax: "float32"}
    )
    params = first.init(KEY)
    low = tree.map(lambda p: p.astype("bfloat16"), params["layers"][0])
    logits = nn.Linear(4, 4)(low, fn.ones((1, 4), "bfloat16"))
    np.testing.assert_array_equal(first(params, fn.ones((1, 4))), fn.softmax(logits.astype("float32")))


def test_an_inner_policy_goes_before_an_outer_one():
    inner, seen = spied(nn.Linear(4, 4), nn.Linear(4, 4))
    model = nn.Sequential(
        nn.Linear(4, 4), nn.mixed_precision(inner, "float32", None, overrides={"layers.1": "float16"})
    )
    mixed = nn.mixed_precision(model, "bfloat16", None)
    y = mixed(mixed.init(KEY), fn.ones((1, 4)))
    assert [(path, read[0], out) for path, _, read, out in seen] == [
        ("layers.1.layers.0", "float32", "float32"),
        ("layers.1.layers.1", "float16", "float16"),
    ]
    assert y.dtype == fn.float16
    exact, seen = spied(nn.Linear(1, 1))
    alone = nn.mixed_precision(nn.mixed_precision(exact, "float32", None), "bfloat16", None)
    alone(alone.init(KEY), fn.array([[1.0001]]))
    assert seen[0][1:] == ("float32", ("float32", "float32"), "float32")


def test_init_makes_parameters_of_the_param_dtype():
    model = nn.Sequential(nn.Embedding(5, 4), nn.BatchNorm(4), nn.Linear(4, 2))
    mixed = nn.mixed_precision(
        model, param_dtype="bfloat16", overrides={nn.Linear: nn.Precision("float16", param_dtype="float64")}
    )
    params, plain = mixed.init(KEY), model.init(KEY)
    found = {path: str(x.dtype) for path, x in tree.leaves_with_path(params)}
    assert found == {
        "layers.0.weight": "bfloat16",
        "layers.1.bias": "bfloat16",
        "layers.1.running_mean": "float32",
        "layers.1.running_var": "float32",
        "layers.1.weight": "bfloat16",
        "layers.2.bias": "float64",
        "layers.2.weight": "float64",
    }
    np.testing.assert_array_equal(params["layers"][2]["weight"], plain["layers"][2]["weight"])
    assert tree.structure(params) == tree.structure(plain)
    assert tree.equal(nn.mixed_precision(model).init(KEY), plain)


# ---- updates, transformations, ties


def test_statistics_keep_their_dtype_over_steps_that_are_compiled_with_donation():
    model = nn.mixed_precision(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm(6), nn.Linear(6, 1)), fn.float16)
    opt = optim.adam(1e-2)
    x = random.normal(random.key(1), (16, 4))

    @fn.compile(donate=("params", "state"))
    def step(params, state, x):
        def loss(params):
            y, updates = model.apply(params, x, training=True)
            return fn.mean(fn.square(y - x[:, :1])), updates

        (value, updates), grads = fn.value_and_grad(loss, has_aux=True)(params)
        delta, state = opt.update(grads, state, params)
        return tree.merge(optim.apply_updates(params, delta), updates), state, value

    params = model.init(KEY)
    # What float16 would do to statistics that move by less than its precision.
    reference = model.layer.apply(params, x, training=True)[1]
    updates = model.apply(params, x, training=True)[1]
    np.testing.assert_allclose(
        updates["layers"][1]["running_mean"], reference["layers"][1]["running_mean"], rtol=0, atol=2e-3
    )
    state = opt.init(params)
    first = structure = None
    for _ in range(30):
        params, state, value = step(params, state, x)
        first = first or value.item()
        structure = structure or tree.map(lambda p: str(p.dtype), params)
        assert dtypes(params) == {"float32"} and tree.map(lambda p: str(p.dtype), params) == structure
    assert value.item() < 0.8 * first
    assert step.cache_info()["misses"] == 1


def test_an_update_of_a_cast_array_keeps_the_dtype_of_the_parameter():
    class Counts(nn.Layer):
        def init(self, key):
            return frozendict(seen=fn.array(3.0))

        def __call__(self, params, x):
            assert params["seen"].dtype == fn.bfloat16
            params.update("seen", params["seen"] + 1)
            assert params["seen"].dtype == fn.bfloat16 and params["seen"].item() == 4.0
            with pytest.raises(ValueError, match="must keep its dtype bfloat16"):
                params.update("seen", params["seen"].astype(fn.float32))
            return x

    model = nn.mixed_precision(Counts())
    _, updates = model.apply(model.init(KEY), fn.ones(1))
    assert updates == {"seen": fn.array(4.0)} and updates["seen"].dtype == fn.float32


def test_inside_checkpoint_vmap_scan_and_grad():
    class Deep(nn.Layer):
        block: nn.Layer = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm(4), nn.Dropout(0.5))

        def init(self, key):
            return {"block": fn.vmap(self.block.init)(random.split(key, 3))}

        def __call__(self, params, x):
            return fn.scan(lambda x, view: (fn.checkpoint(self.block)(view, x), None), x, params["block"])[0]

    mixed = nn.mixed_precision(Deep(), output_dtype=None)
    params = mixed.init(KEY)
    x = random.normal(random.key(1), (5, 4)).astype("bfloat16")

    def loss(params, x):
        y, updates = mixed.apply(params, x, training=True, key=random.key(3))
        assert y.dtype == fn.bfloat16
        return fn.sum(y.astype(fn.float32)), updates

    grads, updates = fn.grad(loss, has_aux=True)(params, x)
    assert dtypes(grads) == dtypes(updates) == {"float32"}
    assert updates["block"]["layers"][1]["running_mean"].shape == (3, 4)
    per_example = fn.vmap(fn.grad(lambda params, x: fn.sum(mixed(params, x[None]))), in_axes=(None, 0))(params, x)
    assert dtypes(per_example) == {"float32"} and per_example["block"]["layers"][0]["weight"].shape == (5, 3, 4, 4)


def test_with_ties():
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
    x = fn.array([0, 3])
    ties = {"layers.1.weight": "layers.0.weight"}
    for mixed in (nn.mixed_precision(nn.tie(model, ties)), nn.tie(nn.mixed_precision(model), ties)):
        params = mixed.init(KEY)
        assert tree.paths(params) == ["layers.0.weight"]
        low = params["layers"][0]["weight"].astype("bfloat16")
        np.testing.assert_array_equal(mixed(params, x), (low[x] @ low.T).astype("float32"))
        assert dtypes(fn.grad(lambda params: fn.sum(mixed(params, x)))(params)) == {"float32"}  # noqa: B023


def test_it_is_a_value():
    mixed = nn.mixed_precision(
        nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)),
        "float16",
        overrides={nn.LayerNorm: "float32", "layers.0.bias": nn.Precision(None, "float32")},
    )
    assert repr(mixed) == (
        "mixed_precision(Sequential(Linear(3, 4), LayerNorm(4)), 'float16', "
        "overrides={LayerNorm: 'float32', 'layers.0.bias': Precision(None, output_dtype='float32')})"
    ).replace("Precision(None, ", "Precision(")
    for again in (
        eval(repr(mixed), vars(nn)),
        pickle.loads(pickle.dumps(mixed)),
        copy.deepcopy(mixed),
        copy.copy(mixed),
    ):
        assert again == mixed and hash(again) == hash(mixed)
        assert again(mixed.init(KEY), fn.ones((1, 3))).dtype == fn.float32
    assert mixed != nn.mixed_precision(mixed.layer, "float16")
    assert tree.paths(tree.filter(mixed.init(KEY), nn.trainable(mixed))) == tree.paths(mixed.init(KEY))


def test_what_is_refused():
    model = nn.Sequential(nn.Linear(3, 4))
    params = model.init(KEY)
    with pytest.raises(TypeError, match="mixed_precision: compute_dtype must be a floating-point dtype, got int8"):
        nn.mixed_precision(model, "int8")
    with pytest.raises(TypeError, match="mixed_precision: output_dtype must be a dtype, its name or None, got 'half'"):
        nn.mixed_precision(model, output_dtype="half")
    with pytest.raises(TypeError, match="Precision: param_dtype must be a floating-point dtype, got complex64"):
        nn.Precision(param_dtype=fn.complex64)
    with pytest.raises(TypeError, match="layer must be a layer"):
        nn.mixed_precision(params)
    with pytest.raises(TypeError, match=r"overrides\['layers.0'\] must be a floating-point dtype, got int32"):
        nn.mixed_precision(model, overrides={"layers.0": "int32"})
    with pytest.raises(TypeError, match="neither a path nor a class of layers"):
        nn.mixed_precision(model, overrides={3: "float32"})
    with pytest.raises(ValueError, match="BatchNorm, but there is no such layer"):
        nn.mixed_precision(model, overrides={nn.BatchNorm: "float32"})
    lost = nn.mixed_precision(model, overrides={"layers.1": "float32"})
    for call in (lambda: lost.init(KEY), lambda: lost(params, fn.ones((1, 3)))):
        with pytest.raises(
            ValueError, match=r"'layers.1', which is the path of no layer and of no parameter; there are layers.0.bias"
        ):
            call()
    with pytest.raises(ValueError, match=r"in layers.0 \(Linear\): expected \(..., 3\), got \(1, 5\)"):
        nn.mixed_precision(model)(params, fn.ones((1, 5)))


# ---- loss scales


def simulated(scaling, flags):
    """What the papers say, in Python."""
    scale, good, found = scaling.initial, 0, []
    for finite in flags:
        if not finite:
            scale, good = max(scale * scaling.backoff, scaling.minimum), 0
        else:
            good += 1
            if good == scaling.period:
                scale, good = min(scale * scaling.growth, scaling.maximum), 0
        found.append((scale, good))
    return found


@pytest.mark.parametrize(
    "scaling",
    [
        nn.DynamicLossScale(period=3),
        nn.DynamicLossScale(initial=4.0, growth=4.0, backoff=0.25, period=1, minimum=0.125, maximum=64.0),
        nn.DynamicLossScale(initial=1e30, growth=1e20, backoff=1e-30, period=2, minimum=1e-30, maximum=3e38),
    ],
)
def test_the_scale_follows_the_rule(scaling):
    flags = np.random.default_rng(0).random(60) < 0.7
    step = fn.compile(scaling.adjust, donate=("state",))
    state, found = scaling.init(), []
    for finite in flags:
        state = step(state, fn.array(bool(finite)))
        assert (state["scale"].dtype, state["good_steps"].dtype) == (fn.float32, fn.int32)
        found.append((state["scale"].item(), state["good_steps"].item()))
    np.testing.assert_allclose(found, simulated(scaling, flags), rtol=1e-6)
    assert step.cache_info()["misses"] == 1


def test_the_scale_never_becomes_nan_infinite_or_zero():
    scaling = nn.DynamicLossScale(period=1, growth=1e10, backoff=1e-10)
    bad = [math.nan, math.inf, -math.inf, 0.0, -3.0, 1e-45]
    for value in bad:
        for finite in (True, False):
            state = {"scale": fn.array(value), "good_steps": fn.array(-5)}
            state = scaling.adjust(state, finite)
            assert scaling.minimum <= state["scale"].item() <= scaling.maximum
            assert state["good_steps"].item() >= 0
    state = scaling.init()
    for _ in range(5):
        state = scaling.adjust(state, True)
    assert state["scale"].item() == scaling.maximum
    for _ in range(5):
        state = scaling.adjust(state, False)
    assert state["scale"].item() == scaling.minimum


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_found_in_any_leaf_and_dtype(bad):
    scaling = nn.DynamicLossScale(initial=8.0)
    for dtype in (fn.float16, fn.bfloat16, fn.float32, fn.float64, fn.complex64):
        grads = {"a": (fn.ones(3), None), "b": fn.ones((5,), dtype).at[4].set(bad), "frozen": tree.absent}
        unscaled, finite = scaling.unscale(scaling.init(), grads)
        assert finite.item() is False and finite.dtype == fn.bool_
        assert tree.structure(unscaled) == tree.structure(grads)
        assert unscaled["b"].dtype == fn.promote_types(dtype, fn.float32)
        np.testing.assert_array_equal(unscaled["a"][0], np.full(3, 0.125, np.float32))
    assert scaling.unscale(scaling.init(), {})[1].item() is True
    # Finite before the division by a scale below one, infinite after it.
    small = nn.DynamicLossScale(initial=0.25, minimum=0.25)
    assert small.unscale(small.init(), fn.array([2e38]))[1].item() is False


def test_small_gradients_survive_unscaling():
    scaling = nn.DynamicLossScale()
    tiny = fn.array([2.0**-24], dtype=fn.float16)  # the smallest that there is
    grads, finite = scaling.unscale(scaling.init(), tiny)
    assert grads.tolist() == [2.0**-39] and finite.item()


def test_scaling_is_wide_and_refuses_what_is_no_loss():
    for scaling in (nn.DynamicLossScale(), nn.StaticLossScale(2.0**15)):
        assert isinstance(scaling, nn.LossScale)
        state = scaling.init()
        scaled = scaling.scale(state, {"a": fn.array(4.0, dtype=fn.float16), "b": fn.array(1.0, dtype=fn.float64)})
        assert scaled["a"].item() == 2.0**17 and [str(x.dtype) for x in scaled.values()] == ["float32", "float64"]
        with pytest.raises(TypeError, match="expected a loss of floating-point numbers, got an array of int32"):
            scaling.scale(state, fn.array(1))
        again = scaling.adjust(state, fn.array(True))
        assert tree.structure(again) == tree.structure(state)
    with pytest.raises(TypeError, match="state must be what init or adjust returned"):
        nn.DynamicLossScale().scale((), fn.array(1.0))
    with pytest.raises(TypeError, match="finite must be a 0-d bool, got bool of shape"):
        nn.DynamicLossScale().adjust(nn.DynamicLossScale().init(), fn.array([True]))
    for name, value, error in [
        ("initial", 0.0, ValueError), ("initial", math.nan, ValueError), ("initial", 1e39, ValueError),
        ("growth", 1.0, ValueError), ("backoff", 1.0, ValueError), ("backoff", 0.0, ValueError),
        ("period", 0, ValueError), ("period", 2.5, TypeError), ("minimum", 1e6, ValueError), ("maximum", 2.0, ValueError),
        ("growth", "2", TypeError), ("initial", True, TypeError),
    ]:  # fmt: skip
        with pytest.raises(error, match=name):
            nn.DynamicLossScale(**{name: value})
    for value in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="factor"):
            nn.StaticLossScale(value)


def regression(compute, scaling, steps=150):
    """Fit values in small units, so that gradients are too small for float16. Return the errors and the states of the scale."""
    model = nn.mixed_precision(nn.Sequential(nn.Linear(4, 16), nn.BatchNorm(16), nn.Tanh(), nn.Linear(16, 1)), compute)
    opt = optim.adam(optim.schedules.cosine_decay(3e-2, steps), eps=1e-12)
    x = random.normal(random.key(1), (256, 4))
    y = 1e-3 * fn.sin(x[:, :1] + x[:, 1:2])

    @fn.compile(donate=("params", "opt_state", "state"))
    def step(params, opt_state, state):
        def loss(params):
            out, updates = model.apply(params, x, training=True)
            error = fn.mean(fn.square(1e-3 * out - y))
            return scaling.scale(state, error), (error, updates)

        grads, (error, updates) = fn.grad(loss, has_aux=True)(params)
        grads, finite = scaling.unscale(state, grads)
        delta, new_opt_state = opt.update(grads, opt_state, params)
        new = tree.merge(optim.apply_updates(params, delta), updates)
        params, opt_state = tree.where(finite, (new, new_opt_state), (params, opt_state))
        return params, opt_state, scaling.adjust(state, finite), error, finite

    params = model.init(KEY)
    opt_state, state = opt.init(params), scaling.init()
    errors, scales, skipped = [], [], 0
    for _ in range(steps):
        params, opt_state, state, error, finite = step(params, opt_state, state)
        errors.append(error.item())
        scales.append(state.get("scale", fn.array(1.0)).item())
        skipped += not finite.item()
    assert dtypes(params) == {"float32"} and tree.all_finite((params, opt_state)).item()
    assert step.cache_info()["misses"] == 1
    return errors, scales, skipped


def test_training_in_float16_fails_without_a_loss_scale_and_works_with_one():
    exact, _, _ = regression("float32", nn.StaticLossScale())
    unscaled, _, _ = regression("float16", nn.StaticLossScale())
    scaled, scales, skipped = regression("float16", nn.DynamicLossScale(initial=2.0**40, maximum=2.0**40, period=50))
    assert exact[-1] < 0.05 * exact[0]
    assert unscaled[-1] > 0.99 * unscaled[0]
    assert scaled[-1] < 1.05 * exact[-1]
    # It began far too high, fell step by step, and rose again.
    assert 2 < skipped < 60 and scales[0] == 2.0**39 and min(scales) <= 2.0**36
    assert any(b > a for a, b in itertools.pairwise(scales))
    # A scale that is too high for good lets no step through, and the weights stay whole.
    stuck, _, skipped = regression("float16", nn.StaticLossScale(2.0**60), steps=5)
    assert skipped == 5
    np.testing.assert_allclose(stuck, stuck[0], rtol=1e-5)  # a compiled step may round otherwise


def test_repeated_layers_keep_the_dtype_of_what_they_pass_on():
    class Block(nn.Layer):
        body: nn.Layer = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        norm: nn.Layer = nn.LayerNorm(4)

        def __call__(self, params, x):
            return self.norm(params["norm"], x + self.body(params["body"], x))

    for overrides in ({}, {nn.LayerNorm: "float32"}):
        mixed = nn.mixed_precision(nn.scan_layers(Block(), 3), output_dtype=None, overrides=overrides)
        plain = nn.mixed_precision(nn.Sequential(Block(), Block(), Block()), output_dtype=None, overrides=overrides)
        params = mixed.init(KEY)
        for dtype in (fn.float32, fn.bfloat16):
            x = random.normal(random.key(1), (2, 4)).astype(dtype)
            y = fn.compile(mixed)(params, x)
            assert y.dtype == dtype
            np.testing.assert_allclose(
                y.astype(fn.float32), plain({"layers": tree.unstack(params)}, x).astype(fn.float32), atol=0.03
            )
            grads = fn.grad(lambda params: fn.sum(mixed(params, x).astype(fn.float32)))(params)  # noqa: B023
            assert dtypes(grads) == {"float32"}

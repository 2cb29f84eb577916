"""Every layer of layer_specs.py survives what models go through."""

import copy
import functools
import pickle

import numpy as np
import pytest
from layer_specs import SPECS

import funcnn as fn
from funcnn import nn, random, testing, tree
from nn.specs.rows import plain, wide
from widest import float64_of

KEY = random.key(7)


def each(specs=SPECS):
    return pytest.mark.parametrize("spec", specs, ids=lambda spec: spec.name)


def params_of(spec_name):
    return params_on(fn.default_device(), spec_name)


@functools.cache
def params_on(device, spec_name):
    """Of the default device, which differs from test to test."""
    return next(spec for spec in SPECS if spec.name == spec_name).params()


def close(a, b, tolerance):
    """Compare trees with an error of that size, relative to the largest number of an array or absolute."""
    assert tree.structure(a) == tree.structure(b)
    for path, x, y in zip(tree.paths(a), tree.leaves(a), tree.leaves(b), strict=True):
        x, y = (float64_of(v) if isinstance(v, fn.array) else np.asarray(v) for v in (x, y))
        assert x.shape == y.shape, path
        scale = max(1.0, float(np.max(np.abs(y), initial=0.0)))
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance * scale, err_msg=path)


def bits(nest):
    """What a tree consists of, to the last bit."""
    leaves, treedef = tree.flatten(nest)
    return treedef, [
        (x.dtype, x.shape, np.asarray(x.view(fn.uint8) if x.ndim else x).tobytes()) if isinstance(x, fn.array) else x
        for x in leaves
    ]


def scalar(y):
    """One number that depends on every float of a tree, each with a weight of its own."""
    total = fn.array(0.0)
    for i, leaf in enumerate(tree.leaves(y)):
        if isinstance(leaf, fn.array) and fn.isdtype(leaf.dtype, "real floating"):
            weights = fn.cos(fn.arange(leaf.size, dtype=leaf.dtype).reshape(leaf.shape) + float(i))
            total = total + fn.sum(leaf * weights)
    return total


def is_float(leaf):
    return isinstance(leaf, fn.array) and fn.isdtype(leaf.dtype, "real floating")


def floats_first(nest):
    """The floats of a tree and a function that puts others in their place."""
    leaves, treedef = tree.flatten(nest)
    places = [i for i, x in enumerate(leaves) if is_float(x)]

    def put(values):
        changed = list(leaves)
        for i, value in zip(places, values, strict=True):
            changed[i] = value
        return tree.unflatten(treedef, changed)

    return [leaves[i] for i in places], put


def trained(spec, params, args, keywords, key=KEY):
    return spec.layer.apply(params, *args, training=True, key=key, **keywords)


def test_every_public_layer_has_a_row():
    public = {getattr(nn, name) for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    layers = {kind for kind in public if issubclass(kind, nn.Layer)} - {nn.Layer}
    assert {kind.__name__ for kind in layers - {type(spec.layer) for spec in SPECS}} == set()
    names = [spec.name for spec in SPECS]
    assert len(set(names)) == len(names)


@each()
def test_init_is_a_function_of_the_key_also_compiled_and_mapped(spec):
    init = spec.layer.init
    params = init(KEY)
    assert isinstance(params, fn.frozendict)
    assert all(np.all(np.isfinite(float64_of(x))) for x in tree.leaves(params) if is_float(x))
    assert bits(init(random.key(7))) == bits(params)
    assert bits(fn.compile(init)(KEY)) == bits(params)
    keys = random.split(KEY, 3)
    stacked = fn.vmap(init)(keys)
    assert bits(stacked) == bits(tree.map(lambda *xs: fn.stack(xs), *map(init, keys)))


@each()
def test_apply_is_deterministic_and_inference_is_the_function(spec):
    params, (args, keywords) = params_of(spec.name), spec.arguments()
    y = spec.layer(params, *args, **keywords)
    again, updates = spec.layer.apply(params, *args, training=False, key=KEY, **keywords)
    assert bits(again) == bits(y) and updates == {}
    first, updates = trained(spec, params, args, keywords)
    assert tree.paths(updates) == list(spec.updates)
    assert tree.structure(tree.merge(params, updates)) == tree.structure(params)
    assert bits((first, updates)) == bits(trained(spec, params, args, keywords))
    other, _ = trained(spec, params, args, keywords, random.key(8))
    assert (bits(other) != bits(first)) == spec.needs_key
    if spec.needs_key:
        with pytest.raises(ValueError, match=r"key=random.key"):
            trained(spec, params, args, keywords, None)
    else:
        assert bits(trained(spec, params, args, keywords, None)) == bits((first, updates))


@pytest.mark.on_cpu
@each()
def test_works_where_its_input_is(spec):
    """Also where that is not the default device: constants of a layer go along."""
    params, (args, keywords) = params_of(spec.name), spec.arguments()
    want = spec.layer(params, *args, **keywords)
    fn.eval((params, args, keywords, want))  # while the CPU is the default device
    with fn.default_device("reference"):
        y = spec.layer(params, *args, **keywords)
        assert {x.device for x in tree.leaves(y) if isinstance(x, fn.array)} == {fn.Device("cpu")}
        close(y, want, 1e-6)


@each([spec for spec in SPECS if spec.oracle])
def test_inference_is_the_formula(spec):
    params, (args, keywords) = params_of(spec.name), spec.arguments()
    wanted = spec.oracle(wide(params), *wide(args), **wide(keywords) if keywords else {})
    close(plain(spec.layer(params, *args, **keywords)), plain(wanted), spec.tolerance)


@each([spec for spec in SPECS if spec.differentiable])
def test_first_and_second_gradients(spec):
    args, keywords = spec.arguments(2)
    values, put = floats_first((params_of(spec.name), args))
    if spec.kinks:
        values = [(fn.round(x * 8 - 0.5) + 0.5) / 8 for x in values]

    def f(values):
        params, args = put(values)
        return trained(spec, params, args, keywords)[0]

    testing.check_grads(f, (values,), order=2 if spec.twice else 1, rtol=2e-5, atol=2e-5)


@each([spec for spec in SPECS if spec.differentiable])
def test_checkpoint_keeps_values_gradients_and_updates(spec):
    args, keywords = spec.arguments()
    values, put = floats_first((params_of(spec.name), args))

    class Kept(nn.Layer):
        part: nn.Layer
        kept: bool

        def __call__(self, params, *args):
            call = functools.partial(self.part, **keywords)
            return (fn.checkpoint(call) if self.kept else call)(params["part"], *args)

    def run(kept):
        layer = Kept(spec.layer, kept)

        def loss(values):
            params, args = put(values)
            y, updates = layer.apply({"part": params}, *args, training=True, key=KEY)
            return scalar(y), updates

        return fn.value_and_grad(loss, has_aux=True)(values)

    close(run(True), run(False), 1e-6)


@each()
def test_compiled_is_eager(spec):
    params, (args, keywords) = params_of(spec.name), spec.arguments()

    @fn.compile
    def step(params, args, key):
        return trained(spec, params, args, keywords, key), spec.layer(params, *args, **keywords)

    close(step(params, args, KEY), (trained(spec, params, args, keywords), spec.layer(params, *args, **keywords)), 1e-6)


@each([spec for spec in SPECS if spec.mappable])
def test_mapped_over_parameters_and_inputs(spec):
    calls = [spec.arguments(seed=i)[0] for i in range(2)]
    keywords = spec.arguments()[1]
    args = tree.map(lambda *xs: fn.stack(xs), *calls)
    params = tree.map(lambda *xs: fn.stack(xs), params_of(spec.name), spec.params(3))
    keys = random.split(KEY, 2)
    testing.check_vmap(
        lambda params, args, key: trained(spec, params, args, keywords, key), (params, args, keys), atol=1e-5
    )


@each()
def test_values_survive_copies_pickling_and_printing(spec):
    layer = spec.layer
    for again in (pickle.loads(pickle.dumps(layer)), copy.copy(layer), copy.deepcopy(layer)):
        assert again == layer and hash(again) == hash(layer) and repr(again) == repr(layer)
    assert layer != nn.Linear(99, 1) and layer != repr(layer)
    assert {layer: 1}[copy.deepcopy(layer)] == 1
    if spec.evaluates:
        names = {name: getattr(nn, name) for name in nn.__all__} | {"nn": nn, "fn": fn} | dict(spec.names)
        assert eval(repr(layer), names) == layer
    params = params_of(spec.name)
    assert bits(pickle.loads(pickle.dumps(params))) == bits(params)


@each()
def test_parameters_are_read_back_from_files(spec, tmp_path):
    params, (args, keywords) = params_of(spec.name), spec.arguments()
    fn.io.save(tmp_path / "params.safetensors", params)
    again = fn.io.load(tmp_path / "params.safetensors", like=params)
    assert bits(again) == bits(params)
    assert bits(spec.layer(again, *args, **keywords)) == bits(spec.layer(params, *args, **keywords))


@each([spec for spec in SPECS if spec.halves])
@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_precision(spec, name):
    dtype = getattr(fn, name)
    narrow = functools.partial(tree.map, lambda x: x.astype(dtype) if is_float(x) else x)
    params, (args, keywords) = params_of(spec.name), spec.arguments()
    y = spec.layer(narrow(params), *narrow(args), **narrow(keywords))
    assert {x.dtype for x in tree.leaves(y)} == {dtype}
    close(y, spec.layer(params, *args, **keywords), spec.half_tolerance / (1 if name == "bfloat16" else 4))
    y, updates = trained(spec, narrow(params), narrow(args), narrow(keywords))
    assert {x.dtype for x in tree.leaves((y, updates))} == {dtype}
    if spec.differentiable:
        values, put = floats_first((narrow(params), narrow(args)))

        def loss(values):
            params, args = put(values)
            return scalar(trained(spec, params, args, narrow(keywords))[0])

        grads = fn.grad(loss)(values)
        assert all(g.dtype == dtype and np.all(np.isfinite(np.asarray(g.astype(fn.float32)))) for g in grads)


@each([spec for spec in SPECS if spec.batched])
def test_batches_of_none_and_of_one(spec):
    params = params_of(spec.name)
    (args, keywords), (one, one_keywords), (none, none_keywords) = (spec.arguments(n) for n in (3, 1, 0))
    whole = spec.layer(params, *args, **keywords)
    if not keywords:
        first = spec.layer(params, *tree.map(lambda x: x[:1], args))
        close(first, tree.map(lambda x: x[:1], whole), 1e-6)
    single = spec.layer(params, *one, **one_keywords)
    assert [x.shape for x in tree.leaves(single)] == [(1, *x.shape[1:]) for x in tree.leaves(whole)]
    empty = spec.layer(params, *none, **none_keywords)
    assert [(x.shape, x.dtype) for x in tree.leaves(empty)] == [
        ((0, *x.shape[1:]), x.dtype) for x in tree.leaves(whole)
    ]
    if spec.differentiable:
        values, put = floats_first((params, none))
        grads = fn.grad(lambda v: scalar(spec.layer(put(v)[0], *put(v)[1], **none_keywords)))(values)
        assert all(g.shape == v.shape and not np.any(np.asarray(g)) for g, v in zip(grads, values, strict=True))
    if spec.least_batch <= 1:
        y, _ = trained(spec, params, one, one_keywords)
        assert [x.shape for x in tree.leaves(y)] == [x.shape for x in tree.leaves(single)]
    else:
        with pytest.raises(ValueError):
            trained(spec, params, one, one_keywords)


@each()
def test_no_argument_is_changed_and_equal_ones_give_equal_results(spec):
    params, (args, keywords) = plain(params_of(spec.name), lambda x: x), spec.arguments()
    before, same = bits((params, args, keywords)), tree.map(fn.array, (params, args))
    leaves = tree.leaves((params, args))
    values, put = floats_first((params, args))

    def run(layer, params, args):
        results = [layer(params, *args, **keywords), layer.apply(params, *args, training=True, key=KEY, **keywords)]
        if spec.differentiable:
            results.append(fn.grad(lambda v: scalar(layer(put(v)[0], *put(v)[1], **keywords)))(values))
        return bits(results)

    first = run(spec.layer, params, args)
    assert bits((params, args, keywords)) == before
    assert all(x is y for x, y in zip(tree.leaves((params, args)), leaves, strict=True))
    assert run(copy.deepcopy(spec.layer), *same) == first

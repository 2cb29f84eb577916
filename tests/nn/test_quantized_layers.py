"""Quantised layers from trained ones, and whole models."""

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random, tree

MODES = ["affine", "mxfp4", "mxfp8", "nvfp4"]


def close(a, b, tolerance=1e-5):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)


class Model(nn.Layer):
    embed: nn.Layer = nn.Embedding(12, 64)
    body: nn.Layer = nn.TransformerEncoder(1, 64, 2, 64)
    head: nn.Layer = nn.Linear(64, 12)

    def __call__(self, params, x):
        return self.head(params["head"], self.body(params["body"], self.embed(params["embed"], x), "causal"))


X = fn.array([[1, 5, 11]])


@pytest.mark.parametrize("mode", MODES)
def test_from_trained_layers(mode):
    linear, embedding = nn.Linear(64, 5), nn.Embedding(5, 64)
    params, table = linear.init(random.key(0)), embedding.init(random.key(1))
    layer, packed = nn.QuantizedLinear.from_linear(linear, params, mode=mode)
    weight = fn.dequantize(*fn.quantize(params["weight"], mode=mode), mode=mode, dtype=fn.float32)
    x = random.normal(random.key(2), (3, 64))
    close(layer(packed, x), x @ weight.T + params["bias"])
    assert tree.structure(layer.init(random.key(0))) == tree.structure(packed)
    assert "biases" in packed if mode == "affine" else "biases" not in packed

    rows, packed = nn.QuantizedEmbedding.from_embedding(embedding, table, mode=mode)
    weight = fn.dequantize(*fn.quantize(table["weight"], mode=mode), mode=mode, dtype=fn.float32)
    indices = fn.array([[4, 0], [1, 1]])
    assert fn.array_equal(rows(packed, indices), weight[indices]).item()  # the dtype of the embedding stays
    close(rows.as_linear(packed, x), x @ weight.T)
    close(rows.as_linear(packed, x[0]), (x @ weight.T)[0])
    assert rows(packed, fn.array(3)).shape == (64,) and rows(packed, fn.zeros((0, 2), fn.int32)).shape == (0, 2, 64)


@pytest.mark.parametrize("kind", ["linear", "embedding"])
def test_the_dtype_of_a_model_stays(kind):
    layer = nn.Linear(64, 5) if kind == "linear" else nn.Embedding(5, 64)
    for dtype in (fn.float32, fn.float16, fn.bfloat16):
        params = tree.map(lambda p, dtype=dtype: p.astype(dtype), layer.init(random.key(0)))
        for mode in MODES:
            small, packed = nn.quantize(layer, params, mode=mode)
            x = fn.ones((2, 64), dtype) if kind == "linear" else fn.array([1, 2])
            assert small(packed, x).dtype == dtype
            if kind == "embedding":
                assert small.as_linear(packed, fn.ones((2, 64), dtype)).dtype == dtype


def test_inputs_of_any_shape_and_kind():
    layer = nn.QuantizedLinear(64, 3)
    params = layer.init(random.key(0))
    ones = layer(params, fn.ones((1, 64)))[0]
    for shape in [(64,), (2, 64), (2, 1, 64), (0, 64)]:
        y = layer(params, fn.ones(shape, fn.int32))
        assert y.shape == (*shape[:-1], 3) and y.dtype == fn.float32
        close(y, fn.broadcast_to(ones, y.shape))
    with pytest.raises(ValueError, match=r"in QuantizedLinear: expected \(..., 64\), got \(2, 32\)"):
        layer(params, fn.ones((2, 32)))
    with pytest.raises(TypeError, match="expected integers, got float32"):
        nn.QuantizedEmbedding(5, 64)(nn.QuantizedEmbedding(5, 64).init(random.key(0)), fn.ones(2))


def test_gradients_pass_to_what_is_before_and_not_to_codes():
    model = nn.Sequential(nn.Linear(3, 64), nn.QuantizedLinear(64, 2))
    params = model.init(random.key(0))
    trained, frozen = tree.partition(params, nn.trainable(model))
    assert tree.paths(trained) == ["layers.0.bias", "layers.0.weight", "layers.1.bias"]
    x = random.normal(random.key(1), (4, 3))
    grads = fn.grad(lambda t: fn.sum(fn.square(model(tree.merge(t, frozen), x))))(trained)
    plain, dense = nn.Linear(64, 2), params["layers"][1]
    weight = fn.dequantize(dense["weight"], dense["scales"], dense["biases"])
    same = nn.Sequential(nn.Linear(3, 64), plain)

    def loss(first):
        return fn.sum(fn.square(same({"layers": (first, {"weight": weight, "bias": dense["bias"]})}, x)))

    assert tree.allclose(grads["layers"][0], fn.grad(loss)(params["layers"][0]), atol=1e-4)


def test_qqlinear_learns_through_the_rounding():
    layer = nn.QQLinear(32, 4, mode="mxfp8")
    params, x = layer.init(random.key(0)), random.normal(random.key(1), (6, 32))
    g, gx = fn.grad(lambda p, x: fn.sum(fn.square(layer(p, x))), (0, 1))(params, x)
    rounded = fn.dequantize(*fn.quantize(x, mode="mxfp8"), mode="mxfp8", dtype=fn.float32)
    weight = fn.dequantize(*fn.quantize(params["weight"], mode="mxfp8"), mode="mxfp8", dtype=fn.float32)
    y = rounded @ weight.T
    close(g["weight"], 2 * y.T @ rounded, 1e-4)
    close(gx, 2 * y @ weight, 1e-4)

    packed_layer, packed = layer.quantize(params)
    assert fn.array_equal(packed_layer(packed, x), layer(params, x)).item()
    assert tree.paths(tree.filter(params, nn.trainable(layer))) == ["weight"]
    assert tree.leaves(tree.filter(packed, nn.trainable(packed_layer))) == []
    assert tree.structure(packed_layer.init(random.key(0))) == tree.structure(packed)
    again, unpacked = packed_layer.dequantize(packed)
    assert again == layer and fn.array_equal(unpacked["weight"], weight).item()
    assert packed_layer.quantize(packed) == (packed_layer, packed) and layer.dequantize(params)[0] is layer
    with pytest.raises(ValueError, match="QQLinear: inputs are rounded to 'mxfp4', 'mxfp8' or 'nvfp4'"):
        nn.QQLinear(32, 4, mode="affine")


def test_formats_are_checked_where_they_are_given():
    assert nn.QuantizedLinear(64, 2) == nn.QuantizedLinear(64, 2, True, 64, 4, "affine")
    assert (
        nn.QuantizedLinear(64, 2, mode="mxfp8").bits == 8
        and nn.QuantizedEmbedding(2, 64, mode="nvfp4").group_size == 16
    )
    for arguments, message in [
        ((100, 2), "QuantizedLinear: group_size must divide input_dims, got groups of 64 and 100 features"),
        ((64, 2, True, 64, 7), "QuantizedLinear: .*bits"),
        ((64, 2, True, 48), "QuantizedLinear: .*group_size"),
        ((64, 2, True, 64, None, "mxfp4"), "QuantizedLinear: .*group_size"),
        ((64, 2, True, None, None, "int4"), "mode must be one of 'affine', 'mxfp4', 'mxfp8', 'nvfp4', got 'int4'"),
    ]:
        with pytest.raises(ValueError, match=message):
            nn.QuantizedLinear(*arguments)
    with pytest.raises(ValueError, match=r"expected weight of shape \(5, 64\), got \(4, 64\)"):
        nn.QuantizedLinear.from_linear(nn.Linear(64, 5), nn.Linear(64, 4).init(random.key(0)))


def test_codes_of_another_format_are_refused():
    linear, table = nn.QuantizedLinear(64, 3, True, 32, 8), nn.QuantizedEmbedding(5, 64, 32, 8)
    params, rows = linear.init(random.key(0)), table.init(random.key(0))
    for layer in (nn.QuantizedLinear(64, 3), nn.QuantizedLinear(256, 3), nn.QuantizedLinear(64, 2, True, 32, 8)):
        with pytest.raises(
            ValueError, match=r"in QuantizedLinear: expected weight of uint32 and shape .* got uint32 of"
        ):
            layer(params, fn.ones(layer.input_dims))
    with pytest.raises(ValueError, match=r"shape \(5, 8\), 64 codes of 4 bits in a row, got uint32 of shape \(5, 16\)"):
        nn.QuantizedEmbedding(5, 64)(rows, fn.array([1]))
    with pytest.raises(ValueError, match="in QQLinear: expected weight of uint32"):
        nn.QQLinear(32, 3, quantized=True)(nn.QQLinear(32, 3).init(random.key(0)), fn.ones(32))


# ---- whole models


@pytest.mark.parametrize("mode", MODES)
def test_quantize_a_model(mode):
    model = Model()
    params = model.init(random.key(0))
    before = tree.map(lambda p: p, params)
    small, packed = nn.quantize(model, params, mode=mode)
    kinds = {type(layer).__name__ for _, layer in small._layers()}
    assert {"QuantizedLinear", "QuantizedEmbedding"} <= kinds and not {"Linear", "Embedding"} & kinds
    assert tree.structure(small.init(random.key(0))) == tree.structure(packed)
    assert tree.structure(params) == tree.structure(before) and model == Model()
    whole, rough = np.asarray(model(params, X)), np.asarray(small(packed, X))
    assert np.corrcoef(whole.ravel(), rough.ravel())[0, 1] > 0.95 and not np.array_equal(whole, rough)
    close(fn.compile(small)(packed, X), rough, 1e-4)
    sizes = [sum(leaf.nbytes for leaf in tree.leaves(p)) for p in (params, packed)]
    assert sizes[1] < (0.45 if mode == "mxfp8" else 0.3) * sizes[0]


def test_which_layers():
    model = Model()
    params = model.init(random.key(0))
    small, packed = nn.quantize(model, params, "body.**", bits=8)
    assert small.head == model.head and packed["embed"]["weight"] is params["embed"]["weight"]
    assert small.body.layers[0].linear1 == nn.QuantizedLinear(64, 64, bits=8)

    def predicate(path, layer):
        if isinstance(layer, nn.Linear):
            return {"bits": 8} if path == "head" else {"group_size": 32} if "attention" in path else True
        return False

    small, _ = nn.quantize(model, params, predicate)
    assert small.head == nn.QuantizedLinear(64, 12, bits=8) and small.embed == model.embed
    assert small.body.layers[0].attention.out_proj == nn.QuantizedLinear(64, 64, False, 32)
    assert small.body.layers[0].linear2 == nn.QuantizedLinear(64, 64)

    again, same = nn.quantize(small, nn.quantize(model, params, predicate)[1], "embed")
    assert isinstance(again.embed, nn.QuantizedEmbedding) and again.head == small.head
    assert tree.structure(same["head"]) == tree.structure(nn.QuantizedLinear(64, 12, bits=8).init(random.key(0)))


def test_quantize_inputs():
    model = nn.Sequential(nn.Linear(32, 32, bias=False), nn.ReLU(), nn.Linear(32, 8))
    params = model.init(random.key(0))
    small, packed = nn.quantize(model, params, "layers.0", mode="mxfp8", quantize_input=True)
    assert small.layers[0] == nn.QQLinear(32, 32, mode="mxfp8", quantized=True)
    x = random.normal(random.key(1), (4, 32))
    assert fn.abs(small(packed, x) - model(params, x)).max() < 0.1
    with pytest.raises(ValueError, match=r"quantize: layers.2 \(Linear\) cannot be quantised: QQLinear has no bias"):
        nn.quantize(model, params, mode="mxfp8", quantize_input=True)


def test_a_layer_alone_and_layers_of_ones_own():
    layer = nn.Linear(64, 3)
    params = layer.init(random.key(0))
    assert nn.quantize(layer, params)[0] == nn.QuantizedLinear(64, 3)

    class Own(nn.Layer):
        inner: nn.Layer = nn.Linear(64, 3)

        def __call__(self, params, x):
            return self.inner(params["inner"], x)

        def to_quantized(self, params, group_size, bits, mode):
            made, packed = nn.QuantizedLinear.from_linear(self.inner, params["inner"], group_size, bits, mode)
            return nn.Sequential(made), fn.frozendict(layers=(packed,))

    own = nn.Sequential(Own())
    small, packed = nn.quantize(own, own.init(random.key(0)), bits=8)
    assert small == nn.Sequential(nn.Sequential(nn.QuantizedLinear(64, 3, bits=8)))
    assert small(packed, fn.ones(64)).shape == (3,)

    class Scaled(nn.Linear):
        def __call__(self, params, x):
            return 2 * super().__call__(params, x)

    scaled = nn.Sequential(Scaled(64, 3))
    # What it does would be lost.
    with pytest.raises(ValueError, match="the default matches no such layer: only Linear, Embedding and layers with"):
        nn.quantize(scaled, scaled.init(random.key(0)))
    with pytest.raises(ValueError, match=r"layers.0 \(Scaled\) cannot be quantised: only Linear, Embedding and layers"):
        nn.quantize(scaled, scaled.init(random.key(0)), lambda path, layer: path == "layers.0")


@pytest.mark.parametrize("within", [False, True])
def test_tied_layers_stay_tied(within):
    tied = nn.tie(Model(), {"head.weight": "embed.weight"})
    model, prefix = (nn.Sequential(tied), "layers.0.") if within else (tied, "")
    params = model.init(random.key(0))
    small, packed = nn.quantize(model, params)
    assert f"{prefix}head.bias" in tree.paths(packed) and f"{prefix}head.scales" not in tree.paths(packed)
    assert tree.structure(small.init(random.key(0))) == tree.structure(packed)
    apart, apart_packed = nn.quantize(Model(), tied.untie(tree.get(params, "layers.0") if within else params))
    close(small(packed, X), apart(apart_packed, X))
    with pytest.raises(ValueError, match="'head.weight' is read from 'embed.weight'; quantise both layers in the same"):
        nn.quantize(model, params, f"{prefix}embed")
    bits = lambda path, layer: {"bits": 8} if path.endswith("head") else isinstance(layer, nn.Embedding)  # noqa: E731
    with pytest.raises(ValueError, match="in the same format, or neither"):
        nn.quantize(model, params, bits)
    same, kept = nn.quantize(model, params, f"{prefix}body.**")
    assert tree.get(kept, f"{prefix}embed.weight") is tree.get(params, f"{prefix}embed.weight")
    assert tree.structure(same.init(random.key(0))) == tree.structure(kept)


def test_stacked_layers():
    """Parameters of equal layers, stacked for a scan, are packed in one go."""
    layer, count = nn.Linear(64, 64), 3
    stacked = fn.vmap(layer.init)(random.split(random.key(0), count))
    small, packed = nn.QuantizedLinear.from_linear(layer, stacked, bits=8)
    assert packed["weight"].shape == (3, 64, 16)
    x = random.normal(random.key(1), (2, 64))
    y, _ = fn.scan(lambda x, p: (small(p, x), None), x, packed)
    for i in range(count):
        x = small(tree.map(lambda p, i=i: p[i], packed), x)
    close(y, x)


def test_refusals_name_the_path():
    model = nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.Linear(64, 3), nn.Linear(3, 3))
    params = model.init(random.key(0))
    with pytest.raises(
        ValueError, match=r"quantize: layers.3 \(Linear\) cannot be quantised: .*group_size must divide"
    ):
        nn.quantize(model, params)
    with pytest.raises(ValueError, match=r"layers.1 \(LayerNorm\) cannot be quantised: only Linear, Embedding and"):
        nn.quantize(model, params, lambda path, layer: True)
    with pytest.raises(ValueError, match="quantize: 'layers.9' matches no such layer: only Linear, .*; there are '' "):
        nn.quantize(model, params, "layers.9")
    with pytest.raises(ValueError, match="'bit' for 'layers.0' is none of group_size, bits, mode, quantize_input"):
        nn.quantize(model, params, lambda path, layer: {"bit": 8})
    with pytest.raises(TypeError, match="must return a bool or a dict of options, got 8 for 'layers.0'"):
        nn.quantize(model, params, lambda path, layer: 8)
    with pytest.raises(TypeError, match="quantize: predicate must be a glob or a function"):
        nn.quantize(model, params, 3)
    with pytest.raises(TypeError, match="quantize: model must be a layer"):
        nn.quantize(params, model)
    double = tree.map(lambda p: p.astype(fn.float64), params)
    with pytest.raises(ValueError, match=r"layers.0 \(Linear\) cannot be quantised: .*float64"):
        nn.quantize(model, double)

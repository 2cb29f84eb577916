"""Quantised layers as in mlx.nn. Every test holds on MLX too, but for the calls that its CPU has not."""

import pytest
from tests.compat.compat_models import Nothing, plain
from tests.compat.library import REAL, mx, nn, utils

MODES = [("affine", 64, 4), ("mxfp4", 32, 4), ("nvfp4", 16, 4), ("mxfp8", 32, 8)]


def model():
    made = Nothing()
    made.layers = [nn.Linear(64, 64), nn.Linear(64, 8)]
    made.table = nn.Embedding(8, 64)
    made.act = nn.ReLU()
    made.head = nn.Linear(128, 64, bias=False)
    return made


def shapes(layer):
    return {name: (x.shape, str(x.dtype).rpartition(".")[2]) for name, x in layer.items()}


@pytest.mark.parametrize("mode, group_size, bits", MODES)
def test_linear(mode, group_size, bits):
    layer = nn.QuantizedLinear(64, 8, mode=mode)
    assert repr(layer) == (
        f"QuantizedLinear(input_dims=64, output_dims=8, bias=True, group_size={group_size}, bits={bits}, mode={mode})"
    )
    names = ["weight", "scales", "biases", "bias"]
    if mode != "affine":
        names.remove("biases")
        assert layer.biases is None
    assert list(layer) == names
    assert layer._no_grad == set(names)
    assert layer.weight.shape == (8, 64 * bits // 32)
    assert layer.scales.shape == (8, 64 // group_size)
    assert (layer.weight.dtype, layer.scales.dtype) == (mx.uint32, mx.float32 if mode == "affine" else mx.uint8)
    assert plain(layer.bias) == [0] * 8
    x = mx.random.normal((3, 64))
    dense = mx.dequantize(layer.weight, layer.scales, layer.biases, group_size, bits, mode).astype(mx.float32)
    assert mx.allclose(layer(x), x @ dense.T + layer.bias, rtol=1e-4, atol=1e-4).item()
    assert "bias" not in nn.QuantizedLinear(64, 8, False, mode=mode)


def test_sizes_and_modes_that_do_not_exist():
    for make in (
        lambda: nn.QuantizedLinear(63, 8),
        lambda: nn.QuantizedLinear(64, 8, bits=7),
        lambda: nn.QuantizedLinear(64, 8, mode="x"),
        lambda: nn.QuantizedLinear(64, 8, mode="mxfp8", bits=4),
        lambda: nn.QuantizedEmbedding(8, 63),
        lambda: nn.QQLinear(64, 8, mode="x"),
        lambda: nn.Linear(63, 8).to_quantized(),
        lambda: nn.Linear(64, 8).to_quantized(mode="x"),
        lambda: nn.Linear(64, 8).to_quantized(quantize_input=True),
        lambda: nn.Embedding(8, 64).to_quantized(quantize_input=True),
        lambda: nn.QuantizedEmbedding(8, 64)(mx.array(3)),
    ):
        with pytest.raises(ValueError):
            make()


def test_from_linear():
    linear = nn.Linear(64, 8).eval()
    layer = linear.to_quantized(32, 8)
    assert type(layer) is nn.QuantizedLinear
    assert (layer.group_size, layer.bits, layer.mode, layer.training) == (32, 8, "affine", True)
    assert layer.bias is linear.bias
    assert list(layer.trainable_parameters()) == ["bias"]
    x = mx.random.normal((3, 64))
    assert mx.allclose(layer(x), linear(x), atol=0.02).item()
    linear.set_dtype(mx.float16)
    half = nn.QuantizedLinear.from_linear(linear)
    assert {half.scales.dtype, half.biases.dtype, half.bias.dtype} == {mx.float16}
    assert (half(x).dtype, half(x.astype(mx.float16)).dtype) == (mx.float32, mx.float16)
    with pytest.raises(AttributeError, match="weight"):
        nn.QuantizedLinear.from_linear(Nothing())


@pytest.mark.parametrize("mode, group_size, bits", MODES)
def test_embedding(mode, group_size, bits):
    table = nn.Embedding(8, 64)
    layer = table.to_quantized(mode=mode)
    assert repr(layer) == f"QuantizedEmbedding(8, 64, group_size={group_size}, bits={bits}, mode={mode})"
    assert layer.trainable_parameters() == {}
    rows = layer(mx.array([[1, 2]]))
    assert rows.shape == (1, 2, 64)
    assert rows.dtype == (mx.float32 if mode == "affine" else mx.bfloat16)
    assert mx.allclose(rows[0], table(mx.array([1, 2])), atol=0.15).item()
    x = mx.random.normal((3, 64))
    dense = layer(mx.arange(8)).astype(mx.float32)
    assert mx.allclose(layer.as_linear(x), x @ dense.T, rtol=1e-4, atol=1e-4).item()
    assert (vars(layer)["num_embeddings"], vars(layer)["dims"]) == (8, 64)


def test_draws_are_made_even_where_they_are_not_needed():
    mx.random.seed(0)
    nn.Linear(64, 8).to_quantized()
    first = mx.random.uniform().item()
    mx.random.seed(0)
    nn.Linear(64, 8), nn.Linear(64, 8, bias=False)
    assert first == mx.random.uniform().item()


def test_layers_that_quantise_their_input():
    layer = nn.QQLinear(64, 8)
    assert repr(layer) == "QQLinear(input_dims=64, output_dims=8, group_size=16, bits=4, mode=nvfp4)"
    assert shapes(layer) == {"weight": ((8, 64), "float32")}
    assert layer.eval() is layer
    assert repr(layer) == "QQLinear(input_dims=64, output_dims=8, group_size=16, bits=4, mode=nvfp4)"
    assert shapes(layer) == {"weight": ((8, 8), "uint32"), "scales": ((8, 4), "uint8")}
    layer.quantize()
    layer.eval()
    assert list(layer.trainable_parameters()) == ["weight", "scales"]
    layer.train()
    assert shapes(layer) == {"weight": ((8, 64), "bfloat16")}
    layer.dequantize()
    assert vars(layer) == {
        **{"_no_grad": set(), "_training": True, "_quantized": False},
        **{"group_size": 16, "bits": 4, "mode": "nvfp4"},
    }
    linear = nn.Linear(64, 8, bias=False)
    assert nn.QQLinear.from_linear(linear).weight is linear.weight
    assert list(nn.QQLinear.from_linear(linear.eval(), mode="mxfp8")) == ["weight", "scales"]
    assert type(linear.to_quantized(mode="nvfp4", quantize_input=True)) is nn.QQLinear
    with pytest.raises(NotImplementedError, match="bias"):
        nn.QQLinear.from_linear(nn.Linear(64, 8))


@pytest.mark.skipif(REAL, reason="MLX has these products on a GPU only")
def test_products_with_quantised_input():
    layer, x = nn.QQLinear(64, 8), mx.random.normal((3, 64))
    y, grads = nn.value_and_grad(layer, lambda x: layer(x).sum())(x)
    assert mx.abs(grads["weight"]).max().item() > 0
    before = layer(x)
    assert mx.array_equal(layer.eval()(x), before).item()
    assert y.shape == ()


def test_quantize_replaces_what_can_be_quantised():
    made = model()
    act = made.act
    assert nn.quantize(made) is None
    assert repr(made) == (
        "Nothing(\n"
        "  (layers.0): QuantizedLinear(input_dims=64, output_dims=64, bias=True, group_size=64, bits=4, mode=affine)\n"
        "  (layers.1): QuantizedLinear(input_dims=64, output_dims=8, bias=True, group_size=64, bits=4, mode=affine)\n"
        "  (table): QuantizedEmbedding(8, 64, group_size=64, bits=4, mode=affine)\n"
        "  (act): ReLU()\n"
        "  (head): QuantizedLinear(input_dims=128, output_dims=64, bias=False, group_size=64, bits=4, mode=affine)\n"
        ")"
    )
    assert made.act is act
    flat = [name for name, _ in utils.tree_flatten(made.trainable_parameters())]
    assert flat == ["layers.0.bias", "layers.1.bias"]
    linear = nn.Linear(64, 8)
    nn.quantize(linear)
    assert type(linear) is nn.Linear


def test_class_predicate():
    seen = []

    def head_alone(path, module):
        seen.append((path, type(module).__name__))
        return {"bits": 2, "mode": "affine"} if path == "head" else False

    made = model()
    nn.quantize(made, 32, 8, class_predicate=head_alone)
    assert (made.head.bits, made.head.group_size) == (2, 64)
    assert type(made.layers[0]) is nn.Linear
    assert seen == [
        *(("layers.0", "Linear"), ("layers.1", "Linear")),
        *(("table", "Embedding"), ("act", "ReLU"), ("head", "Linear")),
    ]
    nn.quantize(made, 32, 8, class_predicate=lambda path, module: path.startswith("layers"))
    assert [(layer.bits, layer.group_size) for layer in made.layers] == [(8, 32)] * 2
    for nothing in (None, {}, False, 0):
        nn.quantize(made, class_predicate=lambda path, module, nothing=nothing: nothing)
    assert type(made.table) is nn.Embedding


@pytest.mark.parametrize(
    "options, error",
    [
        ({"class_predicate": lambda path, module: True}, ValueError),
        ({"class_predicate": lambda path, module: 1}, ValueError),
        ({"class_predicate": lambda path, module: {"colour": 2} if path == "head" else False}, TypeError),
        ({"class_predicate": 3}, TypeError),
        ({"mode": "x"}, ValueError),
        ({"group_size": 48}, ValueError),
        ({"quantize_input": True}, ValueError),
        ({"quantize_input": True, "mode": "nvfp4"}, NotImplementedError),
    ],
)
def test_what_quantize_refuses_leaves_the_model_as_it_was(options, error):
    made = model()
    before = [id(module) for module in made.modules()]
    with pytest.raises(error):
        nn.quantize(made, **options)
    assert [id(module) for module in made.modules()] == before


def test_modules_with_a_form_of_their_own():
    class Own(nn.Module):
        def to_quantized(self, **options):
            given.append(options)
            return nn.Identity()

    given, made = [], Nothing()
    made.own = Own()
    nn.quantize(made, 32)
    assert type(made.own) is nn.Identity
    made.own = Own()
    nn.quantize(made, mode="nvfp4", quantize_input=True)
    assert given == [
        {"group_size": 32, "bits": None, "mode": "affine"},
        {"group_size": None, "bits": None, "mode": "nvfp4", "quantize_input": True},
    ]


def test_quantised_weights_in_files(tmp_path):
    file = str(tmp_path / "weights.safetensors")
    made = model()
    nn.quantize(made)
    made.save_weights(file)
    other = model()
    nn.quantize(other)
    other.load_weights(file)
    assert plain(other.parameters()) == plain(made.parameters())
    with pytest.raises(ValueError, match="scales"):
        model().load_weights(file)


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
def test_gradients_flow_through_frozen_weights(bits):
    layer = nn.QuantizedLinear(64, 8, bits=bits)
    x = mx.random.normal((2, 64))
    dense = mx.dequantize(layer.weight, layer.scales, layer.biases, layer.group_size, bits)
    assert mx.allclose(mx.grad(lambda x: layer(x).sum())(x), mx.broadcast_to(dense.sum(axis=0), (2, 64)), atol=1e-4)

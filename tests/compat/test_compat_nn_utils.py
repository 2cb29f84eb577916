"""Gradients of functions of modules, recomputation and averages. Every test holds on MLX too."""

import pytest
from tests.compat.compat_models import Affine, Everything, Nothing, plain
from tests.compat.library import REAL, mx, nn, utils

if REAL:
    from mlx.nn.utils import checkpoint, clip_grad_norm_sharded
else:
    from funcnn.compat.nn.utils import checkpoint, clip_grad_norm_sharded

X = [[1.0, 2.0], [3.0, 5.0]]


def loss_of(model):
    return lambda x, scale=1.0: (model(x) ** 2).sum() * scale


def test_value_and_grad():
    model = Affine()
    value, grads = nn.value_and_grad(model, loss_of(model))(mx.array(X))
    assert value.item() == 146
    assert plain(grads) == {"weight": [[54, 92], [54, 92]], "bias": [22, 22]}
    assert plain(dict(model)) == plain(dict(Affine()))


def test_value_and_grad_takes_and_returns_more():
    model = Affine()

    def loss(model, x, *, scale):
        return model(x).sum() * scale, {"x": x}, "note"

    transformed = nn.value_and_grad(model, loss)
    (value, aux, note), grads = transformed(model, mx.array(X), scale=2.0)
    assert (value.item(), plain(aux), note) == (44, {"x": X}, "note")
    assert plain(grads["bias"]) == [4, 4]
    assert transformed.__name__ == "loss"
    assert transformed.__wrapped__ is loss


def test_only_what_is_trainable_is_differentiated():
    model = Nothing()
    model.a, model.b, model.c = Affine(), [Affine(), 3], {"d": mx.ones((2,))}
    model.a.freeze(keys="weight")
    model.b[0].freeze()
    grads = nn.value_and_grad(model, lambda x: (model.a(x) + model.b[0](x) * model.c["d"]).sum())(mx.array(X))[1]
    assert plain(grads) == {"a": {"bias": [2, 2]}, "b": [{}, {}], "c": {"d": [11, 11]}}
    model.freeze()
    with pytest.raises(ValueError):
        nn.value_and_grad(model, lambda: mx.array(1.0))()


def test_what_the_function_sets_stays():
    model = Affine()
    model.seen = mx.zeros((1,))
    model.freeze(keys="seen")

    def loss(x):
        y = model(x)
        model.seen = model.seen + y.sum()
        model.bias = model.bias * 0 + 3
        model.weight += 1
        return y.sum()

    nn.value_and_grad(model, loss)(mx.array(X))
    assert plain((model.seen, model.bias, model.weight)) == ([22], [3, 3], [[2, 2], [2, 2]])
    w = model.weight
    w[0] = 7
    assert plain(model.weight) == [[7, 7], [2, 2]]


def test_an_exception_leaves_the_parameters_as_they_were():
    model = Affine()

    def loss(x):
        model(x)
        raise KeyError("inside")

    for _ in range(2):
        with pytest.raises(KeyError, match="inside"):
            nn.value_and_grad(model, loss)(mx.array(X))
        assert plain(dict(model)) == plain(dict(Affine()))
        assert model.trainable_parameters().keys() == {"weight", "bias"}
    model.weight *= 2
    assert plain(model.weight) == [[2, 2], [2, 2]]


def test_arrays_that_are_frozen_by_the_name_of_their_container():
    model = Nothing()
    model.a = [{"x": mx.ones((1,))}, mx.zeros((1,))]
    model.freeze(recurse=False)
    model.b = mx.ones((1,))
    with pytest.raises(ValueError, match="dict"):  # {} stands in the place of what is frozen, and is no array
        nn.value_and_grad(model, lambda: (model.b * model.a[0]["x"]).sum())()
    assert plain(dict(model)) == {"a": [{"x": [1]}, [0]], "b": [1]}


@pytest.mark.skipif(REAL, reason="MLX leaves what the function has set, and what an outer trace has lent")
def test_an_exception_leaves_the_very_arrays():
    model = Affine()
    before = dict(model)

    def loss(x):
        model.bias = model.bias + 1
        model.weight += 1
        raise KeyboardInterrupt

    for transform in (nn.value_and_grad, checkpoint):
        with pytest.raises(KeyboardInterrupt):
            transform(model, loss)(mx.array(X))
        assert all(model[key] is value for key, value in before.items())
    assert plain(dict(model)) == plain(dict(Affine()))


def test_the_function_may_be_any_callable():
    class Loss:
        def __call__(self, x):
            return model(x).sum()

    model = Affine()
    assert nn.value_and_grad(model, Loss())(mx.array(X))[0].item() == 22


def test_errors_of_the_function():
    model = Affine()
    for wrong in (lambda: 3, lambda: [model.bias.sum()], lambda: model.bias):
        with pytest.raises((ValueError, TypeError)):
            nn.value_and_grad(model, wrong)()
    assert plain(dict(model)) == plain(dict(Affine()))


def test_checkpoint():
    model, x = Affine(), mx.array(X)
    recomputed = checkpoint(model)
    assert plain(recomputed(x)) == plain(model(x))
    expected = nn.value_and_grad(model, lambda x: (model(x) ** 2).sum())(x)
    found = nn.value_and_grad(model, lambda x: (recomputed(x) ** 2).sum())(x)
    assert plain(found) == plain(expected)
    assert plain(mx.grad(lambda x: recomputed(x).sum())(x)) == [[2, 2], [2, 2]]
    doubled = checkpoint(model, lambda x, *, scale: model(x) * scale)
    assert plain(doubled(x, scale=2.0)) == plain(model(x) * 2)


def test_parameters_may_be_used_beside_their_checkpoint():
    model, x = Affine(), mx.array(X)
    recomputed = checkpoint(model)
    _, grads = nn.value_and_grad(model, lambda x: recomputed(x).sum() + (model.weight * model.weight).sum())(x)
    assert plain(grads["weight"]) == [[6, 9], [6, 9]]


def test_nested_value_and_grad():
    inner, outer = Affine(), Affine(2.0)

    def inner_loss(x):
        return (inner(x) * outer(x)).sum()

    def outer_loss(x):
        _, grads = nn.value_and_grad(inner, inner_loss)(x)
        return (grads["bias"] ** 2).sum()

    _, grads = nn.value_and_grad(outer, outer_loss)(mx.array(X))
    assert plain(grads["bias"]) == [88, 88]
    assert plain(dict(inner)) == plain(dict(Affine()))


def test_compiled_steps():
    model, x = Affine(), mx.array(X)

    def step(x):
        value, grads = nn.value_and_grad(model, loss_of(model))(x)
        model.update(utils.tree_map(lambda p, g: p - 0.5 * g, model.parameters(), grads))
        return value

    compiled = mx.compile(step, inputs=model.state, outputs=model.state)
    values = [compiled(x).item() for _ in range(2)]
    state = plain(dict(model))
    model = Affine()
    assert values == [step(x).item() for _ in range(2)]
    assert plain(dict(model)) == state


@pytest.mark.skipif(REAL, reason="MLX leaves arrays without values in the module")
def test_a_compiled_step_that_fails_leaves_the_module_as_it_was():
    model, x = Affine(), mx.array(X)

    def failing(x):
        model(x)
        raise KeyError("inside")

    for options in ({"inputs": model.state, "outputs": model.state}, {"inputs": model.state}, {}):
        compiled = mx.compile(lambda x: nn.value_and_grad(model, failing)(x), **options)
        with pytest.raises(KeyError):
            compiled(x)
        assert plain(dict(model)) == plain(dict(Affine()))
        mx.compile(lambda x: nn.value_and_grad(model, loss_of(model))(x), **options)(x)
        mx.compile(lambda x: checkpoint(model)(x), **options)(x)
        assert plain(dict(model)) == plain(dict(Affine()))


def test_average_gradients():
    grads = {"a": mx.ones((2,)), "b": [mx.zeros((1,)), {}]}
    group = mx.distributed.init()
    for options in ({}, {"group": group}, {"all_reduce_size": 0}, {"communication_stream": mx.cpu}):
        assert plain(nn.average_gradients(grads, **options)) == plain(grads)
    assert nn.average_gradients(grads)["a"] is grads["a"]
    assert nn.average_gradients({}) == {}
    with pytest.raises((AttributeError, TypeError)):
        nn.average_gradients(grads, group=3)


@pytest.mark.skipif(REAL, reason="the shim's own grouping")
@pytest.mark.parametrize("size, calls", [(1 << 20, 2), (16, 3), (0, 4)])
def test_small_gradients_travel_together(monkeypatch, size, calls):
    class Pair:
        def size(self):
            return 2

    seen = []

    def all_sum(x, group, stream):
        seen.append((x.shape, x.dtype))
        return x * 2 + 2

    monkeypatch.setattr(mx.distributed, "all_sum", all_sum)
    grads = {"a": mx.ones((2, 2)), "b": [mx.zeros((3,), mx.float16), mx.arange(3.0)], "c": mx.array(5.0)}
    averaged = nn.average_gradients(grads, Pair(), size)
    assert plain(averaged) == {"a": [[2, 2], [2, 2]], "b": [[1, 1, 1], [1, 2, 3]], "c": 6}
    assert averaged["b"][0].dtype == mx.float16
    assert len(seen) == calls


def test_clip_grad_norm_sharded():
    grads = {"a": mx.array([3.0]), "b": [mx.array([4.0])]}
    clipped, norm = clip_grad_norm_sharded(grads, 1.0)
    assert norm.item() == 5
    assert [x.item() for _, x in utils.tree_flatten(clipped)] == pytest.approx([0.6, 0.8], abs=1e-6)
    assert plain(clip_grad_norm_sharded(grads, 10.0)[0]) == plain(grads)
    clipped, norm = clip_grad_norm_sharded({}, 1.0)
    assert (clipped, norm.item()) == ({}, 0)


def test_everything_can_be_differentiated():
    model = Everything()
    grads = nn.value_and_grad(model, lambda: (model.w * 3 + model.parts[0] + model.inner.bias).sum())()[1]
    assert plain(grads["w"]) == [3, 3]
    assert plain(grads["parts"]) == [
        *([2], {}, {}),
        *({"weight": [[0, 0], [0, 0]], "bias": [0, 0]}, {"q": {}, "r": [0], "s": {}}),
    ]
    assert list(grads) == list(model.trainable_parameters())

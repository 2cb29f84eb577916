"""custom_function of mlx.core."""

import gc
import weakref

import pytest
from tests.compat.library import REAL, mx


def scalar(x=2.0):
    return mx.array(x)


def vector():
    return mx.array([1.0, 2.0, 3.0])


def product():
    """A new function of two arrays, without rules."""
    return mx.custom_function(lambda a, b: mx.sin(a) * b)


def items(tree):
    return [x.item() for x in tree]


def test_without_rules():
    f = product()
    x, y = scalar(0.0), scalar(3.0)
    assert type(f) is mx.custom_function
    assert f(x, y).item() == 0
    assert items(mx.grad(f, argnums=(0, 1))(x, y)) == [3, 0]
    assert mx.jvp(f, [x, y], [scalar(1.0), scalar(1.0)])[1][0].item() == 3
    assert mx.vmap(f)(mx.zeros((3,)), vector()).tolist() == [0, 0, 0]
    assert mx.compile(mx.grad(f))(x, y).item() == 3
    assert mx.grad(mx.compile(f))(x, y).item() == 3
    assert mx.grad(mx.grad(lambda a: f(a, a)))(x).item() == 2


def test_vjp():
    f, seen = product(), []

    @f.vjp
    def rule(primals, cotangents, outputs):
        seen.append((type(primals), items(primals), cotangents.item(), outputs.item()))
        return cotangents * 100, cotangents * 10

    assert type(rule) is mx.custom_function
    x, y = scalar(0.0), scalar(3.0)
    assert items(mx.grad(f, argnums=(0, 1))(x, y)) == [100, 10]
    assert seen == [(tuple, [0, 3], 1, 0)]
    assert items(mx.vjp(f, [x, y], [scalar(2.0)])[1]) == [200, 20]
    # Forward mode has no rule: it is that of the function.
    assert mx.jvp(f, [x, y], [scalar(1.0), scalar(1.0)])[1][0].item() == 3
    assert len(seen) == 2


def test_vjp_of_one_argument():
    f = mx.custom_function(lambda a: a * a)

    @f.vjp
    def _(primals, cotangents, outputs):
        return cotangents * primals * 5 + outputs * 0

    assert mx.grad(f)(scalar()).item() == 10
    assert mx.grad(mx.grad(f))(scalar()).item() == 5
    assert mx.compile(mx.grad(f))(scalar()).item() == 10
    assert mx.grad(mx.compile(f))(scalar()).item() == 10
    assert mx.vmap(mx.grad(f))(vector()).tolist() == [5, 10, 15]
    assert mx.grad(f)(mx.array(3)).dtype == mx.int32


@pytest.mark.skipif(REAL, reason="MLX forgets the rules of a mapped function")
def test_rules_of_mapped_functions():
    f, g = product(), product()

    @f.vjp
    def _(primals, cotangents, outputs):
        return cotangents * primals[1], cotangents * 10

    @g.jvp
    def _(primals, tangents):
        return tangents[0] * primals[1]

    assert mx.grad(lambda a: mx.vmap(f)(a, a).sum())(vector()).tolist() == [11, 12, 13]
    assert mx.grad(lambda b: mx.vmap(f, in_axes=(0, None))(vector(), b).sum())(scalar()).item() == 30
    moved = mx.jvp(lambda a: mx.vmap(g, in_axes=(0, None))(a, scalar()), [vector()], [vector()])[1]
    assert moved[0].tolist() == [2, 4, 6]


def test_arguments_that_are_no_arrays():
    f, seen = product(), []

    @f.vjp
    def _(primals, cotangents, outputs):
        seen.append(primals[1])
        return cotangents * 7

    assert mx.grad(f)(scalar(), 2.0).item() == 7
    assert seen == [2.0]
    g = mx.custom_function(lambda a, scale=None: (a * scale, "s", 3))
    value, gradient = mx.value_and_grad(lambda a: g(a, scale=3.0))(scalar())
    assert (value[0].item(), value[1:], gradient.item()) == (6, ("s", 3), 3)


def test_keyword_arguments():
    f, seen = product(), []

    @f.vjp
    def _(primals, cotangents, outputs, b=None):
        seen.append(b.item())
        return cotangents * 7

    assert mx.grad(f)(scalar(), b=scalar(3.0)).item() == 7
    assert seen == [3]


def test_jvp():
    f, seen = mx.custom_function(lambda a, b: (a * a, b)), []

    @f.jvp
    def _(primals, tangents):
        seen.append([None if t is None else t.item() for t in tangents])
        return tangents[0] * 5, None

    x = scalar()
    assert items(mx.jvp(f, [x, x], [x, x])[1]) == [10, 0]
    assert items(mx.jvp(lambda a: f(a, x), [x], [x])[1]) == [10, 0]
    assert seen == [[2, 2], [2, None]]
    # Reverse mode has no rule.
    assert mx.grad(lambda a: f(a, x)[0])(x).item() == 4


def test_vmap():
    f, seen = mx.custom_function(lambda a, b: a * b), []

    @f.vmap
    def _(inputs, axes):
        seen.append(axes)
        return inputs[0] * 100, 0

    assert mx.vmap(f)(vector(), vector()).tolist() == [100, 200, 300]
    assert mx.vmap(f, in_axes=(0, None))(vector(), scalar()).tolist() == [100, 200, 300]
    assert seen == [(0, 0), (0, None)]
    assert f(scalar(), scalar()).item() == 4


def test_trees():
    f = mx.custom_function(lambda d: {"o": d["a"] * 2, "p": [d["b"]]})

    @f.vmap
    def _(inputs, axes):
        return {"o": inputs["a"] * 3, "p": [inputs["b"]]}, {"o": axes["a"], "p": [axes["b"]]}

    @f.vjp
    def _(primals, cotangents, outputs):
        return {"a": cotangents["o"] * 7 + outputs["o"] * 0, "b": cotangents["p"][0]}

    mapped = mx.vmap(f)({"a": vector(), "b": vector()})
    assert mapped["o"].tolist() == [3, 6, 9]
    assert mapped["p"][0].tolist() == [1, 2, 3]
    x = scalar()
    assert mx.grad(lambda d: f(d)["o"])({"a": x, "b": x})["a"].item() == 7
    assert mx.grad(lambda d: f(d)["p"][0])({"a": x, "b": x})["b"].item() == 1


def test_captured_values_are_constants():
    def outer(x, y, rule):
        f = mx.custom_function(lambda a: a * y)
        if rule:
            f.vjp(lambda primals, cotangents, outputs: cotangents * 50)
        return f(x)

    x, y = scalar(), scalar(3.0)
    assert items(mx.grad(lambda a, b: outer(a, b, True), argnums=(0, 1))(x, y)) == [50, 0]
    assert mx.grad(lambda a: outer(a, y, False))(x).item() == 3


@pytest.mark.skipif(REAL, reason="MLX takes other values than those that stand there, or crashes")
def test_what_rules_leave_out():
    x, y = scalar(), scalar(3.0)
    for value in (lambda ct: (ct, None), lambda ct: (ct,), lambda ct: ct, lambda ct: [ct]):
        f = product()
        f.vjp(lambda primals, cotangents, outputs, value=value: value(cotangents))
        assert items(mx.grad(f, argnums=(0, 1))(x, y)) == [1, 0]
    for wrong in (lambda ct: (ct, vector()), lambda ct: (ct, "s"), lambda ct: (ct, ct, ct)):
        f = product()
        f.vjp(lambda primals, cotangents, outputs, wrong=wrong: wrong(cotangents))
        with pytest.raises(ValueError):
            mx.grad(f, argnums=(0, 1))(x, y)


@pytest.mark.skipif(REAL, reason="MLX has no derivatives of such values")
def test_rules_that_use_values_of_a_transformation_around():
    def f(x, y):
        scale = y * 2
        g = mx.custom_function(lambda a: a * a)
        g.vjp(lambda primals, cotangents, outputs: cotangents * scale)
        return g(x)

    x, y = scalar(), scalar(3.0)
    assert mx.grad(f)(x, y).item() == 6
    assert mx.grad(mx.compile(f))(x, y).item() == 6
    assert mx.compile(mx.grad(f))(x, y).item() == 6
    assert mx.vmap(mx.grad(f))(vector(), vector()).tolist() == [2, 4, 6]
    assert mx.grad(mx.checkpoint(f))(x, y).item() == 6


def test_exceptions_in_rules():
    f = product()

    @f.vjp
    def _(primals, cotangents, outputs):
        raise KeyError("inside")

    assert f(scalar(), scalar()).shape == ()
    with pytest.raises(KeyError, match="inside"):
        mx.grad(f)(scalar(), scalar())
    for wrong in (3, None):
        with pytest.raises(TypeError):
            mx.custom_function(wrong)


def test_no_cycle_keeps_a_function():
    class Model:
        def __init__(self):
            self.function = mx.custom_function(self.call)
            self.function.vjp(self.rule)

        def call(self, a):
            return a * 2

        def rule(self, primals, cotangents, outputs):
            return cotangents * 3

    model = Model()
    assert mx.grad(model.function)(scalar()).item() == 3
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None

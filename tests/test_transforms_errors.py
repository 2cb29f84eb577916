"""Every mistake that a transformation can notice has a message of its own."""

import numpy as np
import pytest

import funcnn as fn

A = fn.array
TWO = A([1.0, 2.0])


def raises(error, *words):
    return pytest.raises(error, match="(?s)" + ".*".join(words))


# ---- grad


def test_grad_of_what_is_no_scalar():
    with raises(ValueError, "grad: the function must return a scalar, got shape \\(2,\\)", "jacrev"):
        fn.grad(lambda x: x)(TWO)
    with raises(ValueError, "real floating-point scalar, got int32"):
        fn.grad(lambda x: x.astype(fn.int32))(A(1.0))
    with raises(ValueError, "real floating-point scalar, got complex64"):
        fn.grad(lambda x: x.astype(fn.complex64))(A(1.0))
    with raises(TypeError, "got tuple", "has_aux=True"):
        fn.value_and_grad(lambda x: (x, 1))(A(1.0))
    with raises(TypeError, "\\(loss, aux\\); it returned"):
        fn.grad(lambda x: x, has_aux=True)(A(1.0))
    with raises(TypeError, "a sequence of 3 values"):
        fn.grad(lambda x: (x, 1, 2), has_aux=True)(A(1.0))


def test_grad_by_integers():
    with raises(ValueError, "grad: argument 0 has dtype int32", "where"):
        fn.grad(lambda x: x.sum())(A([1, 2]))
    with raises(ValueError, "argument 1 at a.b has dtype bool"):
        fn.grad(lambda x, p: x, argnums=1)(A(1.0), {"a": {"b": A(True)}})


def test_grad_by_what_is_no_array():
    with raises(TypeError, "grad: argument 0 at activation: expected an array, got str"):
        fn.grad(lambda p: p["w"])({"w": A(1.0), "activation": "relu"})


def test_grad_by_missing_arguments():
    with raises(ValueError, "argnums has 2", "1 positional argument"):
        fn.grad(lambda x: x, argnums=2)(A(1.0))
    with raises(ValueError, "argnums has -3"):
        fn.grad(lambda x, y: x, argnums=(0, -3))(A(1.0), A(1.0))
    with raises(ValueError, "argnums has 0", "argnames"):
        fn.grad(lambda x: x)(x=A(1.0))
    with raises(ValueError, 'argnames has "y"'):
        fn.grad(lambda x: x, argnames="y")(A(1.0))
    with raises(ValueError, "argument 0 twice"):
        fn.grad(lambda x: x, argnums=(0, -1))(A(1.0))
    with raises(ValueError, "both empty"):
        fn.grad(lambda x: x, argnums=())
    with raises(ValueError, "selects no leaf"):
        fn.grad(lambda p: p["w"], where="nothing")({"w": A(1.0)})


@pytest.mark.parametrize("transform", [fn.grad, fn.value_and_grad, fn.vmap, fn.jacrev, fn.jacfwd, fn.checkpoint])
def test_transformations_of_what_is_no_function(transform):
    with raises(TypeError, "expected a function, got array"):
        transform(A(1.0))


# ---- vjp and jvp


def test_mismatched_cotangents():
    _, pull = fn.vjp(lambda x: {"a": x * 2}, TWO)
    with raises(ValueError, "vjp: the cotangent of the output", "keys \\['a'\\]"):
        pull(TWO)
    with raises(ValueError, "keys \\['a'\\]", "keys \\['b'\\]"):
        pull({"b": TWO})
    with raises(ValueError, "at a has shape \\(1,\\)", "expected shape \\(2,\\)"):
        pull({"a": A([1.0])})
    with raises(ValueError, "dtype int32; expected", "float32"):
        pull({"a": A([1, 2])})
    with raises(TypeError, "expected an array or None, got str"):
        pull({"a": "x"})


def test_mismatched_tangents():
    with raises(ValueError, "jvp: got 0 tangents for 1 argument"):
        fn.jvp(lambda x: x, (TWO,), ())
    with raises(ValueError, "tangent of argument 0 has shape \\(1,\\)"):
        fn.jvp(lambda x: x, (TWO,), (A([1.0]),))
    with raises(TypeError, "primals must be a tuple or list"):
        fn.jvp(lambda x: x, TWO, (TWO,))
    _, push = fn.linearize(lambda x: x, TWO)
    with raises(ValueError, "linearize: got 2 tangents"):
        push(TWO, TWO)


def test_jacobians_by_integers():
    for jac in (fn.jacrev, fn.jacfwd, fn.hessian):
        with raises(ValueError, "argument 0 at n has dtype int32"):
            jac(lambda p: p["n"] * 1.0)({"n": A([1, 2])})
        with raises(ValueError, "argnums has 1"):
            jac(lambda x: x, argnums=1)(TWO)


# ---- vmap


def test_inconsistent_sizes_name_the_arguments():
    with raises(ValueError, "argument 0.w has 2 \\(axis 0\\)", "argument 1 has 3 \\(axis 0\\)"):
        fn.vmap(lambda p, y: y)({"w": TWO}, A([1.0, 2.0, 3.0]))
    with raises(ValueError, "axis_size is 3", "argument 0 has 2"):
        fn.vmap(lambda x: x, axis_size=3)(TWO)


def test_bad_axes():
    with raises(ValueError, "vmap: in_axes", "expected a tuple of 2 items, got a tuple of 1 item"):
        fn.vmap(lambda x, y: x, in_axes=(0,))(TWO, TWO)
    with raises(ValueError, "vmap: in_axes", "keys \\['b'\\]", "keys \\['a'\\]"):
        fn.vmap(lambda x: x, in_axes=({"a": 0},))({"b": TWO})
    with raises(TypeError, "expected ints and None, got 'a'"):
        fn.vmap(lambda x: x, in_axes="a")(TWO)
    with raises(fn.AxisError, "in_axes has 3 for argument 0", "shape \\(2,\\)"):
        fn.vmap(lambda x: x, in_axes=3)(TWO)
    with raises(fn.AxisError, "out_axes: axis 2"):
        fn.vmap(lambda x: x, out_axes=2)(TWO)
    with raises(ValueError, "out_axes", "tuple of 2 items"):
        fn.vmap(lambda x: (x, x), out_axes=(0, 0, 0))(TWO)
    with raises(ValueError, "depends on a mapped argument"):
        fn.vmap(lambda x: x, out_axes=None)(TWO)
    with raises(ValueError, "argument 0 is a scalar"):
        fn.vmap(lambda x: x)(A(1.0))
    with raises(ValueError, "nothing is mapped", "axis_size"):
        fn.vmap(lambda x: x, in_axes=None)(TWO)


def test_mapping_over_what_is_no_array():
    with raises(TypeError, "argument 1: expected an array, got str", "None in in_axes"):
        fn.vmap(lambda x, s: x)(TWO, "relu")
    with raises(TypeError, "the output at s: expected an array, got str"):
        fn.vmap(lambda x: {"x": x, "s": "relu"})(TWO)


READERS = {
    "item": lambda x: x.item(),
    "bool": lambda x: bool(x > 0),
    "float": float,
    "tolist": lambda x: x.tolist(),
    "numpy": np.asarray,
    "eval": lambda x: fn.eval(x),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_reading_abstract_values(read):
    with raises(fn.TracedValueError, "shape \\(\\)", "vmap", "fn.where"):
        fn.vmap(read)(TWO)
    # Reading under grad is fine, unless there is a vmap around it.
    fn.grad(lambda x: (read(x), x)[1])(A(1.0))
    with raises(fn.TracedValueError, "fn.where"):
        fn.vmap(fn.grad(lambda x: (read(x), x)[1]))(TWO)


def test_the_error_names_the_op():
    with raises(fn.TracedValueError, "shape \\(3,\\)", "float32", "made by exp"):
        fn.vmap(lambda x: fn.exp(x).tolist())(A(np.ones((2, 3), np.float32)))


def test_the_error_names_no_op_where_an_argument_is_read():
    with pytest.raises(fn.TracedValueError) as error:
        fn.compile(lambda n: range(n))(3)
    assert "of shape () and dtype int32 has no value inside compile" in str(error.value)


def test_leaks_are_noticed_when_the_value_is_read():
    leaked = []
    fn.vmap(lambda x: leaked.append(x * 2) or x)(TWO)
    with raises(fn.TracedValueError, "leaked from vmap, which has ended"):
        leaked[0].item()
    with raises(fn.TracedValueError, "leaked"):
        fn.grad(lambda x: x * leaked[0])(A(1.0)).item()


def test_a_leaked_value_is_no_constant_of_a_derivative():
    def loss(x):
        leaked = []
        fn.vmap(lambda x: leaked.append(x * 2) or x)(x)
        return x.sum() + leaked[0]

    for transform in (
        fn.grad,
        fn.jacfwd,
        fn.jacrev,
        lambda f: lambda x: fn.vjp(f, x)[1](A(1.0)),
        lambda f: lambda x: fn.jvp(f, (x,), (x,)),
    ):
        for derivative in (transform(loss), fn.compile(transform(loss))):
            with raises(fn.TracedValueError, "(grad|vjp|jvp|linearize): .*leaked from vmap"):
                derivative(TWO)


def test_an_error_inside_leaves_everything_usable():
    def broken(x):
        raise RuntimeError("inside")

    for transform in (fn.grad, fn.vmap, fn.jacfwd, lambda f: lambda x: fn.vjp(f, x), fn.checkpoint):
        with raises(RuntimeError, "inside"):
            transform(broken)(TWO)
        with raises(RuntimeError, "inside"):
            fn.vmap(fn.grad(transform(broken)))(A([[1.0, 2.0]]))
    assert fn.vmap(fn.grad(lambda x: x * x))(TWO).tolist() == [2.0, 4.0]


# ---- rules


def test_custom_rules_that_do_not_fit():
    @fn.custom_vjp
    def f(x, y):
        return x * y

    with raises(TypeError, "f has no rule", "defvjp"):
        f(A(1.0), A(2.0))
    f.defvjp(lambda x, y: x * y, lambda r, ct: (ct, ct))
    with raises(TypeError, "\\(output, residuals\\)"):
        fn.grad(f)(A(1.0), A(2.0))
    f.defvjp(lambda x, y: (x * y, None), lambda r, ct: (ct,))
    with raises(TypeError, "each of the 2 arguments", "1 values"):
        fn.grad(f)(A(1.0), A(2.0))
    f.defvjp(lambda x, y: (x * y, None), lambda r, ct: (fn.stack([ct, ct]), None))
    with raises(ValueError, "cotangent of shape \\(2,\\)", "expected shape \\(\\)"):
        fn.grad(f)(A(1.0), A(2.0))

    @fn.custom_jvp
    def g(x):
        return x

    with raises(TypeError, "g has no rule", "defjvp"):
        g(A(1.0))
    g.defjvp(lambda p, t: p[0])
    with raises(TypeError, "\\(output, tangent of the output\\)"):
        fn.grad(g)(A(1.0))
    g.defjvp(lambda p, t: (p[0], TWO * t[0]))
    with raises(ValueError, "tangent of shape \\(2,\\)"):
        fn.grad(g)(A(1.0))


def test_policies_are_checked():
    with raises(TypeError, "expected a policy"):
        fn.checkpoint(lambda x: x, policy="nothing")
    with raises(ValueError, "positive number of bytes"):
        fn.checkpoint_policies.budget(0)
    with raises(TypeError, "expected strings"):
        fn.checkpoint_policies.save_names(3)


def test_what_is_held_constant_needs_no_derivative():
    x = fn.array(2.0)
    for f in (lambda x: fn.polygamma(x, 1.5), lambda x: fn.while_loop(lambda y: y < 5, lambda y: y * 2, x)):
        with pytest.raises(ValueError, match="derivative"):
            fn.grad(lambda x, f=f: x * f(x))(x)
        gradient = fn.grad(lambda x, f=f: x * f(fn.stop_gradient(x)))(x)
        np.testing.assert_allclose(gradient, f(x), rtol=1e-6)

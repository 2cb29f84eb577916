"""grad, value_and_grad, vjp, jvp, checkpoint and stop_gradient of mlx.core."""

import collections
import contextlib
import inspect

import pytest
from tests.compat.library import REAL, mx

Pair = collections.namedtuple("Pair", "a b")


class Dict(dict):
    pass


class List(list):
    pass


class Tuple(tuple):
    pass


def scalar(x=2.0):
    return mx.array(x)


def vector():
    return mx.array([1.0, 2.0, 3.0])


def plain(tree):
    """A tree with lists of numbers in the place of arrays."""
    if isinstance(tree, mx.array):
        return tree.tolist()
    if isinstance(tree, dict):
        return {k: plain(v) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(*map(plain, tree)) if hasattr(tree, "_fields") else type(tree)(map(plain, tree))
    return tree


def test_gradients_are_mutable_arrays():
    gradient = mx.grad(lambda x: (x * x).sum())(vector())
    assert type(gradient) is mx.array
    gradient[0] = 7.0
    assert gradient.tolist() == [7.0, 4.0, 6.0]


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [
        (None, 9.0),
        (0, 9.0),
        (1, 12.0),
        ((0, 1), (9.0, 12.0)),
        ([0, 1], (9.0, 12.0)),
        ([1, 0], (9.0, 12.0)),
        ([1], 12.0),
        (True, 12.0),
    ],
)
def test_argnums(argnums, expected):
    assert plain(mx.grad(lambda a, b: a * b * b, argnums=argnums)(scalar(), scalar(3.0))) == expected


@pytest.mark.parametrize(
    ("argnums", "argnames", "expected"),
    [
        (None, "b", (None, {"b": 12.0})),
        (None, ["b"], (None, {"b": 12.0})),
        (None, ("b",), (None, {"b": 12.0})),
        (0, ["b", "b"], (9.0, {"b": 12.0})),
        ([0], "b", (9.0, {"b": 12.0})),
    ],
)
def test_argnames(argnums, argnames, expected):
    gradients = mx.grad(lambda a, b: a * b * b, argnums=argnums, argnames=argnames)(scalar(), b=scalar(3.0))
    assert plain(gradients) == expected


def test_argnames_of_several():
    x = scalar()
    gradients = mx.grad(lambda a, b: a * b * b, argnames=["b", "a"])(a=x, b=x)
    assert plain(gradients) == (None, {"a": 4.0, "b": 8.0})
    gradients = mx.grad(lambda a, b, c: a * b * c, argnums=[0, 1], argnames="c")(x, x, c=scalar(3.0))
    assert plain(gradients) == ((6.0, 6.0), {"c": 4.0})


@pytest.mark.parametrize(
    ("options", "args", "kwargs"),
    [
        ({"argnums": -1}, 2, {}),
        ({"argnums": 2}, 2, {}),
        ({"argnums": [1, 1]}, 2, {}),
        ({"argnums": []}, 2, {}),
        ({"argnames": "c"}, 1, {"b"}),
        ({"argnames": "b"}, 2, {}),
        ({}, 0, {"a", "b"}),
    ],
)
def test_missing_arguments(options, args, kwargs):
    for transform in (mx.grad, mx.value_and_grad):
        with pytest.raises(ValueError):
            transform(lambda a, b: a * b, **options)(*[scalar()] * args, **{k: scalar() for k in kwargs})


@pytest.mark.parametrize("options", [{"argnums": 1.0}, {"argnums": "a"}, {"argnames": None}, {"argnames": 3}])
def test_kinds_of_positions(options):
    with pytest.raises(TypeError):
        mx.grad(lambda a, b: a * b, **options)


@pytest.mark.parametrize("transform", [mx.grad, mx.value_and_grad, mx.vmap, mx.checkpoint])
def test_only_functions_are_transformed(transform):
    with pytest.raises(TypeError):
        transform(3)


@pytest.mark.parametrize(
    "value",
    [
        lambda x: x * vector(),
        lambda x: (x * vector())[:1],
        lambda x: 3.0,
        lambda x: None,
        lambda x: [x],
        lambda x: {"l": x},
    ],
)
def test_what_is_no_scalar(value):
    for transform in (mx.grad, mx.value_and_grad):
        with pytest.raises(ValueError):
            transform(value)(scalar())


def test_auxiliary_results():
    x = scalar()
    with pytest.raises(ValueError):
        mx.grad(lambda a: (a * a, 3))(x)
    value, gradient = mx.value_and_grad(lambda a: (a * a, 3, a, None, "s", {"k": a}))(x)
    assert plain(value) == (4.0, 3, 2.0, None, "s", {"k": 2.0})
    assert gradient.item() == 4
    assert plain(mx.value_and_grad(lambda a: (a * a,))(x)) == ((4.0,), 4.0)
    value, _ = mx.value_and_grad(lambda a: Tuple((a * a, 3)))(x)
    assert type(value) is Tuple
    for wrong in ((), (3, x)):
        with pytest.raises(ValueError):
            mx.value_and_grad(lambda a, wrong=wrong: wrong)(x)


def test_values_of_other_dtypes():
    x = scalar()
    assert mx.grad(lambda a: mx.array(3))(x).item() == 0
    assert mx.grad(lambda a: a > 1)(x).item() == 0
    assert mx.grad(lambda a: (a.astype(mx.int32) * 3).sum())(x).item() == 3


@pytest.mark.parametrize(
    ("x", "expected", "dtype"),
    [
        (3, 2, mx.int32),
        ([3, 4], [2, 2], mx.int32),
        ([True, False], [True, True], mx.bool_),
    ],
)
def test_gradients_by_integers(x, expected, dtype):
    gradient = mx.grad(lambda a: (a * 2.5).sum())(mx.array(x))
    assert gradient.tolist() == expected
    assert gradient.dtype == dtype


def test_gradients_by_integers_through_operations():
    n = mx.array([3, -4, 5])
    grads = {
        "sum": mx.grad(lambda a: a.sum())(n),
        "square": mx.grad(lambda a: (a * a).sum())(n),
        "where": mx.grad(lambda a: mx.where(a > 0, a * 3, a).sum())(n),
        "maximum": mx.grad(lambda a: mx.maximum(a, 4).sum())(n),
        "abs": mx.grad(lambda a: mx.abs(a).sum())(n),
        "negative": mx.grad(lambda a: (-a).sum())(n),
        "reshape": mx.grad(lambda a: (a.reshape(3, 1) * mx.array([[1, 2]])).sum())(n),
        "take": mx.grad(lambda a: a[mx.array([0, 0, 2])].sum())(n),
        "concatenate": mx.grad(lambda a: (mx.concatenate([a, a]) * mx.arange(6)).sum())(n),
        "there and back": mx.grad(lambda a: (a.astype(mx.float32) * 1.5).astype(mx.int32).sum())(n),
    }
    assert plain(grads) == {
        "sum": [1, 1, 1],
        "square": [6, -8, 10],
        "where": [3, 1, 3],
        "maximum": [0, 0, 1],
        "abs": [1, -1, 1],
        "negative": [-1, -1, -1],
        "reshape": [3, 3, 3],
        "take": [2, 0, 1],
        "concatenate": [3, 5, 7],
        "there and back": [1, 1, 1],
    }
    assert all(g.dtype == mx.int32 for g in grads.values())


def test_floats_rounded_to_integers_on_the_way():
    assert mx.grad(lambda x: (x.astype(mx.int32) * 1.5).sum())(vector()).tolist() == [1, 1, 1]
    assert mx.grad(lambda x: (x // 2).sum())(vector()).tolist() == [0, 0, 0]
    assert mx.grad(lambda x: mx.round(x).sum())(vector()).tolist() == [0, 0, 0]


def test_unused_arguments():
    gradients = mx.grad(lambda a, b: b * b, argnums=(0, 1))(vector(), scalar())
    assert plain(gradients) == ([0, 0, 0], 4)
    gradients = mx.grad(lambda a, b: b * b, argnums=(0, 1))(mx.array([1, 2]), scalar())
    assert gradients[0].dtype == mx.int32


@pytest.mark.parametrize("leaf", [2.0, 2, None, "s", [1.0], {"a": 3.0}])
def test_leaves_that_are_no_arrays(leaf):
    with pytest.raises(ValueError):
        mx.grad(lambda a: scalar())(leaf)
    with pytest.raises(ValueError):
        mx.grad(lambda p: p["x"])({"x": scalar(), "y": leaf})
    # Elsewhere they are welcome.
    assert mx.grad(lambda x, y: x * x)(scalar(), {"y": leaf}).item() == 4


@pytest.mark.parametrize("empty", [[], {}, ()])
def test_nothing_to_differentiate_by(empty):
    with pytest.raises(ValueError):
        mx.grad(lambda a: scalar())(empty)
    assert plain(mx.grad(lambda p, q: q * q, argnums=(0, 1))(empty, scalar())) == (empty, 4)


def test_containers_of_gradients():
    x, y = scalar(), scalar(3.0)
    assert plain(mx.grad(lambda p: p["a"] * p["b"])({"a": x, "b": y})) == {"a": 3, "b": 2}
    assert plain(mx.grad(lambda p: p[0] * p[1])([x, y])) == [3, 2]
    assert plain(mx.grad(lambda p: p[0] * p[1])((x, y))) == (3, 2)
    assert plain(mx.grad(lambda p: p[1] * p["a"])({1: x, "a": y})) == {1: 3, "a": 2}
    tree = {"l": [{"w": vector()}], "t": (vector(),), "e": [], "f": {}}
    gradients = mx.grad(lambda p: (p["l"][0]["w"] * p["t"][0]).sum())(tree)
    assert plain(gradients) == {"l": [{"w": [1, 2, 3]}], "t": ([1, 2, 3],), "e": [], "f": {}}


@pytest.mark.parametrize(
    ("tree", "kind"),
    [
        (lambda x, y: Dict(a=x, b=y), dict),
        (lambda x, y: collections.OrderedDict(a=x, b=y), dict),
        (lambda x, y: collections.defaultdict(list, a=x, b=y), dict),
        (lambda x, y: List([x, y]), list),
        (lambda x, y: Tuple([x, y]), Tuple),
        (lambda x, y: Pair(x, y), Pair),
    ],
)
def test_containers_of_other_classes(tree, kind):
    given, seen = tree(scalar(), scalar(3.0)), []

    def product(p):
        seen.append(type(p))
        values = list(p.values()) if isinstance(p, dict) else list(p)
        return values[0] * values[1]

    gradient = mx.grad(product)(given)
    assert seen == [type(given)]
    assert type(gradient) is kind
    assert plain(list(gradient.values()) if isinstance(gradient, dict) else list(gradient)) == [3, 2]


def test_functions_see_the_containers_that_they_are_given():
    tree, seen = {"a": vector()}, []
    weight = tree["a"]

    def f(p):
        seen.append(p)
        assert p["a"] is not weight
        return (p["a"] * p["a"]).sum()

    assert plain(mx.grad(f)(tree)) == {"a": [2, 4, 6]}
    assert seen[0] is tree
    assert tree["a"] is weight


def test_containers_beside_the_differentiated_ones():
    module, seen = Dict(w=vector(), name="layer"), []
    weight = module["w"]

    def f(x, m):
        seen.append(m)
        return (x * m["w"]).sum()

    assert mx.grad(f)(vector(), module).tolist() == [1, 2, 3]
    assert seen[0] is module
    assert module["w"] is weight


def test_writing_to_arguments():
    tree = {"a": vector()}

    def f(p):
        p["a"] = p["a"] * 2
        return p["a"].sum()

    assert plain(mx.grad(f)(tree)) == {"a": [2, 2, 2]}
    assert tree["a"].tolist() == [2, 4, 6]


def test_exceptions():
    tree = {"a": vector()}
    with pytest.raises(KeyError, match="inside"):
        mx.grad(lambda p: {}["inside"])(tree)
    assert tree["a"].tolist() == [1, 2, 3]
    with pytest.raises(ZeroDivisionError):
        mx.grad(lambda p: 1 / 0)(scalar())


@pytest.mark.skipif(REAL, reason="MLX leaves its tracers in the containers")
def test_containers_after_exceptions_and_aliases_of_what_was_traced():
    tree, kept = {"a": vector()}, []
    weight = tree["a"]

    def f(p):
        kept.append(p["a"])
        raise KeyError

    with pytest.raises(KeyError):
        mx.grad(f)(tree)
    assert tree["a"] is weight
    assert kept[0].tolist() == [1, 2, 3]


@pytest.mark.skipif(REAL, reason="MLX crashes")
def test_new_entries():
    tree = {"a": vector()}

    def f(p):
        p["copy"], p["new"] = p["a"], p["a"] * 2
        return (p["a"] * p["new"]).sum()

    assert plain(mx.grad(f)(tree)) == {"a": [4, 8, 12]}
    assert plain(tree) == {"a": [1, 2, 3], "copy": [1, 2, 3], "new": [2, 4, 6]}


def test_the_same_array_twice():
    x = vector()
    gradients = mx.grad(lambda a, b: (a * b * b).sum(), argnums=(0, 1))(x, x)
    assert plain(gradients) == ([1, 4, 9], [2, 8, 18])
    gradients = mx.grad(lambda p: (p["a"] * p["b"] * p["b"]).sum())({"a": x, "b": x})
    assert plain(gradients) == {"a": [1, 4, 9], "b": [2, 8, 18]}


def add_in_place(p):
    p += 1
    return (p * p).sum()


def set_element(p):
    p[0] = 5
    return (p * p).sum()


def test_in_place_operations_inside():
    for f, expected in ((add_in_place, [4, 6]), (set_element, [0, 4])):
        x = mx.array([1.0, 2.0])
        assert mx.grad(f)(x).tolist() == expected
        assert x.tolist() == [1, 2]


def test_in_place_operations_on_other_arrays():
    x, y = mx.array([1.0, 2.0]), mx.array([1.0, 1.0])

    def f(p, q):
        q += p
        return (q * q).sum()

    assert mx.grad(f)(x, y).tolist() == [4, 6]
    assert y.tolist() == [1, 1]

    def g(p):
        nonlocal y
        y += p
        return (y * y).sum()

    assert mx.grad(g)(x).tolist() == [4, 6]
    assert y.tolist() == [2, 3]


def test_looking_at_values_inside():
    def f(p):
        q = p * p
        mx.eval(q)
        return q.sum() * (2 if q.sum().item() > 4 else 1)

    assert mx.grad(f)(mx.array([1.0, 2.0])).tolist() == [4, 8]


def test_higher_derivatives():
    x = scalar()
    assert mx.grad(mx.grad(lambda p: p * p * p))(x).item() == 12
    assert mx.grad(lambda z: mx.value_and_grad(lambda p: p * p * p)(z)[0])(x).item() == 12
    second = mx.grad(lambda z: mx.grad(lambda p: (mx.sort(p) * p * p).sum())(z).sum())(vector())
    assert second.tolist() == [6, 12, 18]


def test_names_of_transformed_functions():
    def loss(x):
        """The loss."""
        return x * x

    for transformed in (mx.grad(loss), mx.value_and_grad(loss), mx.vmap(loss), mx.checkpoint(loss)):
        assert transformed.__name__ == "loss"
        assert transformed.__doc__ == "The loss."
        assert inspect.signature(transformed) == inspect.signature(loss)


def test_transformed_functions_are_no_methods():
    class Model:
        loss = mx.grad(lambda x: x * x)

    assert Model().loss(scalar()).item() == 4


def test_derivatives_of_indices():
    x = vector()
    for index in (mx.argsort, mx.argmin, mx.argmax, lambda p: mx.argpartition(p, 1), lambda p: mx.searchsorted(p, x)):
        gradient = mx.grad(lambda p, index=index: index(p).astype(mx.float32).sum())(x)
        assert gradient.tolist() == [0, 0, 0]
        assert mx.jvp(lambda p, index=index: index(p), [x], [x])[1][0].sum().item() == 0


@pytest.mark.parametrize(
    "f",
    [
        lambda p: mx.take(p, mx.argsort(p)).sum(),
        lambda p: mx.take_along_axis(p, mx.argsort(p), axis=0).sum(),
        lambda p: vector()[p.astype(mx.int32) - 1].sum(),
        lambda p: mx.take(vector(), mx.argmin(p)),
        lambda p: mx.zeros((3,)).at[mx.argsort(p)].add(p).sum(),
    ],
)
def test_derivatives_with_respect_to_indices(f):
    with pytest.raises(ValueError, match="indices"):
        mx.grad(f)(vector())


def test_indices_behind_stop_gradient():
    x = mx.array([3.0, 1.0, 2.0])

    def f(p):
        return (mx.take_along_axis(p, mx.stop_gradient(mx.argsort(p)), axis=0) * vector()).sum()

    assert mx.grad(f)(x).tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda p: (mx.sort(p) * vector()).sum(), [3, 1, 2]),
        (lambda p: mx.topk(p, 2).sum(), [1, 0, 1]),
        (lambda p: mx.max(p), [1, 0, 0]),
        (lambda p: mx.median(p), [0, 0, 1]),
        (lambda p: mx.cummax(p)[2], [1, 0, 0]),
        (lambda p: mx.softmax(p)[0] * 0, [0, 0, 0]),
        (lambda p: mx.logsumexp(p) * 0, [0, 0, 0]),
        (lambda p: mx.partition(p, 0)[0], [0, 1, 0]),
    ],
)
def test_selections_choose_no_index_of_the_user(f, expected):
    x = mx.array([3.0, 1.0, 2.0])
    assert mx.grad(f)(x).tolist() == expected
    # Nor do their derivatives.
    mx.eval(mx.grad(lambda p: (mx.grad(f)(p) * p).sum())(x))


def test_vjp():
    x, y = scalar(), scalar(3.0)
    assert plain(mx.vjp(lambda a, b: (a * b, a + b), [x, y], (x, y))) == ([6, 5], [9, 7])
    assert plain(mx.vjp(lambda a, b: [a * b], (x, y), [mx.array(1)])) == ([6], [3, 2])
    assert plain(mx.vjp(lambda a, b: a, [x, vector()], [x])) == ([2], [2, [0, 0, 0]])
    assert plain(mx.vjp(lambda a: (a * 2, mx.stop_gradient(a)), [x], [x])) == ([4, 2], [4])
    assert plain(mx.vjp(lambda: x, [], [x])) == ([2], [])
    integer = mx.vjp(lambda a, b: a * b, [mx.array(2), x], [x])[1][0]
    assert (integer.item(), integer.dtype) == (4, mx.int32)


def test_vjp_refuses():
    x = scalar()
    for cotangents in ([x], [vector(), x]):
        with pytest.raises(ValueError):
            mx.vjp(lambda a: (a, a * 2), [x], cotangents)
    for primals, cotangents in ((x, x), ([2.0], [1.0]), ([{"a": x}], [x]), ([x], [[1.0]])):
        with pytest.raises(TypeError):
            mx.vjp(lambda a: a, primals, cotangents)


def test_jvp():
    x, y = scalar(), scalar(3.0)
    assert plain(mx.jvp(lambda a, b: (a * b, a + b), [x, y], [x, y])) == ([6, 5], [12, 5])
    assert plain(mx.jvp(lambda a: (a, vector()), [x], [x])) == ([2, [1, 2, 3]], [2, [0, 0, 0]])
    assert plain(mx.jvp(lambda a: a * 2.5, [mx.array(3)], [mx.array(1)])) == ([7.5], [2.5])
    assert plain(mx.jvp(lambda a: a * 2, [x], [mx.array(1)])) == ([4], [2])
    for tangents in ([x, x], [vector()]):
        with pytest.raises(ValueError):
            mx.jvp(lambda a: a, [x], tangents)
    with pytest.raises(TypeError):
        mx.jvp(lambda a: a, x, x)
    with pytest.raises(ValueError, match="indices"):
        mx.jvp(lambda a: mx.take(a, mx.argsort(a)), [vector()], [vector()])


def test_checkpoint():
    x = scalar()
    assert mx.checkpoint(lambda a: a * 2)(x).item() == 4
    assert mx.grad(lambda a: mx.checkpoint(mx.square)(a))(x).item() == 4
    assert plain(mx.checkpoint(lambda a: (a * 2, [a, {"k": a}], 3, None, "s"))(x)) == (4, [2, {"k": 2}], 3, None, "s")
    assert mx.checkpoint(lambda a, b=None: a * b)(x, b=x).item() == 4
    assert mx.checkpoint(lambda a, b, c: a * b if c == "s" else a)(x, 2.5, "s").item() == 5
    gradient = mx.grad(lambda a: mx.checkpoint(lambda b: (b * b, mx.argsort(b)))(a)[0].sum())(vector())
    assert gradient.tolist() == [2, 4, 6]
    tree = Dict(w=x)
    gradient = mx.grad(lambda w, a: mx.checkpoint(lambda m, b: m["w"] * b)(Dict(w=w), a), argnums=(0, 1))(
        x, scalar(3.0)
    )
    assert plain(gradient) == (3, 2)
    assert tree["w"] is x


@pytest.mark.skipif(REAL, reason="MLX takes what the function reads from outside for constants")
def test_checkpoint_of_what_is_read_from_outside():
    assert mx.grad(lambda a: mx.checkpoint(lambda b: a * b)(a))(scalar()).item() == 4


def test_stop_gradient():
    assert mx.grad(lambda a: a * mx.stop_gradient(a))(scalar()).item() == 2
    assert mx.stop_gradient(scalar(), stream=mx.cpu).item() == 2
    for wrong in ([scalar()], 3.0):
        with pytest.raises(TypeError):
            mx.stop_gradient(wrong)


class Restless:
    """A key that changes its dict when it is hashed."""

    def __init__(self, tree, grow):
        self.tree, self.grow = tree, grow

    def __hash__(self):
        if self.grow and len(self.tree) < 20:
            self.tree[len(self.tree)] = mx.array(1.0)
        elif not self.grow and len(self.tree) > 1:
            self.tree.popitem()
        return 7


@pytest.mark.skipif(REAL, reason="MLX crashes")
@pytest.mark.parametrize("grow", [True, False])
def test_containers_that_change_while_they_are_walked(grow):
    def tree():
        made = {}
        key = Restless({}, grow)
        made[key] = mx.array(1.0)
        for i in range(5):
            made[str(i)] = mx.array(1.0)
        key.tree = made
        return made

    d = tree()
    for call in (
        lambda: mx.grad(lambda p: mx.array(1.0))(tree()),
        lambda: mx.compile(lambda p: p)(tree()),
        lambda: mx.compile(lambda a: a, inputs=d, outputs=d)(mx.array(1.0)),
        lambda: mx.vmap(lambda p: p)(tree()),
    ):
        for _ in range(2):
            with contextlib.suppress(ValueError, IndexError, RuntimeError):
                call()


class Replacing:
    """A key that puts other arrays into a list when it is hashed."""

    def __init__(self):
        self.given = []

    def __hash__(self):
        self.given[:] = [[mx.array(5.0)] for _ in self.given]
        return 7


@pytest.mark.skipif(REAL, reason="MLX crashes")
def test_arrays_that_are_replaced_while_they_are_walked():
    def tree():
        key, given = Replacing(), [[mx.array(float(i))] for i in range(4)]
        table = {key: mx.array(9.0)}
        key.given = given
        return [given, table]

    def f(p):
        return sum(x * x for (x,) in p[0])

    assert mx.compile(f)(tree()).item() in (14.0, 100.0)
    # What the function finds is not what is differentiated.
    assert plain(mx.grad(f)(tree())[0]) == [[0.0]] * 4


@pytest.mark.skipif(REAL, reason="MLX crashes")
def test_containers_that_hold_themselves():
    tree = []
    tree.append(tree)
    for call in (
        lambda: mx.grad(lambda p: mx.array(1.0))(tree),
        lambda: mx.compile(lambda p: mx.array(1.0))(tree),
        lambda: mx.compile(lambda a: a, inputs=tree, outputs=tree)(mx.array(1.0)),
        lambda: mx.vmap(lambda p: p)(tree),
        lambda: mx.custom_function(lambda p: p)(tree),
    ):
        with pytest.raises(RecursionError):
            call()


@pytest.mark.skipif(REAL, reason="MLX raises std::bad_cast")
def test_axes_that_fit_no_integer():
    for axes in ({"in_axes": 2**70}, {"out_axes": -(2**70)}):
        with pytest.raises((ValueError, OverflowError), match="vmap"):
            mx.vmap(lambda x: x, **axes)(vector())

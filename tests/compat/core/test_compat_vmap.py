"""vmap of mlx.core."""

import pytest
from tests.compat.core.test_compat_transforms import Dict, add_in_place, plain, scalar, vector
from tests.compat.library import REAL, mx


def matrix():
    return mx.arange(6, dtype=mx.float32).reshape(2, 3)


@pytest.mark.parametrize(("axis", "expected"), [(0, [3, 12]), (1, [3, 5, 7]), (-1, [3, 5, 7]), (-2, [3, 12])])
def test_axes_of_arguments(axis, expected):
    assert mx.vmap(lambda a: a.sum(), in_axes=axis)(matrix()).tolist() == expected


def test_trees_of_axes():
    m, v = matrix(), vector()
    expected = [[0, 2, 6], [3, 8, 15]]
    product = lambda d: d["a"] * d["b"]  # noqa: E731
    assert mx.vmap(lambda a, b: a * b, in_axes=(0, None))(m, v).tolist() == expected
    assert mx.vmap(product, in_axes={"a": 0, "b": None})({"a": m, "b": v}).tolist() == expected
    assert mx.vmap(product)({"a": m, "b": m}).tolist() == (m * m).tolist()
    assert mx.vmap(lambda d, e: d["a"] * e, in_axes=({"a": 0}, None))({"a": m}, v).tolist() == expected
    assert mx.vmap(lambda d, e: d[0] * e, in_axes=([0], None))([m], v).tolist() == expected
    assert mx.vmap(lambda d, e: d[0] * d[1], in_axes=((0, None), None))((m, v), v).tolist() == expected
    assert mx.vmap(lambda d, e: d[0] * d[1], in_axes=(None, 0))((v, v), m).tolist() == [[1, 4, 9]] * 2
    assert mx.vmap(lambda a: a, in_axes=(0,))(m).tolist() == m.tolist()
    assert mx.vmap(lambda a, b: a + b, in_axes=(0, 1))(m, m.T).tolist() == (2 * m).tolist()
    assert mx.vmap(lambda layer, x: layer["w"] * x, in_axes=(None, 0))(Dict(w=v), m).tolist() == expected


def test_axes_of_outputs():
    m = matrix()
    turned = m.T.tolist()
    assert mx.vmap(lambda a: a, out_axes=1)(m).tolist() == turned
    assert mx.vmap(lambda a: a, out_axes=-1)(m).tolist() == turned
    assert plain(mx.vmap(lambda a: (a, a * 2), out_axes=(0, 1))(m)) == (m.tolist(), (m.T * 2).tolist())
    assert plain(mx.vmap(lambda a: {"z": a}, out_axes={"z": 1})(m)) == {"z": turned}
    assert plain(mx.vmap(lambda a: [a, a])(m)) == [m.tolist()] * 2
    assert plain(mx.vmap(lambda a: (a, vector()))(m)) == (m.tolist(), [[1, 2, 3]] * 2)
    assert mx.vmap(lambda a: a, out_axes=(0,))(m).tolist() == m.tolist()


@pytest.mark.parametrize(
    ("in_axes", "args"),
    [
        ((None, None), (matrix(), vector())),
        ((0,), (matrix(), vector())),
        (0, (matrix(), mx.zeros((3, 2)))),
        (2, (matrix(), matrix())),
        (0, (matrix(), scalar())),
        (0, (matrix(), 2.0)),
        ((0, None), (matrix(), 2.0)),
        (0.0, (matrix(), matrix())),
        ("a", (matrix(), matrix())),
        (({"a": 0}, 0), (matrix(), matrix())),
    ],
)
def test_axes_that_do_not_fit(in_axes, args):
    with pytest.raises((ValueError, IndexError)):
        mx.vmap(lambda a, b: a, in_axes=in_axes)(*args)


def test_mapped_functions_refuse():
    with pytest.raises(TypeError):
        mx.vmap(lambda a, b: a * b)(matrix(), b=vector())
    with pytest.raises((ValueError, IndexError)):
        mx.vmap(lambda a: a, out_axes=5)(matrix())
    for value in (2.0, None):
        with pytest.raises(ValueError):
            mx.vmap(lambda a, value=value: value)(matrix())
    for look in (
        lambda a: a.sum().item(),
        lambda a: a.tolist(),
        lambda a: mx.eval(a),
        lambda a: str(a),
        lambda a: bool(a.sum() > 0),
    ):
        with pytest.raises(ValueError):
            mx.vmap(look)(matrix())


def test_writing_in_mapped_functions():
    m = matrix()
    assert mx.vmap(add_in_place)(m).tolist() == [14, 77]

    def changed(a):
        a[0] = 5.0
        a += 1
        return a

    # MLX assigns to the first row only.
    assert mx.vmap(changed)(m).tolist() == [[6, 2, 3], [6, 5, 6]] or REAL
    assert m.tolist() == [[0, 1, 2], [3, 4, 5]]
    result = mx.vmap(lambda a: a * 2)(m)
    result[0] = 0
    assert result.tolist() == [[0, 0, 0], [6, 8, 10]]


@pytest.mark.skipif(REAL, reason="MLX takes another axis than the one that stands there")
def test_axes_of_several_outputs():
    m = matrix()
    turned = m.T.tolist()
    assert plain(mx.vmap(lambda a: {"x": a, "y": a}, out_axes={"x": 1, "y": 0})(m)) == {"x": turned, "y": m.tolist()}
    assert plain(mx.vmap(lambda a: (a, [a, {"z": a}]), out_axes=(0, 1))(m)) == (m.tolist(), [turned, {"z": turned}])
    assert plain(mx.vmap(lambda a: (a, vector()), out_axes=(0, None))(m)) == (m.tolist(), [1, 2, 3])


def test_vmap_with_the_others():
    m = matrix()
    assert mx.vmap(mx.vmap(lambda a: a * 2))(m).tolist() == (m * 2).tolist()
    assert mx.vmap(mx.grad(lambda a: (a * a).sum()))(m).tolist() == (2 * m).tolist()
    assert mx.grad(lambda n: mx.vmap(lambda a: (a * a).sum())(n).sum())(m).tolist() == (2 * m).tolist()
    assert mx.vmap(mx.argsort)(m).tolist() == [[0, 1, 2]] * 2
    assert mx.vmap(lambda a: a * 2)(mx.zeros((0, 3))).shape == (0, 3)

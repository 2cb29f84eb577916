"""What mx.eval reaches: everything in lists, tuples and dicts, modules among them."""

import collections

import pytest
from tests.compat.library import REAL, mx, nn

Pair = collections.namedtuple("Pair", "first second")


@pytest.mark.skipif(REAL, reason="MLX does not tell what is computed")
@pytest.mark.parametrize("evaluate", ["eval", "async_eval"])
def test_reaches(evaluate):
    import funcnn as fn

    class Model(nn.Module):
        def __init__(self, x):
            super().__init__()
            self.layers = [{"inner": (x,)}]
            self.inner = nn.Module()
            self.inner.weight = x + 1

    for wrap in (
        lambda x: x,
        lambda x: [x, None, 3, "text"],
        lambda x: {1: x, "a": [x]},
        lambda x: Pair(x, object()),
        lambda x: collections.OrderedDict(a=x),
        lambda x: fn.frozendict(a=[x, fn.frozendict(b=(x,))]),
        Model,
    ):
        x = mx.ones(2) + 1
        tree = wrap(x)
        getattr(mx, evaluate)(tree)
        mx.synchronize()
        assert fn._core._is_computed(x)
        if isinstance(tree, Model):
            assert fn._core._is_computed(tree.inner.weight)


def test_takes_anything():
    for other in (3, None, "text", object(), {1, 2}, [{"a": object()}]):
        mx.eval(other)
        mx.async_eval(other, other)
    mx.eval()
    mx.eval(mx.random.state)


def test_is_refused_while_compiling():
    with pytest.raises(ValueError, match=r"\S"):
        mx.compile(lambda x: (mx.eval(x), x)[1])(mx.ones(2))


def test_reaches_the_random_state():
    mx.random.seed(3)
    mx.random.uniform()
    mx.eval([mx.random.state])
    if not REAL:
        from funcnn._core import _is_computed

        assert _is_computed(mx.random.state[0])


def test_nests_too_deep():
    tree = []
    for _ in range(200_000):
        tree = [tree]
    if not REAL:  # MLX runs out of stack
        with pytest.raises(RecursionError):
            mx.eval(tree)

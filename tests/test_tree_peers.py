"""The same answers as optree and jax.tree, where these are installed."""

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcnn import tree
from strategies import Point, keys, leaves

# What all three take for containers, and order alike.
common = st.recursive(
    leaves,
    lambda children: st.one_of(
        st.dictionaries(keys, children, max_size=4),
        st.lists(children, max_size=4),
        st.lists(children, max_size=4).map(tuple),
        st.builds(Point, children, children),
        st.just(None),
    ),
    max_leaves=20,
)


@given(common, common)
def test_optree(a, b):
    optree = pytest.importorskip("optree")
    assert tree.leaves(a) == optree.tree_leaves(a)
    assert tree.map(operator.neg, a) == optree.tree_map(operator.neg, a)
    assert (tree.structure(a) == tree.structure(b)) == (optree.tree_structure(a) == optree.tree_structure(b))
    assert tree.structure(a).num_leaves == optree.tree_structure(a).num_leaves
    assert tree.leaves(a, lambda x: x is None) == optree.tree_leaves(a, none_is_leaf=True)


@given(common, common)
def test_jax(a, b):
    jax = pytest.importorskip("jax")
    assert tree.leaves(a) == jax.tree.leaves(a)
    assert tree.map(operator.add, a, a) == jax.tree.map(operator.add, a, a)
    assert (tree.structure(a) == tree.structure(b)) == (jax.tree.structure(a) == jax.tree.structure(b))
    assert repr(tree.structure(a)) == str(jax.tree.structure(a)).replace("CustomNode", "") or "Point" in repr(a)
    assert tree.all(a) == jax.tree.all(a)
    with_path = jax.tree.leaves_with_path(a)
    names = [
        [str(getattr(k, "key", getattr(k, "idx", getattr(k, "name", None)))) for k in path] for path, _ in with_path
    ]
    plain = [".".join(n.replace("\\", "\\\\").replace(".", "\\.") for n in path) for path in names]
    assert tree.paths(a) == plain


@given(common)
def test_jax_transpose_and_prefix(a):
    jax = pytest.importorskip("jax")
    inner = {"x": 0, "y": (0, 0)}
    pairs = tree.map(lambda x: {"x": x, "y": (x, x + 1)}, a)
    ours = tree.transpose(tree.structure(a), tree.structure(inner), pairs)
    if tree.leaves(a):
        assert ours == jax.tree.transpose(jax.tree.structure(a), jax.tree.structure(inner), pairs)
    if hasattr(jax.tree, "broadcast"):
        assert tree.broadcast_prefix(3, a) == jax.tree.broadcast(3, a)

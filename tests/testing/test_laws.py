"""check_tree_laws names the law that a class or a function breaks; assert_trees_close says where trees differ."""

import enum
import math

import numpy as np
import pytest
from hypothesis import strategies as st

import funcnn as fn
from funcnn import testing, tree
from funcnn.testing._nodes import Bag, Block, Point

NUMBERS = testing.trees(st.integers(0, 9))


def node(flatten, unflatten, keys=None):
    """A registered class of two fields with these functions."""

    class Node:
        def __init__(self, a, b):
            self.a, self.b = a, b

    tree.register_node(Node, flatten, lambda data, children: unflatten(Node, data, children), keys)
    return Node


def pair(x):
    return (x.a, x.b), None


def make(cls, _, children):
    return cls(*children)


def strict(cls, _, children):
    return cls(*(0 + child if isinstance(child, int) else abs(child) for child in children))


def counted(cls, _, children):
    counted.calls += 1
    node = cls(*children)
    return node if counted.calls % 2 else cls(node.b, node.a)


counted.calls = 0


def test_right_classes_and_functions_pass():
    testing.check_tree_laws(node(pair, make))
    testing.check_tree_laws(node(pair, make, ("a", "b")))
    testing.check_tree_laws(Block)
    testing.check_tree_laws(Point)
    testing.check_tree_laws(lambda *items: Bag(items, "label"))
    testing.check_tree_laws(NUMBERS)
    testing.check_tree_laws(testing.trees(), max_examples=50)


class Mode(enum.Enum):
    A, B = 1, 2


def test_static_fields_are_drawn_by_their_annotation():
    seen = []

    def make(child, count: int, mode: Mode, *, name: str):
        seen.append((count, mode, name))
        return Bag([child], f"{count}{mode}{name}")

    testing.check_tree_laws(make, max_examples=20)
    assert {type(x) for row in seen for x in row} == {int, Mode, str}


@pytest.mark.parametrize(
    "broken, law",
    [
        (node(lambda x: ((x.a,), None), lambda cls, _, c: cls(c[0], 0)), "round trip|structure|any leaves|map"),
        (node(lambda x: ((x.a, x.b), np.arange(2)), make), "round trip"),
        (node(lambda x: ((x.b, x.a), None), make), "any leaves"),
        (node(pair, strict), "any leaves"),
        (node(lambda x: ((x.a, x.b), repr(x.a)), make), "any leaves"),
        (node(pair, make, ("k", "k")), "unique paths"),
        (node(lambda x: ((x.a, x.b), id(object())), make), "round trip|structure"),
    ],
    ids=[
        "loses a child",
        "arrays as metadata",
        "swaps",
        "converts",
        "metadata of leaves",
        "keys",
        "metadata of chance",
    ],
)
def test_broken_classes(broken, law):
    try:
        testing.check_tree_laws(broken)
    except AssertionError as error:
        assert any(f'the law "{name}' in str(error) for name in law.split("|")), str(error)
        assert "smallest example: t = " in str(error) and "Node object" in str(error)
    else:
        # A child that is never shown is no child of the tree.
        assert law.startswith("round trip|structure|any")


def grows(t):
    if isinstance(t, dict):
        t["new"] = 1
    return tree.flatten(t)


FUNCTIONS = [
    ({"unflatten": lambda treedef, leaves: tree.unflatten(treedef, list(leaves)[::-1])}, "round trip|any leaves"),
    ({"map": lambda f, t: tree.map(f, t, is_leaf=lambda x: isinstance(x, tuple) and not x)}, "map of every leaf"),
    ({"map": lambda f, t: tree.map(lambda x: (f(x), x)[not isinstance(x, int)], t)}, "map composition"),
    ({"map": lambda f, t: tuple(tree.map(f, t)) if type(t) is list else tree.map(f, t)}, "map identity"),
    ({"partition": lambda t, mask: (t, t)}, "partition and merge"),
    ({"merge": lambda a, b: a}, "partition and merge"),
    ({"paths": lambda t: [p.split(".")[-1] for p in tree.paths(t)]}, "unique paths"),
    ({"get": lambda t, path: tree.leaves(t)[0]}, "access by path"),
    ({"flatten": grows}, "purity"),
]


@pytest.mark.parametrize("functions, law", FUNCTIONS, ids=lambda x: x if isinstance(x, str) else next(iter(x)))
def test_broken_functions(functions, law):
    with pytest.raises(AssertionError) as first:
        testing.check_tree_laws(NUMBERS, **functions)
    assert any(f'the law "{name}" is broken' in str(first.value) for name in law.split("|")), str(first.value)
    with pytest.raises(AssertionError) as second:
        testing.check_tree_laws(NUMBERS, **functions)
    assert str(first.value) == str(second.value)


def report(a, b, check=testing.assert_trees_close, **options):
    with pytest.raises(AssertionError) as error:
        check(a, b, **options)
    return str(error.value).splitlines()


def test_a_line_for_every_path():
    a = {"w": fn.array([[1.0, 2.0], [3.0, 4.0]]), "n": fn.array([1, 2]), "s": 1.0, "t": "x", "ok": fn.ones(3)}
    b = {"w": fn.array([[1.0, 2.5], [3.0, 9.0]]), "n": fn.array([1, 4]), "s": 2.0, "t": "y", "ok": fn.ones(3)}
    assert report(a, b) == [
        "the trees differ at 4 of 5 leaves:",
        "  n: 1 of 2 elements differ; the largest error is 2 at [1], where 2 should be 4",
        "  s: 1.0 should be 2.0; the error is 1",
        "  t: 'x' should be 'y'",
        "  w: 2 of 4 elements differ; the largest error is 5 at [1, 1], where 4.0 should be 9.0",
    ]
    many = [1.0] * 50
    assert report(many, [2.0] * 50)[-1] == "  and 30 more"


def test_structures_shapes_and_dtypes():
    assert report({"a": fn.ones(2)}, {"a": fn.ones(3)})[1] == "  a: the shape (2,) should be (3,)"
    assert report([fn.ones(2)], [fn.ones(2, dtype=fn.float16)])[1] == "  0: the dtype float32 should be float16"
    assert report({"a": 1, "b": 2}, {"a": 1, "c": (2,)}) == [
        "the trees have different structures:",
        "  b: a leaf (2) should not be there",
        "  c: a tuple of 1 is missing",
    ]
    assert report({"a": [1]}, {"a": (1,)})[1] == "  a: a list of 1 should be a tuple of 1"
    assert report((1, None), (1, tree.absent))[1] == "  1: None should be absent"
    assert "with other metadata" in report(Block(1, 2, "a"), Block(1, 2, "b"))[1]
    assert report({1: 0}, {True: 0})[1:] == ["  1: a leaf (0) should not be there", "  True: a leaf (0) is missing"]
    assert report([1], [fn.array(1)])[1] == "  0: 1 should be int32[]"


def test_numbers_that_are_none_and_tolerances():
    nan, inf = math.nan, math.inf
    x = fn.array([nan, inf, -inf, 1.0])
    testing.assert_trees_close(x, x)
    assert "where nan should be 1.0" in report(fn.array([nan, 1.0]), fn.array([1.0, 1.0]))[1]
    assert "where inf should be -inf" in report(fn.array([1.0, inf]), fn.array([1.0, -inf]))[1]
    assert "where 3.0 should be inf" in report(fn.array([3.0]), fn.array([inf]), rtol=1.0)[1]
    testing.assert_trees_close(fn.array([1.0]), fn.array([1.1]), rtol=0.2)
    testing.assert_trees_close(fn.array([0.0]), fn.array([0.1]), atol=0.2)
    testing.assert_trees_close([fn.zeros((0, 3))], [fn.zeros((0, 3))])
    testing.assert_trees_close(fn.array([1 + 2j]), fn.array([1 + 2j]))
    assert report(fn.array([2**63 - 1], dtype=fn.int64), fn.array([2**63 - 2], dtype=fn.int64), rtol=1.0)
    big = fn.array([2**64 - 1], dtype=fn.uint64)
    assert "error is 1.84e+19" in report(big, fn.array([0], dtype=fn.uint64))[1]
    assert report(fn.array([True, False]), fn.array([True, True]))[1].startswith("  the root: 1 of 2 elements differ")
    assert report(fn.array([1.0], dtype=fn.bfloat16), fn.array([2.0], dtype=fn.bfloat16))
    testing.assert_trees_close(10**30, 10**30)
    assert report(10**30, 10**30 + 1)


def test_bits():
    same = {"a": fn.array([math.nan, -0.0]), "b": -0.0, "c": None, "d": math.nan}
    testing.assert_trees_equal(same, {**same, "a": fn.array([math.nan, -0.0])})
    line = report(fn.array([1.0, 0.0]), fn.array([1.0, -0.0]), testing.assert_trees_equal)[1]
    assert (
        line
        == "  the root: 1 of 2 elements differ, first at [1], where 0.0 should be -0.0 (bits 0x00000000 and 0x80000000)"
    )
    assert report(0.0, -0.0, testing.assert_trees_equal)[1] == "  the root: 0.0 should be -0.0"
    assert report(1, True, testing.assert_trees_equal)[1] == "  the root: 1 should be True"

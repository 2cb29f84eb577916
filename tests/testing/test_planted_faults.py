"""Utilities with planted faults are caught within 200 examples, and shrink to what shows the fault."""

import collections
import random

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

import funcnn as fn
from funcnn import testing, tree

NUMBERS = st.integers(0, 9)


def caught(strategy, broken, shrink=True):
    """The smallest example that `broken` says is one, found within 200 examples."""

    def fails(example):
        try:
            return bool(broken(example))
        except (AssertionError, LookupError, TypeError, ValueError):
            return True

    phases = [Phase.generate, *([Phase.shrink] if shrink else [])]
    quick = settings(max_examples=200, deadline=None, database=None, phases=phases)
    return find(strategy, fails, settings=quick, random=random.Random(0))


def differs(a, b):
    try:
        testing.assert_trees_equal(a, b)
    except AssertionError:
        return True
    return False


def split_at_dots(t, path):
    for name in path.split(".") if path else []:
        children = fn._core.tree_children(t)
        t = dict(zip(map(fn._core.tree_key_text, children[0]), children[1], strict=True))[name]
    return t


def test_a_path_split_at_dots():
    t = caught(testing.trees(NUMBERS), lambda t: any(split_at_dots(t, p) is not x for p, x in tree.leaves_with_path(t)))
    assert len(tree.leaves(t)) == 1 and any(c in tree.paths(t)[0] for c in "\\")
    with pytest.raises(AssertionError, match=r'the law "access by path" is broken(.|\n)*smallest example: t = '):
        testing.check_tree_laws(testing.trees(NUMBERS), get=split_at_dots, max_examples=200)


def ravel_through_float32(t):
    leaves, treedef = tree.flatten(t)
    parts = [np.asarray(x, np.float32).ravel() for x in leaves]
    back = [fn.array(p.reshape(x.shape), dtype=x.dtype) for p, x in zip(parts, leaves, strict=True)]
    return tree.unflatten(treedef, back)


def test_a_ravel_through_float32():
    kinds = testing.arrays(st.sampled_from([fn.int32, fn.float32, fn.int64]), testing.shapes(max_dims=2))
    t = caught(testing.trees(kinds), lambda t: differs(ravel_through_float32(t), t))
    (leaf,) = tree.leaves(t)
    assert leaf.dtype in (fn.int32, fn.int64) and abs(leaf.flatten()[0].item()) > 2**24
    # Over every dtype too, where float64 and complex numbers show it.
    caught(testing.trees(), lambda t: differs(ravel_through_float32(t), t), shrink=False)


def rebuilt(t, dict_items=None, drop=(), leaf=lambda x: x, named=True, empties=True):
    """A copy by hand of a tree of Python's containers, with a fault."""

    def go(t):
        return rebuilt(t, dict_items, drop, leaf, named, empties)

    if isinstance(t, (dict, fn.frozendict)):
        pairs = [(k, go(v)) for k, v in t.items() if not any(v is d for d in drop)]
        pairs = [(k, v) for k, v in pairs if empties or v not in ({}, [], ())]
        if type(t) is collections.defaultdict:
            return collections.defaultdict(t.default_factory, pairs)
        return type(t)(pairs)
    if isinstance(t, tuple) and hasattr(t, "_fields") and named:
        return type(t)(*map(go, t))
    if isinstance(t, (list, tuple)):
        return (list if isinstance(t, list) else tuple)(go(v) for v in t if not any(v is d for d in drop))
    return leaf(t)


PYTHON = [
    dict,
    list,
    tuple,
    fn.frozendict,
    collections.OrderedDict,
    collections.defaultdict,
    None,
    tree.absent,
    collections.namedtuple("Pair", "x y"),
]
OF_PYTHON = testing.trees(NUMBERS, containers=PYTHON)


@pytest.mark.parametrize(
    "fault",
    [
        {"drop": (None,)},
        {"drop": (tree.absent,)},
        {"named": False},
        {"empties": False},
    ],
    ids=str,
)
def test_what_containers_lose(fault):
    t = caught(OF_PYTHON, lambda t: differs(rebuilt(t, **fault), t))
    assert len(repr(t)) < 60


def test_a_right_copy_passes():
    with pytest.raises(NoSuchExample):
        caught(OF_PYTHON, lambda t: differs(rebuilt(t), t))


def test_a_map_that_drops_none():
    def drops_none(f, t):
        return tree.map(f, rebuilt(t, drop=(None,)))

    with pytest.raises(AssertionError, match=r'the law "map identity" is broken(.|\n)*0: None is missing'):
        testing.check_tree_laws(OF_PYTHON, map=drops_none, max_examples=200)


def test_integer_keys_sorted_as_strings():
    def leaves(t):
        if isinstance(t, (dict, fn.frozendict)) and not isinstance(t, collections.OrderedDict):
            return [x for key in sorted(t, key=str) for x in leaves(t[key])]
        children = fn._core.tree_children(t)
        return [t] if children is None else [x for child in children[1] for x in leaves(child)]

    t = caught(testing.trees(NUMBERS, min_leaves=2), lambda t: leaves(t) != tree.leaves(t))
    assert len(tree.leaves(t)) == 2
    dicts = testing.trees(NUMBERS, keys=st.integers(0, 20), containers=[dict])
    t = caught(dicts, lambda t: leaves(t) != tree.leaves(t))
    assert sorted(t) != sorted(t, key=str) and len(t) == 2


def test_signs_of_zero_and_bits_of_nan():
    def is_float(x):
        return fn.isdtype(x.dtype, "real floating")

    floats = testing.trees(testing.arrays(testing.dtypes("floating"), testing.shapes(max_dims=1)))

    def without_sign(t):
        return tree.map(lambda x: x + fn.zeros_like(x), t)

    def one_nan(t):
        return tree.map(lambda x: fn.where(fn.isnan(x), fn.array(float("nan"), dtype=x.dtype), x), t)

    t = caught(floats, lambda t: differs(without_sign(t), t))
    assert len(tree.leaves(t)) == 1
    t = caught(floats, lambda t: differs(one_nan(t), t))
    (leaf,) = tree.leaves(t)
    assert bool(fn.isnan(leaf).any())
    with pytest.raises(AssertionError, match=r"bits 0x\w+ and 0x\w+"):
        testing.assert_trees_equal(one_nan(t), t)


def sharing(t):
    leaves = tree.leaves(t)
    return [[x is y for y in leaves] for x in leaves]


def test_shared_leaves_that_become_two():
    def copied(t):
        return tree.map(lambda x: x.at[...].set(x), t)

    t = caught(testing.trees(min_leaves=1), lambda t: sharing(copied(t)) != sharing(t))
    assert len(tree.leaves(t)) == 2 and tree.leaves(t)[0] is tree.leaves(t)[1]


def test_subnormal_numbers_flushed_and_integers_clipped():
    floats = testing.trees(testing.arrays(fn.float32))
    caught(floats, lambda t: differs(tree.map(lambda x: fn.where(abs(x) < 1.2e-38, 0, x), t), t), shrink=False)
    bytes_ = testing.trees(testing.arrays(fn.int8))
    t = caught(bytes_, lambda t: differs(tree.map(lambda x: fn.maximum(x, -127), t), t))
    assert -128 in tree.leaves(t)[0].flatten().tolist()
    infinite = testing.trees(testing.arrays(testing.dtypes("floating")))
    caught(infinite, lambda t: any(bool(fn.isinf(x).any()) for x in tree.leaves(t)), shrink=False)


def test_several_trees_of_one_structure():
    pairs = testing.trees(NUMBERS, min_leaves=2).flatmap(lambda t: st.tuples(st.just(t), testing.trees_like(t)))

    def second_reversed(pair):
        a, b = pair
        got = tree.unflatten(
            tree.structure(a), [x - y for x, y in zip(tree.leaves(a), tree.leaves(b)[::-1], strict=True)]
        )
        return got != tree.map(lambda x, y: x - y, a, b)

    a, b = caught(pairs, second_reversed)
    assert tree.structure(a) == tree.structure(b) and len(tree.leaves(a)) == 2


def test_counts_of_leaves_are_kept_to():
    @settings(max_examples=60)
    @given(
        testing.trees(NUMBERS, min_leaves=3, max_leaves=6), testing.treedefs(leaves=NUMBERS, min_leaves=1, max_leaves=1)
    )
    def check(t, treedef):
        assert 3 <= len(tree.leaves(t)) <= 6 and treedef.num_leaves == 1

    check()

    Pair = collections.namedtuple("Pair", "x y")

    @settings(max_examples=30)
    @given(testing.trees(NUMBERS, min_leaves=2, max_leaves=5, containers=[Pair]))
    def pairs(t):
        assert 2 <= len(tree.leaves(t)) <= 5 and type(t) is Pair

    pairs()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: testing.trees(min_leaves=3, max_leaves=2), "min_leaves <= max_leaves"),
        (lambda: testing.trees(3), "trees: leaves must be a strategy, got 3"),
        (lambda: testing.trees(keys="a"), "trees: keys must be a strategy"),
        (lambda: testing.trees(containers=dict), "containers must be a list"),
        (lambda: testing.trees(containers=[]), "containers must not be empty"),
        (lambda: testing.trees(containers=["dict"]), "containers must hold classes, functions, None and absent"),
        (lambda: testing.trees_like({"a": object()}), "trees_like: say by `leaves`"),
        (lambda: testing.check_tree_laws(3), "check_tree_laws: nodes must be a strategy, a class or a function, got 3"),
        (lambda: testing.check_tree_laws(testing.trees(), map=3), "check_tree_laws: map must be a function"),
        (lambda: testing.check_tree_laws(testing.trees(), max_examples=0), "max_examples must be at least 1"),
        (lambda: testing.assert_trees_close(1, 1, rtol=-1), "assert_trees_close: rtol must be"),
        (lambda: testing.arrays(min_value=0, max_value=1, allow_infinity=True), "allow_infinity=True contradicts"),
    ],
)
def test_refused_by_name(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()

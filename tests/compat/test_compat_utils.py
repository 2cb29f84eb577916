"""Trees as in mlx.utils. Every test holds on MLX too, see tests/compat/library.py."""

import collections

import pytest
from tests.compat.library import REAL, utils

Pair = collections.namedtuple("Pair", "x y")


class Items(list):
    pass


class Words(dict):
    pass


def inc(x):
    return x + 1


def args(*leaves):
    return leaves


def pair(a, b):
    return a, b


@pytest.mark.parametrize(
    "tree, expected",
    [
        ([1, (2,), {"a": 3}], [2, (3,), {"a": 4}]),
        (Pair(1, 2), Pair(2, 3)),
        (Items([1]), Items([2])),
        (Words(a=1), {"a": 2}),
        (collections.OrderedDict(b=1, a=2), {"b": 2, "a": 3}),
        (7, 8),
        ([], []),
    ],
)
def test_tree_map_keeps_the_classes_of_sequences_and_makes_plain_dicts(tree, expected):
    result = utils.tree_map(inc, tree)
    assert result == expected
    assert type(result) is type(expected)


def test_tree_map_passes_what_the_other_trees_hold_at_a_leaf():
    assert utils.tree_map(args, {"a": 1}, {"a": [1, 2], "b": 3}) == {"a": (1, [1, 2])}
    assert utils.tree_map(args, [1, 2], (3, 4, 5), {0: 6, 1: 7}) == [(1, 3, 6), (2, 4, 7)]
    assert utils.tree_map(args, [None], ["x"]) == [(None, "x")]
    assert utils.tree_map(args, [], 3) == []


@pytest.mark.parametrize(
    "tree, other, error",
    [([1, 2], [3], IndexError), ({"a": 1}, {}, KeyError), ({"a": 1}, None, TypeError), ([1], 3, TypeError)],
)
def test_tree_map_raises_what_indexing_raises(tree, other, error):
    for function in (utils.tree_map, utils.tree_map_with_path):
        with pytest.raises(error):
            function(args, tree, other)


@pytest.mark.parametrize("leaf", [{1, 2}, range(3), "abc", collections.deque([1]), None, 1.5])
def test_all_but_dicts_lists_and_tuples_are_leaves(leaf):
    assert utils.tree_map(args, leaf) == (leaf,)
    assert utils.tree_map_with_path(args, leaf) == (None, leaf)
    assert utils.tree_flatten(leaf) == [("", leaf)]


def test_is_leaf_is_asked_from_the_root_on():
    seen = []

    def is_leaf(x):
        seen.append(x)
        return x == [1]

    assert utils.tree_map(args, [[1], 2], is_leaf=is_leaf) == [([1],), (2,)]
    assert seen == [[[1], 2], [1], 2]
    assert utils.tree_map_with_path(args, [[1], 2], is_leaf=is_leaf) == [("0", [1]), ("1", 2)]
    assert utils.tree_flatten([[1], 2], is_leaf=is_leaf) == [("0", [1]), ("1", 2)]
    assert utils.tree_reduce(pair, [[1], 2], is_leaf=is_leaf) == ([1], 2)
    assert utils.tree_flatten([1], is_leaf=lambda x: True) == [("", [1])]


def test_walks_that_do_not_end_raise():
    deep, endless = [], []
    for _ in range(100_000):
        deep = [deep]
    endless.append(endless)
    for tree in (deep, endless):
        for walk in (
            lambda tree: utils.tree_map(inc, tree),
            lambda tree: utils.tree_map_with_path(args, tree),
            utils.tree_flatten,
            lambda tree: utils.tree_reduce(pair, tree),
            lambda tree: utils.tree_merge(tree, tree),
        ):
            with pytest.raises(RecursionError):
                walk(tree)


def test_containers_that_change_during_the_walk():
    growing, shrinking = {"a": 1}, [1, 2, 3]
    with pytest.raises(RuntimeError, match="changed size"):
        utils.tree_map(lambda x: growing.update({str(len(growing)): 1}), growing)
    assert utils.tree_map(lambda x: shrinking.pop(), shrinking) == [3, 2]


def test_containers_with_an_order_of_their_own():
    class Other(list):
        def __iter__(self):
            return iter([7, 8])

    ordered = collections.OrderedDict(a=1, b=2)
    ordered.move_to_end("a")
    assert list(utils.tree_map(inc, ordered)) == ["b", "a"]
    assert utils.tree_flatten(ordered) == [("b", 2), ("a", 1)]
    assert list.__len__(utils.tree_map(inc, Other([1, 2, 3]))) == 2
    assert utils.tree_flatten(Other([1, 2, 3])) == [("0", 7), ("1", 8)]


def test_errors_of_callbacks_pass_through():
    def fail(*leaves):
        raise ZeroDivisionError

    for walk in (utils.tree_map, utils.tree_map_with_path, utils.tree_reduce):
        with pytest.raises(ZeroDivisionError):
            walk(fail, [1, 2])
        with pytest.raises(ZeroDivisionError):
            walk(pair, [1, 2], is_leaf=fail)
    with pytest.raises(ZeroDivisionError):
        utils.tree_flatten([1], is_leaf=fail)
    for function in (3, None):
        assert utils.tree_map(function, [[], {}]) == [[], {}]
        with pytest.raises(TypeError):
            utils.tree_map(function, [1])


@pytest.mark.skipif(REAL, reason="of funcnn alone")
def test_trees_of_the_functional_api():
    from funcnn.tree import frozendict

    tree = frozendict({"b": (1, frozendict()), "a": frozendict({"c": 2})})
    assert utils.tree_flatten(tree) == [("b.0", 1), ("a.c", 2)]
    assert utils.tree_map(args, tree, {"b": [3, {}], "a": {"c": 4}}) == {"b": ((1, 3), {}), "a": {"c": (2, 4)}}
    assert type(utils.tree_map(inc, tree)) is dict
    assert utils.tree_map_with_path(args, tree)["a"] == {"c": ("a.c", 2)}
    assert utils.tree_reduce(pair, tree) == (1, 2)
    assert utils.tree_merge(tree, {"b": [None, 5]}) == {"b": (1, 5), "a": {"c": 2}}
    assert utils.tree_unflatten(frozendict({"a.b": 1})) == {"a": {"b": 1}}


def test_any_number_of_trees():
    assert utils.tree_map(args, [0], *[[i] for i in range(1, 30)]) == [tuple(range(30))]


def test_paths():
    assert utils.tree_map_with_path(args, [1, (2,), {"a": 3, 4: 5}]) == [
        ("0", 1),
        (("1.0", 2),),
        {"a": ("2.a", 3), 4: ("2.4", 5)},
    ]
    assert utils.tree_map_with_path(args, 5, path="x") == ("x", 5)
    assert utils.tree_map_with_path(args, [5], path="x") == [("x.0", 5)]
    assert utils.tree_map_with_path(args, [5], path="") == [("0", 5)]
    assert utils.tree_map_with_path(args, Pair(1, 2), [3, 4]) == Pair(("0", 1, 3), ("1", 2, 4))


def test_tree_flatten_keeps_the_order_of_dicts_and_drops_empty_containers():
    tree = {"b": [1, (2,), {}], "a": {"z": None, "y": []}}
    assert utils.tree_flatten(tree) == [("b.0", 1), ("b.1.0", 2), ("a.z", None)]


@pytest.mark.parametrize("prefix, leaf, item", [("", "", "0"), (".x", "x", "x.0"), ("x", "", ".0")])
def test_tree_flatten_drops_the_first_character_of_its_prefix(prefix, leaf, item):
    assert utils.tree_flatten(1, prefix=prefix) == [(leaf, 1)]
    assert utils.tree_flatten([1], prefix=prefix) == [(item, 1)]


def test_tree_flatten_fills_its_destination():
    pairs, table = Items([7]), Words(z=1)
    assert utils.tree_flatten([1], destination=pairs) is pairs
    assert utils.tree_flatten([1], ".p", None, table) is table
    assert pairs == [7, ("0", 1)]
    assert table == {"z": 1, "p.0": 1}
    with pytest.raises(ValueError, match=r"(?i)destination"):
        utils.tree_flatten([1], destination=())


@pytest.mark.parametrize(
    "flat, tree",
    [
        ([("a.b", 1), ("a.c", 2)], {"a": {"b": 1, "c": 2}}),
        ([("b", 1), ("a", 2)], {"b": 1, "a": 2}),
        ([], []),
        ([("", 5)], 5),
        ([("", 5), ("a", 1)], {"": 5, "a": 1}),
        ([("2", 1), ("0", 3)], [3, {}, 1]),
        ([("10", 1), ("9", 2)], [{}, {}, {}, {}, {}, {}, {}, {}, {}, 2, 1]),
        ([("a", 1), ("0", 3)], {"a": 1, "0": 3}),
        ([("a.0", 1), ("a.x", 3)], {"a": {"0": 1, "x": 3}}),
        ([("a", 1), ("a.b", 3)], {"a": {"": 1, "b": 3}}),
        ([("01", 1)], [{}, 1]),
        ([("01", 1), ("1", 2)], {"01": 1, "1": 2}),
        ([("0", 1), ("-1", 2)], [2, 1]),
        ([("-5", 1), ("1", 2)], [1, 2]),
        ([("1_0", 1)], [{}] * 10 + [1]),
        ([(" 1", 1)], [{}, 1]),
        ([("1.5", 1)], [{}, [{}, {}, {}, {}, {}, 1]]),
        ([("1", 1), ("1.0", 2)], [{}, {"": 1, "0": 2}]),
        ([("a..b", 1)], {"a": {"": {"b": 1}}}),
        ([("a.", 1)], {"a": 1}),
        ([("a", [])], {"a": []}),
    ],
)
def test_tree_unflatten(flat, tree):
    assert utils.tree_unflatten(flat) == tree
    assert utils.tree_unflatten(dict(flat)) == tree
    if isinstance(tree, dict):
        assert list(utils.tree_unflatten(flat)) == list(tree)


def test_gaps_of_tree_unflatten_are_not_shared():
    first, second, _ = utils.tree_unflatten([("2", 1)])
    assert first is not second


def test_tree_unflatten_refuses_a_path_that_occurs_twice():
    for flat in ([("a", 1), ("a", 2)], [("0", 1), ("0", 2)], [("", 1), ("", 2)]):
        with pytest.raises((ValueError, RecursionError)):
            utils.tree_unflatten(flat)


def test_tree_reduce():
    assert utils.tree_reduce(pair, {"a": [1, 2], "b": 3}) == ((1, 2), 3)
    assert utils.tree_reduce(pair, {"a": [1, 2], "b": 3}, 10) == (((10, 1), 2), 3)
    assert utils.tree_reduce(pair, [], 5) == 5
    assert utils.tree_reduce(pair, []) is None
    assert utils.tree_reduce(pair, 3, 4) == (4, 3)
    assert utils.tree_reduce(pair, [None, 1, None, 2]) == ((1, None), 2)
    assert utils.tree_reduce(lambda a, b: None, [1, 2, 3]) == 3


@pytest.mark.parametrize(
    "a, b, merged",
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ([1, []], [{}, 3], [1, 3]),
        ([1, 2, 3], [{}, {}], [1, 2, 3]),
        ([None, 1], [2], [2, 1]),
        ((1, {}), [{}, 2], (1, 2)),
        ([1, {}], ({}, 2), [1, 2]),
        (Pair(1, None), Pair(None, 2), Pair(1, 2)),
        ((1, None), Pair(None, 2), (1, 2)),
        ({"a": 1}, [], {"a": 1}),
        ([], {"a": 1}, {"a": 1}),
        (None, 1, 1),
        ({}, 3, 3),
        ({"a": None}, {"a": 2}, {"a": 2}),
        (Words(a=1), Words(b=2), {"a": 1, "b": 2}),
        ([], [], []),
    ],
)
def test_tree_merge(a, b, merged):
    result = utils.tree_merge(a, b)
    assert result == merged
    assert type(result) is type(merged)


@pytest.mark.parametrize("a, b", [(1, 2), ([1], [2]), ([1], {"0": 2}), ({"a": 1}, 3), (1, [2])])
def test_tree_merge_asks_its_function_where_both_hold_something(a, b):
    with pytest.raises(ValueError, match="no merge"):
        utils.tree_merge(a, b)
    expected = [(1, 2)] if isinstance(a, list) and isinstance(b, list) else (a, b)
    assert utils.tree_merge(a, b, pair) == expected


@pytest.mark.parametrize("a, b", [({}, []), ([], ()), (Words(), {})])
def test_tree_merge_refuses_empty_containers_of_different_classes(a, b):
    for merge_fn in (None, pair):
        with pytest.raises(ValueError, match=f"annot merge {type(a).__name__} with {type(b).__name__}"):
            utils.tree_merge(a, b, merge_fn)


@pytest.mark.parametrize("a, b", [(None, None), ([], None), ({"a": {}}, {"b": 1})])
def test_tree_merge_refuses_places_where_neither_holds_anything(a, b):
    with pytest.raises(ValueError):
        utils.tree_merge(a, b)


def test_tree_merge_shares_what_only_one_tree_holds():
    a = {"x": [1]}
    assert utils.tree_merge(a, {}) is a
    assert utils.tree_merge({"q": 1}, a)["x"] is a["x"]

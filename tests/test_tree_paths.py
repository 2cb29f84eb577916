"""Paths and globs: one syntax, escaped, and matched in linear time."""

import collections
import enum
import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcnn import frozendict, tree
from funcnn.tree._parts import divided
from strategies import Bag, keys, trees

texts = st.text("ab.\\*?e é\ud800", max_size=4)


@given(st.lists(texts))
def test_split_inverts_join(names):
    path = tree.join_path(names)
    assert tree.split_path(path) == tuple(names)
    assert tree.join_path(tree.split_path(path)) == path


@given(st.lists(texts), st.lists(texts))
def test_different_keys_have_different_paths(a, b):
    assert (tree.join_path(a) == tree.join_path(b)) == (a == b)
    assert (tree.join_path(a) == "") == (a == [])


def test_texts_of_keys():
    class Name(str, enum.Enum):
        WEIGHT = "weight"

    class Place(enum.IntEnum):
        FIRST = 1

    assert tree.join_path([Name.WEIGHT, Place.FIRST, 0, -3, True, 1.5, (1, "a")]) == r"weight.1.0.-3.True.1\.5.(1, 'a')"
    assert tree.paths({Name.WEIGHT: 1}) == ["weight"] == tree.paths({"weight": 1})
    assert tree.get({Name.WEIGHT: {Place.FIRST: 5}}, "weight.1") == 5
    with pytest.raises(TypeError, match="keys must be a list of keys, got 'abc'"):
        tree.join_path("abc")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a..b", "empty key; write"),
        (".", "empty key"),
        ("a.", "empty key"),
        ("a\\", "stands before none of"),
        (r"a\b", "stands before none of"),
        (r"\*", "stands before none of"),
        (r"a\e", "beside others"),
        (r"\ea", "beside others"),
        (r"\e\e", "beside others"),
    ],
)
def test_malformed_paths(path, message):
    for call in [tree.split_path, lambda p: tree.get({}, p), lambda p: tree.set({}, p, 1)]:
        with pytest.raises(ValueError, match=message):
            call(path)


def test_an_empty_key_is_not_the_root():
    t = {"": 1, "a": {"": {"": 2}}}
    assert tree.paths(t) == [r"\e", r"a.\e.\e"]
    assert tree.get(t, r"\e") == 1 and tree.get(t, "") is t
    assert tree.set(t, r"a.\e.\e", 3) == {"": 1, "a": {"": {"": 3}}}
    assert tree.leaves(tree.filter(5, "")) == [5]
    with pytest.raises(ValueError, match="'' matches no path"):
        tree.filter(t, "")
    assert tree.leaves(tree.filter(t, r"\e")) == [1] and tree.leaves(tree.filter(t, r"**.\e")) == [1, 2]


def test_lone_surrogates_have_paths():
    t = {"\ud800": {"a": 1}}
    assert tree.paths(t) == ["\ud800.a"] and tree.get(t, "\ud800.a") == 1
    with pytest.raises(ValueError) as caught:
        tree.map(lambda x, y: x, t, {"\ud800": {"b": 1}})
    assert "at \ud800: expected a dict" in str(caught.value)


def test_get_and_set_take_the_same_trees():
    class Special(dict):
        pass

    class Frozen(frozendict):
        pass

    for leaf in [Special(a=1), Frozen(a=1), collections.Counter("a")]:
        for call in [lambda t: tree.get(t, "x.a"), lambda t: tree.set(t, "x.a", 2)]:
            with pytest.raises(KeyError, match=r"no 'a' at x of the tree: it is a leaf \("):
                call({"x": leaf})
    for node in [collections.OrderedDict(a=1), collections.defaultdict(int, a=1), frozendict(a=1), {"a": 1}]:
        assert tree.get({"x": node}, "x.a") == 1
        changed = tree.set({"x": node}, "x.a", 2)["x"]
        assert changed["a"] == 2 and type(changed) is type(node)


def by_hand(glob, path):
    """Whether a list of parts matches a list of keys, by definition."""
    if not glob:
        return not path
    if glob[0] == "**":
        return any(by_hand(glob[1:], path[i:]) for i in range(len(path) + 1))
    return bool(path) and fnmatch.fnmatchcase(path[0], glob[0]) and by_hand(glob[1:], path[1:])


plain = st.text("ab", min_size=1, max_size=4)


@given(
    st.lists(st.lists(plain, min_size=1, max_size=4), min_size=1, max_size=5),
    st.lists(st.text("ab*?", min_size=1, max_size=5), max_size=4),
)
def test_globs_match_by_definition(paths, glob):
    t = [{}]
    for path in paths:
        node = t[0]
        for key in path:
            node = node.setdefault(key, {})
    t = tree.map(lambda x: x, t[0], is_leaf=lambda x: x == {})
    found, treedef = tree.flatten_with_path(t, is_leaf=lambda x: x == {})
    full = tree.unflatten(treedef, range(len(found)))
    glob = ["*" if set(part) == {"*"} and part != "**" else part for part in glob]
    expected = [i for i, (path, _) in enumerate(found) if by_hand(glob, path.split("."))]
    if found != [("", {})]:
        assert tree.leaves(divided(full, ".".join(glob))[0]) == expected


@given(trees())
def test_every_path_is_a_glob_for_itself(t):
    for path in tree.paths(t):
        glob = path.replace("*", r"\*").replace("?", r"\?")
        assert tree.paths(tree.filter(t, glob)) == [path]
        assert path in tree.paths(tree.filter(t, "**"))


@given(st.dictionaries(keys, st.integers(), min_size=1, max_size=5))
def test_question_marks_stand_for_characters(t):
    for key in t:
        assert t[key] in tree.leaves(tree.filter(t, "?" * len(key)))


@pytest.mark.parametrize("glob", ["a..b", "a.", ".", "a\\", r"\q", r"a\e"])
def test_malformed_globs(glob):
    with pytest.raises(ValueError, match="the glob"):
        tree.filter({"a": 1}, glob)


def test_globs_take_linear_time():
    t = {"a" * 100_000 + "b": 1, **{f"{i}": {"a": {"a": 2}} for i in range(1000)}}
    deep = 1
    for _ in range(400):
        deep = {"a": deep}
    start = time.perf_counter()
    assert tree.leaves(divided(t, "*a" * 8 + "*c")[0]) == []
    assert tree.leaves(tree.filter(t, "*a" * 8 + "*b")) == [1]
    assert tree.leaves(divided(deep, "**.a." * 10 + "b")[0]) == []
    assert tree.leaves(tree.filter(deep, "**.a." * 10 + "**")) == [1]
    assert time.perf_counter() - start < 2.0


def test_globs_tell_equal_keys_of_other_types_apart():
    for _ in range(2):
        assert tree.leaves(tree.filter({True: 1}, "True")) == [1]
        assert tree.leaves(divided({1: 1}, "True")[0]) == []
        assert tree.leaves(tree.filter({1.0: 1}, r"1\.0")) == [1]
        assert tree.leaves(tree.filter({1: 1}, "1")) == [1]


def test_structures_tell_equal_values_of_other_types_apart():
    different = [True, 1, 1.0, 1 + 0j, (1,), (True,), (1.0,), ((1,),), ((1.0,),), 0, 0.0, -0.0, complex(0.0, -0.0), 0j]
    structures = [tree.structure(Bag([1], label)) for label in different]
    for i, a in enumerate(structures):
        assert [a == b for b in structures] == [i == j for j in range(len(structures))]
    assert tree.structure({1: 2}) != tree.structure({True: 2})
    assert tree.structure(Bag([1], (1, "a"))) == tree.structure(Bag([1], (1, "a")))
    # Values still meet where only their places matter.
    assert tree.map(lambda x, y: x + y, {1: 2}, {True: 3}) == {1: 5}


def test_paths_are_strings():
    for call in [tree.split_path, lambda path: tree.get({}, path), lambda path: tree.set({}, path, 1)]:
        with pytest.raises(TypeError, match="a path is a string, got 5"):
            call(5)


def test_a_path_that_stands_for_two_keys_is_refused():
    mixed = collections.OrderedDict([(1, "a"), ("1", "b")])
    assert tree.paths(mixed) == ["1", "1"]
    for use in (lambda t: tree.get(t, "0.1"), lambda t: tree.set(t, "0.1", "c")):
        with pytest.raises(ValueError, match=r"'1' at 0 of the tree stands for two keys: 1, '1'"):
            use([mixed])

"""The immutable dict."""

import collections.abc
import copy
import gc
import pickle
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcnn import frozendict, tree

dicts = st.dictionaries(st.text(max_size=3) | st.integers(-5, 5), st.integers(), max_size=6)


@given(dicts)
def test_reads_like_a_dict(d):
    f = frozendict(d)
    assert f == d and d == f and not (f != d or d != f)
    assert len(f) == len(d) and list(f) == list(d) and list(reversed(f)) == list(reversed(d))
    assert list(f.items()) == list(d.items()) and list(f.values()) == list(d.values()) and f.keys() == d.keys()
    assert all(f[key] == d[key] and key in f and f.get(key) == d[key] for key in d)
    assert "missing key" not in f and f.get("missing key") is None and f.get("missing key", 3) == 3
    assert dict(f) == d and {**f} == {**d} if all(isinstance(key, str) for key in d) else True
    assert isinstance(f, collections.abc.Mapping) and not isinstance(f, dict)
    match f:
        case {"a": x}:
            assert x == d["a"]


@given(dicts, dicts)
def test_union_makes_a_new_one(a, b):
    for merged in [frozendict(a) | b, frozendict(a) | frozendict(b), a | frozendict(b)]:
        assert type(merged) is frozendict
        assert merged == {**a, **b}
        assert list(merged) == list({**a, **b})
    f = g = frozendict(a)
    f |= b
    assert f == {**a, **b} and g == a


@given(dicts)
def test_hash_and_equality_ignore_the_order(d):
    f, g = frozendict(d), frozendict(dict(reversed(d.items())))
    assert f == g and hash(f) == hash(g)
    assert len({f, g}) == 1


@given(dicts)
def test_copies_and_pickles(d):
    f = frozendict(d)
    assert copy.copy(f) is f and f.copy() is f and frozendict(f) is f
    assert copy.deepcopy(f) == f
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(f, protocol))
        assert again == f and type(again) is frozendict and list(again) == list(f)


def test_construction():
    assert frozendict() == {} == frozendict({}) == frozendict([])
    assert (
        frozendict([("a", 1)], b=2) == frozendict({"a": 1}, b=2) == frozendict(frozendict(a=1), b=2) == {"a": 1, "b": 2}
    )
    assert frozendict.fromkeys("ab", 0) == {"a": 0, "b": 0}
    assert frozendict[str, int] is not None
    source = {"a": 1}
    frozen = frozendict(source)
    source["a"] = 2
    assert frozen["a"] == 1
    with pytest.raises(TypeError):
        frozendict(5)
    with pytest.raises(KeyError):
        frozen["b"]


def test_a_missing_key_is_shown_with_those_that_are_there():
    params = frozendict(bias=1, weight=2)
    with pytest.raises(KeyError) as caught:
        params["weigth"]
    if frozendict.__module__ == "builtins":
        return
    assert str(caught.value) == "'weigth': did you mean 'weight'? There are 'bias', 'weight'"
    assert caught.value.args == ("weigth",) and {"weigth": 3}[caught.value.args[0]] == 3
    assert pickle.loads(pickle.dumps(caught.value)).args == ("weigth",)
    for source, text in (
        (frozendict(), "'x': there are no keys"),
        (frozendict({str(i): i for i in range(20)}), "'x': there are '0', .*, '9' and 10 more"),
    ):
        with pytest.raises(KeyError, match=text):
            source["x"]
    with pytest.raises(KeyError, match="^3$"):
        params[3]


def test_prints_like_a_dict():
    assert repr(frozendict(a=1, b=frozendict())) == "frozendict({'a': 1, 'b': frozendict()})"
    loop = []
    f = frozendict(a=loop)
    loop.append(f)
    assert repr(f) == "frozendict({'a': [frozendict({...})]})"


def test_deep_copy_copies_values():
    f = frozendict(a=[1])
    g = copy.deepcopy(f)
    assert g == f and g["a"] is not f["a"]


@pytest.mark.skipif(hasattr(__import__("builtins"), "frozendict"), reason="Python's own says it in its own words")
@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (lambda d: d.__setitem__("a", 2), "write `d | {'a': value}`, or tree.set"),
        (lambda d: d.__delitem__("a"), "build a new one without 'a'"),
        (lambda d: d.update(a=2), "return a new one"),
        (lambda d: d.pop("a"), "return a new one"),
        (lambda d: d.popitem(), "return a new one"),
        (lambda d: d.clear(), "return a new one"),
        (lambda d: d.setdefault("b", 1), "return a new one"),
    ],
)
def test_mutation_raises_and_says_what_to_do(change, advice):
    d = frozendict(a=1)
    with pytest.raises(TypeError, match="a frozendict cannot be changed.*" + advice):
        change(d)
    assert d == {"a": 1}
    with pytest.raises((TypeError, AttributeError)):
        d.attribute = 1
    with pytest.raises((TypeError, AttributeError)):
        frozendict.attribute = 1


def test_unhashable_values():
    with pytest.raises(TypeError, match="unhashable"):
        hash(frozendict(a=[]))


def test_subclasses():
    class Config(frozendict):
        pass

    config = Config(a=1)
    assert type(config | {"b": 2}) is Config and config == {"a": 1}
    assert type(copy.deepcopy(config)) is Config and type(pickle.loads(pickle.dumps(frozendict(x=1)))) is frozendict
    assert tree.leaves([config]) == [config]


def test_cycles_and_depth_are_collected():
    class Token:
        pass

    gc.collect()
    before = sum(isinstance(x, Token) for x in gc.get_objects())
    for _ in range(10):
        box = [Token()]
        box.append(frozendict(box=box))
    del box
    gc.collect()
    assert sum(isinstance(x, Token) for x in gc.get_objects()) == before
    deep = frozendict()
    for _ in range(200_000):
        deep = frozendict(a=deep)
    del deep


def test_references_are_counted():
    value = object()
    before = sys.getrefcount(value)
    for _ in range(10):
        f = frozendict(a=value, b=value)
        tree.map(lambda x: x, f), tree.leaves(f), f | {"c": value}, dict(f), f.items(), copy.copy(f)
        with pytest.raises(TypeError):
            f["a"] = value
    del f
    assert sys.getrefcount(value) == before

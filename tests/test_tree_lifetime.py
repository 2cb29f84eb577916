"""Cycles through native objects, depth, classes that lie, and pickles of structures."""

import collections
import copy
import dataclasses
import gc
import pickle
import sys
import threading
import weakref

import attrs
import pytest

from funcnn import frozendict, tree
from strategies import Bag, Block, Point


class Holder:
    """Metadata that refers to whatever it is given."""

    def __init__(self):
        self.held = None


class Key(Holder):
    """A key of a dict, likewise."""

    def __lt__(self, other):
        return False


def through_metadata():
    holder = Holder()
    holder.held = tree.structure(Bag([1], holder))
    return holder


def through_static_fields():
    holder = Holder()
    holder.held = tree.structure([Block(1, 2, holder), {"a": 3}])
    return holder


def through_keys():
    key = Key()
    key.held = tree.structure({key: 1})
    return key


def through_keys_of_a_frozendict():
    key = Key()
    key.held = frozendict({key: 1})
    tree.leaves(key.held)
    return key


def through_a_default_factory():
    holder = Holder()
    holder.held = tree.structure(collections.defaultdict(holder.__init__, a=1))
    return holder


def through_a_namedtuple_class():
    cls = collections.namedtuple("Pair", ["x", "y"])
    cls.held = tree.structure(cls(1, 2))
    return cls


def through_an_instance():
    class Own(Bag):
        pass

    bag = Holder()
    bag.held = [tree.structure(Bag([1], bag)), frozendict(a=bag)]
    return bag


CYCLES = [
    through_metadata,
    through_static_fields,
    through_keys,
    through_keys_of_a_frozendict,
    through_a_default_factory,
    through_a_namedtuple_class,
    through_an_instance,
]


@pytest.mark.parametrize("make", CYCLES, ids=lambda make: make.__name__)
def test_cycles_are_collected(make):
    gc.collect()
    alive = weakref.ref(make())
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("make", CYCLES, ids=lambda make: make.__name__)
def test_what_is_held_survives_collection(make):
    holder = make()
    gc.collect()
    gc.collect()
    held = holder.held if not isinstance(holder.held, list) else holder.held[0]
    assert repr(held)
    structure = held if isinstance(held, tree.PyTreeDef) else tree.structure(held)
    again = structure.unflatten(range(structure.num_leaves))
    assert tree.structure(again) == structure
    parts = structure.children()
    del holder, held, structure, again
    gc.collect()
    assert all(part.num_leaves >= 1 for part in parts)


DEEP = 200_000


def nested(wrap, depth=DEEP):
    t = 1
    for _ in range(depth):
        t = wrap(t)
    return t


WRAPS = {
    "list": lambda x: [x],
    "tuple": lambda x: (x,),
    "dict": lambda x: {"a": x},
    "frozendict": lambda x: frozendict(a=x),
    "namedtuple": lambda x: Point(0, x),
    "attrs": lambda x: Block(x, 0),
    "custom": lambda x: Bag([x], ""),
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
@pytest.mark.parametrize("raised", [False, True], ids=["usual", "raised"])
def test_deep_trees_raise(wrap, raised):
    t = nested(wrap)
    failures = []

    def run():
        calls = [
            lambda: tree.leaves(t),
            lambda: tree.map(lambda x: x, t),
            lambda: tree.map(lambda x, y: x, (1, 2), (t, 2)) and tree.paths(t),
            lambda: tree.broadcast_prefix(t, t),
            lambda: tree.filter(t, "**"),
            lambda: tree.merge(t, t),
        ]
        if isinstance(t, frozendict):
            calls.append(lambda: hash(t))
            if sys.version_info < (3, 12):  # later ones have a limit of their own for what is written in C
                calls += [lambda: t == nested(wrap), lambda: repr(t)]
        for i, call in enumerate(calls):
            try:
                call()
                failures.append(i)
            except RecursionError:
                pass

    limit = sys.getrecursionlimit()
    if raised:
        sys.setrecursionlimit(10**7)
    try:
        run()
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(limit)
    assert failures == []
    flat = nested(wrap, 300)
    assert tree.leaves(tree.map(lambda x: x + 1, flat))[-1] in (1, 2)
    while not isinstance(t, int):  # some of these classes are freed by recursion
        t = tree._basic._core.tree_children(t)[1][-1 if isinstance(t, tuple) else 0]


def test_a_class_that_lies_about_its_class():
    class Liar:
        __class__ = frozendict

    class Raises:
        @property
        def __class__(self):
            raise RuntimeError("no")

    liar = Liar()
    assert isinstance(liar, frozendict)
    assert tree.leaves([liar]) == [liar]
    assert frozendict(a=1) != liar
    for call in [lambda: frozendict(liar), lambda: frozendict(a=1) | liar, lambda: liar | frozendict(a=1)]:
        with pytest.raises(TypeError):
            call()
    with pytest.raises((TypeError, RuntimeError)):
        frozendict(a=1) | Raises()
    assert frozendict(a=1) != Raises()


class TestAttrs:
    @pytest.mark.parametrize("slots", [True, False])
    def test_cached_hashes(self, slots):
        @tree.register_attrs(static=["name"])
        @attrs.frozen(cache_hash=True, slots=slots)
        class Cached:
            value: object
            name: str = "n"

        again = tree.map(lambda x: x + 1, Cached(1))
        assert again == Cached(2) and hash(again) == hash(Cached(2)) and hash(again) == hash(again)

    def test_plain_classes_get_no_further_attributes(self):
        @tree.register_attrs
        @attrs.frozen(slots=False)
        class Plain:
            value: object

        assert vars(tree.map(lambda x: x, Plain(1))) == {"value": 1}

    def test_cached_hashes_of_subclasses(self):
        @attrs.frozen(cache_hash=True)
        class Base:
            value: object

        @tree.register_attrs
        @attrs.frozen(cache_hash=True)
        class Derived(Base):
            other: object = 0

        assert hash(tree.map(lambda x: x, Derived(1, 2))) == hash(Derived(1, 2))


class Sieve:
    """Its children are the items that are floats; integers are metadata."""

    def __init__(self, items):
        self.items = items

    def __eq__(self, other):
        return type(other) is Sieve and self.items == other.items

    def __repr__(self):  # names tests, which must be the same in every process
        return f"Sieve({self.items})"


def sieve_flatten(sieve):
    return [x for x in sieve.items if not isinstance(x, int)], tuple(
        x if isinstance(x, int) else None for x in sieve.items
    )


def sieve_unflatten(metadata, children):
    children = iter(children)
    return Sieve([next(children) if x is None else x for x in metadata])


tree.register_node(Sieve, sieve_flatten, sieve_unflatten)


@dataclasses.dataclass
class Static:
    left: object
    size: int


tree.register_attrs(static=["size"])(Static)


TREES = [
    Sieve([1, 2.0, 3, 4.0]),
    {"a": [Sieve([1.0, 2]), Static(5, 3)], "b": None, "c": tree.absent, "d": ()},
    collections.OrderedDict(b=1, a=(2, [])),
    collections.defaultdict(list, a=1),
    frozendict(a=Point(1, frozendict())),
    {1: {True: 2}},
    7,
    None,
]


class TestPickles:
    @pytest.mark.parametrize("t", TREES, ids=repr)
    def test_round_trip(self, t):
        structure = tree.structure(t)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(structure, protocol))
            assert again == structure and hash(again) == hash(structure) and repr(again) == repr(structure)
            assert again.num_leaves == structure.num_leaves and again.paths() == structure.paths()
            assert again.unflatten(tree.leaves(t)) == t
            assert [c.num_leaves for c in again.children()] == [c.num_leaves for c in structure.children()]
        assert copy.deepcopy(structure) == structure == copy.copy(structure)

    def test_leaves_are_never_made_up(self):
        """Building a tree of made-up leaves may fail, so nothing is built."""

        class Strict:
            def __init__(self, items):
                assert all(isinstance(x, str) for x in items)
                self.items = items

        tree.register_node(Strict, lambda s: (s.items, None), lambda _, items: Strict(items))
        Strict.__module__, Strict.__qualname__ = __name__, "Strict"
        globals()["Strict"] = Strict
        structure = tree.structure([Strict(["a"])])
        assert pickle.loads(pickle.dumps(structure)) == structure

    @pytest.mark.parametrize(
        ("state", "message"),
        [
            ((), "ends too early"),
            ((("tuple", False, 1, None, None, None),), "ends too early"),
            ((("leaf", False, 0, None, None, None),) * 2, "belong to nothing"),
            ((("nothing", False, 0, None, None, None),), "of a kind"),
            (((1, 2),), "describes no node"),
            ((("None", True, 3, None, None, None),), "has none"),
            ((("dict", True, 2, ("a",), None, None),), "dict of other keys"),
            ((("attrs", True, 2, None, Static, (3,)),), "whose fields are others"),
            ((("namedtuple", True, 3, None, Point, None),), "named tuple of other fields"),
            ((("custom", True, 3, None, 5, None),), "whose class is none"),
        ],
    )
    def test_damaged_pickles(self, state, message):
        with pytest.raises(ValueError, match=message):
            tree._basic.restore_structure(state)

    def test_classes_must_be_registered(self):
        state = (("custom", True, 1, None, Holder, None),)
        with pytest.raises(TypeError, match="is no tree node here: import what registers it"):
            tree._basic.restore_structure(state)


def test_shapes_that_only_broadcast_are_not_close():
    import numpy as np

    for a, b in [((3,), ()), ((1,), ()), ((3, 1), (3,)), ((0,), ()), ((0,), (0, 1))]:
        assert not tree.allclose([np.ones(a)], [np.ones(b)])
    assert tree.allclose([np.ones(())], [1.0]) and tree.allclose([np.ones((0,))], [np.ones((0,))])


def test_static_data_that_cannot_be_compared():
    import numpy as np

    def make():
        return tree.structure({"a": Block(1, 2, np.arange(3))})

    message = r"the static data of <class 'funcnn.testing._nodes.Block'> .* must be hashable and comparable: "
    with pytest.raises(TypeError, match=message + "The truth value"):
        assert make() != make()
    with pytest.raises(TypeError, match=message + "unhashable type: 'numpy.ndarray'"):
        hash(make())
    with pytest.raises(TypeError, match=message):
        tree.map(lambda x, y: x, Block(1, 2, np.arange(3)), Block(1, 2, np.arange(3)))

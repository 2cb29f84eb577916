"""Paths, parts and updates of trees."""

import collections

import attrs
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from funcnn import frozendict, tree
from funcnn.tree import absent
from funcnn.tree._parts import divided
from strategies import Bag, Block, Point, parameters, trees

PARAMS = frozendict(
    layers=(
        frozendict(weight=1, bias=2, lora_a=3),
        frozendict(),
        frozendict(attn=frozendict(lora_a=4, lora_b=5, weight=6)),
    ),
    lora_z=7,
)


class TestGetAndSet:
    @given(trees())
    def test_every_path_leads_to_its_leaf(self, t):
        for path, leaf in tree.leaves_with_path(t):
            assert tree.get(t, path) == leaf

    @given(trees(), st.data())
    def test_laws(self, t, data):
        paths = tree.paths(t)
        assume(paths)
        path = data.draw(st.sampled_from(paths))
        assert tree.set(t, path, tree.get(t, path)) == t
        changed = tree.set(t, path, "new")
        assert tree.get(changed, path) == "new"
        assert tree.set(changed, path, tree.get(t, path)) == t
        others = [other for other in paths if other != path]
        assert all(tree.get(changed, other) == tree.get(t, other) for other in others)
        assert tree.set(changed, path, "newer") == tree.set(t, path, "newer")

    def test_sharing_and_order(self):
        changed = tree.set(PARAMS, "layers.0.weight", 10)
        assert changed["layers"][0] == {"weight": 10, "bias": 2, "lora_a": 3}
        assert list(changed["layers"][0]) == ["weight", "bias", "lora_a"]
        assert type(changed) is frozendict and type(changed["layers"][0]) is frozendict
        assert changed["layers"][2] is PARAMS["layers"][2]
        assert PARAMS["layers"][0]["weight"] == 1

    def test_subtrees(self):
        assert tree.get(PARAMS, "layers.1") == {}
        assert tree.get(PARAMS, "") is PARAMS
        assert tree.set({"a": {"b": 1}}, "a", (1, 2)) == {"a": (1, 2)}
        assert tree.set({"a": 1}, "", 5) == 5

    def test_registered_classes(self):
        t = [Point(1, 2), Block(3, 4, "n"), Bag([5], "l")]
        for path, value in [("0.y", 2), ("1.left", 3), ("2.0", 5)]:
            assert tree.get(t, path) == value
        assert tree.set(t, "1.left", 0) == [Point(1, 2), Block(0, 4, "n"), Bag([5], "l")]

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("layers.3.weight", r"no '3' at layers of the tree: there are \[0, 1, 2\]"),
            ("layers.0.wieght", r"no 'wieght' at layers.0 of the tree: there are \['bias', 'lora_a', 'weight'\]"),
            ("lora_z.x", "no 'x' at lora_z of the tree: it is a leaf"),
            ("nothing", "no 'nothing' at the root"),
            ("layers.1.x", "no 'x' at layers.1 of the tree: it is frozendict"),
        ],
    )
    def test_missing_paths(self, path, message):
        with pytest.raises(KeyError, match=message):
            tree.get(PARAMS, path)
        with pytest.raises(KeyError, match=message):
            tree.set(PARAMS, path, 0)


class TestPartition:
    @given(trees(), st.randoms(use_true_random=False))
    def test_merge_inverts_it(self, t, random):
        chosen = tree.map(lambda _: random.random() < 0.5, t)
        for where in [chosen, lambda path, leaf: leaf > 0, "**.a", "*", "**"]:
            selected, rest = divided(t, where)
            assert tree.merge(selected, rest) == t
            assert tree.merge(rest, selected) == t
            assert len(tree.leaves(selected)) + len(tree.leaves(rest)) == len(tree.leaves(t))
            assert sorted(tree.paths(selected) + tree.paths(rest)) == sorted(tree.paths(t))

    @pytest.mark.parametrize(
        ("glob", "leaves"),
        [
            ("**.lora_*", [3, 4, 5, 7]),
            ("layers.**", [2, 3, 1, 4, 5, 6]),
            ("layers.*.weight", [1]),
            ("**.attn.**", [4, 5, 6]),
            ("layers.0.*", [2, 3, 1]),
            ("lora_?", [7]),
            ("**.weight", [1, 6]),
            ("*", [7]),
            ("**", [2, 3, 1, 4, 5, 6, 7]),
        ],
    )
    def test_globs(self, glob, leaves):
        assert tree.leaves(tree.filter(PARAMS, glob)) == leaves

    @pytest.mark.parametrize(
        ("glob", "near"),
        [
            ("layers.0.wieght", "'layers.0.weight' or 'layers.2.attn.weight'"),
            ("layer.0.bias", "'layers.0.bias'"),
            ("lora_", "'lora_z'"),
        ],
    )
    @pytest.mark.parametrize("call", [tree.partition, tree.filter], ids=lambda f: f.__name__)
    def test_globs_that_match_nothing(self, call, glob, near):
        told = rf"partition: '{glob}' matches no path; did you mean {near}.*\? There are 'layers\.0\.bias', "
        with pytest.raises(ValueError, match=told):
            call(PARAMS, glob)

    def test_what_may_mean_nothing(self):
        trained, frozen = tree.partition(PARAMS, "layers.**")
        for part, where in [
            (frozen, "layers.0.*"),  # they belong to the other part
            (frozendict(), "layers.**"),
            (PARAMS, lambda path, leaf: False),
            (PARAMS, frozendict(layers=False, lora_z=False)),
        ]:
            assert tree.leaves(tree.filter(part, where)) == []
        with pytest.raises(ValueError, match="there are 'layers"):
            tree.filter(trained, "x" * 30)
        with pytest.raises(ValueError, match=r"'19' and 80 more$"):
            tree.filter([0] * 100, "a")

    def test_glob_takes_other_characters_literally(self):
        t = {"a+b": 1, "aab": 2, "x.y": {"*": 3}, "z": 4}
        assert tree.leaves(tree.filter(t, "a+b")) == [1]
        assert tree.leaves(tree.filter(t, r"x\.y.\*")) == [3]
        assert tree.leaves(tree.filter(t, r"x*.*")) == [3]

    def test_metadata_need_not_be_hashable(self):
        t = {"a": Bag([1, 2], ["unhashable"]), "b": 3}
        selected, rest = tree.partition(t, "a.0")
        assert tree.leaves(selected) == [1] and tree.merge(rest, selected) == t
        with pytest.raises(TypeError, match="unhashable"):
            hash(tree.structure(t))

    def test_parts_keep_the_structure(self):
        selected, rest = tree.partition(PARAMS, "layers.0.weight")
        assert selected["layers"][0] == {"weight": 1, "bias": absent, "lora_a": absent}
        assert selected["layers"][1] == {}
        assert rest["layers"][0] == {"weight": absent, "bias": 2, "lora_a": 3}
        assert tree.map(lambda x: x + 1, selected)["layers"][0]["weight"] == 2

    def test_parts_of_parts(self):
        a, rest = tree.partition(PARAMS, "layers.**")
        b, c = tree.partition(a, "**.lora_a")
        assert tree.merge(tree.merge(c, rest), b) == PARAMS

    def test_masks(self):
        mask = {"layers": (True, False, {"attn": {"lora_a": False, "lora_b": True, "weight": False}}), "lora_z": False}
        assert tree.leaves(tree.filter(PARAMS, mask)) == [2, 3, 1, 5]
        assert tree.leaves(tree.filter(PARAMS, True)) == tree.leaves(PARAMS)
        with pytest.raises(TypeError, match=r"must hold bools, got int for layers\.0\.bias"):
            tree.filter(PARAMS, {"layers": 1, "lora_z": 0})
        with pytest.raises(ValueError, match="differ at layers"):
            tree.filter(PARAMS, {"layers": (True,), "lora_z": True})


class TestMerge:
    @given(parameters())
    def test_units(self, t):
        assert tree.merge(t, t) == t
        for nothing in [{}, None, absent, ()]:
            assert tree.merge(t, nothing) == t
            assert tree.merge(nothing, t) == t or t in ((), {}, None)

    @given(parameters(), st.data())
    def test_sparse_updates(self, t, data):
        paths = tree.paths(t)
        assume(paths and isinstance(t, frozendict))
        path = data.draw(st.sampled_from(paths))
        update = -1
        for key in reversed(path.split(".")):
            update = {int(key) if key.isdigit() else key: update}
        assert tree.merge(t, update) == tree.set(t, path, -1)
        assert type(tree.merge(t, update)) is frozendict

    def test_forms_of_an_update(self):
        t = (frozendict(mean=0, gain=1), frozendict(), frozendict(mean=2))
        expected = (frozendict(mean=5, gain=1), frozendict(), frozendict(mean=2))
        for update in [{0: {"mean": 5}}, {"0": {"mean": 5}}, ({"mean": 5}, {}, {}), [{"mean": 5}, None, absent]]:
            merged = tree.merge(t, update)
            assert merged == expected
            assert merged[1] is t[1] and merged[2] is t[2]

    def test_dicts_take_new_keys(self):
        assert tree.merge({"a": {"x": 1}}, {"a": {"y": 2}, "b": 3}) == {"a": {"x": 1, "y": 2}, "b": 3}
        ordered = tree.merge(collections.OrderedDict(b=1), {"a": 2})
        assert list(ordered) == ["b", "a"] and type(ordered) is collections.OrderedDict

    def test_sharing(self):
        assert tree.merge(PARAMS, {"layers": {1: {}}}) is PARAMS
        merged = tree.merge(PARAMS, {"lora_z": 0})
        assert merged["layers"] is PARAMS["layers"]

    def test_classes(self):
        assert tree.merge(Block(1, 2, "a"), {"right": 5}) == Block(1, 5, "a")
        assert tree.merge({"s": Point(1, (2, 3))}, {"s": Point(absent, (absent, 4))}) == {"s": Point(1, (2, 4))}

    @pytest.mark.parametrize(
        ("a", "b", "message"),
        [
            ({"a": {"b": 1}}, {"a": 5}, r"at a the first tree has a dict with the keys \['b'\], the second a leaf"),
            ({"a": 5}, {"a": {"b": 1}}, "at a the first tree has a leaf"),
            ({"a": (1, 2)}, {"a": (1, 2, 3)}, "at a the first"),
            ({"a": (1, 2)}, {"a": {5: 0}}, r"at a the second tree has the keys \[5\]"),
            ((Point(1, 2),), (Block(1, 2),), "at 0 the first"),
        ],
    )
    def test_clashes(self, a, b, message):
        with pytest.raises(ValueError, match="merge: " + message):
            tree.merge(a, b)

    def test_absent_is_one_object(self):
        import copy
        import pickle

        assert pickle.loads(pickle.dumps(absent)) is absent is copy.deepcopy(absent) is copy.copy(absent)
        assert repr(absent) == "absent"


class TestNumbers:
    def test_allclose(self):
        a = {"w": np.ones((2, 2)), "b": 1.0}
        assert tree.allclose(a, tree.map(lambda x: x + 1e-9, a))
        assert not tree.allclose(a, tree.set(a, "b", 1.1))
        assert tree.allclose(a, tree.set(a, "b", 1.1), atol=0.2)
        assert tree.allclose([np.nan], [np.nan], equal_nan=True) and not tree.allclose([np.nan], [np.nan])
        with pytest.raises(ValueError, match="differ at the root"):
            tree.allclose(a, {"w": 1})

    def test_sizes(self):
        t = {"w": np.zeros((3, 4), np.float32), "none": None, "steps": 5}
        assert tree.nbytes(t) == 48
        assert tree.count(t) == 13

    @given(trees())
    def test_no_difference_with_itself(self, t):
        assert tree.diff(t, tree.map(lambda x: x, t)) == []

    @given(trees(), trees())
    def test_differences_mean_inequality(self, a, b):
        same = tree.structure(a) == tree.structure(b) and tree.leaves(a) == tree.leaves(b)
        assert (tree.diff(a, b) == []) == same

    def test_diff_reports_paths(self):
        a = {"w": np.zeros(2), "l": (1, {"x": 2}), "gone": 3, "k": [1]}
        b = {"w": np.zeros(3), "l": (1, {"x": 5}), "new": 3, "k": (1,)}
        assert [str(difference) for difference in tree.diff(a, b)] == [
            "gone: 3 != absent",
            "k: [1] != (1,)",
            "l.1.x: 2 != 5",
            "w: float64[2] != float64[3]",
            "new: absent != 3",
        ]
        assert str(tree.diff([np.arange(3)], [np.array([0, 5, 2])])[0]) == (
            "0: int64[3] with other elements, at 1 of 3 places"
        )
        assert tree.diff(Block(1, 2, "a"), Block(1, 2, "b"))[0].path == ""
        assert [str(d) for d in tree.diff({"a": {"a": tree.absent}}, {"a": {}})] == ["a: {'a': absent} != {}"]
        assert tree.diff(1, 1) == [] and str(tree.diff(1, 2)[0]) == "the root: 1 != 2"
        assert tree.diff({"x": np.array([np.nan])}, {"x": np.array([np.nan])}) == []
        assert attrs.asdict(tree.diff([1], [2])[0]) == {"path": "0", "left": 1, "right": 2}

"""Surgery on descriptions: which layers are meant, what is shared, and the laws of replacing."""

from typing import NamedTuple

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcnn import nn, random, tree


class Pair(NamedTuple):
    left: object
    right: object


class Model(nn.Layer):
    first: nn.Layer
    blocks: list
    named: dict
    pair: Pair
    act: object = nn.relu
    width: int = 3

    def __call__(self, params, x):
        return x


class Marked(nn.Layer):
    body: nn.Layer

    def __call__(self, params, x):
        return self.body(params["body"], x)


class Derived(nn.Layer):
    """Has a field that follows from another, and a check."""

    body: nn.Layer = attrs.field(validator=attrs.validators.instance_of(nn.Layer))
    _scale: float = 1.0
    dims: int = attrs.field(init=False)

    def __attrs_post_init__(self):
        object.__setattr__(self, "dims", getattr(self.body, "output_dims", 0))

    def __call__(self, params, x):
        return self._scale * self.body(params["body"], x)


def make_model():
    return Model(
        nn.Linear(3, 3),
        [nn.Linear(3, 3), nn.ReLU(), nn.Sequential(nn.Linear(3, 3), nn.relu)],
        {"a.b": nn.Linear(3, 3), "": nn.Dropout(0.5)},
        Pair(nn.Linear(3, 3), 5),
    )


def is_linear(path, layer):
    return isinstance(layer, nn.Linear)


@pytest.mark.parametrize(
    ("glob", "paths"),
    [
        ("first", {"first"}),
        ("blocks.*", {"blocks.0", "blocks.1", "blocks.2"}),
        ("**.0", {"blocks.0", "blocks.2.layers.0", "pair.0"}),
        (r"named.a\.b", {r"named.a\.b"}),
        (r"named.\e", {r"named.\e"}),
        ("", {""}),
    ],
)
def test_globs_and_the_predicates_that_say_the_same(glob, paths):
    seen = []
    model = make_model()
    new = nn.replace(model, glob, lambda old: seen.append(old) or nn.Identity())
    assert new == nn.replace(model, lambda path, layer: path in paths, nn.Identity())
    assert len(seen) == len(paths)


def test_a_new_layer_stands_in_every_place_and_the_rest_is_shared():
    model = make_model()
    new = nn.replace(model, is_linear, lambda old: attrs.evolve(old, bias=False))
    assert model == make_model()
    short = nn.Linear(3, 3, bias=False)
    assert new == Model(
        short,
        [short, nn.ReLU(), nn.Sequential(short, nn.relu)],
        {"a.b": short, "": nn.Dropout(0.5)},
        Pair(short, 5),
    )
    assert isinstance(new.pair, Pair)
    assert new.blocks[1] is model.blocks[1] and new.named[""] is model.named[""]
    one = nn.replace(model, "first", nn.Identity())
    assert one.blocks is model.blocks and one.named is model.named
    params = new.init(random.key(0))
    assert not [path for path in tree.paths(params) if path.endswith("bias")]
    # Keys follow from paths: what stays keeps its initial values.
    assert tree.equal(one.init(random.key(0))["blocks"], model.init(random.key(0))["blocks"])


def test_layers_within_layers_are_replaced_before_those_around_them():
    class Wrap(nn.Layer):
        body: nn.Layer

        def __call__(self, params, x):
            return self.body(params["body"], x)

    model = nn.Sequential(nn.Sequential(nn.ReLU()))
    new = nn.replace(model, lambda path, layer: isinstance(layer, nn.Sequential), Wrap)
    assert new == Wrap(nn.Sequential(Wrap(nn.Sequential(nn.ReLU()))))


def test_derived_fields_checks_and_private_names():
    model = Derived(nn.Linear(2, 3), scale=2.0)
    new = nn.replace(model, "body", nn.Linear(2, 5))
    assert new == Derived(nn.Linear(2, 5), scale=2.0) and new.dims == 5


def test_ties_stay():
    model = nn.tie(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)), {"layers.2.weight": "layers.0.weight"})
    new = nn.replace(model, "layers.1", nn.GELU())
    assert isinstance(new, nn.Tied) and new.ties == model.ties
    assert tree.paths(new.init(random.key(0))) == tree.paths(model.init(random.key(0)))
    # A path with two layers is the outer one's; a predicate sees both.
    assert nn.replace(model, "", nn.Identity()) == nn.Identity()
    assert isinstance(nn.replace(model, lambda path, layer: isinstance(layer, nn.Sequential), nn.Identity()), nn.Tied)
    with pytest.raises(ValueError, match=r"tie: the model has no parameter 'layers\.0\.weight'"):
        nn.replace(model, "layers.0", nn.Identity()).init(random.key(0))


def test_mistakes_are_named():
    model = make_model()
    with pytest.raises(
        ValueError, match=r"replace: 'frist' matches no layer; there are '' \(Model\), 'first' \(Linear\)"
    ):
        nn.replace(model, "frist", nn.Identity())
    with pytest.raises(ValueError, match="replace: the predicate matches no layer"):
        nn.replace(model, lambda path, layer: False, nn.Identity())
    with pytest.raises(TypeError, match="replace: new_layer must return a layer for 'first', got None"):
        nn.replace(model, "first", lambda old: None)
    with pytest.raises(TypeError, match="replace: new_layer must be a layer or a function"):
        nn.replace(model, "first", 3)
    with pytest.raises(TypeError, match="replace: model must be a layer"):
        nn.replace({}, "first", nn.Identity())
    with pytest.raises(TypeError, match="replace: expected a glob over paths or a predicate"):
        nn.replace(model, 3, nn.Identity())


LAYERS = st.recursive(
    st.sampled_from([nn.ReLU(), nn.Linear(2, 2), nn.Dropout(0.5)]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda layers: nn.Sequential(*layers))
        | st.tuples(inner, st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)).map(
            lambda parts: Model(*parts, Pair(1, 2))
        )
    ),
    max_leaves=6,
)
PREDICATES = st.sampled_from(
    [
        lambda path, layer: isinstance(layer, nn.ReLU),
        lambda path, layer: isinstance(layer, nn.Sequential),
        lambda path, layer: path.endswith("0"),
        lambda path, layer: True,
    ]
)
CHANGES = st.sampled_from([nn.Identity(), lambda old: nn.Sequential(old), lambda old: nn.Sequential(nn.ReLU(), old)])


@settings(max_examples=50, deadline=None)
@given(LAYERS, PREDICATES, CHANGES)
def test_laws(model, which, change):
    def changed(old):
        return change if isinstance(change, nn.Layer) else change(old)

    count = sum(which(tree.join_path(keys), layer) for keys, layer in model._layers())
    if not count:
        with pytest.raises(ValueError, match="matches no layer"):
            nn.replace(model, which, change)
        return
    assert nn.replace(model, which, lambda old: old) is model
    calls = []
    new = nn.replace(model, which, lambda old: calls.append(old) or changed(old))
    assert new == nn.replace(model, which, change)
    assert len(calls) == count
    # Marking the places and changing what is marked is as good as changing them.
    marked = nn.replace(model, which, Marked)
    assert nn.replace(marked, lambda path, layer: isinstance(layer, Marked), lambda old: changed(old.body)) == new
    assert new.init(random.key(0)) is not None

"""Hypothesis strategies for trees."""

from __future__ import annotations

import collections

import attrs
from hypothesis import strategies as st

from funcnn import frozendict, tree

Point = collections.namedtuple("Point", ["x", "y"])


@tree.register_attrs(static=["name"])
@attrs.frozen
class Block:
    """A class whose fields are children, but for its name."""

    left: object
    right: object
    name: str = "block"


class Bag:
    """A class with callbacks; its label is metadata."""

    def __init__(self, items, label):
        self.items, self.label = tuple(items), label

    def __eq__(self, other):
        return type(other) is Bag and (self.items, self.label) == (other.items, other.label)

    def __repr__(self):
        return f"Bag({self.items}, {self.label!r})"

    def __hash__(self):
        return hash((self.items, self.label))


tree.register_node(Bag, lambda bag: (bag.items, bag.label), lambda label, items: Bag(items, label))

leaves = st.integers(-1000, 1000)
# Dots and backslashes are escaped in paths; the empty key has no path of its own at the root.
keys = st.text("ab.\\*éλ ", min_size=1, max_size=4)


def containers(children):
    items = st.lists(children, max_size=4)
    by_name = st.dictionaries(keys, children, max_size=4)
    by_index = st.dictionaries(st.integers(-3, 300), children, max_size=4)
    return st.one_of(
        by_name,
        by_index,
        by_name.map(frozendict),
        by_index.map(frozendict),
        by_name.map(lambda d: collections.OrderedDict(reversed(d.items()))),
        by_name.map(lambda d: collections.defaultdict(int, d)),
        items,
        items.map(tuple),
        st.just(None),
        st.builds(Point, children, children),
        st.builds(Block, children, children, st.sampled_from(["a", "b"])),
        st.builds(Bag, items, st.sampled_from(["a", "b"])),
    )


def trees(leaves=leaves, max_leaves=20):
    """Trees of every kind of container."""
    return st.recursive(leaves, containers, max_leaves=max_leaves)


def parameters(leaves=leaves, max_leaves=20):
    """Trees as models have them: frozendicts and tuples."""
    names = st.sampled_from(["weight", "bias", "layers", "lora_a", "lora_b", "attn"])
    return st.recursive(
        leaves,
        lambda children: st.one_of(
            st.dictionaries(names, children, max_size=4).map(frozendict), st.lists(children, max_size=3).map(tuple)
        ),
        max_leaves=max_leaves,
    )

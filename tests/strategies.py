"""The trees that the tests of trees are about: those of funcnn.testing, with integers for leaves."""

from __future__ import annotations

from hypothesis import strategies as st

from funcnn import frozendict, testing
from funcnn.testing._nodes import Bag, Block, Point

__all__ = ["Bag", "Block", "Point", "keys", "leaves", "parameters", "trees"]

leaves = st.integers(-1000, 1000)
# Dots and backslashes are escaped in paths; the empty key has no path of its own at the root.
keys = testing.keys().filter(lambda key: isinstance(key, str) and key)


def trees(leaves=leaves, max_leaves=20):
    """Trees of every kind of container."""
    return testing.trees(leaves, max_leaves=max_leaves)


def parameters(leaves=leaves, max_leaves=20):
    """Trees as models have them: frozendicts and tuples."""
    names = st.sampled_from(["weight", "bias", "layers", "lora_a", "lora_b", "attn"])
    return testing.trees(leaves, max_leaves=max_leaves, keys=names, containers=[frozendict, tuple])

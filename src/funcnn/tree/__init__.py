"""Pytrees: nests of dicts, tuples, lists and registered classes, worked on as a whole.

A tree is a container whose items are trees, or a leaf. Containers are ``dict``, ``frozendict``, ``OrderedDict``,
``defaultdict``, ``tuple``, ``list``, named tuples, ``None`` (which has no leaves), ``absent`` and the classes that
``register_node`` and ``register_attrs`` add; anything else is a leaf. Leaves come in a fixed order: the items of a dict in
the order of its sorted keys, those of an ``OrderedDict`` in its own order.

The path of a leaf is its keys, names and indices joined by dots, ``layers.0.weight``; a dot or a backslash inside a key
is written with a backslash before it, and an empty key as ``\\e``. The path of the whole tree is the empty string.
"""

from .. import _hints
from .._core import PyTreeDef
from ._arrays import all_finite, equal, ones_like, ravel, stack, unstack, where, zeros_like
from ._basic import (
    absent,
    all,
    broadcast_prefix,
    flatten,
    flatten_with_path,
    leaves,
    leaves_with_path,
    map,
    map_with_path,
    paths,
    reduce,
    structure,
    transpose,
    unflatten,
)
from ._edit import get, merge, set
from ._frozendict import frozendict
from ._numbers import Difference, allclose, count, diff, nbytes
from ._parts import filter, partition
from ._paths import join_path, split_path
from ._register import register_attrs, register_node

__all__ = [
    "Difference",
    "PyTreeDef",
    "absent",
    "all",
    "all_finite",
    "allclose",
    "broadcast_prefix",
    "count",
    "diff",
    "equal",
    "filter",
    "flatten",
    "flatten_with_path",
    "frozendict",
    "get",
    "join_path",
    "leaves",
    "leaves_with_path",
    "map",
    "map_with_path",
    "merge",
    "nbytes",
    "ones_like",
    "partition",
    "paths",
    "ravel",
    "reduce",
    "register_attrs",
    "register_node",
    "set",
    "split_path",
    "stack",
    "structure",
    "transpose",
    "unflatten",
    "unstack",
    "where",
    "zeros_like",
]

_hints.close(globals())

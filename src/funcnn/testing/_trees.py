"""Strategies for trees, their structures, and trees of one structure."""

from __future__ import annotations

import collections
import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._arguments import function, integer
from funcnn.tree import frozendict

from ._arrays import arrays, shapes
from ._nodes import Bag, Block, Point

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Draw = Callable[[Any], Any]
_DICTS = (dict, frozendict, collections.OrderedDict, collections.defaultdict)
_MANY = 10**9
# From here on containers hold leaves and nothing else.
_DEEP = 3


@attrs.frozen
class Kind:
    """A kind of container: how many children it may have, and how it is made of them."""

    least: int
    most: int
    make: Callable[[Draw, list[Any]], Any]


@attrs.frozen
class _Call:
    """Make a container without drawing anything."""

    how: Callable[[Any, list[Any]], Any]
    cls: Any

    def __call__(self, draw: Draw, items: list[Any]) -> Any:
        return self.how(self.cls, items)


def keys() -> SearchStrategy[str | int]:
    """Draw keys of dicts: names, and what is not easily made a path of or sorted.

    Names among which some have dots, backslashes, blanks, the wildcards of globs or letters beyond ASCII, one is empty,
    and some look like integers; and integers, negative and large ones among them.

    >>> from funcnn import testing
    >>> some = testing.keys()
    """
    from hypothesis import strategies as st

    return st.one_of(_texts(), _integers())


def _texts() -> SearchStrategy[str]:
    from hypothesis import strategies as st

    nasty = ["", ".", "\\", "a.b", "a\\.b", "\\e", "0", "10", "*", "**", "weight", "A", "é"]
    return st.one_of(st.sampled_from("abc"), st.sampled_from(nasty), st.text("ab.\\*?[]/éλ 0", min_size=1, max_size=4))


def _integers() -> SearchStrategy[int]:
    from hypothesis import strategies as st

    # Of one digit and of two: as text they sort otherwise.
    return st.one_of(st.integers(0, 20), st.integers(-300, 10**20))


def _kinds(containers: Iterable[Any] | None, given: Any) -> list[Kind]:
    from hypothesis import strategies as st

    @functools.cache
    def unique(names: SearchStrategy[Any], n: int) -> SearchStrategy[list[Any]]:
        # Two keys of one text would have one path.
        return st.lists(names, min_size=n, max_size=n, unique_by=fn._core.tree_key_text)

    def dict_kind(cls: Any) -> Kind:
        # What cannot be compared cannot be sorted, which only an OrderedDict does without.
        mixed = [keys()] if cls is collections.OrderedDict else [_texts(), _integers()]
        names = mixed if given is None else [given]

        def make(draw: Draw, children: list[Any]) -> Any:
            n = len(children)
            items = zip(draw(unique(_pick(draw, names), n)) if n else [], children, strict=True)
            return collections.defaultdict(int, items) if cls is collections.defaultdict else cls(items)

        return Kind(0, _MANY, make)

    if containers is None:
        labels = st.sampled_from(["a", "b"])
        return [
            dict_kind(dict),
            Kind(0, _MANY, lambda draw, items: items),
            Kind(0, _MANY, lambda draw, items: tuple(items)),
            dict_kind(frozendict),
            dict_kind(collections.OrderedDict),
            dict_kind(collections.defaultdict),
            Kind(0, 0, lambda draw, items: None),
            Kind(0, 0, lambda draw, items: tree.absent),
            Kind(2, 2, lambda draw, items: Point(*items)),
            Kind(2, 2, lambda draw, items: Block(items[0], items[1], draw(labels))),
            Kind(0, _MANY, lambda draw, items: Bag(items, draw(labels))),
        ]
    if isinstance(containers, str) or not isinstance(containers, Iterable):
        raise TypeError(f"trees: containers must be a list of classes and functions, got {containers!r}")
    found = []
    for cls in containers:
        if cls is None or cls is tree.absent:
            found.append(Kind(0, 0, _Call(lambda value, items: value, cls)))
        elif cls in _DICTS:
            found.append(dict_kind(cls))
        elif cls in (list, tuple):
            found.append(Kind(0, _MANY, _Call(lambda cls, items: cls(items), cls)))
        else:
            least, most = _arity(cls)
            found.append(Kind(least, most, _Call(lambda cls, items: cls(*items), cls)))
    if not found:
        raise ValueError("trees: containers must not be empty")
    return found


def _arity(make: Any) -> tuple[int, int]:
    """How many arguments a function needs by position, and how many it takes."""
    if not callable(make):
        raise TypeError(f"trees: containers must hold classes, functions, None and absent, got {make!r}")
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):
        raise TypeError(
            f"trees: cannot tell how many children {make!r} takes; give a function with a signature"
        ) from None
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    least = sum(p.default is p.empty for p in places)
    return least, _MANY if any(p.kind is p.VAR_POSITIONAL for p in parameters) else least


def trees(
    leaves: Any = None,
    *,
    min_leaves: int = 0,
    max_leaves: int = 8,
    keys: Any = None,
    containers: Iterable[Any] | None = None,
) -> SearchStrategy[Any]:
    """Draw trees of any kinds of container, nested and empty ones among them.

    One leaf may stand in several places. Trees shrink to few leaves, few containers and plain keys.

    Args:
        leaves: A strategy for the leaves; arrays of at most two axes by default.
        min_leaves: How many leaves at least.
        max_leaves: How many at most.
        keys: A strategy for the keys of all dicts; by default ``testing.keys()``, either strings or integers within one
            dict, both together in an ``OrderedDict``, which is not sorted.
        containers: Which kinds there are: ``dict``, ``frozendict``, ``OrderedDict``, ``defaultdict``, ``list``, ``tuple``,
            ``None``, ``tree.absent``, and anything that is called with as many subtrees as it has arguments without
            defaults, such as a named tuple or a registered class. All by default, with classes of this module.

    Raises:
        ValueError: ``min_leaves`` is above ``max_leaves``, or there are no containers.

    >>> import funcnn as fn
    >>> from funcnn import testing
    >>> from hypothesis import given, strategies as st
    >>> @given(testing.trees(st.integers(), min_leaves=1))
    ... def test_sum(t):
    ...     assert fn.tree.reduce(lambda a, b: a + b, t) == sum(fn.tree.leaves(t))
    >>> test_sum()
    >>> params = testing.trees(keys=st.sampled_from(["weight", "bias"]), containers=[fn.frozendict, tuple])
    """
    from hypothesis import strategies as st

    low, high = integer(min_leaves, "trees: min_leaves"), integer(max_leaves, "trees: max_leaves")
    if not 0 <= low <= high:
        raise ValueError(f"trees: expected 0 <= min_leaves <= max_leaves, got {low} and {high}")
    for what, value in (("leaves", leaves), ("keys", keys)):
        if value is not None and not isinstance(value, st.SearchStrategy):
            raise TypeError(f"trees: {what} must be a strategy, got {value!r}")
    items = arrays(shape=shapes(max_dims=2, max_side=3)) if leaves is None else leaves
    kinds = _kinds(containers, keys)

    @st.composite
    def draw_tree(draw: Draw) -> Any:
        return _Builder(draw, kinds, items, low, high).whole()

    return draw_tree()


def _pick(draw: Draw, options: Sequence[Any]) -> Any:
    """One of them; ``sampled_from`` costs more to make."""
    return options[draw(_below(len(options)))] if len(options) > 1 else options[0]


@functools.cache
def _below(n: int) -> SearchStrategy[int]:
    from hypothesis import strategies as st

    return st.integers(0, n - 1)


class _Builder:
    """Draw one tree. Each subtree is drawn by itself and starts with the simplest, so that they shrink one by one."""

    def __init__(self, draw: Draw, kinds: Sequence[Kind], items: Any, low: int, high: int) -> None:
        self.draw, self.kinds, self.items, self.low, self.high = draw, kinds, items, low, high
        self.leaves: list[Any] = []
        self.empties = [kind for kind in kinds if kind.least == 0]

    def whole(self) -> Any:
        from hypothesis import assume

        found = self.draw(_subtree(self, 0, 0))
        missing = self.low - len(self.leaves)
        if missing <= 0:
            return found
        wide = [kind for kind in self.kinds if kind.least <= missing + 1 <= kind.most]
        if wide:
            return _pick(self.draw, wide).make(self.draw, [found, *(self.leaf() for _ in range(missing))])
        # Containers of a fixed size, one within another.
        kind = next((kind for kind in self.kinds if kind.most >= 2), None)
        assume(kind is not None)
        while kind is not None and len(self.leaves) < self.low:
            found = kind.make(self.draw, [found, *(self.leaf() for _ in range(kind.least - 1))])
        assume(len(self.leaves) <= self.high)
        return found

    def leaf(self) -> Any:
        again = bool(self.leaves) and self.draw(_below(6)) == 5
        self.leaves.append(_pick(self.draw, self.leaves) if again else self.draw(self.items))
        return self.leaves[-1]

    def subtree(self, draw: Draw, depth: int, reserved: int) -> Any:
        """Draw a tree whose leaves, and as many as are reserved for its siblings, are not too many."""
        left = self.high - len(self.leaves) - reserved
        if left >= 1 and draw(_below(6)) < _LEAF[min(depth, _DEEP)]:
            return self.leaf()
        if self.empties and (left < 1 or depth >= _DEEP):
            return _pick(draw, self.empties).make(draw, [])
        fitting = [kind for kind in self.kinds if self.empties or 1 <= kind.least <= left]
        if not fitting:
            return self.leaf()
        kind = _pick(draw, fitting)
        count = kind.least if kind.most == kind.least else max(kind.least, draw(_below(5)))
        each = 0 if self.empties else 1
        return kind.make(
            draw,
            [draw(_subtree(self, depth + 1, reserved + each * (count - 1 - i))) for i in range(count)],
        )


# Of six subtrees at a depth, how many are leaves.
_LEAF = (1, 3, 4, 5)


def _subtree(builder: _Builder, depth: int, reserved: int) -> SearchStrategy[Any]:
    return _composite()(builder, depth, reserved)  # type: ignore[no-any-return]


@functools.cache
def _composite() -> Any:
    from hypothesis import strategies as st

    def node(draw: Draw, builder: _Builder, depth: int, reserved: int) -> Any:
        return builder.subtree(draw, depth, reserved)

    return st.composite(node)


def treedefs(**options: Any) -> SearchStrategy[tree.PyTreeDef]:
    """Draw structures of trees; the arguments are those of ``trees``.

    >>> from funcnn import testing
    >>> structures = testing.treedefs(max_leaves=4)
    """
    return trees(**options).map(tree.structure)


def trees_like(like: Any, leaves: Callable[[Any], Any] | None = None) -> SearchStrategy[Any]:
    """Draw trees of the structure of another: for tests of what takes several.

    Args:
        like: A tree.
        leaves: A function from a leaf of `like` to a strategy for what may stand in its place. By default an array has
            arrays of its shape and dtype, and a Python number or string others of its type.

    Raises:
        TypeError: A leaf is nothing of these, and `leaves` is not given.

    >>> import funcnn as fn
    >>> from funcnn import testing, tree
    >>> from hypothesis import given, strategies as st
    >>> pairs = testing.trees().flatmap(lambda t: st.tuples(testing.trees_like(t), testing.trees_like(t)))
    >>> @given(pairs)
    ... def test_zip(pair):
    ...     a, b = pair
    ...     assert tree.structure(tree.map(lambda x, y: y, a, b)) == tree.structure(a)
    >>> test_zip()
    """
    from hypothesis import strategies as st

    def of(leaf: Any) -> SearchStrategy[Any]:
        if isinstance(leaf, fn.array):
            return arrays(leaf.dtype, leaf.shape)
        kinds: list[tuple[type, SearchStrategy[Any]]] = [
            (bool, st.booleans()),
            (int, st.integers()),
            (float, st.floats()),
            (complex, st.complex_numbers()),
            (str, st.text()),
        ]
        for kind, strategy in kinds:
            if type(leaf) is kind:
                return strategy
        raise TypeError(f"trees_like: say by `leaves` what may stand in the place of a {type(leaf).__name__}")

    found, treedef = tree.flatten(like)
    return st.tuples(*map(of if leaves is None else function(leaves, "trees_like: leaves"), found)).map(
        treedef.unflatten
    )

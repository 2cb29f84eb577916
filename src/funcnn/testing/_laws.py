"""The laws that trees owe."""

from __future__ import annotations

import contextlib
import inspect
import typing
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._arguments import function, integer

from ._closeness import assert_trees_equal, bytes_of
from ._trees import trees

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


@attrs.frozen
class Utilities:
    """The functions that are checked."""

    flatten: Callable[[Any], tuple[Any, Any]]
    unflatten: Callable[[Any, Any], Any]
    map: Callable[..., Any]
    partition: Callable[..., tuple[Any, Any]]
    merge: Callable[[Any, Any], Any]
    paths: Callable[[Any], Any]
    get: Callable[[Any, Any], Any]


class _Mark:
    """A leaf that is nothing: what a transformation may put in the place of an array."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"<leaf {self.number}>"


def _round_trip(do: Utilities, t: Any, chosen: int) -> None:
    leaves, treedef = do.flatten(t)
    again = do.unflatten(treedef, leaves)
    assert type(again) is type(t), f"it comes back as a {type(again).__name__}: {again!r}"
    assert_trees_equal(again, t)
    _same_leaves(tree.leaves(again), tree.leaves(t))


def _structure(do: Utilities, t: Any, chosen: int) -> None:
    (leaves, treedef), (others, other) = do.flatten(t), do.flatten(t)
    assert _equal(treedef, other), f"flattening twice gives structures that are not equal: {treedef} and {other}"
    assert hash(treedef) == hash(other), f"equal structures have different hashes: {treedef}"
    _same_leaves(list(others), list(leaves))
    _, rebuilt = do.flatten(do.unflatten(treedef, list(leaves)))
    assert _equal(rebuilt, treedef), f"the tree that comes back has the structure {rebuilt}, not {treedef}"


def _any_leaves(do: Utilities, t: Any, chosen: int) -> None:
    leaves, treedef = do.flatten(t)
    marks = [_Mark(i) for i, _ in enumerate(leaves)]
    found, rebuilt = do.flatten(do.unflatten(treedef, list(marks)))
    _same_leaves(list(found), marks)
    assert _equal(rebuilt, treedef), f"with other leaves the structure is {rebuilt}, not {treedef}"


def _identity(do: Utilities, t: Any, chosen: int) -> None:
    mapped = do.map(lambda x: x, t)
    assert type(mapped) is type(t), f"a {type(t).__name__} becomes a {type(mapped).__name__}: {mapped!r}"
    assert_trees_equal(mapped, t)
    _same_leaves(tree.leaves(mapped), tree.leaves(t))


def _composition(do: Utilities, t: Any, chosen: int) -> None:
    def f(x: Any) -> Any:
        return _Hidden("f", x)

    def g(x: Any) -> Any:
        return _Hidden("g", x)

    stepwise, at_once = do.map(g, do.map(f, t)), do.map(lambda x: g(f(x)), t)
    assert _shown(stepwise) == _shown(at_once), f"map(g, map(f, t)) is {stepwise!r}, map(g of f, t) is {at_once!r}"


class _Hidden:
    """A result that is a leaf whatever it holds."""

    def __init__(self, name: str, value: Any) -> None:
        self.name, self.value = name, value

    def __repr__(self) -> str:
        return f"{self.name}({self.value!r})"


def _shown(t: Any) -> tuple[Any, list[str]]:
    return tree.structure(t), [repr(x) for x in tree.leaves(t)]


def _every_leaf(do: Utilities, t: Any, chosen: int) -> None:
    seen: list[Any] = []

    def see(x: Any) -> Any:
        seen.append(x)
        return x

    do.map(see, t)
    leaves = tree.leaves(t)
    assert sorted(_ids(seen)) == sorted(_ids(leaves)), f"it is called with {seen!r}, the leaves are {leaves!r}"


def _ids(leaves: list[Any]) -> list[int]:
    return [id(x) for x in leaves]


def _partition(do: Utilities, t: Any, chosen: int) -> None:
    found = tree.leaves(t)
    mask = tree.unflatten(tree.structure(t), [bool(chosen >> i & 1) for i in range(len(found))])
    ours, rest = do.partition(t, mask)
    wanted = [[x for i, x in enumerate(found) if bool(chosen >> i & 1) is part] for part in (True, False)]
    for part, leaves in zip((ours, rest), wanted, strict=True):
        _same_leaves(tree.leaves(part), leaves)
    merged = do.merge(ours, rest)
    assert type(merged) is type(t), f"merging the parts gives a {type(merged).__name__}: {merged!r}"
    assert_trees_equal(merged, t)
    assert_trees_equal(do.merge(rest, ours), t)


def _paths(do: Utilities, t: Any, chosen: int) -> None:
    paths = list(do.paths(t))
    count = len(tree.leaves(t))
    assert len(paths) == count, f"there are {len(paths)} paths for {count} leaves: {paths}"
    twice = [path for path in paths if paths.count(path) > 1]
    assert not twice, f"several leaves have the path {twice[0]!r}: {paths}"


def _access(do: Utilities, t: Any, chosen: int) -> None:
    # Paths of one's own are read by one's own function.
    get, paths = (do.get, do.paths) if do.get is not tree.get else (tree.get, tree.paths)
    for path, leaf in zip(paths(t), tree.leaves(t), strict=True):
        found = get(t, path)
        assert found is leaf, f"at {path!r} get finds {found!r}, not {leaf!r}"
    for path in tree.paths(t):
        mark = _Mark(0)
        there = [p for p, x in tree.leaves_with_path(tree.set(t, path, mark)) if x is mark]
        assert there == [path], f"what is set at {path!r} stands at {there}"


def _unchanged(do: Utilities, t: Any, chosen: int) -> None:
    treedef, leaves = tree.structure(t), tree.leaves(t)
    before, text = [_bits(x) for x in leaves], str(treedef)
    with contextlib.suppress(Exception):  # which other laws are about
        do.map(lambda x: _Mark(0), t)
    with contextlib.suppress(Exception):
        found, structure = do.flatten(t)
        do.unflatten(structure, [_Mark(i) for i, _ in enumerate(found)])
    # Metadata that are never equal are no change.
    steady = tree.paths(t) == treedef.paths() and type(t) is type(tree.unflatten(treedef, leaves))
    assert steady and len(tree.leaves(t)) == len(leaves), f"the tree that was given, {text}, has become {t!r}"
    _same_leaves(tree.leaves(t), leaves)
    assert [_bits(x) for x in leaves] == before, f"elements of the leaves have changed: {t!r}"


# In the order of what builds on what: the first that is broken is reported.
LAWS: dict[str, tuple[str, Callable[[Utilities, Any, int], None]]] = {
    "purity": ("no call changes the tree that it is given", _unchanged),
    "round trip": ("unflatten(flatten(t)) is t again, with the same leaves", _round_trip),
    "structure": ("a structure is a value: equal and of one hash for one tree, whatever its leaves", _structure),
    "any leaves": ("unflatten takes anything for leaves, and flatten returns it in the same order", _any_leaves),
    "map of every leaf": ("map calls its function once with every leaf", _every_leaf),
    "map identity": ("map(lambda x: x, t) is t again", _identity),
    "map composition": ("map(g, map(f, t)) is map(lambda x: g(f(x)), t)", _composition),
    "partition and merge": ("merge(*partition(t, mask)) is t again, and each leaf is in one part", _partition),
    "unique paths": ("every leaf has a path of its own", _paths),
    "access by path": ("get finds each leaf by its path, and set replaces it there", _access),
}


def check_tree_laws(
    nodes: Any,
    *,
    flatten: Callable[[Any], tuple[Any, Any]] | None = None,
    unflatten: Callable[[Any, Any], Any] | None = None,
    map: Callable[..., Any] | None = None,
    partition: Callable[..., tuple[Any, Any]] | None = None,
    merge: Callable[[Any, Any], Any] | None = None,
    paths: Callable[[Any], Any] | None = None,
    get: Callable[[Any, Any], Any] | None = None,
    max_examples: int = 100,
    seed: int = 0,
) -> None:
    """Check that a registered class, or functions on trees of one's own, keep the laws of trees.

    They are: the round trip of flatten and unflatten; that structures are values, which depend on no leaf; that any leaves
    can be put in; that map calls its function for every leaf, keeps what the identity keeps, and composes; that merge
    inverts partition; that paths are unique, and lead to the leaves; that no call changes its argument.

    The same examples are drawn at every call.

    Args:
        nodes: A strategy for trees, such as ``testing.trees()``; or a class registered by ``tree.register_node`` or
            ``tree.register_attrs``, or a function that makes an instance. It is called with a tree for every argument
            without default, and with a value of the annotated type for those annotated as ``bool``, ``int``, ``float``,
            ``str``, ``bytes``, an enumeration, or a ``Literal``.
        flatten, unflatten, map, partition, merge, paths, get: Functions to check instead of those of ``funcnn.tree``, called as
            these: ``flatten(t)``, ``unflatten(treedef, leaves)``, ``map(f, t)``, ``partition(t, mask)``, ``merge(a, b)``,
            ``paths(t)``, ``get(t, path)``.
        max_examples: How many trees are tried.
        seed: Of the trees.

    Raises:
        AssertionError: A law is broken; the message names it, with the smallest tree found that breaks it, and how.

    >>> from funcnn import testing, tree
    >>> class Interval:
    ...     def __init__(self, low, high):
    ...         self.low, self.high = low, high
    >>> tree.register_node(Interval, lambda x: ((x.high, x.low), None), lambda _, ends: Interval(*ends))
    >>> testing.check_tree_laws(Interval)
    Traceback (most recent call last):
        ...
    AssertionError: check_tree_laws: the law "any leaves" is broken: unflatten takes anything for leaves, ...
      smallest example: t = <...Interval object at ...>, of the leaves [0, 0]
      leaf 0 is <leaf 1> where <leaf 0> should be
    """
    from hypothesis import HealthCheck, Phase, find, settings
    from hypothesis import strategies as st
    from hypothesis.errors import NoSuchExample

    given: dict[str, Any] = {
        "flatten": flatten,
        "unflatten": unflatten,
        "map": map,
        "partition": partition,
        "merge": merge,
        "paths": paths,
        "get": get,
    }
    for name, value in given.items():
        if value is not None:
            function(value, f"check_tree_laws: {name}")
    do = Utilities(**{name: getattr(tree, name) if value is None else value for name, value in given.items()})
    if integer(max_examples, "check_tree_laws: max_examples") < 1:
        raise ValueError(f"check_tree_laws: max_examples must be at least 1, got {max_examples}")
    examples = st.tuples(_strategy(nodes), st.integers(0, 255))

    found: list[tuple[str, str, Exception]] = []

    def broken(names: list[str], example: tuple[Any, int]) -> bool:
        """Whether a law is broken; noted at once, for the example may be changed by what breaks it."""
        text = f"t = {example[0]!r}{_leaves_of(example[0])}"
        for name in names:
            try:
                LAWS[name][1](do, *example)
            except Exception as error:
                found.append((name, text, error))
                return True
        return False

    def search(names: list[str], *phases: Phase) -> bool:
        quiet = settings(
            max_examples=max_examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=phases,
        )
        try:
            find(examples, lambda example: broken(names, example), settings=quiet, random=Random(seed))
        except NoSuchExample:
            return False
        return True

    if not search(list(LAWS), Phase.generate):
        return
    # Two searches: the smallest example of any law is often one of another law.
    name = found[-1][0]
    search([name], Phase.generate, Phase.shrink)
    _, text, error = found[-1]
    what = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
    raise AssertionError(
        f'check_tree_laws: the law "{name}" is broken: {LAWS[name][0]}\n  smallest example: {text}\n  {what}'
    ) from error


def _leaves_of(t: Any) -> str:
    try:
        return f", of the leaves {tree.leaves(t)!r}"
    except Exception:
        return ""


def _strategy(nodes: Any) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    if isinstance(nodes, st.SearchStrategy):
        return nodes
    if not callable(nodes):
        raise TypeError(f"check_tree_laws: nodes must be a strategy, a class or a function, got {nodes!r}")
    try:
        parameters = inspect.signature(nodes).parameters
    except (TypeError, ValueError):
        raise TypeError(f"check_tree_laws: cannot tell how {nodes!r} is called; give a strategy") from None
    try:
        hints = typing.get_type_hints(vars(nodes).get("__init__", nodes) if isinstance(nodes, type) else nodes)
    except Exception:
        hints = {}
    children = trees(st.integers(0, 9), max_leaves=3)
    positional: list[SearchStrategy[Any]] = []
    named: dict[str, SearchStrategy[Any]] = {}
    for parameter in parameters.values():
        if parameter.default is not parameter.empty:
            continue
        kind = _value(hints.get(parameter.name, parameter.annotation))
        if parameter.kind is parameter.VAR_POSITIONAL:
            return st.tuples(st.tuples(*positional), st.lists(children, max_size=4)).map(
                lambda pair: nodes(*pair[0], *pair[1])
            )
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[parameter.name] = children if kind is None else kind
        elif parameter.kind is not parameter.VAR_KEYWORD:
            positional.append(children if kind is None else kind)
    return st.builds(nodes, *positional, **named)


def _value(annotation: Any) -> SearchStrategy[Any] | None:
    """A strategy for the value of static data, None for a subtree."""
    import enum

    from hypothesis import strategies as st

    simple = annotation in (bool, int, float, str, bytes)
    is_enum = isinstance(annotation, type) and issubclass(annotation, enum.Enum)
    if simple or is_enum or typing.get_origin(annotation) is typing.Literal:
        return st.from_type(annotation)
    return None


def _same_leaves(found: list[Any], wanted: list[Any]) -> None:
    assert len(found) == len(wanted), f"there are {len(found)} leaves where {len(wanted)} should be: {found!r}"
    for i, (x, y) in enumerate(zip(found, wanted, strict=True)):
        assert x is y or _bits(x) == _bits(y), f"leaf {i} is {x!r} where {y!r} should be"


def _bits(x: Any) -> Any:
    """What a leaf is, to the last bit."""
    return (x.dtype, x.shape, bytes_of(x)) if isinstance(x, fn.array) else (type(x), repr(x))


def _equal(a: Any, b: Any) -> bool:
    """Whether two structures are equal; arrays as metadata make that a question without answer."""
    try:
        return bool(a == b)
    except Exception as error:
        raise AssertionError(f"structures cannot be compared ({type(error).__name__}: {error}): {a!r}") from error

"""Making trees out of one's own classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, overload

import attrs

from .. import _core

T = TypeVar("T", bound=type)


def register_node(
    cls: type,
    flatten: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten: Callable[[Any, tuple[Any, ...]], Any],
    keys: Sequence[str] | Callable[[Any], Sequence[str]] | None = None,
) -> None:
    """Make the instances of a class containers of a tree, for as long as the process lives.

    Args:
        cls: The class; its subclasses are not registered with it.
        flatten: Takes an instance, returns ``(children, metadata)``. The metadata is part of the structure: it must be
            hashable and comparable.
        unflatten: Takes metadata and children, returns an instance. Children may be anything, so it should not check them.
        keys: The names of the children in paths, or a function from metadata to the names. The default is 0, 1, ...

    Raises:
        ValueError: The class is registered already.

    >>> from funcnn import tree
    >>> class Interval:
    ...     def __init__(self, low, high):
    ...         self.low, self.high = low, high
    >>> tree.register_node(Interval, lambda x: ((x.low, x.high), None), lambda _, ends: Interval(*ends), ("low", "high"))
    >>> tree.leaves_with_path({"x": Interval(1, 2)})
    [('x.low', 1), ('x.high', 2)]
    """
    _core.tree_register_node(cls, flatten, unflatten, keys)


@overload
def register_attrs(cls: T) -> T: ...
@overload
def register_attrs(*, static: Iterable[str] = ()) -> Callable[[T], T]: ...
def register_attrs(cls: T | None = None, *, static: Iterable[str] = ()) -> T | Callable[[T], T]:
    """Make the instances of an attrs class or a dataclass containers of a tree, by a decorator.

    Instances are put together again without calling ``__init__``, for while a tree is transformed its fields may hold
    anything.

    Args:
        cls: The class.
        static: Names of the fields that are part of the structure; the others hold subtrees. Their values must be
            hashable and comparable.

    Raises:
        TypeError: The class is neither an attrs class nor a dataclass.
        ValueError: There is no field of a name in ``static``, or the class is registered already.

    >>> import attrs
    >>> from funcnn import tree
    >>> @tree.register_attrs(static=["axis"])
    ... @attrs.frozen
    ... class Split:
    ...     left: object
    ...     right: object
    ...     axis: int = 0
    >>> tree.map(lambda x: x + 1, Split(1, 2))
    Split(left=2, right=3, axis=0)
    """

    def register(cls: T) -> T:
        if attrs.has(cls):
            names = [field.name for field in attrs.fields(cls)]
        elif dataclasses.is_dataclass(cls):
            names = [field.name for field in dataclasses.fields(cls)]
        else:
            raise TypeError(f"register_attrs: {cls!r} is neither an attrs class nor a dataclass")
        constants = list(static)
        unknown = [name for name in constants if name not in names]
        if unknown:
            raise ValueError(f"register_attrs: {cls.__name__} has no field {unknown[0]!r}, only {names}")
        _core.tree_register_attrs(cls, [name for name in names if name not in constants], constants, _caches(cls))
        return cls

    return register if cls is None else register(cls)


def _caches(cls: type) -> list[str]:
    """The attributes that methods of an attrs class expect to be None at first: the hash of ``cache_hash=True``."""
    used = getattr(getattr(cls.__hash__, "__code__", None), "co_names", ())
    return [name for name in used if name == "_attrs_cached_hash"]

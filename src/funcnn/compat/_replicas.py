"""Copies of modules that share all but their structure."""

from __future__ import annotations

import copy
import functools
import gc
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .. import _core
from .nn.layers.base import Module

_CONTAINERS = (dict, list, tuple)

# leaf(container, new container, key, value): what stands for a value that is no container.
Leaf = Callable[[Any, Any, Any, Any], Any]


def replica(module: Module, leaf: Leaf, bound: bool = True) -> Module:
    """A copy of a module and of the modules and containers in it, shared where they are.

    Attributes are shared with the module, but for sets, which are copied, and methods of the modules, which become those of
    their copies, if there are any: `bound`.
    """
    made: dict[int, Any] = {}
    result: Module = _rebuilt(module, leaf, made)
    if bound:
        for attributes, name, value in list(_bound(made.values())):
            attributes[name] = _rebound(value, made)
    return result


def has_bound(module: Module) -> bool:
    """Whether methods, or what may be made of them, stand in attributes."""
    return any(True for _ in _bound(module.modules()))


def _bound(values: Iterable[Any]) -> Iterator[tuple[dict[str, Any], str, Any]]:
    for value in values:
        if isinstance(value, Module):
            for name, attribute in vars(value).items():
                if isinstance(attribute, (types.MethodType, functools.partial)):
                    yield vars(value), name, attribute


def _rebuilt(value: Any, leaf: Leaf, made: dict[int, Any]) -> Any:
    if id(value) in made:
        return made[id(value)]
    if isinstance(value, tuple):
        items = [_item(value, value, i, item, leaf, made) for i, item in enumerate(value)]
        result: Any = type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
        made[id(value)] = result
        return result
    if isinstance(value, Module):
        result = dict.__new__(type(value))
        attributes = vars(result)
        attributes.update(vars(value))
        for name, attribute in attributes.items():
            if isinstance(attribute, set):
                attributes[name] = set(attribute)
        pairs: Any = dict.items(value)
    elif isinstance(value, dict):
        result = {} if type(value) is dict else copy.copy(value)
        pairs = value.items()
    else:
        result = [None] * len(value) if type(value) is list else copy.copy(value)
        pairs = enumerate(value)
    made[id(value)] = result
    put = dict.__setitem__ if isinstance(result, Module) else type(result).__setitem__
    for key, item in pairs:
        put(result, key, _item(value, result, key, item, leaf, made))
    return result


def _item(source: Any, result: Any, key: Any, item: Any, leaf: Leaf, made: dict[int, Any]) -> Any:
    return _rebuilt(item, leaf, made) if isinstance(item, _CONTAINERS) else leaf(source, result, key, item)


def _rebound(value: Any, made: dict[int, Any]) -> Any:
    if isinstance(value, types.MethodType):
        return types.MethodType(value.__func__, made.get(id(value.__self__), value.__self__))
    if isinstance(value, functools.partial):
        args = [_rebound(arg, made) for arg in value.args]
        keywords = {name: _rebound(arg, made) for name, arg in value.keywords.items()}
        return functools.partial(_rebound(value.func, made), *args, **keywords)
    return made.get(id(value), value) if isinstance(value, Module) else value


def check_closed(replicated: Module, module: Module) -> None:
    """Refuse a replica whose attributes reach modules that it was made of: they would compute with the arrays of those."""
    originals = {id(below) for below in module.modules()}
    for path, below in replicated.named_modules():
        for name, value in vars(below).items():
            if any(id(reached) in originals for reached in _reachable(value)):
                place = f"{path}.{name}" if path else name
                raise ValueError(
                    f"functionalize: the attribute {place!r} is made of a function that refers to the module, and would "
                    "compute with the arrays that the module has now; make it in __call__, or give it the module as argument"
                )


def _reachable(value: Any, most: int = 10_000) -> Iterator[Module]:
    """The modules that an attribute leads to through functions, methods and objects, not through what it is a module of."""
    seen: set[int] = set()
    pending = [value]
    while pending and len(seen) < most:
        value = pending.pop()
        if id(value) in seen or isinstance(value, (type, types.ModuleType, str, bytes, int, float, _core.array)):
            continue
        seen.add(id(value))
        if isinstance(value, Module):
            yield value
        elif isinstance(value, types.FunctionType):
            pending += [*(value.__closure__ or ()), *(value.__defaults__ or ()), vars(value), value.__kwdefaults__]
        else:
            pending += gc.get_referents(value)

"""From a module to a pure function of its arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from .. import _core, asarray, isdtype, nn, tree
from ..nn._view import INFERENCE, at
from ..tree import frozendict
from ._arrays import immutable, mutable
from ._draws import drawing_from
from ._modulize import original
from ._replicas import check_closed, has_bound, replica
from .nn.layers.base import Module

Path = tuple[Any, ...]


@attrs.frozen(eq=False)
class Slot:
    """Where an array of the parameters stands in a template."""

    path: Path
    shape: tuple[int, ...]
    dtype: Any
    frozen: bool  # or of integers, which have no gradient

    @property
    def ndim(self) -> int:
        return len(self.shape)


@attrs.frozen(eq=False, repr=False)
class Template:
    """A module with slots in the places of its parameters. It is never changed."""

    module: Module
    slots: tuple[Slot, ...]
    bound: bool

    def __repr__(self) -> str:
        return repr(self.module)

    def filled(self, array_of: Callable[[Slot], Any]) -> tuple[Module, list[tuple[Slot, Any, Any]]]:
        """A new module, and the slots with the containers and keys where their arrays stand in it."""
        places: list[tuple[Slot, Any, Any]] = []

        def leaf(_: Any, container: Any, key: Any, value: Any) -> Any:
            if isinstance(value, Slot):
                places.append((value, container, key))
                return array_of(value)
            return _core._mutable(value) if isinstance(value, _core.array) else value

        return replica(self.module, leaf, self.bound), places


class Functional(nn.Layer):
    """A module as a layer: ``functionalize`` makes it."""

    template: Template = attrs.field(converter=lambda template: template)

    def init(self, key: _core.array) -> frozendict[str, Any]:
        """Refuse: the parameters are those that ``functionalize`` returned."""
        raise TypeError("a functionalized module draws no parameters: take those that functionalize returned")

    def _buffers(self) -> tuple[Path, ...]:
        return tuple(slot.path for slot in self.template.slots if slot.frozen)

    def _restored(self, params: Any) -> Module:
        """The module of which it was made, with other arrays in it."""
        return self.template.filled(lambda slot: _core._mutable(_array_at(params, slot)))[0]

    def __call__(self, params: Any, *args: Any, **kwargs: Any) -> Any:
        contents = params.params
        # A context that computes in other dtypes has them ready, array by array.
        precise = params if params._context.precision is not None else None
        module, places = self.template.filled(lambda slot: _core._mutable(_array_at(contents, slot, precise)))
        if params._context is not INFERENCE or params._keys:
            _set_mode(module, params.training)
        before = [_value(place) for place in places]
        with drawing_from(params):
            output = immutable(module(*mutable(args), **mutable(kwargs)))
        if params._context.updates is not None:
            for place, old in zip(places, before, strict=True):
                new = _value(place)
                if old is not None and new is not None and not _core._same(old, new):
                    _report(params, place[0].path, _core._immutable(new))
        return output


def functionalize(module: Module) -> tuple[nn.Layer, Any]:
    """Return a pure function of a module's arrays, and these arrays.

    The function is a layer of the functional API: ``f(params, *args)`` is what ``module(*args)`` returns with these
    arrays, in the modes that the module and those below it are in now; ``f.apply(params, *args, training=True, key=key)``
    is a training call, which returns also the updates of what the call changed, such as the statistics of batch norm.
    It works under ``fn.grad``, ``fn.vmap`` and ``fn.compile``, alone and within other layers, and
    ``compat.modulize(f, params)`` makes the module again.

    Args:
        module: Any module. It stays as it is, and so does the function when the module is changed.

    Returns:
        ``(f, params)``. ``params`` is a frozendict with tuples for lists, whose paths are those of ``module.parameters()``,
        and whose arrays share the memory of the module's. A module that stands in several places has its arrays at the
        first. ``nn.trainable(f)`` leaves out those that are frozen or hold integers. Arrays that are no
        parameters, such as those with private names, are constants of the function. What else a call changes in the
        module, private names for instance, is lost with the call.

    Raises:
        TypeError: It is no module.
        ValueError: An attribute of it is made of a function that refers to it, such as ``mx.compile(self.step)``.
        ValueError: In a call: an array is missing, or random numbers are needed and ``apply`` got no key.

    >>> import funcnn as fn
    >>> from funcnn import compat, nn, tree
    >>> import funcnn.compat.core as mx, funcnn.compat.nn as mnn
    >>> class Scale(mnn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.scale = mx.array([1.0, 2.0])
    ...         self.shift = mx.array(0.5)
    ...     def __call__(self, x):
    ...         return x * self.scale + self.shift
    >>> f, params = compat.functionalize(Scale().freeze(keys="shift"))
    >>> fn.grad(lambda p: f(p, fn.array([3.0, 4.0])).sum(), where=nn.trainable(f))(params)["scale"].tolist()
    [3.0, 4.0]
    """
    if not isinstance(module, Module):
        raise TypeError(f"functionalize: expected a Module, got {type(module).__name__}")
    made_from = original(module)
    if made_from is not None:
        return made_from
    found: dict[tuple[int, Any], Slot] = {}
    params = _visible(module, found)

    def leaf(source: Any, container: Any, key: Any, value: Any) -> Any:
        slot = found.get((id(source), key))
        if slot is not None:
            return slot
        return _core._mutable(value) if isinstance(value, _core.array) else value

    made = replica(module, leaf)
    check_closed(made, module)
    return Functional(Template(made, tuple(found.values()), has_bound(made))), params


def _visible(root: Module, found: dict[tuple[int, Any], Slot]) -> Any:
    """The parameters, as ``root.parameters()`` has them; a slot for each goes into ``found``, by its container and key."""
    seen: set[int] = set()

    def walk(holder: Any, module: Module, prefix: str, path: Path, frozen: bool) -> Any:
        if id(holder) in seen:
            return frozendict()
        seen.add(id(holder))
        kept: dict[Any, Any] = {}
        for key, value in enumerate(holder) if isinstance(holder, list) else list(holder.items()):
            name: Any = f"{prefix}.{key}" if prefix else key
            if not root.valid_parameter_filter(module, name, value):
                if holder is not module:
                    kept[key] = frozendict()
                continue
            is_frozen = frozen or not root.trainable_parameter_filter(module, name, value)
            here = (*path, key)
            if isinstance(value, Module):
                kept[key] = walk(value, value, "", here, is_frozen)
            elif isinstance(value, (dict, list)):
                kept[key] = walk(value, module, name, here, is_frozen)
            else:
                whole = not isdtype(value.dtype, ("real floating", "complex floating"))
                found[id(holder), key] = Slot(here, value.shape, value.dtype, is_frozen or whole)
                kept[key] = _core._immutable(value)
        return tuple(kept.values()) if isinstance(holder, list) else frozendict(kept)

    return walk(root, root, "", (), False)


def _array_at(params: Any, slot: Slot, view: Any = None) -> Any:
    array = at(params, slot.path)
    if array is None or isinstance(array, (dict, frozendict, tuple, list)):
        raise ValueError(f"no array {tree.join_path(slot.path)!r} in the parameters")
    if view is not None:
        for key in slot.path:
            view = view[key]
        array = view
    return array if isinstance(array, _core.array) else asarray(array)


def _value(place: tuple[Slot, Any, Any]) -> Any:
    """A handle of its own on the array that stands in a place; None if there is none."""
    _, container, key = place
    try:
        value = container[key]
    except LookupError:
        return None
    return _core._mutable(value) if isinstance(value, _core.array) else None


def _report(view: Any, path: Path, value: Any) -> None:
    for key in path[:-1]:
        view = view[key]
    view.update(path[-1], value)


def _set_mode(module: Module, training: bool) -> None:
    if any(below.training is not training for below in module.modules()):
        module.train(training)

"""From a layer of the functional API and its parameters to a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from .. import _core, asarray, nn, tree
from ..nn._view import Context, View
from ..tree import frozendict
from ._arrays import immutable, mutable
from ._draws import GlobalContext
from .nn.layers.base import Module

Path = tuple[Any, ...]


@attrs.frozen(eq=False)
class Origin:
    """What a module was made of: layers, names of what is frozen and containers by path, and the structure of the parameters."""

    layers: dict[Path, nn.Layer]
    frozen: dict[Path, frozenset[str]]
    structure: Any
    containers: dict[Path, Any]


@attrs.frozen(eq=False)
class Parts:
    """The layers of a module and of those below it, which its layer calls itself."""

    layers: list[nn.Layer]

    def check(self, modules: list[Module]) -> None:
        """Refuse modules that are others than the layer calls: it would go on to compute without them."""
        layers = [module._layer if type(module) is Modulized else module for module in modules]
        if len(layers) == len(self.layers) and all(a is b or a == b for a, b in zip(layers, self.layers, strict=True)):
            return
        raise ValueError(
            f"a module below {type(modules[0]._layer).__name__} was added, removed or replaced, but the layer that it was "
            "made of calls its parts itself; change the layer, and modulize that"
        )


class Modulized(Module):
    """A layer of the functional API with its parameters in it: ``modulize`` makes it."""

    _layer: nn.Layer
    _origin: Origin | None
    _parts: Parts

    def __init__(self, layer: nn.Layer, origin: Origin | None = None) -> None:
        super().__init__()
        self._layer = layer
        self._origin = origin

    def __repr__(self) -> str:
        text = super().__repr__()
        return type(self._layer).__name__ + text[text.index("(") :] if self.children() else repr(self._layer)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        context: Context = GlobalContext(self.training, None, {})
        modules = list(_modules(self))
        self._parts.check(modules)
        if any(module.training is not self.training for module in modules):
            context = context.like(watches=(_Modes(_modes(self, (), {})),), key=context.key)
        origin = self._origin
        params = _tree(self, (), origin) if origin and origin.containers else _frozen(self)
        view = View(params, (), context)
        output = self._layer(view, *immutable(args), **immutable(kwargs))
        for path, value in view.updates_of(context).items():
            holder: Any = self
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = _core._mutable(value)
        return mutable(output)


@attrs.frozen
class _Modes:
    """Lets layers at some paths run in modes of their own, as a watch of a context."""

    modes: dict[Path, bool]

    def call(self, run: Callable[..., Any], layer: nn.Layer, view: View, args: Any, kwargs: Any) -> Any:
        mode = self.modes.get(view._keys, view.training)
        if mode is not view.training:
            view = View(view._params, view._keys, view._context.like(training=mode))
        return run(view, *args, **kwargs)

    def entered(self, outside: Any, inside: Any, rehearsal: bool) -> _Modes:
        return self

    def reports(self, watch: int, depth: int) -> dict[Any, Any]:
        return {}

    def report(self, above: Path, reports: dict[Any, Any]) -> None:
        """There is nothing to report."""


def modulize(layer: nn.Layer, params: Any) -> Module:
    """Return a module that holds parameters and calls a layer of the functional API with them.

    The module and the modules below it are those of the layer: their names, paths and parameters are the same, and
    what ``nn.trainable(layer)`` leaves out, such as the statistics of batch norm, is frozen. It takes and returns mutable arrays; `train` and `eval` set the
    mode, random draws come from the global stream, and updates are put in when a call returns. ``compat.functionalize``
    returns the layer and the parameters again.

    Args:
        layer: Any layer, also one that ``functionalize`` returned, which becomes the module that it was made of.
        params: Its parameters, as ``layer.init`` or training made them. The module's arrays share their memory; they are
            handles of their own, so what is assigned to the module leaves ``params`` as it is.

    Raises:
        TypeError: It is no layer, or the parameters are no dict.
        ValueError: In a call: a module below has been replaced, which the layer would not call.
        ValueError: The parameters lack an array of a functionalized module.

    >>> import funcnn as fn
    >>> import funcnn.compat.core as mx, funcnn.compat.nn as mnn
    >>> from funcnn import compat, nn, random
    >>> layer = nn.Sequential(nn.Linear(4, 2), nn.ReLU())
    >>> module = compat.modulize(layer, layer.init(random.key(0)))
    >>> module
    Sequential(
      (layers.0): Linear(4, 2)
      (layers.1): ReLU()
    )
    >>> loss, grads = mnn.value_and_grad(module, lambda x: module(x).sum())(mx.ones((3, 4)))
    >>> grads["layers"][0]["weight"].shape
    (2, 4)
    """
    if not isinstance(layer, nn.Layer):
        raise TypeError(f"modulize: expected a layer of funcnn.nn, got {type(layer).__name__}")
    restored: Callable[[Any], Module] | None = getattr(layer, "_restored", None)
    if restored is not None:
        return restored(params)
    if not isinstance(params, (dict, frozendict)):
        raise TypeError(f"modulize: expected a dict of parameters, got {type(params).__name__}")
    layers: dict[Path, nn.Layer] = {(): layer}
    for path, part in layer._layers():
        layers.setdefault(path, part)
    origin = Origin(layers, {}, tree.structure(params), {})
    made: Module = _built(params, tree.map_with_path(nn.trainable(layer), params), (), set(), "", origin)
    return made


def _built(value: Any, trained: Any, path: Path, frozen: set[str], prefix: str, origin: Origin) -> Any:
    """What stands for parameters at a path; ``frozen`` takes the names of arrays that are not trained, from the module."""
    if isinstance(value, (dict, frozendict)):
        if type(value) is not frozendict:
            origin.containers[path] = type(value)
        layer = origin.layers.get(path)
        if layer is not None:
            frozen, prefix = set(), ""
        items = {
            key: _built(item, trained[key], (*path, key), frozen, f"{prefix}.{key}" if prefix else f"{key}", origin)
            for key, item in value.items()
        }
        if layer is None:
            return items
        module = Modulized(layer, None if path else origin)
        for key, item in items.items():
            module[key] = item
        origin.frozen[path] = frozenset(frozen)
        module._no_grad.update(frozen)
        module._parts = Parts([below._layer for below in _modules(module)])
        return module
    if isinstance(value, (tuple, list)):
        if type(value) is not tuple:
            origin.containers[path] = type(value)
        return [_built(item, trained[i], (*path, i), frozen, f"{prefix}.{i}", origin) for i, item in enumerate(value)]
    if not trained:
        frozen.add(prefix)
    if isinstance(value, _core.array):
        return _core._mutable(value)
    return _core._mutable(asarray(value)) if hasattr(value, "__array_interface__") else value


def _tree(value: Any, path: Path, origin: Origin | None) -> Any:
    """The parameters in a module, in containers as they were made of."""
    if isinstance(value, dict):
        items = {key: _tree(item, (*path, key), origin) for key, item in value.items()}
        kind: Any = origin.containers.get(path, frozendict) if origin else frozendict
        return kind(items)
    if isinstance(value, list):
        kind = origin.containers.get(path, tuple) if origin else tuple
        parts = [_tree(item, (*path, i), origin) for i, item in enumerate(value)]
        return kind(*parts) if hasattr(kind, "_fields") else kind(parts)
    return _core._immutable(value) if isinstance(value, _core.array) else value


def _frozen(value: Any) -> Any:
    """The parameters in a module, as frozendicts and tuples."""
    if isinstance(value, _core.array):
        return _core._immutable(value)
    if isinstance(value, dict):
        return frozendict({key: _frozen(item) for key, item in value.items()})
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _modules(value: Any) -> Iterator[Module]:
    """A module and those below it, in the order of their entries."""
    if isinstance(value, Module):
        yield value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list)):
            yield from _modules(item)


def _modes(value: Any, path: Path, modes: dict[Path, bool]) -> dict[Path, bool]:
    if isinstance(value, Module):
        modes[path] = value.training
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if not isinstance(item, _core.array):
                _modes(item, (*path, key), modes)
    return modes


def original(module: Module) -> tuple[nn.Layer, Any] | None:
    """The layer and the parameters of which a module was made, unless something else has become of it."""
    if type(module) is not Modulized or module._origin is None:
        return None
    origin = module._origin
    params = _tree(module, (), origin)
    if tree.structure(params) != origin.structure or not _is_as_made(module, (), origin):
        return None
    return module._layer, params


def _is_as_made(value: Any, path: Path, origin: Origin) -> bool:
    """Whether the layers stand where they stood, and the same arrays are frozen."""
    if isinstance(value, Module):
        same = type(value) is Modulized and value._layer is origin.layers.get(path)
        if not same or value._no_grad != origin.frozen.get(path, frozenset()):
            return False
    elif path in origin.layers:
        return False
    if isinstance(value, (dict, list)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return all(_is_as_made(item, (*path, key), origin) for key, item in pairs)
    return True

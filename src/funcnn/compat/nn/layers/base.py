"""`Module`: a dict of arrays, modules and containers of them, whose entries are its attributes."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .... import _core
from ... import core as mx
from ...utils import tree_flatten, tree_unflatten

__all__ = ["Module"]

Filter = Callable[["Module", str, Any], bool]


if TYPE_CHECKING:
    Entries = dict[str, Any]
else:
    Entries = dict


class Module(Entries):
    """The base of all layers and models.

    Arrays, modules, lists, dicts and tuples that are set as attributes become entries of the module, which is a dict;
    all else is an ordinary attribute. Arrays in entries, in modules, lists and dicts to any depth, are parameters, unless
    a name starts with an underscore. A tuple's are not.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> class Scale(nn.Module):
    ...     def __init__(self, dims):
    ...         super().__init__()
    ...         self.scale = mx.ones((dims,))
    ...         self.offsets = [mx.zeros((dims,))]
    ...         self.dims = dims
    ...     def __call__(self, x):
    ...         return x * self.scale + self.offsets[0]
    >>> from funcnn.compat.utils import tree_map
    >>> tree_map(lambda x: x.tolist(), Scale(2).parameters())
    {'scale': [1.0, 1.0], 'offsets': [[0.0, 0.0]]}
    """

    __call__: Callable[..., Any]
    _no_grad: set[Any]
    _training: bool

    def __init__(self) -> None:
        """Make an empty module in training mode, nothing frozen. A subclass that does not call this gets the same."""
        self._no_grad = set()
        self._training = True

    @property
    def training(self) -> bool:
        """Whether the module is in training mode, see `train`."""
        return self._training

    @property
    def state(self) -> Module:
        """The module itself, as the dict of all it holds: what is changed here is changed in the module."""
        return self

    def _extra_repr(self) -> str:
        """What stands between the parentheses when the module is printed."""
        return ""

    def __repr__(self) -> str:
        head = f"{type(self).__name__}({self._extra_repr()}"
        held = [f"({name}): {child!r}" for name, child in tree_flatten(self.children(), is_leaf=self.is_module)]
        return "\n".join([head, textwrap.indent("\n".join(held), "  "), ")"]) if held else head + ")"

    # Attributes

    if TYPE_CHECKING:

        def __getattr__(self, key: str) -> Any: ...

        def __setattr__(self, key: str, val: Any) -> None: ...

    else:
        # An entry that is not None is an attribute. Setting makes arrays, modules and containers entries (raising
        # AttributeError where the class has the name) and all else ordinary attributes, in the place of one another.
        __getattr__ = _core._module_getattr
        __setattr__ = _core._module_setattr

    def __delattr__(self, name: str) -> None:
        if self.get(name) is not None:
            del self[name]
        else:
            object.__delattr__(self, name)

    # Files

    def load_weights(self, file_or_weights: str | list[tuple[str, mx.array]], strict: bool = True) -> Module:
        """Take parameters from a ``.npz`` or ``.safetensors`` file, or from a list of pairs of path and array.

        With ``strict`` the paths and shapes must be those of `parameters`, else ValueError names what is missing, what
        is not in the model, or what has another shape, and nothing is changed. Without, what fits is taken, whatever its
        shape. Returns the module.

        >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
        >>> layer = nn.Module()
        >>> layer.weight = mx.zeros((2,))
        >>> layer.load_weights([("weight", mx.ones((2,)))]).weight.tolist()
        [1.0, 1.0]
        """
        given: Any = file_or_weights
        if isinstance(given, str):
            loaded: Any = mx.load(given)
            given = list(loaded.items())
        if strict:
            _check_weights(self, dict(given))
        if len(given) > 0:
            self.update(tree_unflatten(given), strict=False)
        return self

    def save_weights(self, file: str) -> None:
        """Write all parameters to a file whose name ends in ``.npz`` or ``.safetensors``; another one is a ValueError."""
        arrays = tree_flatten(self.parameters(), destination={})
        if file.endswith(".safetensors"):
            return mx.save_safetensors(file, arrays)
        if not file.endswith(".npz"):
            raise ValueError(f"save_weights: the name of the file must end in .npz or .safetensors, got {file!r}")
        mx.savez(file, **arrays)

    # What a module holds

    @staticmethod
    def is_module(value: Any) -> bool:
        """Whether ``value`` is a `Module`."""
        return isinstance(value, Module)

    @staticmethod
    def valid_child_filter(module: Module, key: str, value: Any) -> bool:
        """The filter of `children`: dicts, lists and modules."""
        return isinstance(value, (dict, list))

    @staticmethod
    def valid_parameter_filter(module: Module, key: str, value: Any) -> bool:
        """The filter of `parameters`: arrays and what may hold them, unless the name starts with an underscore."""
        return isinstance(value, (dict, list, mx.array)) and not key.startswith("_")

    @staticmethod
    def trainable_parameter_filter(module: Module, key: str, value: Any) -> bool:
        """The filter of `trainable_parameters`: that of `parameters`, without what is frozen."""
        return Module.valid_parameter_filter(module, key, value) and key not in module._no_grad

    def filter_and_map(
        self,
        filter_fn: Filter,
        map_fn: Callable[[Any], Any] | None = None,
        is_leaf_fn: Filter | None = None,
    ) -> dict[str, Any]:
        """Return what the module holds, to any depth, where ``filter_fn(module, key, value)`` is true.

        ``key`` is the path from ``module``, the innermost module that holds the value: ``"layers.0"`` for an item of a
        list. Entries of modules that are filtered out are left away; items of lists and dicts become ``{}``. Leaves,
        that is what ``is_leaf_fn(module, key, value)`` says (by default: all but modules, dicts and lists), are passed
        through ``map_fn``. Raises RuntimeError where something else than these is no leaf.
        """
        return _entries(self, filter_fn, map_fn, is_leaf_fn)

    def parameters(self) -> dict[str, Any]:
        """Return all arrays, frozen ones too, as a tree of dicts and lists."""
        return _parameters(self, False)

    def trainable_parameters(self) -> dict[str, Any]:
        """Return all arrays that are not frozen, as a tree of dicts and lists."""
        return _parameters(self, True)

    def children(self) -> dict[str, Any]:
        """Return the modules that this one holds itself, as a tree of dicts and lists."""
        return self.filter_and_map(self.valid_child_filter, is_leaf_fn=lambda _, __, value: isinstance(value, Module))

    def leaf_modules(self) -> dict[str, Any]:
        """Return the modules that hold no others, as a tree of dicts and lists."""

        return self.filter_and_map(
            self.valid_child_filter,
            is_leaf_fn=lambda _, __, value: isinstance(value, Module) and tree_flatten(value.children()) == [],
        )

    # Replacing it

    def update(self, parameters: dict[str, Any], strict: bool = True) -> Module:  # type: ignore[override]
        """Replace the arrays for which the tree ``parameters`` holds others. Returns the module.

        With ``strict`` what the module does not have, or has as something else, raises ValueError (what stands before it
        has been replaced by then); without, it is passed over.

        >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
        >>> layer = nn.Module()
        >>> layer.scales = [mx.zeros((1,)), mx.zeros((1,))]
        >>> [scale.item() for scale in layer.update({"scales": [mx.ones((1,))]}).scales]
        [1.0, 0.0]
        """
        _core._module_update(self, parameters, strict)
        return self

    def apply(self, map_fn: Callable[[mx.array], mx.array], filter_fn: Filter | None = None) -> Module:
        """Replace every array for which ``filter_fn`` is true (by default every parameter) by ``map_fn(array)``."""
        return self.update(self.filter_and_map(filter_fn or Module.valid_parameter_filter, map_fn))

    def update_modules(self, modules: dict[str, Any], strict: bool = True) -> Module:
        """Replace the modules for which the tree ``modules`` holds others, as `update` does arrays. Returns the module."""
        _update_modules(self, modules, strict)
        return self

    # Walks

    def apply_to_modules(self, apply_fn: Callable[[str, Module], Any]) -> Module:
        """Call ``apply_fn(path, module)`` for this module (with path ``""``) and all below it. Returns the module."""
        for path, module in _walk(self):
            apply_fn(path, module)
        return self

    def modules(self) -> list[Module]:
        """Return this module and all below it, in the order of `named_modules`."""
        found: list[Module] = []
        self.apply_to_modules(lambda _, module: found.append(module))
        return found

    def named_modules(self) -> list[tuple[str, Module]]:
        """Return pairs of path and module of this module and all below it; what was set last comes first."""
        found: list[tuple[str, Module]] = []
        self.apply_to_modules(lambda path, module: found.append((path, module)))
        return found

    # Freezing

    def _validate_keys(self, keys: Any, strict: bool) -> Any:
        return _known(keys, self) if strict else _listed(keys)

    def _validate_keys_recursive(self, keys: Any) -> None:
        _known(keys, {key for module in self.modules() for key in module})

    def freeze(self, *, recurse: bool = True, keys: str | list[str] | None = None, strict: bool = False) -> Module:
        """Exclude parameters from `trainable_parameters`, hence from what `value_and_grad` differentiates.

        All of them, or those called ``keys``; with ``recurse`` also in the modules below. With ``strict`` a key that
        does not occur raises KeyError. Returns the module.
        """

        def freeze(module: Module, names: Any, strict: bool) -> None:
            module._no_grad.update(module._validate_keys(_own_parameters(module) if names is None else names, strict))

        return _of_each(self, freeze, recurse, keys, strict)

    def unfreeze(self, *, recurse: bool = True, keys: str | list[str] | None = None, strict: bool = False) -> Module:
        """Undo `freeze`, for all parameters or those called ``keys``. Returns the module."""

        def unfreeze(module: Module, names: Any, strict: bool) -> None:
            frozen = module._no_grad
            frozen.difference_update(set(frozen) if names is None else module._validate_keys(names, strict))

        return _of_each(self, unfreeze, recurse, keys, strict)

    # Modes

    def _set_training_mode(self, mode: bool) -> None:
        self._training = mode

    def train(self, mode: bool = True) -> Module:
        """Put this module and all below it into training mode, or into evaluation mode. Returns the module."""
        return self.apply_to_modules(lambda _, module: module._set_training_mode(mode))

    def eval(self) -> Module:
        """Put this module and all below it into evaluation mode. Returns the module."""
        return self.train(False)

    def set_dtype(
        self,
        dtype: mx.Dtype,
        predicate: Callable[[mx.Dtype], bool] | None = lambda x: mx.issubdtype(x, mx.floating),
    ) -> None:
        """Cast the parameters for whose dtype ``predicate`` is true, by default all floating ones; all where it is None."""
        self.apply(lambda x: x.astype(dtype) if predicate is None or predicate(x.dtype) else x)


def _check_weights(module: Module, given: dict[str, Any]) -> None:
    own = tree_flatten(module.parameters(), destination={})
    # Programs look for these words of MLX's.
    for problem, names in (
        ("Received {} parameters not in model", given.keys() - own.keys()),
        ("Missing {} parameters", own.keys() - given.keys()),
    ):
        if names:
            raise ValueError(
                f"load_weights: {problem.format(len(names))}: {', '.join(sorted(names))}; strict=False passes over them"
            )
    for name, current in own.items():
        value = given[name]
        if not isinstance(value, mx.array):
            raise ValueError(f"load_weights: {name} must be an array, got {type(value).__name__}")
        if value.shape != current.shape:
            raise ValueError(f"load_weights: {name} must have the shape {current.shape}, got {value.shape}")


def _entries(module: Module, keep: Filter, map_fn: Any, is_leaf: Filter | None) -> dict[str, Any]:
    return {
        key: _filtered(module, key, value, keep, map_fn, is_leaf)
        for key, value in module.items()
        if keep(module, key, value)
    }


def _filtered(module: Module, path: str, value: Any, keep: Filter, map_fn: Any, is_leaf: Filter | None) -> Any:
    if not isinstance(value, (dict, list)) if is_leaf is None else is_leaf(module, path, value):
        return value if map_fn is None else map_fn(value)
    if isinstance(value, Module):
        return _entries(value, keep, map_fn, is_leaf)
    if not isinstance(value, (dict, list)):
        raise RuntimeError(f"filter_and_map: {path} is no module, dict or list, so it must be a leaf, got {value!r}")
    found = {
        place: _filtered(module, inner, item, keep, map_fn, is_leaf)
        if keep(module, inner := f"{path}.{place}", item)
        else {}
        for place, item in _places(value)
    }
    return found if isinstance(value, dict) else list(found.values())


def _places(tree: Any) -> Iterable[tuple[Any, Any]]:
    return tree.items() if isinstance(tree, dict) else enumerate(tree)


def _parameters(module: Module, trainable: bool) -> dict[str, Any]:
    """What the filter lets through: found without asking it, unless a subclass has another."""
    names = "trainable_parameter_filter" if trainable else "valid_parameter_filter"
    keep = getattr(module, names)
    if keep is getattr(Module, names) and type(module).filter_and_map is Module.filter_and_map:
        found: dict[str, Any] = _core._module_parameters(Module, module, trainable)
        return found
    return module.filter_and_map(keep)


def _walk(root: Module) -> Iterator[tuple[str, Module]]:
    """All modules with their paths: this one, then what its last child holds, down to its first."""
    stack = [("", root)]
    while stack:
        path, module = stack.pop()
        yield path, module
        prefix = f".{path}" if path else ""
        stack.extend(tree_flatten(module.children(), prefix=prefix, is_leaf=root.is_module))


def _listed(keys: Any) -> list[Any]:
    return keys if isinstance(keys, list) else [keys]


def _known(keys: Any, known: Collection[Any]) -> list[Any]:
    """The keys as a list; KeyError if one of them is not known."""
    found = _listed(keys)
    for key in found:
        if key not in known:
            raise KeyError(f"there is nothing called {key} in the module; strict=False passes over it")
    return found


def _own_parameters(module: Module) -> list[str]:
    """The names of the parameters that a module holds itself."""
    own = module.filter_and_map(lambda m, k, v: not isinstance(v, Module) and module.valid_parameter_filter(m, k, v))
    return [name for name, _ in tree_flatten(own)]


def _of_each(
    module: Module, change: Callable[[Module, Any, bool], None], recurse: bool, keys: Any, strict: bool
) -> Module:
    """Change a module, or all below it, too: then keys need to occur in one of them only."""
    if not recurse:
        change(module, keys, strict)
        return module
    if strict and keys is not None:
        module._validate_keys_recursive(keys)
        strict = False
    return module.apply_to_modules(lambda _, each: change(each, keys, strict))


def _update_modules(target: Any, source: Any, strict: bool) -> None:
    if not isinstance(source, (dict, list)):
        if strict:
            raise ValueError(f"update_modules: expected modules in a dict or a list, got {type(source).__name__}")
        return
    for place, new in _places(source):
        if place in target if isinstance(source, dict) else place < len(target):
            _replace_module(target, place, new, strict)
        elif strict:
            what = "module called" if isinstance(source, dict) else "item at index"
            raise ValueError(f"update_modules: there is no {what} {place} to replace")


def _replace_module(target: Any, place: Any, new: Any, strict: bool) -> None:
    current = target[place]
    if Module.is_module(current) and Module.is_module(new):
        target[place] = new
    elif isinstance(current, (dict, list)):
        _update_modules(current, new, strict)
    elif strict and new != {}:
        raise ValueError(f"update_modules: expected a module for {place}, to replace one, got {type(new).__name__}")

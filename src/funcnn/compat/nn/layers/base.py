"""`Module`: a dict of arrays, modules and containers of them, whose entries are its attributes."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
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
        children = tree_flatten(self.children(), is_leaf=self.is_module)
        head = f"{type(self).__name__}({self._extra_repr()}"
        lines = [textwrap.indent(f"({name}): {child!r}", "  ") for name, child in children]
        return "\n".join([head, *lines, ")"]) if lines else head + ")"

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
        weights = tree_flatten(self.parameters(), destination={})
        if file.endswith(".npz"):
            mx.savez(file, **weights)
        elif file.endswith(".safetensors"):
            mx.save_safetensors(file, weights)
        else:
            raise ValueError(f"Unsupported file extension for {file}. Use '.npz' or '.safetensors'.")

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
        return {
            key: _filtered(self, key, value, filter_fn, map_fn, is_leaf_fn)
            for key, value in self.items()
            if filter_fn(self, key, value)
        }

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

        def is_leaf_module(_: Module, __: str, value: Any) -> bool:
            return isinstance(value, Module) and not tree_flatten(value.children())

        return self.filter_and_map(self.valid_child_filter, is_leaf_fn=is_leaf_module)

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
        keys = keys if isinstance(keys, list) else [keys]
        if strict:
            for key in keys:
                if key not in self:
                    raise KeyError(f"Module doesn't contain member {key}.")
        return keys

    def _validate_keys_recursive(self, keys: Any) -> None:
        known = {key for module in self.modules() for key in module}
        for key in keys if isinstance(keys, list) else [keys]:
            if key not in known:
                raise KeyError(f"Module doesn't contain member {key}.")

    def freeze(self, *, recurse: bool = True, keys: str | list[str] | None = None, strict: bool = False) -> Module:
        """Exclude parameters from `trainable_parameters`, hence from what `value_and_grad` differentiates.

        All of them, or those called ``keys``; with ``recurse`` also in the modules below. With ``strict`` a key that
        does not occur raises KeyError. Returns the module.
        """

        each_checks = _prepare_keys(self, recurse, keys, strict)

        def freeze(_: str, module: Module) -> None:
            names = keys
            if names is None:
                own = tree_flatten(
                    module.filter_and_map(
                        lambda m, k, v: not isinstance(v, Module) and module.valid_parameter_filter(m, k, v)
                    )
                )
                names = [name for name, _ in own]
            module._no_grad.update(module._validate_keys(names, each_checks))

        self.apply_to_modules(freeze) if recurse else freeze("", self)
        return self

    def unfreeze(self, *, recurse: bool = True, keys: str | list[str] | None = None, strict: bool = False) -> Module:
        """Undo `freeze`, for all parameters or those called ``keys``. Returns the module."""

        each_checks = _prepare_keys(self, recurse, keys, strict)

        def unfreeze(_: str, module: Module) -> None:
            if keys is None:
                module._no_grad.clear()
            else:
                module._no_grad.difference_update(module._validate_keys(keys, each_checks))

        self.apply_to_modules(unfreeze) if recurse else unfreeze("", self)
        return self

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
    for problem, names in (
        ("Received {} parameters not in model", given.keys() - own.keys()),
        ("Missing {} parameters", own.keys() - given.keys()),
    ):
        if names:
            raise ValueError(problem.format(len(names)) + ": \n" + ",\n".join(sorted(names)) + ".")
    for name, current in own.items():
        value = given[name]
        if not isinstance(value, mx.array):
            raise ValueError(f"Expected mx.array but received {type(value)} for parameter {name}")
        if value.shape != current.shape:
            raise ValueError(f"Expected shape {current.shape} but received shape {value.shape} for parameter {name}")


def _filtered(module: Module, path: str, value: Any, keep: Filter, map_fn: Any, is_leaf: Filter | None) -> Any:
    if not isinstance(value, (dict, list)) if is_leaf is None else is_leaf(module, path, value):
        return value if map_fn is None else map_fn(value)
    if isinstance(value, Module):
        return {
            key: _filtered(value, key, item, keep, map_fn, is_leaf)
            for key, item in value.items()
            if keep(value, key, item)
        }
    if isinstance(value, dict):
        return {
            key: _filtered(module, inner, item, keep, map_fn, is_leaf)
            if keep(module, inner := f"{path}.{key}", item)
            else {}
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            _filtered(module, inner, item, keep, map_fn, is_leaf) if keep(module, inner := f"{path}.{i}", item) else {}
            for i, item in enumerate(value)
        ]
    raise RuntimeError("Unexpected leaf found while traversing the module")


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


def _prepare_keys(module: Module, recurse: bool, keys: Any, strict: bool) -> bool:
    """Check keys that need to occur in some module only; return whether each module is to check its own."""
    if recurse and strict and keys is not None:
        module._validate_keys_recursive(keys)
        return False
    return strict


def _update_modules(target: Any, source: Any, strict: bool) -> None:
    if isinstance(source, dict):
        for place in source:
            if place in target:
                _replace_module(target, place, source[place], strict)
            elif strict:
                raise ValueError(f'Module does not have sub-module named "{place}".')
    elif isinstance(source, list):
        for i, item in enumerate(source):
            if i < len(target):
                _replace_module(target, i, item, strict)
            elif strict:
                raise ValueError(f"List index {i} is out of bounds for destination of length {len(target)}.")
    elif strict:
        raise ValueError(f"Received invalid type: {type(source).__name__}.")


def _replace_module(target: Any, place: Any, new: Any, strict: bool) -> None:
    current = target[place]
    if Module.is_module(current) and Module.is_module(new):
        target[place] = new
    elif isinstance(current, (dict, list)):
        _update_modules(current, new, strict)
    elif strict and new != {}:
        raise ValueError(f"Received invalid type: {type(new).__name__}.")

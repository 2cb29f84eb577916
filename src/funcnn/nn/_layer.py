"""The base class of layers: a frozen description and a pure function over its parameters."""

from __future__ import annotations

import functools
import inspect
import operator
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import attrs

import funcnn as fn
from funcnn import _hints
from funcnn._calls import explain_construction
from funcnn._hyper import plain
from funcnn.tree import frozendict

from ._keys import fold_text
from ._view import Context, View, nested

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Callable[[type], type]:
        return lambda cls: cls


# Parameters as a layer gets them: always a View inside a layer, which accepts any nest of dicts and tuples.
Params = Any


def _freeze(value: Any) -> Any:
    """Make the value of a field immutable and refuse arrays."""
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        items = tuple(map(_freeze, value))
        return value if type(value) is tuple and all(map(operator.is_, items, value)) else items
    if isinstance(value, (dict, frozendict)):
        frozen = frozendict({key: _freeze(item) for key, item in value.items()})
        return value if type(value) is frozendict and all(frozen[key] is value[key] for key in value) else frozen
    value = plain(value)
    if isinstance(value, fn.array) or hasattr(value, "__array_interface__"):
        raise TypeError("a layer holds no arrays: return them from init, which draws the parameters")
    return value


def _frozen_fields(cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    own = attrs.converters.pipe
    return [field.evolve(converter=own(field.converter, _freeze) if field.converter else _freeze) for field in fields]


def _refuse_bare_layers(cls: type) -> None:
    """Raise where a layer stands in a class without the annotation that makes it a field: `init` would not see it."""
    for name, value in vars(cls).items():
        if has_layers(value) and name not in inspect.get_annotations(cls):
            raise TypeError(f"{cls.__name__}: {name} is no field without an annotation, as in `{name}: nn.Layer = ...`")


def fields_of(layer: Layer) -> tuple[attrs.Attribute[Any], ...]:
    """The fields of a layer."""
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(type(layer))  # type: ignore[arg-type]
    return fields


def place_of(layer: Layer, field: str, keys: tuple[Any, ...]) -> tuple[Any, ...]:
    """The keys that lead to the parameters of what a field holds, from those of the layer's own."""
    return keys if field == type(layer)._wraps else (*keys, field)


# What layers of other libraries are called with.
_OF_APPLY = re.compile("unexpected keyword argument '(training|train|deterministic|inference|key|rng|rngs)'")

# What is said of a function that leaves out its parameters.
_WITHOUT_PARAMETERS = re.compile(r"__call__\(\) takes \d+ positional arguments? but \d+ were given")


def _located(error: Exception, layer: Layer, path: str) -> Exception | None:
    """The same error with the place in the model; None if it has one already or cannot be made again."""
    if getattr(error, "_located", False) or len(error.args) != 1 or not isinstance(error.args[0], str):
        return None
    name, text = type(layer).__name__, error.args[0]
    if type(text) is not str:  # a key that shows what it might have been
        text = repr(text)
    if type(error) is TypeError and _OF_APPLY.search(text):
        text += "; the mode and the key are arguments of apply: layer.apply(params, x, training=True, key=key)"
    if type(error) is TypeError and _WITHOUT_PARAMETERS.search(text):
        text += "; parameters come first, as in __call__(self, params, x)"
    try:
        located = type(error)(f"in {path} ({name}): {text}" if path else f"in {name}: {text}")
        located._located = True  # type: ignore[attr-defined]
    except Exception:
        return None
    return located


_PARAMETERS_FIRST = "; parameters come first, as in layer(params, x), and here they are an array"


def _with_context(call: Callable[..., Any]) -> Callable[..., Any]:
    """Make a layer's function: it sees a view whatever it is given, and its errors say where in the model they arose."""

    @functools.wraps(call)
    def __call__(self: Layer, params: Params, /, *args: Any, **kwargs: Any) -> Any:
        view = params if type(params) is View else View(params)
        try:
            if view._context.observed:
                return _observed(call, self, view, args, kwargs)
            return call(self, view, *args, **kwargs)
        except Exception as error:
            if type(error) in (TypeError, KeyError) and isinstance(view._params, fn.array) and error.args:
                said = str(error.args[0])
                error.args = (said if said.endswith(_PARAMETERS_FIRST) else said + _PARAMETERS_FIRST,)
            located = _located(error, self, view.path)
            if located is None:
                raise
            raise located from error

    return __call__


def _observed(call: Callable[..., Any], layer: Layer, view: View, args: Any, kwargs: Any) -> Any:
    """Call a layer whose context has a say in it."""
    run: Callable[..., Any] = functools.partial(call, layer)
    context = view._context
    for observer in context.watches if context.precision is None else (context.precision, *context.watches):
        run = functools.partial(_told, observer, run, layer)
    return run(view, *args, **kwargs)


def _told(observer: Any, run: Callable[..., Any], layer: Layer, view: View, /, *args: Any, **kwargs: Any) -> Any:
    return observer.call(run, layer, view, args, kwargs)


def as_input(x: Any) -> fn.array:
    """The array that a layer is called with; numbers in lists and NumPy's arrays stand for one."""
    if isinstance(x, fn.array):
        return x
    try:
        return fn.array(x)
    except (TypeError, ValueError):
        raise TypeError(f"expected an array, got a {type(x).__name__}") from None


def a_layer(value: Any, what: str) -> Layer:
    """Return the layer that a value is; `what` starts the error."""
    if not isinstance(value, Layer):
        raise TypeError(f"{what} must be a layer, got {value!r}")
    return value


def is_layer(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A validator: a layer."""
    a_layer(value, f"{type(instance).__name__}: {attribute.name}")


def has_layers(value: Any) -> bool:
    """Say whether a field's value is a layer or a nest of dicts and tuples with a layer in it."""
    if isinstance(value, tuple):
        return any(map(has_layers, value))
    if isinstance(value, frozendict):
        return any(map(has_layers, value.values()))
    return isinstance(value, Layer)


def _init(value: Any, key: fn.array, name: Any) -> Any:
    key = fold_text(key, fn._core.tree_key_text(name))
    if isinstance(value, Layer):
        return value.init(key)
    if isinstance(value, tuple):
        return tuple(_init(item, key, i) for i, item in enumerate(value))
    if isinstance(value, frozendict):
        return frozendict({k: _init(item, key, k) for k, item in value.items()})
    return frozendict()


def _walk(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Layer]]:
    if isinstance(value, Layer):
        yield from value._layers(path)
    elif isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from _walk(item, (*path, i))
    elif isinstance(value, frozendict):
        for key, item in value.items():
            yield from _walk(item, (*path, key))


def _expression(value: Any) -> str:
    if isinstance(value, tuple):
        items = [_expression(item) for item in value]
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    if isinstance(value, frozendict):
        return "{" + ", ".join(f"{key!r}: {_expression(item)}" for key, item in value.items()) + "}"
    if callable(value) and not isinstance(value, Layer):
        return str(getattr(value, "__qualname__", None) or repr(value))
    return repr(value)


def _refuse(layer: Layer, name: str, value: Any) -> NoReturn:
    known = name in vars(layer)
    what = (
        f"; attrs.evolve(layer, {name}=...) makes another"
        if known
        else (
            f", and has no field {name!r}; fields are declared in the class, as in `{name}: nn.Layer`, without an __init__"
        )
    )
    error = attrs.exceptions.FrozenInstanceError()
    error.args = (f"{type(layer).__name__}: a layer does not change{what}",)
    raise error


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
class Layer:
    """A part of a model: its hyperparameters and sub-layers as fields, and a pure function over parameters.

    A subclass annotates its fields and writes ``__call__(self, params, x)``. It becomes a frozen attrs class: compared by
    value, hashable, printed as the expression that builds it. Lists and dicts given as fields become tuples and
    frozendicts. It holds no arrays; those come from ``init``.

    ``layer(params, x)`` is the function itself, for inference. Inside, ``params`` is a ``View``: it gives the parameters
    of a sub-layer by ``params["name"]``, the mode by ``params.training``, keys for random draws by ``params.next_key()``,
    and takes the changed statistics of a layer by ``params.update(name, value)``.

    An error raised inside says where in the model it arose, as in
    ``in layers.0 (Linear): expected (..., 784), got (128, 700)``.

    >>> from funcnn import nn, random
    >>> class Residual(nn.Layer):
    ...     body: nn.Layer
    ...     scale: float = 1.0
    ...
    ...     def __call__(self, params, x):
    ...         return x + self.scale * self.body(params["body"], x)
    >>> layer = Residual(nn.Linear(4, 4))
    >>> layer
    Residual(Linear(4, 4))
    >>> params = layer.init(random.key(0))
    >>> params["body"]["weight"].shape
    (4, 4)
    """

    # Names of the arrays that are not trained: statistics, which are changed by updates.
    buffers: ClassVar[tuple[str, ...]] = ()

    # Names of the arrays that are trained in the place of all others.
    _adapters: ClassVar[tuple[str, ...]] = ()

    # The field whose layer has its parameters where this layer has its own, without a name between.
    _wraps: ClassVar[str | None] = None

    # Whether it calls that layer in a loop, or several at once.
    _repeats: ClassVar[bool] = False

    if TYPE_CHECKING:
        __call__: Callable[..., Any]
    else:

        def __call__(self, *args, **kwargs):
            """Say that the class has not said what its layers compute."""
            names = [name for name in ("forward", "call") if callable(getattr(type(self), name, None))]
            instead = f"; {names[0]} has to have that name" if names else ""
            raise TypeError(
                f"{type(self).__name__} defines no __call__(self, params, x), what a layer computes{instead}"
            )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__call__" in cls.__dict__:
            cls.__call__ = _with_context(cls.__dict__["__call__"])  # type: ignore[method-assign]
        attrs.frozen(cls, slots=False, repr=False, field_transformer=_frozen_fields)
        _refuse_bare_layers(cls)
        explain_construction(cls)
        cls.__setattr__ = _refuse  # type: ignore[method-assign,assignment]

    def init(self, key: fn.array) -> frozendict[str, Any]:
        """Draw the parameters.

        The default gives every field that holds layers (alone or in tuples and dicts) parameters of the same name and
        shape of nest, ``{}`` for items that are no layers. Each gets a key of its own, which follows from `key` and the
        path of names and indices alone: adding or removing a sub-layer changes no other's parameters.

        Args:
            key: A key, as ``random.key`` makes it.

        Returns:
            A frozendict of arrays, frozendicts and tuples.
        """
        _check_key(key)
        values = {field.name: getattr(self, field.name) for field in fields_of(self)}
        return frozendict({name: _init(value, key, name) for name, value in values.items() if has_layers(value)})

    def apply(
        self, params: Params, *args: Any, training: bool = False, key: fn.array | None = None, **kwargs: Any
    ) -> tuple[Any, frozendict[Any, Any]]:
        """Call the layer with a context.

        Args:
            params: The parameters, from ``init``.
            args: What the layer takes, with `kwargs`.
            training: Whether to behave as in training: dropout drops, batch norm uses the statistics of the batch.
            key: Where random draws come from; needed if a layer draws any.

        Returns:
            The output, and the updates: a sparse tree of what the call changed, empty if nothing, to be put into the
            parameters by ``tree.merge(params, updates)``.

        >>> from funcnn import nn, random, tree
        >>> import funcnn as fn
        >>> layer = nn.BatchNorm(1)
        >>> params = layer.init(random.key(0))
        >>> y, updates = layer.apply(params, fn.array([[1.0], [3.0]]), training=True)
        >>> updates["running_mean"].item()
        0.20000000298023224
        >>> params = tree.merge(params, updates)
        """
        if key is not None:
            _check_key(key)
        view = params if type(params) is View else View(params)
        context = Context(training, key, {}, view._context)
        y = self(View(view._params, view._keys, context), *args, **kwargs)
        return y, nested(view.updates_of(context))

    def _layers(self, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Layer]]:
        """This layer and all below it, with the paths of their parameters."""
        yield path, self
        for field in fields_of(self):
            yield from _walk(getattr(self, field.name), place_of(self, field.name, path))

    def _buffers(self) -> tuple[tuple[Any, ...], ...]:
        """The paths, from this layer's own parameters, of arrays that are not trained."""
        return tuple((name,) for name in self.buffers)

    def _arguments(self) -> list[tuple[str | None, Any]]:
        """The arguments to print, with the names of those that are given by name."""
        found: list[tuple[str | None, Any]] = []
        for field in fields_of(self):
            value = getattr(self, field.name)
            if field.default is attrs.NOTHING:
                found.append((field.alias if field.kw_only else None, value))
            elif field.init and (isinstance(field.default, attrs.Factory) or field.default != value):  # type: ignore[arg-type]
                found.append((field.alias, value))
        return found

    def __repr__(self) -> str:
        parts = [f"{name}={_expression(value)}" if name else _expression(value) for name, value in self._arguments()]
        line = f"{type(self).__name__}({', '.join(parts)})"
        if len(line) <= 100 or not any("(" in part for part in parts):
            return line
        body = textwrap.indent(",\n".join(parts), "    ")
        return f"{type(self).__name__}(\n{body},\n)"


_hints.mark(Layer)


def _check_key(key: Any) -> None:
    if not isinstance(key, fn.array) or key.shape != (2,) or key.dtype != fn.uint32:
        what = f"{key.dtype} of shape {key.shape}" if isinstance(key, fn.array) else repr(key)
        raise TypeError(f"expected a key, as random.key(seed) makes it, got {what}")

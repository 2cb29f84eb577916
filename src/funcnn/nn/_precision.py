"""Layers that compute in other dtypes than their parameters have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn.tree import frozendict

from ._layer import Layer, Params, a_layer, is_layer
from ._parameters import holds_numpy_floats
from ._replace import matching
from ._view import Keys, View

# How a layer is named: a glob over paths, or its class.
Which = str | type[Layer]


def _floating(dtype: fn.Dtype) -> bool:
    return bool(fn.isdtype(dtype, "real floating"))


def _dtype(name: str, value: Any) -> fn.Dtype | None:
    if value is None:
        return None
    try:
        dtype = fn.promote_types(value, value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a dtype, its name or None, got {value!r}") from None
    if not _floating(dtype):
        raise TypeError(f"{name} must be a floating-point dtype, got {dtype}")
    return dtype


def _as_dtype(value: Any, owner: Any, field: attrs.Attribute[Any]) -> Any:
    name = "mixed_precision" if isinstance(owner, Layer) else type(owner).__name__
    return _dtype(f"{name}: {field.name}", value)


_converted: Any = attrs.Converter(_as_dtype, takes_self=True, takes_field=True)


@attrs.frozen(repr=False)
class Precision:
    """The dtypes of a part of a model, as ``nn.mixed_precision`` takes them.

    Args:
        compute_dtype: What parameters and inputs are cast to; None leaves them as they come.
        output_dtype: What the output is cast to; None leaves it as it is computed.
        param_dtype: What ``init`` makes the parameters of; None leaves them as they are drawn.

    >>> from funcnn import nn
    >>> nn.Precision("float32")
    Precision('float32')
    """

    compute_dtype: fn.Dtype | None = attrs.field(default=None, converter=_converted)  # type: ignore[misc]
    output_dtype: fn.Dtype | None = attrs.field(default=None, converter=_converted)  # type: ignore[misc]
    param_dtype: fn.Dtype | None = attrs.field(default=None, converter=_converted)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"Precision({_dtypes(self, (None, None, None))})"


_NAMES = ("compute_dtype", "output_dtype", "param_dtype")


def _dtypes(value: Any, defaults: tuple[Any, ...]) -> str:
    """The dtypes that are not the default, as arguments."""
    texts = []
    for name, default in zip(_NAMES, defaults, strict=True):
        dtype = getattr(value, name)
        if dtype != default:
            text = repr(str(dtype)) if dtype is not None else "None"
            texts.append(text if name == _NAMES[0] else f"{name}={text}")
    return ", ".join(texts)


def _cast(x: Any, dtype: fn.Dtype) -> Any:
    """A leaf in another dtype, if it is an array of floating-point numbers."""
    if isinstance(x, fn.array):
        return x.astype(dtype) if x.dtype != dtype and _floating(x.dtype) else x
    if holds_numpy_floats(x):
        return fn.array(x, dtype)  # at once: the device may lack the dtype it has
    return x


def _cast_all(values: Any, dtype: fn.Dtype) -> Any:
    """A tree in another dtype. Views are left: they are cast where their arrays are read."""
    if type(values) is fn.array:
        return _cast(values, dtype)
    return tree.map(lambda x: x if isinstance(x, View) else _cast(x, dtype), values, is_leaf=_is_view)


def as_given(view: View, x: Any, y: Any) -> Any:
    """What a layer returns in the dtypes of its input, if it computes in others: for layers that are repeated."""
    if view._context.precision is None or tree.structure(x) != tree.structure(y):
        return y

    def one(before: Any, after: Any) -> Any:
        floats = all(isinstance(a, fn.array) and _floating(a.dtype) for a in (before, after))
        return _cast(after, before.dtype) if floats else after

    return tree.map(one, x, y)


def _is_view(x: Any) -> bool:
    return isinstance(x, View)


class _Rules:
    """The dtypes of the places of a model, by keys from where `MixedPrecision` stands."""

    def __init__(self, wrapper: MixedPrecision) -> None:
        parts = list(wrapper.layer._layers())
        self.everywhere = Precision(wrapper.compute_dtype, None, wrapper.param_dtype)
        self.overrides: list[tuple[Which, Precision]] = list(wrapper.overrides.items())
        self.buffers = {(*keys, *below) for keys, part in parts for below in part._buffers()}
        self.named: dict[Keys, Precision] = {}
        self.unused: list[str] = []  # globs that mean no layer: they may mean parameters
        for which, precision in self.overrides:
            found = (
                matching((keys for keys, _ in parts), which)
                if isinstance(which, str)
                else {keys for keys, part in parts if isinstance(part, which)}
            )
            self.named.update(dict.fromkeys(found, precision))
            if not found and isinstance(which, str):
                self.unused.append(which)
            elif not found:
                raise ValueError(f"mixed_precision: overrides names {which.__name__}, but there is no such layer")  # type: ignore[union-attr]
        # By place, found when they are first asked for.
        self._layers: dict[Keys, Precision] = {}
        self._parameters: dict[Keys, fn.Dtype | None] = {}

    def of_layer(self, keys: Keys) -> Precision:
        """What holds for a layer: what is said of it, or of the nearest layer around it."""
        if keys not in self._layers:
            above = self.of_layer(keys[:-1]) if keys else self.everywhere
            self._layers[keys] = self.named.get(keys, above)
        return self._layers[keys]

    def of_parameter(self, keys: Keys) -> Precision:
        """What holds for an array: what is said of it, or of its layer."""
        for which, precision in reversed(self.overrides):
            if isinstance(which, str) and matching([keys], which):
                return precision
        return self.of_layer(keys[:-1])

    def compute_dtype(self, keys: Keys) -> fn.Dtype | None:
        """The dtype in which an array is read; None: its own."""
        if keys not in self._parameters:
            self._parameters[keys] = None if keys in self.buffers else self.of_parameter(keys).compute_dtype
        return self._parameters[keys]

    def check(self, params: Any) -> None:
        """Raise if a glob means neither a layer nor a parameter."""
        if self.unused:
            treedef = tree.structure(params)
            for glob in self.unused:
                if not any(fn._core.tree_match_glob(treedef, glob)):
                    there = ", ".join(treedef.paths()[:5])
                    raise ValueError(
                        f"mixed_precision: overrides names {glob!r}, which is the path of no layer and of no parameter; "
                        f"there are {there}, ..."
                    )


class _Bound:
    """Rules where they are at work, as a context has them."""

    __slots__ = ("depth", "rules")

    def __init__(self, rules: _Rules, depth: int) -> None:
        self.rules = rules
        self.depth = depth

    def parameter(self, place: Keys, value: Any) -> Any:
        """An array as a layer reads it."""
        dtype = self.rules.compute_dtype(place[self.depth :])
        return value if dtype is None else _cast(value, dtype)

    def call(self, call: Callable[..., Any], layer: Layer, view: View, args: Any, kwargs: Any) -> Any:
        """Call a layer. The inputs of those that are named, and of those that have arrays of their own, are cast."""
        if type(layer)._wraps is not None:
            return call(view, *args, **kwargs)
        keys = view._keys[self.depth :]
        named = self.rules.named.get(keys)
        dtype = self.rules.of_layer(keys).compute_dtype
        if dtype is not None and (named is not None or _has_floats(view._params)):
            args = tuple([_cast_all(x, dtype) for x in args])
            kwargs = {name: _cast_all(x, dtype) for name, x in kwargs.items()}
        y = call(view, *args, **kwargs)
        return y if named is None or named.output_dtype is None else _cast_all(y, named.output_dtype)


def _has_floats(params: Any) -> bool:
    """Whether a layer has floating-point arrays of its own, beside those of its parts."""
    opened = fn._core.tree_children(params)
    return opened is not None and any(isinstance(x, fn.array) and _floating(x.dtype) for x in opened[1])


def _rules_of(value: Any) -> Any:
    if not isinstance(value, (Mapping, frozendict)):
        raise TypeError(
            f"mixed_precision: overrides must be a dict from paths or layer classes to dtypes, got {value!r}"
        )
    made: dict[Any, Precision] = {}
    for which, dtypes in value.items():
        if not isinstance(which, str) and not (isinstance(which, type) and issubclass(which, Layer)):
            raise TypeError(
                f"mixed_precision: overrides names {which!r}, which is neither a path nor a class of layers"
            )
        if not isinstance(dtypes, Precision):
            name = which if isinstance(which, str) else which.__name__
            dtypes = Precision(_dtype(f"mixed_precision: overrides[{name!r}]", dtypes))
        made[which] = dtypes
    return frozendict(made)


class MixedPrecision(Layer):
    """A layer that computes in other dtypes than its parameters have; see ``nn.mixed_precision``."""

    _wraps = "layer"

    layer: Layer = attrs.field(validator=is_layer)
    compute_dtype: Any = attrs.field(default=fn.bfloat16, converter=_converted)
    output_dtype: Any = attrs.field(default=fn.float32, converter=_converted)
    param_dtype: Any = attrs.field(default=None, converter=_converted)
    overrides: Mapping[Which, Any] = attrs.field(factory=dict, converter=_rules_of)

    def __attrs_post_init__(self) -> None:
        # Not a field: it follows from them.
        object.__setattr__(self, "_rules", _Rules(self))

    def init(self, key: fn.array) -> frozendict[str, Any]:
        """Draw the parameters, in ``param_dtype`` if there is one; statistics keep their dtype."""
        params = self.layer.init(key)
        rules: _Rules = self._rules  # type: ignore[attr-defined]
        rules.check(params)
        if self.param_dtype is None and all(p.param_dtype is None for p in self.overrides.values()):
            return params

        def drawn(keys: Keys, value: Any) -> Any:
            if isinstance(value, fn.array):
                dtype = None if keys in rules.buffers else rules.of_parameter(keys).param_dtype
                return value if dtype is None else _cast(value, dtype)
            opened = fn._core.tree_children(value)
            if opened is None or not opened[0]:
                return value
            parts = [drawn((*keys, key), part) for key, part in zip(*opened, strict=True)]
            return fn._core.tree_with_children(value, parts)

        made: frozendict[str, Any] = drawn((), params)
        return made

    def __call__(self, params: Params, *args: Any, **kwargs: Any) -> Any:
        rules: _Rules = self._rules  # type: ignore[attr-defined]
        rules.check(params._params)
        y = self.layer(params.with_precision(_Bound(rules, len(params._keys))), *args, **kwargs)
        return y if self.output_dtype is None else _cast_all(y, self.output_dtype)

    def _layers(self, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Layer]]:
        yield from self.layer._layers(path)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_rules"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        object.__setattr__(self, "_rules", _Rules(self))

    def __repr__(self) -> str:
        parts = [repr(self.layer)]
        if dtypes := _dtypes(self, (fn.bfloat16, fn.float32, None)):
            parts.append(dtypes)
        if self.overrides:
            rules = [f"{_name(which)}: {_printed(precision)}" for which, precision in self.overrides.items()]
            parts.append("overrides={" + ", ".join(rules) + "}")
        return f"mixed_precision({', '.join(parts)})"


def _name(which: Which) -> str:
    return repr(which) if isinstance(which, str) else which.__qualname__


def _printed(precision: Precision) -> str:
    only = precision.output_dtype is None and precision.param_dtype is None
    return repr(str(precision.compute_dtype)) if only and precision.compute_dtype is not None else repr(precision)


def mixed_precision(
    layer: Layer,
    compute_dtype: Any = fn.bfloat16,
    output_dtype: Any = fn.float32,
    param_dtype: Any = None,
    *,
    overrides: Mapping[Which, Any] | None = None,
) -> Layer:
    """Make a layer that computes in half precision with parameters that stay in float32.

    Parameters are cast where they are read, so the tree keeps its dtypes, and gradients come in the dtypes of the
    parameters. A layer with parameters of its own gets its floating-point inputs in the dtype it computes in, whatever
    came before it; other layers take what they are given. So a time step or a position stays exact until it meets
    weights, and what is added in float32 outside of layers stays float32. Statistics, such as those of batch norm, are
    read, updated and stored in their own dtype. Integers, bools, complex numbers and keys are left alone.

    Args:
        layer: Any layer.
        compute_dtype: The dtype of parameters as they are read, and of inputs; a dtype, its name, or None for none.
        output_dtype: The dtype of what the whole returns; None leaves it as it is computed.
        param_dtype: The dtype of the parameters that ``init`` makes; None leaves them as they are drawn, which is
            float32.
        overrides: What holds for parts: from globs over the paths of layers (and all below them) or of parameters, or
            classes of layers, to a compute dtype or an ``nn.Precision``. Of several that name one layer the last counts; what is
            said of a layer goes before what is said of those around it. A layer that is named gets its inputs in its
            compute dtype whether it has parameters or not.

    Returns:
        A layer that is called as `layer` is and has the same parameters.

    Raises:
        TypeError: A dtype is none of floating-point numbers.
        ValueError: `overrides` names what is not there: a class here, a path here or where parameters are given.

    Reference: P. Micikevicius et al., "Mixed precision training", 2018.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2))
    >>> model = nn.mixed_precision(model, overrides={nn.LayerNorm: "float32"})
    >>> params = model.init(random.key(0))
    >>> params["layers"][0]["weight"].dtype, model(params, fn.ones((3, 4))).dtype
    (float32, float32)
    >>> grads = fn.grad(lambda params: model(params, fn.ones((3, 4))).sum())(params)
    >>> grads["layers"][0]["weight"].dtype
    float32
    """
    a_layer(layer, "mixed_precision: layer")
    return MixedPrecision(layer, compute_dtype, output_dtype, param_dtype, {} if overrides is None else overrides)

"""Layers around a layer: checkpointed, repeated with stacked parameters, and many at once."""

from __future__ import annotations

from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._hyper import whole
from funcnn.checkpoint_policies import Policy
from funcnn.tree import frozendict

from ._keys import fold_items
from ._layer import Layer, Params, a_layer, as_input
from ._precision import as_given


def _is_layer(wrapper: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    a_layer(value, f"{type(wrapper)._name}: {attribute.name}")


def _a_policy(wrapper: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not isinstance(value, Policy):
        raise TypeError(f"{type(wrapper)._name}: policy must be one of funcnn.checkpoint_policies, got {value!r}")


def _slices(wrapper: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    for axis in value if isinstance(value, tuple) else (value,):
        if axis is not None and (axis != 0 or isinstance(axis, bool)):
            raise ValueError(
                f"{type(wrapper)._name}: in_axes must be None for arguments that all layers share or 0 for those with one "
                f"slice a layer, or a tuple of these, got {value!r}"
            )


class _Wrapper(Layer):
    _wraps = "layer"
    _name = ""

    layer: Layer = attrs.field(validator=_is_layer)

    def __repr__(self) -> str:
        return self._name + super().__repr__()[len(type(self).__name__) :]


def _per_argument(name: str, axes: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(axes, tuple):
        return (axes,) * len(args)
    if len(axes) != len(args):
        raise ValueError(f"{name}: in_axes has {len(axes)} items for {len(args)} arguments")
    return axes


class Checkpointed(_Wrapper):
    """A layer whose inner values are computed again for its gradient; see ``nn.checkpoint``."""

    _name = "checkpoint"

    policy: Policy | None = attrs.field(default=None, validator=_a_policy)

    def init(self, key: fn.array) -> frozendict[str, Any]:
        """Draw the parameters of the layer."""
        return self.layer.init(key)

    def __call__(self, params: Params, *args: Any, **kwargs: Any) -> Any:
        return fn.checkpoint(self.layer, self.policy)(params, *args, **kwargs)


def checkpoint(layer: Layer, policy: Policy | None = None) -> Layer:
    """Make a layer that forgets its inner values and computes them again when its gradient needs them.

    The parameters are those of `layer`, under the same paths. Updates and random draws are the same too: keys are
    arguments, so the second computation drops the same units.

    Args:
        layer: Any layer.
        policy: What to keep; see ``fn.checkpoint_policies``. Nothing by default.

    Returns:
        A layer that is called as `layer` is.

    >>> from funcnn import nn, random
    >>> model = nn.Sequential(nn.checkpoint(nn.Sequential(nn.Linear(8, 8), nn.ReLU())), nn.Linear(8, 2))
    >>> model
    Sequential(checkpoint(Sequential(Linear(8, 8), ReLU())), Linear(8, 2))
    >>> sorted(model.init(random.key(0))["layers"][0])
    ['layers']
    """
    return Checkpointed(layer, policy)


class _Stacked(_Wrapper):
    """What has the parameters of several equal layers, stacked along a new first axis."""

    _repeats = True

    n: int = attrs.field(validator=whole(0))

    def init(self, key: fn.array) -> frozendict[str, Any]:
        """Draw the parameters of each layer, as in a tuple of layers, and stack them."""
        if self.n == 0:
            like = fn.eval_shape(self.layer.init, key)
            return tree.map(lambda p: fn.zeros((0, *p.shape), p.dtype), like)  # type: ignore[no-any-return]
        return fn.vmap(self.layer.init)(fold_items(key, self.n))

    def _check(self, params: Params) -> None:
        for path, p in tree.leaves_with_path(params.params):
            shape = getattr(p, "shape", ())
            if not shape or shape[0] != self.n:
                raise ValueError(
                    f"expected the parameters of {self.n} layers stacked along axis 0, got {path} of shape {shape}"
                )


class Scanned(_Stacked):
    """A layer called several times in a row with parameters of its own each time; see ``nn.scan_layers``."""

    _name = "scan_layers"

    in_axes: Any = attrs.field(default=None, kw_only=True, validator=_slices)
    has_aux: bool = attrs.field(default=False, kw_only=True)
    unroll: int | bool = attrs.field(default=1, kw_only=True)

    def __call__(self, params: Params, x: Any, *args: Any, **kwargs: Any) -> Any:
        self._check(params)
        axes = _per_argument("scan_layers", self.in_axes, args)

        def step(x: Any, of_step: tuple[Params, list[Any]]) -> tuple[Any, Any]:
            view, slices = of_step
            rest = iter(slices)
            y = self.layer(
                view, x, *(a if axis is None else next(rest) for a, axis in zip(args, axes, strict=True)), **kwargs
            )
            if not self.has_aux:
                return as_given(view, x, y), None
            if not isinstance(y, (tuple, list)) or len(y) != 2:
                raise TypeError(f"scan_layers: with has_aux the layer must return (x, aux), got {type(y).__name__}")
            return as_given(view, x, y[0]), y[1]

        slices = [a for a, axis in zip(args, axes, strict=True) if axis is not None]
        numbers = isinstance(x, list) and not any(hasattr(leaf, "shape") for leaf in tree.leaves(x))
        first = as_input(x) if numbers else tree.map(as_input, x)
        y, aux = fn.scan(step, first, (params, slices), length=self.n, unroll=self.unroll)
        return (y, aux) if self.has_aux else y


def scan_layers(layer: Layer, n: int, *, in_axes: Any = None, has_aux: bool = False, unroll: int | bool = 1) -> Layer:
    """Make a layer that calls `layer` `n` times in a row, each time with parameters of its own.

    It computes what ``nn.Sequential(*[layer] * n)`` does, at the cost of tracing and planning one layer. The parameters
    are those of one layer with a new first axis of length `n`, under the paths of one; they are drawn as those of a
    tuple of `n` layers in its place would be. Updates come out stacked, and every layer draws other random numbers.
    ``nn.stack`` and ``nn.unstack`` convert parameters from and to those of tuples of layers, as other files have them.

    Args:
        layer: The layer, which returns what it takes: the same shapes and dtypes.
        n: How often.
        in_axes: For the arguments after the first: None where every layer gets the whole, 0 where it gets its slice along
            axis 0 (a cache for each layer); or a tuple of these, one for each argument.
        has_aux: Whether the layer returns ``(x, aux)``. Then so does the whole, with the ``aux`` of all layers stacked.
        unroll: How many layers to take in one turn of the loop, as in ``fn.scan``.

    Returns:
        A layer that is called as `layer` is. Keyword arguments are shared by all.

    Raises:
        TypeError: In a call, if the output has another structure, shape or dtype than the input.

    >>> import funcnn as fn
    >>> from funcnn import nn, random, tree
    >>> model = nn.scan_layers(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), 6)
    >>> params = model.init(random.key(0))
    >>> tree.map(lambda p: p.shape, params)["layers"][0]
    frozendict({'bias': (6, 4), 'weight': (6, 4, 4)})
    >>> model(params, fn.ones((2, 4))).shape
    (2, 4)
    """
    return Scanned(layer, n, in_axes=in_axes, has_aux=has_aux, unroll=unroll)


class Mapped(_Stacked):
    """Several equal layers called at once; see ``nn.vmap``."""

    _name = "vmap"

    in_axes: Any = attrs.field(default=None, kw_only=True)
    out_axes: Any = attrs.field(default=0, kw_only=True)

    def __call__(self, params: Params, *args: Any, **kwargs: Any) -> Any:
        self._check(params)
        axes = _per_argument("vmap", self.in_axes, args)

        def member(i: fn.array, view: Params, *args: Any) -> Any:
            return self.layer(view.at_step(i), *args, **kwargs)

        return fn.vmap(member, (0, 0, *axes), self.out_axes)(fn.arange(self.n), params, *args)


def vmap(layer: Layer, n: int, *, in_axes: Any = None, out_axes: Any = 0) -> Layer:
    """Make a layer that calls `n` layers at once, an ensemble, as a single batched computation.

    The parameters are those of one layer with a new first axis of length `n`, under the paths of one; they are drawn as
    those of a tuple of `n` layers in its place would be. Each member draws random numbers and keeps statistics of its
    own.

    Args:
        layer: Any layer.
        n: How many members there are.
        in_axes: For each argument the axis along which the members take their slices, as in ``fn.vmap``; None, the
            default, where each gets the whole.
        out_axes: Where the axis of members stands in the outputs.

    Returns:
        A layer that is called as `layer` is. Keyword arguments are shared by all.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> ensemble = nn.vmap(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), 5)
    >>> ensemble(ensemble.init(random.key(0)), fn.ones((3, 4))).shape
    (5, 3, 2)
    """
    return Mapped(layer, n, in_axes=in_axes, out_axes=out_axes)

"""Layers whose parameters are shared out over a group of processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

from ... import core as mx
from ...utils import tree_flatten, tree_map_with_path, tree_unflatten
from .._functional import linear as _linear
from .base import Module
from .linear import Linear, _drawn
from .quantized import _described as _format
from .quantized import _dims, _pack, _product

Group: TypeAlias = Any
Segments: TypeAlias = int | list[Any]
# Given the path and the array of a parameter: the axis to share out, with the segments it consists of, or None.
Sharding: TypeAlias = Callable[[str, mx.array], Any]


@lru_cache
def sum_gradients(group: Group) -> Callable[[mx.array], mx.array]:
    """Make the identity whose gradient is summed over a group."""
    if group.size() == 1:
        return lambda x: x

    return _with_gradient(lambda x: x, lambda x, cotangent, y: mx.distributed.all_sum(cotangent, group=group))


def _with_gradient(function: Callable[..., Any], rule: Callable[..., Any]) -> Callable[..., Any]:
    made: Any = mx.custom_function(function)
    made.vjp(rule)
    wrapped: Callable[..., Any] = made
    return wrapped


def _split(weight: mx.array, segments: Segments, axis: int) -> list[mx.array]:
    """Split as ``mx.split`` does; places may be fractions of the length."""
    fractions = not isinstance(segments, int) and not isinstance(segments[0], int)
    places: Any = [int(place * weight.shape[axis]) for place in segments] if fractions else segments  # type: ignore
    parts: list[mx.array] = mx.split(weight, places, axis=axis)
    return parts


def _shard(parameters: Any, sharding: Sharding, group: Group | None = None) -> Any:
    """A tree of the parts of parameters that this process holds."""
    members = group or mx.distributed.init()

    def own(weight: mx.array, axis: int, segments: Segments = 1) -> mx.array:
        parts = [_split(x, members.size(), axis)[members.rank()] for x in _split(weight, segments, axis)]
        return mx.contiguous(mx.concatenate(parts, axis=axis))

    def part(path: str, weight: Any) -> Any:
        found = sharding(path, weight) if isinstance(weight, mx.array) else None
        if found is None:
            return weight
        if not isinstance(found, (int, tuple)):
            raise ValueError(
                f"shard: the function must return an axis, a tuple of axis and segments, or None, got {found!r} for {path}"
            )
        return own(weight, *found) if isinstance(found, tuple) else own(weight, found)

    return tree_map_with_path(part, parameters)


def _all_to_sharded(segments: Segments) -> Sharding:
    """Share out the outputs of linear layers."""
    return lambda path, weight: (-1 if path.endswith("bias") else max(weight.ndim - 2, 0), segments)


def _sharded_to_all(segments: Segments) -> Sharding:
    """Share out the inputs of linear layers."""
    return lambda path, weight: None if path.endswith("bias") else (-1, segments)


_SHARDINGS = {"all-to-sharded": _all_to_sharded, "sharded-to-all": _sharded_to_all}


def _named(sharding: str) -> Callable[[Segments], Sharding]:
    found = _SHARDINGS.get(sharding)
    if found is None:
        raise ValueError(f"shard: sharding must be one of {', '.join(map(repr, _SHARDINGS))}, got {sharding!r}")
    return found


def shard_inplace(
    module: Module, sharding: str | Sharding, *, segments: Segments = 1, group: Group | None = None
) -> None:
    """Replace the parameters of a module by the parts that this process holds.

    Args:
        module: The module. It has to communicate by itself.
        sharding: ``"all-to-sharded"``, ``"sharded-to-all"``, or a function of path and array that returns the axis to share
            out, or a tuple of it and the segments, or None.
        segments: How many parts that are shared out one by one a weight consists of (3 for queries, keys and values in
            one), or where they end.
        group: The processes; all by default.
    """
    of_each = _named(sharding)(segments) if isinstance(sharding, str) else sharding
    module.update(_shard(module.parameters(), of_each, group))


def shard_linear(module: Module, sharding: str, *, segments: Segments = 1, group: Group | None = None) -> Module:
    """Make a layer that holds a part of the parameters of a linear one, quantised or not, and communicates.

    Args:
        module: The linear layer, which stays as it is.
        sharding: ``"all-to-sharded"`` or ``"sharded-to-all"``.
        segments: As for `shard_inplace`.
        group: The processes; all by default.

    >>> import funcnn.compat.nn as nn
    >>> from funcnn.compat.nn.layers.distributed import shard_linear
    >>> shard_linear(nn.Linear(4, 8), "all-to-sharded")
    AllToShardedLinear(input_dims=4, output_dims=8, bias=True)
    """
    there = _named(sharding) is _all_to_sharded
    made: Module
    if isinstance(module, Linear):
        plain = AllToShardedLinear if there else ShardedToAllLinear
        made = plain.from_linear(module, segments=segments, group=group)
    else:
        quantized = QuantizedAllToShardedLinear if there else QuantizedShardedToAllLinear
        made = quantized.from_quantized_linear(module, segments=segments, group=group)
    return made


def _of_each(layer: Module, what: str, size: int, group: Group) -> int:
    """The part of a size that each process of a group holds."""
    share, rest = divmod(size, group.size())
    if rest:
        raise ValueError(f"{type(layer).__name__}: {what}={size} must be divisible by the {group.size()} processes")
    return int(share)


class _Sharded(Module):
    """What the layers that are not quantised share."""

    weight: mx.array
    bias: mx.array

    @classmethod
    def from_linear(cls, linear_layer: Module, *, segments: Segments = 1, group: Group | None = None) -> Any:
        """Make a layer of the part of a linear one that this process holds."""
        group = group or mx.distributed.init()
        outputs, inputs = linear_layer.weight.shape
        made = cls(inputs, outputs, hasattr(linear_layer, "bias"), group)  # type: ignore[call-arg]
        made.update(_shard(linear_layer.parameters(), cls._sharding(segments), group))
        return made

    _sharding: Callable[[Segments], Sharding]


def _draw(layer: _Sharded, scale: float, shape: tuple[int, int], bias: bool) -> None:
    layer.weight = _drawn(scale, *shape)
    if bias:
        layer.bias = _drawn(scale, shape[0])


def _described(layer: Module, outputs: int, inputs: int) -> str:
    return f"input_dims={inputs}, output_dims={outputs}, bias={'bias' in layer}"


class AllToShardedLinear(_Sharded):
    """A linear layer of which every process holds a part of the outputs.

    Drawn as `Linear`. ValueError if the size of the group does not divide `output_dims`.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.AllToShardedLinear(4, 8)(mx.ones((2, 4))).shape  # the outputs of one process, which are all
    (2, 8)
    """

    _sharding = staticmethod(_all_to_sharded)

    def __init__(self, input_dims: int, output_dims: int, bias: bool = True, group: Group | None = None):
        super().__init__()
        self.group = group or mx.distributed.init()
        outputs = _of_each(self, "output_dims", output_dims, self.group)
        _draw(self, math.sqrt(1.0 / input_dims), (outputs, input_dims), bias)

    def _extra_repr(self) -> str:
        return _described(self, self.weight.shape[0] * self.group.size(), self.weight.shape[1])

    def __call__(self, x: mx.array) -> mx.array:
        return _linear.affine(sum_gradients(self.group)(x), self["weight"], self.get("bias"))


class ShardedToAllLinear(_Sharded):
    """A linear layer of which every process holds a part of the inputs; the results are summed.

    Drawn as `Linear`. ValueError if the size of the group does not divide `input_dims`.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.ShardedToAllLinear(4, 8)(mx.ones((2, 4))).shape
    (2, 8)
    """

    _sharding = staticmethod(_sharded_to_all)

    def __init__(self, input_dims: int, output_dims: int, bias: bool = True, group: Group | None = None):
        super().__init__()
        self.group = group or mx.distributed.init()
        inputs = _of_each(self, "input_dims", input_dims, self.group)
        _draw(self, math.sqrt(1.0 / input_dims), (output_dims, inputs), bias)

    def _extra_repr(self) -> str:
        return _described(self, self.weight.shape[0], self.weight.shape[1] * self.group.size())

    def __call__(self, x: mx.array) -> mx.array:
        y = mx.distributed.all_sum(_linear.affine(x, self["weight"], None), group=self.group)
        return y + self["bias"] if "bias" in self else y


class _QuantizedSharded(Module):
    """What the quantised layers share. Their parameters are never trained."""

    _sharding: Callable[[Segments], Sharding]

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        bias: bool = True,
        group_size: int = 64,
        bits: int = 4,
        mode: str = "affine",
        group: Group | None = None,
    ):
        super().__init__()
        self.group_size = group_size
        self.bits = bits
        self.mode = mode
        self.group = group or mx.distributed.init()
        outputs, inputs = self._shape(output_dims, input_dims)
        weight = _drawn(math.sqrt(1.0 / input_dims), outputs, inputs)
        _pack(self, weight)
        if bias:
            self.bias = mx.zeros((outputs,))
        self.freeze()

    def _shape(self, outputs: int, inputs: int) -> tuple[int, int]:
        """The shape of the part of the weight that this process holds."""
        raise NotImplementedError

    def unfreeze(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Unfreeze what further modules there are inside; the layer's own parameters stay frozen."""
        super().unfreeze(*args, **kwargs)
        self.freeze(recurse=False)

    @classmethod
    def from_quantized_linear(
        cls, quantized_linear_layer: Module, *, segments: Segments = 1, group: Group | None = None
    ) -> Any:
        """Make a layer of the part of a quantised linear one that this process holds."""
        layer, group = quantized_linear_layer, group or mx.distributed.init()
        outputs, inputs = _dims(layer)
        made = cls(
            inputs,
            outputs,
            hasattr(layer, "bias"),
            group_size=layer.group_size,
            bits=layer.bits,
            mode=getattr(layer, "mode", "affine"),
            group=group,
        )
        made.update(_shard(layer.parameters(), cls._sharding(segments), group))
        return made


class QuantizedAllToShardedLinear(_QuantizedSharded):
    """`AllToShardedLinear` with a quantised weight, as ``QuantizedLinear`` has it."""

    _sharding = staticmethod(_all_to_sharded)

    def _shape(self, outputs: int, inputs: int) -> tuple[int, int]:
        return _of_each(self, "output_dims", outputs, self.group), inputs

    def _extra_repr(self) -> str:
        outputs, inputs = _dims(self)
        return f"{_described(self, outputs * self.group.size(), inputs)}, {_format(self)}"

    def __call__(self, x: mx.array) -> mx.array:
        y = _product(self, sum_gradients(self.group)(x))
        return y + self["bias"] if "bias" in self else y


class QuantizedShardedToAllLinear(_QuantizedSharded):
    """`ShardedToAllLinear` with a quantised weight, as ``QuantizedLinear`` has it."""

    _sharding = staticmethod(_sharded_to_all)

    def _shape(self, outputs: int, inputs: int) -> tuple[int, int]:
        return outputs, _of_each(self, "input_dims", inputs, self.group)

    def _extra_repr(self) -> str:
        outputs, inputs = _dims(self)
        return f"{_described(self, outputs, inputs * self.group.size())}, {_format(self)}"

    def __call__(self, x: mx.array) -> mx.array:
        y = mx.distributed.all_sum(_product(self, x), group=self.group)
        return y + self["bias"] if "bias" in self else y


def _gathering(group: Group, shapes: list[tuple[int, ...]], compute_dtype: mx.Dtype | None) -> Callable[..., Any]:
    """Make the function from parts to whole arrays; its gradients are those of the mean over the group, in parts."""
    size = group.size()

    def cast(x: mx.array, dtype: mx.Dtype | None) -> mx.array:
        return x if dtype is None or x.dtype == dtype else x.astype(dtype)

    def ends(sizes: list[int]) -> list[int]:
        return [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]

    places = ends([math.prod(shape) // size for shape in shapes])

    def gather(parts: list[mx.array]) -> list[mx.array]:
        flat = mx.concatenate([cast(part.reshape(1, -1), compute_dtype) for part in parts], axis=1)
        whole = mx.split(mx.distributed.all_gather(flat, group=group), places, axis=1)
        return [x.reshape(shape) for x, shape in zip(whole, shapes, strict=True)]

    if size == 1:
        return gather

    def rule(parts: list[mx.array], cotangents: list[mx.array], _: Any) -> list[mx.array]:
        flat = mx.concatenate([c.reshape(size, -1) for c in cotangents], axis=1)
        own = mx.split(mx.distributed.sum_scatter(flat, group=group) / size, places, axis=1)
        return [cast(x.reshape(part.shape), part.dtype) for x, part in zip(own, parts, strict=True)]

    return _with_gradient(gather, rule)


def _not_sharded_yet(module: Module, key: str, value: Any) -> bool:
    return not isinstance(value, FullyShardedModule) and Module.valid_parameter_filter(module, key, value)


class FullyShardedModule(Module):
    """A module of whose parameters every process holds a part, along their first axes; they are gathered for each call.

    Args:
        module: The module, whose parameters are replaced by parts.
        group: The processes; all by default.
        compute_dtype: The dtype in which parameters are gathered; their own by default.

    Raises:
        ValueError: A parameter is a scalar, or the size of the group does not divide its first axis.
    """

    def __init__(self, module: Module, group: Group | None = None, compute_dtype: mx.Dtype | None = None):
        super().__init__()
        members = group or mx.distributed.init()
        parameters = module.filter_and_map(_not_sharded_yet)
        shapes: dict[str, tuple[int, ...]] = {}
        flat: Any = tree_flatten(parameters)
        for path, x in flat:
            if x.ndim == 0 or x.shape[0] % members.size():
                raise ValueError(
                    f"FullyShardedModule: the first axis of {path} must be divisible by the {members.size()} processes, got shape "
                    f"{x.shape}"
                )
            shapes[path] = x.shape
        # An ordinary attribute, so that it is no entry of the module.
        object.__setattr__(self, "_paths", list(shapes))
        self._gather_fn = _gathering(members, list(shapes.values()), compute_dtype)
        module.update(_shard(parameters, lambda path, weight: 0, members))
        self.module = module

    def _extra_repr(self) -> str:
        return f"num_sharded_params={len(self._paths)}"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _with_whole_parameters(self, self.module, *args, **kwargs)

    def as_linear(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module's ``as_linear``."""
        return _with_whole_parameters(self, self.module.as_linear, *args, **kwargs)


def _with_whole_parameters(layer: FullyShardedModule, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    parts = layer.module.filter_and_map(_not_sharded_yet)
    flat: Any = tree_flatten(parts)
    whole = layer._gather_fn([x for _, x in flat])
    layer.module.update(tree_unflatten(list(zip(layer._paths, whole, strict=True))))
    try:
        return function(*args, **kwargs)
    finally:
        layer.module.update(parts)


def fully_shard(module: Module, *, group: Group | None = None, compute_dtype: mx.Dtype | None = None) -> Module:
    """Wrap a module in a `FullyShardedModule`, unless it is one, has no parameters or there is only one process.

    >>> import funcnn.compat.nn as nn
    >>> layer = nn.Linear(4, 8)
    >>> nn.fully_shard(layer) is layer
    True
    """
    members = group or mx.distributed.init()
    if not isinstance(module, FullyShardedModule) and members.size() > 1:
        sharded = FullyShardedModule(module, members, compute_dtype)
        if sharded._paths:
            return sharded
    return module

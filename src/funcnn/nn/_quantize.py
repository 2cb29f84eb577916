"""Packed layers in the places of layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcnn import tree
from funcnn.tree import frozendict

from ._embedding import Embedding
from ._layer import Layer, a_layer
from ._linear import Linear
from ._quantized import QQLinear, QuantizedEmbedding, QuantizedLinear
from ._replace import Keys, described, rebuilt, selection
from ._tie import Tied, place_at
from ._view import at

_WHAT = "only Linear, Embedding and layers with a method to_quantized can be quantised"
_OPTIONS = ("group_size", "bits", "mode", "quantize_input")

Predicate = str | Callable[[str, Layer], bool | dict[str, Any]] | None


def _can_be(layer: Layer) -> bool:
    return type(layer) in (Linear, Embedding) or hasattr(layer, "to_quantized")


def _quantized(
    layer: Layer, params: Any, group_size: int | None, bits: int | None, mode: str, quantize_input: bool
) -> tuple[Layer, Any]:
    """The packed layer and its parameters."""
    options: dict[str, Any] = {"group_size": group_size, "bits": bits, "mode": mode}
    if hasattr(layer, "to_quantized"):
        if quantize_input:
            options["quantize_input"] = True
        made: tuple[Layer, Any] = layer.to_quantized(params, **options)
        return made
    if type(layer) is Linear and quantize_input:
        unpacked, params = QQLinear.from_linear(layer, params, **options)
        return unpacked.quantize(params)
    if quantize_input:
        raise ValueError("only the inputs of Linear can be quantised")
    if type(layer) is Linear:
        return QuantizedLinear.from_linear(layer, params, **options)
    if type(layer) is Embedding:
        return QuantizedEmbedding.from_embedding(layer, params, **options)
    raise ValueError(_WHAT)


def _chosen(model: Layer, predicate: Predicate, options: dict[str, Any]) -> Callable[[Keys, Layer], Any]:
    """From keys and layer to the options with which to quantise it, or None."""
    if predicate is None:
        return lambda keys, layer: options if _can_be(layer) else None
    if isinstance(predicate, str):
        within = selection("quantize", model, predicate, within=True)
        return lambda keys, layer: options if _can_be(layer) and within(keys, layer) else None
    if not callable(predicate):
        raise TypeError(f"quantize: predicate must be a glob or a function of path and layer, got {predicate!r}")

    def chosen(keys: Keys, layer: Layer) -> Any:
        path = tree.join_path(keys)
        answer = predicate(path, layer)
        if isinstance(answer, dict):
            unknown = sorted(set(answer) - set(_OPTIONS))
            if unknown:
                raise ValueError(f"quantize: {unknown[0]!r} for {path!r} is none of {', '.join(_OPTIONS)}")
            return {**options, **answer}
        if not isinstance(answer, bool):
            raise TypeError(f"quantize: predicate must return a bool or a dict of options, got {answer!r} for {path!r}")
        return options if answer else None

    return chosen


def _decided(model: Layer, chosen: Callable[[Keys, Layer], Any]) -> dict[tuple[Keys, int], Any]:
    """The options by place and layer. What is below a layer that quantises itself is its own affair."""
    decided: dict[tuple[Keys, int], Any] = {}
    whole: Keys | None = None
    for keys, layer in model._layers():
        if whole is not None and keys[: len(whole)] == whole:
            continue
        own = hasattr(layer, "to_quantized")
        if not own and len(list(layer._layers())) > 1:
            continue
        wanted = chosen(keys, layer)
        if wanted is not None:
            decided[keys, id(layer)] = wanted
            whole = keys if own else whole
    return decided


def _without(params: Any, path: str) -> Any:
    """The parameters without the array at a path, which is in a dict."""
    *above, name = tree.split_path(path)
    parent = tree.join_path(above)
    rest = {key: value for key, value in tree.get(params, parent).items() if key != name}
    return tree.set(params, parent, frozendict(rest))


def _tied_again(tied: Tied, new: Layer, before: Any, after: Any) -> tuple[Layer, Any]:
    """Tie what was tied, codes and scales of what is packed now; the layer and its parameters without what is tied."""
    ties: dict[str, str] = {}
    layers = {keys: layer for keys, layer in reversed(list(new._layers()))}
    for path, source in tied.ties.items():
        ours, theirs = (place_at(before, p)[:-1] for p in (path, source))
        a, b = at(after, ours), at(after, theirs)
        packed = [set(x) - set(at(before, keys)) for x, keys in ((a, ours), (b, theirs))]
        ties[path] = source
        if not any(packed):
            continue
        formats = [[getattr(layers.get(keys), name, None) for name in _OPTIONS[:3]] for keys in (ours, theirs)]
        if packed[0] != packed[1] or formats[0] != formats[1]:
            raise ValueError(
                f"quantize: {path!r} is read from {source!r}; quantise both layers in the same format, or neither"
            )
        for name in sorted(packed[0]):
            ties[tree.join_path((*ours, name))] = tree.join_path((*theirs, name))
    for path in ties:
        after = _without(after, path)
    return Tied(new, ties), after


def quantize(
    model: Layer,
    params: Any,
    predicate: Predicate = None,
    group_size: int | None = None,
    bits: int | None = None,
    mode: str = "affine",
    quantize_input: bool = False,
) -> tuple[Layer, Any]:
    """Pack the weights of a model in a few bits.

    ``nn.Linear`` becomes ``nn.QuantizedLinear``, or ``nn.QQLinear`` with `quantize_input`, and ``nn.Embedding``
    ``nn.QuantizedEmbedding``. A layer of your own can be quantised if it has a method ``to_quantized(params, group_size=, bits=,
    mode=)`` that returns another layer and its parameters. Model and parameters stay as they are; the new ones share with them
    what is not quantised. Arrays that were tied (``nn.tie``) stay tied.

    Args:
        model: A layer.
        params: Its parameters.
        predicate: Which layers: None for all that can be quantised; a glob over the paths of their parameters (as in
            ``nn.replace``) for those of them that it matches; or a function of path and layer that is asked about every layer without parts and returns a bool
            or a dict of options (`group_size`, `bits`, `mode`, `quantize_input`) for that layer.
        group_size: How many neighbours share a scale; the mode's default if None.
        bits: How many bits an element takes; the mode's default if None.
        mode: A mode of ``fn.quantize``.
        quantize_input: Whether to round the inputs of linear layers too, in modes other than ``affine``.

    Returns:
        The new model and its parameters. The packed ones are buffers, which ``nn.trainable`` leaves out.

    Raises:
        ValueError: A layer that is meant cannot be quantised, for its kind or its sizes; no layer is meant; or of two tied
            layers only one is. The message names the path.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    >>> params = model.init(random.key(0))
    >>> small, packed = nn.quantize(model, params, "layers.2", bits=8)
    >>> small
    Sequential(Linear(64, 128), ReLU(), QuantizedLinear(128, 10, group_size=64, bits=8))
    >>> packed["layers"][2]["weight"].dtype
    uint32
    >>> fn.allclose(small(packed, fn.ones(64)), model(params, fn.ones(64)), atol=1e-2).item()
    True
    """
    a_layer(model, "quantize: model")
    options = {"group_size": group_size, "bits": bits, "mode": mode, "quantize_input": quantize_input}
    decided = _decided(model, _chosen(model, predicate, options))
    if not decided:
        what = repr(predicate) if isinstance(predicate, str) else "the predicate" if predicate else "the default"
        raise ValueError(f"quantize: {what} matches no such layer: {_WHAT}; there are {described(model._layers())}")
    for keys, layer in model._layers():
        if isinstance(layer, Tied):
            params = _put(params, keys, layer.untie(at(params, keys)))
    before = params

    def change(keys: Keys, old: Layer, same: Layer) -> Layer:
        nonlocal params
        wanted = decided.get((keys, id(old)))
        if isinstance(old, Tied):
            new, inner = _tied_again(old, same.layer, at(before, keys), at(params, keys))  # type: ignore[attr-defined]
            params = _put(params, keys, inner)
            return new
        if wanted is None:
            return same
        try:
            layer, packed = _quantized(old, at(params, keys), **wanted)
        except (ValueError, TypeError) as error:
            path = tree.join_path(keys)
            where = f"{path} ({type(old).__name__})" if path else type(old).__name__
            raise type(error)(f"quantize: {where} cannot be quantised: {error}") from error
        params = _put(params, keys, packed)
        return layer

    return rebuilt(model, change), params


def _put(params: Any, keys: Keys, value: Any) -> Any:
    return tree.set(params, tree.join_path(keys), value) if keys else value

"""Putting adapters into models, and merging what they have learned."""

from __future__ import annotations

from typing import Any

import funcnn as fn
from funcnn import random, tree
from funcnn.tree import frozendict

from ._layer import Layer, a_layer
from ._lora import DORA, LORA, Adapter, dense, dense_dtype
from ._replace import Which, described, rebuilt, selection
from ._tie import Tied
from ._view import Keys, at, nested


def lora(
    model: Layer,
    params: Any,
    where: Which,
    rank: int = 8,
    *,
    scale: float = 20.0,
    dropout: float = 0.0,
    key: fn.array | None = None,
) -> tuple[Layer, Any]:
    """Put low-rank adapters beside the linear layers and embeddings of a model.

    The adapted model computes what the model does until the adapters are trained. Its parameters are those of the model,
    under the same paths, and ``lora_a`` and ``lora_b`` beside each ``weight``, so files of the one serve the other.
    ``nn.trainable`` of the new model selects the adapters, and so does the glob ``**.lora_*``; all else is frozen.

    Args:
        model: Any layer. Layers within ``scan_layers``, ``vmap`` and ``tie`` are adapted too, each of several with an
            adapter of its own.
        params: Its parameters.
        where: Which layers: a glob over paths, or a predicate on path and layer. Of those that it means, ``Linear``,
            ``Embedding`` and their quantized forms are adapted.
        rank: The rank of what is learned.
        scale: What the product of the two factors is multiplied by.
        dropout: Probability that an input of an adapter is dropped in training.
        key: Where ``lora_a`` is drawn from, by path; ``random.key(0)`` by default.

    Returns:
        The new model and its parameters.

    Raises:
        ValueError: There is nothing to adapt, or a layer has an adapter already.

    Reference: E. J. Hu et al., "LoRA: low-rank adaptation of large language models", 2022.

    >>> from funcnn import nn, random, tree
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> params = model.init(random.key(0))
    >>> adapted, params = nn.lora(model, params, "layers.0", rank=2)
    >>> adapted
    Sequential(LoRALinear(Linear(4, 8), rank=2), ReLU(), Linear(8, 2))
    >>> trained, frozen = tree.partition(params, nn.trainable(adapted))
    >>> tree.paths(trained)
    ['layers.0.lora_a', 'layers.0.lora_b']
    """
    return _adapted("lora", LORA, model, params, where, (rank, scale, dropout), key)


def dora(
    model: Layer,
    params: Any,
    where: Which,
    rank: int = 8,
    *,
    scale: float = 20.0,
    dropout: float = 0.0,
    key: fn.array | None = None,
) -> tuple[Layer, Any]:
    """Put adapters beside the linear layers and embeddings of a model that learn the lengths of rows by themselves.

    As ``nn.lora``, with an array ``m`` more for each layer: the lengths, at first those of the rows of ``weight``.

    Args:
        model: Any layer.
        params: Its parameters.
        where: Which layers, as in ``nn.lora``.
        rank: The rank of what is learned of the directions.
        scale: What the product of the two factors is multiplied by.
        dropout: Probability that an input of an adapter is dropped in training.
        key: Where ``lora_a`` is drawn from, by path; ``random.key(0)`` by default.

    Returns:
        The new model and its parameters.

    Raises:
        ValueError: There is nothing to adapt, or a layer has an adapter already.

    Reference: S.-Y. Liu et al., "DoRA: weight-decomposed low-rank adaptation", 2024.

    >>> from funcnn import nn, random, tree
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> adapted, params = nn.dora(model, model.init(random.key(0)), "layers.*", rank=2)
    >>> nn.count(params, nn.trainable(adapted))
    54
    """
    return _adapted("dora", DORA, model, params, where, (rank, scale, dropout), key)


def _adapted(
    name: str, adapters: dict[type[Layer], type[Adapter]], model: Layer, params: Any, where: Any, options: Any, key: Any
) -> tuple[Layer, Any]:
    a_layer(model, f"{name}: model")
    chosen = selection(name, model, where, within=True)
    found: dict[Keys, Adapter] = {}

    def change(keys: Keys, old: Layer, same: Layer) -> Layer:
        adapter = adapters.get(type(old))
        if adapter is None or not chosen(keys, old):
            return same
        if keys in present:
            raise ValueError(
                f"{name}: the layer at {tree.join_path(keys)!r} has an adapter already; use nn.merge_lora first"
            )
        found[keys] = adapter(same, *options)
        return found[keys]

    present = {keys for keys, layer in model._layers() if isinstance(layer, Adapter)}
    new = rebuilt(model, change)
    if not found:
        there = ((keys, layer) for keys, layer in model._layers() if type(layer) in adapters)
        raise ValueError(f"{name}: `where` means no layer that can be adapted; there are {described(there) or 'none'}")
    # Nothing but what is taken of it is ever computed.
    fresh = new.init(random.key(0) if key is None else key)
    whole = _untied(model, params)
    added: dict[Keys, fn.array] = {}
    for keys, layer in found.items():
        base = at(whole, keys)
        if base is None or "weight" not in base:
            raise ValueError(f"{name}: the parameters have no weight at {tree.join_path(keys)!r}")
        more = layer._more(base)
        added.update(
            {(*keys, each): more[each] if each in more else at(fresh, (*keys, each)) for each in layer._adapters}
        )
    return new, tree.merge(params, nested(added))


def _untied(model: Layer, params: Any) -> Any:
    """The parameters with tied arrays in all their places."""
    for keys, layer in model._layers():
        if isinstance(layer, Tied):
            path = tree.join_path(keys)
            params = tree.set(params, path, layer.untie(tree.get(params, path)))
    return params


def _tied(model: Layer) -> set[str]:
    """The paths of arrays that stand for several."""
    return {
        ".".join(filter(None, (tree.join_path(keys), path)))
        for keys, layer in model._layers()
        if isinstance(layer, Tied)
        for pair in layer.ties.items()
        for path in pair
    }


def merge_lora(model: Layer, params: Any) -> tuple[Layer, Any]:
    """Put what adapters have learned into the weights, and take the adapters away.

    The result computes what the model does in inference, up to rounding; it has the layers and parameters that were there
    before ``nn.lora`` or ``nn.dora``. Quantized layers become plain ones: rounding to a few bits again would lose the little
    that was learned. ``nn.quantize`` packs them.

    Args:
        model: A model with adapters.
        params: Its parameters.

    Returns:
        The model without adapters and its parameters.

    Raises:
        ValueError: There are no adapters, or one adapts a weight that is tied to another, which must not change with it.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> adapted, params = nn.lora(model, model.init(random.key(0)), "**")
    >>> merged, weights = nn.merge_lora(adapted, params)
    >>> merged == model, sorted(weights["layers"][0])
    (True, ['bias', 'weight'])
    """
    a_layer(model, "merge_lora: model")
    shared = _tied(model)
    found: dict[Keys, Adapter] = {}

    def change(keys: Keys, old: Layer, same: Layer) -> Layer:
        if not isinstance(old, Adapter):
            return same
        path = tree.join_path((*keys, "weight"))
        if path in shared:
            raise ValueError(
                f"merge_lora: {path!r} is tied, and what one layer has learned is not for the other; take the tie away "
                "first: nn.merge_lora(model.layer, model.untie(params)) where the model is tied as a whole"
            )
        found[keys] = old
        return dense(old.layer)

    new = rebuilt(model, change)
    if not found:
        raise ValueError("merge_lora: the model has no adapters")
    for keys, layer in found.items():
        path = tree.join_path(keys)
        old = tree.get(params, path)
        gone = layer._adapters if dense(layer.layer) is layer.layer else (*layer._adapters, "scales", "biases")
        kept = {name: x for name, x in old.items() if name not in gone}
        merged = {**kept, "weight": layer.merged(old).astype(dense_dtype(layer.layer, old))}
        params = tree.set(params, path, dict(merged) if type(old) is dict else frozendict(merged))
    return new, params

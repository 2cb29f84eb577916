"""Parameters as a whole: how many there are, and their dtypes."""

from __future__ import annotations

from typing import Any

import attrs

import funcnn as fn
from funcnn import random, tree
from funcnn.tree._parts import check_glob, divided

from ._layer import Layer


def _chosen(name: str, params: Any, where: Any) -> tuple[Any, Any]:
    if isinstance(where, str):
        check_glob(name, params, where)
    return divided(params, where)


def count(model_or_params: Any, where: Any = "**") -> int:
    """Count the numbers that a model is made of. An array that stands in several places counts once.

    Args:
        model_or_params: A layer, whose parameters are measured without being drawn, or parameters.
        where: Which arrays: a glob over paths, a predicate on path and array (``nn.trainable(model)``) or a tree of bools,
            as in ``tree.partition``. All by default.

    Raises:
        ValueError: A glob matches nothing.

    >>> from funcnn import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm(8))
    >>> nn.count(model), nn.count(model, nn.trainable(model)), nn.count(model, "**.bias")
    (72, 56, 16)
    """
    if isinstance(model_or_params, Layer):
        model_or_params = fn.eval_shape(model_or_params.init, random.key(0))
    chosen, _ = _chosen("count", model_or_params, where)
    return sum(x.size for x in distinct(chosen))


def distinct(params: Any) -> list[Any]:
    """The arrays of a tree, each once."""
    return list({id(x): x for x in tree.leaves(params) if hasattr(x, "shape")}.values())


def holds_numpy_floats(x: Any) -> bool:
    """Whether this is an array of real floats that is not one of ours."""
    return hasattr(x, "__array_interface__") and getattr(getattr(x, "dtype", None), "kind", "") == "f"


def cast(params: Any, dtype: Any, where: Any = "**") -> Any:
    """Convert parameters to another floating-point dtype. Integers, bools and complex numbers stay as they are.

    What belongs to a model in half precision whose parameters are stored so. To compute in half precision with parameters
    that stay in float32, use ``nn.mixed_precision``.

    Args:
        params: A tree of arrays.
        dtype: A floating-point dtype, or its name.
        where: Which arrays: a glob over paths, a predicate on path and array, or a tree of bools, as in
            ``tree.partition``. All by default.

    Returns:
        A tree of the same structure.

    Raises:
        TypeError: The dtype is none of floating-point numbers.
        ValueError: A glob matches nothing.

    >>> import funcnn as fn
    >>> from funcnn import nn, random, tree
    >>> model = nn.Sequential(nn.Embedding(10, 4), nn.LayerNorm(4))
    >>> params = nn.cast(model.init(random.key(0)), fn.bfloat16, "layers.0.**")
    >>> tree.map(lambda p: p.dtype, params)["layers"]
    (frozendict({'weight': bfloat16}), frozendict({'bias': float32, 'weight': float32}))
    """
    try:
        wanted = fn.promote_types(dtype, dtype)
    except (TypeError, ValueError):
        raise TypeError(f"cast: expected a floating-point dtype, got {dtype!r}") from None
    if not fn.isdtype(wanted, "real floating"):
        raise TypeError(f"cast: expected a floating-point dtype, got {wanted}")

    def one(x: Any) -> Any:
        if isinstance(x, fn.ShapeDtypeStruct):
            return attrs.evolve(x, dtype=wanted) if fn.isdtype(x.dtype, "real floating") else x
        if not isinstance(x, fn.array) and hasattr(x, "__array_interface__"):
            # At once: the device may lack the dtype it has.
            x = fn.array(x, wanted) if holds_numpy_floats(x) else fn.asarray(x)
        return x.astype(wanted) if isinstance(x, fn.array) and fn.isdtype(x.dtype, "real floating") else x

    chosen, rest = _chosen("cast", params, where)
    return tree.merge(tree.map(one, chosen), rest)

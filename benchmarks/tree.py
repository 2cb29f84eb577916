"""Pytrees: flatten, unflatten and map of a nested dict with 1,000 leaves."""

from __future__ import annotations

import numpy as np

from .case import Case

ROWS = {"tree_flatten": "us", "tree_unflatten": "us", "tree_map": "us", "tree_map_two": "us"}
FRAMEWORKS = ("funcnn", "torch", "jax", "mlx", "optree")


def nested(width: int, depth: int, start: int = 0):
    """A dict of `width` items at each of `depth` levels, with one float at each end."""
    if depth == 0:
        return float(start)
    step, name = width ** (depth - 1), "abcdef"[depth]
    return {f"{name}_{i}": nested(width, depth - 1, start + i * step) for i in range(width)}


def values(tree) -> list[float]:
    return [leaf for child in tree.values() for leaf in values(child)] if isinstance(tree, dict) else [tree]


def double(x: float) -> float:
    return x + x


def build(row: str, framework: str) -> Case:
    flatten, unflatten, map_ = _functions(framework)
    tree = nested(10, 3)
    flat = flatten(tree)
    step = {
        "tree_flatten": lambda: flatten(tree),
        "tree_unflatten": lambda: unflatten(flat),
        "tree_map": lambda: map_(double, tree),
        "tree_map_two": lambda: map_(float.__add__, tree, tree),
    }[row]
    return Case(step, lambda: [np.array(values(unflatten(step()) if row == "tree_flatten" else step()))])


def _functions(framework):
    """(flatten, unflatten of what it returns, map)."""
    if framework == "funcnn":
        from funcnn import tree

        return tree.flatten, lambda flat: tree.unflatten(flat[1], flat[0]), tree.map
    if framework == "jax":
        import jax

        return jax.tree.flatten, lambda flat: jax.tree.unflatten(flat[1], flat[0]), jax.tree.map
    if framework == "optree":
        import optree

        return optree.tree_flatten, lambda flat: optree.tree_unflatten(flat[1], flat[0]), optree.tree_map
    if framework == "mlx":
        import mlx.utils

        return mlx.utils.tree_flatten, mlx.utils.tree_unflatten, mlx.utils.tree_map
    import torch.utils._pytree as pytree

    return pytree.tree_flatten, lambda flat: pytree.tree_unflatten(*flat), pytree.tree_map

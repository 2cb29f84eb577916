"""What a row of the table of layers is, and short ways to write one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np

import funcnn as fn
from funcnn import nn, random, tree

# An input: its shape without the batch axis, or a function of a generator and the size of the batch.
Input = tuple[int, ...] | Callable[[np.random.Generator, int], Any]


@attrs.frozen(kw_only=True)
class LayerSpec:
    """One layer, and how to call it.

    Attributes:
        name: What the tests are called.
        layer: The layer.
        inputs: What it is called with: shapes without the batch axis (normal numbers of float32), or functions of a
            generator and the size of the batch that return an array of NumPy or a tree of them.
        keywords: Further arguments by name, values or functions as among the inputs; held constant.
        oracle: What the layer computes in inference: a function of the parameters and inputs (plain dicts and lists of
            arrays of float64 or integers) and the keywords that returns an array or a tree of them.
        tolerance: How far float32 may be from the oracle and from MLX, absolute and relative.
        mlx: A function of ``mlx.nn`` that makes the same layer; None if MLX has none.
        mlx_params: What MLX's layer is updated with, from the parameters as nested dicts and lists of NumPy arrays; the
            same names and nesting by default. It must keep the number and order of the arrays.
        mlx_call: How MLX's layer is called: a function of the layer, the inputs and the keywords; by position by default.
        needs_key: Whether training draws random numbers.
        updates: The paths of what training changes.
        batched: Whether the first axis of every input and output is one of independent examples, in inference.
        least_batch: The least size of the batch in training.
        differentiable: Whether there are gradients to check, by parameters and floating-point inputs.
        twice: Whether second derivatives are checked.
        kinks: Whether the check of gradients has to keep away from the points where there is none: float inputs and
            parameters are then rounded to odd multiples of 1/16.
        halves: Whether parameters and inputs may be float16 and bfloat16, which is then the dtype of the output.
        half_tolerance: How far results in bfloat16 may be from those in float32, relative to the largest.
        perturb: Whether the parameters are moved away from their initial values, so that zeros and ones are seen to act.
        mappable: Whether ``vmap`` over stacked parameters and inputs is checked.
        evaluates: Whether ``repr`` evaluates back to the layer; `names` are what it needs beside those of ``nn``.
        names: See `evaluates`.
    """

    name: str
    layer: nn.Layer
    inputs: tuple[Input, ...]
    keywords: Mapping[str, Any] = attrs.field(factory=dict)
    oracle: Callable[..., Any] | None = None
    tolerance: float = 1e-5
    mlx: Callable[[Any], Any] | None = None
    mlx_params: Callable[[Any], Any] | None = None
    mlx_call: Callable[..., Any] | None = None
    needs_key: bool = False
    updates: tuple[str, ...] = ()
    batched: bool = True
    least_batch: int = 1
    differentiable: bool = True
    twice: bool = True
    kinks: bool = False
    halves: bool = True
    half_tolerance: float = 4e-2
    perturb: bool = True
    mappable: bool = True
    evaluates: bool = True
    names: Mapping[str, Any] = attrs.field(factory=dict)

    def params(self, seed: int = 0) -> Any:
        """Parameters as tests use them: drawn, and moved a little from where they start."""
        params = self.layer.init(random.key(seed))
        if not self.perturb:
            return params
        keys = random.split(random.key(seed + 1), max(len(tree.leaves(params)), 1))

        def move(x: fn.array, i: int) -> fn.array:
            if not fn.isdtype(x.dtype, "real floating"):
                return x
            return x + 0.1 * random.normal(keys[i], x.shape, dtype=x.dtype)

        leaves, treedef = tree.flatten(params)
        return tree.unflatten(treedef, [move(x, i) for i, x in enumerate(leaves)])

    def numpy_inputs(self, batch: int = 3, seed: int = 0) -> tuple[Any, ...]:
        """The inputs as NumPy's arrays."""
        rng = np.random.default_rng(seed)
        return tuple(_drawn(given, rng, batch) for given in self.inputs)

    def numpy_keywords(self, batch: int = 3, seed: int = 0) -> dict[str, Any]:
        """The keywords, with NumPy's arrays."""
        rng = np.random.default_rng(seed + 1)
        return {k: _drawn(v, rng, batch) if callable(v) else v for k, v in self.keywords.items()}

    def arguments(self, batch: int = 3, seed: int = 0) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The inputs and keywords, with arrays."""
        return ours(self.numpy_inputs(batch, seed)), ours(self.numpy_keywords(batch, seed))


def _drawn(given: Input, rng: np.random.Generator, batch: int) -> Any:
    if callable(given):
        return given(rng, batch)
    return rng.normal(size=(batch, *given)).astype(np.float32)


def ours(nest: Any) -> Any:
    """The same tree with arrays in place of NumPy's."""
    return tree.map(lambda x: fn.array(x) if isinstance(x, np.ndarray) else x, nest)


def plain(nest: Any, leaf: Callable[[Any], Any] = np.asarray) -> Any:
    """Nested dicts and lists, with a function of every array."""
    if isinstance(nest, (dict, fn.frozendict)):
        return {key: plain(value, leaf) for key, value in nest.items()}
    if isinstance(nest, (tuple, list)):
        return [plain(value, leaf) for value in nest]
    return leaf(nest)


def wide(nest: Any) -> Any:
    """Nested dicts and lists of NumPy's arrays, floats as float64."""
    return plain(nest, lambda x: np.asarray(x, np.float64) if np.asarray(x).dtype.kind in "fV" else np.asarray(x))


def integers(low: int, high: int, *shape: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    """An input of integers from `low` to below `high`, of a shape without the batch axis."""
    return lambda rng, batch: rng.integers(low, high, (batch, *shape)).astype(np.int32)


def uniform(low: float, high: float, *shape: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    """An input of floats from `low` to `high`, of a shape without the batch axis."""
    return lambda rng, batch: rng.uniform(low, high, (batch, *shape)).astype(np.float32)


def fixed(*shape: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    """An input of normal numbers of a shape that has no batch axis."""
    return lambda rng, batch: rng.normal(size=shape).astype(np.float32)

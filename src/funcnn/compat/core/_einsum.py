"""The order in which ``einsum`` contracts its operands, and what that costs, in the words of opt_einsum."""

from __future__ import annotations

import math
from typing import Any

import funcnn as fn


def einsum_path(subscripts: str, *operands: Any) -> tuple[list[tuple[int, ...]], str]:
    """Return the places of the operands contracted in each step, and a text on the cost.

    A step costs the product of the sizes of all its indices, times the operands that are multiplied, plus one where it sums.
    """
    path = list(fn.einsum_path(subscripts, *operands))
    terms, result, sizes = _terms(subscripts, [fn.asarray(x).shape for x in operands])
    naive = set().union(*terms)
    scaling, cost = 0, 0
    left = list(terms)
    for step in path:
        taken = [left.pop(place) for place in sorted(step, reverse=True)]
        indices = set().union(*taken)
        kept = indices & (set(result).union(*left))
        left.append(kept)
        scaling = max(scaling, len(indices))
        cost += _cost(indices, kept, len(taken), sizes)
    text = (
        f"  Complete contraction:  {subscripts}\n"
        f"         Naive scaling:  {len(naive)}\n"
        f"     Optimized scaling:  {scaling}\n"
        f"      Naive FLOP count:  {_cost(naive, set(result), len(terms), sizes)}\n"
        f"  Optimized FLOP count:  {cost}\n"
    )
    return path, text


def _cost(indices: set[Any], kept: set[Any], operands: int, sizes: dict[Any, int]) -> int:
    return math.prod(sizes[index] for index in indices) * (max(1, operands - 1) + (indices != (indices & kept)))


def _terms(subscripts: str, shapes: list[tuple[int, ...]]) -> tuple[list[set[Any]], list[Any], dict[Any, int]]:
    """The indices of each operand and of the result; those of an ellipsis are counted from the last axis."""
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    sizes: dict[Any, int] = {}
    terms: list[list[Any]] = []
    for term, shape in zip(inputs.split(","), shapes, strict=True):
        before, dots, after = term.partition("...")
        rest = len(shape) - len(before) - len(after) if dots else 0
        indices = [*before, *range(-rest, 0), *after]
        for index, size in zip(indices, shape, strict=True):
            sizes[index] = max(size, sizes.get(index, 0))
        terms.append(indices)
    found = [index for term in terms for index in term]
    hidden = sorted({index for index in found if isinstance(index, int)})
    if arrow:
        before, dots, after = output.partition("...")
        result = [*before, *(hidden if dots else ()), *after]
    else:
        result = hidden + sorted({index for index in found if isinstance(index, str) and found.count(index) == 1})
    return [set(term) for term in terms], result, sizes

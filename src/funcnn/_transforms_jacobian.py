"""Jacobians and Hessians: vjp and jvp mapped over a basis."""

from __future__ import annotations

import functools
from typing import Any

from . import _core, tree
from ._arguments import Integers, integers, is_integer
from ._calls import explained
from ._device import home
from ._transforms import Function, linearize, vjp, vmap


def _basis(like: _core.array) -> _core.array:
    return _core.eye(like.size, dtype=like.dtype, device=home(like)).reshape(like.size, *like.shape)


def _one_of(treedef: tree.PyTreeDef, index: int, leaf: Any) -> Any:
    """Make the tree that is None but for one leaf."""
    return treedef.unflatten([leaf if i == index else None for i in range(treedef.num_leaves)])


def _jacobian(name: str, fun: Function, argnums: Integers, has_aux: bool, rows: Function) -> Function:
    if not callable(fun):
        raise TypeError(f"{name}: expected a function, got {type(fun).__name__}")
    positions = integers(argnums, f"{name}: argnums")

    @functools.wraps(fun)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        for i in positions:
            if not -len(args) <= i < len(args):
                raise ValueError(f"{name}: argnums has {i}, but the function was called with {len(args)} arguments")
        places = [i % len(args) for i in positions]

        def of_chosen(*chosen: Any) -> Any:
            full = list(args)
            for place, x in zip(places, chosen, strict=True):
                full[place] = x
            return fun(*full, **kwargs)

        chosen = [args[place] for place in places]
        for place, x in zip(places, chosen, strict=True):
            for path, leaf in tree.leaves_with_path(x):
                if isinstance(leaf, _core.array) and not _core.isdtype(
                    leaf.dtype, ("real floating", "complex floating")
                ):
                    raise ValueError(
                        f"{name}: argument {place}{path and ' at ' + path} has dtype {leaf.dtype}; only "
                        "floating-point arrays can be differentiated"
                    )
        result, aux = rows(of_chosen, chosen, has_aux)
        result = (
            tree.map(lambda row: row[0], result, is_leaf=_is_row)
            if is_integer(argnums)
            else tree.map(tuple, result, is_leaf=_is_row)
        )
        return (result, aux) if has_aux else result

    return jacobian


class _Row(list[Any]):
    """The Jacobian of one output by all arguments."""


def _is_row(x: Any) -> bool:
    return isinstance(x, _Row)


def _reverse_rows(fun: Function, chosen: list[Any], has_aux: bool) -> tuple[Any, Any]:
    output, pull, *aux = vjp(fun, *chosen, has_aux=has_aux)
    leaves, treedef = tree.flatten(output)

    def row(index: int, leaf: _core.array) -> _Row:
        mapped = vmap(lambda one: pull(_one_of(treedef, index, one)))(_basis(leaf))
        return _Row(tree.map(lambda x: x.reshape(*leaf.shape, *x.shape[1:]), part) for part in mapped)

    return treedef.unflatten([row(i, leaf) for i, leaf in enumerate(leaves)]), aux[0] if aux else None


def _forward_rows(fun: Function, chosen: list[Any], has_aux: bool) -> tuple[Any, Any]:
    output, push, *aux = linearize(fun, *chosen, has_aux=has_aux)
    outputs, treedef = tree.flatten(output)
    rows = [_Row() for _ in outputs]
    for position, argument in enumerate(chosen):
        leaves, argdef = tree.flatten(argument)
        columns: list[list[Any]] = [[] for _ in outputs]
        for index, leaf in enumerate(leaves):
            leaf = leaf if isinstance(leaf, _core.array) else _core.array(leaf)

            def along(one: Any, position: int = position, index: int = index, argdef: Any = argdef) -> Any:
                tangents: list[Any] = [tree.map(lambda _: None, x) for x in chosen]
                tangents[position] = _one_of(argdef, index, one)
                return push(*tangents)

            mapped = tree.leaves(vmap(along, out_axes=-1)(_basis(leaf)))
            for column, x in zip(columns, mapped, strict=True):
                column.append(x.reshape(*x.shape[:-1], *leaf.shape))
        for row, column in zip(rows, columns, strict=True):
            row.append(argdef.unflatten(column))
    return treedef.unflatten(rows), aux[0] if aux else None


@explained
def jacrev(fun: Function, argnums: Integers = 0, *, has_aux: bool = False) -> Function:
    """Make a function that returns the Jacobian of `fun`, row by row in reverse mode: best for few outputs.

    Args:
        fun: A function of pytrees of arrays that returns one.
        argnums: By which positional arguments to differentiate.
        has_aux: Whether `fun` returns ``(output, aux)``; the Jacobian then comes with ``aux``.

    Returns:
        A function with the arguments of `fun` that returns a tree like the output. In the place of an output of shape
        ``(i...)`` stands a tree like the argument, with shape ``(i..., j...)`` for a leaf of shape ``(j...)``; a tuple of
        such trees if `argnums` is a sequence.

    >>> import funcnn as fn
    >>> fn.jacrev(lambda x: x * x)(fn.array([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    return _jacobian("jacrev", fun, argnums, has_aux, _reverse_rows)


@explained
def jacfwd(fun: Function, argnums: Integers = 0, *, has_aux: bool = False) -> Function:
    """Make a function that returns the Jacobian of `fun`, column by column in forward mode: best for few inputs.

    Arguments and result are those of ``jacrev``.

    >>> import funcnn as fn
    >>> fn.jacfwd(lambda x: x * x)(fn.array([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    return _jacobian("jacfwd", fun, argnums, has_aux, _forward_rows)


@explained
def hessian(fun: Function, argnums: Integers = 0, *, has_aux: bool = False) -> Function:
    """Make a function that returns the second derivatives of `fun`: ``jacfwd`` of ``jacrev``.

    >>> import funcnn as fn
    >>> fn.hessian(lambda x: x[0] * x[0] * x[1])(fn.array([1.0, 2.0])).tolist()
    [[4.0, 2.0], [2.0, 0.0]]
    """
    return jacfwd(jacrev(fun, argnums, has_aux=has_aux), argnums, has_aux=has_aux)

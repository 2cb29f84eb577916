"""Mapped functions against loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import funcnn as fn
from funcnn import tree
from funcnn._arguments import function, integer

from ._arguments import arguments
from ._closeness import assert_trees_close

_UNMAPPED = object()


def check_vmap(
    f: Callable[..., Any],
    args: Sequence[Any],
    in_axes: Any = 0,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-6,
) -> None:
    """Compare ``vmap(f)`` with a loop over calls of `f`.

    Args:
        f: A function of pytrees of arrays that returns one.
        args: Its arguments, with the mapped axes.
        in_axes: The mapped axes, as ``fn.vmap`` takes them.
        rtol, atol: Tolerances.

    Raises:
        AssertionError: The results differ, integers and bools in any element; the message names the output.

    >>> import funcnn as fn
    >>> fn.testing.check_vmap(lambda x, y: x @ y, (fn.ones((3, 2, 2)), fn.ones((2, 2))), in_axes=(0, None))
    """
    function(f, "check_vmap: f")
    args = arguments("check_vmap", args)
    prefix = tuple(in_axes) if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
    # None is an empty container; here it stands for an axis.
    marked = tree.map(lambda axis: _UNMAPPED if axis is None else axis, prefix, is_leaf=lambda axis: axis is None)
    try:
        axes = tree.leaves(tree.broadcast_prefix(marked, args))
    except ValueError as error:
        raise ValueError(str(error).replace("tree.broadcast_prefix", "check_vmap: in_axes and args", 1)) from None
    leaves, treedef = tree.flatten(args)
    leaves = [x if axis is _UNMAPPED else fn.array(x) for x, axis in zip(leaves, axes, strict=True)]
    for x, axis in zip(leaves, axes, strict=True):
        if axis is not _UNMAPPED and not -x.ndim <= integer(axis, "check_vmap: in_axes") < x.ndim:
            raise ValueError(f"check_vmap: in_axes has {axis} for an array of shape {x.shape}")
    sizes = {x.shape[axis] for x, axis in zip(leaves, axes, strict=True) if axis is not _UNMAPPED}
    if len(sizes) != 1:
        raise ValueError(f"check_vmap: the mapped axes have the sizes {sorted(sizes)}, expected one")
    (size,) = sizes

    def row(x: fn.array, axis: int, i: int) -> fn.array:
        if size == 0:  # no row to take: what one would look like
            return fn.zeros([n for place, n in enumerate(x.shape) if place != axis % x.ndim], dtype=x.dtype)
        return fn.take(x, fn.array(i), axis=axis)

    def call(i: int) -> Any:
        picked = [x if axis is _UNMAPPED else row(x, axis, i) for x, axis in zip(leaves, axes, strict=True)]
        return [(path, fn.array(x)) for path, x in tree.leaves_with_path(f(*tree.unflatten(treedef, picked)))]

    looped = [call(i) for i in range(max(size, 1))]
    mapped = tree.leaves_with_path(fn.vmap(f, in_axes=prefix)(*tree.unflatten(treedef, leaves)))
    if [path for path, _ in mapped] != [path for path, _ in looped[0]]:
        raise AssertionError(
            f"vmap returns a tree with the paths {[path for path, _ in mapped]}, a loop {[path for path, _ in looped[0]]}"
        )
    for position, (path, x) in enumerate(mapped):
        wanted = fn.stack([one[position][1] for one in looped])[:size]
        try:
            assert_trees_close(x, wanted, rtol, atol)
        except AssertionError as error:
            what = str(error).partition("the root: ")[2]
            raise AssertionError(f"vmap differs from a loop in {path or 'the output'}: {what}") from None

"""Derivatives and batching of functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from . import _core, tree
from ._arguments import Integers, integers, is_integer
from ._calls import explained
from ._carriers import Lifted, carries
from .tree._parts import divided

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)

_native: Any = _core.transforms


def _positions(name: str, argnums: Integers | None, argnames: str | Sequence[str] | None) -> tuple[int, ...]:
    if argnums is None:
        return () if argnames else (0,)
    return integers(argnums, f"{name}: argnums")


def _names(name: str, argnames: str | Sequence[str] | None) -> tuple[str, ...]:
    if argnames is None:
        return ()
    if isinstance(argnames, str):
        return (argnames,)
    if not isinstance(argnames, Iterable) or not all(isinstance(x, str) for x in argnames):
        raise TypeError(f"{name}: argnames must be a string or a sequence of strings, got {argnames!r}")
    return tuple(argnames)


def _check_function(name: str, fun: Any) -> None:
    if not callable(fun):
        raise TypeError(f"{name}: expected a function, got {type(fun).__name__}")


def _transform(
    name: str,
    fun: Function,
    argnums: Integers | None,
    argnames: str | Sequence[str] | None,
    has_aux: bool,
    where: Any,
    finish: Callable[[Any, Any, Any], Any],
) -> Function:
    """Make what `grad` and `value_and_grad` return; `finish` gets value, aux and gradients."""
    _check_function(name, fun)
    positions, names = _positions(name, argnums, argnames), _names(name, argnames)
    if not positions and not names:
        raise ValueError(f"{name}: argnums and argnames are both empty; there is nothing to differentiate by")
    one_position, one_name = is_integer(argnums) or argnums is None, isinstance(argnames, str)
    alone = len(positions) + len(names) == 1 and (one_position if positions else one_name)
    call = _native.value_and_grad

    def with_carriers(lifted: Lifted) -> Any:
        def with_reports(*args: Any, **kwargs: Any) -> Any:
            output, reports = lifted(*args, **kwargs)
            value, aux = _pair(name, output) if has_aux else (output, None)
            return value, (aux, reports)

        call = _transform(name, with_reports, argnums, argnames, True, where, lambda *results: results)
        value, (aux, reports), grads = call(*lifted.args, **lifted.kwargs)
        lifted.report(reports)
        return finish(value, aux, grads)

    @functools.wraps(fun)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        if carries(args, kwargs):
            return with_carriers(Lifted(fun, args, kwargs))
        if where is None:
            value, aux, grads = call(fun, name, positions, names, has_aux, args, kwargs)
        else:
            merged, selected, kept = _freeze(name, fun, positions, names, where, args, kwargs)
            value, aux, grads = call(merged, name, positions, names, has_aux, selected, kept)
        if alone:
            return finish(value, aux, grads[0])
        if names:
            by_name: Any = dict(zip(names, grads[len(positions) :], strict=True))
            by_name = grads[len(positions)] if one_name else by_name
            by_position = grads[0] if one_position and positions else grads[: len(positions)]
            grads = (by_position, by_name) if positions else by_name
        return finish(value, aux, grads)

    return transformed


def _pair(name: str, output: Any) -> Any:
    if not isinstance(output, (tuple, list)) or len(output) != 2:
        raise TypeError(f"{name}: with has_aux the function must return (loss, aux)")
    return output


def _with_reports(call: Function, lifted: Lifted, has_aux: bool, name: str) -> Any:
    """Call `vjp`, `jvp` or `linearize` on a lifted function: its reports leave as auxiliary output."""

    def fun(*args: Any) -> Any:
        output, reports = lifted(*args)
        value, aux = _pair(name, output) if has_aux else (output, None)
        return value, (aux, reports)

    value, along, (aux, reports) = call(fun, lifted.args, True)
    lifted.report(reports)
    return (value, along, aux) if has_aux else (value, along)


def _freeze(
    name: str,
    fun: Function,
    positions: tuple[int, ...],
    names: tuple[str, ...],
    where: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Function, tuple[Any, ...], dict[str, Any]]:
    """Split the differentiated arguments: the function of their selected parts, and those parts."""
    selected, named = list(args), dict(kwargs)
    frozen: dict[int | str, Any] = {}
    for key in positions:
        if -len(args) <= key < len(args):  # otherwise the call itself says what is wrong
            place = key % len(args)
            selected[place], frozen[place] = divided(args[place], where)
    for word in names:
        if word in kwargs:
            named[word], frozen[word] = divided(kwargs[word], where)
    parts = [selected[key] if isinstance(key, int) else named[key] for key in frozen]
    if frozen and not tree.leaves(parts):
        raise ValueError(f"{name}: where={where!r} selects no leaf of the differentiated arguments")

    def merged(*args: Any, **kwargs: Any) -> Any:
        full = [tree.merge(x, frozen[i]) if i in frozen else x for i, x in enumerate(args)]
        return fun(*full, **{k: tree.merge(x, frozen[k]) if k in frozen else x for k, x in kwargs.items()})

    return merged, tuple(selected), named


@explained
def value_and_grad(
    fun: Function,
    argnums: Integers | None = None,
    argnames: str | Sequence[str] | None = None,
    *,
    has_aux: bool = False,
    where: Any = None,
) -> Function:
    """Make a function that returns the value of `fun` and its gradient.

    `fun` runs with real values, so that ``if`` and ``while`` on them work. Gradients have the structure, shapes and
    dtypes of the arguments; those of arrays that `fun` does not use are zero.

    Args:
        fun: A function of pytrees of arrays that returns a real floating-point scalar, or ``(scalar, aux)``.
        argnums: By which positional arguments to differentiate: an index, which may be negative, or several. The first
            by default, if there are no `argnames`.
        argnames: By which keyword arguments to differentiate: a name or several.
        has_aux: Whether `fun` returns a pair whose second item is passed on as it is.
        where: Which leaves of these arguments to differentiate by: a glob over their paths, a function of path and
            leaf, or a tree of bools (see ``tree.partition``). The gradient has ``absent`` in the place of the others.

    Returns:
        A function with the arguments of `fun` that returns ``(value, gradient)``, or ``((value, aux), gradient)``. The
        gradient is a tree like the argument for a single index or name, a tuple for several indices, a dict for several
        names, and a pair of these if both are given.

    Raises:
        ValueError: The value is not a real floating-point scalar; an argument is missing or holds integers.
        TypeError: An argument has a leaf that is not an array, or the value is a number and no array.

    >>> import funcnn as fn
    >>> value, gradient = fn.value_and_grad(lambda p: (p["w"] * p["w"]).sum())({"w": fn.array([1.0, 2.0])})
    >>> value.item(), gradient["w"].tolist()
    (5.0, [2.0, 4.0])
    """
    return _transform(
        "value_and_grad",
        fun,
        argnums,
        argnames,
        has_aux,
        where,
        lambda value, aux, grads: ((value, aux), grads) if has_aux else (value, grads),
    )


@explained
def grad(
    fun: Function,
    argnums: Integers | None = None,
    argnames: str | Sequence[str] | None = None,
    *,
    has_aux: bool = False,
    where: Any = None,
) -> Function:
    """Make a function that returns the gradient of `fun`: ``value_and_grad`` without the value.

    Returns:
        A function with the arguments of `fun` that returns the gradient, or ``(gradient, aux)``.

    >>> import funcnn as fn
    >>> fn.grad(lambda x: x * x * x)(fn.array(2.0)).item()
    12.0
    >>> fn.grad(fn.grad(lambda x: x * x * x))(fn.array(2.0)).item()
    12.0
    """
    return _transform(
        "grad",
        fun,
        argnums,
        argnames,
        has_aux,
        where,
        lambda value, aux, grads: (grads, aux) if has_aux else grads,
    )


@explained
def vjp(fun: Function, *primals: Any, has_aux: bool = False) -> Any:
    """Call a function and make its vector-Jacobian product.

    Args:
        fun: A function of pytrees of arrays that returns one.
        primals: Its arguments. Integer arrays are allowed; their cotangents are zero.
        has_aux: Whether `fun` returns ``(output, aux)``.

    Returns:
        ``(output, pull)`` or ``(output, pull, aux)``. ``pull(cotangent)`` takes a tree like the output, in which None
        stands for zero, and returns a tuple with the cotangent of each argument. It may be called any number of times;
        what the forward pass computed is kept and not computed again.

    Raises:
        ValueError: The tree given to ``pull``, or a shape or dtype in it, is not that of the output.

    >>> import funcnn as fn
    >>> y, pull = fn.vjp(lambda x, w: x * w, fn.array([1.0, 2.0]), fn.array([3.0, 4.0]))
    >>> [ct.tolist() for ct in pull(fn.array([1.0, 10.0]))]
    [[3.0, 40.0], [1.0, 20.0]]
    """
    _check_function("vjp", fun)
    if carries(primals, {}):
        return _with_reports(_native.vjp, Lifted(fun, primals, {}), has_aux, "vjp")
    return _native.vjp(fun, primals, has_aux)


@explained
def jvp(fun: Function, primals: Sequence[Any], tangents: Sequence[Any], *, has_aux: bool = False) -> Any:
    """Call a function and differentiate it in one direction.

    Args:
        fun: A function of pytrees of arrays that returns one.
        primals: Its arguments, in a tuple or list.
        tangents: The direction: for each argument a tree like it, in which None stands for zero.
        has_aux: Whether `fun` returns ``(output, aux)``.

    Returns:
        ``(output, tangent)`` or ``(output, tangent, aux)``.

    Raises:
        ValueError: The trees, shapes or dtypes of primals and tangents differ.

    >>> import funcnn as fn
    >>> y, t = fn.jvp(lambda x: x * x, (fn.array(3.0),), (fn.array(1.0),))
    >>> y.item(), t.item()
    (9.0, 6.0)
    """
    _check_function("jvp", fun)
    for what, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, (tuple, list)):
            raise TypeError(
                f"jvp: {what} must be a tuple or list with one item an argument, got {type(given).__name__}"
            )
    if carries(tuple(primals), {}):
        lifted = Lifted(fun, tuple(primals), {})
        return _with_reports(lambda f, args, aux: _native.jvp(f, args, tuple(tangents), aux), lifted, has_aux, "jvp")
    return _native.jvp(fun, tuple(primals), tuple(tangents), has_aux)


@explained
def linearize(fun: Function, *primals: Any, has_aux: bool = False) -> Any:
    """Call a function and make the linear function that approximates it there.

    Returns:
        ``(output, push)`` or ``(output, push, aux)``. ``push(*tangents)`` gives what ``jvp`` would, any number of times,
        without calling `fun` again.

    >>> import funcnn as fn
    >>> y, push = fn.linearize(lambda x: x * x, fn.array(3.0))
    >>> push(fn.array(1.0)).item(), push(fn.array(2.0)).item()
    (6.0, 12.0)
    """
    _check_function("linearize", fun)
    if carries(primals, {}):
        return _with_reports(_native.linearize, Lifted(fun, primals, {}), has_aux, "linearize")
    return _native.linearize(fun, primals, has_aux)


@explained
def vmap(fun: F, in_axes: Any = 0, out_axes: Any = 0, *, axis_size: int | None = None) -> F:
    """Make a function that maps `fun` over an axis of its arguments, as a single batched computation.

    `fun` sees arrays without the mapped axis and knows their shapes only: reading a value raises ``TracedValueError``.

    Args:
        fun: A function of pytrees of arrays that returns one.
        in_axes: The axis to map over: an int, negative ones count from the back, or None for what is not mapped; or a
            tuple with one of these for each positional argument, or any tree of them that is a prefix of the arguments.
            Keyword arguments are mapped over axis 0.
        out_axes: Where the axis appears in the outputs: an int, or a tree of them that is a prefix of the output. None
            says that an output does not depend on what is mapped and has no such axis.
        axis_size: The length of the axis, needed only where nothing is mapped.

    Raises:
        ValueError: The mapped axes differ in length, an axis does not exist, or the trees do not fit.
        TypeError: Something is mapped that is not an array.

    >>> import funcnn as fn
    >>> fn.vmap(lambda row, b: row.sum() + b, in_axes=(0, None))(fn.array([[1.0, 2.0], [3.0, 4.0]]), fn.array(10.0)).tolist()
    [13.0, 17.0]
    """
    _check_function("vmap", fun)
    call = _native.vmap

    @functools.wraps(fun)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        if carries(args, kwargs):
            lifted = Lifted(fun, args, kwargs)
            output, reports = call(lifted, in_axes, (out_axes, 0), axis_size, lifted.args, lifted.kwargs)
            lifted.report(lifted.unmap(reports, in_axes))
            return output
        return call(fun, in_axes, out_axes, axis_size, args, kwargs)

    return cast(F, mapped)

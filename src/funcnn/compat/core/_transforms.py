"""Derivatives and mapping of functions: ``grad``, ``value_and_grad``, ``vjp``, ``jvp``, ``vmap``, ``checkpoint``, ``stop_gradient``.

Trees are lists, tuples and dicts, instances of their subclasses included. Lists and dicts among the arguments are those that
the function sees: while it runs they hold what is traced, and afterwards what they did, unless it wrote to them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ... import _core
from ... import _transforms as _functional
from ._wrap import shim as _shim

__all__ = ["checkpoint", "grad", "jvp", "stop_gradient", "value_and_grad", "vjp", "vmap"]

_native: Any = _core.compat


def copy_names(fun: Any, transformed: Any) -> None:
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        if hasattr(fun, name):
            setattr(transformed, name, getattr(fun, name))


class Transformed:
    """What transformations return: a function that is no method of the class that it is an attribute of."""

    def __init__(self, call: Callable[[tuple[Any, ...], dict[str, Any]], Any], fun: Any) -> None:
        self._call = call
        self._fun = fun
        copy_names(fun, self)

    def __getattr__(self, name: str) -> Any:
        if name == "__signature__":
            return inspect.signature(self._fun)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self._call(args, kwargs)


def check_function(name: str, fun: Any) -> None:
    if not callable(fun):
        raise TypeError(f"{name}: expected a function, got {type(fun).__name__}")


def _positions(name: str, argnums: Any, named: bool) -> list[int]:
    if argnums is None:
        return [] if named else [0]
    given = [argnums] if isinstance(argnums, int) else argnums
    if isinstance(given, (str, bytes)) or not isinstance(given, (list, tuple, Sequence)):
        raise TypeError(f"{name}: argnums must be an int or a sequence of ints, got {argnums!r}")
    positions: set[int] = set()
    for position in given:
        if not isinstance(position, int):
            raise TypeError(f"{name}: argnums must be an int or a sequence of ints, got {argnums!r}")
        if position < 0:
            raise ValueError(f"{name}: argnums must not be negative, got {position}")
        if position in positions:
            raise ValueError(f"{name}: argnums has {position} twice")
        positions.add(int(position))
    return sorted(positions)


def _names(name: str, argnames: Any) -> list[str]:
    if isinstance(argnames, str):
        return [argnames]
    if not isinstance(argnames, (list, tuple, Sequence)) or not all(isinstance(x, str) for x in argnames):
        raise TypeError(f"{name}: argnames must be a string or a sequence of strings, got {argnames!r}")
    return list(dict.fromkeys(argnames))


def _differentiated(
    name: str, fun: Any, argnums: Any, argnames: Any, scalar_only: bool
) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
    check_function(name, fun)
    names = _names(name, argnames)
    positions = _positions(name, argnums, bool(names))
    if not positions and not names:
        raise ValueError(f"{name}: argnums and argnames are both empty, so there is nothing to differentiate by")
    native = _native.value_and_grad

    def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return native(fun, name, scalar_only, positions, names, args, kwargs)

    return call


def value_and_grad(
    fun: Callable[..., Any], argnums: int | Sequence[int] | None = None, argnames: str | Sequence[str] = []
) -> Callable[..., tuple[Any, Any]]:
    """Return a function that returns what ``fun`` returns, and its gradients.

    ``fun`` returns a scalar array, or a tuple that begins with one. Without ``argnums`` and ``argnames`` it is differentiated by
    its first argument. The gradients are a tree like the argument for one of ``argnums``, a tuple in the order of the
    arguments for several, and with ``argnames`` the pair of that (or None) and a dict. Their containers are plain lists, dicts
    and tuples. Arrays of integers have gradients of their dtype.

    Raises:
        ValueError: The function does not return a scalar, an argument is missing or holds something else than arrays, or
            a derivative by indices is asked for.

    >>> import funcnn.compat.core as mx
    >>> (value, note), gradient = mx.value_and_grad(lambda x: (x * x, "note"))(mx.array(3.0))
    >>> value.item(), note, gradient.item()
    (9.0, 'note', 6.0)
    """
    return Transformed(_differentiated("value_and_grad", fun, argnums, argnames, False), fun)


def grad(
    fun: Callable[..., Any], argnums: int | Sequence[int] | None = None, argnames: str | Sequence[str] = []
) -> Callable[..., Any]:
    """Return a function that returns the gradients of ``fun``, which returns a scalar array; see ``value_and_grad``.

    >>> import funcnn.compat.core as mx
    >>> gradient = mx.grad(lambda p: p["w"] * p["b"])({"w": mx.array(2.0), "b": mx.array(3.0)})
    >>> gradient["w"].item(), gradient["b"].item()
    (3.0, 2.0)
    """
    call = _differentiated("grad", fun, argnums, argnames, True)
    return Transformed(lambda args, kwargs: call(args, kwargs)[1], fun)


def vjp(fun: Callable[..., Any], primals: Sequence[Any], cotangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Call a function of arrays; return a list of its outputs and one of the products of cotangents and Jacobian.

    Outputs that ``stop_gradient`` has made take no cotangent.

    >>> import funcnn.compat.core as mx
    >>> outputs, products = mx.vjp(lambda x, y: x * y, [mx.array(2.0), mx.array(3.0)], [mx.array(1.0)])
    >>> outputs[0].item(), [x.item() for x in products]
    (6.0, [3.0, 2.0])
    """
    check_function("vjp", fun)
    result: tuple[list[Any], list[Any]] = _native.vjp(fun, primals, cotangents)
    return result


def jvp(fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Call a function of arrays; return a list of its outputs and one of the products of Jacobian and tangents.

    >>> import funcnn.compat.core as mx
    >>> outputs, products = mx.jvp(lambda x: x * x, [mx.array(3.0)], [mx.array(1.0)])
    >>> outputs[0].item(), products[0].item()
    (9.0, 6.0)
    """
    check_function("jvp", fun)
    result: tuple[list[Any], list[Any]] = _native.jvp(fun, primals, tangents)
    return result


def vmap(fun: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """Return a function that maps ``fun`` over an axis of its arguments.

    ``in_axes`` and ``out_axes`` are ints, None for what is not mapped, or trees of them that begin as the arguments, and the
    outputs, do. The values of mapped arrays cannot be looked at.

    >>> import funcnn.compat.core as mx
    >>> m, x = mx.array([[1.0, 2.0], [3.0, 4.0]]), mx.array([1.0, 10.0])
    >>> mx.vmap(lambda row, x: (row * x).sum(), in_axes=(0, None))(m, x).tolist()
    [21.0, 43.0]
    """
    check_function("vmap", fun)
    for what, axes in (("in_axes", in_axes), ("out_axes", out_axes)):
        if axes is None:
            raise TypeError(f"vmap: {what} must not be None as a whole")
    native = _native.vmap

    def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if kwargs:
            raise TypeError("vmap: the mapped function takes no keyword arguments")
        return native(fun, in_axes, out_axes, args)

    return Transformed(call, fun)


def checkpoint(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``fun``, whose derivative computes its inside again instead of keeping it.

    >>> import funcnn.compat.core as mx
    >>> mx.grad(lambda x: mx.checkpoint(lambda y: y * y * y)(x))(mx.array(2.0)).item()
    12.0
    """
    check_function("checkpoint", fun)
    native = _functional._native.checkpoint

    def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        arrays, arguments = _native.take_apart((args, kwargs), "checkpoint", "keep")
        output: Any = None

        def flat(*inputs: Any) -> Any:
            nonlocal output
            # New handles: what is changed in place inside is not the caller's.
            given, named = arguments.build([_core._mutable(x) for x in inputs])
            outputs, output = _native.take_apart(fun(*given, **named), "checkpoint", "keep")
            return outputs

        made = native(flat, "nothing", set(), 0, arrays, {})
        return output.build(made)

    return Transformed(call, fun)


stop_gradient = _shim(_native.stop_gradient, "stop_gradient")

"""Derivatives against differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import funcnn as fn
from funcnn import tree
from funcnn._arguments import Integers, function, integer, integers
from funcnn._hyper import checked as number

from ._arguments import arguments

if TYPE_CHECKING:
    import numpy as np


def _is_float(x: Any) -> bool:
    return isinstance(x, fn.array) and fn.isdtype(x.dtype, "real floating")


def _with_arrays(leaf: Any) -> Any:
    """The leaf as an array if it is a number or an array of NumPy; float64 stays."""
    import numpy as np

    if isinstance(leaf, float):
        return fn.array(leaf, dtype=fn.float64)
    if isinstance(leaf, (np.ndarray, np.generic)):
        return fn.array(leaf, dtype=fn.float64) if leaf.dtype == np.float64 else fn.array(leaf)
    return leaf


class _OfFloats:
    """A function of pytrees as one from a list of float64 arrays to another: the others are constant."""

    def __init__(self, f: Callable[..., Any], args: Sequence[Any], argnums: Sequence[int]) -> None:
        self.f = f
        leaves, self.treedef = tree.flatten(tuple(args))
        self.leaves = [_with_arrays(x) for x in leaves]
        owners = [i for i, arg in enumerate(args) for _ in tree.leaves(arg)]
        self.places = [i for i, x in enumerate(self.leaves) if _is_float(x) and owners[i] in argnums]
        self.inputs = [self.leaves[i].astype(fn.float64) for i in self.places]
        self.paths: list[str] = []

    def __call__(self, *inputs: fn.array) -> list[fn.array]:
        leaves = list(self.leaves)
        for place, x in zip(self.places, inputs, strict=True):
            leaves[place] = x
        found = tree.leaves_with_path(self.f(*tree.unflatten(self.treedef, leaves)))
        floats = [(path, x) for path, x in ((path, _with_arrays(x)) for path, x in found) if _is_float(x)]
        if not floats:
            raise ValueError("check_grads: the function returns nothing that is floating point")
        self.paths = [path or "the output" for path, _ in floats]
        return [x for _, x in floats]


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: str | Sequence[str] = ("fwd", "rev"),
    *,
    argnums: Integers | None = None,
    eps: float = 1e-5,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    seed: int = 0,
) -> None:
    """Compare the derivatives of a function with central differences.

    Floating-point arguments are converted to float64. Forward mode is compared with ``(f(x + eps v) - f(x - eps v)) / (2 eps)``
    along a random direction ``v``, reverse mode with forward mode by ``<w, J v> = <w J, v>`` for a random ``w``, or with
    the difference if forward mode is not asked for. Higher orders do the same with the derivatives themselves.

    Args:
        f: A function of pytrees of arrays that returns one.
        args: Its arguments. What is not floating point is held constant.
        order: Up to which order.
        modes: ``"fwd"``, ``"rev"`` or both, in any combination for higher orders.
        argnums: By which arguments to differentiate, by position; the others are held constant as they are. All by default.
        eps: The step.
        rtol, atol: Tolerances, absolute and relative to the largest element (to 1 if all are smaller). Inputs that change
            the outputs a thousand times less than others are checked once more by themselves.
        seed: Of the random directions.

    Raises:
        AssertionError: A derivative is wrong; the message says of which output, in which mode and of which order, and
            whether it looks as if the function rounded to float32 inside, which central differences do not bear.
        ValueError: There is nothing to check: no argument or no output is floating point.

    >>> import funcnn as fn
    >>> fn.testing.check_grads(lambda x: fn.sin(x) * x, (fn.array([1.0, 2.0]),))
    """
    function(f, "check_grads: f")
    args = arguments("check_grads", args)
    if integer(order, "check_grads: order") < 1:
        raise ValueError(f"check_grads: order must be at least 1, got {order}")
    for what, value in (("eps", eps), ("rtol", rtol), ("atol", atol)):
        number("check_grads", what, value, 0.0, above=what == "eps")
    if not isinstance(modes, Iterable):
        raise TypeError(f"check_grads: modes are 'fwd' and 'rev', got {modes!r}")
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    unknown = [mode for mode in modes if mode not in ("fwd", "rev")]
    if unknown or not modes:
        raise ValueError(f"check_grads: modes are 'fwd' and 'rev', got {list(modes)}")
    positions = integers(range(len(args)) if argnums is None else argnums, "check_grads: argnums")
    for i in positions:
        if not -len(args) <= i < len(args):
            raise ValueError(f"check_grads: argnums has {i}, but there are {len(args)} arguments")
    flat = _OfFloats(f, args, [i % len(args) for i in positions])
    if not flat.inputs:
        raise ValueError("check_grads: no argument is floating point")
    import numpy as np

    tolerances = {"eps": eps, "rtol": rtol, "atol": atol}
    _check(flat, flat.inputs, order, modes, np.random.default_rng(seed), "", tolerances)


# Steps that balance rounding to float32 against the curvature of the function, and what they leave.
_STEP_OF_FLOAT32 = 5e-3
_TOLERANCE_OF_FLOAT32 = 1e-3


def _check(
    f: Callable[..., list[fn.array]],
    x: list[fn.array],
    order: int,
    modes: tuple[str, ...],
    rng: np.random.Generator,
    above: str,
    tolerances: dict[str, float],
) -> None:
    import numpy as np

    def directions(like: Sequence[fn.array]) -> list[fn.array]:
        return [fn.array(rng.standard_normal(a.shape), dtype=fn.float64).astype(a.dtype) for a in like]

    def moved(v: Sequence[fn.array], step: float) -> list[Any]:
        return [np.asarray(a, np.float64) for a in f(*(a + step * b for a, b in zip(x, v, strict=True)))]

    def differences(v: Sequence[fn.array], eps: float) -> list[Any]:
        return [(a - b) / (2 * eps) for a, b in zip(moved(v, eps), moved(v, -eps), strict=True)]

    def rounding(wrong: Callable[[list[Any], float], bool]) -> str:
        """What to add if a step too long for float64, but right for float32, makes the error small."""
        if wrong(differences(v, _STEP_OF_FLOAT32), _TOLERANCE_OF_FLOAT32):
            return ""
        return (
            f"\nWith steps of {_STEP_OF_FLOAT32} the difference agrees within {_TOLERANCE_OF_FLOAT32}: this looks like "
            f"float32 rounding inside the function. Let it compute in the dtype of its arguments, or give "
            f"eps={_STEP_OF_FLOAT32}, rtol={_TOLERANCE_OF_FLOAT32}."
        )

    def error_of(got: Any, wanted: Any) -> tuple[float, float]:
        """The largest error and the scale it is relative to."""
        return float(np.max(np.abs(got - wanted), initial=0.0)), max(1.0, float(np.max(np.abs(wanted), initial=0.0)))

    def compare(got: Sequence[Any], wanted: Sequence[Any], what: str) -> None:
        names = getattr(f, "paths", None) or [f"output {i}" for i in range(len(wanted))]
        for i, (name, g, w) in enumerate(zip(names, got, wanted, strict=True)):
            g, w = np.asarray(g, np.float64), np.asarray(w, np.float64)
            worst, scale = error_of(g, w)
            if not worst <= tolerances["atol"] + tolerances["rtol"] * scale:

                def wrong(longer: list[Any], rtol: float, i: int = i, g: Any = g) -> bool:
                    worst, scale = error_of(g, longer[i])
                    return not worst <= rtol * scale

                raise AssertionError(
                    f"{above}{what}: the derivative of {name} is wrong by {worst:.3g}\ngot      {g}\nexpected {w}"
                    + rounding(wrong)
                )

    v = directions(x)
    eps = tolerances["eps"]
    difference = differences(v, eps)
    if "fwd" in modes:
        y, tangents = fn.jvp(f, tuple(x), tuple(v))
        compare(tangents, difference, "forward mode")
    if "rev" in modes:
        y, pull = fn.vjp(f, *x)
        w = directions(y)
        cotangents = pull(w)
        got = sum(float(np.sum(np.asarray(a) * np.asarray(b))) for a, b in zip(cotangents, v, strict=True))

        def product(difference: list[Any]) -> tuple[float, float]:
            parts = [np.asarray(a) * b for a, b in zip(w, difference, strict=True)]
            return sum(float(np.sum(p)) for p in parts), max(1.0, sum(float(np.sum(np.abs(p))) for p in parts))

        wanted, size = product(difference)
        if not abs(got - wanted) <= tolerances["atol"] + tolerances["rtol"] * size:

            def wrong(longer: list[Any], rtol: float) -> bool:
                wanted, size = product(longer)
                return not abs(got - wanted) <= rtol * size

            raise AssertionError(f"{above}reverse mode: <w J, v> is {got}, but <w, J v> is {wanted}" + rounding(wrong))
    _check_small(f, x, v, modes, rng, above, tolerances)
    if order > 1:
        if "fwd" in modes:
            _check(
                lambda *x: fn.jvp(f, x, tuple(v))[1],
                x,
                order - 1,
                modes,
                rng,
                f"{above}forward mode, then ",
                tolerances,
            )
        if "rev" in modes:
            _check(
                lambda *x: list(fn.vjp(f, *x)[1](w)),
                x,
                order - 1,
                modes,
                rng,
                f"{above}reverse mode, then ",
                tolerances,
            )


# Beside an input that changes the outputs so many times more, errors of another are lost in the tolerance.
_SMALL = 1e-3


def _check_small(
    f: Callable[..., list[fn.array]],
    x: list[fn.array],
    v: list[fn.array],
    modes: tuple[str, ...],
    rng: np.random.Generator,
    above: str,
    tolerances: dict[str, float],
) -> None:
    """Check the derivatives by the inputs whose part is small once more, by themselves."""
    import numpy as np

    if len(x) < 2:
        return

    def total(parts: Sequence[fn.array]) -> float:
        return float(sum(np.sum(np.abs(np.asarray(part))) for part in parts))

    if "rev" in modes:
        y, pull = fn.vjp(f, *x)
        cotangents = pull([fn.ones_like(a) for a in y])
        shares = [total([c * d]) for c, d in zip(cotangents, v, strict=True)]
    else:
        shares = [
            total(fn.jvp(f, tuple(x), tuple(d if i == j else fn.zeros_like(d) for j, d in enumerate(v)))[1])
            for i in range(len(x))
        ]
    small = [i for i, share in enumerate(shares) if share < _SMALL * max(shares)]
    if not small:
        return

    def of_small(*inputs: fn.array) -> list[fn.array]:
        given = dict(zip(small, inputs, strict=True))
        return f(*(given.get(i, a) for i, a in enumerate(x)))

    _check(of_small, [x[i] for i in small], 1, modes, rng, above, tolerances)

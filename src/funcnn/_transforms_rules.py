"""Memory against time, and derivative rules of one's own."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, cast

from . import _core, _pickling, tree
from ._arguments import Integers, integers
from ._calls import explained
from ._carriers import Lifted, carries
from ._transforms import F, Function
from .checkpoint_policies import Policy, nothing_saveable

_native: Any = _core.transforms


@explained
def checkpoint(fun: F, policy: Policy | None = None) -> F:
    """Make a function that forgets what it computed and computes it again when its derivative needs it.

    Only the arguments of `fun`, what it uses from outside and what the policy saves are kept for the backward pass. The
    second computation starts when the cotangent arrives and is never merged with the first. Outside of transformations
    nothing changes.

    Args:
        fun: A function of pytrees. Leaves that are not arrays are passed through.
        policy: What to keep; see ``fn.checkpoint_policies``. Nothing by default.

    >>> import funcnn as fn
    >>> block = fn.checkpoint(lambda x: fn.sin(fn.sin(x)))
    >>> round(fn.grad(block)(fn.array(1.0)).item(), 4)
    0.36
    """
    if not callable(fun):
        raise TypeError(f"checkpoint: expected a function, got {type(fun).__name__}")
    if policy is not None and not isinstance(policy, Policy):
        raise TypeError(f"checkpoint: expected a policy from funcnn.checkpoint_policies, got {policy!r}")
    chosen = policy or nothing_saveable
    keep, names, size = chosen.keep, set(chosen.names), chosen.bytes
    call = _native.checkpoint

    @functools.wraps(fun)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if carries(args, kwargs):
            lifted = Lifted(fun, args, kwargs)
            output, reports = call(lifted, keep, names, size, lifted.args, lifted.kwargs)
            lifted.report(reports)
            return output
        return call(fun, keep, names, size, args, kwargs)

    return cast(F, checkpointed)


def checkpoint_name(x: Any, name: str) -> Any:
    """Name a value, for the checkpoint policy ``save_names``.

    >>> import funcnn as fn
    >>> fn.checkpoint_name(fn.array(1.0), "hidden").item()
    1.0
    """
    return _native.checkpoint_name(x, name)


def stop_gradient(x: Any) -> Any:
    """Treat a value, or every array of a tree, as a constant in derivatives.

    >>> import funcnn as fn
    >>> fn.grad(lambda x: x * fn.stop_gradient(x))(fn.array(3.0)).item()
    3.0
    """
    return _native.stop_gradient(x)


class _Custom:
    """What custom_vjp and custom_jvp share: a function some of whose arguments are not differentiated."""

    def __init__(self, fun: Function, nondiff_argnums: Integers = ()) -> None:
        if not callable(fun):
            raise TypeError(f"{type(self).__name__}: expected a function, got {type(fun).__name__}")
        functools.update_wrapper(cast(Any, self), fun)
        self.fun = fun
        self.nondiff_argnums = integers(nondiff_argnums, f"{type(self).__name__}: nondiff_argnums")

    def _positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        code, defaults = getattr(self.fun, "__code__", None), getattr(self.fun, "__defaults__", None)
        if not kwargs and not (code and defaults and len(args) < code.co_argcount):
            return args
        bound = inspect.signature(self.fun).bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            names = ", ".join(bound.kwargs)
            raise TypeError(f"{type(self).__name__}: keyword-only arguments have no place in the rule: {names}")
        return bound.args

    def _split(self, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...], Callable[[Function], Function]]:
        """Return the static arguments, the others, and what turns a function of all into one of the others."""
        if not self.nondiff_argnums:
            return (), args, lambda f: f
        places = [i + len(args) if i < 0 else i for i in self.nondiff_argnums]
        for given, place in zip(self.nondiff_argnums, places, strict=True):
            if not 0 <= place < len(args):
                raise ValueError(
                    f"{type(self).__name__}: nondiff_argnums has {given}, but the function was called with "
                    f"{len(args)} arguments"
                )
        static = {place: args[place] for place in places}
        for place, value in static.items():
            if any(_native.is_traced(leaf) for leaf in tree.leaves(value)):
                raise TypeError(
                    f"{type(self).__name__}: argument {place} of {getattr(self, '__name__', 'the function')} is in "
                    "nondiff_argnums but holds a traced array; arguments named there are Python values that are known "
                    "while tracing: take it out of nondiff_argnums, and let the rule give no derivative for it "
                    "(None, or fn.stop_gradient)"
                )

        def of_others(f: Function) -> Function:
            def call(*dynamic: Any) -> Any:
                rest = iter(dynamic)
                return f(*(static[i] if i in static else next(rest) for i in range(len(args))))

            return call

        return tuple(static.values()), tuple(x for i, x in enumerate(args) if i not in static), of_others


class custom_vjp(_Custom):
    """Give a function a reverse-mode derivative of your own.

    Args:
        fun: A function of pytrees of arrays.
        nondiff_argnums: Positions of arguments that are not differentiated and may be any Python value. The backward
            function gets them first.

    The forward function given to ``defvjp`` takes the arguments of `fun` and returns ``(output, residuals)``; the backward
    function takes the residuals and the cotangent of the output, and returns a tuple with the cotangent of each
    argument, None for zero. Forward mode transposes the backward function, and raises ``ValueError`` where that is not
    linear in the cotangent. Like a function under ``vmap`` it must then not read the cotangent's value.

    The functions may use arrays from outside their arguments, also those of a loop or another transformation around
    them. There is no rule for a derivative by such a value: where one is asked for, ``ValueError`` says so. Make it an
    argument, or a constant with :func:`stop_gradient`. A function that uses any is called once more while a loop, a
    branch, ``compile`` or ``vmap`` around it is traced.

    >>> import funcnn as fn
    >>> @fn.custom_vjp
    ... def clip_gradient(x):
    ...     return x
    >>> clip_gradient.defvjp(lambda x: (x, None), lambda _, ct: (fn.clip(ct, -1.0, 1.0),))
    >>> fn.grad(lambda x: 10.0 * clip_gradient(x))(fn.array(2.0)).item()
    1.0
    """

    def __init__(self, fun: Function, nondiff_argnums: Integers = ()) -> None:
        super().__init__(fun, nondiff_argnums)
        self.forward: Function | None = None
        self.backward: Function | None = None
        self._running = threading.local()

    def defvjp(self, forward: Function, backward: Function) -> None:
        """Set the forward and the backward function."""
        self.forward, self.backward = self._guarded(forward), backward

    _set_rules = defvjp

    def _rules(self) -> tuple[Any, ...]:
        return (cast(Any, self.forward).__wrapped__, self.backward) if self.forward else ()

    def _guarded(self, forward: Function) -> Function:
        """Note while the forward function runs: it may call the function it belongs to."""

        @functools.wraps(forward)
        def guarded(*args: Any) -> Any:
            outer = getattr(self._running, "forward", False)
            self._running.forward = True
            try:
                return forward(*args)
            finally:
                self._running.forward = outer

        return guarded

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        forward, backward = self.forward, self.backward
        if forward is None or backward is None:
            raise TypeError(
                f"custom_vjp: {getattr(self, '__name__', 'the function')} has no rule; call its defvjp first"
            )
        static, dynamic, of_others = self._split(self._positional(args, kwargs))
        fun, start = of_others(self.fun), of_others(forward)
        finish = functools.partial(backward, *static) if static else backward
        if getattr(self._running, "forward", False):
            # Within its own forward function, which is run when (and if) this call is differentiated.
            return _native.custom_vjp(
                self, fun, lambda *given: (fun(*given), given), lambda given, ct: finish(start(*given)[1], ct), dynamic
            )
        return _native.custom_vjp(self, fun, start, finish, dynamic)


class custom_jvp(_Custom):
    """Give a function a derivative of your own, as a rule for tangents. Reverse mode transposes it.

    Args:
        fun: A function of pytrees of arrays.
        nondiff_argnums: Positions of arguments that are not differentiated and may be any Python value. The rule gets
            them first.

    The rule given to ``defjvp`` takes a tuple of arguments and a tuple of their tangents, and returns ``(output, tangent of
    the output)``. The tangent must be linear in the tangents; where it is not, reverse mode raises ``ValueError``. What the
    functions use from outside their arguments is constant: a derivative by it raises ``ValueError``, as with
    :class:`custom_vjp`.

    >>> import funcnn as fn
    >>> @fn.custom_jvp
    ... def f(x):
    ...     return x * x
    >>> f.defjvp(lambda primals, tangents: (f(*primals), 100.0 * tangents[0]))
    >>> fn.grad(f)(fn.array(2.0)).item(), fn.jvp(f, (fn.array(2.0),), (fn.array(1.0),))[1].item()
    (100.0, 100.0)
    """

    rule: Function | None = None

    def defjvp(self, rule: Function) -> None:
        """Set the rule."""
        self.rule = rule

    _set_rules = defjvp

    def _rules(self) -> tuple[Any, ...]:
        return (self.rule,) if self.rule else ()

    def defjvps(self, *rules: Function | None) -> None:
        """Set one rule for each argument, ``rule(tangent, output, *arguments)``; None for an argument without influence.

        The tangents that they return are added. The output must be a single array.
        """

        def rule(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
            output = self(*primals)
            parts = [r(t, output, *primals) for r, t in zip(rules, tangents, strict=True) if r is not None]
            return output, functools.reduce(lambda a, b: a + b, parts) if parts else None

        if self.nondiff_argnums:
            raise NotImplementedError("custom_jvp: defjvps takes no nondiff_argnums; use defjvp")
        self.rule = rule

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        rule = self.rule
        if rule is None:
            raise TypeError(
                f"custom_jvp: {getattr(self, '__name__', 'the function')} has no rule; call its defjvp first"
            )
        static, dynamic, of_others = self._split(self._positional(args, kwargs))
        return _native.custom_jvp(
            self, of_others(self.fun), functools.partial(rule, *static) if static else rule, dynamic
        )


def _custom_again(cls: Any, fun: Function, nondiff_argnums: Integers, rules: tuple[Any, ...]) -> Any:
    made = cls(fun, nondiff_argnums)
    if rules:
        made._set_rules(*rules)
    return made


_pickling.as_functions(_Custom, lambda c: (_custom_again, (type(c), c.fun, c.nondiff_argnums, c._rules())))

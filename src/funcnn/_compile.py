"""Compiled functions, and a look at what they run."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex, TypeVar, overload

import attrs

from funcnn import _core, _pickling
from funcnn._arguments import Integers, function, integer, integers, is_integer
from funcnn._calls import explained
from funcnn._device import default_device

F = TypeVar("F", bound=Callable[..., Any])


@overload
def compile(
    f: F,
    *,
    static_argnums: Integers = (),
    static_argnames: str | Sequence[str] = (),
    donate: str | SupportsIndex | Sequence[str | SupportsIndex] = (),
    cache_size: int = 256,
    cache_bytes: int = 1 << 28,
) -> F: ...
@overload
def compile(
    f: None = None,
    *,
    static_argnums: Integers = (),
    static_argnames: str | Sequence[str] = (),
    donate: str | SupportsIndex | Sequence[str | SupportsIndex] = (),
    cache_size: int = 256,
    cache_bytes: int = 1 << 28,
) -> Callable[[F], F]: ...
@explained
def compile(
    f: Any = None,
    *,
    static_argnums: Integers = (),
    static_argnames: str | Sequence[str] = (),
    donate: str | SupportsIndex | Sequence[str | SupportsIndex] = (),
    cache_size: int = 256,
    cache_bytes: int = 1 << 28,
) -> Any:
    """Trace a function once for each signature and run it from its plan ever after.

    A signature is the structure of the arguments, the shapes and dtypes of their leaves and the values of the static
    ones. Python code runs only while tracing: it sees arrays without values, so branching on one raises
    :class:`TracedValueError`. Arrays that the function reads from outside its arguments are constants from then on.
    Python numbers among the arguments are traced like 0-d arrays (int32 or float32), so passing another learning rate
    traces nothing again, and stay weak: beside an array they take its dtype, as they do outside of ``compile``.

    The result has ``cache_info()`` and ``clear_cache()``; ``FUNCNN_LOG=compile`` in the environment reports each trace.
    It can be differentiated, mapped and compiled again.

    Args:
        f: A function of pytrees of arrays that returns a pytree of arrays. Without it, a decorator is returned.
        static_argnums: Positions of arguments that are compile-time values: hashable, compared with ``==`` and by type,
            so that 1, 1.0 and True have traces of their own.
        static_argnames: Names of such arguments. Names and positions found in the signature of ``f`` imply each other.
        donate: Names or positions of arguments whose memory the results may take over. Their arrays hold nothing
            after the call and raise ``ValueError`` when used; one that an expression not yet computed reads is kept.
        cache_size: How many signatures are kept; the least recently used is dropped.
        cache_bytes: About how much memory they may take, the same way: traces, plans, and captured arrays that nothing
            else holds. The last one is always kept.

    Returns:
        A callable with the signature of ``f``.

    Raises:
        TypeError: If a leaf is not an array and not static, or a static argument is not hashable.
        ValueError: If a named argument is not in the signature of ``f``.
        TracedValueError: If ``f`` needs the value of a traced array.

    Example:
        >>> import funcnn as fn
        >>> @fn.compile
        ... def scale(x, rate):
        ...     return x * rate
        >>> scale(fn.array([1.0, 2.0]), 3.0)
        array([3., 6.], dtype=float32)
    """
    if f is None:
        return functools.partial(
            compile,
            static_argnums=static_argnums,
            static_argnames=static_argnames,
            donate=donate,
            cache_size=cache_size,
            cache_bytes=cache_bytes,
        )
    if not callable(f):
        raise TypeError(f"compile: expected a function, got {type(f).__name__}")
    cache_size = integer(cache_size, "compile: cache_size")
    if cache_size < 1:
        raise ValueError(f"compile: cache_size must be at least 1, got {cache_size}")
    cache_bytes = integer(cache_bytes, "compile: cache_bytes")
    if cache_bytes < 1:
        raise ValueError(f"compile: cache_bytes must be at least 1, got {cache_bytes}")
    nums = integers(static_argnums, "compile: static_argnums")
    names = [static_argnames] if isinstance(static_argnames, str) else list(static_argnames)
    given: list[Any] = [donate] if isinstance(donate, str) or is_integer(donate) else list(donate)  # type: ignore[arg-type]
    static_nums, static_names = _positions_and_names(f, [*nums, *names], "static")
    donate_nums, donate_names = _positions_and_names(f, given, "donate")
    for name in donate_names:
        if name in static_names:
            raise ValueError(f"compile: {name!r} is both static and donated")
    label = getattr(f, "__name__", type(f).__name__)
    compiled: Any = _core.CompiledFunction(
        f, label, static_nums, static_names, donate_nums, donate_names, cache_size, cache_bytes
    )
    for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
        if hasattr(f, attribute):
            setattr(compiled, attribute, getattr(f, attribute))
    compiled._options = {
        "static_argnums": nums,
        "static_argnames": tuple(names),
        "donate": tuple(given),
        "cache_size": cache_size,
        "cache_bytes": cache_bytes,
    }
    return compiled


def _compiled_again(f: Any, options: dict[str, Any]) -> Any:
    return compile(f, **options)


_pickling.as_functions(_core.CompiledFunction, lambda c: (_compiled_again, (c.__wrapped__, c._options)))


def _positions_and_names(f: Any, given: Sequence[str | SupportsIndex], what: str) -> tuple[list[int], list[str]]:
    """Arguments by position and by name, each completed from the other by the signature."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    called = f"{getattr(f, '__name__', f)}({', '.join(p.name for p in parameters)})"
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    open_ended = not parameters or any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)
    nums: list[int] = []
    names: list[str] = []
    for argument in given:
        if is_integer(argument):
            place = integer(argument, "compile")
            if not open_ended and not -len(positional) <= place < len(positional):
                raise ValueError(f"compile: {what} argument {place} is not a position of {called}")
            if place < 0 and not open_ended:
                place += len(positional)
            nums.append(place)
            if 0 <= place < len(positional):
                names.append(positional[place])
        elif isinstance(argument, str):
            if argument in positional:
                nums.append(positional.index(argument))
            elif not open_ended and argument not in [p.name for p in parameters]:
                raise ValueError(f"compile: {what} argument {argument!r} is not an argument of {called}")
            names.append(argument)
        else:
            raise TypeError(f"compile: {what} arguments are named by position or name, got {argument!r}")
    return nums, names


@attrs.frozen
class Seam:
    """Two kernels of a plan that meet, and why they are not one.

    Attributes:
        before: The number of the first.
        after: The number of the second.
        value: What the second reads of the first: the operation that makes it, dtype and shape. Empty where it reads nothing
            of it, and both read the same array.
        reason: What kept the planner from computing both in one kernel.
    """

    before: int
    after: int
    value: str
    reason: str


@attrs.frozen(repr=False)
class Explanation:
    """What a function is traced to (`graph`) and how it runs (`plan`); prints as both.

    Attributes:
        graph: The traced graph, a line an operation, with dtypes and shapes.
        plan: The kernels in order, each with the bytes it moves and the operations it does, and with the reason why it is
            not one with those whose results it reads.
        peak_bytes: The most memory in use while it runs, arguments excluded.
        live_bytes: The most bytes of values that are alive at once between two of its kernels, arguments excluded: what
            any placement needs at least while the kernels run in this order. `peak_bytes` adds what a kernel reads for the last time
            beside what it writes, scratch memory, and what blocks of the pool have beyond what was asked for.
        seams: Those reasons again, one for each pair of kernels and value; those inside loops are in the text alone.
    """

    graph: str
    plan: str
    peak_bytes: int
    live_bytes: int
    seams: tuple[Seam, ...] = ()

    def __repr__(self) -> str:
        return f"{self.graph}\n{self.plan}"


@explained
def explain(f: Callable[..., Any], *, device: _core.Device | str | None = None) -> Callable[..., Explanation]:
    """Show the graph that a function is traced to and the plan it runs by.

    Args:
        f: A function of pytrees of arrays.
        device: Where it would run, with the arguments there; by default, on the default device. The plan for a GPU
            shows the source of its kernels, and compiles them.

    Returns:
        A function of the same arguments that returns an :class:`Explanation`, which prints as a listing of the graph
        followed by the kernels of the plan.

    Raises:
        TypeError: If a leaf of the arguments or of the result is not an array.
        ValueError: for a device that this build or machine does not have.

    Example:
        >>> import funcnn as fn
        >>> print(fn.explain(lambda x: fn.exp(x) * 2)(fn.zeros((3,))).graph)
        (%0: float32(3,))
          %1: float32(3,) = exp(%0)
          %2: float32(3,) = multiply(%1, 2)
          return %2
        <BLANKLINE>
    """

    function(f, "explain: f")

    def there() -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if device is None else default_device(device)

    with there():  # refused now where there is no such device
        pass

    @functools.wraps(f)
    def explained(*args: Any, **kwargs: Any) -> Explanation:
        with there():
            graph, plan, peak_bytes, live_bytes, seams = _core._explain(f, args, kwargs)
            return Explanation(graph, plan, peak_bytes, live_bytes, tuple(Seam(*seam) for seam in seams))

    return explained


@explained
def to_dot(f: Callable[..., Any]) -> Callable[..., str]:
    """Draw the graph that a function is traced to, in the DOT language of Graphviz.

    Args:
        f: A function of pytrees of arrays.

    Returns:
        A function of the same arguments that returns the text of a directed graph.

    Raises:
        TypeError: If a leaf of the arguments or of the result is not an array.

    Example:
        >>> import funcnn as fn
        >>> fn.to_dot(fn.exp)(fn.zeros((3,))).splitlines()[0]
        'digraph {'
    """

    function(f, "to_dot: f")

    @functools.wraps(f)
    def drawn(*args: Any, **kwargs: Any) -> str:
        return _core._to_dot(f, args, kwargs)

    return drawn

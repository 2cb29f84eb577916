"""Finding the operation that made the first NaN or infinity."""

from __future__ import annotations

import functools
import inspect
import linecache
import sys
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from . import _core, tree
from ._arguments import function

_TESTS: dict[str, Callable[[Any], Any]] = {"NaN": _core.isnan, "infinity": _core.isinf}


@attrs.frozen
class Place:
    """Where in a program an operation stands.

    Attributes:
        file, line, name: The position of the line outside of funcnn that called it, and the function it is in.
        layer: The path and class of the innermost layer around it, as in ``layers.1 (Linear)``; None outside of layers.
    """

    file: str | None = None
    line: int | None = None
    name: str | None = None
    layer: str | None = None

    def __str__(self) -> str:
        parts = [f"in {self.layer}"] if self.layer else []
        if self.file is not None and self.line is not None:
            source = linecache.getline(self.file, self.line).strip()
            parts.append(f"at {self.file}:{self.line}, in {self.name}" + (f": {source}" if source else ""))
        return "\n".join(parts)


@attrs.frozen(repr=False)
class NanOrigin:
    """What ``nan_origin`` finds; prints as an explanation.

    Attributes:
        kind: ``"NaN"`` or ``"infinity"``, whichever came first.
        op: The operation, such as ``"log"``; ``"argument"`` if an argument holds it, ``"constant"`` if an array does that is
            no argument.
        derivative_of: The operation in whose derivative it stands; empty elsewhere.
        output: Dtype and shape of what it made.
        inputs: Dtypes and shapes of what it was given, with the paths of arguments.
        parameters: The paths of the arguments that it reads: directly, or cast or placed differently.
        index: The first element that is bad.
        operands: The numbers that this element was computed from, for operations that go element by element.
        place: Where it stands in the program; None if that is not known.
        steps: The loops around it, outermost first, with the step.
        became: Where an infinity became the NaN that was found; None otherwise.
    """

    kind: str
    op: str
    derivative_of: str
    output: str
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    index: tuple[int, ...]
    operands: tuple[Any, ...]
    place: Place | None
    steps: tuple[str, ...] = ()
    became: NanOrigin | None = None

    def _lines(self, verb: str) -> list[str]:
        if self.op == "argument":
            first = f"the argument {self.parameters[0]} holds {_a(self.kind)}: {self.output} at {self.index}"
        elif self.op == "constant":
            first = f"an array that is no argument holds {_a(self.kind)}: {self.output} at {self.index}"
        else:
            of = f", in the derivative of {self.derivative_of}," if self.derivative_of else ""
            first = f"{self.op}{of} {verb}: {self.output} of ({', '.join(self.inputs)})"
            if self.operands:
                first += f"; {self.op}({', '.join(map(str, self.operands))}) at {self.index}"
            else:
                first += f", at {self.index}"
        lines = [first]
        if self.place is not None and str(self.place):
            lines += ["  " + line for line in str(self.place).splitlines()]
        if self.steps:
            lines.append("  in " + ", in ".join(self.steps))
        return lines

    def __repr__(self) -> str:
        lines = self._lines(f"made the first {self.kind}")
        if self.became is not None:
            lines += self.became._lines("made a NaN of it")
        return "\n".join(lines)


def _a(kind: str) -> str:
    return "NaN" if kind == "NaN" else "an infinity"


def _described(x: _core.array) -> str:
    return f"{x.dtype}{list(x.shape)}"


class _Places:
    """The places that were asked for, by number."""

    def __init__(self) -> None:
        self.found: list[Place] = []

    def where(self) -> int:
        """Note the place that the program is at."""
        frame = sys._getframe(1)
        position: tuple[str, int, str] | None = None
        layer: str | None = None
        while frame is not None and frame.f_code is not _RUN:
            module = frame.f_globals.get("__name__", "")
            if layer is None and module == "funcnn.nn._layer" and frame.f_code.co_name == "__call__":
                owner, view = frame.f_locals["self"], frame.f_locals["view"]
                layer = f"{view.path or 'the root'} ({type(owner).__name__})"
            elif position is None and module != "funcnn" and not module.startswith("funcnn."):
                position = frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name
            if position is not None and layer is not None:
                break
            frame = frame.f_back  # type: ignore[assignment]
        file, line, name = position or (None, None, None)
        self.found.append(Place(file, line, name, layer))
        return len(self.found) - 1


@attrs.frozen
class _Candidate:
    """A value that is bad while what it is computed from is not."""

    order: tuple[int, ...]  # in which it was made, within the loops around it
    value: _core.array
    steps: tuple[str, ...]


class _Search:
    def __init__(self, recording: Any, places: _Places, named: dict[int, str]) -> None:
        self.recording = recording
        self.places = places
        self.named = named  # arguments by key
        self.known: dict[tuple[int, str], bool] = {}

    def bad(self, x: _core.array, kind: str) -> bool:
        """Whether a value has a NaN, or an infinity."""
        if not _core.isdtype(x.dtype, ("real floating", "complex floating")) or not x.size:
            return False
        key = self.recording.key(x), kind
        if key not in self.known:
            self.known[key] = bool(_core.any(_TESTS[kind](x)).item())
        return self.known[key]

    def first(self, values: Iterable[_core.array], kind: str) -> _Candidate | None:
        """The first of all operations that made what is bad in these values."""
        found = self.candidates(values, kind)
        return min(found, key=lambda candidate: candidate.order, default=None)

    def candidates(
        self, values: Iterable[_core.array], kind: str, steps: tuple[str, ...] = (), before: tuple[int, ...] = ()
    ) -> list[_Candidate]:
        found: list[_Candidate] = []
        pending = [x for x in values if self.bad(x, kind)]
        seen = {self.recording.key(x) for x in pending}
        while pending:
            x = pending.pop()
            described = self.recording.describe(x)
            worse = [] if described is None else [y for y in described[6] if self.bad(y, kind)]
            if not worse:
                order = (*before, self.recording.key(x) if described is None else described[0])
                loop = described is not None and described[3] == "control"
                inside = self.replayed(x, kind, steps, order) if loop else []
                found += inside or [_Candidate(order, x, steps)]
            for y in worse:
                if (key := self.recording.key(y)) not in seen:
                    seen.add(key)
                    pending.append(y)
        return found

    # ---- loops and branches

    def replayed(self, x: _core.array, kind: str, steps: tuple[str, ...], order: tuple[int, ...]) -> list[_Candidate]:
        """Run a loop or branch step by step, up to the first step that makes something bad."""
        form, carries, sequences, length, reverse, inputs, _ = self.recording.control(x)
        inputs = [_ordinary(y) for y in inputs]
        if form == "cond":
            outputs = self.run(x, 0 if inputs[0].item() else 1, inputs[1:])
            return self.candidates(outputs, kind, (*steps, "a branch of cond"), order)
        carry, rest = inputs[:carries], inputs[carries:]
        if form == "scan":
            elements, constants = rest[:sequences], rest[sequences:]
            for number in range(length):
                i = length - 1 - number if reverse else number
                outputs = self.run(x, 0, [*carry, *(y[i] for y in elements), *constants])
                if found := self.candidates(outputs, kind, (*steps, f"step {i} of {length} of a scan"), order):
                    return found
                carry = [_ordinary(y) for y in outputs[:carries]]
            return []
        number = 0
        while self.run(x, 0, [*carry, *rest])[0].item():
            outputs = self.run(x, 1, [*carry, *rest])
            if found := self.candidates(outputs, kind, (*steps, f"step {number} of a while_loop"), order):
                return found
            carry, number = [_ordinary(y) for y in outputs], number + 1
        return []

    def run(self, x: _core.array, graph: int, arguments: list[_core.array]) -> list[_core.array]:
        self.recording.start()
        try:
            outputs = list(self.recording.run(x, graph, arguments))
        finally:
            self.recording.stop()
        _core.eval(outputs)
        return outputs

    # ---- words

    def path(self, x: _core.array) -> str | None:
        """The path of the argument that a value is, cast or placed differently."""
        while True:
            key = self.recording.key(x)
            if key in self.named:
                return self.named[key]
            described = self.recording.describe(x)
            if (
                described is None
                or not described[6]
                or not (described[3] in ("alias", "view") or described[1] == "astype")
            ):
                return None
            x = described[6][0]

    def explained(self, candidate: _Candidate, kind: str, became: NanOrigin | None = None) -> NanOrigin:
        x = candidate.value
        index = _first_index(x, kind)
        described = self.recording.describe(x)
        if described is None or self.recording.key(x) in self.named:
            named = self.path(x)
            op = "constant" if named is None else "argument"
            held = () if named is None else (named,)
            return NanOrigin(kind, op, "", _described(x), (), held, index, (), None, candidate.steps, became)
        _, op, _, form, place, derivative_of, inputs = described
        found = [(y, self.path(y)) for y in inputs]
        texts = tuple(_described(y) + (f" {path}" if path else "") for y, path in found)
        paths = tuple(dict.fromkeys(path for _, path in found if path))
        where = self.places.found[place] if 0 <= place < len(self.places.found) else None
        operands = _operands(x, inputs, index) if form == "elementwise" else ()
        return NanOrigin(
            kind, op, derivative_of, _described(x), texts, paths, index, operands, where, candidate.steps, became
        )


def _ordinary(x: _core.array) -> _core.array:
    """The same value without how it came about."""
    return _core.array(x)


def _first_index(x: _core.array, kind: str) -> tuple[int, ...]:
    import numpy as np

    places = np.argwhere(np.asarray(_TESTS[kind](x)))
    return tuple(int(i) for i in places[0]) if len(places) else ()


def _operands(x: _core.array, inputs: tuple[_core.array, ...], index: tuple[int, ...]) -> tuple[Any, ...]:
    """The elements that the bad one was computed from, if all operands are of its shape or numbers."""
    if any(y.shape not in ((), x.shape) for y in inputs):
        return ()
    return tuple((y[index] if y.ndim else y).item() for y in inputs)


def _named(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The arguments by their names, where the function has names for them."""
    try:
        return dict(inspect.signature(f).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):
        return {**{str(i): x for i, x in enumerate(args)}, **kwargs}


def nan_origin(f: Callable[..., Any]) -> Callable[..., NanOrigin | None]:
    """Find the operation that made the first NaN or infinity in what a function returns.

    The function is called once, with every operation remembered; then its outputs are followed back through everything
    that is not finite, to the first operation whose inputs are finite and whose output is not. This goes through ``grad``
    and the other derivatives, ``vmap``, ``compile``, ``checkpoint``, ``scan`` (to the step), ``cond``, ``while_loop`` and
    layers. Infinities that harm nothing, such as those of a mask, are not followed. All intermediate values are kept
    meanwhile, and compiled functions run operation by operation: it is slow, and for looking.

    Args:
        f: A function of pytrees that returns a pytree.

    Returns:
        A function of the same arguments that returns a ``NanOrigin``, or None if all that `f` returns is finite. Printed, it
        names the operation with its shapes, the line of the program, the layer, the parameters read and the step of a loop;
        and where an infinity came first, what made a NaN of it.

    Raises:
        TracedValueError: It is called inside a function that is only traced.

    >>> import funcnn as fn
    >>> found = fn.debug.nan_origin(lambda x: fn.sum(fn.log(x) * 0.0))(fn.array([1.0, 0.0]))
    >>> found.kind, found.op, found.parameters, found.index, found.became.op
    ('infinity', 'log', ('x',), (1,), 'multiply')
    """
    function(f, "nan_origin: f")

    @functools.wraps(f)
    def found(*args: Any, **kwargs: Any) -> NanOrigin | None:
        return _run(f, args, kwargs)

    return found


def _run(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> NanOrigin | None:
    places = _Places()
    recording = _core._Recording(places.where)
    named: dict[int, str] = {}
    for path, leaf in tree.leaves_with_path(_named(f, args, kwargs)):
        if isinstance(leaf, _core.array):
            named.setdefault(recording.key(leaf), path)
    recording.start()
    try:
        result = f(*args, **kwargs)
    finally:
        recording.stop()
    outputs = [x for x in tree.leaves(result) if isinstance(x, _core.array)]
    for x in outputs:
        _core._require_values(x, "nan_origin", "call it outside of the function that is traced")
    _core.eval(outputs)
    search = _Search(recording, places, named)
    for kind in ("NaN", "infinity"):
        first = search.first(outputs, kind)
        if first is None:
            continue
        explained = search.explained(first, kind)
        if kind == "infinity" or explained.op in ("argument", "constant"):
            return explained
        described = recording.describe(first.value)
        cause = search.first(described[6], "infinity") if described is not None else None
        if cause is None:
            return explained
        before = search.explained(cause, "infinity", explained)
        # Infinities among constants are meant, as those of masks are.
        return explained if before.op == "constant" else before
    return None


_RUN = _run.__code__


# ---- checking


def check_finite(values: Any, name: str = "the tree") -> None:
    """Raise if a tree of arrays holds a NaN or an infinity; also inside functions that are only traced.

    Inside ``compile``, ``scan``, ``cond``, ``while_loop`` and ``vmap`` it raises where the values are computed, like
    ``debug.callback``.

    Args:
        values: A tree of arrays and numbers. Leaves of other kinds are left out.
        name: What it is called in the error.

    Raises:
        FloatingPointError: There is one; the message lists the path of every leaf that has any, with how many and where.

    >>> import funcnn as fn
    >>> fn.debug.check_finite({"w": fn.array([1.0, 2.0])}, "grads")
    >>> fn.debug.check_finite({"w": fn.array([1.0, float("nan")])}, "grads")
    Traceback (most recent call last):
        ...
    FloatingPointError: check_finite: grads is not finite:
      w: float32[2] has 1 NaN, the first at (1,)
    """
    if not isinstance(name, str):
        raise TypeError(f"check_finite: name must be a string, got {name!r}")
    floats = {
        path: leaf
        for path, leaf in tree.leaves_with_path(values)
        if isinstance(leaf, float)
        or (isinstance(leaf, _core.array) and _core.isdtype(leaf.dtype, ("real floating", "complex floating")))
        or getattr(getattr(leaf, "dtype", None), "kind", "") in ("f", "c")
    }
    kinds = {path: str(getattr(leaf, "dtype", "float")) for path, leaf in floats.items()}
    # Nothing of an infinity is lost where a callback sees float32 for bfloat16.
    check = functools.partial(_check, name, kinds)
    if any(isinstance(leaf, _core.array) and _core.transforms.is_traced(leaf) for leaf in floats.values()):
        from .debug import callback

        callback(check, list(floats.values()))
    else:
        check(list(floats.values()))


def _check(name: str, kinds: dict[str, str], values: list[Any]) -> None:
    import numpy as np

    problems = []
    for (path, kind), value in zip(kinds.items(), values, strict=True):
        if isinstance(value, _core.array) and value.dtype == _core.bfloat16:
            value = value.astype(_core.float32)
        numbers = np.asarray(value)
        finite = np.isfinite(numbers)
        if finite.all():
            continue
        nans, where = int(np.isnan(numbers).sum()), tuple(int(i) for i in np.argwhere(~finite)[0])
        others = int((~finite).sum()) - nans
        counts = [f"{nans} NaN"] * (nans > 0) + [f"{others} infinit{'y' if others == 1 else 'ies'}"] * (others > 0)
        problems.append(f"{path or 'it'}: {kind}{list(numbers.shape)} has {' and '.join(counts)}, the first at {where}")
    if problems:
        raise FloatingPointError(f"check_finite: {name} is not finite:\n  " + "\n  ".join(problems))

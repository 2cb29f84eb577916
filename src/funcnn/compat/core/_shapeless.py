"""Functions of arrays of any size, from what they are for a few sizes.

A function is traced for its examples and again with axes that are longer. Where the same operations come out, the numbers that
differ tell how shapes, parameters and constants follow from the sizes: as products of their powers, or as sums of their
multiples. Traces with other sizes throughout have to agree: three times as long; longer by one, since what holds for multiples
may hold for no other size; and about a thousand. An axis for which that fails keeps the size it has.

Graphs are what ``contents`` of a written function gives: inputs, nodes, outputs and constants.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Callable, Collection, Iterable
from fractions import Fraction
from typing import Any

from ... import _core

Axis = tuple[int, int]  # the number of an argument, and of an axis of it
Shapes = tuple[tuple[int, ...], ...]
Trace = Callable[[Shapes], Any]  # the graph for arguments of these shapes

# How long axes are in the last trace, about, and how many elements arguments may have there.
_FAR = 1000
_MOST_ELEMENTS = 1 << 22
_NUMBER = re.compile(r"(?<![\w.])(-?\d+(?:\.\d*)?(?:e[+-]?\d+)?)(?!\w)")


def spread(graph: Any) -> Any:
    """The graph with an entry among the constants for each use of a number, so that equal ones may come to differ."""
    inputs, nodes, outputs, constants = graph
    first = len(inputs)
    made: list[Any] = []
    places: dict[int, int] = {}  # of arrays

    def constant(number: int) -> int:
        if number not in places or constants[number - first].ndim == 0:
            places[number] = first + len(made)
            made.append(constants[number - first])
        return places[number]

    # What nodes give comes behind the constants, of which there are now others.
    def place(number: int) -> int:
        return number if number < first else constant(number) if number < first + len(constants) else -number

    nodes = [(name, text, [place(n) for n in given], kinds, [spread(g) for g in graphs])
             for name, text, given, kinds, graphs in nodes]  # fmt: skip
    outputs = [place(n) for n in outputs]
    moved = len(made) - len(constants)

    def settled(numbers: list[int]) -> list[int]:
        return [moved - n if n < 0 else n for n in numbers]

    nodes = [(name, text, settled(given), kinds, graphs) for name, text, given, kinds, graphs in nodes]
    return inputs, nodes, settled(outputs), made


def _mapped(graph: Any, number: Callable[[Any], Any], array: Callable[[Any], Any]) -> Any:
    """The graph with functions applied to each number that may follow from sizes, and to each constant array."""
    inputs, nodes, outputs, constants = graph

    def kinds(given: Any) -> list[Any]:
        return [(tuple(number(n) for n in shape), dtype) for shape, dtype in given]

    def text(given: str) -> str:
        pieces = _NUMBER.split(given)
        for i in range(1, len(pieces), 2):
            value = float(pieces[i]) if set(pieces[i]) & set(".e") else int(pieces[i])
            if (other := number(value)) is not value:
                pieces[i] = str(other)
        return "".join(pieces)

    def constant(x: Any) -> Any:
        if x.ndim or not _core.isdtype(x.dtype, ("integral", "real floating")):
            return array(x)
        value = x.item()
        other = number(value)
        return x if other is value else _core.array(other, x.dtype)

    return (
        kinds(inputs),
        [
            (name, text(parameters), given, kinds(results), [_mapped(g, number, array) for g in graphs])
            for name, parameters, given, results, graphs in nodes
        ],
        outputs,
        [constant(x) for x in constants],
    )


def _numbers(graph: Any) -> tuple[Any, list[Any], list[Any]]:
    """What the graph is apart from its numbers, the numbers, and its arrays."""
    numbers: list[Any] = []
    arrays: list[Any] = []

    def number(x: Any) -> Any:
        numbers.append(x)
        return 0

    def array(x: Any) -> Any:
        arrays.append(x)
        return x

    inputs, nodes, outputs, constants = _mapped(graph, number, array)
    return (inputs, nodes, outputs, [(x.dtype.name, x.shape) for x in constants]), numbers, arrays


def _same_array(a: Any, b: Any) -> bool:
    import numpy as np

    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    a, b = (np.asarray(_core.view(x, _core.uint16) if x.dtype == _core.bfloat16 else x) for x in (a, b))
    return bool(a.__array_interface__["data"] == b.__array_interface__["data"] or a.tobytes() == b.tobytes())


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) or isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-6) or (a != a and b != b)
    return bool(a == b)


class Rule:
    """A number that follows from sizes: of the form "*", factor and powers; or "+", what is added, and factors."""

    def __init__(self, form: str, constant: Any, by_size: list[Any], whole: bool) -> None:
        self.form, self.constant, self.by_size, self.whole = form, constant, by_size, whole

    def __call__(self, sizes: tuple[int, ...]) -> Any:
        pairs = list(zip(self.by_size, sizes, strict=True))
        try:
            if self.form == "+":
                found = self.constant + sum(k * n for k, n in pairs)
            elif all(p.denominator == 1 for p, _ in pairs):
                found = self.constant * math.prod(Fraction(n) ** int(p) for p, n in pairs)
            else:
                return float(self.constant) * math.prod(float(n) ** float(p) for p, n in pairs)
        except ZeroDivisionError:
            raise ValueError("import_function: the function divides by a size that is 0") from None
        if not self.whole:
            return float(found)
        if found.denominator != 1:
            raise ValueError("import_function: the function does not divide arrays of these shapes evenly")
        return int(found)

    def stored(self) -> list[Any]:
        return [self.form, str(self.constant), [str(k) for k in self.by_size], self.whole]

    @classmethod
    def read(cls, stored: Any, sizes: int) -> Rule:
        form, constant, by_size, whole = stored
        if form not in ("*", "+") or len(by_size) != sizes or not isinstance(whole, bool):
            raise ValueError("it has a malformed rule for sizes")
        return cls(form, Fraction(constant), [Fraction(k) for k in by_size], whole)


def _rules(before: Any, changed: list[Any], sizes: list[int]) -> Iterable[Rule]:
    """What a number might be that has the value `before` and becomes each of `changed` where a size is doubled."""
    whole, value = isinstance(before, int), Fraction(before)
    if before and all(x / before > 0 for x in changed):
        powers = [Fraction(round(2 * math.log2(x / before)), 2) for x in changed]
        if all(math.isclose(x / before, 2.0 ** float(p), rel_tol=1e-6) for x, p in zip(changed, powers, strict=True)):
            if all(p.denominator == 1 for p in powers):
                factor = value / math.prod(Fraction(n) ** int(p) for n, p in zip(sizes, powers, strict=True))
            else:
                factor = value / Fraction(math.prod(n ** float(p) for n, p in zip(sizes, powers, strict=True)))
            simple = factor.limit_denominator(64)
            # A factor next to a simple number is that, before it was rounded.
            if not whole and math.isclose(simple, factor, rel_tol=1e-7):
                factor = simple
            if not whole or all(p.denominator == 1 for p in powers):
                yield Rule("*", factor, powers, whole)
    slopes = [(Fraction(x) - value) / n for x, n in zip(changed, sizes, strict=True)]
    yield Rule("+", value - sum(k * n for k, n in zip(slopes, sizes, strict=True)), slopes, whole)


class Family:
    """The graphs of a function for arguments of all sizes that it has a rule for."""

    def __init__(self, graph: Any, axes: list[list[Axis]], rules: dict[int, Rule]) -> None:
        self.graph, self.axes, self.rules = graph, axes, rules
        self._shapes: Shapes = tuple(tuple(shape) for shape, _ in graph[0])
        self._free = {axis for group in axes for axis in group}

    def sizes(self, shapes: Shapes) -> tuple[int, ...] | None:
        """Those of the axes that may differ from the examples', if the shapes are of this family."""
        for i, (shape, example) in enumerate(zip(shapes, self._shapes, strict=True)):
            for k, (n, m) in enumerate(zip(shape, example, strict=True)):
                if n != m and (i, k) not in self._free:
                    return None
        found = []
        for group in self.axes:
            sizes = {shapes[i][k] for i, k in group}
            if len(sizes) > 1:
                return None
            found.append(sizes.pop())
        return tuple(found)

    def member(self, sizes: tuple[int, ...]) -> Any:
        """The graph for these sizes."""
        count = itertools.count()

        def number(x: Any) -> Any:
            rule = self.rules.get(next(count))
            return x if rule is None else rule(sizes)

        return _mapped(self.graph, number, lambda x: x)

    def stored(self) -> dict[str, Any]:
        return {"axes": self.axes, "rules": {str(place): rule.stored() for place, rule in self.rules.items()}}

    @classmethod
    def read(cls, graph: Any, stored: Any) -> Family:
        axes = [[(int(i), int(k)) for i, k in group] for group in stored["axes"]]
        rules = {int(place): Rule.read(rule, len(axes)) for place, rule in stored["rules"].items()}
        made = cls(graph, axes, rules)
        made.member(made.sizes(made._shapes) or ())
        return made


class _NoFunction(Exception):
    """The function takes no such arguments."""


class _Search:
    """Finds the axes of a function that may have other sizes, and what follows from them."""

    def __init__(self, graph: Any, trace: Trace) -> None:
        self.graph, self._trace = graph, trace
        self.shapes: Shapes = tuple(tuple(shape) for shape, _ in graph[0])
        self._form, self._before, self._arrays = _numbers(graph)

    def numbers(self, axes: Collection[Axis], length: Callable[[int], int]) -> list[Any] | None:
        """Those of the graph with axes of other lengths; None if it has another graph. Raises _NoFunction."""
        shapes = tuple(
            tuple(length(n) if (i, k) in axes else n for k, n in enumerate(shape))
            for i, shape in enumerate(self.shapes)
        )
        try:
            form, numbers, arrays = _numbers(spread(self._trace(shapes)))
        except Exception as error:  # whatever the function says of such arguments
            raise _NoFunction from error
        if form != self._form or not all(map(_same_array, arrays, self._arrays)):
            return None
        return numbers

    def groups(self) -> dict[tuple[Axis, ...], list[Any]]:
        """The sets of axes that may be longer together, and the numbers that the graph then has."""
        found: dict[tuple[Axis, ...], list[Any]] = {}
        by_size: dict[int, list[Axis]] = {}
        for i, shape in enumerate(self.shapes):
            for k, n in enumerate(shape):
                if n > 1:
                    by_size.setdefault(n, []).append((i, k))

        def enter(axes: tuple[Axis, ...]) -> bool:
            try:
                numbers = self.numbers(axes, lambda n: 2 * n)
            except _NoFunction:
                return False
            if numbers is not None:
                for axis in axes:
                    found.pop((axis,), None)
                found[axes] = numbers
            return numbers is not None

        for axes in by_size.values():
            bound = [axis for axis in axes if not enter((axis,))]
            for axis in list(bound):
                pair = next((other for other in bound if other > axis and axis in bound and enter((axis, other))), None)
                if pair is not None:
                    bound = [other for other in bound if other not in (axis, pair)]
            if len(bound) > 2 and enter(tuple(bound)):
                bound = []
            if bound and len(axes) > len(bound):
                free = [axis for axis in axes if (axis,) in found]
                enter((*bound, *free))
        return found

    def family(self, groups: dict[tuple[Axis, ...], list[Any]]) -> Family | None:
        """The family with these axes, if there is one."""
        axes = list(groups)
        free = {axis for group in axes for axis in group}
        sizes = [self.shapes[group[0][0]][group[0][1]] for group in axes]
        try:
            last = self.numbers(free, lambda n: 3 * n)
        except _NoFunction:
            return None
        elsewhere = [] if last is None else self._elsewhere(free, sizes)
        if last is None or any(numbers is None for _, numbers in elsewhere):
            return None
        tripled = tuple(3 * n for n in sizes)
        rules: dict[int, Rule] = {}
        for place, (before, after, *changed) in enumerate(zip(self._before, last, *groups.values(), strict=True)):
            if all(_same(before, x) for x in (after, *changed)):
                continue
            if not all(math.isfinite(x) for x in (before, after, *changed)):
                return None
            fitting = [r for r in _rules(before, changed, sizes) if _agrees(r, tripled, after)]
            if not fitting:
                return None
            rules[place] = next(
                (r for r in fitting if all(_agrees(r, other, numbers[place]) for other, numbers in elsewhere)),
                fitting[0],
            )
        if any(self._contradicts(rules, other, numbers) for other, numbers in elsewhere):
            return None
        return Family(self.graph, [list(group) for group in axes], rules)

    def _elsewhere(self, free: Collection[Axis], sizes: list[int]) -> list[tuple[tuple[int, ...], Any]]:
        """Sizes that are no multiples, and large ones, with the numbers for them, where the function takes such arguments."""
        lengths: list[Callable[[int], int]] = [lambda n: n + 1]

        def far(n: int) -> int:
            return n * max(3, 2 * (_FAR // (2 * n)) + 1)

        shapes = [[far(n) if (i, k) in free else n for k, n in enumerate(shape)] for i, shape in enumerate(self.shapes)]
        if sum(map(math.prod, shapes)) <= _MOST_ELEMENTS:
            lengths.append(far)
        found = []
        for length in lengths:
            with contextlib.suppress(_NoFunction):
                found.append((tuple(map(length, sizes)), self.numbers(free, length)))
        return found

    def _contradicts(self, rules: dict[int, Rule], sizes: tuple[int, ...], numbers: list[Any]) -> bool:
        """Whether the rules give a graph for these sizes, and another one than the function does."""
        try:
            found = [rules[place](sizes) if place in rules else x for place, x in enumerate(self._before)]
        except ValueError:
            return False
        return not all(map(_same, found, numbers))


def _agrees(rule: Rule, sizes: tuple[int, ...], value: Any) -> bool:
    try:
        return _same(rule(sizes), value)
    except ValueError:
        return False


def family(graph: Any, trace: Trace) -> Family:
    """All graphs of a function, of which one is given and others can be had."""
    graph = spread(graph)
    search = _Search(graph, trace)
    groups = search.groups()
    found = search.family(groups)
    if found is None:
        each = {axes: numbers for axes, numbers in groups.items() if search.family({axes: numbers}) is not None}
        found = search.family(each) if len(each) < len(groups) else None
    return found or Family(graph, [], {})

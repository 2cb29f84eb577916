"""Arguments that collect results on the side, and how transformations hand these results on.

A layer's view of its parameters is such an argument: batch norm reports new statistics to it. What a function reports while
it is transformed are values of the transformation and must leave it as outputs do. So a transformation that is called with a
carrier calls instead a pure function, made by `lift`: of the carrier's contents, with the reports among its outputs.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import attrs

from . import _core, tree
from ._abstract import eval_shape
from ._arguments import is_integer

Function = Callable[..., Any]
Reports = dict[tuple[Any, ...], Any]


@attrs.frozen
class Output:
    """The last key of a report that is no new value of the contents but something computed: an array of an output.

    Mapped calls and the steps of a loop give one each, stacked along a new first axis.
    """

    watch: int
    call: int
    leaf: int
    treedef: _core.PyTreeDef
    rest: Any = attrs.field(eq=False)


class Carrier(abc.ABC):
    """Base class of these arguments. Reports are values by the path in the contents that they are meant for."""

    __slots__ = ()

    @abc.abstractmethod
    def contents(self) -> Any:
        """The tree of arrays that the function reads from the carrier."""

    @abc.abstractmethod
    def entered(self, contents: Any, rehearsal: bool = False) -> Carrier:
        """The same carrier with other contents, collecting for itself alone; in a rehearsal, to know what there will be."""

    @abc.abstractmethod
    def at_step(self, step: Any) -> Carrier:
        """The same carrier at one step of a loop."""

    @abc.abstractmethod
    def reports(self) -> Reports:
        """What has been collected."""

    @abc.abstractmethod
    def report(self, reports: Reports) -> None:
        """Collect what an inner carrier has collected."""


def carries(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Say whether an argument is a carrier."""
    for x in args:
        if isinstance(x, Carrier):
            return True
    return bool(kwargs) and any(isinstance(x, Carrier) for x in kwargs.values())


class Lifted:
    """A function of contents instead of carriers that returns ``(output, reports)``; the trees to call it with."""

    def __init__(self, fun: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.fun = fun
        self.rehearsal = False
        self.carriers: dict[int | str, Carrier] = {place: x for place, x in enumerate(args) if isinstance(x, Carrier)}
        self.carriers.update({name: x for name, x in kwargs.items() if isinstance(x, Carrier)})
        self.args = tuple(self.carriers[i].contents() if i in self.carriers else x for i, x in enumerate(args))
        self.kwargs = {
            name: self.carriers[name].contents() if name in self.carriers else x for name, x in kwargs.items()
        }
        self.names: list[list[tuple[Any, ...]]] = []
        self.mapped: list[list[bool]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, list[list[Any]]]:
        inner: list[Carrier] = []

        def enter(place: int | str, x: Any) -> Any:
            if place not in self.carriers:
                return x
            inner.append(self.carriers[place].entered(x, self.rehearsal))
            return inner[-1]

        args = tuple(enter(i, x) for i, x in enumerate(args))
        output = self.fun(*args, **{name: enter(name, x) for name, x in kwargs.items()})
        found = [carrier.reports() for carrier in inner]
        trace = _core.transforms.current_trace()
        self.names = [list(reports) for reports in found]
        self.mapped = [[_core.transforms.trace_of(x) >= trace for x in reports.values()] for reports in found]
        return output, [list(reports.values()) for reports in found]

    def report(self, values: list[list[Any]]) -> None:
        """Hand what came out of the transformation to the carriers that were given."""
        for carrier, names, found in zip(self.carriers.values(), self.names, values, strict=True):
            carrier.report(dict(zip(names, found, strict=True)))

    def unmap(self, values: list[list[Any]], in_axes: Any) -> list[list[Any]]:
        """Move the axis of length one call each, which vmap put first, to where the contents have it."""
        unmapped = []
        for place, names, mapped, found in zip(self.carriers, self.names, self.mapped, values, strict=True):
            axes = 0 if isinstance(place, str) else in_axes[place] if isinstance(in_axes, (tuple, list)) else in_axes
            moved = []
            for name, varies, x in zip(names, mapped, found, strict=True):
                axis = 0 if isinstance(name[-1], Output) else _at(axes, name)
                if axis is not None:
                    moved.append(_core.moveaxis(x, 0, axis))
                elif not varies:
                    moved.append(x[0])
                else:
                    text = _core.tree_join_path(name)
                    raise ValueError(
                        f"vmap: the update of {text!r} differs from one mapped call to the next, but the parameters are not "
                        "mapped (None in in_axes), so there is one place for all; map the parameters too, or call the layer "
                        "on the whole batch"
                    )
            unmapped.append(moved)
        return unmapped


def _at(axes: Any, name: tuple[Any, ...]) -> Any:
    """The axis that a prefix tree has at a path of keys."""
    for key in name:
        if axes is None or is_integer(axes):
            break
        axes = axes[key]
    return axes


def cond(call: Function, pred: Any, true_fun: Function, false_fun: Function, operands: tuple[Any, ...]) -> Any:
    """Choose between functions of carriers. What only one of them reports is, in the other, what there was."""
    if not carries(operands, {}):
        return call(pred, true_fun, false_fun, operands)
    sides = [Lifted(fun, operands, {}) for fun in (true_fun, false_fun)]
    for side in sides:
        side.rehearsal = True
        eval_shape(side, *side.args)  # to know what it reports
        side.rehearsal = False
    names = [list(dict.fromkeys(mine + other)) for mine, other in zip(sides[0].names, sides[1].names, strict=True)]

    def branch(side: Lifted) -> Function:
        def run(*args: Any) -> Any:
            output, found = side(*args)
            reported = [dict(zip(keys, values, strict=True)) for keys, values in zip(side.names, found, strict=True)]
            contents = [args[place] for place in side.carriers if isinstance(place, int)]
            return output, [
                [there[name] if name in there else _as_before(tree_of, name) for name in wanted]
                for wanted, there, tree_of in zip(names, reported, contents, strict=True)
            ]

        return run

    output, values = call(pred, branch(sides[0]), branch(sides[1]), sides[0].args)
    sides[0].names = names
    sides[0].report(values)
    return output


def _as_before(contents: Any, name: tuple[Any, ...]) -> Any:
    """What there is where one branch reports something and the other nothing."""
    if isinstance(name[-1], Output):
        what = repr(_core.tree_join_path(name[:-1])) if name[:-1] else "the view itself"
        raise ValueError(f"cond: the output of the layer at {what} is wanted, but only one branch has such an output")
    return tree.get(contents, _core.tree_join_path(name))


def scan(call: Function, f: Function, init: Any, xs: Any, length: int | None, reverse: bool) -> tuple[Any, Any]:
    """Scan, and hand what the steps report to carriers in `xs` on: one slice a step, as their contents are."""
    found, treedef = _core.tree_flatten(xs, lambda x: isinstance(x, Carrier))
    places = [i for i, x in enumerate(found) if isinstance(x, Carrier)]
    if not places:
        carry, ys = call(f, init, xs, length, reverse)
        return carry, ys
    contents = [x.contents() if isinstance(x, Carrier) else x for x in found]
    names: list[list[tuple[Any, ...]]] = []

    def step(carry: Any, numbered: Any) -> Any:
        number, x = numbered
        items = treedef.flatten_up_to(x)
        for i in places:
            items[i] = found[i].entered(items[i]).at_step(number)
        result = f(carry, treedef.unflatten(items))
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise TypeError(f"scan: the body must return (carry, y), got {type(result).__name__}")
        reports = [items[i].reports() for i in places]
        names[:] = [list(each) for each in reports]
        return result[0], (result[1], [list(each.values()) for each in reports])

    if length is None:
        length = next((x.shape[0] for x in _core.tree_leaves(contents, None) if getattr(x, "ndim", 0)), None)
    steps = None if length is None else _core.arange(length)
    carry, (ys, reports) = call(step, init, (steps, treedef.unflatten(contents)), length, reverse)
    for i, keys, values in zip(places, names, reports, strict=True):
        found[i].report(dict(zip(keys, values, strict=True)))
    return carry, ys

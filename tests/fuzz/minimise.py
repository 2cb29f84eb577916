"""Makes a failing recipe smaller while it still fails."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from . import numpy_interpreter as plain
from .check import check
from .numpy_values import INEXACT, Values
from .recipe import Body, Const, Input, Mode, Recipe, Step


@dataclass
class Item:
    """An input or a step, with names of the values it gives and of its operands that stay when others go."""

    given: Input | Step
    gives: list[int]

    @property
    def args(self) -> tuple[Any, ...]:
        return self.given.args if isinstance(self.given, Step) else ()


def items_of(recipe: Recipe) -> list[Item]:
    names = itertools.count()
    out: list[Item] = [Item(i, [next(names)]) for i in recipe.inputs]
    return out + [Item(s, [next(names) for _ in range(s.count)]) for s in recipe.steps]


def rebuild(items: list[Item], outputs: tuple[int, ...], mode: Mode) -> Recipe:
    """What the outputs, and values that the mode names, need; inputs first. Stops move with the steps."""
    needed = {*outputs, *mode.kept, *(i for _, which in mode.stops for i in which)}
    kept: list[Item] = []
    for item in reversed(items):
        if needed.isdisjoint(item.gives):
            continue
        kept.append(item)
        needed.update(a for a in item.args if not isinstance(a, Const))
    kept.reverse()
    inputs = [i for i in kept if isinstance(i.given, Input)]
    steps = [i for i in kept if isinstance(i.given, Step)]
    number = {name: n for n, name in enumerate(name for item in (*inputs, *steps) for name in item.gives)}

    def renamed(s: Any) -> Step:
        return replace(s, args=tuple(a if isinstance(a, Const) else number[a] for a in s.args))

    # A stop stays behind the step that it stood behind, or the last one kept before it.
    order = [i for i in items if isinstance(i.given, Step)]
    stops = []
    for after, which in mode.stops:
        before = [i for i in order[: after + 1] if any(i is s for s in steps)]
        if before:
            place = max(k for k, s in enumerate(steps) if any(s is x for x in before))
            stops.append((place, tuple(number[i] for i in which)))
    donated = {items[i].gives[0] for i in mode.donated if i < len(items)}
    return Recipe(
        tuple(i.given for i in inputs),  # type: ignore[misc]
        tuple(renamed(i.given) for i in steps),
        tuple(number[o] for o in outputs),
        replace(
            mode,
            kept=tuple(number[i] for i in mode.kept),
            stops=tuple(stops),
            donated=tuple(n for n, i in enumerate(inputs) if i.gives[0] in donated),
        ),
    )


def like(v: Values) -> Input:
    style = "real" if v.dtype in INEXACT and v.dtype == "float64" else "whole"
    return Input(v.shape, v.dtype, style, len(v.shape), "dense", 0)


def simpler_modes(mode: Mode) -> Iterator[Mode]:
    plainest = replace(mode, kept=(), stops=(), donated=(), threads=1, background=False, moved=0)
    if mode != plainest:
        yield plainest
    for change in (
        {"threads": 1},
        {"background": False},
        {"stops": ()},
        {"kept": ()},
        {"donated": ()},
        {"fused": True},
    ):
        if replace(mode, **change) != mode:
            yield replace(mode, **change)
    for field in ("kept", "donated", "stops"):
        got = getattr(mode, field)
        for k in range(len(got)):
            yield replace(mode, **{field: got[:k] + got[k + 1 :]})
    if mode.form == "compile":
        yield replace(mode, form="eager", donated=())


def simpler_inputs(given: Input) -> Iterator[Input]:
    for change in ({"layout": "dense"}, {"style": "whole"}, {"style": "count"}, {"seed": 0}):
        if replace(given, **change) != given and given.style not in ("key",):
            yield replace(given, **change)


def smaller_bodies(body: Body, fixed: int) -> Iterator[Body]:
    """Bodies with a step less, or with one value in the place of another. The first `fixed` outputs stay."""
    n = body.arity
    for k in reversed(range(len(body.steps))):
        first = n + sum(s.count for s in body.steps[:k])
        count = body.steps[k].count
        for other in range(first - 1, -1, -1):

            def new(i: Any, first: int = first, count: int = count, other: int = other) -> Any:
                if isinstance(i, Const) or i < first:
                    return i
                return other if i < first + count else i - count

            steps = body.steps[:k] + tuple(replace(s, args=tuple(map(new, s.args))) for s in body.steps[k + 1 :])
            yield Body(n, steps, tuple(map(new, body.outputs)))
    for k, o in enumerate(body.outputs):
        for other in range(o):
            yield Body(n, body.steps, (*body.outputs[:k], other, *body.outputs[k + 1 :]))
    for k, s in enumerate(body.steps):
        for change in simpler_steps(s):
            if change.count == s.count:
                yield Body(n, (*body.steps[:k], change, *body.steps[k + 1 :]), body.outputs)


def simpler_steps(step: Step) -> Iterator[Step]:
    p = step.params
    for key in ("body", "first", "second"):
        if key in p:
            for body in smaller_bodies(p[key], p.get("carries", 0)):
                yield replace(step, params={**p, key: body})
    if step.op == "scan":
        for length in (1, 2, 3):
            if length < p["length"]:
                yield replace(step, params={**p, "length": length})
        if p["reverse"]:
            yield replace(step, params={**p, "reverse": False})
    for i, a in enumerate(step.args):
        for j in range(i):
            if step.args[j] != a:
                yield replace(step, args=(*step.args[:i], step.args[j], *step.args[i + 1 :]))


def drop_scan_parts(item: Item, needed: set[int]) -> Iterator[Item]:
    """A scan without one of its stacked outputs, or without an argument that its body does not need."""
    s = item.given
    if not isinstance(s, Step) or s.op not in ("scan", "cond", "while_loop", "call", "vmap"):
        return
    p = s.params
    if s.op == "scan":
        body = p["body"]
        for k in range(p["carries"], len(body.outputs)):
            if item.gives[k] in needed:
                continue
            smaller = replace(body, outputs=body.outputs[:k] + body.outputs[k + 1 :])
            yield Item(replace(s, params={**p, "body": smaller}), item.gives[:k] + item.gives[k + 1 :])
    bodies = {k: p[k] for k in ("body", "first", "second") if k in p}
    skipped = 1 if s.op == "cond" else 0
    for k in range(len(s.args) - skipped):
        if any(uses(b, k) for b in bodies.values()):
            continue
        if "carries" in p and k < p["carries"]:
            continue
        params = {**p, **{name: without_argument(b, k) for name, b in bodies.items()}}
        if s.op == "vmap" and k < p["mapped"]:
            if p["mapped"] == 1:
                continue
            params["mapped"] -= 1
        if "sequences" in p and k < p["carries"] + p["sequences"]:
            params["sequences"] -= 1
        yield Item(replace(s, args=s.args[: k + skipped] + s.args[k + skipped + 1 :], params=params), item.gives)


def uses(body: Body, k: int) -> bool:
    return k in body.outputs or any(k in s.args for s in body.steps)


def without_argument(body: Body, k: int) -> Body:
    def new(i: Any) -> Any:
        return i if isinstance(i, Const) or i < k else i - 1

    steps = tuple(replace(s, args=tuple(map(new, s.args))) for s in body.steps)
    return Body(body.arity - 1, steps, tuple(map(new, body.outputs)))


def resized(recipe: Recipe, old: int, new: int) -> Recipe:
    """Another length in the place of one, wherever it is a length."""

    def in_params(p: dict[str, Any]) -> dict[str, Any]:
        out = dict(p)
        for key, value in p.items():
            if key == "shape":
                out[key] = tuple(new if d == old else d for d in value)
            elif key in ("length", "stop") and value == old:
                out[key] = new
            elif isinstance(value, Body):
                out[key] = replace(value, steps=tuple(replace(s, params=in_params(s.params)) for s in value.steps))
        return out

    inputs = tuple(replace(i, shape=tuple(new if d == old else d for d in i.shape)) for i in recipe.inputs)
    steps = tuple(replace(s, params=in_params(s.params)) for s in recipe.steps)
    return replace(recipe, inputs=inputs, steps=steps)


def simpler(recipe: Recipe) -> Iterator[Recipe]:
    """Recipes that are a little simpler, the boldest first."""
    items = items_of(recipe)
    outputs, mode = recipe.outputs, recipe.mode
    for m in simpler_modes(mode):
        yield rebuild(items, outputs, m)
    for k in range(len(outputs)):
        if len(outputs) > 1:
            yield rebuild(items, outputs[:k] + outputs[k + 1 :], mode)
    values = plain.run(recipe)
    # Cut: what a step computes is given instead.
    for k, item in reversed(list(enumerate(items))):
        if isinstance(item.given, Input):
            continue
        given = [Item(like(values[name]), [name]) for name in item.gives]
        yield rebuild(items[:k] + given + items[k + 1 :], outputs, mode)
    # Bypass: an earlier value of the same kind takes the place of one.
    for item in reversed(items):
        if isinstance(item.given, Input):
            continue
        for name in item.gives:
            for other in range(item.gives[0]):
                if values[other].shape == values[name].shape and values[other].dtype == values[name].dtype:
                    yield renamed(items, outputs, mode, name, other)
    needed = {*outputs, *mode.kept, *(i for _, which in mode.stops for i in which)}
    needed.update(a for item in items for a in item.args if not isinstance(a, Const))
    for k, item in enumerate(items):
        for smaller in drop_scan_parts(item, needed):
            yield rebuild([*items[:k], smaller, *items[k + 1 :]], outputs, mode)
        if isinstance(item.given, Step):
            for change in simpler_steps(item.given):
                yield rebuild([*items[:k], Item(change, item.gives), *items[k + 1 :]], outputs, mode)
        else:
            for given_change in simpler_inputs(item.given):
                yield rebuild([*items[:k], Item(given_change, item.gives), *items[k + 1 :]], outputs, mode)
    for old in sorted({d for i in recipe.inputs for d in i.shape if d > 1}, reverse=True):
        for new in sorted({1, 2, 3, old // 2, old - 1}):
            if 0 < new < old:
                yield resized(recipe, old, new)


def renamed(items: list[Item], outputs: tuple[int, ...], mode: Mode, name: int, other: int) -> Recipe:
    def new(i: Any) -> Any:
        return other if not isinstance(i, Const) and i == name else i

    changed = [
        Item(replace(i.given, args=tuple(map(new, i.args))), i.gives) if isinstance(i.given, Step) else i for i in items
    ]
    return rebuild(changed, tuple(map(new, outputs)), mode)


def failure(recipe: Recipe) -> BaseException | None:
    """What comes of running it; None also where NumPy cannot run it."""
    try:
        values = plain.run(recipe)
    except Exception:
        return None
    try:
        check(recipe, values)
    except Exception as e:
        return e
    return None


def minimise(
    recipe: Recipe, error: BaseException, most: int = 3000, fails: Callable[[Recipe], Any] = failure
) -> Recipe:
    """The simplest recipe found that fails with an error of the same class."""
    left = most
    progress = True
    while progress and left > 0:
        progress = False
        for candidate in simpler(recipe):
            left -= 1
            if left <= 0:
                break
            if candidate != recipe and type(fails(candidate)) is type(error):
                recipe, progress = candidate, True
                break
    return recipe

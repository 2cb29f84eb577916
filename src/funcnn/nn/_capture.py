"""What the layers of a model return on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import funcnn as fn
from funcnn import tree
from funcnn._carriers import Output, Reports

from ._layer import Layer
from ._replace import matching
from ._view import Keys, View


def _is_array(path: str, leaf: Any) -> bool:
    return isinstance(leaf, fn.array)


class _Watch:
    """Keeps the outputs of layers, as a context has it. One layer around another at a place counts, not the inner one."""

    def __init__(self, wanted: Callable[[Keys], bool], seen: dict[Keys, Layer], active: set[Keys]) -> None:
        self.wanted = wanted
        self.seen = seen
        self.active = active
        self.found: dict[Keys, list[Any]] = {}
        # Values of traces inside this one leave as outputs of the transformation, or not at all.
        self.trace = fn._core.transforms.current_trace()

    def call(self, run: Callable[..., Any], layer: Layer, view: View, args: Any, kwargs: Any) -> Any:
        """Call a layer, and keep what it returns."""
        keys = view._keys
        if type(layer)._repeats or keys in self.active:
            return run(view, *args, **kwargs)
        self.seen.setdefault(keys, layer)
        if not self.wanted(keys):
            return run(view, *args, **kwargs)
        self.active.add(keys)
        try:
            y = run(view, *args, **kwargs)
        finally:
            self.active.discard(keys)
        self._keep(keys, y)
        return y

    def _keep(self, keys: Keys, y: Any) -> None:
        for leaf in tree.leaves(y):
            if isinstance(leaf, fn.array) and fn._core.transforms.trace_of(leaf) > self.trace:
                raise ValueError(
                    f"capture: the output of the layer at {tree.join_path(keys)!r} belongs to a transformed function (vmap, "
                    "scan, checkpoint, ...) that the layer's view was not an argument of; pass the view itself, as in "
                    'fn.vmap(self.part)(params["part"], x)'
                )
        self.found.setdefault(keys, []).append(y)

    def entered(self, outside: Any, inside: Any, rehearsal: bool) -> _Watch:
        """The same inside a transformation."""
        return _Watch(self.wanted, self.seen, self.active)

    def reports(self, watch: int, depth: int) -> Reports:
        """What has been kept, array by array, by path below a view; `watch` is the number of this one."""
        reports: Reports = {}
        for keys, outputs in self.found.items():
            for call, y in enumerate(outputs):
                arrays, rest = tree.partition(y, _is_array)
                leaves, treedef = tree.flatten(arrays)
                if not leaves:
                    raise ValueError(
                        f"capture: the layer at {tree.join_path(keys)!r} returned no arrays inside a transformation"
                    )
                for i, leaf in enumerate(leaves):
                    name = (*keys[depth:], Output(watch, call, i, treedef, rest))
                    reports[name] = leaf
        return reports

    def report(self, above: Keys, reports: Reports) -> None:
        """Keep what has been kept inside a transformation."""
        outputs: dict[tuple[Keys, int], list[tuple[Output, Any]]] = {}
        for below, leaf in reports.items():
            name: Output = below[-1]
            outputs.setdefault(((*above, *below[:-1]), name.call), []).append((name, leaf))
        for (keys, _), named in outputs.items():
            first = named[0][0]
            y = tree.merge(tree.unflatten(first.treedef, [leaf for _, leaf in named]), first.rest)
            self._keep(keys, y)


def capture(
    f: Callable[..., Any], params: Any, x: Any, paths: str | Iterable[str], *args: Any, **kwargs: Any
) -> tuple[Any, dict[str, Any]]:
    """Call a model, and return also what some of its layers return on the way.

    The activations are values as any: differentiated, compiled and mapped with the rest. Layers that ``scan_layers`` and
    ``vmap`` repeat give theirs stacked along a new first axis, and so do those that ``fn.scan`` and ``fn.vmap`` call with
    their view.

    Args:
        f: A layer, or a function of parameters and input that calls one: ``model.apply``, to train.
        params: The parameters.
        x: The first input.
        paths: Which layers: a glob over the paths of their parameters, or several. The path of the model itself is empty.
        args: Further inputs, with `kwargs`.

    Returns:
        What `f` returns, and a dict from the paths of the layers, in the order of their calls, to what they return: for a layer
        that is called several times, a tuple with the value of each call.

    Raises:
        ValueError: No layer that is called has such a path; or the value cannot leave: the layer is called in one branch of a
            ``fn.cond`` only, or in a transformed function that its view is no argument of.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> params = model.init(random.key(0))
    >>> y, hidden = nn.capture(model, params, fn.ones((3, 4)), "layers.1")
    >>> hidden["layers.1"].shape
    (3, 8)
    >>> (y, updates), hidden = nn.capture(model.apply, params, fn.ones((3, 4)), "layers.*", training=True)
    >>> list(hidden)
    ['layers.0', 'layers.1', 'layers.2']
    """
    if not callable(f):
        raise TypeError(f"capture: expected a layer or a function of parameters first, got {f!r}")
    globs = [paths] if isinstance(paths, str) else list(paths) if isinstance(paths, Iterable) else []
    if not globs or not all(isinstance(glob, str) for glob in globs):
        raise TypeError(f"capture: paths must be a glob over paths or a list of globs, got {paths!r}")
    chosen: dict[Keys, bool] = {}

    def wanted(keys: Keys) -> bool:
        if keys not in chosen:
            chosen[keys] = any(matching([keys], glob) for glob in globs)
        return chosen[keys]

    seen: dict[Keys, Layer] = {}
    watch = _Watch(wanted, seen, set())
    view = params if type(params) is View else View(params)
    context = view._context.like(watches=(*view._context.watches, watch))
    y = f(View(view._params, view._keys, context), x, *args, **kwargs)
    for glob in globs:
        if not matching(seen, glob):
            there = ", ".join(repr(tree.join_path(keys)) for keys in list(seen)[:20])
            raise ValueError(f"capture: {glob!r} is the path of no layer that is called; there are {there or 'none'}")
    return y, {
        tree.join_path(keys): tuple(outputs) if len(outputs) > 1 else outputs[0]
        for keys, outputs in watch.found.items()
    }

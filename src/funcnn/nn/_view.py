"""Views: parameters that know where they stand in the model and how it is being called."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Any

import funcnn as fn
from funcnn import random, tree
from funcnn._carriers import Carrier, Output, Reports
from funcnn.tree import frozendict

from ._keys import fold_text

_DICTS = (dict, frozendict, collections.OrderedDict, collections.defaultdict)
Keys = tuple[Any, ...]


_CONTAINERS = frozenset({*_DICTS, tuple, list})


def _holds_parameters(value: Any) -> bool:
    """Whether a value is a container whose items are parameters; subclasses of these are leaves of a tree."""
    return type(value) in _CONTAINERS or (isinstance(value, tuple) and hasattr(value, "_fields"))


class Context:
    """What all views of one call of ``apply`` share."""

    __slots__ = ("draws", "key", "observed", "precision", "ties", "trace", "training", "updates", "watches")

    def __init__(
        self,
        training: bool,
        key: fn.array | None,
        updates: dict[Keys, tuple[Any, Any]] | None,
        above: Context | None = None,
    ) -> None:
        self.training = training
        self.key = key
        # By place: the array as it was given, and the new one. None: there is nobody to report to.
        self.updates = updates
        self.draws: dict[Keys, int] = {}
        # Values of traces inside this one are gone when those end.
        self.trace = fn._core.transforms.current_trace()
        # Places that are read from elsewhere, and where: updates go there too.
        self.ties: dict[Keys, Keys] = {}
        # In which dtypes the layers compute (see _precision.py); None: as their parameters are.
        self.precision: Any = None if above is None else above.precision
        # Who is told of every call of a layer (see _capture.py).
        self.watches: tuple[Any, ...] = () if above is None else above.watches
        self.observed = self.precision is not None or bool(self.watches)

    def like(self, **others: Any) -> Context:
        """A context that shares everything with this one but what is given."""
        context = Context(self.training, self.key, self.updates, self)
        for name in ("draws", "ties", "trace"):
            setattr(context, name, getattr(self, name))
        for name, value in others.items():
            setattr(context, name, value)
        context.observed = context.precision is not None or bool(context.watches)
        return context

    def ties_below(self, keys: Keys) -> dict[Keys, Keys]:
        """The ties among the places below one, each source that lies elsewhere replaced by the first that reads it."""
        found: dict[Keys, Keys] = {}
        first: dict[Keys, Keys] = {}
        for place, source in self.ties.items():
            if place[: len(keys)] != keys:
                continue
            if source[: len(keys)] == keys:
                found[place] = source
            elif first.setdefault(source, place) != place:
                found[place] = first[source]
        return found


INFERENCE = Context(False, None, None)


def at(params: Any, keys: Keys) -> Any:
    """What stands at a place in parameters; None if there is nothing."""
    for key in keys:
        try:
            params = getattr(params, key) if hasattr(params, "_fields") else params[key]
        except (LookupError, TypeError, AttributeError):
            return None
    return params


class View(Carrier):
    """Parameters as a layer gets them: read like the dict or tuple they are, with the context of the call.

    ``params["attn"]`` of a view is a view, unless it is an array. A view is a pytree of its parameters, so
    ``fn.checkpoint(self.block)(params["block"], x)``, ``fn.vmap`` and ``fn.grad`` take it as an argument.

    >>> from funcnn import nn
    >>> class Report(nn.Layer):
    ...     def __call__(self, params, x):
    ...         return params.path, params.training
    >>> model = nn.Sequential(Report())
    >>> model.apply({"layers": ({},)}, None, training=True)[0]
    ('layers.0', True)
    """

    __slots__ = ("_context", "_keys", "_params")

    def __init__(self, params: Any, keys: tuple[Any, ...] = (), context: Context = INFERENCE) -> None:
        self._params = params
        self._keys = keys
        self._context = context

    def __getattr__(self, name: str) -> Any:
        known = not name.startswith("_") and isinstance(self._params, _DICTS) and name in self._params
        hint = f": it is a key, as in params[{name!r}]" if known else ""
        raise AttributeError(f"'View' object has no attribute {name!r}{hint}", name=name, obj=self)

    @property
    def path(self) -> str:
        """Where these parameters stand in those given to ``apply``, as in ``layers.0``."""
        return tree.join_path(self._keys)

    @property
    def training(self) -> bool:
        """Whether the model is called to train it."""
        return self._context.training

    @property
    def params(self) -> Any:
        """The parameters themselves, without context; updated where an update has been reported."""
        return self.contents()

    def next_key(self) -> fn.array:
        """Return a key for random draws: another one for every path and, at one path, for every call.

        Which key that is depends on the key given to ``apply``, the path, and how often this method was called at this
        path before.

        At each step of a scan over the view it is another one too.

        Raises:
            ValueError: ``apply`` was called without a key.
        """
        context = self._context
        if context.key is None:
            raise ValueError("random numbers are needed here: call apply(..., key=random.key(seed))")
        count = context.draws.get(self._keys, 0)
        context.draws[self._keys] = count + 1
        return fold_text(context.key, f"{self.path}:{count}")

    def with_key(self, key: fn.array) -> View:
        """Return the same view drawing its random numbers from another key."""
        return View(self._params, self._keys, self._context.like(key=key, draws={}))

    def update(self, name: str, value: Any) -> None:
        """Report a new value for the array ``name``, to be found in the updates that ``apply`` returns.

        The parameters themselves stay as they are, and the last report counts.

        Raises:
            ValueError: There is no such array, or it has another shape or dtype; the layer was called without ``apply``;
                or the value belongs to a transformation that the view was not given to as an argument.
        """
        context = self._context
        if context.updates is None:
            raise ValueError(f"an update of {name!r} has nowhere to go: call the model by apply, which returns updates")
        old = self[name]
        for what in ("shape", "dtype"):
            ours, theirs = getattr(value, what, None), getattr(old, what, None)
            if ours != theirs:
                raise ValueError(f"an update of {name!r} must keep its {what} {theirs}, got {ours}")
        if context.precision is not None:
            value = value.astype(at(self._params, (name,)).dtype)
        self.report({(name,): value})

    def with_precision(self, precision: Any) -> View:
        """Return the same view for layers that compute in other dtypes."""
        return View(self._params, self._keys, self._context.like(precision=precision))

    def replace(self, params: Any) -> View:
        """Return a view of other parameters at the same place, in the same context."""
        return View(params, self._keys, self._context)

    def tied(self, params: Any, ties: dict[Keys, Keys]) -> View:
        """Return a view of other parameters in which an update of a tied place, by path below, goes to its source."""
        keys, context = self._keys, self._context
        own = {keys + place: keys + source for place, source in ties.items()}
        return View(
            params, keys, context.like(ties={**context.ties, **{p: context.ties.get(s, s) for p, s in own.items()}})
        )

    def contents(self) -> Any:
        """The parameters, for a transformation that the view is given to."""
        params, keys, context = self._params, self._keys, self._context
        if not context.updates:
            return params
        places = {place: place for place in context.updates} | context.ties
        for place, source in places.items():
            below = place[len(keys) :]
            if place[: len(keys)] == keys and source in context.updates:
                old, new = context.updates[source]
                if at(self._params, below) is old:
                    params = tree.set(params, tree.join_path(below), new)
        return params

    def entered(self, contents: Any, rehearsal: bool = False) -> View:
        """The view inside a transformation."""
        outer = self._context
        context = Context(outer.training, outer.key, None if outer.updates is None else {}, outer)
        context.draws, context.ties = outer.draws, outer.ties_below(self._keys)
        depth = len(self._keys)
        context.watches = tuple([watch.entered(self._params, contents, rehearsal) for watch in outer.watches])
        for place, source in context.ties.items():  # one array again, which a transformation has made two of
            contents = tree.set(contents, tree.join_path(place[depth:]), at(contents, source[depth:]))
        return View(contents, self._keys, context)

    def at_step(self, step: fn.array) -> View:
        """The view at one step of a loop: it draws other random numbers at each."""
        context = self._context
        return (
            self
            if context.key is None
            else View(self._params, self._keys, context.like(key=random.fold_in(context.key, step)))
        )

    def reports(self) -> Reports:
        """The updates reported inside, by path below this view, and what watches have seen."""
        reports = self._updates()
        for i, watch in enumerate(self._context.watches):
            reports |= watch.reports(i, len(self._keys))
        return reports

    def _updates(self) -> Reports:
        depth = len(self._keys)
        return {keys[depth:]: new for keys, (_, new) in (self._context.updates or {}).items()}

    def report(self, reports: Reports) -> None:
        """Add updates by path below this view."""
        context = self._context
        outputs = {below: value for below, value in reports.items() if isinstance(below[-1], Output)}
        for i, watch in enumerate(context.watches):
            watch.report(self._keys, {below: value for below, value in outputs.items() if below[-1].watch == i})
        for below, value in reports.items():
            if below in outputs:
                continue
            if fn._core.transforms.trace_of(value) > context.trace:
                raise ValueError(
                    f"an update of {tree.join_path(below)!r} was computed inside a transformed function (vmap, "
                    "checkpoint, grad, ...) that the view was not an argument of; pass the view itself, as in "
                    'fn.checkpoint(self.block)(params["block"], x) and fn.cond(p, self.block, other, params["block"], x), '
                    'or with the elements of a scan over stacked parameters, fn.scan(step, x, params["blocks"]). No update '
                    "leaves the carry of a loop, nor a part that is compiled by itself: compile the whole step"
                )
            if context.updates is not None:
                place = self._keys + below
                context.updates[context.ties.get(place, place)] = (at(self._params, below), value)

    def updates_of(self, context: Context) -> Reports:
        """The updates that a call with this view reported, by path below it, checked against what they replace."""
        found = View(self._params, self._keys, context)._updates()
        for below, value in found.items():
            ours, theirs = at(self._params, below), value
            if getattr(ours, "shape", None) != getattr(theirs, "shape", None):
                raise ValueError(
                    f"an update of {tree.join_path(below)!r} has shape {theirs.shape}, the parameter {ours.shape}: a layer "
                    "was called with a part of it; map over the view with fn.vmap or fn.scan, which put updates together"
                )
        return found

    def __getitem__(self, name: Any) -> Any:
        try:
            child = self._params[name]
        except (LookupError, TypeError):
            raise KeyError(self._missing(name)) from None
        context = self._context
        if type(child) is fn.array and not context.updates and context.precision is None:
            return child
        if isinstance(name, int) and not isinstance(self._params, _DICTS):
            name = range(len(self._params))[name]
            name = getattr(self._params, "_fields", range(len(self._params)))[name]
        place = (*self._keys, name)
        if _holds_parameters(child):
            return View(child, place, context)
        if context.updates:
            old, new = context.updates.get(context.ties.get(place, place), (None, None))
            if old is child:
                child = new
        if context.precision is not None:
            return context.precision.parameter(place, child)
        return child

    def _missing(self, name: Any) -> str:
        if not _holds_parameters(self._params):
            got = "an array" if isinstance(self._params, fn.array) else f"a {type(self._params).__name__}"
            return f"expected parameters with {name!r}, got {got}"
        there = list(self._params) if isinstance(self._params, _DICTS) else range(len(self._params))
        return f"no parameter {name!r}; there are {', '.join(map(repr, there)) or 'none'}"

    def get(self, name: Any, default: Any = None) -> Any:
        """Return the parameter or view of this name, or ``default``."""
        return self[name] if name in self.keys() else default

    def __contains__(self, name: Any) -> bool:
        return name in self.keys()

    def __len__(self) -> int:
        return len(self._params)

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self._params, _DICTS):
            return iter(self._params)
        return (self[i] for i in range(len(self._params)))

    def keys(self) -> Any:
        """The names, or the indices of a tuple."""
        return self._params.keys() if isinstance(self._params, _DICTS) else range(len(self._params))

    def values(self) -> list[Any]:
        """The parameters and views."""
        return [self[name] for name in self.keys()]

    def items(self) -> list[tuple[Any, Any]]:
        """The names with the parameters and views."""
        return [(name, self[name]) for name in self.keys()]

    def __repr__(self) -> str:
        mode = "training" if self.training else "inference"
        return f"<View of {self.path or 'the root'}, {mode}: {self._params!r}>"


tree.register_node(
    View,
    lambda view: ((view.contents(),), (view._keys, view._context)),
    lambda where, children: View(children[0], *where),
    ("params",),
)


def nested(updates: dict[tuple[Any, ...], Any]) -> frozendict[Any, Any]:
    """Make the sparse tree of updates from their paths."""
    root: dict[Any, Any] = {}
    for keys, value in updates.items():
        node = root
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        node[keys[-1]] = value

    def freeze(node: Any) -> Any:
        return frozendict({key: freeze(child) for key, child in node.items()}) if isinstance(node, dict) else node

    frozen: frozendict[Any, Any] = freeze(root)
    return frozen

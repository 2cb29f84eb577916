"""What a model consists of and costs, found by tracing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._carriers import Reports

from ._layer import Layer
from ._parameters import distinct
from ._table import Row, Table
from ._tie import trainable
from ._view import Context, Keys, View, at


def _arrays(nest: Any) -> list[fn.array]:
    return [leaf for leaf in tree.leaves(nest) if isinstance(leaf, fn.array)]


def _shapes(nest: Any) -> Any:
    return tree.map(lambda x: fn.ShapeDtypeStruct(x.shape, x.dtype) if isinstance(x, fn.array) else x, nest)


@attrs.define
class _Call:
    """What is known of a layer."""

    layer: Layer
    output: Any = None
    calls: int = 0
    flops: float = 0.0
    moved: float = 0.0


class _Ledger:
    """What all watches of one table share."""

    def __init__(self) -> None:
        self.found: dict[Keys, _Call] = {}
        self.active: set[Keys] = set()
        self.known: dict[Any, tuple[float, float]] = {}
        self.measuring = False

    def effort(self, layer: Layer, view: View, args: Any, kwargs: Any) -> tuple[float, float]:
        """The operations and bytes of a call by itself. Equal layers on equal shapes are measured once."""
        context = view._context
        leaves, treedef = tree.flatten((view.contents(), args, kwargs, context.key))
        places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, fn.array)]
        shapes, dtypes = [leaves[i].shape for i in places], [leaves[i].dtype for i in places]
        rest = [None if isinstance(leaf, fn.array) else leaf for leaf in leaves]
        key: Any = (layer, treedef, tuple(shapes), tuple(dtypes), tuple(rest), context.training, context.precision)
        try:
            if key in self.known:
                return self.known[key]
        except TypeError:
            key = None

        def call(arrays: list[fn.array]) -> list[fn.array]:
            given = list(leaves)
            for i, x in zip(places, arrays, strict=True):
                given[i] = x
            params, args, kwargs, key = treedef.unflatten(given)
            inner = Context(context.training, key, {}, context)
            y = layer(View(params, view._keys, inner), *args, **kwargs)
            return _arrays((y, [new for _, new in (inner.updates or {}).values()]))

        self.measuring = True
        try:
            effort: tuple[float, float] = fn._core._effort(call, shapes, dtypes)
        finally:
            self.measuring = False
        if key is not None:
            self.known[key] = effort
        return effort


class _Watch:
    """Writes into a ledger what is called, as a context has it."""

    def __init__(self, ledger: _Ledger, times: int = 1, silent: bool = False) -> None:
        self.ledger = ledger
        self.times = times
        self.silent = silent

    def call(self, run: Callable[..., Any], layer: Layer, view: View, args: Any, kwargs: Any) -> Any:
        """Call a layer, and note what it returns."""
        ledger, keys = self.ledger, view._keys
        if ledger.measuring or self.silent or keys in ledger.active:
            return run(view, *args, **kwargs)
        entry = ledger.found.setdefault(keys, _Call(layer))
        ledger.active.add(keys)
        try:
            flops, moved = ledger.effort(layer, view, args, kwargs)
            y = run(view, *args, **kwargs)
        finally:
            ledger.active.discard(keys)
        if not entry.calls:
            entry.output = _shapes(y)
        entry.calls += self.times
        entry.flops += flops * self.times
        entry.moved += moved * self.times
        return y

    def entered(self, outside: Any, inside: Any, rehearsal: bool) -> _Watch:
        """The same inside a transformation, which calls as often as the parameters are longer outside."""
        sizes = [next((x.size for x in tree.leaves(nest) if isinstance(x, fn.array)), 0) for nest in (outside, inside)]
        times = max(sizes[0] // sizes[1], 1) if all(sizes) else 1
        return _Watch(self.ledger, self.times * times, self.silent or rehearsal)

    def reports(self, watch: int, depth: int) -> Reports:
        """Nothing has to leave a transformation."""
        return {}

    def report(self, above: Keys, reports: Reports) -> None:
        """Nothing leaves a transformation."""


def tabulate(f: Callable[..., Any], params: Any, *args: Any, **kwargs: Any) -> Table:
    """List the layers of a model that a call calls: paths, outputs, parameters and costs.

    The model is traced, and its arithmetic is not run: parameters and inputs may be ``fn.ShapeDtypeStruct`` (as
    ``fn.eval_shape(model.init, key)`` gives them), and sizes do not matter. The table prints as text; in a notebook it is a
    tree to open, with summaries of the arrays.

    Args:
        f: A layer, or a function of parameters and inputs that calls one: ``model.apply``, to see what training costs.
        params: The parameters.
        args: The inputs, with `kwargs`.

    Returns:
        A ``Table``, whose ``rows`` are in the order of the first calls. Each has

        - ``path`` and ``layer``; a layer around another without a name of its own has one row with it;
        - ``output``: what the first call returns, with ``fn.ShapeDtypeStruct`` in place of arrays. Within ``scan_layers``, ``vmap``
          and the like that is what one step or member returns;
        - ``calls``: how often it is called, by all steps and members;
        - ``parameters`` and ``bytes`` of all that is at the path and below. What is tied counts where it is stored;
        - ``flops`` and ``moved``: the operations of all its calls, parts included, and the bytes that they read and write
          when each is planned by itself. Of ``fn.cond`` both branches count.

        ``total`` is a row of the whole, in which an array that stands in several places counts once.

    Raises:
        TracedValueError: The model needs the value of an array.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> params = model.init(random.key(0))
    >>> table = nn.tabulate(model, params, fn.ones((3, 4)))
    >>> print(table)
    path      layer         output         parameters  bytes     flops  moved
    -------------------------------------------------------------------------
              Sequential    float32[3, 2]          58  232 B  342 flop  500 B
    layers.0  Linear(4, 8)  float32[3, 8]          40  160 B  216 flop  304 B
    layers.1  ReLU()        float32[3, 8]           0    0 B   24 flop  196 B
    layers.2  Linear(8, 2)  float32[3, 2]          18   72 B  102 flop  192 B
    -------------------------------------------------------------------------
    total                                          58  232 B  342 flop  500 B
    >>> table.rows[1].path, table.rows[1].parameters
    ('layers.0', 40)
    """
    if not callable(f):
        raise TypeError(f"tabulate: expected a layer or a function of parameters first, got {f!r}")
    ledger = _Ledger()

    def run(params: Any, args: Any, kwargs: Any) -> list[fn.array]:
        context = Context(False, None, None).like(watches=(_Watch(ledger),))
        return _arrays(f(View(params, (), context), *args, **kwargs))

    fn.eval_shape(run, params, args, kwargs)
    rows = []
    for keys, entry in ledger.found.items():
        held = distinct(at(params, keys))
        rows.append(
            Row(
                tree.join_path(keys),
                entry.layer,
                entry.output,
                entry.calls,
                sum(x.size for x in held),
                sum(x.size * x.dtype.size for x in held),
                int(entry.flops),
                int(entry.moved),
            )
        )
    model = f if isinstance(f, Layer) else getattr(f, "__self__", None)
    trained = None
    if isinstance(model, Layer):
        trained = sum(x.size for x in distinct(tree.filter(params, trainable(model))))
    outer = [row for keys, row in zip(ledger.found, rows, strict=True) if not _within(keys, ledger.found)]
    held = distinct(params)
    total = Row(
        "total",
        model,
        None,
        1,
        sum(x.size for x in held),
        sum(x.size * x.dtype.size for x in held),
        sum(row.flops for row in outer),
        sum(row.moved for row in outer),
    )
    return Table(tuple(rows), total, trained, params)


def _within(keys: Keys, others: dict[Keys, Any]) -> bool:
    return any(keys[:depth] in others for depth in range(len(keys)))

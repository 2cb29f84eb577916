"""Tables of layers, as text and as a tree in a notebook."""

from __future__ import annotations

import html
from typing import Any

import attrs

import funcnn as fn
from funcnn import tree

from ._layer import Layer
from ._parameters import distinct

_HEAD = ("path", "layer", "output", "parameters", "bytes", "flops", "moved")


def amount(x: float, unit: str = "") -> str:
    """A number with a prefix: ``12.3 M``."""
    for prefix in ("", "k", "M", "G", "T", "P"):
        if abs(x) < 999.5 or prefix == "P":
            break
        x /= 1000
    digits = f"{x:.3g}" if abs(x) >= 1 or not x else f"{x:.2g}"
    return f"{digits} {prefix}{unit}".rstrip()


def _label(layer: Any) -> str:
    """A layer in a few words: all of it if it has no parts, else its kind and what it wraps."""
    if not isinstance(layer, Layer):
        return ""
    wraps = type(layer)._wraps
    if wraps is not None:
        name = repr(layer).partition("(")[0]
        inner = getattr(layer, wraps)
        n = getattr(layer, "n", None)
        return f"{name}({_label(inner)}{'' if n is None else f', {n}'})"
    text = repr(layer)
    parts = list(layer._layers())
    return text if len(parts) == 1 and len(text) <= 40 and "\n" not in text else type(layer).__name__


def _brief(x: Any) -> str:
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return f"{x.dtype}{list(x.shape)}"
    if isinstance(x, (tuple, list)):
        return f"({', '.join(map(_brief, x))}{',' if len(x) == 1 else ''})"
    if isinstance(x, (dict, fn.frozendict)):
        return "{" + ", ".join(f"{key}: {_brief(item)}" for key, item in x.items()) + "}"
    return "" if x is None else type(x).__name__


@attrs.frozen
class Row:
    """One layer of a table; see ``nn.tabulate``."""

    path: str
    layer: Any
    output: Any
    calls: int
    parameters: int
    bytes: int
    flops: int
    moved: int

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        label = _label(self.layer) + (f" x{self.calls}" if self.calls > 1 else "")
        return (
            self.path,
            label,
            _brief(self.output),
            f"{self.parameters:,}",
            amount(self.bytes, "B"),
            amount(self.flops, "flop"),
            amount(self.moved, "B"),
        )


@attrs.frozen(repr=False)
class Table:
    """The layers of a model; see ``nn.tabulate``.

    Attributes:
        rows: A ``Row`` for each layer, in the order of the first calls.
        total: A row of the whole model.
        trained: How many parameters are trained, where the model is known.
    """

    rows: tuple[Row, ...]
    total: Row
    trained: int | None
    params: Any = attrs.field(eq=False)

    def __str__(self) -> str:
        last = ("total", "", "", *self.total.cells()[3:])
        cells = [_HEAD, *(row.cells() for row in self.rows), last]
        widths = [max(len(row[i]) for row in cells) for i in range(len(_HEAD))]

        def line(row: tuple[str, ...]) -> str:
            texts = [
                text.ljust(width) if i < 3 else text.rjust(width)
                for i, (text, width) in enumerate(zip(row, widths, strict=True))
            ]
            return "  ".join(texts).rstrip()

        lines = [line(row) for row in cells]
        rule = "-" * max(map(len, lines))
        note = [] if self.trained in (None, self.total.parameters) else [f"trained: {self.trained:,}"]
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], *note])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        rows = {tree.split_path(row.path): row for row in self.rows}
        shown: set[int] = set()
        body = _node(self.params, (), rows, shown)
        cells = self.total.cells()[3:]
        note = "" if self.trained is None else f", {self.trained:,} trained"
        total = f"total: {cells[0]} parameters ({cells[1]}){note}; {cells[2]}, {cells[3]} moved"
        return f"<div><code>{html.escape(total)}</code>{body}</div>"


def _node(params: Any, keys: tuple[str, ...], rows: dict[tuple[str, ...], Row], shown: set[int]) -> str:
    """A part of the tree: what is known of the layer, its arrays and its parts."""
    opened = fn._core.tree_children(params)
    items = [(fn._core.tree_key_text(key), child) for key, child in zip(*(opened or ([], [])), strict=True)]
    texts = []
    for name, child in items:
        if fn._core.tree_children(child) is not None:
            texts.append(_node(child, (*keys, name), rows, shown))
        elif hasattr(child, "shape"):
            again = " (shown above)" if id(child) in shown else ""
            shown.add(id(child))
            texts.append(f"<div><code>{html.escape(f'{name}: {_summary(child)}{again}')}</code></div>")
    row = rows.get(keys)
    if row is None:
        count = sum(x.size for x in distinct(params))
        title = f"{keys[-1] if keys else ''}: {count:,} parameters"
    else:
        cells = row.cells()
        title = f"{keys[-1] if keys else ''} {cells[1]} → {cells[2]}; {cells[3]} parameters ({cells[4]}), {cells[5]}, {cells[6]}"
    opens = " open" if len(keys) < 2 else ""
    style = "margin-left: 1.5em" if keys else ""
    head = f"<code>{html.escape(title.strip())}</code>"
    if not texts:
        return f'<div style="{style}">{head}</div>'
    inner = f'<div style="margin-left: 1.5em">{"".join(texts)}</div>'
    return f'<details{opens} style="{style}"><summary>{head}</summary>{inner}</details>'


def _summary(x: Any) -> str:
    """An array in a line; with its values where they are known."""
    text = _brief(x)
    if not isinstance(x, fn.array) or fn._core.transforms.is_traced(x) or not x.size:
        return text
    if not fn.isdtype(x.dtype, "real floating"):
        return text
    wide = x.astype(fn.promote_types(x.dtype, fn.float32))
    finite = fn.isfinite(wide)
    bad = x.size - int(fn.sum(finite).item())
    if bad:
        return f"{text}, {bad:,} not finite"
    low, high, mean, deviation = (float(v.item()) for v in (fn.min(wide), fn.max(wide), fn.mean(wide), fn.std(wide)))
    return f"{text}, {mean:.3g} ± {deviation:.3g}, {low:.3g} to {high:.3g}"

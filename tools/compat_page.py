"""Write `docs/compat.md`: every name of MLX, and whether the shim has it as it is there.

    .venv/bin/python tools/compat_page.py

The names are in `compat_names.json` (see `compat_names.py`), the differences in `compat_differences.py`.
"""

from __future__ import annotations

import importlib
import json
import pathlib
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from compat_differences import DIFFERENCES
from compat_names import CLASSES, PATH

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "compat.md"
HEAD = """\
# The names of MLX

Every public name of mlx {version}, and whether `funcnn.compat` has it as MLX does. This page is written by
`python tools/compat_page.py`; a test holds it against the library, and another calls every function on both.

What holds throughout:

- **More is taken.** Where MLX wants an array, numbers and nested lists are mostly taken, too, and keywords where MLX wants
  places. What MLX takes works.
- **Errors** are of MLX's classes: mostly ValueError, TypeError for a call that fits no signature. Where an argument has a type
  that makes no sense at all, such as a text in the place of an array, it is TypeError here and may be another class there.
  An axis out of range raises a class that is a ValueError and an IndexError.
- **Streams.** `stream=` is taken by every operation; an operation of a stream runs on its device. Work of one device runs in
  one order, and arrays and streams may cross threads.
- **Out of bounds.** Nothing is read or written out of bounds, where MLX does not check indices.
- **Rounding** differs in the last bits. Random integers, and uniform numbers, are equal bit for bit.
"""


def missing(names: dict[str, list[str]]) -> list[str]:
    """The names that the shim does not have."""
    found = []
    for group, members in names.items():
        of = _group(group)
        found += [f"{group}.{name}" for name in members if not hasattr(of, name)]
    return found


def _group(path: str) -> Any:
    """The module or class of the shim, or None where there is none."""
    module, _, name = path.rpartition(".")
    try:
        if path not in CLASSES:
            return importlib.import_module(f"funcnn.compat.{path}")
        return getattr(importlib.import_module(f"funcnn.compat.{module}"), name, None)
    except ModuleNotFoundError:
        return None


def page(frozen: dict[str, Any]) -> str:
    """The text of the page."""
    names = {group: members for group, members in frozen.items() if group != "version"}
    known = {f"{group}.{name}" for group, members in names.items() for name in members}
    if unknown := sorted({*DIFFERENCES} - known):
        raise SystemExit(f"compat_differences.py: MLX has no {', '.join(unknown)}")
    parts = [HEAD.format(version=frozen["version"])]
    for group, members in names.items():
        same = [name for name in members if f"{group}.{name}" not in DIFFERENCES]
        other = [name for name in members if f"{group}.{name}" in DIFFERENCES]
        parts.append(f"## mlx.{group}\n")
        if same:
            parts.append(_wrapped("Same: " + ", ".join(f"`{name}`" for name in same) + ".") + "\n")
        if other:
            rows = [f"| `{name}` | differs | {DIFFERENCES[f'{group}.{name}']} |" for name in other]
            parts.append("\n".join(["| Name | State | How and why |", "|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _wrapped(text: str) -> str:
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) > 118:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(json.loads(PATH.read_text())))


if __name__ == "__main__":
    main()

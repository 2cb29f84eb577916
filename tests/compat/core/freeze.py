"""Write `answers.json`: what MLX gives for a part of the calls, and which calls go further here than in MLX.

PYTHONPATH=...where mlx is... .venv/bin/python -m tests.compat.core.freeze
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

from tests.compat.core.calls_expressions import EXPRESSIONS
from tests.compat.core.differences import reason
from tests.compat.core.outcome import outcomes, same
from tests.compat.core.table import TABLE

PATH = pathlib.Path(__file__).parent / "answers.json"


def kind(theirs: Any, ours: Any) -> str | None:
    """What sort of difference there is: none, 'wider' (MLX refuses the call), 'error' (another class), or 'other'."""
    if same(theirs, ours):
        return None
    if isinstance(theirs, dict) and "error" in theirs:
        return "error" if isinstance(ours, dict) and "error" in ours else "wider"
    return "other"


def chosen() -> list[str]:
    """The calls whose answers are frozen: every fifth of each function, from the first on, and all other expressions."""
    return [*(f"mx.{name}{call}" for name, calls in TABLE.items() for call in calls[::5]), *EXPRESSIONS]


def main() -> None:
    """Compare both libraries; refuse to write where a difference has no reason."""
    import mlx.core as mlx

    import funcnn.compat.core as ours

    a, b = outcomes(mlx), outcomes(ours)
    found: dict[str, list[str]] = {"wider": [], "error": [], "other": []}
    for text in a:
        if sort := kind(a[text], b[text]):
            found[sort].append(text)
    unexplained = [text for text in found["other"] if reason(text) is None]
    for text in unexplained:
        print(text, json.dumps(a[text])[:300], json.dumps(b[text])[:300], sep="\n    ")
    if unexplained:
        raise SystemExit(f"{len(unexplained)} differences without a reason in differences.py")
    answers = {text: a[text] for text in chosen()}
    lines = [f"{json.dumps(text)}: {json.dumps(answer, separators=(',', ':'))}" for text, answer in answers.items()]
    listed = [f'"{sort}": [\n{_lines(found[sort])}\n]' for sort in ("wider", "error")]
    body = ",\n".join([*listed, '"answers": {\n' + ",\n".join(lines) + "\n}"])
    PATH.write_text("{\n" + f'"mlx": "{mlx.__version__}",\n{body}\n' + "}\n")


def _lines(texts: list[str]) -> str:
    return ",\n".join(json.dumps(text) for text in texts)


if __name__ == "__main__":
    main()

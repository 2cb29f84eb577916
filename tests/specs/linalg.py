"""Linear algebra."""

from __future__ import annotations

from specs.rows import Op

ROWS: list[Op] = []

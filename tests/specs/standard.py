"""Further names of the array API standard and of MLX."""

from __future__ import annotations

from specs.rows import Op

ROWS: list[Op] = []

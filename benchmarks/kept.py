"""Rows in a file as they are measured, for a run that takes long: what it had is not measured again after an interruption."""

from __future__ import annotations

import contextlib
import os
import pathlib
import pickle
from typing import Any


def replace(file: pathlib.Path, content: bytes) -> None:
    """Whoever reads the file finds what it had or all of this."""
    beside = file.with_name(file.name + ".part")
    beside.write_bytes(content)
    os.replace(beside, file)


class Kept:
    """Rows by how they were measured; without a file they are forgotten with the process."""

    def __init__(self, file: pathlib.Path | None):
        self.file = file
        self.rows: dict[Any, Any] = {}
        if file is not None:
            with contextlib.suppress(FileNotFoundError):
                self.rows = pickle.loads(file.read_bytes())

    def get(self, how: Any) -> Any | None:
        return self.rows.get(how)

    def add(self, how: Any, row: Any) -> None:
        self.rows[how] = row
        if self.file is not None:
            replace(self.file, pickle.dumps(self.rows))

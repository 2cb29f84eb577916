"""Files as memory."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import BinaryIO

# Files of at most so many bytes are read at once.
_read_up_to: ContextVar[int] = ContextVar("read_up_to", default=0)


@contextmanager
def reading_up_to(size: int) -> Iterator[None]:
    """Within this, files of at most `size` bytes are read: what is written into them later changes no array."""
    before = _read_up_to.set(size)
    try:
        yield
    finally:
        _read_up_to.reset(before)


def mapped(file: BinaryIO) -> memoryview:
    """The bytes of a file, which are read when they are used.

    The mapping lives as long as anything made of it, whatever becomes of the file's name. Windows does not let a mapped
    file be replaced, so there it is read.
    """
    size = os.fstat(file.fileno()).st_size
    if sys.platform == "win32" or size <= _read_up_to.get():
        place = file.tell()
        file.seek(0)
        content = file.read()
        file.seek(place)
        return memoryview(content)
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

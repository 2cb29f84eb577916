"""Files as memory."""

from __future__ import annotations

import mmap
import os
import sys
from typing import BinaryIO


def mapped(file: BinaryIO) -> memoryview:
    """The bytes of a file, which are read when they are used.

    The mapping lives as long as anything made of it, whatever becomes of the file's name. Windows does not let a mapped
    file be replaced, so there it is read.
    """
    if sys.platform == "win32" or os.fstat(file.fileno()).st_size == 0:
        file.seek(0)
        return memoryview(file.read())
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

"""In a build with the address sanitizer, what lies behind an array and what was freed is out of bounds, though the pool
has the memory."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    "address" not in os.environ.get("FUNCNN_SANITIZED", ""), reason="a build with the address sanitizer"
)

ARRAY = """
import ctypes
import numpy as np
import funcnn as fn

x = fn.array(np.arange(5, dtype=np.float32)) * 2
address = np.asarray(x).ctypes.data
"""
READS = {
    "within": ("ctypes.string_at(address, 20)", False),
    "behind": ("ctypes.string_at(address, 21)", True),
    "freed": ("del x; ctypes.string_at(address, 20)", True),
    "used again": ("del x; y = fn.array(np.arange(6, dtype=np.float32)) * 2; np.asarray(y).tobytes()", False),
}


@pytest.mark.parametrize("name", READS)
def test_reads(name: str) -> None:
    code, refused = READS[name]
    ended = subprocess.run([sys.executable, "-c", ARRAY + code], capture_output=True, text=True)
    assert ("use-after-poison" in ended.stderr) == refused, ended.stderr
    assert (ended.returncode != 0) == refused


# What else the process maps may come to lie where a large array was, and belongs to somebody else.
ELSEWHERE = """
import mmap
import funcnn as fn

SIZE = 8 << 20
for _ in range(8):
    x = fn.full((SIZE // 4,), 1.5) * 2
    fn.eval(x)
    del x
    fn.clear_cache()
    room = mmap.mmap(-1, SIZE)
    room.write(bytes(SIZE))
"""


def test_memory_returned_to_the_system_is_not_watched() -> None:
    ended = subprocess.run([sys.executable, "-c", ELSEWHERE], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr

"""What the numbers in GGUF files mean: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md."""

from __future__ import annotations

import funcnn as fn

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT = 32
MOST_GGUF_AXES = 4
LONGEST_GGUF_NAME = 64

# Tensors.
GGUF_DTYPES = {
    0: fn.float32,
    1: fn.float16,
    24: fn.int8,
    25: fn.int16,
    26: fn.int32,
    27: fn.int64,
    28: fn.float64,
    30: fn.bfloat16,
}
Q4_0, Q4_1, Q8_0 = 2, 3, 8
# Elements of a block, and its bytes.
AFFINE_BLOCKS = {Q4_0: (32, 18), Q4_1: (32, 20), Q8_0: (32, 34)}
# Those that are unpacked: their names, elements of a block, and its bytes.
DENSE_BLOCKS = {
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
}

# Metadata: the code of struct and the dtype.
VALUES = {
    0: ("B", fn.uint8),
    1: ("b", fn.int8),
    2: ("H", fn.uint16),
    3: ("h", fn.int16),
    4: ("I", fn.uint32),
    5: ("i", fn.int32),
    6: ("f", fn.float32),
    7: ("?", fn.bool_),
    10: ("Q", fn.uint64),
    11: ("q", fn.int64),
    12: ("d", fn.float64),
}
VALUE_CODES = {dtype: code for code, (_, dtype) in VALUES.items()}
TEXT, LIST = 8, 9

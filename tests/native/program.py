"""KernelPrograms spelled out in Python, run on NumPy arrays by the CPU interpreter."""

import functools

import numpy as np

from funcnn import _core


class Builder:
    """Collects instructions; every method that makes a value returns its number."""

    def __init__(self, rows, cols, bands=1):
        self.rows, self.cols, self.bands = rows, cols, bands
        self.accesses, self.code, self.operands = [], [], 0
        self.info = []  # (space, dtype) of every instruction

    def _push(self, kind, name, space, dtype, args=(), access=-1):
        self.code.append((kind, name, space, dtype, list(args), access))
        self.info.append((space, dtype))
        return len(self.code) - 1

    def _count(self, space):
        return {"scalar": 1, "row": self.rows, "element": self.rows * self.cols}[space]

    def _access(self, dtype, space, shape, strides, offset, operand):
        if shape is None:
            shape, strides = ([], []) if space == "scalar" else ([self._count(space)], [1])
        if operand is None:
            operand = self.operands
            self.operands += 1
        self.accesses.append((operand, dtype, offset, list(shape), list(strides)))
        return len(self.accesses) - 1

    def load(self, dtype, space="element", shape=None, strides=None, offset=0, operand=None):
        access = self._access(dtype, space, shape, strides, offset, operand)
        register = "float32" if dtype in ("float16", "bfloat16") else dtype
        return self._push("load", "", space, register, access=access)

    def compute(self, name, *args, dtype=None, space=None):
        if space is None:
            order = ["scalar", "row", "element"]
            space = order[max(order.index(self.info[a][0]) for a in args)]
        return self._push("compute", name, space, dtype or self.info[args[0]][1], args)

    def index(self, dtype):
        return self._push("index", "", "element", dtype)

    def reduce_row(self, name, a):
        return self._push("reduce_row", name, "row", self.info[a][1], [a])

    def reduce_col(self, name, a, dtype=None):
        dtype = dtype or self.info[a][1]
        access = self._access(dtype, "column", [self.bands * self.cols], [1], 0, None)
        return self._push("reduce_col", name, "element", self.info[a][1], [a], access)

    def store(self, a, dtype=None, space=None, shape=None, strides=None, offset=0):
        space = space or self.info[a][0]
        access = self._access(dtype or self.info[a][1], space, shape, strides, offset, None)
        return self._push("store", "", space, self.info[a][1], [a], access)

    def build(self):
        return _core._Program(
            {
                "rows": self.rows,
                "cols": self.cols,
                "bands": self.bands,
                "operands": self.operands,
                "accesses": self.accesses,
                "code": self.code,
            }
        )


def run(program, *arrays, repeat=1):
    program.run(arrays, repeat)


@functools.lru_cache(maxsize=64)
def _unary_program(name, size, dtype, out_dtype, instruction_set):
    b = Builder(1, size)
    b.store(b.compute(name, b.load(dtype), dtype=out_dtype))
    return b.build()


def unary(name, x, out_dtype=None):
    dtype = x.dtype.name
    program = _unary_program(name, x.size, dtype, out_dtype or dtype, _core._instruction_set())
    out = np.empty(x.size, out_dtype or dtype)
    run(program, np.ascontiguousarray(x), out)
    return out.reshape(x.shape)


def binary(name, x, y, out_dtype=None, repeat=None):
    """`repeat`: 'x' or 'y' is one value."""
    b = Builder(1, max(x.size, y.size))
    dtype = x.dtype.name
    i = b.load(dtype, "scalar" if repeat == "x" else "element")
    j = b.load(dtype, "scalar" if repeat == "y" else "element")
    b.store(b.compute(name, i, j, dtype=out_dtype or dtype, space="element"))
    out = np.empty(max(x.size, y.size), out_dtype or dtype)
    run(b.build(), np.ascontiguousarray(x), np.ascontiguousarray(y), out)
    return out

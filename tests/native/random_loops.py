"""Random loops of the code generator over every operation, and what their memory holds before and after."""

import struct

import numpy as np

BYTES = {"bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "bfloat16": 2, "int32": 4}
BYTES |= {"uint32": 4, "float32": 4, "int64": 8, "uint64": 8, "float64": 8}


def elements(walk, rows, cols):
    return {"element": rows * cols, "column": cols, "row": rows, "scalar": 1}[walk]


def samples(dtype, n, rng, small=False):
    if dtype == "bool":
        return rng.integers(0, 2, n).astype(np.uint8).tobytes()
    if dtype.startswith(("int", "uint")):
        info = np.iinfo(dtype)
        x = rng.integers(info.min, info.max, n, dtype=dtype, endpoint=True)
        few = rng.integers(-3 if info.min else 0, 4, n).astype(dtype)
        return np.where(rng.random(n) < 0.5, few, x).tobytes()
    wide = np.float64 if dtype == "float64" else np.float32
    x = (rng.normal(size=n) * np.exp(rng.uniform(-2, 2 if small else 30, n))).astype(wide)
    edges = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, 2.5, -2.5, 1e-40, -1e30, 65504, 3e38], wide)
    if not small:
        x = np.where(rng.random(n) < 0.3, rng.choice(edges, n), x)
    if dtype == "bfloat16":
        return (x.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    with np.errstate(over="ignore"):
        return x.astype(dtype).tobytes()


def same_bits(got, want, dtype, stages):
    if got == want:
        return
    bits = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}[BYTES[dtype]]
    a, b = np.frombuffer(got, bits), np.frombuffer(want, bits)
    wrong = a != b
    if "float" in dtype:  # a NaN is a NaN
        exponent = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000, "float64": 0x7FF << 52}[dtype]
        sign = bits(1 << (8 * BYTES[dtype] - 1)) - bits(1)
        wrong &= ~(((a & sign) > bits(exponent)) & ((b & sign) > bits(exponent)))
    if wrong.any():
        i = int(np.argmax(wrong))
        nodes = "\n".join(f"{n}: {node}" for nodes, folds in stages for n, node in enumerate([*nodes, folds]))
        raise AssertionError(f"element {i} of {dtype}: {a[i]:#x}, not {b[i]:#x}\n{nodes}")


REAL = {
    "add": 2,
    "subtract": 2,
    "multiply": 2,
    "divide": 2,
    "fma": 3,
    "fms": 3,
    "fnma": 3,
    "square_root": 1,
    "least": 2,
}
REAL |= {"greatest": 2, "floor": 1, "ceil": 1, "truncate": 1, "nearest": 1}
INTEGER = {"int_add": 2, "int_subtract": 2, "int_multiply": 2, "int_least": 2, "int_greatest": 2, "uint_least": 2}
INTEGER |= {"uint_greatest": 2, "bit_and": 2, "bit_or": 2, "bit_xor": 2, "shift_left_by": 2, "shift_right_by": 2}
INTEGER |= {"shift_right_signed_by": 2, "shift_left": 1, "shift_right": 1, "shift_right_signed": 1}
COMPARE = {
    "less": "real",
    "less_equal": "real",
    "equal": "real",
    "not_equal": "real",
    "int_less": "int",
    "int_equal": "int",
}


class Lines:
    """Random lines over every operation: of values, integers that share their bits, and masks."""

    def __init__(self, rng, wide, length, choices=("select", "choose"), numbers=False):
        self.rng, self.wide, self.choices = rng, wide, choices
        self.real, self.integer = ("float64", "int64") if wide else ("float32", "int32")
        self.streams, self.stages, self.sources = [], [], []
        dtypes = [self.real, self.integer]
        dtypes += [] if wide else ["float16", "bfloat16", "int8", "uint8", "int16", "uint16"]
        for dtype in [*rng.choice(dtypes, 3), self.real]:
            self.source("load", rng.choice(["element", "element", "column"]), str(dtype))
        self.source("uniform", rng.choice(["row", "scalar"]), self.real)
        self.source("uniform", "row", self.integer)
        self.source("mask_of_load", rng.choice(["element", "row", "column"]), "bool")
        if numbers:  # of elements
            self.sources.append(("int", "index", -1))
        self.start(length)

    def source(self, what, walk, dtype):
        kind = "mask" if dtype == "bool" else "real" if "float" in dtype else "int"
        self.sources.append((kind, what, self.stream(walk, dtype)))

    def start(self, length):
        """A stage begins, with values of all that is read."""
        self.nodes, self.folds = [], []
        self.stages.append((self.nodes, self.folds))
        self.kinds = {"real": [], "int": [], "mask": []}
        for kind, what, stream in self.sources:
            self.value(kind, what, stream=stream)
        for _ in range(3):
            self.kinds["real"].append(self.value_of(self.rng.normal()))
        self.value("int", "constant", bits=int(self.rng.integers(0, 70)))
        for _ in range(length):
            self.operation()

    def stream(self, walk, dtype):
        self.streams.append((str(walk), dtype))
        return len(self.streams) - 1

    def node(self, what, args=(), stream=-1, bits=0):
        self.nodes.append((str(what), *[*args, -1, -1, -1][:3], stream, bits))
        return len(self.nodes) - 1

    def value(self, kind, what, args=(), stream=-1, bits=0):
        self.kinds[kind].append(self.node(what, args, stream, bits))

    def some(self, kind):
        # Late values keep many alive at once.
        known = self.kinds[kind]
        return int(known[int(len(known) * self.rng.beta(2, 1.2))])

    def operation(self):
        rng = self.rng
        groups = ["real", "int", "compare", "mask", "select", "convert", "branch"]
        group = rng.choice(groups, p=[0.43, 0.2, 0.1, 0.08, 0.1, 0.07, 0.02])
        if group == "real":
            what = str(rng.choice(list(REAL)))
            self.value("real", what, [self.some("real") for _ in range(REAL[what])])
        elif group == "int":
            what = str(rng.choice(list(INTEGER)))
            bits = int(rng.integers(0, 64 if self.wide else 32)) if INTEGER[what] == 1 else 0
            self.value("int", what, [self.some("int") for _ in range(INTEGER[what])], bits=bits)
        elif group == "compare":
            what = str(rng.choice(list(COMPARE)))
            self.value("mask", what, [self.some(COMPARE[what]) for _ in range(2)])
        elif group == "mask":
            what = str(rng.choice(["mask_and", "mask_or", "mask_xor", "mask_not"]))
            self.value("mask", what, [self.some("mask") for _ in range(1 if what == "mask_not" else 2)])
        elif group == "select":
            kind = str(rng.choice(["real", "int"]))
            self.value(kind, rng.choice(self.choices), [self.some("mask"), self.some(kind), self.some(kind)])
        elif group == "branch":
            self.branch(int(rng.integers(1, 40)))
        elif rng.random() < 0.5:
            self.value("real", "from_int", [self.some("int")])
        elif not self.wide and rng.random() < 0.5:
            self.value("real", "half", [self.some("real")])
        else:  # of what fits only; NaN is not greater
            clamped = self.node("greatest", [self.some("real"), self.value_of(-1e9)])
            self.value("int", "to_int", [self.node("least", [clamped, self.value_of(1e9)])])

    def branch(self, length):
        """What only the first choice reads, in vectors of which some element may want it; registers may run out."""
        rng = self.rng
        mask = self.node("less", [self.some("real"), self.value_of(rng.choice([-1e30, -1.0, 0.0, 1e30]))])
        inner = [self.some("real")]
        for _ in range(length):
            if rng.random() < 0.2:
                inner.append(self.node("select", [self.some("mask"), int(rng.choice(inner)), self.some("real")]))
            what = str(rng.choice(list(REAL)))
            args = [
                int(rng.choice(inner[-12:])) if rng.random() < 0.6 else self.some("real") for _ in range(REAL[what])
            ]
            inner.append(self.node(what, args))
        sum_of_all = inner[-1]
        for n in inner[1:-1]:
            sum_of_all = self.node("add", [sum_of_all, n])
        if rng.random() < 0.2:
            mask = self.some("mask")
        self.value("real", "seldom", [mask, sum_of_all, self.some("real")])

    def value_of(self, x):
        whole, real = ("<Q", "<d") if self.wide else ("<I", "<f")
        return self.node("constant", bits=struct.unpack(whole, struct.pack(real, x))[0])

    def store(self):
        for dtype in [self.real, self.integer] + ([] if self.wide else ["float16", "uint8", "int16"]):
            self.node("store", [self.some("real" if "float" in dtype else "int")], self.stream("element", dtype))
        self.node("mask_store", [self.kinds["mask"][-1]], self.stream("element", "bool"))
        self.node("store", [self.kinds["real"][-1]], self.stream("element", self.real))

    def reduce(self, dtype, op, squares=False):
        stream = self.stream("row", dtype)
        self.folds.append((op, squares, dtype, stream))
        self.node("reduce", [self.some("real" if "float" in dtype else "int")], len(self.folds) - 1)
        self.sources.append(("real" if "float" in dtype else "int", "uniform", stream))

    def loop(self):
        return (self.wide, self.stages, self.streams)

"""Operations written into lines for the code generator are those of the kernel tables, bit for bit."""

import numpy as np
import pytest

import instruction_sets
from funcnn import _core

# Code is generated where products are fused with sums.
FUSED = [name for name in instruction_sets.SUPPORTED if name != "baseline"]
RECORDED = _core._operations(True)
# Those with loops, and those that go another way for a few elements.
MISSING = {
    "float32": {"lgamma", "digamma", "polygamma", "make_complex"},
    "int32": {"power"},
    "uint32": {"power"},
    "uint8": {"power"},
    "bool": set(),
}


fused = instruction_sets.fixture(FUSED)


def edges(dtype):
    if dtype == "bool":
        return np.array([0, 1], np.bool_)
    t = np.dtype(dtype)
    if t.kind in "iu":
        info = np.iinfo(t)
        near = [info.min, info.max, info.max // 2, info.max // 2 + 1, 0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 33, 63, 64]
        return np.array([v for n in near for v in (n, n - 1, -n) if info.min <= v <= info.max], t)
    info = np.finfo(t)
    some = [0, 0.5, 1, 1.5, 2, 2.5, 3.7, 10, 80, 88.5, 89, 104, 127, 128.5, 150, 1e9, 2**31, 2**32, 1e-30, 1e30, 1e-40]
    some += [13.146246, 13.341882, 14.5, 87.33654, 708.3964185322641, 709.8, 745.2]  # where results become subnormal
    some += [info.max, info.tiny, info.smallest_subnormal, info.eps, 65504, 65519.99, 65520, 2**-24, 2**-25, np.pi]
    with np.errstate(over="ignore"):
        ends = np.array([*some, np.inf, np.nan], t)
        return np.concatenate([ends, -ends, np.nextafter(ends, t.type(0)), np.nextafter(ends, t.type(np.inf))])


def samples(dtype, count, rng):
    """Any bits, and numbers of usual sizes."""
    if dtype == "bool":
        return rng.integers(0, 2, count).astype(np.bool_)
    t = np.dtype(dtype)
    x = rng.integers(0, 256, count * t.itemsize, dtype=np.uint8).view(t)
    if t.kind == "f":
        x[::2] = rng.normal(size=x[::2].size) * 4.0 ** rng.integers(-6, 4, x[::2].size)
    else:
        x[::2] = rng.integers(0, 40, x[::2].size)
    return x


def operands(dtypes, rng, count=3000):
    some = [edges(d) for d in dtypes]
    if len(dtypes) == 1 and dtypes[0] == "float32":  # of all magnitudes
        some = [np.concatenate([some[0], (np.arange(0, 2**16, 5, dtype=np.uint32) << 16).view(np.float32)])]
    elif len(dtypes) == 2:
        some = [np.ascontiguousarray(a) for a in map(np.ravel, np.meshgrid(*some))]
    else:
        some = [rng.choice(e, 2000) for e in some]
    return [np.concatenate([e, samples(d, count, rng)]) for e, d in zip(some, dtypes, strict=True)]


def by_row(dtype, rng):
    """A divisor for each row."""
    x = np.concatenate([edges(dtype), samples(dtype, 50, rng)])
    return [(x, x[i : i + 1]) for i in range(x.size)]


def same_bits(a, b):
    equal = a == b if a.dtype.kind != "f" else a.view(f"u{a.itemsize}") == b.view(f"u{b.itemsize}")
    return equal if a.dtype.kind != "f" else equal | (np.isnan(a) & np.isnan(b))


def result_of(run, name, dtype, args, result):
    out = np.empty(max(a.size for a in args), result)
    run(name, dtype, list(args), out)
    return out


@pytest.mark.parametrize("name", sorted({name for name, *_ in RECORDED}))
def test_recorded_operations(fused, name):
    rng = np.random.default_rng(7)
    for _, dtype, dtypes, result in (o for o in RECORDED if o[0] == name):
        cases = by_row(dtype, rng) if name == "divide_row" else [operands(dtypes, rng)]
        for args in cases:
            want = result_of(_core._run_entry, name, dtype, args, result)
            got = result_of(_core._run_line, name, dtype, args, result)
            bad = np.flatnonzero(~same_bits(got, want))
            where = [a[bad[0] if a.size > 1 else 0] for a in args] if bad.size else None
            assert bad.size == 0, (dtype, bad.size, where, got[bad[0]], want[bad[0]])


@pytest.mark.parametrize("dtype", MISSING)
def test_what_is_recorded(fused, dtype):
    recorded = {o[0] for o in RECORDED if o[1] == dtype}
    entries = {o[0] for o in _core._operations(False) if o[1] == dtype}
    assert entries - recorded == MISSING[dtype]


CASTS = ["bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "bfloat16", "float32"]


@pytest.mark.parametrize("source", [*CASTS, "int64", "uint64", "float64"])
def test_recorded_casts(fused, source):
    rng = np.random.default_rng(8)
    stored = "uint16" if source == "bfloat16" else source
    x = np.concatenate([edges(stored), samples(stored, 3000, rng)])
    if stored in ("uint16", "float16"):
        x = np.concatenate([x, np.arange(2**16, dtype=np.uint16).view(stored)])
    targets = ["bool"] if source == "float64" else ["bool", "int64", "uint64"] if x.itemsize == 8 else CASTS
    targets = [*CASTS, "int64", "uint64", "float64"] if source == "bool" else targets
    for target in targets:
        kept = np.dtype("uint16" if target == "bfloat16" else target)
        got, want = np.empty(x.size, kept), np.empty(x.size, kept)
        _core._run_cast(target, source, x, want, False)
        _core._run_cast(target, source, x, got, True)
        equal = same_bits(got, want)
        if target == "bfloat16":
            equal |= np.isnan((got.astype(np.uint32) << 16).view(np.float32)) & np.isnan(
                (want.astype(np.uint32) << 16).view(np.float32)
            )
        bad = np.flatnonzero(~equal)
        assert bad.size == 0, (target, bad.size, x[bad[0]], got[bad[0]], want[bad[0]])


def test_operands_are_checked():
    x = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="expected 2 operands, got 1"):
        _core._run_line("add", "float32", [x], np.empty(4, np.float32))
    with pytest.raises(ValueError, match="an operand of 4 elements for 5"):
        _core._run_entry("exp", "float32", [x], np.empty(5, np.float32))
    with pytest.raises(TypeError, match="lgamma: is not recorded for float32"):
        _core._run_line("lgamma", "float32", [x], np.empty(4, np.float32))

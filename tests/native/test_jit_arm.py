"""The assembler of AArch64 against a disassembler: what it accepts means what it says."""

import collections
import random
import re
import shutil
import subprocess

import pytest

from funcnn import _core

OBJDUMP = shutil.which("aarch64-linux-gnu-objdump") or ""
needs_objdump = pytest.mark.skipif(not OBJDUMP, reason="needs aarch64-linux-gnu-objdump")
NAMES = sorted({name for name, _ in _core._arm_instructions()})


def disassemble(folder, code):
    (folder / "code.bin").write_bytes(code)
    command = [OBJDUMP, "-D", "-b", "binary", "-m", "aarch64", "-M", "no-aliases", str(folder / "code.bin")]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.findall(r"^\s*[0-9a-f]+:\t[0-9a-f]{8} \t(.*)$", out, re.MULTILINE)


def plain(text):
    """A line in one spelling: numbers decimal, no braces around lists of one, no comments."""
    text = re.sub(r"\s+", " ", re.sub(r"//.*|[{}]", "", text)).strip()
    text = re.sub(r"0x[0-9a-f]+", lambda m: str(int(m[0], 16)), text.replace("lsl #", "#"))
    return re.sub(r"(mov[nzk] .*), #0$", r"\1", text) if text.count("#") == 2 else text


ARRANGEMENTS = [(1, 16), (1, 8), (2, 16), (2, 8), (4, 16), (4, 8), (8, 16)]
# v: vectors of one arrangement, V: of any; l lane, s scalar, S another as large, g general, G as large, m address.
SHAPES = ["vvv", "vv", "vV", "vv#", "vV#", "vl", "vg", "lg", "gl", "vvv#", "v#", "vm", "sm", "gm", "sSm", "gGm", "gG#"]
SHAPES += ["gGG", "gGGG", "gG##", "g#", "g##", "g", ""]


def general(draw, bits):
    return ("general", draw.choice([f"{'x' if bits == 64 else 'w'}{draw.randrange(31)}"] * 6 + ["sp", "xzr", "wzr"]))


def random_operands(draw, shape):
    lane, size = draw.choice(ARRANGEMENTS)
    bits, scalar = draw.choice([32, 64]), draw.choice([1, 2, 4, 8, 16])
    if shape in ("vg", "lg", "gl") and draw.random() < 0.8:
        bits = 64 if lane == 8 else 32
    out = []
    for c in shape:
        if c == "v":
            out.append(("vector", draw.randrange(32), lane, size))
        elif c == "V":
            other = draw.choice([*ARRANGEMENTS, (lane * 2, 16), (lane // 2 or 1, 8)])
            out.append(("vector", draw.randrange(32), *(other if other[0] <= 8 else (8, 16))))
        elif c == "l":
            out.append(("lane", draw.randrange(32), lane, draw.randrange(16 // lane)))
        elif c in "sS":
            out.append(("scalar", draw.randrange(32), scalar))
        elif c in "gG":
            out.append(general(draw, bits))
        elif c == "m":
            base = draw.choice([f"x{draw.randrange(31)}", "sp"])
            index = f"x{draw.randrange(31)}"
            offset = (
                draw.choice([1, 2, 4, 8, 16]) * draw.randrange(-64, 64)
                if draw.random() < 0.7
                else draw.randrange(65536)
            )
            out.append(draw.choice([("address", base), ("address", base, index), ("address", base, offset)]))
        else:
            out.append(
                draw.choice([0, 1, draw.randrange(16), draw.randrange(64), 16, 32, 48, draw.randrange(4096), 65535])
            )
    return out


@needs_objdump
def test_what_is_accepted_means_what_it_says(tmp_path):
    draw = random.Random(1)
    jumps = {"b", "cbz", "cbnz", "adr"}
    tries = {shape: 500 if shape in ("v#", "vV#", "vV") else 60 for shape in SHAPES}
    lines = [
        (name, *random_operands(draw, shape))
        for name in NAMES
        if name not in jumps
        for shape, count in tries.items()
        for _ in range(count)
    ]
    code, texts = _core._arm_assemble(lines)
    meant = [plain(t) for t in texts if t is not None]
    found = [plain(t) for t in disassemble(tmp_path, code)]
    wrong = [f"{m} -> {f}" for m, f in zip(meant, found, strict=True) if m != f]
    assert not wrong, "\n".join(wrong[:60])
    counts = collections.Counter((line[0], len(line)) for line, t in zip(lines, texts, strict=True) if t is not None)
    assert {name for name, _ in counts} == set(NAMES) - jumps and min(counts.values()) >= 3, counts


@needs_objdump
def test_jumps_and_constants(tmp_path):
    sixteen, eight, four = bytes(range(16)), bytes(range(100, 108)), b"\1\2\3\4"
    lines = [("b", ("label", 1)), ("label",), ("ldr", ("scalar", 3, 16), ("constant", sixteen))]
    lines += [("ldr", ("scalar", 4, 8), ("constant", eight)), ("ldr", ("scalar", 5, 4), ("constant", four))]
    lines += [("ldr", ("scalar", 6, 16), ("constant", sixteen)), ("b", ("condition", 3), ("label", 0))]
    lines += [("cbz", ("general", "x7"), ("label", 0)), ("cbnz", ("general", "w8"), ("label", 1)), ("label",)]
    lines += [("adr", ("general", "x9"), ("label", 0)), ("ret",)]
    code, texts = _core._arm_assemble(lines, labels=2)
    assert None not in texts and len(code) == 48 + 16 + 8 + 4
    found = [plain(t).split() for t in disassemble(tmp_path, code)][:10]
    targets = [int(f[-1]) if f[0] != "ret" else None for f in found]
    assert targets[0] == 32 and targets[5] == targets[6] == targets[8] == 4 and targets[7] == 32
    assert [f[0] for f in found] == ["b", "ldr", "ldr", "ldr", "ldr", "b.cc", "cbz", "cbnz", "adr", "ret"]
    assert code[targets[1] :][:16] == code[targets[4] :][:16] == sixteen
    assert code[targets[2] :][:8] == eight and code[targets[3] :][:4] == four


def test_labels_are_bound_before_the_end():
    with pytest.raises(RuntimeError, match="not bound"):
        _core._arm_assemble([("b", ("label", 0))], labels=1)

"""The assembler of x86-64 against a disassembler: every encoding with random operands."""

import random
import re
import shutil
import subprocess

import pytest

from funcnn import _core

ENCODINGS = _core._x86_instructions()  # name, form, without EVEX, with EVEX, may be masked, bytes that EVEX repeats
OBJDUMP = shutil.which("objdump") or ""
STEMS = [
    "eq",
    "lt",
    "le",
    "unord",
    "neq",
    "nlt",
    "nle",
    "ord",
    "eq_uq",
    "nge",
    "ngt",
    "false",
    "neq_oq",
    "ge",
    "gt",
    "true",
]
SIGNALS = ["eq_os", "lt_oq", "le_oq", "unord_s", "neq_us", "nlt_uq", "nle_uq", "ord_s"]
SIGNALS += ["eq_us", "nge_uq", "ngt_uq", "false_os", "neq_os", "ge_oq", "gt_oq", "true_us"]
PREDICATES = STEMS + SIGNALS
INTEGER_PREDICATES = ["eq", "lt", "le", None, "neq", "nlt", "nle", None]


def knows_x86():
    if not OBJDUMP:
        return False
    formats = subprocess.run([OBJDUMP, "--info"], capture_output=True, text=True).stdout
    return "i386:x86-64" in formats or "x86-64" in formats


needs_objdump = pytest.mark.skipif(not knows_x86(), reason="needs objdump of GNU binutils for x86-64")


def disassemble(folder, code):
    (folder / "code.bin").write_bytes(code)
    command = [OBJDUMP, "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "-w", str(folder / "code.bin")]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^\s*([0-9a-f]+):\t[0-9a-f ]+\t(.*)$", out, re.MULTILINE)
    return {int(offset, 16): text.split("#")[0].strip() for offset, text in found}


def plain(text):
    """A line of objdump in the spelling of the manuals: comparisons by number, sizes where the operand tells them."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\{1to\d+\}|\{evex\} ", "", text)
    if m := re.fullmatch(r"vcmp(\w+?)(ps|pd|ss|sd) (.*)", text):
        return f"vcmp{m[2]} {m[3]},{PREDICATES.index(m[1]):#x}"
    if m := re.fullmatch(r"vpcmp(lt|le|neq|nlt|nle)(u?)(d|q) (k.*)", text):
        return f"vpcmp{m[2]}{m[3]} {m[4]},{INTEGER_PREDICATES.index(m[1]):#x}"
    return text


def general(draw, bits):
    return ("general", draw.choice([n for n in range(16) if n != 4]), bits)


def memory(draw, repeated=0, bits=64):
    base, index = draw.randrange(16), draw.choice([-1, *(n for n in range(16) if n != 4)])
    displacement = draw.choice(
        [0, 0, 64, -64, 4, 8, 1, 127, -128, 128, 512, -4096, 8128, 8192, -8256, 1 << 20, 2**31 - 1]
    )
    return ("memory", base, index, draw.choice([1, 2, 4, 8]) if index >= 0 else 1, displacement, repeated, bits)


def random_operands(draw, encoding, evex):
    """Operands of the form, or None where there are none: a short vector for an instruction of long ones."""
    name, form, _, _, masks, repeats = encoding
    spec = form.split()
    bits = draw.choice([128, 256, 512] if evex else [128, 256])
    letters = [s[1] for s in spec if len(s) > 1]
    if "W" in letters:
        bits = max(bits, 256)
    if "Z" in letters:
        bits = 512
    elif "Y" in letters:
        bits = 256
    elif "X" in letters and not set("VW") & set(letters):
        bits = 128
    width = draw.choice([32, 64])
    in_memory = draw.random() < 0.5
    if in_memory and "rH" in spec:
        bits = max(bits, 256)  # with xmm the length is not told by the operands
    registers = 32 if evex else 16
    out = []
    for s in spec:
        role, size = s[0], s[1:]
        if role in "ibI":
            out.append(
                {"i": lambda: draw.randrange(256), "b": lambda: draw.randrange(-128, 128)}.get(
                    role, lambda: draw.randrange(-(2**31), 2**31)
                )()
            )
        elif role == "j":
            out.append(draw.randrange(-(2**63), 2**63))
        elif role == "J":
            return None
        elif role == "M" or (role == "m" and in_memory):
            repeated = repeats if evex and repeats and draw.random() < 0.5 else 0
            out.append(memory(draw, repeated, width))
        elif size == "K":
            out.append(("mask", draw.randrange(8)))
        elif size in "G1248":
            out.append(general(draw, {"G": width, "1": 8, "2": 16, "4": 32, "8": 64}[size]))
        else:
            part = {"X": 128, "Y": 256, "H": bits // 2, "Q": bits // 4, "E": bits // 8}.get(size, bits)
            out.append(("vector", draw.randrange(registers), max(128, part)))
    if name.startswith(("vcmp", "vpcmp")) and spec[-1] == "i":
        out[-1] = draw.choice([1, 2, 4, 5, 6]) if name.startswith("vp") else draw.randrange(32)
    if evex and masks and draw.random() < 0.5:
        zero = out[0][0] == "vector" and draw.random() < 0.5
        out[0] = ("under", out[0], draw.randrange(1, 8), zero)
    return out


@needs_objdump
@pytest.mark.parametrize("evex", [False, True])
def test_every_encoding_means_what_it_says(tmp_path, evex):
    draw = random.Random(1)
    lines = []
    for encoding in ENCODINGS:
        if encoding[3] if evex else encoding[2]:
            for _ in range(12):
                if (operands := random_operands(draw, encoding, evex)) is not None:
                    lines.append((encoding[0], *operands))
    code, texts, offsets = _core._x86_assemble(evex, lines)
    assert len(lines) > 3000 and len(texts) == len(lines)
    found = disassemble(tmp_path, code)
    wrong = [(t, found.get(at)) for t, at in zip(texts, offsets, strict=True) if plain(found.get(at, "")) != plain(t)]
    assert not wrong, "\n".join(f"{meant} -> {got}" for meant, got in wrong[:80])


ZMM, YMM, XMM = ("vector", 1, 512), ("vector", 1, 256), ("vector", 1, 128)
RAX, EAX, AT_RAX = ("general", 0, 64), ("general", 0, 32), ("memory", 0, -1, 1, 0, 0, 64)


@pytest.mark.parametrize(
    ("evex", "line"),
    [
        (False, ("vaddps", ZMM, ZMM, ZMM)),
        (False, ("vaddps", ("vector", 16, 256), YMM, YMM)),
        (False, ("vaddps", YMM, YMM, ("memory", 0, -1, 1, 0, 4, 64))),
        (False, ("vaddps", ("under", YMM, 1, False), YMM, YMM)),
        (False, ("vpmullq", YMM, YMM, YMM)),
        (True, ("vaddps", ZMM, YMM, ZMM)),
        (True, ("vaddps", ("vector", 32, 512), ZMM, ZMM)),
        (True, ("vaddps", ZMM, ZMM)),
        (True, ("vaddps", ZMM, ZMM, ZMM, 1)),
        (True, ("vaddps", ZMM, ZMM, ("memory", 0, -1, 1, 0, 8, 64))),  # repeats 4 bytes
        (True, ("vaddps", ZMM, ("under", ZMM, 1, False), ZMM)),
        (True, ("vmovups", ("under", AT_RAX, 1, True), ZMM)),  # memory is not zeroed
        (True, ("vcmpps", ("under", ("mask", 1), 1, True), ZMM, ZMM, 1)),
        (True, ("vmovd", ("under", XMM, 1, True), EAX)),
        (True, ("vaddps", ("under", ZMM, 0, False), ZMM, ZMM)),
        (True, ("vpaddb", ZMM, ZMM, ("memory", 0, -1, 1, 0, 1, 64))),
        (True, ("vpshufd", ZMM, ZMM, 256)),
        (True, ("vmovups", ZMM, ("memory", 0, 4, 1, 0, 0, 64))),  # rsp is no index
        (True, ("vmovups", ZMM, ("memory", 0, 1, 3, 0, 0, 64))),
        (True, ("vmovups", ZMM, ("memory", -1, 1, 1, 0, 0, 64))),
        (True, ("vblendvps", ZMM, ZMM, ZMM, ZMM)),
        (True, ("vextractf32x8", YMM, YMM, 1)),
        (True, ("add", RAX, EAX)),
        (True, ("add", RAX, 1 << 31)),
        (True, ("mov", ("memory", 0, -1, 1, 0, 0, 64), ("general", 0, 128))),
        (True, ("kmovw", ("mask", 8), EAX)),
    ],
)
def test_what_cannot_be_said_is_refused(evex, line):
    with pytest.raises(RuntimeError, match=f"{line[0]}.*no encoding|k0 masks nothing out"):
        _core._x86_assemble(evex, [line])


def test_labels_are_bound_once_and_before_the_end():
    with pytest.raises(RuntimeError, match="not bound"):
        _core._x86_assemble(True, [("jmp", ("label", 0))], labels=1)


@needs_objdump
def test_jumps_alignment_and_constants(tmp_path):
    lines = [("jne", ("label", 1)), ("align", 32), ("label",), ("vaddps", ZMM, ZMM, ("constant", b"\1\2\3\4", 4))]
    lines += [("vaddps", YMM, YMM, ("constant", bytes(range(32)), 0))] * 2
    lines += [("vroundps", YMM, ("constant", bytes(range(32)), 0), 1), ("jb", ("label", 0))]
    lines += [("vaddps", ("vector", 20, 512), ZMM, ("constant", bytes(64), 0))] * 20
    lines += [("jmp", ("label", 0)), ("label",), ("call", ("label", 0)), ("ret",)]
    code, _, offsets = _core._x86_assemble(True, lines, labels=2)
    found = disassemble(tmp_path, code)
    at = dict(enumerate(offsets))

    def target(i):
        return int(found[at[i]].split()[-1], 16)

    assert at[2] == 32 and target(0) == at[29] and target(7) == target(28) == target(30) == 32
    assert found[at[31]] == "ret"

    def constant(i, size):
        after = min(o for o in found if o > at[i])
        place = after + int(re.search(r"rip\+0x([0-9a-f]+)", found[at[i]])[1], 16)
        assert place % size == 0
        return code[place : place + size]

    assert constant(3, 4) == b"\1\2\3\4"
    assert constant(4, 32) == constant(5, 32) == constant(6, 32) == bytes(range(32))
    assert constant(8, 64) == bytes(64)
    assert len(code) == (at[31] + 1 + 63) // 64 * 64 + 64 + 32 + 4  # equal constants are kept once

"""Memory for machine code: pages shared and sealed, refusals, threads, forks; the words of FUNCNN_JIT."""

import ctypes
import os
import pathlib
import platform
import subprocess
import sys
import threading

import pytest

from funcnn import _core

MACHINE = platform.machine().lower()
LINUX = sys.platform.startswith("linux")
needs_linux = pytest.mark.skipif(not LINUX, reason="reads /proc")


def giving(number):
    """The code of a function that gives a number."""
    if MACHINE in ("x86_64", "amd64"):
        return b"\xb8" + number.to_bytes(4, "little") + b"\xc3"
    if MACHINE in ("aarch64", "arm64"):
        return (0x52800000 | number << 5).to_bytes(4, "little") + (0xD65F03C0).to_bytes(4, "little")
    pytest.skip(f"no code for {MACHINE}")


def call(function):
    return ctypes.CFUNCTYPE(ctypes.c_int)(function.entry())()


def rights(address):
    for line in pathlib.Path("/proc/self/maps").read_text().splitlines():
        begin, end = (int(x, 16) for x in line.split()[0].split("-"))
        if begin <= address < end:
            return line.split()[1]
    return None


def test_functions_made_one_after_another_share_pages():
    memory = _core._CodeMemory()
    functions = [memory.add(giving(n), f"f{n}") for n in range(20)]
    assert memory.seals == 0
    assert [call(f) for f in functions] == list(range(20))
    assert memory.seals == 1 and memory.mapped_bytes == max(65536, memory.page)
    assert all(f.entry() % 64 == 0 for f in functions)
    later = memory.add(giving(99), "later")  # the sealed page is full for good
    assert call(later) == 99 and call(functions[3]) == 3
    assert later.entry() // memory.page == functions[0].entry() // memory.page + 1


@needs_linux
def test_no_page_is_writable_and_executable():
    memory = _core._CodeMemory()
    first = memory.add(giving(1), "first")
    assert rights(first.entry()) == "r-xp"
    assert rights(first.entry() + memory.page) == "rw-p"  # the rest, for what comes
    second = memory.add(giving(2), "second")
    assert rights(second.entry()) == "r-xp" and call(first) == 1
    start = first.entry() // 65536 * 65536
    assert {rights(at) for at in range(first.entry(), start + 65536, memory.page)} <= {"r-xp", "rw-p"}


@needs_linux
def test_a_sealed_page_cannot_be_written(tmp_path):
    program = """
import ctypes
from funcnn import _core
f = _core._CodeMemory().add(bytes(64), "zeros")
entry = f.entry()
print("sealed", flush=True)
ctypes.memset(entry, 1, 1)
print("written")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "sealed\n"
    assert done.returncode != 0, "no signal, and no report of a sanitizer"


def test_pages_go_with_the_last_function():
    memory = _core._CodeMemory()
    small = [memory.add(giving(n), "small") for n in range(3)]
    large = memory.add(giving(7) + bytes(200_000), "large")
    assert memory.mapped_bytes >= 65536 + 200_000 and call(large) == 7
    del large
    assert memory.mapped_bytes <= max(65536, memory.page)
    assert [call(f) for f in small] == [0, 1, 2]
    del small[0], small[0]
    assert memory.mapped_bytes and call(small[0]) == 2
    small.clear()
    assert memory.mapped_bytes == 0
    assert call(memory.add(giving(5), "again")) == 5


def test_functions_outlive_the_memory_they_came_from():
    memory = _core._CodeMemory()
    f = memory.add(giving(3), "f")
    del memory
    assert call(f) == 3


def test_refusals_mean_no_function():
    memory = _core._CodeMemory()
    before = memory.add(giving(1), "before")
    assert call(before) == 1
    waiting = memory.add(giving(2), "waiting")
    memory.refuse(False, True)
    assert waiting.entry() == 0 and waiting.entry() == 0 and memory.seals == 2
    assert memory.add(giving(3), "after") is None  # it is not asked again
    assert call(before) == 1
    none = _core._CodeMemory()
    none.refuse(True, False)
    assert none.add(giving(1), "f") is None and none.mapped_bytes == 0


def test_a_refusal_is_one_line_of_the_log():
    program = """
from funcnn import _core
m = _core._CodeMemory()
f = m.add(bytes(8), "f")
m.refuse(True, True)
print([f.entry(), f.entry(), m.add(bytes(8), "g")])
"""
    environment = {**os.environ, "FUNCNN_LOG": "jit"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "[0, 0, None]\n"
    assert done.stderr == "funcnn jit: the system refuses memory to be executed: programs are interpreted from now on\n"


def test_threads_add_and_ask_at_once():
    memory = _core._CodeMemory()
    wrong = []

    def work(seed):
        kept = []
        for i in range(300):
            n = (seed * 1000 + i) % 60000
            kept.append((n, memory.add(giving(n), "f")))
            if i % 3 == 0:
                wrong.extend(n for n, f in kept if call(f) != n)
            del kept[: max(0, len(kept) - 10)]

    threads = [threading.Thread(target=work, args=(s,)) for s in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert memory.mapped_bytes == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_pages_of_its_own():
    memory = _core._CodeMemory()
    old, waiting = memory.add(giving(1), "old"), memory.add(giving(2), "waiting")
    assert call(old) == 1
    open_page = memory.add(giving(3), "open")
    child = os.fork()
    if child == 0:
        ok = (
            call(old) == 1
            and call(waiting) == 2
            and call(memory.add(giving(4), "child's")) == 4
            and call(open_page) == 3
        )
        os._exit(0 if ok else 1)
    parents = memory.add(giving(5), "parent's")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert call(parents) == 5 and call(open_page) == 3


@needs_linux
def test_perf_learns_where_functions_lie():
    memory = _core._CodeMemory(perf=True)
    path = pathlib.Path(f"/tmp/perf-{os.getpid()}.map")
    kept = path.read_bytes() if path.exists() else None
    try:
        functions = [memory.add(giving(n), f"funcnn test {n}") for n in range(2)]
        assert call(functions[0]) == 0
        lines = path.read_text().splitlines()[-2:]
        assert lines == [f"{f.entry():x} {f.size:x} funcnn test {n}" for n, f in enumerate(functions)]
        assert call(functions[1]) == 1 and path.read_text().splitlines()[-2:] == lines
    finally:
        path.write_bytes(kept) if kept is not None else path.unlink()


def test_dumps_are_pairs_of_files(tmp_path):
    folder = tmp_path / "new" / "folder"
    _core._jit_dump(str(folder), "exp x/y", b"\xc3", "a program\n")
    _core._jit_dump(str(folder), "exp x/y", b"\xcc", "another\n")
    files = sorted(folder.iterdir())
    assert [f.suffix for f in files] == [".bin", ".txt"] * 2
    assert all("-exp-x-y." in f.name for f in files) and files[0].stem != files[2].stem
    assert [f.read_bytes() for f in files] == [b"\xc3", b"a program\n", b"\xcc", b"another\n"]
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeError, match="cannot write .*file"):
        _core._jit_dump(str(tmp_path / "file" / "below"), "f", b"\xc3", "")


OFF, ON = (False, False, False, False, ""), (True, False, False, False, "")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("0", OFF),
        ("1", ON),
        ("", ON if LINUX and MACHINE in ("x86_64", "aarch64") else OFF),
        ("always", (True, True, False, False, "")),
        ("verify,always", (True, True, True, False, "")),
        ("dump:a folder/b", (True, False, False, False, "a folder/b")),
        ("1,dump:x,verify", (True, False, True, False, "x")),
        pytest.param("perf", (True, False, False, True, ""), marks=needs_linux),
    ],
)
def test_words_of_the_variable(text, options):
    assert _core._jit_options(text) == options


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("on", '"on"'),
        ("always,,1", '""'),
        ("dump:", '"dump:"'),
        ("0,verify", "0 switches off"),
        ("1, verify", '" verify"'),
    ],
)
def test_other_words_are_refused(text, message):
    with pytest.raises(ValueError, match=f"FUNCNN_JIT: .*{message}"):
        _core._jit_options(text)

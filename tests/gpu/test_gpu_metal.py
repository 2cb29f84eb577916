"""The Metal runtime: memory, order, errors, and the ends of processes."""

import ctypes
import os
import pathlib
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import funcnn as fn

ROOT = pathlib.Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not fn.metal.is_available(), reason="there is no Metal device")


def elementwise(name, expression):
    kernel = fn.fast.metal_kernel(name, ["x"], ["y"], f"uint i = thread_position_in_grid.x; y[i] = {expression};")

    def call(x):
        return kernel(
            inputs=[x],
            grid=(x.size, 1, 1),
            threadgroup=(min(x.size, 256), 1, 1),
            output_shapes=[x.shape],
            output_dtypes=[x.dtype],
        )[0]

    return call


increment = elementwise("increment", "x[i] + 1")


def on_gpu(x):
    return fn.device_put(fn.array(x), fn.gpu)


def run_program(text, **environment):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | environment,
    )


PRELUDE = """
import funcnn as fn
kernel = fn.fast.metal_kernel("increment", ["x"], ["y"], "uint i = thread_position_in_grid.x; y[i] = x[i] + 1;")
def increment(x):
    return kernel(inputs=[x], grid=(x.size, 1, 1), threadgroup=(64, 1, 1), output_shapes=[x.shape], output_dtypes=[x.dtype])[0]
x = fn.device_put(fn.array([1.0, 2.0, 3.0]), fn.gpu)
fn.eval(x)
"""


class TestFinding:
    def test_importing_loads_nothing(self):
        made = run_program("import funcnn as fn; print(fn.ones(2).tolist())", FUNCNN_METAL="/no/such/library.so")
        assert made.stdout.strip() == "[1.0, 1.0]", made.stderr

    def test_a_library_that_is_not_there(self):
        made = run_program(
            """
            import funcnn as fn
            try:
                fn.device_put(fn.ones(2), fn.gpu)
            except ValueError as error:
                print(error)
            """,
            FUNCNN_METAL="/no/such/library.so",
        )
        assert "there is no device gpu" in made.stdout and "FUNCNN_METAL=/no/such/library.so" in made.stdout, (
            made.stderr
        )

    def test_a_library_of_something_else(self):
        made = run_program("import funcnn as fn; print(fn.metal.is_available())", FUNCNN_METAL="libm.so.6")
        assert made.stdout.strip() == "False", made.stderr


class TestSharedMemory:
    def test_a_transfer_moves_nothing(self):
        x = fn.zeros(1 << 16, device="cpu") + 1
        fn.eval(x)
        before = fn.get_active_memory(fn.gpu)
        y = fn.device_put(x, fn.gpu)
        z = fn.device_put(y, "cpu")
        fn.eval(y, z)
        assert fn.get_active_memory(fn.gpu) == before
        assert (y.device, z.device) == ("gpu", "cpu")
        assert np.shares_memory(np.asarray(x), np.asarray(z))

    def test_results_go_to_the_host_where_they_are(self):
        y = fn.device_put(increment(on_gpu(np.arange(1000.0, dtype=np.float32))), "cpu")
        before = fn.get_active_memory("cpu")
        np.testing.assert_array_equal(y, np.arange(1.0, 1001.0))
        assert fn.get_active_memory("cpu") <= before

    def test_memory_of_others_is_copied(self):
        given = np.arange(1000.0, dtype=np.float32)
        x = fn.device_put(fn.asarray(given), fn.gpu)
        fn.eval(x)
        np.testing.assert_array_equal(increment(x), np.arange(1.0, 1001.0))

    def test_nothing_is_overwritten_that_another_device_reads(self):
        step = fn.compile(lambda x: (x * 2 + 1) * 3)
        for n in (10, 5000):
            x = fn.device_put(fn.arange(float(n)) * 1.0, "cpu")
            fn.eval(x)
            expected = np.arange(1.0, n + 1)
            for _ in range(20):
                y = increment(fn.device_put(x, fn.gpu))
                x = step(x)  # would like to compute in place
                fn.eval(y, x)
                np.testing.assert_array_equal(y, expected)
                x = fn.device_put(fn.arange(float(n)) * 1.0, "cpu")

    def test_host_memory_lives_until_the_gpu_has_read_it(self):
        results = []
        for k in range(60):
            x = fn.array(np.full(4096, k, np.float32))
            results.append(increment(fn.device_put(x, fn.gpu)))
            fn.async_eval(results[-1])
            del x
        for k, y in enumerate(results):
            np.testing.assert_array_equal(y, np.full(4096, k + 1))

    def test_donation_across_devices(self):
        f = fn.compile(lambda x: increment(fn.device_put(x, fn.gpu)), donate=("x",))
        for k in range(5):
            np.testing.assert_array_equal(f(fn.full((2000,), float(k)) * 1.0), np.full(2000, k + 1.0))


class TestOrder:
    def test_chains_across_command_buffers(self):
        x = on_gpu(np.zeros(100, np.float32))
        for _ in range(250):
            x = increment(x)
        np.testing.assert_array_equal(x, np.full(100, 250))

    def test_freed_memory_may_be_handed_out_at_once(self):
        expected = []
        results = []
        for k in range(100):
            x = on_gpu(np.full(1000, k, np.float32))
            results.append(increment(increment(x)))
            fn.async_eval(results[-1])
            expected.append(k + 2.0)
        assert [float(np.asarray(y)[-1]) for y in results] == expected

    def test_threads(self):
        failures = []

        def work(seed):
            try:
                for k in range(20):
                    x = on_gpu(np.full(64, seed * 100 + k, np.float32))
                    y = increment(increment(x))
                    if not (np.asarray(y) == seed * 100 + k + 2).all():
                        failures.append((seed, k))
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures

    def test_synchronize(self):
        y = increment(on_gpu(np.zeros(8, np.float32)))
        fn.async_eval(y)
        fn.synchronize()
        assert y.tolist() == [1] * 8


class TestMemory:
    def test_too_much(self):
        before = fn.set_memory_limit(1 << 20, fn.gpu)
        try:
            with pytest.raises(MemoryError, match="out of memory"):
                fn.eval(increment(on_gpu(np.zeros(1 << 20, np.float32))))
        finally:
            fn.set_memory_limit(before, fn.gpu)
        assert increment(on_gpu(np.zeros(4, np.float32))).tolist() == [1] * 4

    def test_blocks_return_to_the_system(self):
        x = increment(on_gpu(np.zeros(1 << 18, np.float32)))
        fn.eval(x)
        del x
        assert fn.get_cache_memory(fn.gpu) >= 1 << 20
        fn.clear_cache(fn.gpu)
        assert fn.get_cache_memory(fn.gpu) == 0
        assert increment(on_gpu(np.zeros(4, np.float32))).tolist() == [1] * 4


class TestErrors:
    """The software device, told to check, stands for a GPU on which a kernel fails."""

    def run_checked(self, text):
        return run_program(
            PRELUDE
            + """
beyond = fn.fast.metal_kernel("beyond", ["x"], ["y"], "y[1000000] = x[0]; y[0] = 1;")
def broken(x):
    return beyond(inputs=[x], grid=(1, 1, 1), threadgroup=(1, 1, 1), output_shapes=[(8,)], output_dtypes=[fn.float32])[0]
def outcome(y):
    try:
        return y.tolist()
    except RuntimeError as error:
        return "beyond failed" if "custom_kernel_beyond" in str(error) and "failed" in str(error) else str(error)
"""
            + textwrap.dedent(text),
            SOFTWARE_METAL_CHECK="1",
        )

    def test_the_kernel_is_named_and_what_follows_goes_on(self):
        made = self.run_checked(
            """
            y = broken(x)
            fn.eval(y)  # hands the work over
            print(outcome(y))
            print(outcome(y))
            print(outcome(increment(x)))
            """
        )
        assert made.stdout.split("\n")[:3] == ["beyond failed", "beyond failed", "[2.0, 3.0, 4.0]"], made.stderr

    def test_what_is_computed_from_it_fails_with_it(self):
        made = self.run_checked(
            """
            y = broken(x)
            fn.eval(y)
            z = increment(y)
            fn.eval(z)
            w = increment(x)
            print(outcome(fn.device_put(z, "cpu")))
            print(outcome(w))
            """
        )
        assert made.stdout.split("\n")[:2] == ["beyond failed", "[2.0, 3.0, 4.0]"], made.stderr


class TestCompiling:
    SOFTWARE = os.environ.get("FUNCNN_METAL") == "software"

    @pytest.mark.skipif(not SOFTWARE, reason="the software device says which compiler it runs")
    def test_kernels_of_a_plan_are_compiled_side_by_side(self, tmp_path):
        library = ctypes.CDLL(str(ROOT / "build" / "metal" / "libsoftware_metal.so"))
        library.software_metal_compiler.restype = ctypes.c_char_p
        compiler = tmp_path / "compiler"
        log = tmp_path / "log"
        compiler.write_text(
            f'#!/bin/sh\necho begin >> {log}\n{library.software_metal_compiler().decode()} "$@"\n'
            f"code=$?\necho end >> {log}\nexit $code\n"
        )
        compiler.chmod(0o755)
        made = run_program(
            """
            import funcnn as fn
            with fn.default_device(fn.gpu):
                x = fn.arange(12.0).reshape(3, 4)
                y = fn.sort(x, axis=1), fn.cumsum(x, axis=0), x @ x.T
                fn.eval(y)
                print([float(a.sum().item()) for a in y])
            """,
            SOFTWARE_METAL_CLANG=str(compiler),
            SOFTWARE_METAL_CACHE=str(tmp_path / "cache"),
        )
        assert made.stdout.strip() == "[66.0, 100.0, 1134.0]", made.stderr
        under_way = np.cumsum([1 if line == "begin" else -1 for line in log.read_text().split()])
        assert under_way.max() >= 2 and under_way[-1] == 0

    def test_what_does_not_compile_says_so_every_time(self):
        broken = elementwise("broken", "no_such_function(x[i])")
        x = on_gpu(np.zeros(4, np.float32))
        for _ in range(2):
            with pytest.raises(RuntimeError, match=r"(?s)broken.*does not compile.*no_such_function"):
                fn.eval(broken(x))
        assert increment(x).tolist() == [1] * 4

    def test_the_end_while_kernels_are_compiled(self):
        made = run_program(
            PRELUDE
            + """
import threading
for k in range(6):  # new to every cache
    body = f"y[thread_position_in_grid.x] = x[0] + {os.getpid()} + {k};"
    new = fn.fast.metal_kernel(f"new{k}", ["x"], ["y"], body)
    made = lambda new=new: new(inputs=[x], grid=(1, 1, 1), threadgroup=(1, 1, 1), output_shapes=[(1,)], output_dtypes=[x.dtype])[0]
    threading.Thread(target=lambda: fn.async_eval(made()), daemon=True).start()
print("end")
""".replace("import threading", "import os, threading")
        )
        assert (made.returncode, made.stdout.strip()) == (0, "end"), made.stderr


class TestProcesses:
    def test_the_end_with_work_under_way(self):
        made = run_program(PRELUDE + "fn.async_eval([increment(x) for _ in range(100)])\nprint('end')")
        assert (made.returncode, made.stdout.strip()) == (0, "end"), made.stderr

    def test_the_end_with_arrays_alive(self):
        made = run_program(PRELUDE + "y = increment(x)\nfn.eval(y)\nimport builtins\nbuiltins.kept = y\nprint('end')")
        assert (made.returncode, made.stdout.strip()) == (0, "end"), made.stderr

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_children_are_told(self):
        made = run_program(
            PRELUDE
            + """
import os, sys
y = increment(x)
fn.eval(y)
pid = os.fork()
if pid == 0:
    try:
        print(increment(x).tolist())
    except RuntimeError as error:
        print("refused" if "spawn" in str(error) else error, flush=True)
    print((fn.ones(3) + 1).tolist(), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(increment(y).tolist())
"""
        )
        assert made.stdout.split("\n")[:3] == ["refused", "[2.0, 2.0, 2.0]", "[3.0, 4.0, 5.0]"], made.stderr


class TestCapture:
    def test_a_document(self, tmp_path):
        with pytest.raises(ValueError, match="gputrace"):
            fn.metal.start_capture(tmp_path / "trace")
        fn.metal.start_capture(tmp_path / "step.gputrace")
        fn.eval(increment(on_gpu(np.zeros(4, np.float32))))
        fn.metal.stop_capture()
        assert (tmp_path / "step.gputrace").exists()
        with pytest.raises(RuntimeError, match=r"step\.gputrace"):
            fn.metal.start_capture(tmp_path / "step.gputrace")

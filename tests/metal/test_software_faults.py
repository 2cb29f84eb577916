"""Faults sown into kernels, and whether the checker finds each, and blames the right threads and memory."""

import re

import numpy as np
import pytest
from metal_host import Addresses, MetalError

INDEX = "uint i [[thread_index_in_threadgroup]]"
X = np.arange(64, dtype="f")

# Name, body, what the error says. All have x (read) and y, and 64 threads in one group.
FAULTS = {
    "missing barrier": (
        "threadgroup float s[64]; if (i == 0) { for (int k = 0; k < 64; ++k) s[k] = 0; }"
        "threadgroup_barrier(mem_flags::mem_threadgroup); s[i] = x[i]; y[i] = s[63 - i];",
        r"race: it (reads|writes) bytes \d+ to \d+ of the threadgroup's `s`, which thread \(\d+, 0, 0\) (wrote|read)",
    ),
    "barrier for the wrong memory": (
        "threadgroup float s[64]; s[i] = x[i]; threadgroup_barrier(mem_flags::mem_device); y[i] = s[63 - i];",
        "race: it reads bytes 252 to 255 of the threadgroup's `s`, which thread (63, 0, 0) wrote",
    ),
    "barrier of the SIMD group for the whole threadgroup": (
        "threadgroup float s[64]; s[i] = x[i]; simdgroup_barrier(mem_flags::mem_threadgroup); y[i] = s[i ^ 32];",
        "of the threadgroup's `s`, which",
    ),
    "missing barrier before the next round": (
        "threadgroup float s[64]; for (int k = 0; k < 2; ++k) { s[i] = x[i] + k;"
        "threadgroup_barrier(mem_flags::mem_threadgroup); y[i] = s[63 - i]; }",
        "race: it",
    ),
    "race on the device's memory": (
        "y[i / 2] = x[i];",
        "kernel k, threadgroup (0, 0, 0), thread (1, 0, 0): race: it writes bytes 0 to 3 of buffer(1)",
    ),
    "race on bytes": (
        "((device uchar*)y)[i / 3] = uchar(x[i]);",
        "it writes byte 0 of buffer(1)",
    ),
    "an atomic beside a plain read": (
        "atomic_fetch_add_explicit((device atomic_uint*)y, 1u, memory_order_relaxed); y[i + 0] += 1;",
        "race",
    ),
    "off by one": (
        "y[i] = x[i + 1];",
        "thread (63, 0, 0): out of bounds: it reads 4 bytes at byte 256 of buffer(0)",
    ),
    "off by one before the begin": (
        "y[int(i) - 1] = x[i];",
        "thread (0, 0, 0): out of bounds: it writes 4 bytes at byte -4 of buffer(1)",
    ),
    "wrong stride": (
        "y[i * 2] = x[i];",
        "thread (32, 0, 0): out of bounds: it writes 4 bytes at byte 256 of buffer(1)",
    ),
    "off by one in threadgroup memory": (
        "threadgroup float s[64]; threadgroup float* p = s; p[i + 1] = x[i]; y[i] = p[i + 1];",
        "out of bounds: it writes 4 bytes of threadgroup memory at byte 256 of `s`, which has 256 bytes",
    ),
    "uninitialised threadgroup memory": (
        "threadgroup float s[65]; s[i] = x[i]; threadgroup_barrier(mem_flags::mem_threadgroup); y[i] = s[i + 1];",
        "uninitialised: it reads bytes 256 to 259 of the threadgroup's `s`, which nothing wrote",
    ),
    "index out of a local array": (
        "float t[4] = {1, 2, 3, 4}; y[i] = t[int(x[i])];",
        "undefined: an index is outside of its array, at line 4",
    ),
    "vector at an odd address": (
        "y[i] = (*(device const float4*)(x + i % 8)).x;",
        "undefined: an address is not a multiple of its type's alignment",
    ),
    "division by zero": (
        "y[i] = int(5) / int(x[i]);",
        "undefined: an integer is divided by zero",
    ),
    "too large a shift": (
        "y[i] = 1 << int(x[i]);",
        "thread (32, 0, 0): undefined: a shift",
    ),
    "barrier that some threads do not reach": (
        "if (i < 40) threadgroup_barrier(mem_flags::mem_threadgroup); y[i] = x[i];",
        "the threadgroup_barrier of line 4 is reached by 40 of 64 threads; the others returned",
    ),
    "two barriers in two branches": (
        "if (i < 40)\n threadgroup_barrier(mem_flags::mem_threadgroup); else\n threadgroup_barrier(mem_flags::mem_threadgroup);"
        "y[i] = x[i];",
        "thread 0 waits at the threadgroup_barrier of line 5, thread 40 at that of line 6",
    ),
    "SIMD-group operation in a branch": (
        "if (i % 2) y[i] = simd_sum(x[i]); threadgroup_barrier(mem_flags::mem_none);",
        "a SIMD-group operation at line 4 is reached by 16 of 32 threads of the SIMD group",
    ),
    "barrier of the SIMD group in a branch": (
        "if (i % 2) simdgroup_barrier(mem_flags::mem_none); else y[i] = simd_sum(x[i]);",
        "is reached by 16 of 32 threads of the SIMD group",
    ),
    "matrix operation in a branch": (
        "simdgroup_float8x8 m(1); if (i % 2) simdgroup_multiply(m, m, m); y[i] = m.thread_elements()[0];",
        "a matrix operation without some lanes of the SIMD group at line 4",
    ),
    "too much threadgroup memory": (
        "threadgroup float a[8000], b[300]; a[i] = b[i] = 0; y[i] = a[i] + b[i];",
        "threadgroup memory of 33200 bytes is more than the 32768",
    ),
}


def kernel_of(host, body):
    return host.kernel(f"kernel void k(device const float* x, device float* y, {INDEX}) {{\n{body}\n}}")


@pytest.mark.parametrize("fault", FAULTS)
def test_sown_faults_are_found(checked, fault):
    body, message = FAULTS[fault]
    with pytest.raises(MetalError) as raised:
        kernel_of(checked, body)(X, np.zeros_like(X), threads=64)
    text = str(raised.value)
    assert text.startswith("kernel k, threadgroup (0, 0, 0)")
    assert message in text or re.search(message, text)


def test_races_between_threadgroups(checked):
    kernel = checked.kernel("""
        kernel void k(device float* y, uint i [[thread_position_in_grid]]) { y[i % 48] = i; }""")
    with pytest.raises(
        MetalError,
        match=r"threadgroup \(3, 0, 0\), thread \(0, 0, 0\): race: it writes bytes 0 to 3 of "
        r"buffer\(0\).*which thread \(0, 0, 0\) of threadgroup \(0, 0, 0\) wrote",
    ):
        kernel(np.zeros(64, "f"), groups=4, threads=16)


def test_races_between_dispatches_encoded_side_by_side(checked):
    write = checked.kernel(
        "kernel void first(device float* x, uint i [[thread_position_in_grid]]) { x[i] = 1; }", "first"
    )
    read = checked.kernel(
        "kernel void then(device const float* x, device float* y, uint i [[thread_position_in_grid]]) { y[i] = x[i]; }",
        "then",
    )
    x, y = np.zeros(64, "f"), np.zeros(64, "f")
    steps = [(write, [x], None, 16, 64, ()), (read, [x, y], None, 32, 64, ())]
    with pytest.raises(
        MetalError,
        match=r"kernel then, threadgroup \(0, 0, 0\), thread \(0, 0, 0\): race: it reads bytes "
        r"0 to 3 of buffer\(0\).*which thread .* of the kernel first",
    ):
        checked.run(steps)
    checked.run(steps, barriers=[1])
    assert (y == 1).all()


def test_memory_found_by_addresses(checked):
    """What useResource makes known is checked like what is bound; anything else is out of bounds."""
    kernel = checked.kernel("""
        kernel void k(constant ulong* at, constant uint& past, uint i [[thread_position_in_grid]]) {
          device const float* x = (device const float*)at[0];
          device float* y = (device float*)at[1];
          y[i + past] = x[i] * 2;
        }""")
    y = np.zeros(64, "f")
    kernel(Addresses(X, y), bytes(4), grid=64, threads=64)
    np.testing.assert_array_equal(y, X * 2)
    with pytest.raises(MetalError, match=r"out of bounds: it writes 4 bytes"):
        kernel(Addresses(X, y), np.uint32(1).tobytes(), grid=64, threads=64)
    with pytest.raises(MetalError, match="out of bounds: it reads 4 bytes"):
        kernel(Addresses(X, y, usage=None), bytes(4), grid=64, threads=64)
    with pytest.raises(MetalError, match="which useResource makes known for reading only"):
        kernel(Addresses(X, y, usage=1), bytes(4), grid=64, threads=64)
    steps = [(kernel, [Addresses(X, y), bytes(4)], None, 64, 64, ())] * 2
    with pytest.raises(MetalError, match="race: it writes bytes 0 to 3 of the resident buffer"):
        checked.run(steps)
    checked.run(steps, barriers=[1])


def test_uninitialised_memory_of_the_device(checked):
    kernel = kernel_of(checked, "y[i] += x[i];")
    fresh = np.full(64, np.frombuffer(b"\xc5\xc5\xc5\xc5", "f")[0])  # as new memory is
    with pytest.raises(MetalError, match=r"uninitialised: it reads bytes 0 to 3 of buffer\(1\)"):
        kernel(X, fresh, threads=64)


def test_what_is_right_is_not_blamed(checked):
    body = """
        threadgroup float s[64];
        for (int k = 0; k < 3; ++k) {
          s[i] = x[i] * k;
          threadgroup_barrier(mem_flags::mem_threadgroup);
          y[i] += s[63 - i];
          threadgroup_barrier(mem_flags::mem_threadgroup);
        }
        atomic_fetch_add_explicit((threadgroup atomic_uint*)&s[0], 1u, memory_order_relaxed);
        device uchar* bytes = (device uchar*)(y + i);
        bytes[0] = bytes[1];"""
    y = np.zeros(64, "f")
    kernel_of(checked, body)(X, y, threads=64)
    # Every third of the groups reads what all read.
    shared = checked.kernel("""
        kernel void k(device const float* x, device float* y, uint i [[thread_position_in_grid]]) { y[i] = x[i / 64]; }""")
    shared(X, np.zeros(256, "f"), grid=256, threads=16)


@pytest.mark.parametrize(
    "body, message",
    [
        # The first page of a process is never mapped; an index far behind an array may find another's memory.
        ("y[i] = ((device const float*)256ul)[i];", "touches memory that is not there"),
        ("y[i] = int(5) / int(x[0]);", "divides an integer by zero"),
    ],
)
def test_faults_of_the_processor_become_errors_without_the_checker(host, body, message):
    with pytest.raises(MetalError, match=message):
        kernel_of(host, body)(X, np.zeros_like(X), threads=64)
    y = np.zeros_like(X)
    kernel_of(host, "y[i] = x[i];")(X, y, threads=64)
    np.testing.assert_array_equal(y, X)


def test_dispatches_that_metal_refuses(host):
    kernel = kernel_of(host, "y[i] = x[i];")
    with pytest.raises(MetalError, match=r"kernel k: buffer\(1\) is not bound"):
        kernel(X, threads=64)
    with pytest.raises(MetalError, match="a threadgroup of 2048 threads, at most 1024"):
        kernel(X, np.zeros_like(X), threads=(1024, 2))
    with pytest.raises(MetalError, match="a dispatch of no threads"):
        kernel(X, np.zeros_like(X), threads=(0, 1))
    limited = host.kernel("[[max_total_threads_per_threadgroup(64)]] kernel void k(device float* y) { y[0] = 1; }")
    with pytest.raises(MetalError, match="a threadgroup of 65 threads, at most 64"):
        limited(np.zeros(1, "f"), threads=65)
    values = host.kernel("struct S { float4 a, b; }; kernel void k(device float* y, constant S& s) { y[0] = s.b.x; }")
    with pytest.raises(MetalError, match=r"buffer\(1\) has 16 bytes, its parameter 32"):
        values(np.zeros(1, "f"), np.zeros(4, "f"))
    shared = host.kernel("kernel void k(device float* y, threadgroup float* s [[threadgroup(1)]]) { y[0] = 1; }")
    with pytest.raises(MetalError, match=r"threadgroup\(1\) has no length"):
        shared(np.zeros(1, "f"))
    with pytest.raises(MetalError, match="threadgroup memory of 33024 bytes, at most 32768"):
        shared(np.zeros(1, "f"), shared=[256, 32768])

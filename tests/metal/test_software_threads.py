"""How threads of the software device meet: barriers, SIMD groups, quads, matrices, atomics, edges of grids."""

import numpy as np
import pytest

INDEX = "uint i [[thread_position_in_grid]]"


@pytest.fixture(params=[0, 5], ids=["in order", "shuffled"])
def any_order(host, request):
    host.set_options(shuffle=request.param, check=1, strict=1)
    return host


def test_barriers_of_the_threadgroup(any_order):
    kernel = any_order.kernel("""
        kernel void k(device const float* x, device float* y, uint i [[thread_index_in_threadgroup]],
                      uint group [[threadgroup_position_in_grid]], threadgroup float* given [[threadgroup(0)]]) {
          threadgroup float tree[256];
          tree[i] = x[group * 256 + i];
          for (uint half_of = 128; half_of > 0; half_of /= 2) {
            threadgroup_barrier(mem_flags::mem_threadgroup);
            if (i < half_of) tree[i] += tree[i + half_of];
          }
          if (i == 0) given[0] = tree[0];
          threadgroup_barrier(mem_flags::mem_threadgroup);
          y[group * 256 + i] = given[0];
        }""")
    x = np.random.default_rng(0).integers(0, 100, (5, 256)).astype("f")
    y = np.zeros_like(x)
    kernel(x, y, groups=5, threads=256, shared=[16])
    np.testing.assert_array_equal(y, np.broadcast_to(x.sum(1, keepdims=True), x.shape))


def test_barriers_for_memory_of_the_device_and_of_simd_groups(any_order):
    kernel = any_order.kernel("""
        kernel void k(device int* y, uint i [[thread_index_in_threadgroup]]) {
          threadgroup int s[64];
          y[i] = i;
          s[i] = i;
          simdgroup_barrier(mem_flags::mem_threadgroup);
          int neighbour = s[i ^ 31];
          threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);
          int other = y[63 - i];
          threadgroup_barrier(mem_flags::mem_device);
          y[i] = neighbour * 100 + other;
        }""")
    y = np.zeros(64, "i")
    kernel(y, threads=64)
    i = np.arange(64)
    np.testing.assert_array_equal(y, (i ^ 31) * 100 + 63 - i)


def test_functions_of_simd_groups(any_order):
    calls = {
        "simd_sum(v)": lambda v: np.full(32, v.sum()),
        "simd_max(v)": lambda v: np.full(32, v.max()),
        "simd_min(v)": lambda v: np.full(32, v.min()),
        "simd_xor(v)": lambda v: np.full(32, np.bitwise_xor.reduce(v)),
        "simd_and(v)": lambda v: np.full(32, np.bitwise_and.reduce(v)),
        "simd_prefix_inclusive_sum(v)": np.cumsum,
        "simd_prefix_exclusive_sum(v)": lambda v: np.cumsum(v) - v,
        "simd_broadcast(v, 7)": lambda v: np.full(32, v[7]),
        "simd_broadcast_first(v)": lambda v: np.full(32, v[0]),
        "simd_shuffle(v, ushort(31 - lane))": lambda v: v[::-1],
        "simd_shuffle_xor(v, 5)": lambda v: v[np.arange(32) ^ 5],
        "simd_shuffle_rotate_down(v, 3)": lambda v: np.roll(v, -3),
        "simd_shuffle_rotate_up(v, 3)": lambda v: np.roll(v, 3),
        "lane < 29 ? simd_shuffle_down(v, 3) : (simd_shuffle_down(v, 3), -1)": lambda v: np.append(v[3:], [-1] * 3),
        "simd_shuffle_and_fill_up(v, -v, 2)": lambda v: np.append(-v[30:], v[:30]),
        "simd_shuffle_and_fill_down(v, -v, 2)": lambda v: np.append(v[2:], -v[:2]),
        "int(ulong(simd_ballot(v & 1)))": lambda v: np.full(
            32, np.int64(((v & 1) << np.arange(32)).sum()).astype(np.int32)
        ),
        "simd_any(v == 40)": lambda v: np.full(32, (v == 40).any()),
        "simd_all(v < 1000)": lambda v: np.ones(32),
        "simd_is_first()": lambda v: np.arange(32) == 0,
        "quad_sum(v)": lambda v: np.repeat(v.reshape(8, 4).sum(1), 4),
        "quad_max(v)": lambda v: np.repeat(v.reshape(8, 4).max(1), 4),
        "quad_broadcast(v, 2)": lambda v: np.repeat(v.reshape(8, 4)[:, 2], 4),
        "quad_shuffle_xor(v, 1)": lambda v: v[np.arange(32) ^ 1],
        "simd_sum(int2(v, 1)).y": lambda v: np.full(32, 32),
    }
    # Lanes must not stop at different calls: the third argument of ?: is evaluated by some.
    lines = [
        f"y[{n} * 64 + i] = {call};"
        if "?" not in call
        else f"{{ int t = simd_shuffle_down(v, 3); y[{n} * 64 + i] = lane < 29 ? t : -1; }}"
        for n, call in enumerate(calls)
    ]
    kernel = any_order.kernel(
        "kernel void k(device const int* x, device int* y, uint i [[thread_index_in_threadgroup]],"
        "uint lane [[thread_index_in_simdgroup]]) { int v = x[i];\n" + "\n".join(lines) + "}"
    )
    x = np.random.default_rng(1).integers(0, 100, 64).astype("i")
    y = np.zeros((len(calls), 64), "i")
    kernel(x, y, threads=64)
    for row, (call, expected) in zip(y, calls.items(), strict=True):
        np.testing.assert_array_equal(row, np.concatenate([expected(x[:32]), expected(x[32:])]), err_msg=call)


def test_some_lanes_of_a_simd_group(host):
    """Metal lets lanes meet that are in one branch; others do not count."""
    kernel = host.kernel("""
        kernel void k(device int* y, uint i [[thread_index_in_simdgroup]]) {
          if (i % 3 == 0) y[i] = simd_sum(int(i));
          else y[i] = -simd_sum(1);
        }""")
    y = np.zeros(32, "i")
    kernel(y, threads=32)
    i = np.arange(32)
    np.testing.assert_array_equal(y, np.where(i % 3 == 0, i[::3].sum(), -(i % 3 != 0).sum()))


@pytest.mark.parametrize("dtype", ["float", "half"])
def test_matrices_of_simd_groups(any_order, dtype):
    kernel = any_order.kernel(
        """
        kernel void k(device const T* a, device const T* b, device float* c, device float* elements,
                      uint lane [[thread_index_in_simdgroup]]) {
          simdgroup_matrix<T, 8, 8> left, right;
          simdgroup_matrix<float, 8, 8> sum = make_filled_simdgroup_matrix<float, 8, 8>(1.0f);
          for (int k = 0; k < 16; k += 8) {
            simdgroup_load(left, a, 16, ulong2(k, 0));
            simdgroup_load(right, b + k, 16, ulong2(0, 0), true);
            simdgroup_multiply_accumulate(sum, left, right, sum);
          }
          simdgroup_store(sum, c, 8);
          elements[2 * lane] = sum.thread_elements()[0];
          elements[2 * lane + 1] = sum.thread_elements()[1];
        }""".replace("T>", f"{dtype}>")
        .replace(" T*", f" {dtype}*")
        .replace("<T,", f"<{dtype},")
    )
    rng = np.random.default_rng(2)
    a, b = (rng.integers(-4, 5, (8, 16)).astype("f2" if dtype == "half" else "f") for _ in range(2))
    c, elements = np.zeros((8, 8), "f"), np.zeros((32, 2), "f")
    kernel(a, b, c, elements, threads=32)
    np.testing.assert_array_equal(c, a.astype("f") @ b.astype("f").T + 1)
    # Apple's layout: two neighbours in a row a lane, quads of lanes in blocks of 4 x 4.
    lane = np.arange(32)
    rows, columns = (lane // 4 & 4) + lane // 2 % 4, (lane // 4 & 2) * 2 + lane % 2 * 2
    np.testing.assert_array_equal(elements, np.stack([c[rows, columns], c[rows, columns + 1]], 1))


def test_atomics(any_order):
    kernel = any_order.kernel(f"""
        kernel void k(device atomic_int* n, device atomic_float* f, device atomic_uint* u, {INDEX}) {{
          atomic_fetch_add_explicit(n, 2, memory_order_relaxed);
          atomic_fetch_max_explicit(n + 1, int(i), memory_order_relaxed);
          atomic_fetch_add_explicit(f, 0.5, memory_order_relaxed);
          atomic_fetch_or_explicit(u, 1u << (i % 32), memory_order_relaxed);
          uint old = 7;
          if (i == 70) atomic_compare_exchange_weak_explicit(u + 1, &old, 9u, memory_order_relaxed, memory_order_relaxed);
          threadgroup atomic_uint counts[2];
          if (i % 100 == 0) atomic_store_explicit(counts, 0u, memory_order_relaxed);
          threadgroup_barrier(mem_flags::mem_threadgroup);
          atomic_fetch_add_explicit(counts, 1u, memory_order_relaxed);
          threadgroup_barrier(mem_flags::mem_threadgroup);
          if (i % 100 == 0)
            atomic_fetch_add_explicit(u + 2, atomic_load_explicit(counts, memory_order_relaxed), memory_order_relaxed);
        }}""")
    n, f, u = np.zeros(2, "i"), np.zeros(1, "f"), np.array([0, 7, 0], np.uint32)
    kernel(n, f, u, grid=1000, threads=100)
    assert n.tolist() == [2000, 999] and f[0] == 500 and u.tolist() == [0xFFFFFFFF, 9, 1000]


def test_positions_at_the_edges_of_a_grid(host):
    kernel = host.kernel("""
        kernel void k(device uint* y, uint3 p [[thread_position_in_grid]], uint3 t [[thread_position_in_threadgroup]],
                      uint3 g [[threadgroup_position_in_grid]], ushort3 size [[threads_per_threadgroup]],
                      uint3 usual [[dispatch_threads_per_threadgroup]], uint3 grid [[threads_per_grid]],
                      uint3 groups [[threadgroups_per_grid]], uint n [[thread_index_in_threadgroup]],
                      uint simd_groups [[simdgroups_per_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                      uint warp [[simdgroup_index_in_threadgroup]], uint width [[threads_per_simdgroup]]) {
          device uint* out = y + ((p.z * grid.y + p.y) * grid.x + p.x) * 6;
          out[0] = n, out[1] = size.x * 10000 + size.y * 100 + size.z;
          out[2] = all(g * usual + t == p) && grid.x == 7 && grid.y == 5 && grid.z == 3;
          out[3] = groups.x * 10000 + groups.y * 100 + groups.z;
          out[4] = lane + warp * width == n, out[5] = simd_groups;
        }""")
    y = np.zeros((3, 5, 7, 6), np.uint32)
    kernel(y, grid=(7, 5, 3), threads=(4, 4, 4))
    for z, row, x in np.ndindex(3, 5, 7):
        size = (4 if x < 4 else 3, 4 if row < 4 else 1, 3)
        at = (x % 4, row % 4, z)
        index = (at[2] * size[1] + at[1]) * size[0] + at[0]
        threads = size[0] * size[1] * size[2]
        assert y[z, row, x].tolist() == [
            index,
            size[0] * 10000 + size[1] * 100 + size[2],
            1,
            20201,
            1,
            (threads + 31) // 32,
        ]


def test_many_threadgroups_on_several_workers(host):
    host.set_options(workers=4)
    kernel = host.kernel(f"kernel void k(device const int* x, device int* y, {INDEX}) {{ y[i] = x[i] * 3; }}")
    x, y = np.arange(100003, dtype="i"), np.zeros(100003, "i")
    kernel(x, y, grid=x.size, threads=256)
    np.testing.assert_array_equal(y, x * 3)


@pytest.mark.parametrize("concurrent", [False, True])
def test_dispatches_run_in_order_where_barriers_say_so(any_order, concurrent):
    add = any_order.kernel(f"kernel void k(device int* x, constant int& n, {INDEX}) {{ x[i] = x[i] * 10 + n; }}")
    x = np.zeros(40, "i")
    steps = [(add, [x, np.int32(n).tobytes()], None, 8, 40, ()) for n in (1, 2, 3)]
    any_order.run(steps, barriers=(1, 2) if concurrent else (), concurrent=concurrent)
    assert (x == 123).all()

"""What the translator and the shim make of Metal: types, literals, templates, address spaces, the standard library."""

import os
import pathlib
import signal

import numpy as np
import pytest
from metal_host import MetalError


def rounded_to_bfloat(x):
    """The bits of float32 values as bfloat, to nearest even."""
    bits = x.view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(x), (bits >> 16 | 0x40).astype(np.uint16), rounded)


def awkward_floats(rng):
    """All signs and exponents, ties between halves and bfloats, subnormals, infinities, NaN."""
    exponents = rng.integers(0, 256, 20000, dtype=np.uint32) << 23
    fractions = rng.integers(0, 1 << 23, 20000, dtype=np.uint32)
    ties = fractions & rng.choice(np.array([0x7FE000, 0x7FF000, 0x7F8000, 0x7F0000, 0x7FFFFF], np.uint32), 20000)
    x = np.concatenate([exponents | ties, np.array([0, 0x7F800000, 0x7FC00000, 0x477FF000, 0x33000000], np.uint32)])
    return np.concatenate([x, x | 0x80000000]).astype(np.uint32).view(np.float32)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_half_and_bfloat_round_to_nearest_even(host):
    kernel = host.kernel("""
        kernel void k(device const float* x, device half* h, device bfloat* b, device float* hf, device float* bf,
                      uint i [[thread_position_in_grid]]) {
          h[i] = x[i];
          b[i] = bfloat(x[i]);
          hf[i] = h[i];
          bf[i] = b[i];
        }""")
    x = awkward_floats(np.random.default_rng(0))
    h, b = np.zeros(x.size, np.float16), np.zeros(x.size, np.uint16)
    hf, bf = np.zeros_like(x), np.zeros_like(x)
    kernel(x, h, b, hf, bf, grid=x.size, threads=256)
    np.testing.assert_array_equal(h, x.astype(np.float16))
    np.testing.assert_array_equal(hf, x.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(b, rounded_to_bfloat(x))
    np.testing.assert_array_equal(bf.view(np.uint32) >> 16, b)


def test_arithmetic_of_halves_rounds_each_step(host):
    kernel = host.kernel("""
        kernel void k(device const half* a, device const half* b, device half* y, uint i [[thread_position_in_grid]]) {
          half t = a[i] * b[i];
          t += a[i];
          y[i] = -t / 3 + 1.5h;
        }""")
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(4096).astype(np.float16) for _ in range(2))
    y = np.zeros_like(a)
    kernel(a, b, y, grid=a.size, threads=64)
    np.testing.assert_array_equal(y, -(a * b + a) / np.float16(3) + np.float16(1.5))


def test_vectors(host):
    kernel = host.kernel("""
        kernel void k(device const float4* x, device float* y, device packed_float3* p, device int2* n) {
          float4 a = x[0], b = x[1];
          a.xz = b.yw;
          a.w *= 2;
          b.xyz += a.zyx;
          float3 c = cross(a.xyz, float3(1, 2, 3)) + max(b.xyz, 0.0);
          float2 d(c.xy * a.zw);
          y[0] = a.x, y[1] = a.y, y[2] = a.z, y[3] = a.w;
          y[4] = b.x, y[5] = b.y, y[6] = b.z, y[7] = dot(c, float3(1));
          y[8] = d.x, y[9] = d.y, y[10] = any(a < b), y[11] = all(a.xy == a.xy);
          p[1] = packed_float3(c);
          n[0] = int2(d) << 1;
          n[1] = select(int2(1, 2), int2(3, 4), bool2(false, true));
        }""")
    x = np.array([1, -2, 3, 4, 5, 6, 7, -8], "f")
    y, p, n = np.zeros(12, "f"), np.zeros(6, "f"), np.zeros(4, "i")
    kernel(x, y, p, n)
    a, b = np.array([6, -2, -8, 8], "f"), np.array([-3, 4, 13, -8], "f")
    c = np.cross(a[:3], [1, 2, 3]) + np.maximum(b[:3], 0)
    d = c[:2] * a[2:]
    np.testing.assert_array_equal(y, [*a, *b[:3], c.sum(), *d, (a < b).any(), 1])
    np.testing.assert_array_equal(p, [0, 0, 0, *c])
    np.testing.assert_array_equal(n, [*(d.astype(int) << 1), 1, 4])


def test_literals_are_floats_and_address_spaces_go(host):
    kernel = host.kernel("""
        constant float table[3] = {0.1, 1e-1, 0x1p-2};
        constant constexpr int shift = 2;
        float first(device const float* p) { return p[0]; }
        float first(threadgroup const float* p) { return p[0]; }
        float first(constant const float* p) { return p[0]; }
        struct Pair {
          float a, b;
          float sum() const thread { return a + b; }
          float sum() const device { return a + b; }
        };
        template <typename T> inline void add_to(thread T& to, T what) { to += what; }
        kernel void k(device float* y, constant Pair& pair, constant const float* all [[buffer(2)]],
                      uint lane [[thread_index_in_simdgroup]]) {
          threadgroup float one[1], two [2][4];
          one[0] = 0.1 * 3;
          two[1][3] = 1 << shift;
          y[0] = first(y + 7) + first(one) + first(all) + first(table);
          float s = 0.1 + 0.2 == 0.1f + 0.2f ? pair.a : -1.0;
          add_to(s, pair.b);
          y[1] = s + two[1][3], y[2] = table[2];
        }""")
    y = np.arange(8, dtype="f")
    kernel(y, np.array([3, 4], "f"), np.array([5], "f"), threads=1)
    tenth = np.float32(0.1)
    np.testing.assert_array_equal(y[:3], [np.float32(np.float32(7 + tenth * np.float32(3)) + 5) + tenth, 11, 0.25])


def test_templates_are_instantiated_under_their_host_names(host):
    source = """
        template <typename T, int by>
        [[kernel]] void scale(device const T* x [[buffer(0)]], device T* y [[buffer(1)]],
                              uint i [[thread_position_in_grid]]) { y[i] = x[i] * T(by); }
        template [[host_name("scale_float")]] [[kernel]] decltype(scale<float, 3>) scale<float, 3>;
        template [[host_name("scale_int")]] kernel void scale<int, 5>(device const int*, device int*, uint);
        """
    for name, dtype, by in (("scale_float", np.float32, 3), ("scale_int", np.int32, 5)):
        x, y = np.arange(10, dtype=dtype), np.zeros(10, dtype)
        host.kernel(source, name)(x, y, grid=10, threads=10)
        np.testing.assert_array_equal(y, x * by)


def test_function_constants(host):
    source = """
        constant int rows [[function_constant(0)]];
        constant bool negate [[function_constant(3)]];
        constant int given = is_function_constant_defined(rows) ? rows : 7;
        kernel void k(device int* y) { y[0] = negate ? -given : given; }"""
    for constants, value in (({0: np.int32(5), 3: np.bool_(True)}, -5), ({3: np.bool_(False)}, 7)):
        y = np.zeros(1, np.int32)
        host.kernel(source, constants=constants)(y)
        assert y[0] == value


def test_kernel_as_array_libraries_write_them(host):
    """Generated signature, body of the user's: the form of MLX's metal_kernel."""
    kernel = host.kernel(
        """
        template <typename T, bool Square>
        [[kernel]] void custom_kernel_myexp(
          const device float16_t* inp [[buffer(0)]], const constant int* inp_shape [[buffer(1)]],
          const constant int64_t* inp_strides [[buffer(2)]], device T* out [[buffer(3)]],
          uint3 thread_position_in_grid [[thread_position_in_grid]]) {
            uint elem = thread_position_in_grid.x;
            uint loc = elem / inp_shape[1] * inp_strides[0] + elem % inp_shape[1] * inp_strides[1];
            T tmp = inp[loc];
            out[elem] = metal::precise::exp(Square ? tmp * tmp : tmp);
          }
        template [[host_name("custom_kernel_myexp_float")]] [[kernel]]
        decltype(custom_kernel_myexp<float, true>) custom_kernel_myexp<float, true>;
        """.replace("float16_t", "half"),
        "custom_kernel_myexp_float",
    )
    x = np.random.default_rng(2).standard_normal((8, 6)).astype(np.float16)
    out = np.zeros((6, 8), "f")
    kernel(x, np.array([6, 8], "i"), np.array([1, 6]), out, grid=48, threads=48)
    np.testing.assert_allclose(out, np.exp(x.T.astype("f") ** 2), rtol=1e-6)


def test_names_of_kernels_may_be_those_of_the_shim(host):
    """`using namespace metal` brings Metal's names, and no others."""
    names = "lanes exchange word_of swizzle parts given element_of common_vector matrix_row is_native_integer component"
    source = "".join(f"struct {name} {{ int value; }};\n" for name in names.split())
    y = np.zeros(1, "i")
    host.kernel(source + "kernel void k(device int* y) { lanes l{2}; given g{3}; y[0] = l.value + g.value; }")(y)
    assert y[0] == 5


def test_macros_and_conditions(host):
    kernel = host.kernel("""
        #define ADD(a, b) ((a) + (b))
        #define NAME(x) value_##x
        #define TEXT(x) #x
        #define TWICE(f, ...) f(__VA_ARGS__) + f(__VA_ARGS__)
        #define SELF SELF_VALUE
        #define SELF_VALUE 4
        #if defined(__METAL__) && __METAL_VERSION__ >= 310 && !defined(ABSENT)
        #define FOUND 1
        #elif 1
        #error "not reached"
        #endif
        #ifdef ABSENT
        this is no code
        #else
        constant int NAME(x) = 3;
        #endif
        kernel void k(device int* y) {
          y[0] = ADD(ADD(1, 2), NAME(x)) + TWICE(ADD, 1, 1);
          y[1] = FOUND + sizeof(TEXT(a "b")) + SELF;  // a comment
          y[2] = /* another */ __LINE__;
        }""")
    y = np.zeros(3, "i")
    kernel(y)
    np.testing.assert_array_equal(y[:2], [10, 1 + 6 + 4])


def test_errors_of_the_compiler_name_the_line(host):
    with pytest.raises(MetalError, match=r"program_source:4:\d+: error: use of undeclared identifier 'missing'"):
        host.kernel("kernel void k(device int* y) {\n  y[0] = missing;\n}")
    with pytest.raises(MetalError, match="nothing says what the parameter `int n` is"):
        host.kernel("kernel void k(device int* y, int n) {}")
    with pytest.raises(MetalError, match="no kernel"):
        host.kernel("inline void f() {}")


def resident_compilers():
    """The children of this process that stay to compile."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and b"libresident.so" in (process / "environ").read_bytes():
                found.append(int(process.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass
    return found


def end_resident_compilers():
    found = resident_compilers()
    for process in found:
        os.kill(process, signal.SIGKILL)
    return len(found)


def test_programs_do_not_meet_in_the_resident_compiler(host, tmp_path):
    host.set_options(cache=tmp_path)
    y = np.zeros(1, "i")
    for n in (1, 20, 300):
        host.kernel(f"""
            #define ADDED {n}
            struct Number {{ int value[{n}]; }};
            template <class T> T f() {{ return T(sizeof(Number) / 4); }}
            constant int added = ADDED;
            kernel void k(device int* y) {{ y[0] += f<int>() + added; }}""")(y)
    assert y[0] == 2 * 321
    # Whether a clang can stay depends on its build; Debian's does.
    assert resident_compilers() or not pathlib.Path("/etc/debian_version").exists()


def test_kernels_are_compiled_when_the_resident_compiler_has_ended(host, tmp_path):
    host.set_options(cache=tmp_path)
    y = np.zeros(1, "i")
    for n in (1, 20):
        host.kernel(f"kernel void k(device int* y) {{ y[0] += {n}; }}")(y)
        end_resident_compilers()
    assert y[0] == 21


def test_a_new_checkout_compiles_with_what_an_older_one_kept(host, tmp_path):
    """The cache outlives checkouts, whose files are as old as they are."""
    header = pathlib.Path(__file__).parent / "shim" / "entry.h"
    written = header.stat()
    host.set_options(cache=tmp_path)
    y = np.zeros(1, "i")
    try:
        for hours in (1, 2):
            os.utime(header, (written.st_atime, written.st_mtime - 3600 * hours))
            host.kernel(f"kernel void k(device int* y) {{ y[0] += {hours}; }}")(y)
            end_resident_compilers()  # which has read the shim
    finally:
        os.utime(header, ns=(written.st_atime_ns, written.st_mtime_ns))
    assert y[0] == 3 and len(list(tmp_path.glob("shim-*.pch"))) == 1


UNARY = {
    "exp": np.exp,
    "log": lambda x: np.log(np.abs(x)),
    "sin": np.sin,
    "tanh": np.tanh,
    "rsqrt": lambda x: 1 / np.sqrt(np.abs(x)),
    "rint": np.rint,
    "round": lambda x: np.trunc(x + np.copysign(0.5, x)),
    "floor": np.floor,
    "sign": np.sign,
    "fract": lambda x: x - np.floor(x),
    "saturate": lambda x: np.clip(x, 0, 1),
    "exp2": np.exp2,
    "cospi": lambda x: np.cos(np.pi * x),
}


def test_loops_to_unroll(host):
    source = """
        kernel void k(device uint* y, uint i [[thread_position_in_grid]]) {
          uint sum = 0;
          _Pragma("clang loop unroll(full)") for (uint j = 0; j < 4; ++j) sum += i * j;
          _Pragma("clang loop unroll(full)") LOOP sum += 1; while (sum % 10);
          y[i] = sum;
        }"""
    y = np.zeros(40, np.uint32)
    host.kernel(source.replace("LOOP", "do"))(y, grid=40, threads=40)
    np.testing.assert_array_equal(y, np.arange(40) * 6 // 10 * 10 + 10)
    with pytest.raises(MetalError, match="expected a for, while, or do-while loop"):
        host.kernel(source.replace("LOOP", ""))


def test_functions_of_reals(host):
    lines = [
        f"y[{n} * 256 + i] = {name}({'fabs(v)' if name in ('log', 'rsqrt') else 'v'});" for n, name in enumerate(UNARY)
    ]
    kernel = host.kernel(
        "kernel void k(device const float* x, device float* y, uint i [[thread_position_in_grid]]) { float v = x[i];"
        + "\n".join(lines)
        + "}"
    )
    x = np.random.default_rng(3).uniform(-9, 9, 256).astype("f")
    y = np.zeros((len(UNARY), 256), "f")
    kernel(x, y, grid=256, threads=64)
    for row, function in zip(y, UNARY.values(), strict=True):
        np.testing.assert_allclose(row, function(x.astype(np.float64)), rtol=3e-7, atol=3e-7)


def test_functions_of_integers(host):
    kernel = host.kernel("""
        kernel void k(device const uint* x, device uint* y, device int* s, uint i [[thread_position_in_grid]]) {
          uint v = x[i];
          y[8 * i] = popcount(v), y[8 * i + 1] = clz(v), y[8 * i + 2] = ctz(v), y[8 * i + 3] = reverse_bits(v);
          y[8 * i + 4] = mulhi(v, 0x9E3779B9u), y[8 * i + 5] = rotate(v, 7u), y[8 * i + 6] = addsat(v, 0x80000000u);
          y[8 * i + 7] = extract_bits(v, 4, 9);
          s[2 * i] = abs(int(v)), s[2 * i + 1] = clamp(int(v), -100, 100);
        }""")
    x = np.array([0, 1, 0x80000000, 0xFFFFFFFF, 12345678, 0xDEADBEEF], np.uint32)
    y, s = np.zeros((6, 8), np.uint32), np.zeros((6, 2), np.int32)
    kernel(x, y, s, grid=6, threads=6)
    for v, row, (magnitude, clamped) in zip(x.tolist(), y.tolist(), s.tolist(), strict=True):
        bits = f"{v:032b}"
        assert row[:4] == [
            v.bit_count(),
            32 - v.bit_length(),
            (v & -v).bit_length() - 1 if v else 32,
            int(bits[::-1], 2),
        ]
        assert row[4:] == [
            v * 0x9E3779B9 >> 32,
            (v << 7 | v >> 25) & 0xFFFFFFFF,
            min(v + 0x80000000, 0xFFFFFFFF),
            v >> 4 & 511,
        ]
        signed = v - (1 << 32) if v >> 31 else v
        assert magnitude in (abs(signed), -(1 << 31)) and clamped == max(-100, min(100, signed))

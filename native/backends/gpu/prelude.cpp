#include "backends/gpu/prelude.h"

namespace funcnn::gpu {
namespace {

constexpr std::string_view kMetalBase = R"text(#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;
typedef uchar u8; typedef char i8; typedef ushort u16; typedef short i16; typedef uint u32; typedef int i32;
typedef ulong u64; typedef long i64; typedef half f16; typedef bfloat bf16; typedef float f32;
#define DEVICE device
#define SHARED threadgroup
#define SHARED_POINTER threadgroup
#define FUNCTION inline
#define CONSTANT constant
#define UNROLL _Pragma("clang loop unroll(full)")
#define BARRIER() threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device)
#define WARP_BARRIER() simdgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device)
)text";

constexpr std::string_view kCudaBase = R"text(typedef unsigned char u8; typedef signed char i8; typedef unsigned short u16;
typedef short i16; typedef unsigned int u32; typedef int i32; typedef unsigned long long u64; typedef long long i64;
typedef float f32; typedef double f64;
#define DEVICE
#define SHARED __shared__
#define SHARED_POINTER
#define FUNCTION static __device__ __forceinline__
#define CONSTANT static __device__ const
#define UNROLL _Pragma("unroll")
#define BARRIER() __syncthreads()
#define WARP_BARRIER() __syncwarp()
)text";

}  // namespace

std::string_view prelude_text(Language language, Section section) {
  if (section == Section::base) return language == Language::metal ? kMetalBase : kCudaBase;
  return {};
}

}  // namespace funcnn::gpu

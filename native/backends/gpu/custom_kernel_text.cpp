#include <string_view>

#include "backends/gpu/custom_kernel.h"
#include "backends/gpu/prelude.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

// Inputs of fewer elements are in the address space `constant` on Metal.
constexpr int64_t kMostConstant = 8;

struct Attribute {
  const char *name, *type;
};
// Parameters that the body gets where it mentions them.
constexpr Attribute kAttributes[] = {
    {"dispatch_quadgroups_per_threadgroup", "uint"},
    {"dispatch_simdgroups_per_threadgroup", "uint"},
    {"dispatch_threads_per_threadgroup", "uint3"},
    {"grid_origin", "uint3"},
    {"grid_size", "uint3"},
    {"quadgroup_index_in_threadgroup", "uint"},
    {"quadgroups_per_threadgroup", "uint"},
    {"simdgroup_index_in_threadgroup", "uint"},
    {"simdgroups_per_threadgroup", "uint"},
    {"thread_execution_width", "uint"},
    {"thread_index_in_quadgroup", "uint"},
    {"thread_index_in_simdgroup", "uint"},
    {"thread_index_in_threadgroup", "uint"},
    {"thread_position_in_grid", "uint3"},
    {"thread_position_in_threadgroup", "uint3"},
    {"threadgroup_position_in_grid", "uint3"},
    {"threadgroups_per_grid", "uint3"},
    {"threads_per_grid", "uint3"},
    {"threads_per_simdgroup", "uint"},
    {"threads_per_threadgroup", "uint3"},
};

// The names that bodies expect to find.
constexpr std::string_view kMetalPreamble = R"text(#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;
typedef half float16_t;
typedef bfloat bfloat16_t;
struct complex64_t {
  float real, imag;
  complex64_t() = default;
  complex64_t(float re, float im = 0) : real(re), imag(im) {}
};
inline complex64_t operator-(complex64_t a) { return complex64_t(-a.real, -a.imag); }
inline complex64_t operator+(complex64_t a, complex64_t b) { return complex64_t(a.real + b.real, a.imag + b.imag); }
inline complex64_t operator-(complex64_t a, complex64_t b) { return complex64_t(a.real - b.real, a.imag - b.imag); }
inline complex64_t operator*(complex64_t a, complex64_t b) {
  return complex64_t(a.real * b.real - a.imag * b.imag, a.real * b.imag + a.imag * b.real);
}
inline complex64_t operator/(complex64_t a, complex64_t b) {
  float d = b.real * b.real + b.imag * b.imag;
  return complex64_t((a.real * b.real + a.imag * b.imag) / d, (a.imag * b.real - a.real * b.imag) / d);
}
inline bool operator==(complex64_t a, complex64_t b) { return a.real == b.real && a.imag == b.imag; }
inline bool operator!=(complex64_t a, complex64_t b) { return !(a == b); }
template <typename T, typename U>
inline T ceildiv(T n, U m) {
  return (n + m - 1) / m;
}
template <typename I>
inline I elem_to_loc(I elem, constant const int* shape, constant const int64_t* strides, int ndim) {
  I loc = 0;
  for (int i = ndim - 1; i >= 0; --i) {
    loc += (elem % shape[i]) * I(strides[i]);
    elem /= shape[i];
  }
  return loc;
}
)text";

// After the prelude. Half precision converts from and to float by itself; the groups that bodies are likely to ask for
// stand in for the header, which is not there on every machine.
constexpr std::string_view kCudaPreamble = R"text(
typedef unsigned char uint8_t; typedef signed char int8_t; typedef unsigned short uint16_t; typedef short int16_t;
typedef unsigned int uint32_t; typedef int int32_t; typedef unsigned long long uint64_t; typedef long long int64_t;
#define HALF(name, from)                                                          \
  struct name {                                                                   \
    unsigned short bits;                                                          \
    name() = default;                                                             \
    __device__ name(float x) : bits(from(x).bits) {}                              \
    __device__ operator float() const { from h; h.bits = bits; return float(h); } \
    __device__ name& operator+=(float x) { return *this = name(float(*this) + x); } \
    __device__ name& operator-=(float x) { return *this = name(float(*this) - x); } \
    __device__ name& operator*=(float x) { return *this = name(float(*this) * x); } \
    __device__ name& operator/=(float x) { return *this = name(float(*this) / x); } \
  };
HALF(float16_t, f16)
HALF(bfloat16_t, bf16)
struct alignas(8) complex64_t {
  complex64_t() = default;
  __device__ complex64_t(float re, float im = 0) : re_(re), im_(im) {}
  __device__ float real() const { return re_; }
  __device__ float imag() const { return im_; }
  float re_, im_;
};
__device__ inline complex64_t operator-(complex64_t a) { return {-a.re_, -a.im_}; }
__device__ inline complex64_t operator+(complex64_t a, complex64_t b) { return {a.re_ + b.re_, a.im_ + b.im_}; }
__device__ inline complex64_t operator-(complex64_t a, complex64_t b) { return {a.re_ - b.re_, a.im_ - b.im_}; }
__device__ inline complex64_t operator*(complex64_t a, complex64_t b) {
  return {a.re_ * b.re_ - a.im_ * b.im_, a.re_ * b.im_ + a.im_ * b.re_};
}
__device__ inline complex64_t operator/(complex64_t a, complex64_t b) {
  float d = b.re_ * b.re_ + b.im_ * b.im_;
  return {(a.re_ * b.re_ + a.im_ * b.im_) / d, (a.im_ * b.re_ - a.re_ * b.im_) / d};
}
__device__ inline bool operator==(complex64_t a, complex64_t b) { return a.re_ == b.re_ && a.im_ == b.im_; }
__device__ inline bool operator!=(complex64_t a, complex64_t b) { return !(a == b); }
namespace cooperative_groups {
struct thread_block {
  __device__ unsigned size() const { return blockDim.x * blockDim.y * blockDim.z; }
  __device__ unsigned thread_rank() const {
    return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  }
  __device__ dim3 group_index() const { return dim3(blockIdx.x, blockIdx.y, blockIdx.z); }
  __device__ dim3 thread_index() const { return dim3(threadIdx.x, threadIdx.y, threadIdx.z); }
  __device__ void sync() const { __syncthreads(); }
};
struct grid_group {
  __device__ unsigned long long size() const {
    return (unsigned long long)gridDim.x * gridDim.y * gridDim.z * thread_block().size();
  }
  __device__ unsigned long long thread_rank() const {
    unsigned long long block = blockIdx.x + gridDim.x * (blockIdx.y + (unsigned long long)gridDim.y * blockIdx.z);
    return block * thread_block().size() + thread_block().thread_rank();
  }
};
__device__ inline thread_block this_thread_block() { return {}; }
__device__ inline grid_group this_grid() { return {}; }
}  // namespace cooperative_groups
namespace cg = cooperative_groups;
template <typename T, typename U>
__device__ inline T ceildiv(T n, U m) {
  return (n + m - 1) / m;
}
template <typename I>
__device__ inline I elem_to_loc(I elem, const int* shape, const int64_t* strides, int ndim) {
  I loc = 0;
  for (int i = ndim - 1; i >= 0; --i) {
    loc += (elem % shape[i]) * I(strides[i]);
    elem /= shape[i];
  }
  return loc;
}
)text";

// As MLX calls them in kernels.
std::string_view custom_type(Dtype dtype) {
  switch (dtype) {
    case Dtype::bool_:
      return "bool";
    case Dtype::uint8:
      return "uint8_t";
    case Dtype::int8:
      return "int8_t";
    case Dtype::uint16:
      return "uint16_t";
    case Dtype::int16:
      return "int16_t";
    case Dtype::uint32:
      return "uint32_t";
    case Dtype::int32:
      return "int32_t";
    case Dtype::uint64:
      return "uint64_t";
    case Dtype::int64:
      return "int64_t";
    case Dtype::float16:
      return "float16_t";
    case Dtype::bfloat16:
      return "bfloat16_t";
    case Dtype::float32:
      return "float";
    case Dtype::float64:
      return "double";
    case Dtype::complex64:
      return "complex64_t";
  }
  throw Error("no name for a dtype");
}

// "typename T, int N" and "float, 3"; both empty where there is no template.
struct TemplateText {
  std::string parameters, arguments;
};
TemplateText template_text(const CustomCall& call) {
  TemplateText text;
  for (const auto& [name, value] : call.arguments) {
    const char* comma = text.arguments.empty() ? "" : ", ";
    const char* kind = std::holds_alternative<Dtype>(value)  ? "typename "
                       : std::holds_alternative<bool>(value) ? "bool "
                                                             : "int ";
    text.parameters += cat(comma, kind, name);
    text.arguments += comma;
    if (const auto* dtype = std::get_if<Dtype>(&value))
      text.arguments += custom_type(*dtype);
    else if (const auto* truth = std::get_if<bool>(&value))
      text.arguments += *truth ? "true" : "false";
    else
      text.arguments += std::to_string(std::get<int64_t>(value));
  }
  return text;
}

// The structure of shapes and strides; empty where the body mentions none. Fields of 8 bytes come first.
std::string values_text(const CustomSource& source, std::span<const Aval> inputs) {
  std::string wide, narrow;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const size_t axes = inputs[i].shape.size();
    const CustomFields fields = custom_fields(source, i, axes);
    if (fields.strides) wide += cat("  int64_t ", source.inputs[i], "_strides[", axes, "];\n");
    if (fields.shape) narrow += cat("  int ", source.inputs[i], "_shape[", axes, "];\n");
    if (fields.ndim) narrow += cat("  int ", source.inputs[i], "_ndim;\n");
  }
  return wide.empty() && narrow.empty() ? "" : "struct CustomValues {\n" + wide + narrow + "};\n";
}

// The fields under the names of the body.
std::string fields_text(const CustomSource& source, std::span<const Aval> inputs, std::string_view qualifier) {
  std::string out;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const CustomFields fields = custom_fields(source, i, inputs[i].shape.size());
    const std::string& name = source.inputs[i];
    if (fields.shape) out += cat("  ", qualifier, "const int* ", name, "_shape = custom_values.", name, "_shape;\n");
    if (fields.strides)
      out += cat("  ", qualifier, "const int64_t* ", name, "_strides = custom_values.", name, "_strides;\n");
    if (fields.ndim) out += cat("  const int ", name, "_ndim = custom_values.", name, "_ndim;\n");
  }
  return out;
}

std::string metal_text(const CustomSource& source, const CustomCall& call, std::span<const Aval> inputs) {
  const std::string name = custom_kernel_name(source);
  const TemplateText given = template_text(call);
  const std::string values = values_text(source, inputs);
  std::vector<std::string> parameters;
  size_t index = 0;
  for (size_t i = 0; i < inputs.size(); ++i)
    parameters.push_back(cat("const ", element_count(inputs[i].shape) < kMostConstant ? "constant " : "device ",
                             custom_type(inputs[i].dtype), inputs[i].shape.empty() ? "& " : "* ", source.inputs[i],
                             " [[buffer(", index++, ")]]"));
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    const std::string_view type = custom_type(call.outputs[i].dtype);
    parameters.push_back(cat("device ", source.atomic_outputs ? cat("atomic<", type, ">") : std::string(type), "* ",
                             source.outputs[i], " [[buffer(", index++, ")]]"));
  }
  if (!values.empty()) parameters.push_back(cat("constant CustomValues& custom_values [[buffer(", index++, ")]]"));
  for (const Attribute& attribute : kAttributes)
    if (source.body.find(attribute.name) != std::string::npos)
      parameters.push_back(cat(attribute.type, " ", attribute.name, " [[", attribute.name, "]]"));
  std::string out(kMetalPreamble);
  out += cat(source.header, "\n", values);
  if (!given.parameters.empty()) out += cat("template <", given.parameters, ">\n");
  out += cat("[[kernel]] void ", name, "(\n");
  for (size_t i = 0; i < parameters.size(); ++i)
    out += cat("    ", parameters[i], i + 1 < parameters.size() ? ",\n" : ") {\n");
  out += cat(fields_text(source, inputs, "constant "), source.body, "\n}\n");
  if (!given.parameters.empty())
    out += cat("template [[host_name(\"", name, "\")]] [[kernel]] decltype(", name, "<", given.arguments, ">) ", name,
               "<", given.arguments, ">;\n");
  return out;
}

// The body is a function of the device, which may be a template, and the kernel calls it.
std::string cuda_text(const CustomSource& source, const CustomCall& call, std::span<const Aval> inputs,
                      std::span<const uint16_t> scalars) {
  const std::string name = custom_kernel_name(source);
  const TemplateText given = template_text(call);
  const std::string values = values_text(source, inputs);
  std::vector<std::string> parameters, given_parameters, arguments;
  std::string unwrapped;
  size_t one = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string type = cat("const ", custom_type(inputs[i].dtype), "*");
    const bool scalar = one < scalars.size() && scalars[one] == i;
    parameters.push_back(cat(type, " ", source.inputs[i]));
    given_parameters.push_back(cat(type, scalar ? " given_" : " ", source.inputs[i]));
    arguments.push_back(source.inputs[i]);
    if (scalar)
      unwrapped += cat("  ", type, " ", source.inputs[i], " = given_", source.inputs[i], " ? given_", source.inputs[i],
                       " : (", type, ")&ones.bits[", one++, "];\n");
  }
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    parameters.push_back(cat(custom_type(call.outputs[i].dtype), "* ", source.outputs[i]));
    given_parameters.push_back(parameters.back());
    arguments.push_back(source.outputs[i]);
  }
  if (one) given_parameters.push_back("const __grid_constant__ Ones ones");
  if (!values.empty()) {
    parameters.push_back("const CustomValues& custom_values");
    given_parameters.push_back("const __grid_constant__ CustomValues custom_values");
    arguments.push_back("custom_values");
  }
  auto listed = [](const std::vector<std::string>& items) {
    std::string out;
    for (const std::string& item : items) out += cat(out.empty() ? "" : ", ", item);
    return out;
  };
  std::string out(prelude_text(Language::cuda, Section::base));
  out += cat(kCudaPreamble, source.header, "\n", values);
  if (one) out += cat("struct Ones {\n  u64 bits[", one, "];\n};\n");
  if (!given.parameters.empty()) out += cat("template <", given.parameters, ">\n");
  out += cat("__device__ __forceinline__ void ", name, "_body(", listed(parameters), ") {\n",
             fields_text(source, inputs, ""), source.body, "\n}\n");
  out += cat("extern \"C\" __global__ void ", name, "(", listed(given_parameters), ") {\n", unwrapped, "  ", name,
             "_body", given.arguments.empty() ? "" : cat("<", given.arguments, ">"), "(", listed(arguments), ");\n}\n");
  return out;
}

}  // namespace

std::string custom_kernel_name(const CustomSource& source) { return "custom_kernel_" + source.name; }

CustomFields custom_fields(const CustomSource& source, size_t input, size_t axes) {
  if (axes == 0) return {};
  auto mentions = [&](const char* field) {
    return source.body.find(source.inputs[input] + field) != std::string::npos;
  };
  return {mentions("_shape"), mentions("_strides"), mentions("_ndim")};
}

std::string custom_kernel_text(const CustomSource& source, const CustomCall& call, std::span<const Aval> inputs,
                               std::span<const uint16_t> scalars) {
  return source.language == CustomSource::Language::metal ? metal_text(source, call, inputs)
                                                          : cuda_text(source, call, inputs, scalars);
}

}  // namespace funcnn::gpu

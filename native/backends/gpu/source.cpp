#include "backends/gpu/source.h"

#include <algorithm>

#include "backends/gpu/scalar.h"
#include "base/error.h"

namespace funcnn::gpu {

std::string_view type_name(Dtype dtype) {
  switch (dtype) {
    case Dtype::bool_:
      return "bool";
    case Dtype::uint8:
      return "u8";
    case Dtype::int8:
      return "i8";
    case Dtype::uint16:
      return "u16";
    case Dtype::int16:
      return "i16";
    case Dtype::uint32:
      return "u32";
    case Dtype::int32:
      return "i32";
    case Dtype::uint64:
      return "u64";
    case Dtype::int64:
      return "i64";
    case Dtype::float16:
      return "f16";
    case Dtype::bfloat16:
      return "bf16";
    case Dtype::float32:
      return "f32";
    case Dtype::float64:
      return "f64";
    case Dtype::complex64:
      return "c64";
  }
  throw Error("no name for a dtype");
}

std::string_view register_type(Dtype dtype) { return is_half(dtype) ? "f32" : type_name(dtype); }

KernelText::KernelText(const Traits& traits, std::string_view name, uint32_t threads)
    : traits_(traits), name_(name), threads_(threads), sections_{Section::base} {}

KernelText& KernelText::read(std::string_view type, std::string_view name) {
  parameters_.push_back({std::string(type), std::string(name), false, false});
  return *this;
}
KernelText& KernelText::read_one(std::string_view type, std::string_view name) {
  parameters_.push_back({std::string(type), std::string(name), false, true});
  return *this;
}
KernelText& KernelText::write(std::string_view type, std::string_view name) {
  parameters_.push_back({std::string(type), std::string(name), true, false});
  return *this;
}
KernelText& KernelText::value(std::string_view type, std::string_view name) {
  values_.emplace_back(type, name);
  return *this;
}
KernelText& KernelText::use(Section section) {
  if (std::find(sections_.begin(), sections_.end(), section) == sections_.end()) sections_.push_back(section);
  return *this;
}
KernelText& KernelText::beside(uint32_t groups) {
  beside_ = groups;
  return *this;
}
KernelText& KernelText::before(std::string_view text) {
  before_ += text;
  return *this;
}
KernelText& KernelText::body(std::string_view text) {
  body_ += text;
  return *this;
}

// Metal binds buffers by number and hands positions in as parameters; the last buffer holds the values. CUDA passes
// pointers, and in the place of the pointer to a scalar of the host a null, the scalar then being in `ones`.
Source KernelText::finish() const {
  std::string out;
  std::vector<Section> sections = sections_;
  std::sort(sections.begin(), sections.end());
  for (Section section : sections) out += prelude_text(traits_.language, section);
  if (std::find(sections.begin(), sections.end(), Section::math) != sections.end())
    out += scalar_functions(traits_.language, before_ + body_);
  const size_t prelude = out.size();
  if (!values_.empty()) {
    out += "struct Values {\n";
    for (const auto& [type, name] : values_) out += cat("  ", type, " ", name, ";\n");
    out += "};\n";
  }
  const auto ones = std::count_if(parameters_.begin(), parameters_.end(), [](const Parameter& p) { return p.one; });
  const bool metal = traits_.language == Language::metal;
  if (!metal && ones) out += cat("struct Ones {\n  u64 bits[", ones, "];\n};\n");
  out += before_;
  out += metal ? cat("[[max_total_threads_per_threadgroup(", threads_, ")]] kernel void ", name_, "(\n")
               : cat("extern \"C\" __global__ void __launch_bounds__(", threads_,
                     beside_ ? cat(", ", beside_) : std::string(), ") ", name_, "(\n");
  size_t index = 0;
  for (const Parameter& p : parameters_) {
    out += cat("    ", metal ? "device " : "", p.written ? "" : "const ", p.type, "* ", p.one && !metal ? "given_" : "",
               p.name);
    if (metal) out += cat(" [[buffer(", index, ")]]");
    ++index;
    out += index < parameters_.size() || !values_.empty() || metal || ones ? ",\n" : "";
  }
  if (metal) {
    if (!values_.empty()) out += cat("    constant Values& p [[buffer(", index, ")]],\n");
    out +=
        "    uint3 group [[threadgroup_position_in_grid]], uint3 groups [[threadgroups_per_grid]],\n"
        "    uint3 item [[thread_position_in_threadgroup]], uint3 items [[threads_per_threadgroup]],\n"
        "    uint lane [[thread_index_in_simdgroup]], uint warp [[simdgroup_index_in_threadgroup]]) {\n";
  } else {
    if (ones) out += cat("    const __grid_constant__ Ones ones", values_.empty() ? "" : ",\n");
    if (!values_.empty()) out += "    const __grid_constant__ Values p";
    out +=
        ") {\n"
        "  const uint3 group = blockIdx, item = threadIdx;\n"
        "  const dim3 groups = gridDim, items = blockDim;\n"
        "  const u32 in_group = item.x + items.x * (item.y + items.y * item.z);\n"
        "  const u32 lane = in_group % 32, warp = in_group / 32;\n";
    size_t one = 0;
    for (const Parameter& p : parameters_)
      if (p.one)
        out += cat("  const ", p.type, "* ", p.name, " = given_", p.name, " ? given_", p.name, " : (const ", p.type,
                   "*)&ones.bits[", one++, "];\n");
  }
  out += body_;
  out += "}\n";
  Source source{name_, std::move(out), {}, MathMode::safe, prelude};
  for (size_t i = 0; i < parameters_.size(); ++i)
    if (parameters_[i].one) source.ones.push_back(uint16_t(i));
  return source;
}

}  // namespace funcnn::gpu

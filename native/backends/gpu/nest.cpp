#include "backends/gpu/nest.h"

#include <algorithm>

#include "base/error.h"

namespace funcnn::gpu {
namespace {

// What a grid may have along its second and third axis.
constexpr int64_t kMostGroups = 65535;

uint32_t power_of_two_from(int64_t n, uint32_t most) {
  uint32_t power = 1;
  while (power < most && power < n) power *= 2;
  return power;
}

std::string step_text(const char* type, char axis) { return cat("(", type, ")(groups.", axis, " * items.", axis, ")"); }
std::string start_text(const char* type, char axis) {
  return cat("(", type, ")group.", axis, " * (", type, ")items.", axis, " + (", type, ")item.", axis);
}

}  // namespace

Nest::Nest(const Shape& lengths, bool wide) : lengths_(lengths), wide_(wide) {
  if (lengths_.empty()) lengths_.push_back(1);
  const size_t rank = lengths_.size();
  const int64_t columns = lengths_[rank - 1], rows = rank > 1 ? lengths_[rank - 2] : 1;
  int64_t planes = 1;
  for (size_t d = 0; d + 2 < rank; ++d) planes *= lengths_[d];
  threads_.x = power_of_two_from(columns, kThreads);
  threads_.y = power_of_two_from(rows, kThreads / threads_.x);
  threads_.z = power_of_two_from(planes, std::min<uint32_t>(64, kThreads / (threads_.x * threads_.y)));
  groups_.x = groups_for(columns, threads_.x);
  groups_.y = uint32_t(std::min(kMostGroups, (rows + threads_.y - 1) / threads_.y));
  groups_.z = uint32_t(std::min(kMostGroups, (planes + threads_.z - 1) / threads_.z));
}

void Nest::declare(KernelText& text) const {
  for (size_t d = 0; d < rank(); ++d) text.value(index_type(), cat("n", d));
  if (rank() > 3) text.value(index_type(), "planes");
}

void Nest::add_values(Values& values) const {
  auto add = [&](int64_t value) {
    if (wide_)
      values.add(value);
    else
      values.add(int32_t(value));
  };
  int64_t planes = 1;
  for (size_t d = 0; d < rank(); ++d) {
    add(lengths_[d]);
    if (d + 2 < rank()) planes *= lengths_[d];
  }
  if (rank() > 3) add(planes);
}

std::string Nest::around(std::string_view statements) const {
  const char* type = index_type();
  const size_t last = rank() - 1;
  std::string out = cat("  const ", type, " i", last, " = ", start_text(type, 'x'), ";\n");
  out += cat("  if (i", last, " >= p.n", last, ") return;\n");
  if (rank() > 3) {
    out += cat("  for (", type, " plane = ", start_text(type, 'z'),
               "; plane < p.planes; plane += ", step_text(type, 'z'), ") {\n    ", type, " rest = plane;\n");
    for (size_t d = last - 2; d > 0; --d)
      out += cat("    const ", type, " i", d, " = rest % p.n", d, ";\n    rest /= p.n", d, ";\n");
    out += cat("    const ", type, " i0 = rest;\n");
  } else if (rank() == 3) {
    out += cat("  for (", type, " i0 = ", start_text(type, 'z'), "; i0 < p.n0; i0 += ", step_text(type, 'z'), ") {\n");
  }
  if (rank() > 1)
    out += cat("  for (", type, " i", last - 1, " = ", start_text(type, 'y'), "; i", last - 1, " < p.n", last - 1,
               "; i", last - 1, " += ", step_text(type, 'y'), ") {\n");
  out += statements;
  if (rank() > 1) out += "  }\n";
  if (rank() > 2) out += "  }\n";
  return out;
}

std::string Nest::flat() const {
  std::string out = "i0";
  for (size_t d = 1; d < rank(); ++d) out = cat("(", out, ") * p.n", d, " + i", d);
  return out;
}

std::string offset_text(std::string_view prefix, size_t first, size_t count) {
  std::string out;
  for (size_t d = 0; d < count; ++d) out += cat(d ? " + " : "", "i", first + d, " * p.", prefix, d);
  return count ? out : "0";
}

std::string_view unit_type(size_t bytes) {
  switch (bytes) {
    case 1:
      return "u8";
    case 2:
      return "u16";
    case 4:
      return "u32";
    default:
      return "u64";
  }
}

bool is_one_place(const Layout& layout) {
  for (size_t d = 0; d < layout.shape.size(); ++d)
    if (layout.shape[d] == 0 || (layout.shape[d] > 1 && layout.strides[d] != 0)) return false;
  return true;
}

void declare_read(KernelText& text, const Layout& layout, std::string_view type, std::string_view name) {
  if (is_one_place(layout))
    text.read_one(type, name);
  else
    text.read(type, name);
}

bool needs_wide(const Layout& layout) {
  constexpr int64_t kNarrow = int64_t(1) << 30;
  int64_t count = 1, span = 0;
  for (size_t d = 0; d < layout.shape.size(); ++d) {
    count *= layout.shape[d];
    span += std::max<int64_t>(0, layout.shape[d] - 1) * std::abs(layout.strides[d]);
  }
  return count >= kNarrow || span >= kNarrow;
}

Stage stage_of(Machine& machine, const KernelText& text, Size3 groups, Size3 threads, std::vector<Place> operands,
               size_t read_only, const std::vector<std::byte>& values) {
  Stage stage;
  stage.pipeline = machine.pipeline(text.finish());
  stage.groups = groups;
  stage.threads = threads;
  stage.operands = std::move(operands);
  stage.read_only = read_only;
  stage.values = values;
  return stage;
}

}  // namespace funcnn::gpu

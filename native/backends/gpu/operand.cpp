#include "backends/gpu/operand.h"

#include <cstdlib>

#include "base/error.h"

namespace funcnn::gpu {

bool is_one(const Layout& l) {
  for (size_t d = 0; d < l.shape.size(); ++d)
    if (l.shape[d] == 0 || (l.shape[d] > 1 && l.strides[d] != 0)) return false;
  return true;
}

KernelText& read_operand(KernelText& text, const Layout& l, std::string_view name) {
  return is_one(l) ? text.read_one(type_name(l.dtype), name) : text.read(type_name(l.dtype), name);
}

namespace {

bool spreads_far(const Layout& l) {
  int64_t reach = 0;
  for (size_t d = 0; d < l.shape.size(); ++d)
    if (l.shape[d] > 1) reach += (l.shape[d] - 1) * std::abs(l.strides[d]);
  return reach >= int64_t(1) << 31;
}

}  // namespace

std::string_view index_type(Layouts layouts) {
  for (const Layout& l : layouts)
    if (spreads_far(l)) return "i64";
  return "i32";
}
std::string_view index_type(std::initializer_list<const Layout*> layouts) {
  for (const Layout* l : layouts)
    if (spreads_far(*l)) return "i64";
  return "i32";
}

std::string multiply_add(Dtype dtype, std::string_view sum, std::string_view x, std::string_view y) {
  if (dtype == Dtype::complex64)
    return cat(sum, ".re = fma(", x, ".re, ", y, ".re, fma(-", x, ".im, ", y, ".im, ", sum, ".re)); ", sum,
               ".im = fma(", x, ".re, ", y, ".im, fma(", x, ".im, ", y, ".re, ", sum, ".im));");
  if (is_float(dtype)) return cat(sum, " = fma(", x, ", ", y, ", ", sum, ");");
  return cat(sum, " = plus(", sum, ", times(", x, ", ", y, "));");
}

std::string narrowed(Dtype dtype, std::string_view value) {
  return is_half(dtype) ? cat("from_float<", type_name(dtype), ">(", value, ")") : std::string(value);
}
std::string widened(Dtype dtype, std::string_view element) {
  return is_half(dtype) ? cat("to_float(", element, ")") : std::string(element);
}
std::string_view zero_of(Dtype dtype) { return dtype == Dtype::complex64 ? "{0, 0}" : "0"; }

std::string zero_element(Dtype dtype) {
  if (dtype == Dtype::complex64) return "c64{0, 0}";
  return is_half(dtype) ? cat(type_name(dtype), "(0.0f)") : cat(type_name(dtype), "(0)");
}

std::string fetch_text(std::string_view name, Dtype dtype, int each, std::string_view index) {
  return filled_in(
      R"text(FUNCTION Pack<#{T}, #{V}> fetch_#{x}(DEVICE const #{T}* from, #{I} step, u32 count, bool wide) {
  if (wide && count >= #{V}) return load_pack<#{V}>(from);
  Pack<#{T}, #{V}> all;
  UNROLL for (u32 i = 0; i < #{V}; ++i) all.v[i] = i < count ? from[#{I}(i) * step] : #{zero};
  return all;
}
)text",
      {{"T", type_name(dtype)}, {"V", std::to_string(each)}, {"x", name}, {"I", index}, {"zero", zero_element(dtype)}});
}

std::string filled_in(std::string_view text,
                      std::initializer_list<std::pair<std::string_view, std::string_view>> values) {
  std::string out;
  while (true) {
    size_t at = text.find("#{");
    out += text.substr(0, at);
    if (at == std::string_view::npos) return out;
    size_t end = text.find('}', at);
    std::string_view name = text.substr(at + 2, end - at - 2);
    bool found = false;
    for (const auto& [key, value] : values)
      if (key == name) {
        out += value;
        found = true;
      }
    if (!found) throw Error(cat("no value for #{", name, "} in the text of a kernel"));
    text.remove_prefix(end + 1);
  }
}

std::string indented(std::string_view text, int by) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  std::string out;
  while (true) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    out += cat(std::string(line.empty() ? 0 : size_t(by), ' '), line);
    if (end == std::string_view::npos) return out;
    out += '\n';
    text.remove_prefix(end + 1);
  }
}

Stage one_each(Ref<Pipeline> pipeline, int64_t count, std::vector<Place> operands, size_t read_only,
               const Values& values) {
  return {std::move(pipeline), {groups_for(count, kThreadsEach)}, {kThreadsEach}, std::move(operands), read_only,
          values.bytes()};
}

}  // namespace funcnn::gpu

#include "backends/gpu/conv_text.h"

#include <ranges>

#include "base/error.h"

namespace funcnn::gpu {

ConvText::ConvText(const ConvProblem& problem) : holes_(problem.holes()) {
  auto nothing = [](const ConvAxis& a) {
    return a.in == 1 && a.out == 1 && a.count == 1 && a.first == 0 && a.taps == 1 && a.weight_first == 0 &&
           a.offset == 0;
  };
  if (!nothing(problem.axes[0])) axes_.push_back("d");
  if (!axes_.empty() || !nothing(problem.axes[1])) axes_.push_back("h");
  axes_.push_back("w");
}

std::string remainder_text(std::string_view name, std::string_view field) {
  return cat("const I ", name, "_many = ", quotient_text("rest", field), ", ", name, " = rest - ", name, "_many * p.",
             field, ";\nrest = ", name, "_many;\n");
}

std::string ConvText::outputs() const {
  std::string out;
  for (const std::string& a : axes_) out += cat(out.empty() ? "" : " * ", "p.count_", a);
  return axes_.size() > 1 ? cat("(", out, ")") : out;
}
std::string ConvText::taps() const {
  std::string out;
  for (const std::string& a : axes_) out += cat(out.empty() ? "" : " * ", "p.taps_", a);
  return axes_.size() > 1 ? cat("(", out, ")") : out;
}

std::string ConvText::decode_output() const {
  std::string out;
  for (const std::string& a : std::views::reverse(axes_)) out += remainder_text("t_" + a, "count_" + a);
  return out;
}

std::string ConvText::decode_tap() const {
  std::string out;
  for (size_t i = axes_.size(); i-- > 0;) {
    const std::string& a = axes_[i];
    out += i ? remainder_text("k_" + a, "taps_" + a) : cat("const I k_", a, " = rest;\n");
  }
  return out;
}

std::string ConvText::tap_loops() const {
  std::string out;
  for (const std::string& a : axes_) out += cat("for (I k_", a, " = 0; k_", a, " < p.taps_", a, "; ++k_", a, ")\n");
  return out;
}

std::string ConvText::output_place() const {
  std::string out = "rest";
  for (const std::string& a : axes_)
    out = cat("(", out, " * p.out_", a, " + p.first_", a, " + t_", a, " * p.step_", a, ")");
  return out;
}

std::string ConvText::x_base() const {
  std::string out;
  if (holes_) return out;
  for (const std::string& a : axes_) out += cat(" + (t_", a, " * p.move_", a, " + p.offset_", a, ") * p.x_", a);
  return out;
}
std::string ConvText::tap_x() const {
  std::string out;
  if (holes_) return out;
  for (const std::string& a : axes_) out += cat(" + k_", a, " * p.tap_move_", a, " * p.x_", a);
  return out;
}
std::string ConvText::hole_place() const {
  std::string out;
  if (!holes_) return out;
  for (const std::string& a : axes_) out += cat(" + i_", a, " * p.x_", a);
  return out;
}

std::string ConvText::y_base() const {
  std::string out;
  for (const std::string& a : axes_) out += cat(" + t_", a, " * p.y_", a);
  return out;
}

std::string ConvText::tap_weight() const {
  std::string out;
  for (const std::string& a : axes_)
    out += cat(" + (p.weight_first_", a, " + k_", a, " * p.weight_step_", a, ") * p.weight_", a);
  return out;
}
std::string ConvText::dense_tap() const {
  std::string out = "0";
  for (const std::string& a : axes_)
    out = cat("(", out, " * p.taps_", a, " + p.weight_first_", a, " + k_", a, " * p.weight_step_", a, ")");
  return out;
}

std::string ConvText::x_place() const {
  std::string out;
  for (const std::string& a : axes_) out += cat(out.empty() ? "" : " + ", "i_", a, " * p.x_", a);
  return out;
}
std::string ConvText::weight_place() const { return tap_weight().substr(3); }

std::string ConvText::shared_places(std::string_view count) const {
  std::string out;
  for (const std::string& a : axes_) out += cat(out.empty() ? "  SHARED I " : ", ", "at_", a, "[", count, "]");
  return out + ";  // and along the axes";
}
std::string ConvText::keep_places(std::string_view i) const {
  std::string out;
  for (const std::string& a : axes_)
    out += cat("at_", a, "[", i, "] = t_", a, " * p.move_", a, " + p.offset_", a, ";\n");
  return out;
}

std::string ConvText::meet() const {
  return meet_from([](std::string_view a) { return cat("t_", a, " * p.move_", a, " + p.offset_", a); });
}
std::string ConvText::meet_kept(std::string_view i) const {
  return meet_from([&](std::string_view a) { return cat("at_", a, "[", i, "]"); });
}

std::string ConvText::meet_from(const std::function<std::string(std::string_view)>& from) const {
  std::string out, inside;
  for (const std::string& a : axes_) {
    std::string place = cat(from(a), " + k_", a, " * p.tap_move_", a);
    if (holes_) {
      out += cat("const I place_", a, " = ", place, ", i_", a, " = place_", a, " / p.holes_", a, ";\n");
      inside += cat(inside.empty() ? "" : " && ", "place_", a, " >= 0 && place_", a, " % p.holes_", a, " == 0 && i_", a,
                    " < p.in_", a);
    } else {
      out += cat("const I i_", a, " = ", place, ";\n");
      inside += cat(inside.empty() ? "" : " && ", "i_", a, " >= 0 && i_", a, " < p.in_", a);
    }
  }
  return cat(out, "const bool inside = ", inside, ";\n");
}

}  // namespace funcnn::gpu

// Plans for people.
#include <algorithm>
#include <sstream>

#include "base/error.h"
#include "plan/measure.h"
#include "plan/plan.h"

namespace funcnn {

std::string Plan::Step::title() const {
  if (!primitive) return "fused";
  std::string text(primitive->name());
  if (std::string parameters = primitive->parameters(); !parameters.empty()) text += "(" + parameters + ")";
  return program ? text + " with epilogue" : text;
}

Effort Plan::effort() const {
  Effort total;
  for (const Step& s : steps_) {
    total.bytes += s.effort.bytes;
    total.flops += s.effort.flops;
  }
  return total;
}

std::string Plan::describe(const std::string& indent) const {
  std::ostringstream out;
  size_t launch_end = 0;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& s = steps_[i];
    out << indent << '[' << i << "] " << s.title() << "  " << amount(s.effort.bytes) << "B  " << amount(s.effort.flops)
        << "flop";
    if (s.backend->device() != kCpu) out << "  on " << device_name(s.backend->device());
    bool reuses = std::any_of(s.fresh.begin(), s.fresh.end(), [](auto& f) { return f.takes_over >= 0; });
    if (i >= launch_end)
      launch_end = i + s.launched;
    else
      out << "  with the one before";
    out << (reuses ? "  in place\n" : "\n");
    for (const Layout& in : s.inputs) out << indent << "  in  " << in.dtype << in.shape << '\n';
    for (const Layout& made : s.outputs) out << indent << "  out " << made.dtype << made.shape << '\n';
    if (s.program) {
      std::istringstream lines(cat(*s.program));
      for (std::string line; std::getline(lines, line);) out << indent << line << '\n';
    }
    if (s.kernel) s.kernel->describe(out, indent + "    ");
  }
  Effort total = effort();
  out << indent << steps_.size() << (steps_.size() == 1 ? " kernel" : " kernels");
  if (size_t launches = launch_count(); launches < steps_.size())
    out << " in " << launches << (launches == 1 ? " launch" : " launches");
  out << ", " << amount(total.bytes) << "B moved, " << amount(total.flops) << "flop, peak "
      << amount(double(peak_bytes())) << "B\n";
  return out.str();
}

}  // namespace funcnn

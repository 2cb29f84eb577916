// Plans for people.
#include <algorithm>
#include <sstream>

#include "base/error.h"
#include "plan/measure.h"
#include "plan/plan.h"

namespace funcnn {

namespace {

constexpr size_t kMostNamed = 8;

// What a program computes, in few words.
std::string operations_of(const KernelProgram& program) {
  std::vector<std::string> names;
  for (const Instruction& i : program.code) {
    std::string name;
    if (i.kind == InstructionKind::reduce_row || i.kind == InstructionKind::reduce_col)
      name = cat(i.kind == InstructionKind::reduce_row ? "row_" : "col_", reduce_name(i.reduce));
    else if (i.kind == InstructionKind::compute)
      name = opcode_info(i.op).name;
    else if (i.kind == InstructionKind::index)
      name = "index";
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  // Conversions are told of where they are all there is.
  if (names.size() > 1) std::erase(names, opcode_info(Opcode::copy).name);
  std::string text;
  for (size_t n = 0; n < names.size(); ++n) {
    if (n == kMostNamed) return text + ", ...";
    text += (n ? ", " : "") + names[n];
  }
  return text;
}

std::string text_of(std::span<const Layout> layouts) {
  std::string text;
  for (const Layout& layout : layouts) text += cat(text.empty() ? "" : ", ", layout.dtype, layout.shape);
  return text;
}

// What a program runs over, and the dtypes of its operands: those it loads, then those it stores.
std::string text_of(const KernelProgram& program) {
  std::vector<const Access*> operands(size_t(program.operand_count), nullptr);
  std::vector<char> stored(operands.size(), 0);
  auto meet = [&](const Instruction& i, bool stores) {
    if (i.access < 0) return;
    const Access& a = program.accesses[size_t(i.access)];
    if (!operands[size_t(a.operand)]) operands[size_t(a.operand)] = &a;
    stored[size_t(a.operand)] |= stores;
  };
  for (const Instruction& i : program.code)
    meet(i, i.kind == InstructionKind::store || i.kind == InstructionKind::reduce_col);
  std::string text = cat(program.rows, " x ", program.cols, ":");
  for (bool stores : {false, true}) {
    // Runs of one dtype by their length: an optimiser reads hundreds.
    if (stores) text += " ->";
    for (size_t o = 0, last; o < operands.size(); o = last) {
      last = o + 1;
      if (!operands[o] || bool(stored[o]) != stores) continue;
      size_t count = 1;
      for (; last < operands.size(); ++last) {
        if (!operands[last] || bool(stored[last]) != stores) continue;
        if (operands[last]->dtype != operands[o]->dtype) break;
        ++count;
      }
      text += cat(text.back() == ':' || text.back() == '>' ? " " : ", ");
      text += count > 1 ? cat(count, " ", operands[o]->dtype) : cat(operands[o]->dtype);
    }
  }
  return text;
}

}  // namespace

std::shared_ptr<const KernelInfo> Plan::info_of(std::span<const Step> launch) {
  auto info = std::make_shared<KernelInfo>();
  const Step& first = launch[0];
  info->device = device_name(first.backend->device());
  size_t count = 0;
  for (const Step& step : launch) {
    if (step.idle) continue;
    info->bytes += step.effort.bytes;
    info->flops += step.effort.flops;
    if (step.program) info->program += cat(*step.program);
    if (++count > 1) continue;
    info->name = step.title();
    info->operands = step.primitive ? text_of(step.inputs) + " -> " + text_of(step.outputs) : text_of(*step.program);
  }
  if (count > 1) info->name = cat(count, " kernels like ", info->name);
  if (first.source) info->kind = "transfer";
  if (first.primitive && !first.source) info->kind = "primitive";
  if (first.primitive && first.primitive->kind() == Kind::control) {
    info->kind = "control";
    Effort inner = first.kernel->inner_effort();
    info->bytes = std::max(0.0, info->bytes - inner.bytes);
    info->flops = std::max(0.0, info->flops - inner.flops);
  }
  return info;
}

std::string Plan::Step::title() const {
  if (!primitive) return "fused(" + operations_of(*program) + ")";
  std::string text(primitive->name());
  if (std::string parameters = primitive->parameters(); !parameters.empty()) text += "(" + parameters + ")";
  return program ? text + " with epilogue" : text;
}

Effort Plan::effort(double runs) const {
  Effort total;
  for (size_t i = 0; i < steps_.size(); ++i) {
    double times = i < constant_steps_ ? 1 : runs;
    total.bytes += times * steps_[i].effort.bytes;
    total.flops += times * steps_[i].effort.flops;
  }
  return total;
}

std::string Plan::describe(const std::string& indent) const {
  std::ostringstream out;
  size_t launch_end = 0, meeting = 0;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& s = steps_[i];
    out << indent << '[' << i << "] " << s.title() << "  " << amount(s.effort.bytes) << "B  " << amount(s.effort.flops)
        << "flop";
    if (s.backend->device() != kCpu) out << "  on " << device_name(s.backend->device());
    bool reuses =
        std::any_of(s.fresh.begin(), s.fresh.end(), [](auto& f) { return f.takes_over >= 0 && !f.after_scratch; });
    if (i >= launch_end)
      launch_end = i + s.launched;
    else
      out << "  with the one before";
    if (i < constant_steps_) out << "  once before the first";
    out << (reuses ? "  in place\n" : "\n");
    for (const Layout& in : s.inputs) out << indent << "  in  " << in.dtype << in.shape << '\n';
    for (const Layout& made : s.outputs) out << indent << "  out " << made.dtype << made.shape << '\n';
    for (; meeting < meetings_.size() && meetings_[meeting].after == int(i); ++meeting) {
      const Meeting& m = meetings_[meeting];
      out << indent << "  apart from [" << m.before << "], "
          << (m.siblings ? "which reads the same array: " : "whose " + m.value + " it reads: ") << text_of(m.why)
          << '\n';
    }
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
      << amount(double(peak_bytes())) << "B, alive at once " << amount(double(live_bytes())) << "B\n";
  return out.str();
}

}  // namespace funcnn

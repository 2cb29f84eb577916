#include "backends/gpu/dot_problem.h"

#include "base/error.h"

namespace funcnn::gpu {

DotProblem::DotProblem(const Layout& la, const Layout& lb) : dtype(la.dtype), left(la), right(lb) {
  size_t lead = la.shape.size() - 2;
  m = la.shape[lead];
  k = la.shape[lead + 1];
  n = lb.shape[lead + 1];
  a = {la.strides[lead], la.strides[lead + 1]};
  b = {lb.strides[lead], lb.strides[lead + 1]};
  for (size_t d = 0; d < lead; ++d) {
    BatchAxis axis{la.shape[d], la.strides[d], lb.strides[d]};
    if (axis.length == 1) continue;
    BatchAxis* before = axes.empty() ? nullptr : &axes.back();
    if (before && before->a == axis.a * axis.length && before->b == axis.b * axis.length)
      *before = {before->length * axis.length, axis.a, axis.b};
    else
      axes.push_back(axis);
  }
  // A batch axis that b does not have is more rows of a.
  while (!axes.empty() && axes.back().b == 0 && (m == 1 || axes.back().a == m * a.row)) {
    if (m == 1) a.row = axes.back().a;
    m *= axes.back().length;
    axes.pop_back();
  }
  for (const BatchAxis& axis : axes) batches *= axis.length;
  index = index_type({&left, &right});
}

std::string DotProblem::batch_offsets() const {
  std::string out = "  i64 at_a = 0, at_b = 0;\n";
  for (size_t d = axes.size(); d-- > 0;) {
    std::string i = d > 0 ? cat("batch % p.length", d) : "batch";
    out += cat("  at_a += i64(", i, ") * p.batch_a", d, ";\n  at_b += i64(", i, ") * p.batch_b", d, ";\n");
    if (d > 0) out += cat("  batch /= p.length", d, ";\n");
  }
  return out;
}
void DotProblem::declare_batch(KernelText& text) const {
  for (size_t d = 0; d < axes.size(); ++d) {
    text.value("i64", cat("batch_a", d)).value("i64", cat("batch_b", d));
    if (d > 0) text.value("u32", cat("length", d));
  }
}
void DotProblem::add_batch(Values& values) const {
  for (size_t d = 0; d < axes.size(); ++d) {
    values.add(axes[d].a).add(axes[d].b);
    if (d > 0) values.add(uint32_t(axes[d].length));
  }
}

DotResult::DotResult(Dtype dtype, const KernelProgram* epilogue) : dtype_(dtype), epilogue_(epilogue) {
  if (!epilogue) return;
  EpilogueText text = epilogue_text(*epilogue, "value", "index");
  reads_ = int(text.reads.size());
  writes_ = int(text.writes.size());
  for (const Instruction& i : epilogue->code)
    if (i.kind == InstructionKind::store && epilogue->accesses[size_t(i.access)].operand == 0)
      stored_by_epilogue_ = true;
}

void DotResult::declare(KernelText& text) const {
  EpilogueText epilogue;
  if (epilogue_) epilogue = epilogue_text(*epilogue_, "value", "index");
  int operand = 1;
  for (const auto& [type, name] : epilogue.reads) {
    // The host may hold what is one element everywhere.
    bool one = true;
    for (const Access& access : epilogue_->accesses)
      if (access.operand == operand)
        one = one && access.offset == 0 && is_one({access.shape, access.dtype, access.strides});
    one ? text.read_one(type, name) : text.read(type, name);
    ++operand;
  }
  text.write(type_name(dtype_), "target");
  for (const auto& [type, name] : epilogue.writes) text.write(type, name);
}

std::string DotResult::statements(std::string_view value, std::string_view index) const {
  std::string out;
  if (!stored_by_epilogue_) out += cat("target[", index, "] = ", narrowed(dtype_, value), ";\n");
  if (epilogue_) out += epilogue_text(*epilogue_, value, index).statements;
  return out;
}

std::vector<Place> DotResult::reads() const {
  std::vector<Place> out;
  for (int i = 0; i < reads_; ++i) out.push_back({3 + i});
  return out;
}
std::vector<Place> DotResult::writes() const {
  std::vector<Place> out{{2}};
  for (int i = 0; i < writes_; ++i) out.push_back({3 + reads_ + i});
  return out;
}

}  // namespace funcnn::gpu

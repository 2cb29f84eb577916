#include "backends/gpu/dot_problem.h"

#include "backends/gpu/scalar.h"
#include "base/error.h"

namespace funcnn::gpu {

void DotProblem::set_matrices(const Layout& la, const Layout& lb) {
  const size_t lead_a = la.shape.size() - 2, lead_b = lb.shape.size() - 2;
  dtype = la.dtype;
  m = la.shape[lead_a];
  k = la.shape[lead_a + 1];
  n = lb.shape[lead_b + 1];
  a = {la.strides[lead_a], la.strides[lead_a + 1]};
  b = {lb.strides[lead_b], lb.strides[lead_b + 1]};
  index = index_type({&la, &lb});
}

DotProblem DotProblem::batched(Layouts in) {
  DotProblem p;
  p.inputs.assign(in.begin(), in.end());
  p.set_matrices(in[0], in[1]);
  std::vector<BatchAxis>& axes = p.axes;
  for (size_t d = 0; d + 2 < in[0].shape.size(); ++d) {
    BatchAxis axis{in[0].shape[d], in[0].strides[d], in[1].strides[d]};
    if (axis.length == 1) continue;
    BatchAxis* before = axes.empty() ? nullptr : &axes.back();
    if (before && before->a == axis.a * axis.length && before->b == axis.b * axis.length)
      *before = {before->length * axis.length, axis.a, axis.b};
    else
      axes.push_back(axis);
  }
  // A batch axis that b does not have is more rows of a.
  while (!axes.empty() && axes.back().b == 0 && (p.m == 1 || axes.back().a == p.m * p.a.row)) {
    if (p.m == 1) p.a.row = axes.back().a;
    p.m *= axes.back().length;
    axes.pop_back();
  }
  for (const BatchAxis& axis : axes) p.batches *= axis.length;
  return p;
}

DotProblem DotProblem::chosen(Layouts in) {
  DotProblem p;
  p.kind = Kind::chosen;
  p.inputs.assign(in.begin(), in.end());
  p.set_matrices(in[0], in[1]);
  p.batches = in[2].shape[0];
  p.axes = {{p.batches, in[0].strides[0], in[1].strides[0]}};
  return p;
}

DotProblem DotProblem::of_quantized(const QuantizedDot& op, Layouts in) {
  DotProblem p;
  const QuantFormat& format = op.format();
  p.kind = op.indexed() ? Kind::chosen : Kind::batched;
  p.inputs.assign(in.begin(), in.end());
  p.quantized = {format, op.transpose(), in[1].shape[1], format.elements(in[1].shape[2]), in[2].dtype};
  p.dtype = in[0].dtype;
  p.m = in[0].shape[1];
  p.k = in[0].shape[2];
  p.n = op.transpose() ? p.quantized->rows : p.quantized->columns;
  p.a = {p.k, 1};
  p.b = {0, 0};
  p.index = "i32";  // of what a tile spans
  if (op.indexed()) {
    p.batches = in.back().shape[0];
    p.axes = {{p.batches, p.m * p.k, p.quantized->rows}};
  }
  return p;
}

DotProblem DotProblem::segments(Layouts in) {
  DotProblem p;
  p.kind = Kind::segments;
  p.inputs.assign(in.begin(), in.end());
  p.set_matrices(in[0], in[1]);
  p.batches = element_count(in[2].shape) / 2;
  p.axes = {{p.batches, p.m * p.k, p.k * p.n}};
  return p;
}

bool DotProblem::whole_packs(int64_t unit, int64_t other, bool of_a, int64_t each) const {
  if (unit != 1 || other % each != 0) return false;
  for (const BatchAxis& axis : axes)
    if ((of_a ? axis.a : axis.b) % each != 0) return false;
  return true;
}

std::string_view DotProblem::begins_whole(int64_t each) const {
  if (kind != Kind::segments) return "";
  return each == 2 ? " && begin % 2 == 0" : each == 4 ? " && begin % 4 == 0" : " && begin % 8 == 0";
}

std::string DotProblem::place_text() const {
  if (kind == Kind::chosen)
    return R"text(  const i64 left = lhs[batch * p.lhs_step], right = rhs[batch * p.rhs_step];
  // A number that is not of a matrix stands for zeros.
  const bool there = left >= 0 && left < p.a_count && right >= 0 && right < p.b_count;
  const i64 at_a = there ? left * p.batch_a0 : 0, at_b = there ? right * p.batch_b0 : 0;
  const u32 first = 0, last = there ? p.k : 0;
)text";
  if (kind == Kind::segments)
    return R"text(  const i64 at_a = batch / p.segments * p.batch_a0, at_b = batch / p.segments * p.batch_b0;
  const u32 first = u32(min(max(segments[2 * i64(batch)], i64(0)), i64(p.k)));
  // One that stops before it starts is empty.
  const u32 last = max(first, u32(min(max(segments[2 * i64(batch) + 1], i64(0)), i64(p.k))));
)text";
  std::string out = "  i64 at_a = 0, at_b = 0;\n";
  for (size_t d = axes.size(); d-- > 0;) {
    std::string i = d > 0 ? cat("batch % p.length", d) : "batch";
    out += cat("  at_a += i64(", i, ") * p.batch_a", d, ";\n  at_b += i64(", i, ") * p.batch_b", d, ";\n");
    if (d > 0) out += cat("  batch /= p.length", d, ";\n");
  }
  return out + "  const u32 first = 0, last = p.k;\n";
}
void DotProblem::declare_inputs(KernelText& text) const {
  read_operand(text, inputs[0], "a");
  if (quantized) {
    read_operand(text, inputs[1], "words");
    read_operand(text, inputs[2], "scales");
    if (quantized->format.affine()) read_operand(text, inputs[3], "biases");
  } else {
    read_operand(text, inputs[1], "b");
  }
  if (kind == Kind::segments) read_operand(text, inputs[2], "segments");
  if (kind == Kind::chosen) {
    read_operand(text, inputs[inputs.size() - 2], "lhs");
    read_operand(text, inputs[inputs.size() - 1], "rhs");
  }
}
std::vector<Place> DotProblem::input_places() const {
  std::vector<Place> out;
  for (size_t i = 0; i < inputs.size(); ++i) out.push_back({int(i)});
  return out;
}
void DotProblem::declare_values(KernelText& text) const {
  for (size_t d = 0; d < axes.size(); ++d) {
    text.value("i64", cat("batch_a", d)).value("i64", cat("batch_b", d));
    if (d > 0) text.value("u32", cat("length", d));
  }
  if (kind == Kind::segments) text.value("u32", "segments");
  if (kind == Kind::chosen)
    for (const char* name : {"a_count", "b_count", "lhs_step", "rhs_step"}) text.value("i64", name);
}
void DotProblem::add_values(Values& values) const {
  for (size_t d = 0; d < axes.size(); ++d) {
    values.add(axes[d].a).add(axes[d].b);
    if (d > 0) values.add(uint32_t(axes[d].length));
  }
  if (kind == Kind::segments) values.add(uint32_t(inputs[2].shape[inputs[2].shape.size() - 2]));
  if (kind == Kind::chosen)
    values.add(inputs[0].shape[0])
        .add(inputs[1].shape[0])
        .add(inputs[inputs.size() - 2].strides[0])
        .add(inputs[inputs.size() - 1].strides[0]);
}

DotResult::DotResult(Dtype dtype, const KernelProgram* epilogue, size_t inputs)
    : dtype_(dtype), stored_(dtype), epilogue_(epilogue), target_(int(inputs)) {
  if (!epilogue) return;
  EpilogueText text = epilogue_text(*epilogue, "value", "index");
  reads_ = int(text.reads.size());
  writes_ = int(text.writes.size());
  for (const Instruction& i : epilogue->code) {
    if (i.kind != InstructionKind::store) continue;
    const Access& to = epilogue->accesses[size_t(i.access)];
    if (to.operand != 0) continue;
    stored_by_epilogue_ = true;
    stored_ = to.dtype;
  }
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
  text.write(type_name(stored_), "target");
  for (const auto& [type, name] : epilogue.writes) text.write(type, name);
  if (!epilogue_) return;
  for (const Instruction& i : epilogue_->code) {
    if (i.dtype == Dtype::complex64) text.use(Section::complex);
    if (i.kind != InstructionKind::compute) continue;
    const Dtype operands = epilogue_->code[size_t(i.args[i.op == Opcode::select ? 1 : 0])].dtype;
    for (Section section : scalar_sections(i.op, operands, i.dtype)) text.use(section);
  }
}

std::string DotResult::statements(std::string_view value, std::string_view index) const {
  std::string out;
  if (!stored_by_epilogue_) out += cat("target[", index, "] = ", narrowed(dtype_, value), ";\n");
  if (epilogue_) out += epilogue_text(*epilogue_, value, index).statements;
  return out;
}

size_t DotResult::append_to(std::vector<Place>& operands) const {
  for (int i = 0; i < reads_; ++i) operands.push_back({target_ + 1 + i});
  const size_t read_only = operands.size();
  operands.push_back({target_});
  for (int i = 0; i < writes_; ++i) operands.push_back({target_ + 1 + reads_ + i});
  return read_only;
}

}  // namespace funcnn::gpu

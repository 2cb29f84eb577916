// Epilogues: programs without reductions that run on an element at a time.
#include "backends/gpu/program.h"
#include "backends/gpu/scalar.h"
#include "backends/gpu/source.h"
#include "base/error.h"
#include "plan/precision.h"

namespace funcnn::gpu {
namespace {

class Epilogue {
 public:
  Epilogue(const KernelProgram& program, std::string_view value, std::string_view index)
      : p_(program), half_(half_suffices(program)), value_(value), index_(cat("(", index, ")")) {}

  EpilogueText print() {
    declare();
    for (size_t n = 0; n < p_.code.size(); ++n) {
      const Instruction& i = p_.code[n];
      std::string head = cat("const ", register_type(i.dtype), " v", n, " = ");
      switch (i.kind) {
        case InstructionKind::load:
          line(head, i.access >= 0 && access(i).operand == 0 ? value_ : cat("element(", place(i), ")"), ";");
          break;
        case InstructionKind::index:
          line(head, scalar_expression(Opcode::copy, Dtype::int64, i.dtype, cat("i64(", index_, ")")), ";");
          break;
        case InstructionKind::compute:
          line(head, expression(n), ";");
          break;
        case InstructionKind::store:
          break;
        default:
          throw Error("gpu: an epilogue reduces");
      }
    }
    // A result may lie where something else is read.
    for (const Instruction& i : p_.code)
      if (i.kind == InstructionKind::store) line(place(i), " = ", stored(i), ";");
    return std::move(out_);
  }

 private:
  template <class... Args>
  void line(const Args&... args) {
    out_.statements += cat(args...) + '\n';
  }
  const Access& access(const Instruction& i) const { return p_.accesses[size_t(i.access)]; }

  // Inputs come first, then results.
  void declare() {
    std::vector<std::string_view> types(size_t(p_.operand_count), "u8");
    std::vector<char> written(size_t(p_.operand_count), 0);
    for (const Instruction& i : p_.code) {
      if (i.access < 0) continue;
      types[size_t(access(i).operand)] = type_name(access(i).dtype);
      if (i.kind == InstructionKind::store) written[size_t(access(i).operand)] = 1;
    }
    for (size_t k = 1; k < types.size(); ++k)
      (written[k] ? out_.writes : out_.reads).emplace_back(types[k], cat("e", k));
  }

  std::string expression(size_t n) const {
    const Instruction& i = p_.code[n];
    std::string args[3];
    for (int k = 0; k < 3; ++k)
      if (i.args[k] >= 0) args[k] = cat("v", i.args[k]);
    Dtype operands = p_.code[size_t(i.args[i.op == Opcode::select ? 1 : 0])].dtype;
    if (half_[n])
      if (std::string cheaper = half_expression(i.op, args[0]); !cheaper.empty()) return cheaper;
    return scalar_expression(i.op, operands, i.dtype, args[0], args[1], args[2]);
  }
  std::string stored(const Instruction& i) const {
    const Dtype memory = access(i).dtype, held = is_half(memory) ? Dtype::float32 : memory;
    std::string value = cat("v", i.args[0]);
    if (i.dtype != held) value = scalar_expression(Opcode::copy, i.dtype, held, value);
    return is_half(memory) ? cat(type_name(memory), "(", value, ")") : value;
  }

  // The element of a load or store. Lengths and strides are part of the text: few of them matter to an epilogue.
  std::string place(const Instruction& i) const {
    const Access& a = access(i);
    std::string name = a.operand ? cat("e", a.operand) : "target", sum;
    int64_t below = i.space == Space::row ? p_.cols : 1;
    bool narrow = p_.rows * p_.cols < (int64_t(1) << 31);
    for (size_t axis = 0; axis < a.shape.size(); ++axis)
      narrow &= a.strides[axis] >= 0 && a.strides[axis] * a.shape[axis] < (int64_t(1) << 31);
    std::string index = narrow ? index_ : cat("i64(", index_, ")");
    for (size_t axis = a.shape.size(); axis-- > 0; below *= a.shape[axis]) {
      if (a.strides[axis] == 0 || i.space == Space::scalar) continue;
      std::string number = below == 1 ? index : cat("(", index, " / ", below, ")");
      if (axis > 0) number = cat("(", number, " % ", a.shape[axis], ")");
      if (a.strides[axis] != 1) number = cat(number, " * ", a.strides[axis]);
      sum = sum.empty() ? number : cat(number, " + ", sum);
    }
    if (a.offset) sum = sum.empty() ? cat(a.offset) : cat(sum, " + ", a.offset);
    return cat(name, "[", sum.empty() ? "0" : sum, "]");
  }

  const KernelProgram& p_;
  std::vector<char> half_;
  std::string value_, index_;
  EpilogueText out_;
};

}  // namespace

EpilogueText epilogue_text(const KernelProgram& program, std::string_view value, std::string_view index) {
  return Epilogue(program, value, index).print();
}

}  // namespace funcnn::gpu

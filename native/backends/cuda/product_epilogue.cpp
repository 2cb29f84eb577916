#include "backends/cuda/product_epilogue.h"

#include <algorithm>
#include <utility>

namespace funcnn::cuda {
namespace {

class Search {
 public:
  Search(const KernelProgram& program, int64_t columns) : p_(program), columns_(columns) {}

  std::optional<ProductEpilogue> run() {
    const auto is_store = [](const Instruction& i) { return i.kind == InstructionKind::store; };
    const auto store = std::find_if(p_.code.begin(), p_.code.end(), is_store);
    if (store == p_.code.end() || std::count_if(store, p_.code.end(), is_store) > 1) return std::nullopt;
    const Access& target = access(*store);
    dtype_ = target.dtype;
    if (target.operand != 0 || !(dtype_ == Dtype::float32 || is_half(dtype_)) || !is_all(*store)) return std::nullopt;
    if (!floored(store->args[0]) || !product_) return std::nullopt;
    return found_;
  }

 private:
  const Instruction& at(int n) const { return p_.code[size_t(n)]; }
  const Access& access(const Instruction& i) const { return p_.accesses[size_t(i.access)]; }

  // Whether it goes through elements as they lie.
  bool is_all(const Instruction& i) const {
    const Access& a = access(i);
    return i.space == Space::element && a.shape.size() == 1 && a.strides[0] == 1 && a.shape[0] == p_.rows * p_.cols;
  }
  bool is_same_for_all_rows(const Instruction& i) const {
    const Access& a = access(i);
    return i.space == Space::element && a.shape.size() == 2 && a.strides[0] == 0 && a.strides[1] == 1 &&
           a.shape[1] == columns_;
  }

  bool floored(int n) {
    const Instruction& i = at(n);
    if (i.kind != InstructionKind::compute || i.op != Opcode::maximum) return sum(n);
    for (int k = 0; k < 2; ++k) {
      const Instruction& least = at(i.args[k]);
      if (least.kind == InstructionKind::load && least.space == Space::scalar)
        return access(least).dtype == dtype_ && take(found_.floor, least) && sum(i.args[1 - k]);
    }
    return false;
  }

  bool sum(int n) {
    const Instruction& i = at(n);
    if (i.kind == InstructionKind::compute && i.op == Opcode::add) return sum(i.args[0]) && sum(i.args[1]);
    if (i.kind != InstructionKind::load || access(i).dtype != dtype_) return false;
    if (access(i).operand == 0) return is_all(i) && !std::exchange(product_, true);
    if (is_all(i)) return take(found_.matrix, i);
    return is_same_for_all_rows(i) && take(found_.vector, i);
  }

  bool take(std::optional<ProductEpilogue::Addend>& place, const Instruction& load) {
    if (place) return false;
    place = {access(load).operand, access(load).offset};
    return true;
  }

  const KernelProgram& p_;
  const int64_t columns_;
  Dtype dtype_ = Dtype::float32;
  bool product_ = false;  // it has been met
  ProductEpilogue found_;
};

}  // namespace

std::optional<ProductEpilogue> product_epilogue(const KernelProgram& program, int64_t columns) {
  return Search(program, columns).run();
}

}  // namespace funcnn::cuda

// Products by cuBLASLt. It counts matrices by columns, so that our product of rows is for it the product of the
// transposed matrices in the other order. What it cannot read where it lies is made dense first. Of what follows a
// product it adds a matrix and a vector, and cuts off at zero.
#include <algorithm>
#include <array>
#include <optional>

#include "backends/cuda/cublaslt.h"
#include "backends/cuda/machine.h"
#include "backends/cuda/product_epilogue.h"
#include "backends/cuda/setting.h"
#include "backends/gpu/dot_kernels.h"
#include "backends/gpu/program.h"
#include "base/error.h"

namespace funcnn::cuda {
namespace {

// A batch is one call along its last axis, and a call for each place along the others; above this many, dense copies
// are made, in which all axes are one.
constexpr int64_t kMostCalls = 16;
// Addresses that kernels are chosen for: those of vectors, of anything. What lies further apart gets no other kernels,
// which may add up in another order: where an array lies is not to show in its bits.
constexpr uint32_t kAlignments[] = {16, 1};

struct Operand2d {
  Strides batch;
  int64_t row, column;  // steps in elements
  int64_t rows, columns;
  bool readable() const { return (column == 1 && row >= columns) || (row == 1 && column >= rows); }
};

Operand2d operand_of(const Layout& l) {
  const size_t lead = l.shape.size() - 2;
  Operand2d o{Strides(l.strides.begin(), l.strides.begin() + ptrdiff_t(lead)), l.strides[lead], l.strides[lead + 1],
              l.shape[lead], l.shape[lead + 1]};
  // The step along an axis of length 1 is of no importance.
  if (o.columns == 1 && o.row >= 1) o.column = 1;
  if (o.rows == 1) o.row = o.column == 1 ? o.columns : 1;
  return o;
}

// The layout of a dense copy, in which repeated batch axes are not repeated.
Layout dense_layout(const Layout& l) {
  Layout out{l.shape, l.dtype, {}};
  for (size_t i = 0; i + 2 < l.shape.size(); ++i)
    if (l.strides[i] == 0) out.shape[i] = 1;
  out.strides = contiguous_strides(out.shape);
  return out;
}
Layout repeated(const Layout& dense, const Shape& shape) {
  Layout out{shape, dense.dtype, dense.strides};
  for (size_t i = 0; i + 2 < shape.size(); ++i)
    if (dense.shape[i] == 1) out.strides[i] = 0;
  return out;
}
// The same elements, those that a repeated axis repeats once.
Layout once(const Layout& l) {
  Layout out = l;
  for (size_t i = 0; i + 2 < l.shape.size(); ++i)
    if (l.strides[i] == 0) out.shape[i] = 1;
  return out;
}

class CublasDot final : public Kernel {
 public:
  static std::unique_ptr<Kernel> make(CudaMachine& machine, gpu::Layouts in, const KernelProgram* epilogue,
                                      const ProductEpilogue& steps) {
    auto kernel = std::unique_ptr<CublasDot>(new CublasDot(machine, epilogue, steps));
    return kernel->prepare(in) ? std::move(kernel) : nullptr;
  }

  void encode(Queue& queue, std::span<const Operand> operands) override {
    Operand factors[] = {operands[0], operands[1]};
    const Operand* scratch = scratch_ ? &operands.back() : nullptr;
    for (int i = 0; i < 2; ++i) {
      if (!copies_[i]) continue;
      const Operand copy[] = {factors[i], {scratch->buffer, scratch->offset + int64_t(copied_at_[i])}};
      copies_[i]->encode(queue, copy);
      factors[i] = copy[1];
    }
    // The product, and what its epilogue reads.
    const std::span<const Operand> after = operands.subspan(2, operands.size() - 2 - (scratch ? 1 : 0));
    const bool in_steps = by_steps_.product && (!steps_.floor || is_zero(after[size_t(steps_.floor->operand)]));
    Way& way = in_steps ? by_steps_ : plain();
    Stream& stream = machine_.stream();
    const int64_t item = int64_t(item_size(dtype_));
    ProductOperands first{at(factors[1]), at(factors[0]), at(after[0]), scratch ? at(*scratch) + workspace_at_ : 0};
    auto place = [&](const std::optional<ProductEpilogue::Addend>& addend) {
      return addend && in_steps ? at(after[size_t(addend->operand)]) + Address(addend->offset * item) : 0;
    };
    first.matrix = place(steps_.matrix);
    first.vector = place(steps_.vector);
    static const std::string name = "a product of matrices";
    for (const Call& call : calls_) {
      ProductOperands p = first;
      p.a += Address(call.b * item);
      p.b += Address(call.a * item);
      p.d += Address(call.d * item);
      if (p.matrix) p.matrix += Address(call.d * item);
      stream.multiply({&*way.product, &algorithm(way, p.a | p.b | p.d | p.matrix | p.vector), p}, name);
    }
    if (in_steps || !has_epilogue_) return;
    SmallVector<Operand, 8> rest(after);
    rest.push_back(operands[2]);
    if (!rest_) rest_ = gpu::make_program_kernel(machine_, epilogue_);
    rest_->encode(queue, {rest.data(), rest.size()});
  }
  size_t scratch_bytes() const override { return scratch_; }
  void describe(std::ostream& out, const std::string& indent) const override {
    out << indent << calls_.size() << (calls_.size() == 1 ? " call" : " calls") << " of cublasLtMatmul";
    if (!by_steps_.product) {
      out << (has_epilogue_ ? ", and a kernel for the epilogue\n" : "\n");
      return;
    }
    if (steps_.matrix) out << " + matrix";
    if (steps_.vector) out << " + vector";
    out << (steps_.floor ? ", cut off at zero\n" : "\n");
  }

 private:
  struct Call {
    int64_t a, b, d;  // where the matrices begin, in elements
  };

  // The product as the library knows it, and what it chose for it.
  struct Way {
    std::optional<Product> product;
    std::array<std::optional<ProductAlgorithm>, std::size(kAlignments)> algorithms;
  };

  CublasDot(CudaMachine& machine, const KernelProgram* epilogue, const ProductEpilogue& steps)
      : machine_(machine), has_epilogue_(epilogue), steps_(steps) {
    if (!epilogue) return;
    // Where a kernel runs it, the product is read and written as two operands.
    epilogue_ = *epilogue;
    const int written = epilogue_.operand_count++;
    for (const Instruction& i : epilogue_.code)
      if (i.kind == InstructionKind::store) epilogue_.accesses[size_t(i.access)].operand = written;
  }
  static Address at(const Operand& operand) { return address_of(operand.buffer->block()) + Address(operand.offset); }
  bool is_zero(const Operand& operand) const {
    return operand.scalar && std::all_of(operand.scalar, operand.scalar + item_size(dtype_),
                                         [](std::byte b) { return b == std::byte(0); });
  }

  bool prepare(gpu::Layouts in) {
    dtype_ = in[0].dtype;
    Layout layouts[] = {in[0], in[1]};
    size_t copied = 0;
    auto copy = [&](int i) {
      Layout dense = dense_layout(layouts[i]);
      copies_[i] = gpu::make_copy_kernel(machine_, once(layouts[i]), dense);
      copied_at_[i] = copied;
      copied += (size_t(element_count(dense.shape)) * item_size(dtype_) + 255) / 256 * 256;
      layouts[i] = repeated(dense, layouts[i].shape);
    };
    for (int i = 0; i < 2; ++i)
      if (!operand_of(layouts[i]).readable()) copy(i);
    Operand2d a = operand_of(layouts[0]), b = operand_of(layouts[1]);
    Shape lengths;
    auto merge = [&] {
      a = operand_of(layouts[0]);
      b = operand_of(layouts[1]);
      lengths = Shape(in[0].shape.begin(), in[0].shape.end() - 2);
      merge_axes(lengths, {&a.batch, &b.batch});
      // A batch axis that b does not have is more rows of a.
      while (!lengths.empty() && b.batch.back() == 0 && a.column == 1 && a.batch.back() == a.rows * a.row) {
        a.rows *= lengths.back();
        lengths.pop_back();
        a.batch.pop_back();
        b.batch.pop_back();
      }
    };
    merge();
    auto calls = [&] { return lengths.empty() ? 1 : element_count(lengths) / lengths.back(); };
    if (calls() > kMostCalls) {
      for (int i = 0; i < 2; ++i)
        if (!copies_[i]) copy(i);
      merge();
      if (calls() > kMostCalls) return false;
    }
    const int64_t m = a.rows, n = b.columns;
    const int64_t batch = lengths.empty() ? 1 : lengths.back();
    if (batch > INT32_MAX) return false;
    auto column_major = [&](const Operand2d& o) {
      const int64_t step = lengths.empty() ? 0 : o.batch.back();
      return o.column == 1 ? ColumnMajor{uint64_t(o.columns), uint64_t(o.rows), o.row, false, step}
                           : ColumnMajor{uint64_t(o.rows), uint64_t(o.columns), o.column, true, step};
    };
    a_ = column_major(b);
    b_ = column_major(a);
    d_ = {uint64_t(n), uint64_t(m), n, false, m * n};
    batch_ = int32_t(batch);
    const int64_t count = calls();
    for (int64_t c = 0; c < count; ++c) {
      Call call{0, 0, c * batch * m * n};
      int64_t rest = c;
      for (size_t axis = lengths.size() > 0 ? lengths.size() - 1 : 0; axis-- > 0;) {
        int64_t i = rest % lengths[axis];
        rest /= lengths[axis];
        call.a += i * a.batch[axis];
        call.b += i * b.batch[axis];
      }
      calls_.push_back(call);
    }
    workspace_at_ = copied;
    const ProductSteps steps{bool(steps_.matrix), bool(steps_.vector), bool(steps_.floor)};
    const bool in_steps = has_epilogue_ && find(by_steps_, steps, Product::kMostWorkspace);
    if (!in_steps && !find(plain_, {}, Product::kMostWorkspace)) return false;
    workspace_ = (in_steps ? by_steps_ : plain_).algorithms[0]->workspace;
    scratch_ = copied + workspace_;
    return true;
  }

  // Whether the library can do it.
  bool find(Way& way, ProductSteps steps, size_t workspace) {
    way.product.emplace(dtype_, a_, b_, d_, batch_, steps);
    way.algorithms[0] = way.product->algorithm(machine_.stream().context(), kAlignments[0], workspace);
    if (!way.algorithms[0]) way.product.reset();
    return bool(way.product);
  }
  Way& plain() {
    if (!plain_.product && !find(plain_, {}, workspace_)) throw Error("dot: cuBLASLt has no algorithm");
    return plain_;
  }

  // The algorithm for operands at addresses of which these are the bits.
  const ProductAlgorithm& algorithm(Way& way, Address bits) {
    size_t choice = 0;
    while (bits % kAlignments[choice] != 0) ++choice;
    std::optional<ProductAlgorithm>& chosen = way.algorithms[choice];
    if (!chosen) {
      const uint32_t alignment = std::max(kAlignments[choice], uint32_t(item_size(dtype_)));
      chosen = way.product->algorithm(machine_.stream().context(), alignment, workspace_);
      if (!chosen) throw Error("dot: cuBLASLt has no algorithm for operands that begin in between");
    }
    return *chosen;
  }

  CudaMachine& machine_;
  Dtype dtype_ = Dtype::float32;
  ColumnMajor a_, b_, d_;  // for the library
  int32_t batch_ = 1;
  std::vector<Call> calls_;
  std::unique_ptr<Kernel> copies_[2];
  size_t copied_at_[2] = {}, workspace_at_ = 0, workspace_ = 0, scratch_ = 0;
  const bool has_epilogue_;
  const ProductEpilogue steps_;
  KernelProgram epilogue_;
  Way by_steps_, plain_;
  std::unique_ptr<Kernel> rest_;  // the epilogue after a plain product
};

// Products with vectors read a matrix once, which kernels of our own do at the speed of memory, and which take
// epilogues. Many vectors, one for each place along leading axes, may have a matrix in common.
bool by_vectors(const Shape& product) {
  const int64_t n = product.back(), m = product[product.size() - 2];
  return n == 1 || (m == 1 && element_count(product) <= gpu::kFewRows * n);
}

// What our kernels compute, they compute with any epilogue.
bool takes_epilogue(const Primitive&, const Shape& product, const KernelProgram& epilogue) {
  if (by_vectors(product) || !Product::available()) return true;
  return !setting_has("noepilogue") && product_epilogue(epilogue, product.back());
}

std::unique_ptr<Kernel> make_dot(gpu::Machine& machine, const Primitive&, gpu::Layouts in, gpu::Layouts out,
                                 const KernelProgram* epilogue) {
  auto* cuda = dynamic_cast<CudaMachine*>(&machine);
  if (!cuda || !Product::available()) return nullptr;
  if (element_count(out[0].shape) == 0 || by_vectors(out[0].shape)) return nullptr;
  if (gpu::DotProblem::batched(in).m == 1) return nullptr;
  const auto steps = epilogue ? product_epilogue(*epilogue, out[0].shape.back()) : ProductEpilogue{};
  return steps ? CublasDot::make(*cuda, in, epilogue, *steps) : nullptr;
}

const gpu::RegisterKernel dot(gpu::Language::cuda, "dot", make_dot, takes_epilogue);

}  // namespace
}  // namespace funcnn::cuda

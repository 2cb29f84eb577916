// Products by cuBLASLt. It counts matrices by columns, so that our product of rows is for it the product of the
// transposed matrices in the other order. What it cannot read where it lies is made dense first.
#include <algorithm>
#include <array>
#include <optional>

#include "backends/cuda/cublaslt.h"
#include "backends/cuda/machine.h"
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
  static std::unique_ptr<Kernel> make(CudaMachine& machine, gpu::Layouts in) {
    auto kernel = std::unique_ptr<CublasDot>(new CublasDot(machine));
    return kernel->prepare(in) ? std::move(kernel) : nullptr;
  }

  void encode(Queue& queue, std::span<const Operand> operands) override {
    Operand factors[] = {operands[0], operands[1]};
    const Operand* scratch = operands.size() > 3 ? &operands[3] : nullptr;
    for (int i = 0; i < 2; ++i) {
      if (!copies_[i]) continue;
      const Operand copy[] = {factors[i], {scratch->buffer, scratch->offset + int64_t(copied_at_[i])}};
      copies_[i]->encode(queue, copy);
      factors[i] = copy[1];
    }
    Stream& stream = machine_.stream();
    const int64_t item = int64_t(item_size(dtype_));
    const Address a = at(factors[0]), b = at(factors[1]), d = at(operands[2]);
    const Address workspace = scratch ? at(*scratch) + workspace_at_ : 0;
    static const std::string name = "a product of matrices";
    for (const Call& call : calls_) {
      const Address x = a + Address(call.a * item), y = b + Address(call.b * item), z = d + Address(call.d * item);
      stream.multiply({&*product_, &algorithm(x | y | z), y, x, z, workspace}, name);
    }
  }
  size_t scratch_bytes() const override { return scratch_; }
  void describe(std::ostream& out, const std::string& indent) const override {
    out << indent << calls_.size() << (calls_.size() == 1 ? " call" : " calls") << " of cublasLtMatmul\n";
  }

 private:
  struct Call {
    int64_t a, b, d;  // where the matrices begin, in elements
  };

  explicit CublasDot(CudaMachine& machine) : machine_(machine) {}
  static Address at(const Operand& operand) { return address_of(operand.buffer->block()) + Address(operand.offset); }

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
    product_.emplace(dtype_, column_major(b), column_major(a), ColumnMajor{uint64_t(n), uint64_t(m), n, false, m * n},
                     int32_t(batch));
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
    algorithms_[0] = product_->algorithm(machine_.stream().context(), kAlignments[0], Product::kMostWorkspace);
    if (!algorithms_[0]) return false;
    workspace_ = algorithms_[0]->workspace;
    scratch_ = copied + workspace_;
    return true;
  }

  // The algorithm for operands at addresses of which these are the bits.
  const ProductAlgorithm& algorithm(Address bits) {
    size_t choice = 0;
    while (bits % kAlignments[choice] != 0) ++choice;
    if (!algorithms_[choice]) {
      const uint32_t alignment = std::max(kAlignments[choice], uint32_t(item_size(dtype_)));
      algorithms_[choice] = product_->algorithm(machine_.stream().context(), alignment, workspace_);
      if (!algorithms_[choice]) throw Error("dot: cuBLASLt has no algorithm for operands that begin in between");
    }
    return *algorithms_[choice];
  }

  CudaMachine& machine_;
  Dtype dtype_ = Dtype::float32;
  std::optional<Product> product_;
  std::array<std::optional<ProductAlgorithm>, std::size(kAlignments)> algorithms_;
  std::vector<Call> calls_;
  std::unique_ptr<Kernel> copies_[2];
  size_t copied_at_[2] = {}, workspace_at_ = 0, workspace_ = 0, scratch_ = 0;
};

// Products with vectors read a matrix once, which kernels of our own do at the speed of memory, and which take
// epilogues. Many vectors, one for each place along leading axes, may have a matrix in common.
bool by_vectors(const Shape& product) {
  const int64_t n = product.back(), m = product[product.size() - 2];
  return n == 1 || (m == 1 && element_count(product) <= gpu::kFewRows * n);
}

bool leaves_epilogue(const Primitive&, const Shape& product, const KernelProgram&) { return by_vectors(product); }

std::unique_ptr<Kernel> make_dot(gpu::Machine& machine, const Primitive&, gpu::Layouts in, gpu::Layouts out,
                                 const KernelProgram* epilogue) {
  auto* cuda = dynamic_cast<CudaMachine*>(&machine);
  if (!cuda || epilogue || !Product::available()) return nullptr;
  if (element_count(out[0].shape) == 0 || by_vectors(out[0].shape)) return nullptr;
  if (gpu::DotProblem::batched(in).m == 1) return nullptr;
  return CublasDot::make(*cuda, in);
}

const gpu::RegisterKernel dot(gpu::Language::cuda, "dot", make_dot, leaves_epilogue);

}  // namespace
}  // namespace funcnn::cuda

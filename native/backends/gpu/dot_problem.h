// What the layouts of dot decide, whatever kernel computes it.
#pragma once

#include <optional>
#include <vector>

#include "backends/gpu/operand.h"
#include "backends/gpu/program.h"
#include "ops/quantized_dot.h"

namespace funcnn::gpu {

// Products of one shape, a (m, k) by b (k, n) each, of matrices that stand in some order.
struct DotProblem {
  enum class Kind : uint8_t {
    batched,   // along leading axes
    chosen,    // by numbers; one that is not of a matrix stands for zeros
    segments,  // of parts of the depth
  };
  struct BatchAxis {
    int64_t length, a, b;  // steps in elements
  };
  struct Steps {
    int64_t row, column;
  };

  int64_t m, n, k, batches = 1;
  Dtype dtype;
  std::vector<BatchAxis> axes;  // neighbours merged, the outermost first
  Steps a, b;
  std::string_view index;  // type of places in the operands
  Kind kind = Kind::batched;
  std::vector<Layout> inputs;  // as they were given: a, b, then numbers or segments
  // Where b is quantised; b is then words, scales and biases, at_b the number of the matrix's first row.
  struct Quantized {
    QuantFormat format;
    bool transpose;  // rows are columns of b
    int64_t rows, columns;
    Dtype scales;
  };
  std::optional<Quantized> quantized;

  static DotProblem batched(Layouts inputs);
  // a (A, m, k), b (B, k, n), numbers of both (I) of int64.
  static DotProblem chosen(Layouts inputs);
  static DotProblem of_quantized(const QuantizedDot& op, Layouts inputs);
  // a (B..., m, k), b (B..., k, n), segments (B..., S, 2), all dense.
  static DotProblem segments(Layouts inputs);
  int64_t count() const { return batches * m * n; }
  // Whether neighbours of an operand, `unit` apart in lines `other` apart, lie in packs of `each`.
  bool whole_packs(int64_t unit, int64_t other, bool of_a, int64_t each) const;

  // Statements that set at_a and at_b (i64), the places of the matrices of product `batch` (u32, which they may
  // change), and `first` and `last` (u32), the part of the depth that is theirs; what they read, and the values they
  // need.
  std::string place_text() const;
  void declare_inputs(KernelText& text) const;
  std::vector<Place> input_places() const;
  void declare_values(KernelText& text) const;
  void add_values(Values& values) const;
  // A condition for packs along the depth, beside what the layouts say.
  std::string_view begins_whole(int64_t each) const;

 private:
  DotProblem() = default;
  void set_matrices(const Layout& a, const Layout& b);
};

// The product's elements on their way to memory: stored, or handed to an epilogue. Operands of the kernel are its
// inputs, the product, those of the epilogue that are read and those that are written, and scratch memory.
class DotResult {
 public:
  DotResult(Dtype dtype, const KernelProgram* epilogue, size_t inputs);
  // Declares what is read, then what is written.
  void declare(KernelText& text) const;
  // Statements for the element `value`, in a register, with flat number `index` of type u32 or i64.
  std::string statements(std::string_view value, std::string_view index) const;
  // Appends its operands, in the order of their declaration, to those that a launch reads before; how many are only
  // read.
  size_t append_to(std::vector<Place>& operands) const;
  int scratch() const { return target_ + 1 + reads_ + writes_; }

 private:
  Dtype dtype_;
  Dtype stored_;  // an epilogue may store a dtype of the same size in its place
  const KernelProgram* epilogue_;
  bool stored_by_epilogue_ = false;
  int target_;
  int reads_ = 0, writes_ = 0;
};

}  // namespace funcnn::gpu

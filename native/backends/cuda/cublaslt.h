// cuBLASLt, loaded when the first product is planned: matrix products in the layouts that it takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "backends/cuda/driver.h"
#include "base/dtype.h"

namespace funcnn::cuda {

// A matrix in memory as cuBLASLt sees it: the elements of a column lie dense, columns are `leading` apart.
struct ColumnMajor {
  uint64_t rows, columns;
  int64_t leading;
  bool transposed = false;   // the product takes its rows for columns
  int64_t batch_stride = 0;  // between matrices of a batch
};

// An algorithm of cuBLASLt for a product, and the memory it wants.
struct ProductAlgorithm {
  uint64_t data[8];
  size_t workspace;
};

// d = a b, over a batch.
class Product {
 public:
  // What a workspace may take at most: what the library's makers advise for chips with tensor cores.
  static constexpr size_t kMostWorkspace = size_t(32) << 20;

  // Whether there is a library to ask.
  static bool available();
  Product(Dtype dtype, const ColumnMajor& a, const ColumnMajor& b, const ColumnMajor& d, int32_t batch);
  ~Product();
  Product(const Product&) = delete;

  // No other product of the process has it.
  uint64_t number() const { return number_; }
  // The algorithm for operands whose addresses are multiples of `alignment` bytes; none: it cannot be computed so.
  std::optional<ProductAlgorithm> algorithm(Context context, uint32_t alignment, size_t workspace) const;
  void run(Context context, const ProductAlgorithm& algorithm, Address a, Address b, Address d, Address workspace,
           StreamHandle stream) const;

 private:
  void* operation_ = nullptr;
  void* layouts_[3] = {};  // of a, b, d
  Dtype dtype_;
  uint64_t number_;
};

}  // namespace funcnn::cuda

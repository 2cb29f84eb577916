// cuBLASLt, loaded when the first product is planned: matrix products in the layouts that it takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
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

// What becomes of a b before it is rounded to the dtype of d and stored.
struct ProductSteps {
  bool matrix = false;  // c is added, which lies as d does and may be d
  bool vector = false;  // a dense vector is added to each column
  bool relu = false;    // what is negative becomes 0
  bool operator==(const ProductSteps&) const = default;
};

struct ProductOperands {
  Address a, b, d, workspace, matrix = 0, vector = 0;
};

// d = a b, over a batch.
class Product {
 public:
  // What a workspace may take at most: what the library's makers advise for chips with tensor cores.
  static constexpr size_t kMostWorkspace = size_t(32) << 20;

  // Whether there is a library to ask.
  static bool available();
  Product(Dtype dtype, const ColumnMajor& a, const ColumnMajor& b, const ColumnMajor& d, int32_t batch,
          ProductSteps steps = {});
  ~Product();
  Product(const Product&) = delete;

  // No other product of the process has it.
  uint64_t number() const { return number_; }
  // The algorithm for operands whose addresses are multiples of `alignment` bytes; none: it cannot be computed so.
  std::optional<ProductAlgorithm> algorithm(Context context, uint32_t alignment, size_t workspace) const;
  void run(Context context, const ProductAlgorithm& algorithm, const ProductOperands& operands,
           StreamHandle stream) const;

 private:
  void place_vector(Address address) const;

  void* operation_ = nullptr;
  void* layouts_[3] = {};  // of a, b, d
  Dtype dtype_;
  ProductSteps steps_;
  mutable std::mutex vector_mutex_;  // of where the operation finds the vector
  uint64_t number_;
};

}  // namespace funcnn::cuda

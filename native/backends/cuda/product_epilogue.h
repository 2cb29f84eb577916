// What cuBLASLt does to a product before it rounds and stores it, found in the program that follows the product.
#pragma once

#include <cstdint>
#include <optional>

#include "plan/kernel_program.h"

namespace funcnn::cuda {

struct ProductEpilogue {
  // An operand of the program, and the element at which it begins.
  struct Addend {
    int operand;
    int64_t offset;
  };
  std::optional<Addend> matrix;  // is added to the product
  std::optional<Addend> vector;  // is added to each of its rows
  std::optional<Addend> floor;   // a scalar: the least that the sum becomes. The library knows zero alone.
};

// Nothing where the program, which follows a product of so many columns, does anything else.
std::optional<ProductEpilogue> product_epilogue(const KernelProgram& program, int64_t columns);

}  // namespace funcnn::cuda

// Work that waits to be put on a stream: launches with their parameters, and products of the library.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "backends/cuda/cublaslt.h"
#include "backends/cuda/driver.h"
#include "backends/gpu/machine.h"
#include "base/hash.h"
#include "base/small_vector.h"

namespace funcnn::cuda {

struct Launch {
  Function function;
  gpu::Size3 groups, threads;
  uint32_t pointers, ones, value_bytes;  // the parameters: pointers, scalars of the host, values
  uint32_t shared_bytes = 0;             // beyond what the kernel declares
};

struct ProductCall {
  const Product* product;
  const ProductAlgorithm* algorithm;
  ProductOperands operands;
};

// One after another, until it is cleared.
class Work {
 public:
  using Parameters = SmallVector<void*, 32>;
  struct Item {
    const std::string* name;
    bool is_product;
    Launch launch;
    ProductCall product;
    size_t at, bytes;  // of the parameters
  };

  // Room for the parameters of a launch: pointers, scalars, values, each a multiple of 8 bytes.
  std::span<std::byte> add(const Launch& launch, const std::string& name) {
    const size_t bytes = 8 * (launch.pointers + launch.ones) + (launch.value_bytes + 15) / 16 * 16, at = bytes_.size();
    bytes_.resize(at + bytes);
    items_.push_back({&name, false, launch, {}, at, bytes});
    return {bytes_.data() + at, bytes};
  }
  void add(const ProductCall& call, const std::string& name) {
    items_.push_back({&name, true, {}, call, bytes_.size(), 0});
  }
  void clear() {
    items_.clear();
    bytes_.clear();
  }
  // Whether it begins with such a launch.
  bool begins_with(const Launch& launch) const {
    if (items_.empty() || items_[0].is_product) return false;
    const Launch& first = items_[0].launch;
    return first.function == launch.function && first.groups.x == launch.groups.x &&
           first.groups.count() == launch.groups.count() && first.threads.count() == launch.threads.count();
  }
  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  const std::vector<Item>& items() const { return items_; }
  const std::vector<std::byte>& bytes() const { return bytes_; }
  std::byte* data() { return bytes_.data(); }

  // All but the parameters of launches: work of one shape may be one graph.
  Hash shape() const;
  // Where the driver finds the parameters of a launch among `bytes`.
  static void parameters(const Item& item, std::byte* bytes, Parameters& out);

 private:
  std::vector<Item> items_;
  std::vector<std::byte> bytes_;
};

}  // namespace funcnn::cuda

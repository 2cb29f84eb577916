// The handle on a node: what operations take and return. Null stands for a cotangent or tangent that is zero.
#pragma once

#include <cstring>
#include <span>
#include <vector>

#include "graph/node.h"

namespace funcnn {

class Array {
 public:
  Array() = default;
  explicit Array(NodeRef node) : node_(std::move(node)) {}

  Node* node() const noexcept { return node_.get(); }
  const NodeRef& ref() const noexcept { return node_; }
  explicit operator bool() const noexcept { return bool(node_); }

  const Shape& shape() const noexcept { return node_->shape; }
  Dtype dtype() const noexcept { return node_->dtype; }
  size_t ndim() const noexcept { return node_->shape.size(); }
  int64_t size() const noexcept { return node_->size(); }
  int64_t dim(int axis) const noexcept { return node_->shape[size_t(axis < 0 ? axis + int(ndim()) : axis)]; }
  Aval aval() const { return {node_->shape, node_->dtype}; }
  size_t nbytes() const noexcept { return size_t(size()) * item_size(dtype()); }

  bool operator==(const Array& other) const noexcept { return node_ == other.node_; }

 private:
  NodeRef node_;
};

using Arrays = std::vector<Array>;
using Span = std::span<const Array>;

// The one function that creates computed nodes: sets trace, abstract, rebindable from the inputs.
Array make_node(Ref<const Primitive> primitive, Span inputs, Shape shape, Dtype dtype);
// The same for a primitive with several outputs; returns its Output nodes.
Arrays make_nodes(Ref<const Primitive> primitive, Span inputs, std::vector<Aval> outputs);
// A node like `node` over other inputs of the same avals (for a multi-output node: the shared node itself).
NodeRef remake_node(const Node& node, Span inputs);
// Output `index` of a shared multi-output node.
Array make_output(const NodeRef& shared, int index);

// Computed values.
Array from_storage(Storage storage, Shape shape, Dtype dtype);
Array empty_array(Shape shape, Dtype dtype);  // on the host, contiguous, elements unset; fill before sharing
Array scalar_array(const void* value, Dtype dtype);
// A 0-d constant converted to `dtype`.
Array constant(double value, Dtype dtype);
Array constant(int64_t value, Dtype dtype);
inline Array constant(int value, Dtype dtype) { return constant(int64_t(value), dtype); }
Array constant(complex64_t value, Dtype dtype);

// Where the host can read the elements of a computed value.
struct HostElements {
  const std::byte* data;  // the first element
  Strides strides;
  Ref<Buffer> buffer;  // keeps them; null: they are in the node
};
// The one door through which values are read: waits until they are computed, and copies them to the host where it
// cannot see them. Raises the error that their computation ended in.
HostElements host_elements(const Array& array);

// The elements of a fresh array, to be filled before anybody else sees it.
inline std::byte* fresh_elements(const Array& array) {
  const Storage& storage = array.node()->storage;
  return storage.buffer->host() + storage.offset;
}
template <class T>
T* fresh_elements(const Array& array) {
  return reinterpret_cast<T*>(fresh_elements(array));
}

// Whether the value is a 0-d constant known now, and which number (no evaluation takes place).
bool known_scalar(const Array& array, double& value);

}  // namespace funcnn

#include "graph/array.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "graph/primitive.h"

namespace funcnn {
namespace {

NodeRef plain_node(Ref<const Primitive> primitive, Span inputs) {
  NodeRef node(new Node);
  node->primitive = std::move(primitive);
  node->inputs.reserve(inputs.size());
  for (const Array& input : inputs) {
    Node* from = input.node();
    node->inputs.emplace_back(input.ref());
    node->level = std::max(node->level, from->level);
    node->abstract |= from->abstract;
    node->rebindable |= from->rebindable;
  }
  if (!inputs.empty()) node->device = inputs[0].node()->device;
  return node;
}

Ref<const Primitive> output_primitive(int index) {
  static const std::array<Ref<const Primitive>, 16> shared = [] {
    std::array<Ref<const Primitive>, 16> made;
    for (int i = 0; i < 16; ++i) made[size_t(i)] = Ref<const Primitive>(new Output(i));
    return made;
  }();
  return index < 16 ? shared[size_t(index)] : Ref<const Primitive>(new Output(index));
}

template <class T>
Array converted_constant(T value, Dtype dtype) {
  return visit_dtype(dtype, [&](auto tag) {
    using To = typename decltype(tag)::type;
    To converted;
    if constexpr (std::is_same_v<To, complex64_t>) {
      if constexpr (std::is_same_v<T, complex64_t>)
        converted = value;
      else
        converted = complex64_t(float(value), 0);
    } else {
      double real;
      if constexpr (std::is_same_v<T, complex64_t>)
        real = value.real();
      else
        real = double(value);
      if constexpr (std::is_same_v<To, bool>)
        converted = real != 0;
      else if constexpr (std::is_same_v<To, float16_t> || std::is_same_v<To, bfloat16_t>)
        converted = To(float(real));
      else if constexpr (std::is_integral_v<To>) {
        if constexpr (std::is_same_v<T, int64_t>)
          converted = To(value);
        else
          converted = To(int64_t(real));
      } else
        converted = To(real);
    }
    return scalar_array(&converted, dtype);
  });
}

// The constants that derivative rules are full of, one node each, so that plans see they are the same.
const Array* shared_constant(double value, Dtype dtype) {
  if (dtype != Dtype::float32 && dtype != Dtype::float64 && dtype != Dtype::int32) return nullptr;
  static constexpr double values[] = {0, 1, 2, -1, 0.5};
  static const auto table = [] {
    std::array<std::array<Array, 5>, 3> made;
    constexpr Dtype dtypes[] = {Dtype::float32, Dtype::float64, Dtype::int32};
    for (size_t d = 0; d < 3; ++d)
      for (size_t v = 0; v < 5; ++v) made[d][v] = converted_constant(values[v], dtypes[d]);
    return made;
  }();
  for (size_t v = 0; v < 5; ++v)
    if (values[v] == value && !(value == 0 && std::signbit(value)) && !(dtype == Dtype::int32 && v == 4))
      return &table[dtype == Dtype::float32 ? 0 : dtype == Dtype::float64 ? 1 : 2][v];
  return nullptr;
}

}  // namespace

namespace {

// Kernels trust the number of elements: refuse shapes whose bytes no int64 can count.
void check_size(const Shape& shape, Dtype dtype) {
  double bytes = double(item_size(dtype));
  for (int64_t d : shape) bytes *= double(std::max<int64_t>(d, 1));
  if (bytes >= 0x1p63)
    throw ValueError(cat("an array of shape ", shape, " and dtype ", dtype_name(dtype), " is too large"));
}

}  // namespace

Array make_node(Ref<const Primitive> primitive, Span inputs, Shape shape, Dtype dtype) {
  check_size(shape, dtype);
  NodeRef node = plain_node(std::move(primitive), inputs);
  node->shape = std::move(shape);
  node->dtype = dtype;
  return Array(std::move(node));
}

Array make_output(const NodeRef& shared, int index) {
  const Aval& aval = (*shared->avals)[size_t(index)];
  Array handle(shared);
  return make_node(output_primitive(index), Span(&handle, 1), aval.shape, aval.dtype);
}

Arrays make_nodes(Ref<const Primitive> primitive, Span inputs, std::vector<Aval> outputs) {
  NodeRef shared = plain_node(std::move(primitive), inputs);
  size_t count = outputs.size();
  shared->avals = std::make_unique<std::vector<Aval>>(std::move(outputs));
  Arrays made;
  made.reserve(count);
  for (size_t i = 0; i < count; ++i) made.push_back(make_output(shared, int(i)));
  return made;
}

NodeRef remake_node(const Node& node, Span inputs) {
  NodeRef made = plain_node(node.primitive, inputs);
  made->shape = node.shape;
  made->dtype = node.dtype;
  if (node.avals) made->avals = std::make_unique<std::vector<Aval>>(*node.avals);
  return made;
}

Array from_storage(Storage storage, Shape shape, Dtype dtype) {
  NodeRef node(new Node);
  node->storage = std::move(storage);
  node->shape = std::move(shape);
  node->dtype = dtype;
  return Array(std::move(node));
}

Array empty_array(Shape shape, Dtype dtype) {
  check_size(shape, dtype);
  Storage storage;
  storage.buffer = Buffer::allocate(size_t(element_count(shape)) * item_size(dtype));
  storage.data = storage.buffer->data();
  storage.strides = contiguous_strides(shape);
  return from_storage(std::move(storage), std::move(shape), dtype);
}

Array scalar_array(const void* value, Dtype dtype) {
  NodeRef node(new Node);
  node->dtype = dtype;
  std::memcpy(node->immediate, value, item_size(dtype));
  node->storage.data = node->immediate;
  return Array(std::move(node));
}

Array constant(double value, Dtype dtype) {
  if (const Array* shared = shared_constant(value, dtype)) return *shared;
  return converted_constant(value, dtype);
}
Array constant(int64_t value, Dtype dtype) {
  if (value >= -1 && value <= 2)
    if (const Array* shared = shared_constant(double(value), dtype)) return *shared;
  return converted_constant(value, dtype);
}
Array constant(complex64_t value, Dtype dtype) { return converted_constant(value, dtype); }

bool known_scalar(const Array& array, double& value) {
  const Node& node = *array.node();
  if (!node.shape.empty() || node.storage.data != node.immediate || is_complex(node.dtype)) return false;
  visit_dtype(node.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_same_v<T, complex64_t>) value = double(*reinterpret_cast<const T*>(node.immediate));
  });
  return true;
}

}  // namespace funcnn

#include "graph/array.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/device_dtypes.h"
#include "base/error.h"
#include "base/half_from_double.h"
#include "base/interpreter.h"
#include "base/to_integer.h"
#include "graph/primitive.h"
#include "graph/record.h"
#include "graph/trace.h"

namespace funcnn {
namespace {

[[noreturn]] void throw_mixed_devices(const Primitive& primitive, Device a, Device b) {
  throw ValueError(cat(primitive.name(), ": arguments are on ", device_name(a), " and on ", device_name(b),
                       "; move them to one device with fn.device_put"));
}

// Of a node that has its inputs, the first of which on a device is on its own. What repeats an input is where that is,
// an output of what repeats several too.
Device device_of(const Node& node) {
  const Primitive& p = *node.primitive;
  if (p.kind() != Kind::alias) return p.device(node.device);
  const Node* from = node.inputs[size_t(p.alias_of(0))].get();
  if (from->multi() && from->primitive->kind() == Kind::alias)
    from = from->inputs[size_t(from->primitive->alias_of(static_cast<const Output&>(p).index()))].get();
  return from->device;
}

NodeRef plain_node(Ref<const Primitive> primitive, Span inputs) {
  NodeRef node = NodeRef::first(new Node);
  node->primitive = std::move(primitive);
  node->inputs.reserve(inputs.size());
  for (const Array& input : inputs) {
    Node* from = input.node();
    node->inputs.emplace_back(input.ref());
    if (TraceId trace = from->trace; trace != 0 && trace != node->trace)
      node->trace = node->trace == 0 ? trace : join_traces(node->trace, trace);
    node->abstract |= from->abstract;
    node->rebindable |= from->rebindable;
    if (!from->device.placed() || from->device == node->device) continue;
    if (!node->device.placed())
      node->device = from->device;
    else if (!node->primitive->joins_devices())
      throw_mixed_devices(*node->primitive, node->device, from->device);
  }
  node->device = device_of(*node);
  record(*node);
  return node;
}

// Transcendental functions of arrays, which are kept rather than computed again.
bool is_dear(const Node& node) {
  constexpr int64_t kMany = 4096;
  if (node.size() < kMany || node.primitive->kind() != Kind::elementwise) return false;
  return opcode_info(node.primitive->opcode()).cost >= OpcodeCost::exponential;
}

// Node::from_nothing of a node with its inputs, shape and dtype.
uint8_t from_nothing(const Node& node) {
  constexpr int kMost = 64;
  int operations = 1;
  for (const NodeRef& input : node.inputs) {
    if (!input->from_nothing) return 0;
    operations += input->from_nothing;
  }
  Kind kind = node.primitive->kind();
  bool fits = node.inputs.empty() ? kind == Kind::index
                                  : kind == Kind::elementwise || kind == Kind::view || kind == Kind::alias ||
                                        (kind == Kind::opaque && node.primitive->only_moves());
  return fits && operations < kMost && !is_dear(node) ? uint8_t(operations) : uint8_t(0);
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
        converted = to_half<To>(real);
      else if constexpr (std::is_integral_v<To>) {
        if constexpr (std::is_same_v<T, int64_t>)
          converted = To(value);
        else
          converted = to_integer<To>(real);
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
  if (dtype == Dtype::float64 && node->device.placed())
    check_device_dtype(node->primitive->name(), node->device, dtype);
  node->from_nothing = from_nothing(*node);
  return Array(std::move(node));
}

Array make_output(const NodeRef& shared, int index) {
  const Aval& aval = shared->outputs->avals[size_t(index)];
  Array handle(shared);
  Array made = make_node(output_primitive(index), Span(&handle, 1), aval.shape, aval.dtype);
  made.node()->output = int16_t(index);
  shared->outputs->readers[size_t(index)].fetch_add(1, std::memory_order_acq_rel);
  return made;
}

Arrays make_nodes(Ref<const Primitive> primitive, Span inputs, std::vector<Aval> outputs) {
  NodeRef shared = plain_node(std::move(primitive), inputs);
  size_t count = outputs.size();
  shared->outputs = std::make_unique<Outputs>(std::move(outputs));
  Arrays made;
  made.reserve(count);
  for (size_t i = 0; i < count; ++i) made.push_back(make_output(shared, int(i)));
  return made;
}

NodeRef remake_node(const Node& node, Span inputs) {
  NodeRef made = plain_node(node.primitive, inputs);
  made->shape = node.shape;
  made->dtype = node.dtype;
  if (node.multi()) made->outputs = std::make_unique<Outputs>(node.outputs->avals);
  if (node.output >= 0) {
    made->output = node.output;
    made->inputs[0]->outputs->readers[size_t(node.output)].fetch_add(1, std::memory_order_acq_rel);
  }
  if (!node.multi()) made->from_nothing = from_nothing(*made);
  return made;
}

Array from_storage(Storage storage, Shape shape, Dtype dtype) {
  NodeRef node = NodeRef::first(new Node);
  if (storage.buffer) node->device = storage.buffer->device();
  node->shape = std::move(shape);
  node->dtype = dtype;
  node->publish(std::move(storage));
  return Array(std::move(node));
}

Array empty_array(Shape shape, Dtype dtype) {
  check_size(shape, dtype);
  Storage storage;
  storage.buffer = Buffer::allocate(kCpu, size_t(element_count(shape)) * item_size(dtype));
  storage.strides = contiguous_strides(shape);
  return from_storage(std::move(storage), std::move(shape), dtype);
}

Array scalar_array(const void* value, Dtype dtype) {
  Storage storage;
  std::memcpy(storage.scalar, value, item_size(dtype));
  Array made = from_storage(std::move(storage), {}, dtype);
  made.node()->from_nothing = 1;
  return made;
}

namespace {

HostElements elements_after_waiting(const Node& node) {
  const Storage& storage = node.storage;
  if (storage.ready) storage.ready->wait();
  if (std::byte* host = storage.buffer->host()) return {host + storage.offset, storage.strides, storage.buffer};
  // The span of memory that the elements lie in, with their strides.
  int64_t item = int64_t(item_size(node.dtype)), low = 0, high = 0;
  for (size_t i = 0; i < node.shape.size(); ++i) {
    int64_t reach = (node.shape[i] - 1) * storage.strides[i] * item;
    (reach < 0 ? low : high) += reach;
  }
  size_t bytes = node.size() ? size_t(high - low + item) : 0;
  Ref<Buffer> staged = Buffer::allocate(kCpu, bytes);
  storage.buffer->memory().download(storage.buffer->block(), size_t(storage.offset + low), bytes, staged->host());
  return {staged->host() - low, storage.strides, staged};
}

}  // namespace

HostElements host_elements(const Array& array) {
  const Node& node = *array.node();
  const Storage& storage = node.storage;
  if (node.is_scalar()) return {storage.scalar, {}, {}};
  if (!node.available()) throw Error("host_elements: the array has no value");
  if (std::byte* host = storage.buffer->host(); host && !storage.ready)
    return {host + storage.offset, storage.strides, storage.buffer};
  // A handle may be pointed elsewhere meanwhile.
  HostElements elements;
  without_interpreter([kept = array, &elements] { elements = elements_after_waiting(*kept.node()); });
  return elements;
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
  if (!node.is_scalar() || is_complex(node.dtype)) return false;
  visit_dtype(node.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_same_v<T, complex64_t>) value = double(*reinterpret_cast<const T*>(node.storage.scalar));
  });
  return true;
}

}  // namespace funcnn

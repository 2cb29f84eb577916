// The planner's own form of a captured graph: values with repeats merged, and views resolved to places in memory.
#pragma once

#include <vector>

#include "graph/opcode.h"
#include "graph/primitive.h"
#include "plan/capture.h"

namespace funcnn {

// Where the elements of a value are: in the memory of value `base`.
struct View {
  int base = -1;
  int64_t offset = 0;
  Strides strides;
};

enum class ValueKind : uint8_t { leaf, elementwise, index, reduce, operation, view };

struct Value {
  ValueKind kind = ValueKind::leaf;
  Opcode opcode = Opcode::copy;
  ReduceOp reduce = ReduceOp::sum;
  Dtype dtype = Dtype::float32;
  Device device;          // any: a scalar among the leaves
  bool floating = false;  // made from nothing that has a place: may be moved to where it is read
  Shape shape;
  View view;                   // of itself when computed
  SmallVector<int, 3> inputs;  // values (elementwise, reduce); for a view through a barrier: what must come first
  SmallVector<int, 4> axes;    // reduce
  uint64_t sequence = 0;
  int leaf = -1;       // index among the leaves
  int operation = -1;  // index among the operations
  int64_t size() const { return element_count(shape); }
  bool computed() const { return kind != ValueKind::leaf && kind != ValueKind::view; }
};

// A primitive with a kernel of its own.
struct Operation {
  Ref<const Primitive> primitive;
  Device device;  // for a transfer: where to
  SmallVector<int, 4> inputs;
  SmallVector<int, 2> outputs;
  uint64_t sequence = 0;
};

struct Ir {
  std::vector<Value> values;  // inputs before users
  std::vector<Operation> operations;
  std::vector<LeafClass> leaves;
  struct Result {
    int value;  // its view says where the result is
  };
  std::vector<SmallVector<int, 1>> results;  // for each captured result, its value (several for a shared node)
};

Ir build_ir(const Capture& capture);

// `view` of a value of shape `from`, as seen by an operand broadcast to `to`.
View broadcast_view(const View& view, const Shape& from, const Shape& to);

// Axes of length 1 dropped, neighbours that are one run merged: the shortest description of a walk through memory.
void collapse(const Shape& shape, const Strides& strides, Shape& out_shape, Strides& out_strides);

}  // namespace funcnn

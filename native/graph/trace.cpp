#include "graph/trace.h"

#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "graph/graph.h"
#include "graph/identity.h"

namespace funcnn {
namespace {

thread_local int depth = 0;
std::atomic<int> running_traces{0};

const Ref<const Primitive>& identity() {
  static const Ref<const Primitive> shared(new Identity);
  return shared;
}

}  // namespace

TraceScope::TraceScope() : TraceScope(0) {}

TraceScope::TraceScope(uint8_t floor) : outer_(depth) {
  if (std::max<int>(depth, floor) >= 250) throw ValueError("transformations are nested more than 250 deep");
  depth = std::max<int>(depth, floor) + 1;
  level_ = uint8_t(depth);
  running_traces.fetch_add(1, std::memory_order_acq_rel);
}

TraceScope::~TraceScope() {
  depth = outer_;
  running_traces.fetch_sub(1, std::memory_order_acq_rel);
}

bool keeps_past(const Node& node) { return node.level > 0 && running_traces.load(std::memory_order_acquire) > 0; }
int trace_depth() { return depth; }

std::mutex& past_mutex() {
  static auto* mutex = new std::mutex;
  return *mutex;
}

Array trace_input(const Array& x, uint8_t level) {
  Array made = make_node(identity(), Span(&x, 1), x.shape(), x.dtype());
  made.node()->level = level;
  // The transformation asks for it: not a value like any other of these numbers.
  made.node()->from_nothing = 0;
  return made;
}

void throw_traced_value(const Node& node, std::string_view what) {
  // Find a placeholder the value depends on.
  Array root{NodeRef(const_cast<Node*>(&node))};
  const Placeholder* found = nullptr;
  topological_order(Span(&root, 1), [&](Node& n) {
    if (!n.abstract) return false;
    if (auto* p = dynamic_cast<const Placeholder*>(n.primitive.get())) found = p;
    return true;
  });
  std::string subject = cat("a traced array of shape ", node.shape, " and dtype ", dtype_name(node.dtype));
  if (node.primitive) subject += cat(" (made by ", node.primitive->name(), ")");
  std::string trace = found ? found->trace().what : "a transformation";
  if (found && found->trace().ended)
    throw TracedValueError(
        cat(what, ": ", subject, " leaked from ", trace,
            ", which has ended; return the value from the transformed function instead of storing it"));
  throw TracedValueError(cat(what, ": ", subject, " has no value inside ", trace,
                             "; choose with fn.where, fn.cond, fn.while_loop or fn.scan, or make the argument static"));
}

Batched Identity::batch(Span inputs, std::span<const bool> batched, int64_t) const {
  return {{make_node(identity(), inputs, inputs[0].shape(), inputs[0].dtype())}, {batched[0]}};
}

}  // namespace funcnn

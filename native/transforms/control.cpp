// Loops and branches whose bodies compute on several devices.
#include "transforms/control.h"

#include "graph/transfer.h"

namespace funcnn {

void end_where_it_began(Graph& body, std::initializer_list<Span> inputs) {
  Device home;
  for (Span some : inputs)
    if (!home.placed()) home = device_of(some);
  for (Array& output : body.outputs)
    if (output.node()->device.placed() && !body.inputs.empty())
      output = home.placed() ? device_put(output, home) : transfer_like(output, body.inputs[0]);
}

Graph with_fresh_inputs(const Graph& body, TraceId id, Device home) {
  Graph made;
  Ref<Placeholder::Trace> trace(new Placeholder::Trace("a loop"));
  Arrays given;
  for (const Array& x : body.inputs) {
    const Device device = x.node()->device;
    made.inputs.push_back(make_placeholder(x.shape(), x.dtype(), trace, id));
    given.push_back(device.placed() && device != home ? device_put(made.inputs.back(), device) : made.inputs.back());
  }
  made.outputs = substitute(body, given);
  return made;
}

}  // namespace funcnn

// Scans that take several steps at once.
#include <algorithm>

#include "graph/trace.h"
#include "ops/join.h"
#include "ops/views.h"
#include "transforms/control.h"
#include "transforms/walk.h"

namespace funcnn {
namespace {

Array element(const Array& x, int64_t i) {
  const int64_t axis[] = {0};
  return squeeze(slice_axis(x, 0, i, i + 1), axis);
}

// `times` steps of a body one after another, in place of one: the carries, and the elements stacked.
Arrays take_steps(const Graph& body, Span init, Span sequences, Span constants, int64_t times, bool reverse) {
  size_t count = body.outputs.size() - init.size();
  Arrays carry(init.begin(), init.end());
  std::vector<Arrays> columns(count, Arrays(size_t(times)));
  for (int64_t step = 0; step < times; ++step) {
    int64_t i = reverse ? times - 1 - step : step;
    Arrays arguments = carry;
    for (const Array& x : sequences) arguments.push_back(element(x, i));
    arguments.insert(arguments.end(), constants.begin(), constants.end());
    Arrays out = substitute(body, arguments);
    carry.assign(out.begin(), out.begin() + ptrdiff_t(init.size()));
    for (size_t j = 0; j < count; ++j) columns[j][size_t(i)] = out[init.size() + j];
  }
  for (const Arrays& column : columns) carry.push_back(stack(column, 0));
  return carry;
}

// The body of a scan over elements with a further axis 0 of length `times`.
Graph repeated(const Graph& body, size_t carries, size_t sequences, int64_t times, bool reverse) {
  TraceId id = graph_trace(body);
  Ref<Placeholder::Trace> trace(new Placeholder::Trace("the body of a scan"));
  TraceScope scope;
  Graph made;
  for (size_t i = 0; i < body.inputs.size(); ++i) {
    Shape shape = body.inputs[i].shape();
    if (i >= carries && i < carries + sequences) shape.insert(shape.begin(), times);
    made.inputs.push_back(make_placeholder(std::move(shape), body.inputs[i].dtype(), trace, id));
  }
  Span all(made.inputs);
  made.outputs = take_steps(body, all.subspan(0, carries), all.subspan(carries, sequences),
                            all.subspan(carries + sequences), times, reverse);
  return made;
}

// Axis 0 split into groups of `times`, and back.
Array grouped(const Array& x, int64_t times) {
  Shape shape = x.shape();
  shape[0] /= times;
  shape.insert(shape.begin() + 1, times);
  return reshape(x, std::move(shape));
}
Array ungrouped(const Array& x) {
  Shape shape = x.shape();
  shape[1] *= shape[0];
  shape.erase(shape.begin());
  return reshape(x, std::move(shape));
}

}  // namespace

Arrays scan_unrolled(Graph body, Span init, Span sequences, Span constants, int64_t length, bool reverse,
                     int64_t unroll) {
  int64_t times = std::min(unroll, length);
  if (times <= 1) return scan(std::move(body), init, sequences, constants, length, reverse);
  end_where_it_began(body, {init, sequences, constants});
  if (times == length) return take_steps(body, init, sequences, constants, length, reverse);
  // Whole groups first, in the order of the loop, then the steps that are left.
  int64_t rest = length % times, whole = length - rest, first = reverse ? rest : 0;
  Arrays groups, left;
  for (const Array& x : sequences) {
    groups.push_back(grouped(slice_axis(x, 0, first, first + whole), times));
    left.push_back(slice_axis(x, 0, reverse ? 0 : whole, reverse ? rest : length));
  }
  Graph several = repeated(body, init.size(), sequences.size(), times, reverse);
  Arrays out = scan(std::move(several), init, groups, constants, whole / times, reverse);
  for (size_t i = init.size(); i < out.size(); ++i) out[i] = ungrouped(out[i]);
  if (rest == 0) return out;
  Arrays carry(out.begin(), out.begin() + ptrdiff_t(init.size()));
  Arrays last = take_steps(body, carry, left, constants, rest, reverse);
  for (size_t i = init.size(); i < out.size(); ++i) {
    const Array parts[] = {reverse ? last[i] : out[i], reverse ? out[i] : last[i]};
    last[i] = concatenate(parts, 0);
  }
  return last;
}

}  // namespace funcnn

// Control flow inside graphs: loops and branches whose bodies are closed graphs.
#pragma once

#include <initializer_list>

#include "graph/control.h"
#include "graph/graph.h"

namespace funcnn {

// Have a body over such inputs end where they are, whatever it computes elsewhere in between.
void end_where_it_began(Graph& body, std::initializer_list<Span> inputs);

// The same body over placeholders of its own; its inputs may be any nodes. `home`: where the inputs of the loop are.
// What was elsewhere before it came to the loop goes back there first.
Graph with_fresh_inputs(const Graph& body, TraceId id, Device home);

// Run `body` along axis 0 of `sequences`: inputs (carries, elements, constants) -> outputs (carries, elements). Returns
// the last carries and the stacked elements. Carries keep their avals. `extends` may name a scan this one stands for.
Arrays scan(Graph body, Span init, Span sequences, Span constants, int64_t length, bool reverse,
            const Extension* extends = nullptr);
// The same with `unroll` steps of the body in each step of the loop, whatever the length; without a loop if that takes
// all steps.
Arrays scan_unrolled(Graph body, Span init, Span sequences, Span constants, int64_t length, bool reverse,
                     int64_t unroll);

// One of two graphs over the same operands, chosen by a 0-d bool.
Arrays cond(const Array& predicate, Graph if_true, Graph if_false, Span operands);

// Apply `body` (carries, constants) -> carries while `condition` of the same inputs is true.
Arrays while_loop(Graph condition, Graph body, Span init, Span constants);

}  // namespace funcnn

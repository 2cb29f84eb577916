// Which computed nodes a compiled call need not tell apart.
#pragma once

#include "graph/node.h"

namespace funcnn {

// The likeness of a node, which it has from now on: equal for nodes of one shape and dtype, of equal flags, that lie in
// the same way on the same device. 0: it is not computed, depends on a trace or keeps its past, or somebody would have
// to wait for it. Under the evaluation lock.
uint32_t likeness_of(Node& node);

// As `Node::lose`, of a node that had a likeness: once nobody has it any more, it may stand for another value of that.
void lose_shortly(Node& node, uint32_t likeness);
// That likeness; 0: there is none.
inline uint32_t likeness_before(const Node& lost) {
  return lost.lost() && !lost.storage.buffer ? uint32_t(lost.storage.offset) : 0;
}

// The first of so many sequences, for nodes that stand for other values than before.
uint64_t take_node_sequences(size_t count);

}  // namespace funcnn

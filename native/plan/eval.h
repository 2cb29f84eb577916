// Computing values.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "graph/array.h"

namespace funcnn {

// Compute the arrays (and, with them, what handles outside the graph also hold). Raises TracedValueError for traced
// values. Must be called without the interpreter lock: it may wait for an evaluation on another thread.
void eval(Span arrays);
// Wait until computed arrays are ready where they are, rethrowing the error that their computation ended in. The same
// goes for the interpreter lock.
void wait(Span arrays);
// Start computing on a background thread. Reading a value waits for it.
void async_eval(Span arrays);
// Wait for everything async_eval started, rethrowing its first error, and for the queues of all devices.
void synchronize();

// What the language around the library knows: set once, while it loads.
struct Host {
  // Run `block(context)`, which may wait for a thread that needs the interpreter.
  void (*without_interpreter)(void (*block)(void*), void* context);
  // Whether the user asked to stop the evaluation on this thread. Called every few milliseconds between kernels.
  bool (*interrupted)();
  // The same in the middle of a kernel, where no code of the user's may run to find out.
  bool (*pressed)();
};
void set_host(const Host& host);
// Raise Interrupted if the user asked to stop.
void check_interrupt();

// Around a fork: no evaluation may be under way, since the child has none of the threads that would finish it.
void before_fork();
void after_fork(bool in_child);
// The process is about to end: give up what async_eval started, and evaluate on this thread alone from now on.
void end_evaluation();

// Let go of how computed nodes were made, once no running trace can need it.
void cut_past(std::span<Node* const> nodes);

struct CacheInfo {
  uint64_t hits, misses;
  size_t entries, capacity;
  size_t bytes, byte_capacity;  // about what the plans and the decisions behind them take
  uint64_t reused;              // plans that were fused as one of other sizes was
};
CacheInfo plan_cache_info();
// Plans of compiled graphs included. Their owners drop them when they find another generation.
void clear_plan_cache();
uint64_t plan_generation();

// Whether elementwise work is fused (default; FUNCNN_FUSE=0 turns it off); returns the setting before.
bool set_fusion(bool on);

}  // namespace funcnn

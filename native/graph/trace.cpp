#include "graph/trace.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "graph/graph.h"
#include "graph/identity.h"

namespace funcnn {
namespace {

constexpr size_t kFirstSweep = 8;

// The traces that nest on a thread, from the outermost on. A trace's id is the number of its session and its place
// within; numbers only grow. While a session lasts its values keep their pasts: an inner trace that ended may have
// been differentiated by an outer one. Everything here is under the lock of `Sessions`.
struct Session {
  uint64_t number = 0;
  uint64_t opened = 0;           // traces, ended ones included
  std::vector<TraceId> running;  // not a stack: coroutines may end in any order
  int rebuilding = 0;            // running traces whose nodes will be rebuilt
  std::vector<uint64_t> with;    // older sessions, running then, whose values some of this one's depend on
  std::vector<NodeRef> kept;     // computed values that still hold their pasts
  size_t sweep = kFirstSweep;    // how many of them before those that only we hold are dropped
};

constexpr int kPlaceBits = 24;
constexpr uint64_t kLastPlace = (uint64_t(1) << kPlaceBits) - 1;
uint64_t session_of(TraceId id) { return id >> kPlaceBits; }

struct Sessions {
  std::mutex mutex;
  std::vector<std::unique_ptr<Session>> last;  // those that last, and ended ones that depend on them: few
  uint64_t next = 1;
  std::atomic<uint64_t> oldest{UINT64_MAX};  // the lowest number among them

  Session* find(uint64_t number) {
    for (const auto& session : last)
      if (session->number == number) return session.get();
    return nullptr;
  }
  Session& open(uint64_t number, std::unique_ptr<Session> made = nullptr) {
    if (Session* found = find(number)) return *found;
    if (!made) made = std::make_unique<Session>();
    made->number = number;
    if (number < oldest.load(std::memory_order_relaxed)) oldest.store(number, std::memory_order_release);
    last.push_back(std::move(made));
    return *last.back();
  }
  bool lasts(const Session& session) {
    return !session.running.empty() || std::any_of(session.with.begin(), session.with.end(), [&](uint64_t number) {
      Session* other = find(number);
      return other && lasts(*other);
    });
  }
  // Forget what lasts no longer; its values go to `ended`. Returns one of those forgotten, for reuse.
  std::unique_ptr<Session> close(std::vector<NodeRef>& ended) {
    std::unique_ptr<Session> gone;
    for (size_t i = 0; i < last.size();) {
      if (lasts(*last[i])) {
        ++i;
        continue;
      }
      gone = std::move(last[i]);
      last.erase(last.begin() + std::ptrdiff_t(i));
      ended.insert(ended.end(), gone->kept.begin(), gone->kept.end());
      i = 0;  // others may have lasted on its account
    }
    uint64_t lowest = UINT64_MAX;
    for (const auto& session : last) lowest = std::min(lowest, session->number);
    oldest.store(lowest, std::memory_order_release);
    return gone;
  }
};

// Never destroyed: threads may use it until the process ends.
Sessions& sessions() {
  static auto* instance = new Sessions;
  return *instance;
}

thread_local Session* mine = nullptr;
thread_local std::unique_ptr<Session> spare;  // opening one is on the path of every transformation
thread_local std::vector<NodeRef> ended_here;

// Without the lock: whether a trace may have a session that lasts.
bool may_last(TraceId id) { return id != 0 && session_of(id) >= sessions().oldest.load(std::memory_order_acquire); }

const Ref<const Primitive>& identity() {
  static const Ref<const Primitive> shared(new Identity);
  return shared;
}

// A placeholder the value depends on, one whose trace has ended if there is any.
const Placeholder* placeholder_of(const Array& x) {
  const Placeholder* found = nullptr;
  topological_order(Span(&x, 1), [&](Node& n) {
    if (!n.abstract) return false;
    auto* p = dynamic_cast<const Placeholder*>(n.primitive.get());
    if (p && !(found && found->trace().ended)) found = p;
    return true;
  });
  return found;
}

// A node with the value of `x` that nobody else holds.
Array unshared(Array x) {
  const Node& node = *x.node();
  if (node.use_count() == 1) {
    x.node()->likeness(0);
    return x;
  }
  Array made;
  if (!node.available() || may_last(node.trace)) {
    made = alias_of(x);
  } else {
    made = node.is_scalar() ? scalar_array(node.storage.scalar, node.dtype)
                            : from_storage(node.storage, node.shape, node.dtype);
    made.node()->device = node.device;
    made.node()->weak = node.weak;
    made.node()->rebindable = node.rebindable;
  }
  return made;
}

}  // namespace

TraceScope::TraceScope(Nodes nodes) : nodes_(nodes) {
  Sessions& all = sessions();
  std::lock_guard lock(all.mutex);
  if (!mine) mine = &all.open(all.next++, std::move(spare));
  // In the unlikely case that places run out, traces share the last one: walks of the inner then visit more.
  mine->opened = std::min(mine->opened + 1, kLastPlace);
  id_ = mine->number << kPlaceBits | mine->opened;
  mine->running.push_back(id_);
  mine->rebuilding += nodes_ == Nodes::rebuilt;
}

TraceScope::~TraceScope() {
  Sessions& all = sessions();
  std::lock_guard lock(all.mutex);
  auto at = std::find(mine->running.rbegin(), mine->running.rend(), id_);
  mine->running.erase(std::next(at).base());
  mine->rebuilding -= nodes_ == Nodes::rebuilt;
  if (!mine->running.empty()) return;
  mine = nullptr;
  spare = all.close(ended_here);
  if (!spare) return;
  // Its vectors keep their memory.
  spare->opened = 0;
  spare->rebuilding = 0;
  spare->with.clear();
  spare->kept.clear();
  spare->sweep = kFirstSweep;
}

TraceId current_trace() { return mine ? mine->running.back() : 0; }
bool rebuilds_nodes() { return mine && mine->rebuilding > 0; }

TraceId running_trace_of(const Array& x) {
  if (!may_last(x.node()->trace)) return 0;
  Sessions& all = sessions();
  // Held all the way: a session that cannot end lets go of no past.
  std::lock_guard lock(all.mutex);
  TraceId found = 0;
  topological_order(Span(&x, 1), [&](Node& node) {
    if (!may_last(node.trace) || node.trace <= found) return false;
    Session* session = all.find(session_of(node.trace));
    if (!session || !all.lasts(*session)) return false;
    bool running = std::find(session->running.begin(), session->running.end(), node.trace) != session->running.end();
    if (running) found = node.trace;
    return !running;
  });
  return found;
}

bool keeps_still(const Node& node) {
  return node.abstract || (mine && node.trace != 0 && session_of(node.trace) == mine->number);
}

TraceId join_traces(TraceId a, TraceId b) {
  TraceId low = std::min(a, b), high = std::max(a, b);
  if (!may_last(low) || session_of(low) == session_of(high)) return high;
  Sessions& all = sessions();
  std::lock_guard lock(all.mutex);
  Session* older = all.find(session_of(low));
  if (!older || !all.lasts(*older)) return high;
  Session& newer = all.open(session_of(high));
  if (std::find(newer.with.begin(), newer.with.end(), older->number) == newer.with.end())
    newer.with.push_back(older->number);
  return high;
}

bool keeps_past(Node& node) {
  if (!may_last(node.trace)) return false;
  std::vector<NodeRef> dropped;
  Sessions& all = sessions();
  std::lock_guard lock(all.mutex);
  Session* session = all.find(session_of(node.trace));
  if (!session || !all.lasts(*session)) return false;
  auto& kept = session->kept;
  kept.emplace_back(&node);
  if (kept.size() >= session->sweep) {
    // What nobody else holds will not be differentiated.
    auto rest = std::partition(kept.begin(), kept.end(), [](const NodeRef& n) { return n->use_count() > 1; });
    dropped.assign(std::make_move_iterator(rest), std::make_move_iterator(kept.end()));
    kept.erase(rest, kept.end());
    session->sweep = std::max(kFirstSweep, 2 * kept.size());
  }
  return true;
}

std::vector<NodeRef> take_kept() { return std::exchange(ended_here, {}); }

void forget_other_threads() {
  Sessions& all = sessions();
  std::lock_guard lock(all.mutex);
  for (auto& session : all.last)
    if (session.get() != mine) session->running.clear();
  all.close(ended_here);
}

std::mutex& past_mutex() {
  static auto* mutex = new std::mutex;
  return *mutex;
}

Array trace_input(const Array& x, TraceId id) {
  Array made = alias_of(x);
  made.node()->trace = id;
  // The transformation asks for it: not a value like any other of these numbers.
  made.node()->from_nothing = 0;
  return made;
}

Array alias_of(const Array& x) {
  Array made = make_node(identity(), Span(&x, 1), x.shape(), x.dtype());
  made.node()->weak = x.node()->weak;
  return made;
}

Array with_weakness(Array x, bool weak) {
  if (x.node()->weak == weak) return x;
  x = unshared(std::move(x));
  x.node()->weak = weak;
  return x;
}

Array with_rebindable(Array x, bool rebindable) {
  if (x.node()->rebindable == rebindable) return x;
  x = unshared(std::move(x));
  x.node()->rebindable = rebindable;
  return x;
}

bool leaked(const Array& x) {
  const Placeholder* found = x.node()->abstract ? placeholder_of(x) : nullptr;
  return found && found->trace().ended;
}

void throw_traced_value(const Node& node, std::string_view what, std::string_view advice) {
  const Placeholder* found = placeholder_of(Array(NodeRef(const_cast<Node*>(&node))));
  std::string subject = cat("a traced array of shape ", node.shape, " and dtype ", dtype_name(node.dtype));
  if (node.primitive && !dynamic_cast<const Placeholder*>(node.primitive.get()))
    subject += cat(" (made by ", node.primitive->name(), ")");
  std::string trace = found ? found->trace().what : "a transformation";
  if (found && found->trace().ended)
    throw TracedValueError(
        cat(what, ": ", subject, " leaked from ", trace,
            ", which has ended; return the value from the transformed function instead of storing it"));
  throw TracedValueError(cat(what, ": ", subject, " has no value inside ", trace, "; ", advice));
}

Batched Identity::batch(Span inputs, std::span<const bool> batched, int64_t) const {
  return {{make_node(identity(), inputs, inputs[0].shape(), inputs[0].dtype())}, {batched[0]}};
}

}  // namespace funcnn

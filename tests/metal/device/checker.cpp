#include "checker.h"

#include <algorithm>
#include <iterator>

#include "group_runner.h"
#include "options.h"

namespace software_metal {
namespace {

constexpr const char* kVerbs[] = {"reads", "writes", "changes atomically", "stores atomically"};
// Shorter pieces of the poison's pattern may well have been written by the host.
constexpr size_t kTellingBytes = 4;

std::string verb(Action action) { return kVerbs[int(action)]; }

std::string place(const Extent& e) {
  return "(" + std::to_string(e.x) + ", " + std::to_string(e.y) + ", " + std::to_string(e.z) + ")";
}
Extent unflattened(unsigned index, const Extent& of) {
  return {index % of.x, index / of.x % of.y, index / of.x / of.y};
}

bool is_poison(const unsigned char* at, size_t size) {
  return size >= kTellingBytes && std::all_of(at, at + size, [](unsigned char c) { return c == kPoison; });
}

}  // namespace

Checker& Checker::instance() {
  static auto* only = new Checker;
  return *only;
}

// ---- what runs at the same time

Checker::Interval::Interval(const std::vector<unsigned>& resources) {
  if (!options().check) return;
  Checker& checker = Checker::instance();
  lock_ = std::unique_lock(checker.mutex_);
  ++checker.stamps_;
  if (!resources.empty()) {
    for (unsigned resource : resources) checker.buffers_[resource].stamp = checker.stamps_;
    return;
  }
  checker.interval_ = checker.stamps_;
  checker.known_.clear();
  checker.next_actor_ = 1;
}

void Checker::begin_dispatch(const Dispatch& dispatch) {
  const Extent &size = dispatch.size, &groups = dispatch.groups;
  const uint32_t threads = size.x * size.y * size.z;
  known_.push_back({next_actor_, threads, dispatch.kernel->name, groups, size});
  next_actor_ += threads * groups.x * groups.y * groups.z;
}

void Checker::begin_group(GroupRunner& runner) {
  group_ = ++stamps_;
  const Known& dispatch = known_.back();
  group_first_ = dispatch.first + runner.group_index() * dispatch.threads_per_group;
  group_last_ = group_first_ + dispatch.threads_per_group - 1;
}

void Checker::wrote(unsigned resource, size_t offset, size_t size) {
  std::lock_guard lock(mutex_);
  buffers_[resource].each(offset, size, [](Cell& cell) { cell.written = true; });
}
void Checker::forget(unsigned resource) {
  std::lock_guard lock(mutex_);
  buffers_.erase(resource);
}

// ---- one access

void Checker::access(GroupRunner& runner, const void* address, size_t size, Action action) {
  if (runner.on_stack(address) || runner.owns(address)) return;
  const auto* at = static_cast<const unsigned char*>(address);
  const bool shared = at >= runner.shared_memory() && at < runner.shared_memory() + GroupRunner::kArenaBytes;
  me_ = {group_first_ + runner.thread_index(), uint16_t(runner.barriers_passed(shared)),
         uint16_t(runner.simd_barriers_passed(shared))};
  if (shared) {
    const size_t offset = size_t(at - runner.shared_memory());
    Target target = find_shared(runner, offset, size, action);
    shared_.each(offset, size, [&](Cell& cell) {
      if (cell.stamp != group_) cell = Cell{}, cell.stamp = group_;
      if (!cell.written && reads(action))
        runner.abandon("uninitialised: it " + verb(action) + " " + describe(target) + ", which nothing wrote");
      visit(runner, cell, target, action);
    });
    return;
  }
  Target target{};
  if (!find_bound(runner, at, size, action, target)) {
    runner.abandon("out of bounds: it " + verb(action) + " " + std::to_string(size) + " bytes " + runner.nearest(at));
  }
  if (!target.bound->resource) return;
  Shadow& shadow = buffers_[target.bound->resource];
  const uint32_t stamp = std::max(interval_, shadow.stamp);
  const bool poison = reads(action) && is_poison(at, size);
  shadow.each(target.offset, size, [&](Cell& cell) {
    if (cell.stamp != stamp) {
      const bool written = cell.written;
      cell = Cell{};
      cell.stamp = stamp;
      cell.written = written;
    }
    if (poison && !cell.written)
      runner.abandon("uninitialised: it " + verb(action) + " " + describe(target) + ", which nothing wrote");
    visit(runner, cell, target, action);
  });
}

Checker::Target Checker::find_shared(GroupRunner& runner, size_t offset, size_t size, Action action) {
  const SharedVariable* before = nullptr;
  for (const SharedVariable& variable : runner.variables()) {
    if (offset < variable.offset) continue;
    if (offset + size <= variable.offset + variable.size)
      return {&variable, nullptr, 0, offset - variable.offset, size};
    if (!before || variable.offset > before->offset) before = &variable;
  }
  std::string what = "out of bounds: it " + verb(action) + " " + std::to_string(size) + " bytes of threadgroup memory";
  if (before)
    what += " at byte " + std::to_string(offset - before->offset) + " of `" + before->name + "`, which has " +
            std::to_string(before->size) + " bytes";
  runner.abandon(what);
}

bool Checker::find_bound(GroupRunner& runner, const unsigned char* at, size_t size, Action action, Target& target) {
  const Dispatch& dispatch = runner.dispatch();
  for (unsigned i = 0; i < kBindings; ++i) {
    const Bound& bound = dispatch.buffers[i];
    // A kernel may go back from the place that is bound: the whole buffer is there.
    if (!bound.address || at < bound.begin() || at + size > bound.end()) continue;
    target = {nullptr, &bound, i, size_t(at - bound.begin()), size};
    return true;
  }
  if (!dispatch.residents) return false;
  auto after = dispatch.residents->upper_bound(at);
  if (after == dispatch.residents->begin()) return false;
  const Resident& resident = std::prev(after)->second;
  if (at + size > resident.bound.end()) return false;
  target = {nullptr, &resident.bound, kBindings, size_t(at - resident.bound.begin()), size};
  if (action != Action::read && !resident.written)
    runner.abandon("it " + verb(action) + " " + describe(target) + ", which useResource makes known for reading only");
  return true;
}

void Checker::visit(GroupRunner& runner, Cell& cell, const Target& target, Action action) {
  auto check = [&](const Visit& other, const char* did) {
    if (!ordered(other))
      runner.abandon("race: it " + verb(action) + " " + describe(target) + ", which " + name(other.actor) + " " + did +
                     " with no barrier between");
  };
  check(cell.write, "wrote");
  if (!is_atomic(action))
    for (const Visit& atomic : cell.atomics) check(atomic, "changed atomically");
  if (action != Action::read)
    for (const Visit& read : cell.reads) check(read, "read");
  if (action == Action::read) remember(cell.reads);
  if (is_atomic(action)) remember(cell.atomics);
  if (action == Action::write) cell.write = me_;
  if (action != Action::read) cell.written = true;
}

// Whether it is over, for certain, before what the thread does now.
bool Checker::ordered(const Visit& before) const {
  if (!before.actor || before.actor == me_.actor) return true;
  if (!in_group(before)) return false;
  if (before.barriers != me_.barriers) return true;
  return near(before, me_) && before.simd_barriers != me_.simd_barriers;
}

// Of one SIMD group, or both of groups that do not run now.
bool Checker::near(const Visit& a, const Visit& b) const {
  if (in_group(a) != in_group(b)) return false;
  return !in_group(a) || (a.actor - group_first_) / kLanes == (b.actor - group_first_) / kLanes;
}

void Checker::remember(Visit (&visits)[2]) const {
  for (Visit& visit : visits)
    if (ordered(visit)) {
      visit = me_;
      return;
    }
  if (near(visits[0], visits[1]) && !near(visits[0], me_)) visits[1] = me_;
}

// ---- words

std::string Checker::describe(const Target& target) const {
  std::string bytes = target.size == 1 ? "byte " + std::to_string(target.offset)
                                       : "bytes " + std::to_string(target.offset) + " to " +
                                             std::to_string(target.offset + target.size - 1);
  if (target.variable) return bytes + " of the threadgroup's `" + target.variable->name + "`";
  if (target.index == kBindings) return bytes + " of the resident " + target.bound->name;
  return bytes + " of buffer(" + std::to_string(target.index) + "), " + target.bound->name;
}

std::string Checker::name(uint32_t actor) const {
  auto after = std::upper_bound(known_.begin(), known_.end(), actor,
                                [](uint32_t a, const Known& dispatch) { return a < dispatch.first; });
  const Known& dispatch = *(after - 1);
  const uint32_t n = actor - dispatch.first;
  std::string text = "thread " + place(unflattened(n % dispatch.threads_per_group, dispatch.size));
  if (actor < group_first_ || actor > group_last_)
    text += " of threadgroup " + place(unflattened(n / dispatch.threads_per_group, dispatch.groups));
  if (&dispatch != &known_.back()) text += " of the kernel " + dispatch.kernel;
  return text;
}

}  // namespace software_metal

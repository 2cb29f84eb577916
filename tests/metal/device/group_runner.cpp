#include "group_runner.h"

#include <algorithm>
#include <cstring>

#include "checker.h"
#include "library.h"
#include "options.h"

namespace software_metal {
namespace {

thread_local GroupRunner* current_runner = nullptr;

// What a buffer that was not bound points at, where the kernel may do without.
alignas(256) unsigned char nothing[4096];

constexpr unsigned kDeviceMemory = 1, kThreadgroupMemory = 2;  // mem_flags

}  // namespace

GroupRunner::GroupRunner() : memory_(new unsigned char[kArenaBytes]) {}
GroupRunner::~GroupRunner() = default;

GroupRunner* GroupRunner::current() { return current_runner; }

void GroupRunner::run(Progress& progress, unsigned group) {
  progress_ = &progress;
  current_runner = this;
  prepare(group);
  const Options& asked = options();
  // Without rendezvous, and when nobody asks which thread does what, a plain loop.
  on_fiber_ = false;
  looping_ = !progress.dispatch.module->waits() && !asked.check && !asked.shuffle;
  if (looping_)
    run_loop();
  else
    run_on_fibers();
  current_runner = nullptr;
}

void GroupRunner::prepare(unsigned group) {
  const Dispatch& dispatch = progress_->dispatch;
  const Extent &groups = dispatch.groups, &size = dispatch.size, &grid = dispatch.grid;
  Extent at{group % groups.x, group / groups.x % groups.y, group / groups.x / groups.y};
  // Grids that are not whole groups end in smaller ones.
  Extent here{std::min(size.x, grid.x - at.x * size.x), std::min(size.y, grid.y - at.y * size.y),
              std::min(size.z, grid.z - at.z * size.z)};
  group_ = {buffers_, shared_, at, groups, here, size, grid};
  group_index_ = group;
  count_ = here.x * here.y * here.z;
  passed_ = {};
  used_ = 0;
  variables_.clear();
  current_ = 0;
  random_ = options().shuffle * 2654435761u + group * 40503u + 1;
  if (options().poison) std::memset(memory_.get(), kPoison, kArenaBytes);
  for (unsigned i = 0; i < kBindings; ++i) {
    buffers_[i] = dispatch.buffers[i].address ? dispatch.buffers[i].address : nothing;
    shared_[i] = nullptr;
  }
  for (unsigned i = 0; i < kBindings; ++i)
    if (dispatch.shared[i])
      shared_[i] = shared(&shared_[i], ("threadgroup(" + std::to_string(i) + ")").c_str(), dispatch.shared[i], 16);
}

void GroupRunner::Passed::pass(unsigned memory) {
  device += (memory & kDeviceMemory) != 0;
  shared += (memory & kThreadgroupMemory) != 0;
}

void GroupRunner::run_loop() {
  if (lanes_.empty()) lanes_.resize(1);
  lanes_[0].fiber = nullptr;
  lanes_[0].thread = {};
  on_fiber_ = true;
  start_or_resume(0, worker_stack_);
  on_fiber_ = false;
  drop_fibers(1);
}

// Those of threads that will not go on.
void GroupRunner::drop_fibers(unsigned lanes) {
  for (unsigned i = 0; i < lanes; ++i)
    if (Fiber* fiber = lanes_[i].fiber) {
      fiber->reset();
      idle_.push_back(fiber);
    }
}

void GroupRunner::run_on_fibers() {
  const unsigned simd_groups = (count_ + kLanes - 1) / kLanes;
  if (lanes_.size() < count_) lanes_.resize(count_);
  if (gathered_.size() < simd_groups) gathered_.resize(simd_groups);
  simd_passed_.assign(simd_groups, {});
  if (options().check) Checker::instance().begin_group(*this);
  const Extent& size = group_.size;
  Extent at{0, 0, 0};
  for (unsigned i = 0; i < count_; ++i) {
    lanes_[i].state = State::fresh;
    lanes_[i].fiber = nullptr;
    lanes_[i].thread = {at, i};
    if (++at.x == size.x) {
      at.x = 0;
      if (++at.y == size.y) at.y = 0, ++at.z;
    }
  }
  do {
    for (unsigned simd_group : shuffled(simd_groups, simd_order_)) {
      run_simd_group(simd_group);
      if (progress_->stopped) break;
    }
  } while (!progress_->stopped && release_barrier());
  if (progress_->stopped) drop_fibers(count_);
}

// Until every lane has returned or waits for other SIMD groups.
void GroupRunner::run_simd_group(unsigned simd_group) {
  first_lane_ = simd_group * kLanes;
  const unsigned lanes = std::min(count_ - first_lane_, kLanes);
  do {
    shuffled(lanes, lane_order_);
    cursor_ = 0;
    if (int lane = next_runnable(); lane >= 0) {
      on_fiber_ = true;
      start_or_resume(unsigned(lane), worker_stack_);
      on_fiber_ = false;
    }
  } while (!progress_->stopped && release_lanes(simd_group));
}

// The next lane of the running SIMD group that can go on; -1: none.
int GroupRunner::next_runnable() {
  while (cursor_ < lane_order_.size()) {
    unsigned lane = first_lane_ + lane_order_[cursor_++];
    if (lanes_[lane].state <= State::ready) return int(lane);
  }
  return -1;
}

void GroupRunner::start_or_resume(unsigned lane, void*& from) {
  current_ = lane;
  Lane& next = lanes_[lane];
  next.state = State::ready;
  if (!next.fiber) next.fiber = take_fiber();
  Fiber::switch_stacks(from, next.fiber->stack_pointer);
}

Fiber* GroupRunner::take_fiber() {
  if (idle_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>(fiber_body));
    return fibers_.back().get();
  }
  Fiber* fiber = idle_.back();
  idle_.pop_back();
  return fiber;
}

// Threads one after another; one that returned hands its stack to the next that has not begun.
void GroupRunner::fiber_body() {
  for (;;) {
    GroupRunner& runner = *current_runner;
    Lane& lane = runner.lanes_[runner.current_];
    const Kernel& kernel = *runner.progress_->dispatch.kernel;
    kernel.run(runner.group_, lane.thread, runner.looping_ ? runner.count_ : 1);
    Fiber* fiber = lane.fiber;
    lane.fiber = nullptr;
    lane.state = State::done;
    int next = runner.looping_ || runner.progress_->stopped ? -1 : runner.next_runnable();
    if (next >= 0 && !runner.lanes_[unsigned(next)].fiber) {
      runner.current_ = unsigned(next);
      runner.lanes_[unsigned(next)].fiber = fiber;
      runner.lanes_[unsigned(next)].state = State::ready;
      continue;
    }
    runner.idle_.push_back(fiber);
    if (next >= 0)
      runner.start_or_resume(unsigned(next), fiber->stack_pointer);
    else
      Fiber::switch_stacks(fiber->stack_pointer, runner.worker_stack_);
  }
}

// The running lane waits; others go on.
void GroupRunner::wait() {
  Fiber* fiber = lanes_[current_].fiber;
  int next = progress_->stopped ? -1 : next_runnable();
  if (next >= 0)
    start_or_resume(unsigned(next), fiber->stack_pointer);
  else
    Fiber::switch_stacks(fiber->stack_pointer, worker_stack_);
}

// No lane can go on: let those go on that wait for each other, which where control flow diverged are the largest set
// that waits at one place. False: none waits inside the SIMD group.
bool GroupRunner::release_lanes(unsigned simd_group) {
  const unsigned first = simd_group * kLanes, last = std::min(count_, first + kLanes);
  const Lane* meeting = nullptr;
  unsigned most = 0, live = 0;
  auto waits = [](const Lane& lane) { return lane.state == State::exchanging || lane.state == State::at_simd_barrier; };
  auto together = [](const Lane& a, const Lane& b) {
    return a.state == b.state && a.line == b.line && a.operation == b.operation;
  };
  for (unsigned i = first; i < last; ++i) {
    const Lane& lane = lanes_[i];
    live += lane.state != State::done;
    if (!waits(lane) || (meeting && together(lane, *meeting))) continue;
    unsigned count = 0;
    for (unsigned j = i; j < last; ++j) count += together(lanes_[j], lane);
    if (count > most) most = count, meeting = &lane;
  }
  if (!meeting) return false;
  const Lane place = *meeting;
  const bool barrier = place.state == State::at_simd_barrier;
  if (most != live && (barrier || options().strict)) {
    current_ = first;
    progress_->fail(where() + ": " + (barrier ? "simdgroup_barrier" : "a SIMD-group operation") + " at line " +
                    std::to_string(place.line) + " is reached by " + std::to_string(most) + " of " +
                    std::to_string(live) + " threads of the SIMD group");
    progress_->stopped = true;
    return false;
  }
  Gathered& gathered = gathered_[simd_group];
  gathered.mask = 0;
  for (unsigned i = first; i < last; ++i) {
    Lane& lane = lanes_[i];
    if (!together(lane, place)) continue;
    gathered.mask |= 1u << (i - first);
    lane.state = State::ready;
    if (!barrier) std::memcpy(gathered.slots + (i - first) * kSlotBytes, lane.value, lane.size);
  }
  if (barrier) simd_passed_[simd_group].pass(place.operation);
  return true;
}

// Every thread has returned or waits at a barrier of the group. False: all have returned, or the group is at fault.
bool GroupRunner::release_barrier() {
  unsigned done = 0, waiting = 0, line = 0, other_line = 0, example = 0, other_example = 0;
  for (unsigned i = 0; i < count_; ++i) {
    const Lane& lane = lanes_[i];
    if (lane.state == State::done) {
      ++done;
    } else if (++waiting == 1) {
      line = lane.line;
      example = i;
    } else if (lane.line != line && !other_line) {
      other_line = lane.line;
      other_example = i;
    }
  }
  if (!waiting) return false;
  std::string fault;
  if (other_line)
    fault = "thread " + std::to_string(example) + " waits at the threadgroup_barrier of line " + std::to_string(line) +
            ", thread " + std::to_string(other_example) + " at that of line " + std::to_string(other_line);
  else if (done)
    fault = "the threadgroup_barrier of line " + std::to_string(line) + " is reached by " + std::to_string(waiting) +
            " of " + std::to_string(count_) + " threads; the others returned";
  if (!fault.empty()) {
    current_ = example;
    progress_->fail(where() + ": " + fault);
    progress_->stopped = true;
    return false;
  }
  passed_.pass(lanes_[example].operation);
  for (unsigned i = 0; i < count_; ++i) lanes_[i].state = State::ready;
  return true;
}

void* GroupRunner::shared(const void* variable, const char* name, size_t size, size_t alignment) {
  for (const SharedVariable& known : variables_)
    if (known.id == variable) return memory_.get() + known.offset;
  alignment = std::max<size_t>(alignment, 16);
  size_t offset = (used_ + alignment - 1) / alignment * alignment;
  if (offset + size > kSharedBytes)
    abandon("threadgroup memory of " + std::to_string(offset + size) + " bytes is more than the " +
            std::to_string(kSharedBytes) + " that a threadgroup has (with `" + name + "`)");
  used_ = offset + size;
  variables_.push_back({variable, name, offset, size});
  return memory_.get() + offset;
}

void GroupRunner::barrier(unsigned memory, unsigned line) {
  Lane& lane = lanes_[current_];
  lane.state = State::at_barrier;
  lane.line = line;
  lane.operation = memory;
  wait();
}

void GroupRunner::simd_barrier(unsigned memory, unsigned line) {
  Lane& lane = lanes_[current_];
  lane.state = State::at_simd_barrier;
  lane.line = line;
  lane.operation = memory;
  wait();
}

Exchanged GroupRunner::exchange(const void* value, unsigned size, unsigned operation, unsigned line) {
  const unsigned me = current_;
  Lane& lane = lanes_[me];
  std::memcpy(lane.value, value, size);
  lane.state = State::exchanging;
  lane.line = line;
  lane.operation = operation;
  lane.size = size;
  wait();
  const Gathered& gathered = gathered_[me / kLanes];
  return {gathered.mask, me % kLanes, gathered.slots};
}

void GroupRunner::report(const std::string& what) { progress_->fail(where() + ": " + what); }

void GroupRunner::abandon(const std::string& what) {
  report(what);
  progress_->stopped = true;
  Fiber::switch_stacks(lanes_[current_].fiber->stack_pointer, worker_stack_);
  __builtin_unreachable();
}

bool GroupRunner::on_stack(const void* address) const {
  const Fiber* fiber = lanes_[current_].fiber;
  return fiber && fiber->holds(address);
}

bool GroupRunner::owns(const void* address) const {
  auto in = [&](const void* begin, size_t size) {
    return address >= begin && address < static_cast<const char*>(begin) + size;
  };
  return in(this, sizeof *this) || in(lanes_.data(), lanes_.size() * sizeof(Lane)) ||
         in(gathered_.data(), gathered_.size() * sizeof(Gathered)) || dispatch().module->holds(address);
}

std::string GroupRunner::nearest(const unsigned char* address) const {
  if (address >= nothing && address < nothing + sizeof nothing) return "of a buffer that is not bound";
  const Bound* best = nullptr;
  unsigned index = 0;
  int64_t least = 0;
  for (unsigned i = 0; i < kBindings; ++i) {
    const Bound& bound = dispatch().buffers[i];
    if (!bound.address) continue;
    int64_t distance = address < bound.begin() ? bound.begin() - address : address - bound.end();
    if (!best || distance < least) best = &bound, index = i, least = distance;
  }
  if (!best) return "where no buffer is";
  return "at byte " + std::to_string(address - best->begin()) + " of buffer(" + std::to_string(index) + "), " +
         best->name;
}

std::string GroupRunner::where() const {
  auto place = [](const Extent& e) {
    return "(" + std::to_string(e.x) + ", " + std::to_string(e.y) + ", " + std::to_string(e.z) + ")";
  };
  const Extent& size = group_.size;
  std::string at = std::string("kernel ") + dispatch().kernel->name + ", threadgroup " + place(group_.position);
  if (looping_) return at;
  Extent thread{current_ % size.x, current_ / size.x % size.y, current_ / size.x / size.y};
  return at + ", thread " + place(thread);
}

std::vector<unsigned>& GroupRunner::shuffled(unsigned count, std::vector<unsigned>& order) {
  if (order.size() != count || options().shuffle) {
    order.resize(count);
    for (unsigned i = 0; i < count; ++i) order[i] = i;
  }
  if (options().shuffle)
    for (unsigned i = count; i > 1; --i) {
      random_ ^= random_ << 13;
      random_ ^= random_ >> 17;
      random_ ^= random_ << 5;
      std::swap(order[i - 1], order[random_ % i]);
    }
  return order;
}

}  // namespace software_metal

using software_metal::GroupRunner;

extern "C" {

void* software_metal_shared(const void* variable, const char* name, unsigned long size, unsigned long alignment) {
  return GroupRunner::current()->shared(variable, name, size, alignment);
}
void software_metal_barrier(unsigned memory, unsigned line) { GroupRunner::current()->barrier(memory, line); }
void software_metal_simd_barrier(unsigned memory, unsigned line) { GroupRunner::current()->simd_barrier(memory, line); }
software_metal::Exchanged software_metal_exchange(const void* value, unsigned size, unsigned operation, unsigned line) {
  return GroupRunner::current()->exchange(value, size, operation, line);
}
unsigned software_metal_lane() { return GroupRunner::current()->lane(); }
void software_metal_fault(const char* what, unsigned line) {
  GroupRunner::current()->abandon(std::string(what) + " at line " + std::to_string(line));
}
}

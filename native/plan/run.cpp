// Running a plan.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "plan/eval.h"
#include "plan/measured.h"
#include "plan/packed_plan.h"
#include "plan/plan.h"

namespace funcnn {
namespace {

// Work since the user was last asked whether to go on: some milliseconds of it are let pass.
constexpr double kEffort = 2e7;
thread_local double effort_so_far = 0;

// Operand `from`, some bytes on.
Operand shifted(Operand from, int64_t offset) {
  from.offset += offset;
  if (from.scalar) from.scalar += offset;
  return from;
}

}  // namespace

std::vector<int> Plan::leaves_below() const {
  std::vector<int> leaf(static_cast<size_t>(slot_count_), -1);
  for (const Step& step : steps_)
    for (const Fresh& fresh : step.fresh) {
      if (fresh.takes_over < 0) continue;
      leaf[size_t(fresh.slot)] = fresh.leaf >= 0 ? fresh.leaf : leaf[size_t(fresh.takes_over)];
    }
  std::vector<int> below(results_.size(), -1);
  for (size_t r = 0; r < below.size(); ++r)
    if (placed_[r]) below[r] = leaf[size_t(results_[r][0].slot)];
  return below;
}

Plan::Memory Plan::place_leaves(std::span<const Storage* const> leaves) const {
  Memory memory(static_cast<size_t>(slot_count_));
  for (auto [leaf, slot, given] : leaf_slots_) {
    const Storage& storage = *leaves[size_t(leaf)];
    // Whoever runs the plan keeps the leaves.
    if (given) memory.buffers[size_t(slot)] = storage.buffer;
    memory.places[size_t(slot)] = {storage.buffer.get(), storage.offset, storage.buffer ? nullptr : storage.scalar};
  }
  return memory;
}

void Plan::encode(std::span<const Storage* const> leaves, Results results, std::vector<int>* overwritten,
                  std::span<const Operand> placed) const {
  check_memory();
  if (packed_ && placed.empty()) return packed_->encode(*this, leaves, results);
  Memory memory = place_leaves(leaves);
  run_steps(0, steps_.size(), memory, overwritten, placed);
  read_results(memory, results);
}

std::vector<Ref<Buffer>> Plan::prepare(std::span<const Storage* const> leaves) const {
  Memory memory = place_leaves(leaves);
  check_memory();
  run_steps(0, constant_steps_, memory, nullptr, {});
  std::vector<Ref<Buffer>> prepared;
  for (int slot : constant_slots_) prepared.push_back(std::move(memory.buffers[size_t(slot)]));
  return prepared;
}

void Plan::encode(std::span<const Storage* const> leaves, Results results, std::span<const Ref<Buffer>> prepared,
                  std::span<const Operand> placed, std::span<const Buffer* const> kept) const {
  Memory memory = place_leaves(leaves);
  memory.shared = BufferSet(kept);
  for (size_t i = 0; i < prepared.size(); ++i) {
    auto slot = size_t(constant_slots_[i]);
    memory.buffers[slot] = prepared[i];
    memory.places[slot] = {prepared[i].get()};
  }
  run_steps(constant_steps_, steps_.size(), memory, nullptr, placed);
  read_results(memory, results);
}

void Plan::run_steps(size_t next, size_t end, Memory& memory, std::vector<int>* overwritten,
                     std::span<const Operand> placed) const {
  auto& [places, buffers, shared] = memory;
  SmallVector<Operand, 256> operands;
  SmallVector<size_t, 128> slots, bytes;
  SmallVector<Ref<Buffer>, 128> made;
  auto is_placed = [&](const Fresh& fresh) {
    return fresh.result >= 0 && !placed.empty() && placed[size_t(fresh.result)].buffer;
  };
  auto takes_over = [&](const Fresh& fresh) {
    if (fresh.takes_over < 0) return false;
    const Buffer* given = buffers[size_t(fresh.takes_over)].get();
    return given && given->owned() && !shared.contains(given);
  };
  while (next < end) {
    std::span<const Step> launch(&steps_[next], steps_[next].launched);
    next += launch.size();
    const Step& first = launch[0];
    operands.clear();
    double cost = 0;
    if (first.source && !first.idle) {
      auto [slot, offset] = first.operands[0];
      const Operand from = shifted(places[size_t(slot)], offset);
      // What `prepare` gives lies at the beginning of its memory.
      const bool may_share = next > constant_steps_ || from.offset == 0;
      if (Ref<Buffer> same = may_share ? share(first, from) : nullptr) {
        shared.insert(from.buffer);
        const size_t to = size_t(first.operands[1].first);
        places[to] = {same.get(), from.offset};
        buffers[to] = std::move(same);
        for (int released : first.released) buffers[size_t(released)] = nullptr;
        continue;
      }
    }
    // All that the launch allocates, before it overwrites anything.
    slots.clear();
    bytes.clear();
    for (const Step& step : launch)
      for (const Fresh& fresh : step.fresh)
        if (!is_placed(fresh) && !takes_over(fresh)) {
          slots.push_back(size_t(fresh.slot));
          bytes.push_back(fresh.bytes);
        }
    made.resize(bytes.size());
    Buffer::allocate(first.backend->memory(), bytes, {made.data(), made.size()});
    for (size_t i = 0; i < slots.size(); ++i) buffers[slots[i]] = std::move(made[i]);
    for (const Step& step : launch) {
      for (const Fresh& fresh : step.fresh) {
        size_t slot = size_t(fresh.slot);
        if (is_placed(fresh)) {
          places[slot] = placed[size_t(fresh.result)];
          buffers[slot] = Ref<Buffer>(places[slot].buffer);
          continue;
        }
        if (buffers[slot]) {
          places[slot] = {buffers[slot].get()};
          continue;
        }
        // A leaf may be a row of a stack that was given, so that others lie before it.
        places[slot] = places[size_t(fresh.takes_over)];
        buffers[slot] = std::move(buffers[size_t(fresh.takes_over)]);
        if (overwritten && fresh.leaf >= 0) overwritten->push_back(fresh.leaf);
      }
      if (step.idle) continue;
      for (auto [slot, offset] : step.operands) operands.push_back(shifted(places[size_t(slot)], offset));
      cost += step.cost();
    }
    if (!first.idle) encode_launch(launch, operands);
    ask_whether_to_go_on(cost);
    for (const Step& step : launch)
      for (int slot : step.released) buffers[size_t(slot)] = nullptr;
  }
}

void Plan::ask_whether_to_go_on(double cost) {
  if ((effort_so_far += cost) <= kEffort) return;
  effort_so_far = 0;
  check_interrupt();
}

void Plan::read_results(Memory& memory, Results results) const {
  auto& [places, buffers, shared] = memory;
  size_t next = 0;
  for (const auto& result : results_)
    for (const Place& place : result) {
      const Operand at = shifted(places[size_t(place.slot)], place.offset);
      Ref<Buffer>& held = buffers[size_t(place.slot)];
      Storage& storage = *results[next++];
      storage.buffer = held && place.last ? std::move(held) : Ref<Buffer>(at.buffer);
      storage.offset = at.offset;
      storage.strides = place.strides;
      if (at.scalar) std::memcpy(storage.scalar, at.scalar, sizeof(storage.scalar));
    }
}

void Plan::encode_launch(std::span<const Step> launch, std::span<const Operand> operands) const {
  const Step& step = launch[0];
  Queue& queue = step.backend->queue();
  auto encode = [&] {
    if (step.source)
      transfer(step, operands[0], operands[1]);
    else
      (step.joint ? *step.joint : *step.kernel).encode(queue, operands);
  };
  if (!profiling()) return encode();
  if (!step.info) step.info = info_of(launch);
  LaunchTimer timer(step.info);
  // The kernels inside are measured by themselves.
  bool waits = step.source || step.backend->device() == kCpu;
  bool inside = step.primitive && step.primitive->kind() == Kind::control;
  auto* measuring = waits || inside ? nullptr : dynamic_cast<MeasuredQueue*>(&queue);
  Ref<QueueTime> measured = measuring ? measuring->start_timing() : nullptr;
  try {
    encode();
  } catch (...) {
    if (measured) measuring->stop_timing(*measured);
    throw;
  }
  if (measured) measuring->stop_timing(*measured);
  timer.done(waits ? Clock::run : Clock::launch, std::move(measured));
}

void Plan::run(std::span<const Storage* const> leaves, Results results, std::vector<int>* overwritten) const {
  SmallVector<const Storage*, 4> late;
  for (const Storage* leaf : leaves) {
    if (!leaf->ready) continue;
    late.push_back(leaf);
    backend(leaf->buffer->device()).queue().after(leaf->ready);
  }
  try {
    encode(leaves, results, overwritten);
  } catch (...) {
    // What was encoded already is nobody else's business.
    for (const Demand& demand : demands_) demand.backend->queue().record();
    throw;
  }
  for (const Demand& demand : demands_) {
    Ref<Event> ready = demand.backend->queue().record();
    if (!ready) continue;
    for (Storage* storage : results)
      if (storage->buffer && &storage->buffer->memory() == &demand.backend->memory()) storage->ready = ready;
  }
  if (late.empty()) return;
  // Where nothing was encoded, views of a leaf are ready with it.
  for (Storage* storage : results) {
    if (!storage->buffer || storage->ready) continue;
    auto leaf = std::find_if(late.begin(), late.end(), [&](const Storage* l) { return l->buffer == storage->buffer; });
    if (leaf != late.end()) storage->ready = (*leaf)->ready;
  }
}

Ref<Buffer> Plan::share(const Step& step, const Operand& from) const {
  if (!from.buffer || !step.backend->memory().shares(from.buffer->block())) return nullptr;
  if (Ref<Event> ready = step.source->queue().record()) ready->wait();
  return Buffer::share(step.backend->memory(), Ref<Buffer>(from.buffer));
}

void Plan::transfer(const Step& step, const Operand& from, const Operand& to) const {
  size_t bytes = size_t(element_count(step.inputs[0].shape)) * item_size(step.inputs[0].dtype);
  DeviceMemory& target = to.buffer->memory();
  // A number that a body was given.
  if (!from.buffer) return target.upload(from.scalar, bytes, to.buffer->block(), size_t(to.offset));
  if (Ref<Event> ready = step.source->queue().record()) ready->wait();
  DeviceMemory& source = from.buffer->memory();
  if (const std::byte* host = from.buffer->host())
    target.upload(host + from.offset, bytes, to.buffer->block(), size_t(to.offset));
  else if (std::byte* seen = to.buffer->host())
    source.download(from.buffer->block(), size_t(from.offset), bytes, seen + to.offset);
  else {
    Ref<Buffer> staged = Buffer::allocate(kCpu, bytes);
    source.download(from.buffer->block(), size_t(from.offset), bytes, staged->host());
    target.upload(staged->host(), bytes, to.buffer->block(), size_t(to.offset));
  }
}

size_t Plan::peak_bytes() const {
  return std::accumulate(demands_.begin(), demands_.end(), size_t(0),
                         [](size_t sum, const Demand& d) { return sum + d.peak; });
}

size_t Plan::live_bytes() const {
  return std::accumulate(demands_.begin(), demands_.end(), size_t(0),
                         [](size_t sum, const Demand& d) { return sum + d.live; });
}

size_t Plan::held_bytes() const {
  return std::accumulate(demands_.begin(), demands_.end(), size_t(0),
                         [](size_t sum, const Demand& d) { return sum + d.held; });
}

void Plan::check_memory() const {
  for (const Demand& demand : demands_) {
    size_t limit = demand.backend->memory().limit();
    if (!limit) continue;
    size_t active = demand.backend->memory().stats().active;
    if (active + demand.peak <= limit) continue;
    std::string message = cat("out of memory: the computation needs ", demand.peak, " bytes beside ", active,
                              " in use, the limit is ", limit, "; its largest arrays:");
    for (const Large& large : demand.largest)
      message +=
          cat("\n  ", large.bytes, " bytes: ", large.dtype, large.shape, " of ", steps_[size_t(large.step)].title());
    throw OutOfMemoryError(message);
  }
}

}  // namespace funcnn

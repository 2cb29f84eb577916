// A plan: kernels in order, and where their operands live. Built once for a graph structure, run many times.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/profile.h"
#include "plan/apart.h"
#include "plan/backend.h"
#include "plan/buffer_set.h"
#include "plan/capture.h"

namespace funcnn {

struct Ir;
class JointCodes;
class PackedPlan;

// Where the storages of the captured results go: one for each or, for a shared node of several outputs, one for each of
// those.
using Results = std::span<Storage* const>;

class Plan {
 public:
  Plan(const Capture& capture, bool fusion);
  ~Plan();
  Plan(const Plan&) = delete;

  // Compute the captured results from the storages of the leaves. Raises OutOfMemoryError before anything is changed.
  // If a kernel raises, `overwritten` (may be null) lists the leaves whose memory was reused until then.
  void run(std::span<const Storage* const> leaves, Results results, std::vector<int>* overwritten = nullptr) const;
  // The same for a part of a larger computation: who asked for that marks when its results are ready. `places` (empty,
  // or one for each captured result) says where results are to be written that can be; no buffer: anywhere.
  void encode(std::span<const Storage* const> leaves, Results results, std::vector<int>* overwritten = nullptr,
              std::span<const Operand> places = {}) const;
  // The same for a step of a loop: `prepared` is what `prepare` made of the leaves that are the same in all of them.
  // `kept` names memory that is not to be taken over, even that of disposable leaves.
  void encode(std::span<const Storage* const> leaves, Results results, std::span<const Ref<Buffer>> prepared,
              std::span<const Operand> places, std::span<const Buffer* const> kept = {}) const;
  std::vector<Ref<Buffer>> prepare(std::span<const Storage* const> leaves) const;
  // Whether a captured result can be written, densely, to a place that the caller names.
  bool can_place(size_t result) const { return placed_[result]; }
  // Whether a result may take over the memory of a leaf.
  bool overwrites(size_t leaf) const { return overwritten_[leaf]; }
  // By result: the leaf in whose memory it comes to lie where nothing stands against it; -1: in none.
  std::vector<int> leaves_below() const;

  // The most memory in use while it runs beyond the leaves, results included, on all devices.
  size_t peak_bytes() const;
  // The most bytes of values, leaves excluded, that are alive at once between its steps, on all devices: what no way to
  // place them, in this order, can do without.
  size_t live_bytes() const;
  // The same while a step runs: with what it reads last and cannot write over. Scratch memory is no value.
  size_t held_bytes() const;
  // What of that a step must hold beyond its results, which lie where a caller wants them.
  size_t live_beyond_results() const { return live_bytes() - std::min(live_bytes(), results_bytes_); }
  // How the (first) value of a captured result lies in memory.
  const Strides& result_strides(size_t result) const { return results_[result][0].strides; }
  size_t kernel_count() const { return steps_.size(); }
  // Fewer than kernels where some run together.
  size_t launch_count() const;
  // About what the plan itself takes.
  size_t own_bytes() const { return own_bytes_; }
  // What it moves and does in so many runs as steps of a loop.
  Effort effort(double runs = 1) const;
  // The kernels with the bytes they move and the operations they do, and of a plan that was made while somebody was
  // `Explaining`, why they are apart.
  std::string describe(const std::string& indent = {}) const;
  // Where two kernels meet: step `after` reads `value` of step `before`, or both read it.
  struct Meeting {
    int before, after;
    std::string value;
    bool siblings;
    Apart why;
  };
  const std::vector<Meeting>& meetings() const { return meetings_; }

 private:
  friend class BoundPlan;
  friend class PackedPlan;
  struct Fresh {
    int slot;
    size_t bytes;
    int takes_over = -1;         // slot whose memory it becomes
    int leaf = -1;               // the leaf in that slot
    int result = -1;             // the captured result that it is, if that can be placed
    bool after_scratch = false;  // that memory was scratch memory before
  };
  struct Step {
    Backend* backend = nullptr;
    std::shared_ptr<Kernel> kernel;  // null: a transfer from `source`
    Backend* source = nullptr;
    SmallVector<std::pair<int, int64_t>, 6> operands;  // slot, offset in bytes
    SmallVector<Fresh, 2> fresh;
    SmallVector<int, 4> released;
    bool idle = false;  // every result is empty
    // For `describe`.
    Ref<const Primitive> primitive;  // null: a fused unit
    std::vector<Layout> inputs, outputs;
    std::unique_ptr<KernelProgram> program;
    Effort effort;
    // For profiles, made when one first sees the launch that begins here.
    mutable std::shared_ptr<const KernelInfo> info;
    // This step and those after it run as one kernel, if there are more.
    size_t launched = 1;
    std::unique_ptr<Kernel> joint;
    std::string title() const;
    double cost() const { return effort.bytes + effort.flops / 16 + 1000; }
  };
  struct Place {
    int slot;
    int64_t offset;
    Strides strides;
    bool last = true;  // no later result lies in this slot
  };
  // An array that the plan makes.
  struct Large {
    size_t bytes;
    Dtype dtype;
    Shape shape;
    int step;
  };
  // What a plan takes of the memory of one device.
  struct Demand {
    Backend* backend;
    size_t peak = 0, live = 0, held = 0;
    std::vector<Large> largest;
  };
  class Builder;
  class Blocks;

  // What a step does to the memory of its device: in use before it, what its results take of it, and what it asks for
  // while it runs, for its kernel and inside of that.
  struct Footprint {
    size_t before, taken, scratch = 0, inner = 0;
    size_t most() const { return before + taken + scratch + inner; }
  };
  // What the plan takes at most of each device.
  void find_peaks(std::span<const Footprint> footprints);
  // Let scratch memory lie where a later step writes, if that takes no more memory than the plan does anyway.
  void place_scratch(std::vector<Footprint>& footprints);
  Demand& demand_of(const Backend& backend);
  // Let neighbours that are independent run together where that takes no more memory than the plan does anyway.
  void join_steps(const std::vector<Footprint>& footprints);

  static std::shared_ptr<const KernelInfo> info_of(std::span<const Step> launch);
  void encode_launch(std::span<const Step> launch, std::span<const Operand> operands) const;
  // While it runs: where what is in each slot lies.
  struct Memory {
    explicit Memory(size_t slots) : places(slots), buffers(slots) {}
    // Inside, since blocks of more than malloc keeps at hand make it sort all that is free.
    SmallVector<Operand, 256> places;
    SmallVector<Ref<Buffer>, 256> buffers;
    BufferSet shared;  // whose memory other values have too
  };
  Memory place_leaves(std::span<const Storage* const> leaves) const;
  // Run steps from `next` on, up to `end`.
  void run_steps(size_t next, size_t end, Memory& memory, std::vector<int>* overwritten,
                 std::span<const Operand> placed) const;
  void read_results(Memory& memory, Results results) const;
  // After so much work: it is time to ask the user now and then.
  static void ask_whether_to_go_on(double cost);
  void check_memory() const;
  void transfer(const Step& step, const Operand& from, const Operand& to) const;
  // The transferred value where it lies already, if both devices can work there; else null.
  Ref<Buffer> share(const Step& step, const Operand& from) const;

  std::vector<Step> steps_;
  struct LeafSlot {
    int leaf, slot;
    bool given = false;  // a result may take over its memory
  };
  std::vector<LeafSlot> leaf_slots_;
  std::vector<char> overwritten_;  // by leaf
  int slot_count_ = 0;
  std::vector<SmallVector<Place, 1>> results_;
  std::vector<char> placed_;  // by result
  // The first steps, which depend on nothing but what is the same in all runs, and what others read of theirs.
  size_t constant_steps_ = 0;
  std::vector<int> constant_slots_;
  std::vector<Demand> demands_;
  std::vector<Meeting> meetings_;                    // by `after`
  mutable std::shared_ptr<JointCodes> joint_codes_;  // of BoundPlan
  std::unique_ptr<PackedPlan> packed_;  // how to run it where the caller names no places, if values are small
  size_t own_bytes_ = 0;
  size_t results_bytes_ = 0;
};

}  // namespace funcnn

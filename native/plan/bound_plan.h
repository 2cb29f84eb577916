// A plan on memory that it keeps from step to step of a loop: its operands are found once, and a step does no more than
// move those that move and start the kernels.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "plan/bound_kernel.h"
#include "plan/host_work.h"
#include "plan/joint_code.h"
#include "plan/plan.h"

namespace funcnn {

class BoundPlan {
 public:
  // Which steps of a plan: those that are done once for many runs (`Plan::prepare`), or the others.
  enum class Part : uint8_t { constants, run };
  // `prepared` is what `Plan::prepare` gave; `places` are those of results that can be placed, or none. Whatever is
  // named outlives this. Leaves are never taken over.
  BoundPlan(const Plan& plan, Part part, std::span<const Course> leaves, std::span<const Ref<Buffer>> prepared,
            std::span<const Course> places);
  // None: nothing but copies.
  BoundPlan() = default;
  BoundPlan(const BoundPlan&) = delete;
  // Memory is held for a whole loop that would otherwise go back after each step. Where a step works on more than this,
  // it takes much longer than finding its operands.
  static constexpr size_t kMostBytes = size_t(1) << 16;
  // Whether a plan can be bound, and takes no more memory than the gain is worth.
  static bool fits(const Plan& plan);
  // No more than what it takes.
  static size_t bytes(const Plan& plan);

  ~BoundPlan();
  // After the kernels so far, in each step. `layouts`: from and to; they outlive this, too.
  void copy(Backend& backend, Kernel& kernel, std::span<const Layout, 2> layouts, const Course& from, const Course& to);
  // The same for the kernels of `next`, which has been made for the step after each: it finds its operands where those
  // of that step are, and puts its results where it does by itself.
  void follow(const BoundPlan& next);
  // What a step leaves at `go_on` says whether another may follow it.
  void stop_by(const Course& go_on) { go_on_ = go_on; }
  void encode(int64_t step) { encode(step, 1); }
  // Steps from that one on, no more than `most`, up to one after which none may follow: how many.
  int64_t encode(int64_t step, int64_t most);
  // Where a captured result lies; its strides are those of the plan.
  const Course& result(size_t r) const { return results_[r]; }
  // What `Plan::prepare` gives, of `Part::constants`.
  std::span<const Ref<Buffer>> prepared() const { return prepared_; }

 private:
  struct Launch {
    const Plan* plan;
    std::span<const Plan::Step> steps;  // none: a copy
    std::span<const Layout> layouts;    // of the copy
    Backend* backend;
    Kernel* kernel;
    size_t first = 0, count = 0;  // of its operands
  };
  struct Call {
    void (*call)(void*);
    void* with;
  };
  // Where a call reads the address of something that moves.
  struct Moving {
    std::byte** at;
    std::byte* first;
    int64_t stride;
  };
  // Those of a call: `stride_of` says how far an operand moves from step to step.
  template <class F>
  static void list_moving(const FixedWork& work, std::span<std::byte* const> addresses, F&& stride_of,
                          std::vector<Moving>& to) {
    for (const FixedWork::Start& start : work.starts)
      if (const int64_t stride = stride_of(start.operand))
        to.push_back({start.at, addresses[start.operand] + start.offset, stride});
  }
  // A launch that is no call, in even steps or in odd ones.
  struct Start {
    BoundPlan* plan;
    size_t launch;
    int odd;
  };

  Ref<Buffer> take(DeviceMemory& memory, size_t bytes);
  void add(Launch launch, std::span<const Course> operands);
  void arrange();
  void arrange(size_t launch, int odd);
  // Runs of launches that are one code, by their first.
  struct Joint {
    size_t count;
    std::shared_ptr<const JointCode> code;
    std::shared_ptr<const std::vector<Course>> places;
  };
  // Several steps, the first even, in one call.
  struct Several {
    std::shared_ptr<const JointCode> code;
    JointCode::Call call;
    std::vector<Moving> moving;
    int64_t most = 0;  // 0: there is no such code
  };
  // Where something lies in even steps or in odd ones, whatever else does in the others; it moves with each step.
  struct There {
    Operand at;
    int64_t stride;
  };
  std::map<size_t, Joint> joint_launches();
  void arrange(const Joint& joint, int odd);
  void arrange_several(std::span<const There> places);
  void start(size_t launch, int odd);
  void move_operands(int64_t step);

  const Plan* plan_ = nullptr;
  Part part_ = Part::run;
  std::vector<Launch> launches_;
  std::vector<Course> courses_;       // of the operands of all launches
  std::vector<Operand> operands_[2];  // where they are in an even step, and in an odd one
  std::vector<size_t> moving_operands_;
  std::vector<Course> results_;
  std::vector<Ref<Buffer>> buffers_, free_, prepared_;
  double effort_ = 0, effort_since_ = 0;

  // What the host does in even steps, and in odd ones.
  std::vector<Call> calls_[2];
  std::vector<Moving> moving_[2];
  std::vector<FixedWork> works_[2];
  std::vector<std::unique_ptr<Start>> starts_;
  std::vector<std::unique_ptr<BoundKernel>> inner_;  // by launch
  std::optional<Course> go_on_;
  Several several_;
  bool arranged_ = false, settled_ = true, starts_move_ = false;
  int64_t runs_ = 0, runs_told_ = 0, next_try_ = 0, step_ = 0;
};

}  // namespace funcnn

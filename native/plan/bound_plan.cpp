#include "plan/bound_plan.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>

#include "graph/primitive.h"
#include "plan/control.h"

namespace funcnn {
namespace {

bool same(const Operand& a, const Operand& b) {
  return a.buffer == b.buffer && a.offset == b.offset && a.scalar == b.scalar;
}

std::byte* host_address(const Operand& operand) {
  return operand.buffer ? operand.buffer->host() + operand.offset : const_cast<std::byte*>(operand.scalar);
}

// Kernels become better calls when they have run for some time: so many steps at least go by before they are asked
// again.
constexpr int64_t kFirstTry = 64, kLongestTry = 4096;
// Steps that one call makes.
constexpr int64_t kMostSteps = 16;
// Work between two questions whether to go on.
constexpr double kUnasked = 1e6;

}  // namespace

bool Course::stays() const { return stride == 0 && same(places[0], places[1]); }

Course Course::shifted(int64_t bytes) const {
  Course moved = *this;
  for (Operand& place : moved.places) {
    place.offset += bytes;
    if (place.scalar) place.scalar += bytes;
  }
  return moved;
}

bool operator==(const Course& a, const Course& b) {
  return same(a.places[0], b.places[0]) && same(a.places[1], b.places[1]) && a.stride == b.stride;
}

// The codes of a plan, and how often it has run in loops.
class JointCodes {
 public:
  static JointCodes& of(std::shared_ptr<JointCodes>& codes) {
    static std::mutex mutex;
    std::lock_guard lock(mutex);
    if (!codes) codes = std::make_shared<JointCodes>();
    return *codes;
  }
  // How the operands of kernels lie to each other.
  using Pattern = std::vector<int64_t>;
  struct Run {
    size_t first, count;  // launches
    std::shared_ptr<const JointCode> code;
  };
  struct Made {
    std::vector<Run> runs;
    std::shared_ptr<const JointCode> several;  // steps, where all launches are one run
    int64_t steps = 0;
  };
  using Runs = std::shared_ptr<const Made>;
  template <class F>
  Runs get(const Pattern& pattern, F&& make) {
    std::lock_guard lock(mutex_);
    for (const auto& [known, runs] : known_)
      if (known == pattern) return runs;
    // Operands that lie another way in each call, as views of one array may, are not worth code of their own.
    if (known_.size() == kMostPatterns) return none_;
    Runs made = std::make_shared<const Made>(make());
    if (made->runs.empty()) hopeless = true;
    known_.emplace_back(pattern, made);
    return made;
  }
  std::atomic<int64_t> runs{0};
  std::atomic<bool> hopeless{false};  // there is code for none of them

 private:
  std::mutex mutex_;
  static constexpr size_t kMostPatterns = 16;
  std::vector<std::pair<Pattern, Runs>> known_;
  const Runs none_ = std::make_shared<const Made>();
};

BoundPlan::~BoundPlan() {
  if (plan_ && part_ == Part::run && runs_ > runs_told_) JointCodes::of(plan_->joint_codes_).runs += runs_ - runs_told_;
}

bool BoundPlan::fits(const Plan& plan) {
  const bool transfers = std::any_of(plan.steps_.begin(), plan.steps_.end(), [](const auto& s) { return s.source; });
  return !transfers && bytes(plan) <= kMostBytes;
}

size_t BoundPlan::bytes(const Plan& plan) {
  size_t bytes = 0;
  for (size_t s = plan.constant_steps_; s < plan.steps_.size(); ++s) {
    for (const Plan::Fresh& fresh : plan.steps_[s].fresh)
      if (!fresh.after_scratch) bytes += block_capacity(fresh.bytes);
    // Loops and branches inside keep theirs.
    if (const Plan::Step& step = plan.steps_[s]; step.primitive && step.primitive->kind() == Kind::control)
      bytes += step.kernel->inner_bytes();
  }
  return bytes;
}

BoundPlan::BoundPlan(const Plan& plan, Part part, std::span<const Course> leaves, std::span<const Ref<Buffer>> prepared,
                     std::span<const Course> places)
    : plan_(&plan), part_(part) {
  const auto slots = size_t(plan.slot_count_);
  std::vector<Course> course(slots);
  std::vector<Ref<Buffer>> mine(slots);  // what lies in memory of the plan's own
  for (auto [leaf, slot, given] : plan.leaf_slots_) course[size_t(slot)] = leaves[size_t(leaf)];
  for (size_t i = 0; i < prepared.size(); ++i)
    course[size_t(plan.constant_slots_[i])] = Course::lasts(Operand{prepared[i].get()});

  const bool constants = part == Part::constants;
  const size_t end = constants ? plan.constant_steps_ : plan.steps_.size();
  for (size_t next = constants ? 0 : plan.constant_steps_; next < end;) {
    const std::span<const Plan::Step> launch(&plan.steps_[next], plan.steps_[next].launched);
    next += launch.size();
    std::vector<Course> operands;
    for (const Plan::Step& step : launch) {
      for (const Plan::Fresh& fresh : step.fresh) {
        const auto slot = size_t(fresh.slot);
        if (fresh.result >= 0 && !places.empty() && places[size_t(fresh.result)]) {
          course[slot] = places[size_t(fresh.result)];
          course[slot].lasting = false;
          continue;
        }
        const bool given = fresh.takes_over >= 0 && mine[size_t(fresh.takes_over)];
        mine[slot] = given ? std::move(mine[size_t(fresh.takes_over)]) : take(step.backend->memory(), fresh.bytes);
        course[slot] = Course(Operand{mine[slot].get()});
      }
      if (step.idle) continue;
      for (auto [slot, offset] : step.operands) operands.push_back(course[size_t(slot)].shifted(offset));
      effort_ += step.cost();
    }
    if (const Plan::Step& step = launch[0]; !step.idle)
      add({&plan, launch, {}, step.backend, step.joint ? step.joint.get() : step.kernel.get()}, operands);
    for (const Plan::Step& step : launch)
      for (int slot : step.released)
        if (Ref<Buffer> freed = std::move(mine[size_t(slot)])) free_.push_back(std::move(freed));
  }
  free_.clear();
  if (constants) {
    for (int slot : plan.constant_slots_) prepared_.push_back(mine[size_t(slot)]);
    return;
  }
  for (const auto& result : plan.results_) results_.push_back(course[size_t(result[0].slot)].shifted(result[0].offset));
}

// Kernels run in order, so one may have the memory that another is done with. Little is gained by that where values are
// small, which may become one code.
Ref<Buffer> BoundPlan::take(DeviceMemory& memory, size_t bytes) {
  constexpr size_t kSmall = 256;
  auto fits = [&](const Ref<Buffer>& b) { return &b->memory() == &memory && b->size() >= bytes && bytes > kSmall; };
  auto found = std::find_if(free_.begin(), free_.end(), fits);
  if (found == free_.end()) {
    buffers_.push_back(Buffer::allocate(memory, bytes));
    return buffers_.back();
  }
  Ref<Buffer> taken = std::move(*found);
  free_.erase(found);
  return taken;
}

void BoundPlan::add(Launch launch, std::span<const Course> operands) {
  launch.first = courses_.size();
  launch.count = operands.size();
  launches_.push_back(launch);
  for (const Course& course : operands) {
    if (course.stride) moving_operands_.push_back(courses_.size());
    courses_.push_back(course);
    for (int odd = 0; odd < 2; ++odd) operands_[odd].push_back(course.places[odd]);
  }
}

void BoundPlan::copy(Backend& backend, Kernel& kernel, std::span<const Layout, 2> layouts, const Course& from,
                     const Course& to) {
  add({nullptr, {}, layouts, &backend, &kernel}, std::array{from, to});
}

void BoundPlan::follow(const BoundPlan& next) {
  for (const Launch& launch : next.launches_) {
    std::vector<Course> courses;
    for (size_t o = launch.first; o < launch.first + launch.count; ++o) {
      Course later = next.courses_[o];
      std::swap(later.places[0], later.places[1]);
      for (Operand& place : later.places) place.offset += later.stride;
      courses.push_back(later);
    }
    add(launch, courses);
  }
  for (Course result : next.results_) {
    std::swap(result.places[0], result.places[1]);
    results_.push_back(result);
  }
  buffers_.insert(buffers_.end(), next.buffers_.begin(), next.buffers_.end());
  effort_ += next.effort_;
}

// ---- calls of the host

void BoundPlan::arrange() {
  settled_ = true;
  starts_move_ = false;
  inner_.resize(launches_.size());
  starts_.clear();
  for (int odd = 0; odd < 2; ++odd) {
    calls_[odd].clear();
    moving_[odd].clear();
    works_[odd].clear();
  }
  arranged_ = true;
  several_ = {};
  const std::map<size_t, Joint> joint = joint_launches();
  for (size_t l = 0; l < launches_.size();) {
    const auto it = joint.find(l);
    const size_t count = it == joint.end() ? 1 : it->second.count, first = calls_[0].size();
    const Launch& last = launches_[l + count - 1];
    bool stay = true;
    for (size_t o = launches_[l].first; o < last.first + last.count; ++o) stay = stay && courses_[o].stays();
    for (int odd = 0; odd < 2; ++odd) {
      if (odd && stay)
        calls_[1].insert(calls_[1].end(), calls_[0].begin() + ptrdiff_t(first), calls_[0].end());
      else if (it != joint.end())
        arrange(it->second, odd);
      else
        arrange(l, odd);
    }
    l += count;
  }
}

void BoundPlan::arrange(size_t l, int odd) {
  const Launch& launch = launches_[l];
  const std::span<const Course> courses = std::span<const Course>(courses_).subspan(launch.first, launch.count);
  if (auto* work = launch.backend->device() == kCpu ? dynamic_cast<HostWork*>(launch.kernel) : nullptr) {
    SmallVector<std::byte*, 32> addresses;
    SmallVector<char, 32> lasting;
    for (const Course& course : courses) {
      addresses.push_back(host_address(course.places[odd]));
      lasting.push_back(course.lasting);
    }
    std::vector<FixedWork>& works = works_[odd];
    const size_t first = works.size();
    const std::span<std::byte* const> at(addresses.data(), addresses.size());
    settled_ = work->fix(at, {lasting.data(), lasting.size()}, works) && settled_;
    for (size_t w = first; w < works.size(); ++w) {
      calls_[odd].push_back({works[w].call, works[w].with.get()});
      list_moving(works[w], at, [&](size_t operand) { return courses[operand].stride; }, moving_[odd]);
    }
    return;
  }
  if (auto* control = dynamic_cast<ControlKernel*>(launch.kernel); control && !inner_[l])
    inner_[l] = control->bind(launch.backend->queue(), courses);
  for (size_t o = launch.first; o < launch.first + launch.count; ++o) starts_move_ |= courses_[o].stride != 0;
  starts_.push_back(std::make_unique<Start>(Start{this, l, odd}));
  void (*call)(void*) = [](void* with) {
    const Start& s = *static_cast<const Start*>(with);
    if (BoundKernel* inner = s.plan->inner_[s.launch].get())
      inner->encode(s.plan->step_);
    else
      s.plan->start(s.launch, s.odd);
  };
  calls_[odd].push_back({call, starts_.back().get()});
}

std::map<size_t, BoundPlan::Joint> BoundPlan::joint_launches() {
  constexpr size_t kMostLaunches = 128;
  if (!plan_ || part_ != Part::run || launches_.empty() || launches_.size() > kMostLaunches) return {};
  auto* compiler = dynamic_cast<JointCompiler*>(launches_[0].backend);
  if (!compiler) return {};
  JointCodes& codes = JointCodes::of(plan_->joint_codes_);
  codes.runs += runs_ - std::exchange(runs_told_, runs_);
  if (codes.hopeless) return {};
  if (codes.runs < compiler->compiles_after()) {
    settled_ = false;
    return {};
  }

  // Operands that lie at fixed distances from each other are in one place.
  std::vector<Course> places;
  JointCodes::Pattern pattern;
  auto piece_of = [&](const Course& course) -> JointCompiler::Piece {
    auto [even, odd] = course.places;
    auto is_there = [&](const Course& place) {
      auto [first, second] = place.places;
      return first.buffer == even.buffer && second.buffer == odd.buffer && first.scalar == even.scalar &&
             second.scalar == odd.scalar && place.stride == course.stride &&
             even.offset - first.offset == odd.offset - second.offset;
    };
    auto it = std::find_if(places.begin(), places.end(), is_there);
    if (it == places.end()) it = places.insert(it, course);
    const JointCompiler::Piece piece{size_t(it - places.begin()), even.offset - it->places[0].offset};
    pattern.push_back(int64_t(piece.place));
    pattern.push_back(piece.offset);
    return piece;
  };
  std::vector<JointCompiler::Work> works;
  std::vector<size_t> first_work;  // of each launch
  for (const Launch& launch : launches_) {
    if (launch.backend != launches_[0].backend) return {};
    first_work.push_back(works.size());
    size_t next = launch.first;
    auto add = [&](JointCompiler::Work work, size_t count) {
      for (const size_t end = next + count; next < end; ++next) work.operands.push_back(piece_of(courses_[next]));
      works.push_back(std::move(work));
    };
    if (launch.steps.empty()) add({nullptr, nullptr, launch.layouts.first(1), launch.layouts.subspan(1), {}}, 2);
    for (const Plan::Step& step : launch.steps)
      if (!step.idle)
        add({step.primitive.get(), step.program.get(), step.inputs, step.outputs, {}}, step.operands.size());
  }
  first_work.push_back(works.size());
  // Memory of the plan's own is nobody else's but for results.
  std::vector<char> seen, tangled(places.size(), 0);
  for (const Course& place : places) {
    const bool mine = std::any_of(buffers_.begin(), buffers_.end(),
                                  [&](const Ref<Buffer>& b) { return b.get() == place.places[0].buffer; });
    seen.push_back(!mine || std::any_of(results_.begin(), results_.end(), [&](const Course& result) {
      return result.places[0].buffer == place.places[0].buffer;
    }));
  }
  for (size_t i = 0; i < places.size(); ++i)
    for (size_t k = i + 1; k < places.size(); ++k)
      for (int odd = 0; odd < 2; ++odd) {
        const Buffer* buffer = places[i].places[odd].buffer;
        const bool meet = buffer && buffer == places[k].places[odd].buffer;
        if (meet && !(places[i].lasting && places[k].lasting)) tangled[i] = tangled[k] = 1;
      }
  pattern.insert(pattern.end(), seen.begin(), seen.end());
  pattern.insert(pattern.end(), tangled.begin(), tangled.end());

  std::vector<There> there;
  std::vector<JointCompiler::Piece> pieces[2];  // of `places`, in even steps and in odd ones
  bool several = true;
  auto piece_there = [&](const Course& course, int odd) -> JointCompiler::Piece {
    const Operand& at = course.places[odd];
    auto is_same = [&](const There& t) { return t.at.buffer == at.buffer && t.at.scalar == at.scalar; };
    auto it = std::find_if(there.begin(), there.end(), is_same);
    if (it == there.end()) it = there.insert(it, {at, course.stride});
    several = several && it->stride == course.stride;
    return {size_t(it - there.begin()), at.offset - it->at.offset};
  };
  for (const Course& place : places)
    for (int odd = 0; odd < 2; ++odd) {
      pieces[odd].push_back(piece_there(place, odd));
      pattern.push_back(int64_t(pieces[odd].back().place));
      pattern.push_back(pieces[odd].back().offset);
      pattern.push_back(place.stride);
    }
  std::optional<JointCompiler::Piece> go_on[2];
  if (go_on_)
    for (int odd = 0; odd < 2; ++odd) {
      go_on[odd] = piece_there(*go_on_, odd);
      pattern.push_back(int64_t(go_on[odd]->place));
      pattern.push_back(go_on[odd]->offset);
    }

  auto make = [&] {
    JointCodes::Made made;
    std::vector<JointCodes::Run>& runs = made.runs;
    auto takes = [&](size_t l) {
      if (first_work[l] == first_work[l + 1]) return false;
      for (size_t w = first_work[l]; w < first_work[l + 1]; ++w) {
        const JointCompiler::Work& work = works[w];
        if (work.primitive && work.primitive->kind() == Kind::control) return false;
        for (const JointCompiler::Piece& piece : work.operands)
          if (tangled[piece.place]) return false;
        if (!compiler->takes(work)) return false;
      }
      return true;
    };
    // What is too much for one becomes two.
    auto compile = [&](auto& self, size_t first, size_t end) -> void {
      const size_t begin = first_work[first], count = first_work[end] - begin;
      if (count == 0 || (count == 1 && !works[begin].program)) return;
      std::vector<char> kept = seen;
      for (size_t w = 0; w < works.size(); ++w)
        if (w < begin || w >= begin + count)
          for (const JointCompiler::Piece& piece : works[w].operands) kept[piece.place] = 1;
      if (auto code = compiler->compile(std::span(works).subspan(begin, count), kept, {})) {
        runs.push_back({first, end - first, std::move(code)});
      } else if (end - first >= 2) {
        const size_t middle = (first + end) / 2;
        self(self, first, middle);
        self(self, middle, end);
      }
    };
    for (size_t first = 0; first < launches_.size(); ++first) {
      size_t end = first;
      while (end < launches_.size() && takes(end)) ++end;
      compile(compile, first, end);
      first = end;
    }
    if (!several || runs.size() != 1 || runs[0].count != launches_.size()) return made;
    std::vector<char> kept(there.size(), 0);
    for (int odd = 0; odd < 2; ++odd)
      for (size_t p = 0; p < places.size(); ++p) kept[pieces[odd][p].place] |= seen[p];
    for (int64_t steps = kMostSteps; steps >= 2 && !made.several; steps /= 2) {
      std::vector<JointCompiler::Work> all;
      std::vector<JointCompiler::Step> ends;
      for (int64_t step = 0; step < steps; ++step) {
        auto there_is = [&](JointCompiler::Piece piece) {
          piece.offset += step * there[piece.place].stride;
          return piece;
        };
        for (JointCompiler::Work work : works) {
          for (JointCompiler::Piece& piece : work.operands) {
            const int64_t within = piece.offset;
            piece = there_is(pieces[step & 1][piece.place]);
            piece.offset += within;
          }
          all.push_back(std::move(work));
        }
        ends.push_back({all.size(), {}});
        if (go_on[step & 1]) ends.back().go_on = there_is(*go_on[step & 1]);
      }
      made.several = compiler->compile(all, kept, ends);
      made.steps = steps;
    }
    return made;
  };
  std::map<size_t, Joint> joint;
  const JointCodes::Runs made = codes.get(pattern, make);
  if (made->several) {
    several_.code = made->several;
    several_.most = made->steps;
    arrange_several(there);
  }
  const auto shared = std::make_shared<const std::vector<Course>>(std::move(places));
  for (const JointCodes::Run& run : made->runs) joint[run.first] = {run.count, run.code, shared};
  return joint;
}

void BoundPlan::arrange_several(std::span<const There> places) {
  std::vector<std::byte*> addresses;
  for (const There& place : places) addresses.push_back(host_address(place.at));
  several_.call = several_.code->fix(addresses);
  list_moving(several_.call, addresses, [&](size_t operand) { return places[operand].stride; }, several_.moving);
}

void BoundPlan::arrange(const Joint& joint, int odd) {
  std::vector<std::byte*> addresses;
  for (const Course& place : *joint.places) addresses.push_back(host_address(place.places[odd]));
  const FixedWork& work = works_[odd].emplace_back(joint.code->fix(addresses));
  calls_[odd].push_back({work.call, work.with.get()});
  list_moving(work, addresses, [&](size_t operand) { return (*joint.places)[operand].stride; }, moving_[odd]);
}

void BoundPlan::start(size_t l, int odd) {
  const Launch& launch = launches_[l];
  const std::span<const Operand> operands =
      std::span<const Operand>(operands_[odd]).subspan(launch.first, launch.count);
  if (launch.steps.empty())
    launch.kernel->encode(launch.backend->queue(), operands);
  else
    launch.plan->encode_launch(launch.steps, operands);
}

void BoundPlan::move_operands(int64_t step) {
  std::vector<Operand>& operands = operands_[step & 1];
  for (size_t o : moving_operands_) operands[o] = courses_[o].at(step);
}

int64_t BoundPlan::encode(int64_t step, int64_t most) {
  if (most >= several_.most && several_.most && !(step & 1) && !profiling()) {
    for (const Moving& m : several_.moving) *m.at = m.first + step * m.stride;
    several_.call.call(several_.call.with.get());
    const int64_t done = *several_.call.steps;
    if ((effort_since_ += effort_ * double(done)) > kUnasked)
      Plan::ask_whether_to_go_on(std::exchange(effort_since_, 0));
    return done;
  }
  step_ = step;
  if (profiling()) {  // kernel by kernel
    move_operands(step);
    for (size_t l = 0; l < launches_.size(); ++l) start(l, int(step & 1));
    Plan::ask_whether_to_go_on(effort_);
    return 1;
  }
  if (!arranged_ || (!settled_ && runs_ >= next_try_)) {
    arrange();
    next_try_ = runs_ + std::clamp(3 * runs_, kFirstTry, kLongestTry);
  }
  ++runs_;
  const int odd = int(step & 1);
  for (const Moving& m : moving_[odd]) *m.at = m.first + step * m.stride;
  if (starts_move_) move_operands(step);
  for (const Call& call : calls_[odd]) call.call(call.with);
  if ((effort_since_ += effort_) > kUnasked) Plan::ask_whether_to_go_on(std::exchange(effort_since_, 0));
  return 1;
}

}  // namespace funcnn

#include "base/profile.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <tuple>
#include <unordered_map>

namespace funcnn {
namespace {

using Recorders = std::vector<std::shared_ptr<Recorder>>;

// Of all recorders: what they hold is changed under this lock, which is held for no longer than that takes.
struct Profiles {
  std::mutex mutex;
  std::condition_variable came;  // work that was asked for has been done
  Recorders open;
  int asked = 0;  // handles on work to come
  uint64_t forks = 0;

  void switch_on_or_off() { profiling_on.store(!open.empty() || asked > 0, std::memory_order_relaxed); }
};
Profiles& profiles() {
  static auto* all = new Profiles;  // threads may outlive static destruction
  return *all;
}

// What the work that this thread does was asked for under.
thread_local const Recorders* asked_under = nullptr;
thread_local LaunchTimer* innermost = nullptr;

int thread_number() {
  static std::atomic<int> next{0};
  static thread_local const int mine = next++;
  return mine;
}

// Those that see what begins now on this thread.
Recorders in_sight() {
  std::lock_guard lock(profiles().mutex);
  Recorders found = profiles().open;
  if (asked_under)
    for (const auto& recorder : *asked_under)
      if (std::find(found.begin(), found.end(), recorder) == found.end()) found.push_back(recorder);
  return found;
}

// Queues are asked for their times once so many wait for it.
constexpr size_t kMostWaiting = 4096;

}  // namespace

int64_t steady_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int64_t& help_received() {
  static thread_local int64_t nanoseconds = 0;
  return nanoseconds;
}

// ---- recorders

struct Recorder::State {
  struct Sums {
    std::shared_ptr<const KernelInfo> info;
    uint64_t calls = 0;
    int64_t total = 0, own = 0, busy = 0, least = INT64_MAX;
    Clock clock = Clock::run;
  };
  std::unordered_map<const KernelInfo*, int> numbers;
  std::vector<Sums> sums;
  std::vector<KernelRun> runs;
  std::vector<SpanRun> spans;
  std::vector<std::pair<KernelRun, Ref<QueueTime>>> waiting;
  uint64_t left_out = 0;
  int asked = 0;
  const uint64_t forks = profiles().forks;  // before it was made
  int64_t begin = steady_now(), end = 0;

  int number_of(const std::shared_ptr<const KernelInfo>& info) {
    auto [it, fresh] = numbers.try_emplace(info.get(), int(sums.size()));
    if (fresh) sums.push_back({info});
    return it->second;
  }
  void add(const KernelRun& run) {
    Sums& s = sums[size_t(run.kernel)];
    ++s.calls;
    s.total += run.length;
    s.own += run.own;
    s.busy += run.busy;
    s.least = std::min(s.least, run.length);
    s.clock = run.clock;
    if (runs.size() < kMostRuns)
      runs.push_back(run);
    else
      ++left_out;
  }
};

Recorder::Recorder() : state_(std::make_unique<State>()) {}
Recorder::~Recorder() = default;

std::shared_ptr<Recorder> Recorder::open() {
  auto made = std::make_shared<Recorder>();
  std::lock_guard lock(profiles().mutex);
  profiles().open.push_back(made);
  profiles().switch_on_or_off();
  return made;
}

void Recorder::close() {
  std::shared_ptr<Recorder> mine;  // freed without the lock
  std::lock_guard lock(profiles().mutex);
  auto& open = profiles().open;
  auto it = std::find_if(open.begin(), open.end(), [&](const auto& r) { return r.get() == this; });
  if (it == open.end()) return;
  state_->end = steady_now();
  mine = std::move(*it);
  open.erase(it);
  profiles().switch_on_or_off();
}

bool Recorder::wait_for_asked(std::chrono::milliseconds patience) const {
  // A function that is called by that very work would wait for itself.
  if (asked_under)
    for (const auto& recorder : *asked_under)
      if (recorder.get() == this) return true;
  std::unique_lock lock(profiles().mutex);
  return profiles().came.wait_for(lock, patience,
                                  [&] { return state_->asked == 0 || state_->forks != profiles().forks; });
}

void Recorder::settle() {
  decltype(state_->waiting) waiting;
  {
    std::lock_guard lock(profiles().mutex);
    waiting.swap(state_->waiting);
  }
  for (auto& [run, queue] : waiting)
    if (auto measured = queue->wait()) {
      std::tie(run.begin, run.length) = *measured;
      run.own = run.length;
      run.clock = Clock::queue;
    }
  std::lock_guard lock(profiles().mutex);
  for (const auto& [run, queue] : waiting) state_->add(run);
}

Recorder::Content Recorder::content() const {
  Content out;
  std::vector<State::Sums> sums;
  {
    std::lock_guard lock(profiles().mutex);
    sums = state_->sums;
    out.runs = state_->runs;
    out.spans = state_->spans;
    out.left_out = state_->left_out;
    out.begin = state_->begin;
    out.end = state_->end ? state_->end : steady_now();
  }
  // Plans that were made one after another have kernels that are the same to people.
  std::map<std::tuple<std::string_view, std::string_view, std::string_view, std::string_view>, int> known;
  std::vector<int> renamed(sums.size(), -1);
  for (size_t k = 0; k < sums.size(); ++k) {
    const State::Sums& s = sums[k];
    if (s.calls == 0) continue;
    auto [it, fresh] =
        known.try_emplace({s.info->device, s.info->name, s.info->operands, s.info->program}, int(out.kernels.size()));
    renamed[k] = it->second;
    if (fresh) {
      out.kernels.push_back({s.info, s.calls, s.total, s.own, s.busy, s.least, 0, s.clock});
      continue;
    }
    KernelTotals& all = out.kernels[size_t(it->second)];
    all.calls += s.calls;
    all.total += s.total;
    all.own += s.own;
    all.busy += s.busy;
    all.least = std::min(all.least, s.least);
  }
  std::vector<std::vector<int64_t>> lengths(out.kernels.size());
  for (KernelRun& run : out.runs) {
    run.kernel = renamed[size_t(run.kernel)];
    lengths[size_t(run.kernel)].push_back(run.length);
  }
  for (size_t k = 0; k < lengths.size(); ++k) {
    auto& all = lengths[k];
    KernelTotals& kernel = out.kernels[k];
    kernel.median = kernel.total / int64_t(kernel.calls);  // of none that is kept, the mean
    if (all.empty()) continue;
    auto middle = all.begin() + ptrdiff_t(all.size() / 2);
    std::nth_element(all.begin(), middle, all.end());
    kernel.median = *middle;
    if (all.size() % 2 == 0) kernel.median = (*middle + *std::max_element(all.begin(), middle)) / 2;
  }
  return out;
}

// ---- what they see

LaunchTimer::LaunchTimer(std::shared_ptr<const KernelInfo> info)
    : seen_by_(in_sight()),
      info_(std::move(info)),
      outer_(std::exchange(innermost, this)),
      begin_(steady_now()),
      help_(help_received()) {}

LaunchTimer::~LaunchTimer() { innermost = outer_; }

void LaunchTimer::done(Clock clock, Ref<QueueTime> queue) {
  KernelRun run{0, thread_number(), begin_, steady_now() - begin_, 0, 0, clock};
  run.own = run.length - inside_;
  if (clock == Clock::run) run.busy = run.length + help_received() - help_ - busy_inside_;
  if (outer_) {
    outer_->inside_ += run.length;
    outer_->busy_inside_ += clock == Clock::run ? run.length + help_received() - help_ : run.length;
  }
  bool many = false;
  {
    std::lock_guard lock(profiles().mutex);
    for (const auto& recorder : seen_by_) {
      Recorder::State& state = *recorder->state_;
      run.kernel = state.number_of(info_);
      if (!queue) {
        state.add(run);
        continue;
      }
      state.waiting.emplace_back(run, queue);
      many |= state.waiting.size() >= kMostWaiting;
    }
  }
  if (many)
    for (const auto& recorder : seen_by_) recorder->settle();
}

TimedSpan::TimedSpan(const char* kind) : kind_(kind) {
  if (!profiling()) return;
  seen_by_ = in_sight();
  begin_ = steady_now();
}

TimedSpan::~TimedSpan() {
  if (seen_by_.empty() || name_.empty()) return;
  SpanRun span{kind_, std::move(name_), thread_number(), begin_, steady_now() - begin_};
  std::lock_guard lock(profiles().mutex);
  for (const auto& recorder : seen_by_) {
    Recorder::State& state = *recorder->state_;
    if (state.spans.size() < Recorder::kMostSpans)
      state.spans.push_back(span);
    else
      ++state.left_out;
  }
}

// ---- work to come

AskedFor::AskedFor() {
  if (!profiling()) return;
  recorders_ = in_sight();
  std::lock_guard lock(profiles().mutex);
  for (const auto& recorder : recorders_) ++recorder->state_->asked;
  profiles().asked += !recorders_.empty();
}

AskedFor::~AskedFor() {
  if (recorders_.empty()) return;
  std::lock_guard lock(profiles().mutex);
  for (const auto& recorder : recorders_) --recorder->state_->asked;
  --profiles().asked;
  profiles().switch_on_or_off();
  profiles().came.notify_all();
}

AskedFor::Doing::Doing(const AskedFor& asked)
    : before_(std::exchange(asked_under, asked.recorders_.empty() ? asked_under : &asked.recorders_)) {}
AskedFor::Doing::~Doing() { asked_under = before_; }

void lock_profiles() { profiles().mutex.lock(); }
void unlock_profiles() { profiles().mutex.unlock(); }
void forget_asked_work() {
  std::lock_guard lock(profiles().mutex);
  ++profiles().forks;
  profiles().asked = 0;
  profiles().switch_on_or_off();
}

}  // namespace funcnn

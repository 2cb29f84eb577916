// One pool of threads for the process. Threads that wait soon sleep; work that no thread has begun waits for none.
#pragma once

#include <cstdint>
#include <type_traits>

namespace funcnn {

// Run body(begin, end) over sub-ranges that cover [0, count). Each thread begins with a part that is its own, the same
// in all loops as long as this one, and then takes over whatever others have not started, so a busy machine delays
// nothing. `grain` items are worth waking a thread for; as long as it looks for work it also gets a fourth of that.
// With one range, or inside another parallel_for, the body runs on the calling thread at once. The split into ranges
// depends on the number of threads and on which of them are awake: bodies must give the same result for any split. An
// exception is rethrown after all ranges end.
class RangeBody {
 public:
  // Not for a RangeBody: copied, it refers to what the original refers to.
  template <class F>
    requires(!std::is_same_v<std::remove_const_t<F>, RangeBody>)
  RangeBody(F& f) : object_(&f), call_([](void* o, int64_t b, int64_t e) { (*static_cast<F*>(o))(b, e); }) {}
  void operator()(int64_t begin, int64_t end) const { call_(object_, begin, end); }

 private:
  void* object_;
  void (*call_)(void*, int64_t, int64_t);
};
void parallel_for_ranges(int64_t count, int64_t grain, RangeBody body);

template <class F>
void parallel_for(int64_t count, int64_t grain, F&& body) {
  parallel_for_ranges(count, grain, RangeBody(body));
}

// The number of threads that take part, the caller included. Default: FUNCNN_NUM_THREADS or the usable cores: those
// that the process may run on, and no more than its control groups give it time for. Where
// they do not outnumber those, a thread looks for work for FUNCNN_SPIN_US microseconds (50) before it sleeps.
int thread_count();
void set_thread_count(int count);

}  // namespace funcnn

// Evaluation, memory and threads.
#include <limits>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "bindings/array.h"
#include "bindings/docs.h"
#include "plan/eval.h"

namespace funcnn {
namespace {}  // namespace

void bind_runtime(nb::module_& m) {
  m.def("get_active_memory", [] { return memory_stats().active; }, "Count the bytes that arrays use now.");
  m.def(
      "get_peak_memory", [] { return memory_stats().peak; },
      "Count the most bytes that arrays have used at once since `reset_peak_memory`.");
  m.def("reset_peak_memory", &reset_peak_memory, "Start measuring the peak again, from what is in use now.");
  m.def("get_cache_memory", [] { return memory_stats().cached; }, "Count the freed bytes kept for reuse.");
  m.def("clear_cache", &clear_memory_cache, "Return the memory kept for reuse to the system.");
  m.def("set_cache_limit", &set_cache_limit, nb::arg("limit"),
        "Set how many freed bytes to keep for reuse at most, 1 GiB at first; return the limit before.");
  m.def("set_memory_limit", &set_memory_limit, nb::arg("limit"),
        "Refuse with MemoryError to use more than this many bytes (0: no limit); return the limit before.");
  m.def(
      "set_num_threads",
      [](int count) {
        if (count < 1) throw ValueError(cat("set_num_threads: expected at least 1, got ", count));
        set_thread_count(count);
      },
      nb::arg("count"),
      "Set how many threads compute; results do not depend on it.\n\nThe default is FUNCNN_NUM_THREADS, or the number "
      "of cores.");
  m.def("get_num_threads", &thread_count, "Count the threads that compute.");
}

}  // namespace funcnn

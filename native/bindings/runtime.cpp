// Evaluation, memory and threads.
#include <atomic>
#include <csignal>
#include <limits>

#include "base/cpu_quota.h"
#include "base/thread_pool.h"
#include "bindings/array.h"
#include "bindings/gil.h"
#include "graph/trace.h"
#include "plan/eval.h"
#include "pytree/container.h"

namespace funcnn {
namespace {

// Whether these are computed arrays in plain containers: most results are.
bool are_computed(PyObject* tree, int depth = 0) {
  if (is_array(tree)) {
    const Node& node = *array_of(tree).node();
    return node.likeness() != 0 || (!node.abstract && node.available());
  }
#if !defined(Py_GIL_DISABLED)  // else others change containers while they are read
  if (depth == 32) return false;
  if (PyList_CheckExact(tree)) {
    for (size_t i = 0, n = pytree::list_size(tree); i < n; ++i)
      if (!are_computed(pytree::list_item(tree, i), depth + 1)) return false;
    return true;
  }
  if (PyTuple_CheckExact(tree)) {
    for (size_t i = 0, n = pytree::tuple_size(tree); i < n; ++i)
      if (!are_computed(pytree::tuple_item(tree, i), depth + 1)) return false;
    return true;
  }
  if (PyDict_CheckExact(tree)) {
    PyObject *key, *value;
    for (Py_ssize_t at = 0; PyDict_Next(tree, &at, &key, &value);)
      if (!are_computed(value, depth + 1)) return false;
    return true;
  }
#endif
  return false;
}

// The arrays among the leaves of trees, unless they are all computed; other leaves are none of our business.
Arrays arrays_in(nb::args trees, const char* name) {
  if (are_computed(trees.ptr())) return {};
  pytree::Leaves leaves;
  for (nb::handle tree : trees) {
    if (is_array(tree.ptr()))
      leaves.push_back(nb::borrow(tree));
    else
      pytree::flatten(tree, leaves);
  }
  bool pending = false;
  for (const nb::object& leaf : leaves) {
    if (!is_array(leaf.ptr())) continue;
    const Node& node = *array_of(leaf.ptr()).node();
    if (node.abstract) throw_traced_value(node, name);
    pending |= !node.available();
  }
  Arrays found;
  if (!pending) return found;
  found.reserve(leaves.size());
  for (const nb::object& leaf : leaves)
    if (is_array(leaf.ptr())) found.push_back(array_of(leaf.ptr()));
  return found;
}

// The stable ABI cannot tell whether this thread holds the lock, so take it first.
void without_interpreter(void (*block)(void*), void* context) {
  nb::gil_scoped_acquire locked;
  Unlocked unlocked;
  block(context);
}

// The thread that Python calls the main one; 0 before it is asked for. Asking runs Python code, in which a handler of a
// signal may come here again.
std::atomic<unsigned long> main_thread{0};

// Signals are delivered to the main thread, by Python's own handlers: their exception stays set.
bool interrupted() {
  if (main_thread == 0) {
    nb::gil_scoped_acquire gil;
    main_thread = nb::cast<unsigned long>(nb::module_::import_("threading").attr("main_thread")().attr("ident"));
  }
  if (PyThread_get_thread_ident() != main_thread) return false;
  nb::gil_scoped_acquire gil;
  return PyErr_CheckSignals() != 0;
}

// Functions of _signal, which are C: in Python code, pending signals would be delivered.
PyObject *getsignal = nullptr, *default_int_handler = nullptr;

// Whether Ctrl-C was pressed that no handler but Python's own will see, which raises KeyboardInterrupt and does nothing
// else. Other handlers wait for the end of the kernel.
bool pressed() {
  if (main_thread != 0 && PyThread_get_thread_ident() != main_thread) return false;
  nb::gil_scoped_acquire gil;
  if (!nb::handle(getsignal)(SIGINT).is(default_int_handler) || !PyOS_InterruptOccurred()) return false;
  PyErr_SetInterrupt();  // asking took it back
  return PyErr_CheckSignals() != 0;
}

}  // namespace

void bind_runtime(nb::module_& m) {
  nb::module_ signal = nb::module_::import_("_signal");
  getsignal = signal.attr("getsignal").inc_ref().ptr();
  default_int_handler = signal.attr("default_int_handler").inc_ref().ptr();
  set_host({without_interpreter, interrupted, pressed});
  nb::module_::import_("atexit").attr("register")(nb::cpp_function(&end_evaluation, nb::call_guard<Unlocked>()));
  if (nb::module_ os = nb::module_::import_("os"); nb::hasattr(os, "register_at_fork"))
    os.attr("register_at_fork")(nb::arg("before") = nb::cpp_function(&before_fork),
                                nb::arg("after_in_parent") = nb::cpp_function([] { after_fork(false); }),
                                nb::arg("after_in_child") = nb::cpp_function([] {
                                  after_fork(true);
                                  main_thread = 0;
                                  forget_other_threads();
                                }));
  m.def(
      "eval",
      [](nb::args trees) {
        Arrays arrays = arrays_in(trees, "eval");
        if (arrays.empty()) return;
        Unlocked unlocked;
        eval(arrays);
      },
      nb::sig("def eval(*trees: Any) -> None"),
      R"(Compute arrays now.

Args:
    trees: Arrays and pytrees of arrays; other leaves are ignored.

Raises:
    TracedValueError: under `vmap` and `compile`, where there are no values.

Example:
    >>> x = fn.array([1.0]) + 1
    >>> fn.eval(x)
)");
  m.def(
      "async_eval",
      [](nb::args trees) {
        Arrays arrays = arrays_in(trees, "async_eval");
        if (arrays.empty()) return;
        Unlocked unlocked;
        async_eval(arrays);
      },
      nb::sig("def async_eval(*trees: Any) -> None"),
      R"(Start to compute arrays on a background thread; looking at one waits for it.

Args:
    trees: Arrays and pytrees of arrays; other leaves are ignored.

Example:
    >>> x = fn.array([1.0]) + 1
    >>> fn.async_eval(x)
    >>> x.item()
    2.0
)");
  m.def("synchronize", &synchronize, nb::call_guard<Unlocked>(),
        "Wait for everything `async_eval` has started and for all devices.");
  m.def(
      "set_num_threads",
      [](int count) {
        if (count < 1) throw ValueError(cat("set_num_threads: expected at least 1, got ", count));
        set_thread_count(count);
      },
      nb::arg("count"),
      "Set how many threads compute; results do not depend on it.\n\nThe default is FUNCNN_NUM_THREADS, or the number "
      "of cores that the process may use: those it may run on, and in a container no more than its quota of CPU time, "
      "rounded up (``cpu.max`` of control groups, or ``cpu.cfs_quota_us`` of their version 1). Where they do not "
      "outnumber the cores, threads without work look for some for FUNCNN_SPIN_US "
      "microseconds (50) before they sleep, since waking them takes as long; the variable is read at each call.");
  m.def("_cpu_quota", &cpu_quota, nb::arg("root"));
  m.def("get_num_threads", &thread_count, "Count the threads that compute.");
}

}  // namespace funcnn

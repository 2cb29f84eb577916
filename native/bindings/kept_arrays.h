// Arrays that Python has let go of, kept with their nodes to be the results of later calls.
#pragma once

#include "bindings/array.h"
#include "plan/compiled_graph.h"

namespace funcnn {

#if defined(Py_GIL_DISABLED)
inline constexpr bool kKeepsArrays = false;
#else
inline constexpr bool kKeepsArrays = true;
#endif
// What the class does with an array that nobody refers to any more: it waits for a result that is like it, where there
// have been some.
void let_go_of_array(PyObject* array);
// Before and after the class is made. `otherwise` is what nanobind does with its objects.
void prepare_to_keep_arrays(destructor otherwise);
void begin_to_keep_arrays();

// Lets go of all that wait.
void drop_kept_arrays();

// Those for the results of one call.
class KeptArrays final : public CompiledGraph::Supply {
 public:
  KeptArrays() = default;
  KeptArrays(const KeptArrays&) = delete;
  ~KeptArrays() override;  // lets go of those that are left
  void take(std::span<const uint32_t> likenesses, Node** nodes) override;
  // The array of a node that was taken.
  nb::object array(size_t i) {
    --left_;
    return nb::steal(std::exchange(arrays_[i], nullptr));
  }

 private:
  SmallVector<PyObject*, 128> arrays_;
  size_t left_ = 0;
};

}  // namespace funcnn

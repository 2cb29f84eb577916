// A plan: kernels in order, and where their operands live. Built once for a graph structure, run many times.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plan/backend.h"
#include "plan/capture.h"

namespace funcnn {

struct Ir;

class Plan {
 public:
  Plan(const Capture& capture, bool fusion);
  ~Plan();
  Plan(const Plan&) = delete;

  // Compute the captured results from the storages of the leaves. Raises OutOfMemoryError before anything is changed.
  // results[i] are the storages of the i-th captured result.
  // If a kernel raises, `overwritten` (may be null) lists the leaves whose memory was reused until then.
  void run(std::span<const Storage* const> leaves, std::vector<SmallVector<Storage, 1>>& results,
           std::vector<int>* overwritten = nullptr) const;

  // The most memory in use while it runs beyond the leaves, results included.
  size_t peak_bytes() const { return peak_bytes_; }
  size_t kernel_count() const { return steps_.size(); }
  // The kernels with the bytes they move and the operations they do.
  std::string describe() const;

 private:
  struct Fresh {
    int slot;
    size_t bytes;
    int takes_over = -1;  // slot whose memory it becomes
    int leaf = -1;        // the leaf in that slot
  };
  struct Step {
    std::unique_ptr<Kernel> kernel;
    SmallVector<int, 6> operands;
    SmallVector<Fresh, 2> fresh;
    SmallVector<int, 4> released;
    bool idle = false;  // every result is empty
    // For `describe`.
    Ref<const Primitive> primitive;  // null: a fused group
    std::vector<Layout> inputs, outputs;
    std::unique_ptr<KernelProgram> program;
    double bytes = 0, flops = 0;
    std::string title() const;
  };
  struct Place {
    int slot;
    int leaf = -1;  // the slot is this leaf's
    int64_t offset_bytes;
    Strides strides;
    bool scalar = false;
  };

  void build(Ir ir, bool fusion);
  void check_memory() const;

  std::vector<Step> steps_;
  std::vector<std::pair<int, int>> leaf_slots_;  // leaf, slot
  int slot_count_ = 0;
  std::vector<SmallVector<Place, 1>> results_;
  size_t peak_bytes_ = 0;
  std::vector<std::pair<size_t, std::string>> largest_;
};

}  // namespace funcnn

// Products whose B is packed once for many tiles, all of it for each thread or for all threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "backends/cpu/dot_problem.h"
#include "backends/cpu/gemm.h"
#include "backends/cpu/interpreter.h"

namespace funcnn::cpu {

template <class T>
class PackedDot {
 public:
  // Whether this pays for the number of threads that there are: not where each has enough to do with blocks of its own.
  static bool pays(const DotProblem& problem);

  PackedDot(const DotProblem& problem, const GemmOf<T>& gemm);
  // What is packed.
  size_t scratch_bytes() const { return size_t(copies_) * copy_bytes() + 64; }
  // `rest`: what the epilogue, if there is one, runs on.
  void run(const T* a, const T* b, T* c, const PreparedProgram* epilogue, std::span<std::byte* const> rest,
           std::byte* packed) const;

 private:
  size_t copy_bytes() const;
  bool packs_apart(int64_t threads) const;
  bool by_columns(int64_t panels, int64_t threads, bool has_epilogue) const;
  template <class F>
  void run_rows(MatrixView<T> a, MatrixView<T> b, T* c, std::byte* packed, F&& finish) const;
  void run_columns(MatrixView<T> a, MatrixView<T> b, int64_t width, T* c, std::byte* packed, int64_t done) const;

  const DotProblem& p_;
  const GemmOf<T>& gemm_;
  int64_t pass_columns_;  // of B that are packed at a time
  int64_t copies_ = 1;    // of these
};

}  // namespace funcnn::cpu

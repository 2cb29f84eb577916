// What the kernels of convolutions share: how the work is cut, and when an epilogue can run.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <span>

#include "backends/cpu/conv.h"
#include "backends/cpu/interpreter.h"
#include "backends/cpu/pieces_left.h"
#include "backends/cpu/prefetch.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {

// Each for the operands and the element type of `problem`; null where another kernel has to do it.
template <class S>
std::unique_ptr<HostKernel> make_tiled_conv(const ConvProblem& problem, const KernelProgram* epilogue);
template <class S>
std::unique_ptr<HostKernel> make_lane_conv(const ConvProblem& problem, const KernelProgram* epilogue);
// Of bfloat16, where there is AMX.
std::unique_ptr<HostKernel> make_gathered_conv(const ConvProblem& problem, const KernelProgram* epilogue);
template <class S>
std::unique_ptr<HostKernel> make_plain_conv(const ConvProblem& problem, const KernelProgram* epilogue);
template <class S>
std::unique_ptr<HostKernel> make_tiled_conv_weight(const ConvProblem& problem, const KernelProgram* epilogue);
template <class S>
std::unique_ptr<HostKernel> make_lane_conv_weight(const ConvProblem& problem, const KernelProgram* epilogue);
template <class S>
std::unique_ptr<HostKernel> make_plain_conv_weight(const ConvProblem& problem, const KernelProgram* epilogue);

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// How many pieces of work there should be where sums are cut, so that it depends on shapes only.
inline int64_t wanted_pieces(double work) { return work < 1.5e6 ? 1 : work < 1e7 ? 2 : work < 2e7 ? 8 : 16; }

// Outputs in blocks of a row, rows in strips.
struct ConvStrips {
  int64_t block, blocks;  // of outputs of a phase
  int64_t strip, strips;  // of rows
  int64_t fitting;        // rows of a strip that stay in cache

  // `unit`: rows of a tile; bytes of the input and of the output for a position of a row.
  ConvStrips(const ConvProblem& p, int64_t unit, int64_t input_bytes, int64_t output_bytes);
  // Strips of about so many rows: whole images, or an image in even ones.
  void set_strip(const ConvProblem& p, int64_t rows);
  ConvBlock outputs(int64_t b) const { return {b * block, (b + 1) * block}; }
};

// Runs a program on outputs once they are complete.
class ConvEpilogue {
 public:
  explicit ConvEpilogue(const KernelProgram* program) {
    if (program) program_.emplace(*program);
  }

  // Begin a run in which each of `parts` is computed in `pieces` pieces.
  void start(int64_t parts, int64_t pieces) {
    if (program_) left_.start(parts, pieces);
  }
  // A piece of the part is there; whether it was the last.
  bool finished(int64_t part) { return program_ && left_.last(part); }
  // The outputs of these rows, from the first result on.
  void run(const ConvProblem& p, std::span<std::byte* const> results, int64_t first, int64_t last, ConvBlock block) {
    const ConvAxis& a = p.axes[2];
    int64_t channels = p.groups * p.out_channels, row = a.out * channels;
    int64_t begin = block.begin * a.step, end = std::min(block.end * a.step, a.out);
    if (end - begin == a.out) {
      program_->run_range(results, first * row, last * row);
    } else {
      for (int64_t r = first; r < last; ++r)
        program_->run_range(results, r * row + begin * channels, r * row + end * channels);
    }
  }
  // All of so many elements.
  void run_all(std::span<std::byte* const> results, int64_t count) {
    if (!program_) return;
    parallel_for(count, 16384, [&](int64_t begin, int64_t end) { program_->run_range(results, begin, end); });
  }

 private:
  std::optional<PreparedProgram> program_;
  PiecesLeft left_;
};

// Rows of a tile: `most` at a time, as even as they come.
template <class F>
void for_each_tile(int64_t count, int64_t most, F&& f) {
  int64_t tiles = ceil_div(count, most);
  for (int64_t i = 0, at = 0; i < tiles; ++i) {
    int64_t rows = count / tiles + (i < count % tiles ? 1 : 0);
    f(at, int(rows));
    at += rows;
  }
}

template <class S, class T>
void narrow_rows(const T* from, int64_t rows, int64_t columns, int64_t pitch, S* to, int64_t leading) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) to[i * leading + j] = S(from[i * pitch + j]);
}

// Whether vectors are better filled by channels of several groups than by those of one: by groups of few channels; or
// by positions, which have to follow each other, where there is one channel in all.
inline bool goes_by_lanes(const ConvProblem& p, int64_t lanes) {
  if (p.groups == 1) return p.in_channels == 1 && p.out_channels == 1 && p.axes[2].step == 1 && p.axes[2].move == 1;
  if (p.out_channels >= lanes) return false;
  // Rows of the input are copied once for each channel of a group.
  int64_t all = p.groups * p.out_channels, copies = p.in_channels;
  return copies == 1 || (all >= lanes && ceil_div(all, lanes) * std::max<int64_t>(2, copies / 2) <= p.groups);
}

// Scratch memory of so many elements.
template <class T>
size_t conv_bytes(int64_t count) {
  return (size_t(count) * sizeof(T) + 63) / 64 * 64 + 64;
}
template <class T>
T* aligned_scratch(std::byte* scratch) {
  return reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(scratch) + 63) & ~uintptr_t(63));
}

}  // namespace funcnn::cpu

// Convolutions: how the kernels see them. Three spatial axes (those in front have length 1), taps of the kernel as
// offsets into the input, and one walk for each residue of the output where the input is dilated.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backends/cpu/gemm.h"
#include "backends/cpu/kernels.h"
#include "ops/conv.h"

namespace funcnn::cpu {

// Output t * step + first meets, for each tap, input t * move + offset.
struct ConvTap {
  int64_t at;      // in the weight
  int64_t offset;  // in the input
};
struct ConvPhase {
  int64_t count = 0;          // of outputs
  std::vector<ConvTap> taps;  // by ascending offset
};
struct ConvAxis {
  int64_t in = 1, out = 1, kernel = 1;
  int64_t move = 1;                 // of the input from an output of a phase to the next
  int64_t step = 1;                 // as many phases there are: the first outputs are 0 ... step - 1
  std::vector<ConvPhase> phases;    // no more than there are outputs
  int64_t lowest = 0, highest = 0;  // offset of any tap
  bool complete = true;             // every tap meets something

  ConvAxis() : phases{{1, {{0, 0}}}} {}
  ConvAxis(const ConvGeometry& g, size_t axis, int64_t in, int64_t kernel);
};

// Where an operand lies: its first axis, three spatial ones, the last.
struct ConvStrides {
  int64_t first, spatial[3], last;
};

struct ConvProblem {
  int64_t n, groups, in_channels, out_channels;  // channels of a group
  ConvAxis axes[3];
  ConvStrides x, weight, y;  // the weight and the result, or their gradients

  ConvProblem(const ConvPrimitive& op, const Layout& x, const Layout& weight, const Layout& y);
  int64_t rows() const { return n * axes[0].out * axes[1].out; }  // of outputs
  double work() const;                                            // multiply-adds
  // Whether rows of the input, padded, are not much longer than what they hold.
  bool compact() const;
  // Neighbouring axes that a pointwise convolution goes over as over one become one.
  void merge();
};

// Outputs [begin, end) of each phase along a row.
struct ConvBlock {
  int64_t begin, end;
};

// A row of a tile that a stretch of the sum leaves out, since it meets nothing there.
enum class ConvEdge : int8_t { none, first, last };

// A stretch of the sum: where it begins in the input and in the other operand, and its steps.
template <class T>
struct ConvRun {
  const T *a, *b;
  int64_t length;
  ConvEdge without = ConvEdge::none;
};

// What is asked for while a tile is computed, a little before each `every` steps: where the next one goes, and rows of
// the input that are read soon, `lines` of cache each and `apart` elements from each other, in which tiles go on where
// the last one stopped.
template <class T>
struct ConvSoon {
  const T* c = nullptr;
  const T* a = nullptr;
  int64_t rows = 0, lines = 0, apart = 0, line = 0;
  int64_t every = int64_t(1) << 40;
};

inline constexpr int kMostConvRows = 16;

// The loops of one instruction set.
template <class T>
struct ConvLoops {
  int rows, panel, lanes;
  // C (rows x columns, `columns` at most `panel`) = the sum over runs of products of A and B. In run r, element (i, p)
  // of A is a[shift + i * step + p]; row p of B is b + p * panel.
  // `past`: C goes to memory past the caches where it can.
  void (*along)(int rows, int64_t columns, const ConvRun<T>* runs, int64_t count, int64_t shift, int64_t step, T* c,
                int64_t leading, ConvSoon<T>& soon, bool past);
  // C += the same with element (i, p) of A at a[shift + p * step + i], in rows of `panel`; no run leaves rows out.
  void (*across)(int rows, int64_t columns, const ConvRun<T>* runs, int64_t count, int64_t shift, int64_t step, T* c);
  // Lane by lane: C (rows x lanes) = the sum over runs of a[first + shift + i * step + lane] * b[first + lane].
  void (*each)(int rows, const ConvRun<T>* runs, int64_t count, int64_t first, int64_t shift, int64_t step, T* c,
               int64_t leading);
  // The transpose: c[t * lanes] += the sum over `length` steps of a[t][p * step_a + lane] * b[p * step_b + lane], for
  // at most `rows` taps t.
  void (*each_across)(int taps, const T* const* a, const T* b, int64_t length, int64_t step_a, int64_t step_b, T* c);
};
template <class T, class S>
struct ConvPacking {
  // Rows of `panel` from k rows of at most as many columns.
  void (*pack)(MatrixView<S> b, int64_t k, int64_t columns, T* out);
  void (*widen)(const S* from, int64_t n, T* out);
  // out[p * width + q] = from[p * step + index[q]] for q < count, 0 for the rest of `width`.
  void (*choose)(const S* from, int64_t positions, int64_t step, const int64_t* index, int64_t count, int64_t width,
                 T* out);
  // out[j * step + i] = from[i * panel + j].
  void (*unpack)(const T* from, int64_t k, int64_t columns, T* out, int64_t step);
};

struct ConvTable {
  ConvLoops<float> f32;
  ConvLoops<double> f64;
  ConvPacking<float, float> pack_f32;
  ConvPacking<double, double> pack_f64;
  ConvPacking<float, float16_t> pack_f16;
  ConvPacking<float, bfloat16_t> pack_bf16;

  template <class T>
  const ConvLoops<T>& loops() const {
    if constexpr (std::is_same_v<T, double>)
      return f64;
    else
      return f32;
  }
  template <class S>
  const auto& packing() const {
    if constexpr (std::is_same_v<S, double>)
      return pack_f64;
    else if constexpr (std::is_same_v<S, float16_t>)
      return pack_f16;
    else if constexpr (std::is_same_v<S, bfloat16_t>)
      return pack_bf16;
    else
      return pack_f32;
  }
};
// The table in use; null where the compiler cannot build it.
const ConvTable* conv_table();

// What elements of S are accumulated in.
template <class S>
using ConvSum = std::conditional_t<std::is_same_v<S, double>, double, float>;

}  // namespace funcnn::cpu

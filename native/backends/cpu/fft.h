// Fourier transforms: what the plan of a length holds, and the functions that one instruction set brings.
//
// Vectors work on several lines at once, one in each lane: a group of `lanes` lines is an array of rows, one row for
// each place along the lines, of `lanes` real parts followed by `lanes` imaginary parts. A long line of its own is laid
// out as a matrix whose columns are such lines, and whose rows are afterwards ("four steps").
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace funcnn::cpu {

// Complex lines in memory, counted in floats: element j of lane i has its real part at data[start(i) + j * step] and
// its imaginary part `im` behind it (0: it has none).
struct FftView {
  float* data;
  int64_t step, im;
  int64_t apart;          // from lane to lane
  const int64_t* starts;  // if not null, where each lane begins instead
  int64_t start(int64_t lane) const { return starts ? starts[lane] : lane * apart; }
  FftView at(int64_t j) const { return {data + j * step, step, im, apart, starts}; }
};

// One step of Stockham's algorithm, without reordering afterwards.
struct FftPass {
  int radix;
  int64_t before, after;        // the product of the radices before it, and of those after it
  std::vector<float> twiddles;  // (radix - 1) complex numbers for each of `after`
  std::vector<float> roots;     // cos and -sin of the multiples of a turn / radix
};

// A transform of lines in lanes, whose length has small prime factors only.
struct FftPasses {
  int64_t length = 1;
  std::vector<FftPass> passes;
};

// The transform of one line of length columns * rows.
struct FftSquare {
  int64_t columns, rows;  // element j * columns + c is in row j of column c
  FftPasses down, across;
  // The factors between: those of output k of column c. In whole, real parts and imaginary parts of a row of columns
  // for each k, rows padded to whole vectors; or, for long lines, w^(k * c) as the product of that of the first column
  // of a vector and that of the lane.
  std::vector<float> whole;
  std::vector<float> first, lane;
};

// The plan of complex transforms of a length, with what the real ones of twice the length need beside.
struct FftPlan {
  int64_t length = 1;
  // A length with large prime factors is a convolution of length `inner` (Bluestein).
  std::shared_ptr<const FftPlan> inner;
  std::vector<float> chirp, kernel;  // complex
  FftPasses passes;                  // else
  std::unique_ptr<FftSquare> square;
  std::vector<float> halves;  // -i e^(-i pi k / length), k = 0 ... length / 2: real parts, imaginary parts, spare
  size_t bytes = 0;
};

// Plans are kept, those used last, within a bound of bytes.
std::shared_ptr<const FftPlan> fft_plan(int64_t length);
void clear_fft_plans();

struct FftTable {
  int lanes;
  // Rows from `count` lines (at most `lanes`; the other lanes become zero); `swap` exchanges real and imaginary parts.
  void (*gather)(const FftView& from, int64_t count, int64_t length, bool swap, float* rows);
  // Lines from rows, times `scale`.
  void (*scatter)(const float* rows, int64_t count, int64_t length, bool swap, float scale, const FftView& to);
  // The transform of `in`, which lies afterwards in one of the two rooms; `in` may be the second.
  float* (*lines)(const FftPasses& passes, const float* in, float* first, float* second);
  // The transform of `lanes` lines side by side, complex numbers of neighbours. `room`: 4 * lanes * length floats.
  void (*beside)(const FftPasses& passes, const FftView& from, const FftView& to, bool swap, float scale, float* room);
  // Columns begin * lanes to end * lanes of a line into `between`. `room`: 4 * lanes * rows floats.
  void (*down)(const FftSquare& square, const FftView& line, bool swap, float* between, float* room, int64_t begin,
               int64_t end);
  // Groups of `lanes` rows of `between` into the transformed line. `room`: 4 * lanes * columns floats.
  void (*across)(const FftSquare& square, const float* between, bool swap, float scale, const FftView& line,
                 float* room, int64_t begin, int64_t end);
  // How many lines of this length, one or two, are transformed in registers; 0: none. They are dense, and their plan
  // has a square of `lanes` columns.
  int (*brief_group)(int64_t length);
  void (*brief)(const FftSquare& square, bool swap, float scale, const float* const* in, float* const* out);
  // From the transform of pairs of neighbours to that of a real line, k and length - k for k in [begin, end) of
  // [0, length / 2]; `back`: the other way. Of lines in memory, in place also, and of rows.
  void (*halves)(const FftPlan& plan, bool back, const float* in, float* out, int64_t begin, int64_t end);
  void (*halves_of_rows)(const FftPlan& plan, bool back, const float* in, float* out);
  // out[j] = in[j] * by[j] of complex numbers; swapped before and after.
  void (*multiply)(const float* in, const float* by, float* out, int64_t length, bool before, bool after);
  void (*multiply_rows)(float* rows, const float* by, int64_t length, bool before, bool after);
};
const FftTable& fft_table();

}  // namespace funcnn::cpu

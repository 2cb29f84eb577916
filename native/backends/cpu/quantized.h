// Loops over quantised rows, compiled for each instruction set, and the table for this machine.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "ops/quantized_format.h"

namespace funcnn::cpu {

// What packed codes stand for. Unsigned integers of so many bits (affine), or small floating-point numbers.
enum class QuantCode : uint8_t { u1, u2, u3, u4, u5, u6, u8, e2m1, e4m3 };
inline constexpr int kCodeCount = 9;
QuantCode code_of(const QuantFormat& format);
inline int bits_of(QuantCode code) {
  constexpr int bits[kCodeCount] = {1, 2, 3, 4, 5, 6, 8, 4, 8};
  return bits[int(code)];
}

// How scales and biases are stored.
enum class ScaleType : uint8_t { f32, f16, bf16, e8m0, e4m3 };
ScaleType scale_type(const QuantFormat& format, Dtype scales);

// One quantised matrix: `words`, `scales` and `biases` (null: none) of a row lie one after another.
struct QuantMatrix {
  const uint32_t* words;
  const std::byte* scales;
  const std::byte* biases;
  int64_t columns, rows;  // of elements
  int group;
  ScaleType type;

  int64_t groups() const { return columns / group; }
  size_t scale_size() const { return type == ScaleType::f32 ? 4 : type <= ScaleType::bf16 ? 2 : 1; }
};

struct QuantTable {
  // `count` elements of T, from whole groups, to codes, scales and biases; `global` (0: none) is nvfp4's scale of the
  // whole array.
  template <class T>
  struct Rows {
    void (*quantize)(const QuantFormat& format, const T* from, int64_t count, float global, uint32_t* words,
                     void* scales, void* biases);
    // The values of the codes that quantize would give.
    void (*values)(const QuantFormat& format, const T* from, int64_t count, float global, T* to);
    void (*dequantize)(const QuantFormat& format, const uint32_t* words, const void* scales, const void* biases,
                       int64_t count, float global, T* to);
    void (*to_fp8)(const T* from, int64_t count, uint8_t* to);
  };
  Rows<float> f32;
  Rows<float16_t> f16;
  Rows<bfloat16_t> bf16;
};
const QuantTable& quant_table();

// Products of rows x with a quantised matrix, each for columns [first, end) of the result.
struct QuantDotTable {
  // Few rows of x meet packed rows one after another. They are laid out once so that each lane of a vector has a run of
  // neighbouring codes for itself; `sums` has the sum of each group, for biases.
  int64_t (*few_length)(QuantCode code, int64_t columns);  // floats of a row laid out, when it meets packed rows
  void (*few_lay_out)(QuantCode code, const float* x, int64_t columns, int group, float* out, float* sums);
  // x @ w.T; `x`: rows laid out, few_length apart, `sums`: m.groups() apart; at most kFewRows rows.
  void (*few_rows)(QuantCode code, const QuantMatrix& m, const float* x, const float* sums, int64_t rows, int64_t first,
                   int64_t end, float* out, int64_t leading);
  // x @ w; `x`: rows as they are, m.rows apart. `first` is a multiple of few_columns_step.
  int64_t (*few_columns_step)(QuantCode code);
  size_t (*few_columns_room)(QuantCode code);
  void (*few_columns)(QuantCode code, const QuantMatrix& m, const float* x, int64_t rows, int64_t first, int64_t end,
                      float* out, int64_t leading, std::byte* room);

  // Many rows: tiles of the matrix kernel, with panels of the quantised matrix unpacked between. `packed`: the rows of
  // A in panels, packed_length(rows, depth) floats. `out` has columns for a whole number of panels.
  int64_t (*packed_length)(int64_t rows, int64_t depth);
  // The panels of one block of the inner axis, the one that begins at `from`.
  void (*pack)(const float* const* rows, int64_t count, int64_t depth, int64_t from, float* packed);
  size_t (*tiles_room)(QuantCode code, int64_t depth);
  void (*tiles)(QuantCode code, const QuantMatrix& m, bool transpose, const float* packed, int64_t rows, int64_t first,
                int64_t end, float* out, int64_t leading, std::byte* room);
};
inline constexpr int64_t kFewRows = 4;
inline constexpr int64_t kQuantBlock = 256;  // of the inner axis
// Null where the compiler cannot build it.
const QuantDotTable* quant_dot_table();

}  // namespace funcnn::cpu
